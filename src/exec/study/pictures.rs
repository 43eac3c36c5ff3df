//! What studies show: curves, maps, films.

use super::{Studies, entries};
use crate::base::Span;
use crate::base::digits::short;
use crate::base::units::familiar;
use crate::exec::outcome::{Along, Curve, Panel, Picture, losses};
use crate::ir::Tensor;
use crate::lower::Result;
use crate::lower::domain::Domain;
use crate::lower::value::{Env, Field, Leaf, Num, Value};
use crate::sema::hir::{Arg, Expr, ExprKind};
use std::rc::Rc;

/// Pixels along the longer side of a field's picture.
const PIXELS: usize = 240;

/// Frames of a film at most.
const FRAMES: usize = 24;

/// Curves in one frame at most.
const MOST_CURVES: usize = 8;

impl Studies<'_, '_> {
    pub(super) fn plot(&mut self, args: &[Arg], env: &Env, span: Span) -> Result<()> {
        let values = self.values("plot", args, env, span)?;
        let mut panels = vec![];
        let mut lists: Vec<(String, String, Vec<f64>)> = vec![];
        let mut before: Option<Rc<Domain>> = None;
        for (a, v) in args.iter().zip(&values) {
            let (label, unit) = (self.label(a), self.unit(&a.value));
            match v {
                Value::Field(f) => {
                    let panel = self.map(label, unit, f, span)?;
                    let same = before.replace(f.domain.clone()).is_some_and(|d| d == f.domain);
                    let alone = match panels.last_mut().filter(|_| same) {
                        Some(last) => in_one_frame(last, panel),
                        None => Some(panel),
                    };
                    panels.extend(alone);
                }
                Value::Artefact(a) => panels.push(losses(&a.history)),
                Value::Solution(_) => {
                    let (shown, times) = self.over_time(a, v);
                    for (label, unit, states) in shown {
                        self.film(&mut panels, (label, unit), &states, &times, span)?;
                    }
                }
                Value::List(items) if matches!(items.first(), Some(Value::Field(_))) => {
                    let times = self.times_of(&a.value, env);
                    let (shown, _) = self.over_time(a, v);
                    for (label, unit, states) in shown {
                        self.film(&mut panels, (label, unit), &states, &times, span)?;
                    }
                }
                other => {
                    let n = self.lower.statement("plot", span, |l| Ok(Value::Num(l.num(other, a.value.span)?)))?;
                    let times = self.times_of(&a.value, env);
                    if let Some(panel) = over_time(&n, &label, &unit, &times) {
                        panels.push(panel);
                    } else {
                        lists.push((label, unit, entries(&n)));
                    }
                }
            }
        }
        if lists.len() == 1 {
            let (label, unit, y) = lists.remove(0);
            let x = (0..y.len()).map(|i| i as f64).collect();
            let log_y = spans_decades(&y);
            panels.push(Panel::Curves {
                x_label: "index".into(),
                x_unit: String::new(),
                y_label: String::new(),
                y_unit: unit,
                curves: vec![Curve { label, x, y }],
                log_y,
                points: false,
            });
        } else if let Some(((x_label, x_unit, x), rest)) = lists.split_first() {
            let points = scattered(x);
            let curves =
                rest.iter().map(|(label, _, y)| Curve { label: label.clone(), x: x.clone(), y: y.clone() }).collect();
            panels.push(Panel::Curves {
                x_label: x_label.clone(),
                x_unit: x_unit.clone(),
                y_label: String::new(),
                y_unit: rest[0].1.clone(),
                curves,
                log_y: false,
                points,
            });
        }
        let title = args.iter().map(|a| self.label(a)).collect::<Vec<_>>().join(", ");
        self.outcome.pictures.push(Picture { study: self.study.clone(), title, panels });
        Ok(())
    }

    /// A field as a picture: a map in two dimensions, a curve in one, the middle section in three.
    fn map(&mut self, label: String, unit: String, f: &Field, span: Span) -> Result<Panel> {
        let d = f.domain.clone();
        let at = |axis: usize, s: f64| d.origin[axis] + s * d.extent[axis];
        // A domain without a name is not known to be of anything but metres.
        let length = d.length.as_ref().map_or("m".into(), |d| if d.is_none() { String::new() } else { familiar(d) });
        if d.dimension() == 1 {
            let evenly = || (0..=PIXELS).map(|i| at(0, i as f64 / PIXELS as f64)).collect();
            let x: Vec<f64> = cells(f).unwrap_or_else(evenly);
            let y = self.sampled(f, x.iter().map(|x| vec![*x]).collect(), span)?;
            return Ok(Panel::Curves {
                x_label: "x".into(),
                x_unit: length,
                y_label: String::new(),
                y_unit: unit,
                curves: vec![Curve { label, x, y }],
                log_y: false,
                points: false,
            });
        }
        let longest = d.extent[0].max(d.extent[1]);
        let count = |axis: usize| ((PIXELS as f64 * d.extent[axis] / longest).round() as usize).max(2);
        let (columns, rows) = (count(0), count(1));
        let mut points = Vec::with_capacity(columns * rows);
        for r in 0..rows {
            for c in 0..columns {
                let mut p = vec![at(0, (c as f64 + 0.5) / columns as f64), at(1, (r as f64 + 0.5) / rows as f64)];
                p.extend((2..d.dimension()).map(|a| at(a, 0.5)));
                points.push(p);
            }
        }
        let values = self.sampled(f, points, span)?;
        Ok(Panel::Map {
            label,
            unit,
            x: along("x", &length, at(0, 0.0), at(0, 1.0), true),
            y: along("y", &length, at(1, 0.0), at(1, 1.0), true),
            columns,
            rows,
            values,
        })
    }

    /// Values at points; of vectors and tensors the norm.
    fn sampled(&mut self, f: &Field, points: Vec<Vec<f64>>, span: Span) -> Result<Vec<f64>> {
        let (n, d) = (points.len(), f.domain.dimension());
        let x = Num::Const(Tensor::f64([n, d], points.concat()));
        let v = self.lower.statement("plot", span, |l| Ok(Value::Num(l.field_at_points(f, &x, span)?)))?;
        let all = entries(&v);
        let width = all.len() / n.max(1);
        Ok(match width {
            1 => all,
            w => all.chunks(w).map(|c| c.iter().map(|x| x * x).sum::<f64>().sqrt()).collect(),
        })
    }

    /// The times of `s.u`, where s is a solution over time.
    fn times_of(&mut self, e: &Expr, env: &Env) -> Vec<f64> {
        let ExprKind::Member { base, .. } = &e.kind else { return vec![] };
        match self.lower.statement("plot", e.span, |l| l.expr(base, env)) {
            Ok(Value::Solution(s)) => s.members.get("t").map(entries).unwrap_or_default(),
            _ => vec![],
        }
    }

    /// Pictures of a field at several times: maps in one place, or curves in one frame.
    fn film(
        &mut self,
        panels: &mut Vec<Panel>,
        (label, unit): (String, String),
        states: &[Field],
        times: &[f64],
        span: Span,
    ) -> Result<()> {
        if let [one] = states {
            panels.push(self.map(label, unit, one, span)?);
            return Ok(());
        }
        let name = |k: usize| match times.get(k) {
            Some(t) => format!("{label}, t = {}", short(*t)),
            None => format!("{label}, {k}"),
        };
        let lines = states[0].domain.dimension() == 1;
        let most = if lines { 6 } else { FRAMES };
        let n = states.len();
        let some: Vec<usize> =
            if n <= most { (0..n).collect() } else { (0..most).map(|k| k * (n - 1) / (most - 1)).collect() };
        let mut frames =
            some.iter().map(|&k| self.map(name(k), unit.clone(), &states[k], span)).collect::<Result<Vec<_>>>()?;
        if !lines {
            panels.push(Panel::Film(frames));
            return Ok(());
        }
        // All curves in the frame of the first.
        let rest = frames.split_off(1);
        if let Some(Panel::Curves { curves, y_label, .. }) = frames.first_mut() {
            *y_label = label;
            for f in rest {
                if let Panel::Curves { curves: more, .. } = f {
                    curves.extend(more);
                }
            }
        }
        panels.extend(frames);
        Ok(())
    }
}

/// Where a field on an interval has its values, if these belong to cells: between the middles of cells a curve is no staircase.
fn cells(f: &Field) -> Option<Vec<f64>> {
    const FEWEST: usize = 16;
    let mut spaces =
        f.leaves.iter().filter_map(|l| if let Leaf::Discrete { field, .. } = l { Some(&field.space) } else { None });
    let first = spaces.next().filter(|s| s.order == 0 && s.node_count() >= FEWEST)?;
    spaces.all(|s| s.order == 0 && s.mesh == first.mesh).then(|| first.node_coordinates().to_f64())
}

/// Unordered abscissae are a scatter, but where each lies near the one before they are a path, as in a portrait of phases.
fn scattered(x: &[f64]) -> bool {
    let ordered = x.windows(2).all(|w| w[0] <= w[1]);
    let (low, high) = x.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(*x), h.max(*x)));
    let way: f64 = x.windows(2).map(|w| (w[1] - w[0]).abs()).sum();
    !ordered && way > 0.1 * (high - low) * x.len() as f64
}

/// Curves over the same axis, of values of one unit, share a frame. Gives back what does not.
fn in_one_frame(last: &mut Panel, next: Panel) -> Option<Panel> {
    match (last, next) {
        (Panel::Curves { curves, y_unit, y_label, .. }, Panel::Curves { curves: more, y_unit: unit, .. })
            if *y_unit == unit && y_label.is_empty() && curves.len() + more.len() <= MOST_CURVES =>
        {
            curves.extend(more);
            None
        }
        (_, next) => Some(next),
    }
}

/// Positive numbers over so many decades that most of them would lie on the axis.
fn spans_decades(y: &[f64]) -> bool {
    const DECADES: f64 = 1e5;
    let (low, high) = y.iter().fold((f64::INFINITY, 0.0), |(l, h): (f64, f64), y| (l.min(*y), h.max(*y)));
    low > 0.0 && high.is_finite() && high > DECADES * low
}

fn along(label: &str, unit: &str, from: f64, to: f64, space: bool) -> Along {
    Along { label: label.into(), unit: unit.into(), from, to, space }
}

/// A list of vectors as a picture: entries from left to right, the list from below, over the times where these are known.
fn over_time(v: &Value, label: &str, unit: &str, times: &[f64]) -> Option<Panel> {
    const LEAST: usize = 8;
    let Value::Num(Num::Const(t)) = v else { return None };
    let [rows, columns] = t.ty.shape[..] else { return None };
    if rows < LEAST || columns < LEAST {
        return None;
    }
    Some(Panel::Map {
        label: label.into(),
        unit: unit.into(),
        x: along("entry", "", 0.0, columns as f64, false),
        y: match times {
            [first, .., last] if times.len() == rows => along("t", "", *first, *last, false),
            _ => along("index", "", 0.0, rows as f64, false),
        },
        columns,
        rows,
        values: t.to_f64(),
    })
}
