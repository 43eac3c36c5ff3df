//! Curves, points, parity plots and bars.

use super::axes::{Frame, SMALL, Scale, TEXT};
use super::canvas::{Align, Canvas, Paint};
use super::figure::{BarChart, Curve, LinePlot, Stroke};
use super::stroke::{self, short};
use super::ticks;

const WIDTH: f32 = 640.0;
const HEIGHT: f32 = 400.0;
/// Width of a curve.
const PEN: f32 = 1.6;

/// Draws the plot; `id` makes names inside the picture unique on a page.
pub fn lines(plot: &LinePlot, title: &str, id: &str, theme: super::canvas::Theme) -> String {
    let xs = || plot.curves.iter().flat_map(|c| c.x.iter().copied());
    let ys = || {
        plot.curves
            .iter()
            .flat_map(|c| {
                let band = c.band.iter().flat_map(|(a, b)| a.iter().chain(b));
                c.y.iter().chain(band).copied()
            })
            .chain(plot.levels.iter().map(|l| l.0))
    };
    // Marks at the very end of an axis need room around them.
    let marks = plot.curves.iter().any(|c| matches!(c.style, Stroke::Points | Stroke::Marked));
    let (x, y) = if plot.parity {
        let both = || xs().chain(ys());
        (Scale::new(&plot.x, both(), false, 5), Scale::new(&plot.y, both(), false, 5))
    } else {
        (Scale::new(&plot.x, xs(), !marks, 6), Scale::new(&plot.y, ys(), false, 5))
    };
    let width = if plot.parity { 460.0 } else { WIDTH };
    let height = if plot.parity { 470.0 } else { HEIGHT };
    let mut c = Canvas::new(width, height, theme);
    c.bold(title, 14.0, 24.0, TEXT + 1.0, Align::Left, Paint::Ink);
    let left = Frame::left_room(&y) + 8.0;
    let below = legend(&mut c, &plot.curves, left, 46.0, width - 20.0);
    let top = below + 6.0;
    let bottom = height - Frame::bottom_room(&x) - 4.0;
    // The last tick's text may stand out at the right end.
    let right = width - 12.0 - 0.5 * x.ticks.last().map_or(0.0, |t| stroke::width(&t.1, SMALL));
    let mut f = Frame { left, top, width: right - left, height: bottom - top, x, y };
    if plot.parity {
        let side = f.width.min(f.height);
        (f.width, f.height) = (side, side);
    }
    f.grid(&mut c);
    let clip = format!("{id}-clip");
    c.clip(&clip, f.left - 1.0, f.top - 1.0, f.width + 2.0, f.height + 2.0);
    if plot.parity {
        let (a, b) = (f.x.low.max(f.y.low), f.x.high.min(f.y.high));
        c.line((f.px(a), f.py(a)), (f.px(b), f.py(b)), Paint::Muted, 0.9);
    }
    for (i, curve) in plot.curves.iter().enumerate() {
        band(&mut c, &f, curve, Paint::Series(i));
    }
    for (v, _) in plot.levels.iter().filter(|l| f.y.shows(l.0)) {
        let d = format!("M{} {}H{}", short(f.left), short(f.py(*v)), short(f.left + f.width));
        c.dashed(&d, Paint::Muted, 1.0, "2 3");
    }
    for (i, curve) in plot.curves.iter().enumerate() {
        draw(&mut c, &f, curve, Paint::Series(i));
    }
    c.end_clip();
    for (v, word) in plot.levels.iter().filter(|l| f.y.shows(l.0)) {
        c.text(word, f.left + f.width - 4.0, f.py(*v) - 5.0, SMALL, Align::Right, Paint::Muted);
    }
    f.axes(&mut c, false);
    c.finish(title)
}

/// One row, or more where one is too short; gives the lower edge. A single curve that bears the name of its axis needs none.
fn legend(c: &mut Canvas, curves: &[Curve], left: f32, top: f32, right: f32) -> f32 {
    let named: Vec<(usize, &Curve)> = curves.iter().enumerate().filter(|(_, c)| !c.label.is_empty()).collect();
    if named.is_empty() {
        return top - 14.0;
    }
    let (mut x, mut y) = (left, top);
    for (i, curve) in named {
        let mark = if curve.style == Stroke::Points { 12.0 } else { 26.0 };
        let w = mark + stroke::width(&curve.label, SMALL + 0.5) + 18.0;
        if x > left && x + w > right {
            (x, y) = (left, y + 17.0);
        }
        let (paint, mid) = (Paint::Series(i), y - 0.34 * SMALL);
        let d = format!("M{} {}h20", short(x), short(mid));
        match curve.style {
            Stroke::Solid => c.path(&d, paint, PEN + 0.4),
            Stroke::Dashed => c.dashed(&d, paint, PEN + 0.4, "5 3"),
            Stroke::Points => c.dot(x + 4.0, mid, 3.4, paint, 0.9),
            Stroke::Marked => {
                c.path(&d, paint, PEN);
                c.dot(x + 10.0, mid, 3.0, paint, 1.0);
            }
        }
        c.text(&curve.label, x + mark, y, SMALL + 0.5, Align::Left, Paint::Ink);
        x += w;
    }
    y + 10.0
}

fn band(c: &mut Canvas, f: &Frame, curve: &Curve, paint: Paint) {
    let Some((low, high)) = &curve.band else { return };
    let at = |ys: &[f64]| -> Vec<(f32, f32)> {
        let floor = if f.y.log { f.y.low } else { f64::NEG_INFINITY };
        curve
            .x
            .iter()
            .zip(ys)
            .filter(|(x, y)| f.x.shows(**x) && !y.is_nan())
            .map(|(x, y)| (f.px(*x), f.py(y.max(floor))))
            .collect()
    };
    let mut edge = at(high);
    edge.extend(at(low).into_iter().rev());
    let words: Vec<String> = edge.iter().map(|(x, y)| format!("{} {}", short(*x), short(*y))).collect();
    if words.len() > 2 {
        c.fill(&format!("M{}Z", words.join("L")), paint, 0.16);
    }
}

fn draw(c: &mut Canvas, f: &Frame, curve: &Curve, paint: Paint) {
    let shown = |i: usize| f.x.shows(curve.x[i]) && f.y.shows(curve.y[i]);
    let n = curve.x.len().min(curve.y.len());
    if curve.style != Stroke::Points {
        let mut d = String::new();
        let mut pen_down = false;
        for i in thinned(curve, n, f) {
            if shown(i) {
                let letter = if pen_down { 'L' } else { 'M' };
                d += &format!("{letter}{} {}", short(f.px(curve.x[i])), short(f.py(curve.y[i])));
            }
            pen_down = shown(i);
        }
        match (d.is_empty(), curve.style) {
            (true, _) => {}
            (_, Stroke::Dashed) => c.dashed(&d, paint, PEN, "5 3.5"),
            _ => c.path(&d, paint, PEN),
        }
    }
    if matches!(curve.style, Stroke::Points | Stroke::Marked) {
        let (r, opacity) = match (curve.style, n) {
            (Stroke::Marked, _) => (2.8, 1.0),
            (_, 0..=60) => (3.2, 0.9),
            (_, 61..=400) => (2.4, 0.7),
            _ => (1.7, 0.5),
        };
        for i in (0..n).filter(|i| shown(*i)) {
            c.dot(f.px(curve.x[i]), f.py(curve.y[i]), r, paint, opacity);
        }
    }
}

/// The points that a line needs at this size: of a long curve with rising x, the extremes of each half pixel.
fn thinned(curve: &Curve, n: usize, f: &Frame) -> Vec<usize> {
    let columns = (2.0 * f.width) as usize;
    if n <= 4 * columns || !curve.x[..n].windows(2).all(|w| w[0] <= w[1]) {
        return (0..n).collect();
    }
    let mut out = vec![0];
    let mut start = 0;
    while start < n {
        let column = |i: usize| (f.px(curve.x[i]) * 2.0) as i64;
        let end = (start..n).find(|&i| column(i) != column(start)).unwrap_or(n);
        let y = |i: &usize| curve.y[*i];
        let low = (start..end).min_by(|a, b| y(a).total_cmp(&y(b))).unwrap_or(start);
        let high = (start..end).max_by(|a, b| y(a).total_cmp(&y(b))).unwrap_or(start);
        out.extend([low.min(high), low.max(high)]);
        start = end;
    }
    out.push(n - 1);
    out.dedup();
    out
}

/// Grouped bars with their values written on top.
pub fn bars(chart: &BarChart, title: &str, theme: super::canvas::Theme) -> String {
    let values = || chart.series.iter().flat_map(|s| s.1.iter().copied());
    let mut axis = chart.y.clone();
    if axis.range.is_none() {
        let shown = || values().filter(|v| v.is_finite() && (!axis.log || *v > 0.0));
        let (low, high) = (shown().fold(f64::INFINITY, f64::min), shown().fold(f64::NEG_INFINITY, f64::max));
        axis.range = Some(if low > high {
            (0.1, 10.0)
        } else if axis.log {
            (10f64.powf((low.log10() - 0.3).floor()), high * (high / low).powf(0.1).max(1.5))
        } else {
            (low.min(0.0), (high + 0.08 * (high - low.min(0.0))).max(low + 1e-300))
        });
    }
    let y = Scale::new(&axis, values(), true, 5);
    let mut c = Canvas::new(WIDTH, 340.0, theme);
    c.bold(title, 14.0, 24.0, TEXT + 1.0, Align::Left, Paint::Ink);
    let left = Frame::left_room(&y) + 8.0;
    let keys: Vec<Curve> =
        chart.series.iter().map(|s| Curve::new(&s.0, vec![], vec![]).style(Stroke::Points)).collect();
    let top = if chart.series.len() > 1 { legend(&mut c, &keys, left, 46.0, WIDTH - 20.0) + 8.0 } else { 44.0 };
    let none = Scale { low: 0.0, high: 1.0, log: false, ticks: vec![], title: String::new() };
    let f = Frame { left, top, width: WIDTH - 16.0 - left, height: 340.0 - 34.0 - top, x: none, y };
    f.grid(&mut c);
    let base = f.py(if f.y.log { f.y.low } else { 0.0 });
    let slot = f.width / chart.groups.len().max(1) as f32;
    let bar = (0.72 * slot / chart.series.len().max(1) as f32).min(46.0);
    for (g, group) in chart.groups.iter().enumerate() {
        let middle = f.left + (g as f32 + 0.5) * slot;
        for (s, (_, values)) in chart.series.iter().enumerate() {
            let Some(&v) = values.get(g) else { continue };
            let x = middle + (s as f32 - 0.5 * chart.series.len() as f32) * bar;
            if f.y.shows(v) {
                let y = f.py(v);
                c.rect(x + 1.5, y.min(base), bar - 3.0, (base - y).abs(), 1.5, Paint::Series(s), Paint::None, 0.88);
                c.text(&ticks::number(v), x + 0.5 * bar, y.min(base) - 5.0, SMALL - 1.0, Align::Middle, Paint::Muted);
            } else {
                c.text("–", x + 0.5 * bar, base - 5.0, SMALL, Align::Middle, Paint::Muted);
            }
        }
        c.text(group, middle, f.top + f.height + 19.0, SMALL + 0.5, Align::Middle, Paint::Ink);
    }
    f.axes(&mut c, false);
    c.finish(title)
}
