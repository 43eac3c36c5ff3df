//! What a run found, as figures and tables.

use super::figure::{Axis, ColorMap, Content, Curve, FieldData, FieldMap, FieldRow, Figure, Film, LinePlot, Stroke};
use super::manifest::{Check, State, Task};
use super::{Table, ticks};
use crate::exec::outcome::{self, Along, Entry, Outcome, Panel, Picture, Row};

pub fn checks(outcome: &Outcome) -> Vec<Check> {
    let of = |c: &outcome::Check| Check {
        study: c.study.clone(),
        claim: c.claim.clone(),
        round: c.round.clone(),
        value: c.value,
        relation: c.relation.clone(),
        bound: c.bound,
        unit: c.unit.clone(),
        held: c.held,
    };
    outcome.checks.iter().map(of).collect()
}

/// `needs` gives for each task those whose results it takes.
pub fn tasks(outcome: &Outcome, needs: impl Fn(usize) -> Vec<usize>) -> Vec<Task> {
    let of = |(i, t): (usize, &outcome::TaskRecord)| Task {
        label: t.label.clone(),
        state: match (t.done, t.cached) {
            (false, _) => State::Failed,
            (true, true) => State::Cached,
            (true, false) => State::Ran,
        },
        seconds: t.seconds,
        cost: t.cost,
        outputs: t.outputs.clone(),
        solves: t.solves.clone(),
        notes: t.notes.clone(),
        parent: t.parent,
        needs: needs(i),
    };
    outcome.tasks.iter().enumerate().map(of).collect()
}

/// The losses of every training that no `plot(...)` shows already.
pub fn trainings(outcome: &Outcome) -> Vec<Figure> {
    let shown = |loss: &[f64]| {
        let panels = outcome.pictures.iter().flat_map(|p| &p.panels);
        panels.into_iter().any(|p| matches!(p, Panel::Curves { curves, .. } if curves.iter().any(|c| c.y == loss)))
    };
    let trained = outcome.tasks.iter().filter(|t| t.history.get("loss").is_some_and(|l| l.len() > 1 && !shown(l)));
    trained
        .flat_map(|t| {
            let panels = vec![outcome::losses(&t.history)];
            let figures = figures_of(&Picture { study: "training".into(), title: t.label.clone(), panels });
            figures.into_iter().map(|f| Figure { study: String::new(), ..f })
        })
        .collect()
}

/// A figure for each `plot(...)`; where fields and curves stand side by side, one for each kind.
pub fn figures(outcome: &Outcome) -> Vec<Figure> {
    outcome.pictures.iter().flat_map(figures_of).collect()
}

fn figures_of(p: &Picture) -> Vec<Figure> {
    let mut out = vec![];
    let mut add = |content: Content| {
        let id = format!("{}-{}", p.study, p.title.chars().take(40).collect::<String>());
        out.push(Figure { id, title: p.title.clone(), caption: String::new(), study: p.study.clone(), content });
    };
    let mut maps: Vec<FieldMap> = p.panels.iter().filter_map(field_map).collect();
    if !maps.is_empty() {
        share_ranges(&mut maps);
        add(Content::Fields(FieldRow { panels: maps }));
    }
    for panel in &p.panels {
        let Panel::Film(frames) = panel else { continue };
        let mut frames: Vec<FieldMap> = frames.iter().filter_map(field_map).collect();
        one_range(&mut frames);
        let some = evenly(frames.len(), STRIP).into_iter().map(|k| frames[k].clone()).collect();
        add(Content::Fields(FieldRow { panels: some }));
        if frames.len() > 2 {
            add(Content::Film(Film { frames, seconds: FRAME }));
        }
    }
    for panel in &p.panels {
        let Panel::Curves { x_label, x_unit, y_label, y_unit, curves, log_y, points } = panel else { continue };
        let style = if *points { Stroke::Points } else { Stroke::Solid };
        // One curve is named by its axis; several by the legend.
        let single = curves.len() == 1 && y_label.is_empty();
        let label = if single { curves[0].label.clone() } else { y_label.clone() };
        let largest = curves.iter().flat_map(|c| &c.x).map(|x| x.abs()).fold(0.0, f64::max);
        let (x_unit, scale) = if x_unit == "m" { metre(largest) } else { (x_unit.as_str(), 1.0) };
        let curve = |c: &outcome::Curve| {
            let x = c.x.iter().map(|x| x * scale).collect();
            Curve::new(if single { "" } else { &c.label }, x, c.y.clone()).style(style)
        };
        let mut y = Axis::new(label, y_unit.as_str());
        y.log = *log_y && curves.iter().flat_map(|c| &c.y).any(|y| *y > 0.0);
        let plot = LinePlot { x: Axis::new(x_label.as_str(), x_unit), y, ..LinePlot::default() };
        add(Content::Lines(LinePlot { curves: curves.iter().map(curve).collect(), ..plot }));
    }
    out
}

/// Frames of a strip.
const STRIP: usize = 6;
/// Seconds that a frame of a film is shown.
const FRAME: f64 = 0.2;

/// At most so many of n numbers, the first and the last among them.
pub fn evenly(n: usize, most: usize) -> Vec<usize> {
    if n <= most { (0..n).collect() } else { (0..most).map(|k| k * (n - 1) / (most - 1)).collect() }
}

/// One range and one kind of colours for all.
fn one_range(maps: &mut [FieldMap]) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for m in maps.iter() {
        if let FieldData::Grid { values, .. } = &m.data {
            for v in values.iter().filter(|v| v.is_finite()) {
                (low, high) = (low.min(*v), high.max(*v));
            }
        }
    }
    let signed = low < 0.0 && high > 0.0 && (-low).min(high) > 0.05 * (-low).max(high);
    let most = high.max(-low);
    for m in maps {
        m.colors = if signed { ColorMap::Diverging } else { ColorMap::Viridis };
        m.range = (low <= high).then_some(if signed { (-most, most) } else { (low, high) });
    }
}

/// Coordinates in the prefix of the metre that suits them; signed values in diverging colours.
fn field_map(panel: &Panel) -> Option<FieldMap> {
    let Panel::Map { label, unit, x, y, columns, rows, values } = panel else { return None };
    let largest = [x.from, x.to, y.from, y.to].into_iter().map(f64::abs).fold(0.0, f64::max);
    let (prefix, scale) = if x.unit == "m" && y.unit == "m" { metre(largest) } else { ("", 1.0) };
    let axis = |a: &Along| Axis::new(a.label.as_str(), if prefix.is_empty() { a.unit.as_str() } else { prefix });
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let signed = low < 0.0 && high > 0.0 && (-low).min(high) > 0.05 * (-low).max(high);
    Some(FieldMap {
        title: label.clone(),
        unit: unit.clone(),
        x: axis(x),
        y: axis(y),
        data: FieldData::Grid {
            nx: *columns,
            ny: *rows,
            x: (x.from * scale, x.to * scale),
            y: (y.from * scale, y.to * scale),
            values: values.clone(),
            nodal: false,
        },
        colors: if signed { ColorMap::Diverging } else { ColorMap::Viridis },
        range: (!signed && low <= high).then_some((low, high)),
        isolines: 0,
        stretched: !(x.space && y.space),
    })
}

/// Panels of one unit whose values lie mostly in the same range get one range, so that colours compare.
fn share_ranges(maps: &mut [FieldMap]) {
    for i in 0..maps.len() {
        for j in 0..i {
            let (Some(a), Some(b)) = (maps[j].range, maps[i].range) else { continue };
            let both = (a.0.min(b.0), a.1.max(b.1));
            let overlap = a.1.min(b.1) - a.0.max(b.0);
            if maps[i].unit == maps[j].unit && overlap > 0.5 * (both.1 - both.0) {
                maps[i].range = Some(both);
                maps[j].range = Some(both);
            }
        }
    }
}

/// Unit of length for coordinates up to this many metres, and its number in a metre.
fn metre(largest: f64) -> (&'static str, f64) {
    match largest {
        l if l < 5e-7 => ("nm", 1e9),
        l if l < 5e-4 => ("µm", 1e6),
        l if l < 0.5 => ("mm", 1e3),
        l if l < 5e3 => ("m", 1.0),
        _ => ("km", 1e-3),
    }
}

/// `report(...)` statements: those with the same names become the rows of one table.
pub fn tables(outcome: &Outcome) -> Vec<Table> {
    let mut out: Vec<(Vec<&str>, Table)> = vec![];
    for row in &outcome.rows {
        let names: Vec<&str> = row.entries.iter().map(|e| e.0.as_str()).collect();
        let cells = row.entries.iter().map(|(_, e)| cell(e)).collect();
        match out.iter_mut().find(|(n, t)| *n == names && t.title == row.study) {
            Some((_, table)) => table.rows.push(cells),
            None => {
                let columns = row.entries.iter().map(heading).collect();
                out.push((
                    names,
                    Table { title: row.study.clone(), caption: String::new(), columns, rows: vec![cells] },
                ));
            }
        }
    }
    out.into_iter().map(|t| t.1).collect()
}

/// A line for the terminal: `N = 64, error = 1.2×10⁻³`.
pub fn in_words(row: &Row) -> String {
    let words = |(name, e): &(String, Entry)| match e {
        Entry::Number { unit, .. } | Entry::Numbers { unit, .. } if !unit.is_empty() => {
            format!("{name} = {} {unit}", cell(e))
        }
        _ => format!("{name} = {}", cell(e)),
    };
    row.entries.iter().map(words).collect::<Vec<_>>().join(", ")
}

fn heading((name, e): &(String, Entry)) -> String {
    match e {
        Entry::Number { unit, .. } | Entry::Numbers { unit, .. } => super::axes::title(name, unit),
        Entry::Text(_) => name.clone(),
    }
}

fn cell(e: &Entry) -> String {
    const SHOWN: usize = 12;
    match e {
        Entry::Text(t) => t.clone(),
        Entry::Number { value, .. } => ticks::number(*value),
        Entry::Numbers { values, shape, .. } => {
            let width = if shape.len() == 2 { shape[1].max(1) } else { values.len().max(1) };
            let rows: Vec<String> = values[..values.len().min(SHOWN)]
                .chunks(width)
                .map(|r| r.iter().map(|v| ticks::number(*v)).collect::<Vec<_>>().join(", "))
                .collect();
            let more = if values.len() > SHOWN { ", …" } else { "" };
            format!("[{}{more}]", rows.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(label: &str, offset: f64, amplitude: f64) -> Panel {
        let values = (0..12).map(|i| offset + amplitude * (i as f64 - 5.5)).collect();
        let along = |label: &str, to: f64| Along { label: label.into(), unit: "m".into(), from: 0.0, to, space: true };
        let (x, y) = (along("x", 0.1), along("y", 0.05));
        Panel::Map { label: label.into(), unit: "K".into(), x, y, columns: 4, rows: 3, values }
    }

    #[test]
    fn like_fields_share_their_colours_and_differences_diverge() {
        let picture = Picture {
            study: "validate".into(),
            title: "T".into(),
            panels: vec![map("a", 300.0, 1.0), map("b", 300.5, 1.0), map("a - b", 0.0, 0.1)],
        };
        let figures = figures_of(&picture);
        let Content::Fields(row) = &figures[0].content else { panic!("fields") };
        assert_eq!(row.panels[0].range, row.panels[1].range);
        assert_eq!(row.panels[2].colors, ColorMap::Diverging);
        assert_eq!(row.panels[0].x.unit, "mm");
    }

    #[test]
    fn reports_of_a_loop_are_rows_of_one_table() {
        let row = |n: f64| Row {
            study: "s".into(),
            entries: vec![
                ("N".into(), Entry::Number { value: n, unit: String::new() }),
                (
                    "k".into(),
                    Entry::Numbers { values: vec![1.0, 0.0, 0.0, 1.0], shape: vec![2, 2], unit: "W/m/K".into() },
                ),
            ],
            span: Default::default(),
        };
        let outcome = Outcome { rows: vec![row(1.0), row(2.0)], ..Outcome::default() };
        let t = tables(&outcome);
        assert_eq!((t.len(), t[0].rows.len()), (1, 2));
        assert_eq!(t[0].columns, ["N", "k [W/m/K]"]);
        assert_eq!(t[0].rows[0][1], "[1, 0; 0, 1]");
        assert_eq!(in_words(&outcome.rows[0]), "N = 1, k = [1, 0; 0, 1] W/m/K");
    }
}
