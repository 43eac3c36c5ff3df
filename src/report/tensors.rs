//! Tensors in the plane as polar plots of `n·K·n`: a circle is isotropy, a waist is the direction that conducts least.

use super::axes::{SMALL, TEXT, title as with_unit};
use super::canvas::{Align, Canvas, Paint, Theme};
use super::figure::TensorPlot;
use super::stroke::{self, short};
use super::ticks;
use std::f64::consts::TAU;

const RADIUS: f32 = 150.0;

pub fn draw(plot: &TensorPlot, title: &str, theme: Theme) -> String {
    let legend = plot.tensors.len().min(12) as f32;
    let names = plot.tensors.iter().map(|t| stroke::width(&t.0, SMALL + 0.5)).fold(0.0, f32::max);
    let width = 40.0 + 2.0 * RADIUS + 60.0 + if names > 0.0 { names + 60.0 } else { 0.0 };
    let mut c = Canvas::new(width.max(stroke::width(title, TEXT + 1.0) + 40.0), 2.0 * RADIUS + 104.0, theme);
    c.bold(title, 14.0, 24.0, TEXT + 1.0, Align::Left, Paint::Ink);
    let (cx, cy) = (48.0 + RADIUS, 62.0 + RADIUS);
    let radius = |k: &[[f64; 2]; 2], a: f64| {
        let n = [a.cos(), a.sin()];
        n[0] * (k[0][0] * n[0] + k[0][1] * n[1]) + n[1] * (k[1][0] * n[0] + k[1][1] * n[1])
    };
    let angles: Vec<f64> = (0..=180).map(|i| TAU * i as f64 / 180.0).collect();
    let most = plot
        .tensors
        .iter()
        .flat_map(|t| angles.iter().map(|a| radius(&t.1, *a).abs()))
        .chain(plot.band.iter().flat_map(|b| b.1.iter().copied()))
        .filter(|v| v.is_finite())
        .fold(0.0, f64::max);
    let rings = ticks::linear(0.0, if most > 0.0 { most } else { 1.0 }, 4);
    let step = rings.get(1).map_or(1.0, |t| t.0);
    let end = (most / step).ceil().max(1.0) * step;
    let at = |r: f64, a: f64| {
        let r = (r / end) as f32 * RADIUS;
        (cx + r * a.cos() as f32, cy - r * a.sin() as f32)
    };
    let round = |rs: &mut dyn Iterator<Item = (f64, f64)>| {
        let words: Vec<String> = rs
            .filter(|(r, _)| r.is_finite())
            .map(|(r, a)| at(r, a))
            .map(|(x, y)| format!("{} {}", short(x), short(y)))
            .collect();
        format!("M{}Z", words.join("L"))
    };
    for k in 1..=(end / step).round() as usize {
        c.path(&round(&mut angles.iter().map(|a| (k as f64 * step, *a))), Paint::Faint, 0.8);
    }
    for a in [0.0, 0.25, 0.5, 0.75] {
        c.line((cx, cy), at(end, a * TAU), Paint::Faint, 0.8);
    }
    for k in 1..=(end / step).round() as usize {
        let r = k as f64 * step;
        let (x, y) = at(r, TAU / 8.0);
        let text = ticks::number(r);
        let w = stroke::width(&text, SMALL - 0.5) + 4.0;
        c.rect(x - 0.5 * w, y - 6.0, w, 12.0, 2.0, Paint::Paper, Paint::None, 0.85);
        c.text(&text, x, y + 3.4, SMALL - 0.5, Align::Middle, Paint::Muted);
    }
    if let Some((low, high)) = &plot.band {
        let around = |rs: &[f64]| -> Vec<(f64, f64)> {
            let n = rs.len().max(1) as f64;
            rs.iter().enumerate().map(|(i, r)| (*r, TAU * i as f64 / n)).collect()
        };
        // Outline and hole, filled by the nonzero rule because they run in opposite directions.
        let outer = round(&mut around(high).into_iter());
        let inner = round(&mut around(low).into_iter().rev());
        c.fill(&format!("{outer}{inner}"), Paint::Series(0), 0.16);
    }
    for (i, (_, k)) in plot.tensors.iter().enumerate() {
        c.path(&round(&mut angles.iter().map(|a| (radius(k, *a).abs(), *a))), Paint::Series(i), 1.6);
    }
    let (x, _) = at(end, 0.0);
    c.text("x", x + 8.0, cy + 4.0, TEXT, Align::Left, Paint::Ink);
    let (_, y) = at(end, 0.25 * TAU);
    c.text("y", cx, y - 8.0, TEXT, Align::Middle, Paint::Ink);
    c.text(&with_unit("n·K·n", &plot.unit), cx, cy + RADIUS + 28.0, TEXT, Align::Middle, Paint::Ink);
    let x = cx + RADIUS + 46.0;
    for (i, (name, _)) in plot.tensors.iter().enumerate().take(12) {
        let y = cy + (i as f32 - 0.5 * (legend - 1.0)) * 18.0;
        c.line((x, y - 3.6), (x + 18.0, y - 3.6), Paint::Series(i), 2.0);
        c.text(name, x + 25.0, y, SMALL + 0.5, Align::Left, Paint::Ink);
    }
    c.finish(title)
}
