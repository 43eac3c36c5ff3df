//! The scale-separation map: which lengths (and times) each scale resolves, and which closures lead from one to another.

use super::axes::{SMALL, TEXT};
use super::canvas::{Align, Canvas, Paint, Theme};
use super::figure::{ScaleArrow, ScaleBox, ScaleMap};
use super::stroke::{self, short};
use super::ticks::si;

const WIDTH: f32 = 700.0;
const LANE: f32 = 84.0;

/// A box on the sheet.
#[derive(Clone, Copy)]
struct Place {
    x: f32,
    y: f32,
    w: f32,
    h: f32,
}

/// Over length and time where a scale has times; else one lane for each scale, the finest below.
pub fn draw(map: &ScaleMap, title: &str, theme: Theme) -> String {
    let timed = map.scales.iter().any(|s| s.time.is_some());
    let height = if timed { 460.0 } else { 76.0 + LANE * map.scales.len().max(1) as f32 + 40.0 };
    let mut c = Canvas::new(WIDTH, height, theme);
    c.bold(title, 14.0, 24.0, TEXT + 1.0, Align::Left, Paint::Ink);
    let (left, right, top, bottom) = (if timed { 74.0 } else { 30.0 }, WIDTH - 30.0, 48.0, height - 46.0);
    let lengths = decades(map.scales.iter().map(|s| s.length));
    let px = |v: f64| left + fraction(v, lengths) * (right - left);
    ticks(
        lengths,
        (right - left) / 52.0,
        |v, text| {
            c.line((px(v), top), (px(v), bottom), Paint::Faint, 0.7);
            c.text(text, px(v), bottom + 17.0, SMALL, Align::Middle, Paint::Muted);
        },
        "m",
    );
    c.line((left, bottom), (right, bottom), Paint::Ink, 0.9);
    c.text("length", 0.5 * (left + right), bottom + 36.0, TEXT, Align::Middle, Paint::Ink);
    let places: Vec<Place> = if timed {
        let times = decades(map.scales.iter().filter_map(|s| s.time));
        let py = |v: f64| bottom - fraction(v, times) * (bottom - top);
        ticks(
            times,
            (bottom - top) / 30.0,
            |v, text| {
                c.line((left, py(v)), (right, py(v)), Paint::Faint, 0.7);
                c.text(text, left - 8.0, py(v) + 4.0, SMALL, Align::Right, Paint::Muted);
            },
            "s",
        );
        c.line((left, top), (left, bottom), Paint::Ink, 0.9);
        c.upright("time", 20.0, 0.5 * (top + bottom), TEXT, Paint::Ink);
        let place = |s: &ScaleBox| {
            let (low, high) = s.time.unwrap_or((10f64.powi(times.0), 10f64.powi(times.1)));
            let (x, y) = (px(s.length.0), py(high));
            Place { x, y, w: (px(s.length.1) - x).max(8.0), h: (py(low) - y).max(8.0) }
        };
        map.scales.iter().map(place).collect()
    } else {
        let mut order: Vec<usize> = (0..map.scales.len()).collect();
        order.sort_by(|&a, &b| map.scales[a].length.0.total_cmp(&map.scales[b].length.0));
        let lane = |i: usize| order.iter().position(|&o| o == i).unwrap_or(0);
        let place = |(i, s): (usize, &ScaleBox)| {
            let x = px(s.length.0);
            let y = bottom - LANE * (lane(i) as f32 + 0.5) - 13.0;
            Place { x, y, w: (px(s.length.1) - x).max(8.0), h: 26.0 }
        };
        map.scales.iter().enumerate().map(place).collect()
    };
    for (i, (s, p)) in map.scales.iter().zip(&places).enumerate() {
        c.rect(p.x, p.y, p.w, p.h, 4.0, Paint::Paper, Paint::None, 1.0);
        c.rect(p.x, p.y, p.w, p.h, 4.0, Paint::Series(i), Paint::Series(i), 0.16);
        let size = TEXT;
        let inside = stroke::width(&s.name, size) + 16.0 < p.w;
        let (x, align) = if inside { (p.x + 0.5 * p.w, Align::Middle) } else { (p.x + p.w + 6.0, Align::Left) };
        c.bold(&s.name, x, p.y + 0.5 * p.h + 4.2, size, align, Paint::Ink);
        let words = format!("{} – {}", si(s.length.0, "m"), si(s.length.1, "m"));
        let words = if s.note.is_empty() { words } else { format!("{words} · {}", s.note) };
        let half = 0.5 * stroke::width(&words, SMALL);
        let x = (p.x + 0.5 * p.w).clamp(left + half, (right - half).max(left + half));
        let below = if timed && p.h > 50.0 && 2.0 * half < p.w {
            p.y + 0.5 * p.h + 21.0
        } else {
            c.rect(x - half - 3.0, p.y + p.h + 3.0, 2.0 * half + 6.0, 15.0, 0.0, Paint::Paper, Paint::None, 1.0);
            p.y + p.h + 15.0
        };
        c.text(&words, x, below, SMALL, Align::Middle, Paint::Muted);
    }
    for a in &map.closures {
        if let (Some(from), Some(to)) = (places.get(a.from), places.get(a.to)) {
            let paint = if a.warn { Paint::Bad } else { Paint::Ink };
            let (mx, my) = arrow(&mut c, *from, *to, paint);
            let w = stroke::width(&a.closure, SMALL + 0.5).max(stroke::width(&a.note, SMALL)) + 12.0;
            let mx = mx.clamp(left + 0.5 * w, right - 0.5 * w);
            c.rect(mx - 0.5 * w, my - 17.0, w, 34.0, 3.0, Paint::Paper, Paint::None, 0.92);
            c.bold(&a.closure, mx, my - 3.0, SMALL + 0.5, Align::Middle, paint);
            c.text(&a.note, mx, my + 11.0, SMALL, Align::Middle, if a.warn { Paint::Bad } else { Paint::Muted });
        }
    }
    let name = |i: usize| map.scales.get(i).map_or("", |s| s.name.as_str());
    let arrow = |a: &ScaleArrow| format!(". {}: {} to {}, {}", a.closure, name(a.from), name(a.to), a.note);
    c.finish(&(title.to_string() + &map.closures.iter().map(arrow).collect::<String>()))
}

/// From the upper right corner of one box towards the next; gives the middle of the way.
fn arrow(c: &mut Canvas, from: Place, to: Place, paint: Paint) -> (f32, f32) {
    let start = (from.x + from.w, from.y + 0.5 * from.h);
    let end = (to.x, to.y + 0.5 * to.h);
    let (start, end) = if start.0 < end.0 {
        (start, end)
    } else {
        // Boxes that overlap in length: from the top of one to the bottom of the other.
        let down = from.y > to.y;
        (
            (from.x + 0.5 * from.w, if down { from.y } else { from.y + from.h }),
            (to.x + 0.5 * to.w, if down { to.y + to.h } else { to.y }),
        )
    };
    let flat = (start.1 - from.y - 0.5 * from.h).abs() < 0.1;
    let (a, b) = if flat {
        let k = 0.5 * (end.0 - start.0);
        ((start.0 + k, start.1), (end.0 - k, end.1))
    } else {
        let k = 0.5 * (end.1 - start.1);
        ((start.0, start.1 + k), (end.0, end.1 - k))
    };
    let s = |v: f32| short(v);
    c.path(
        &format!(
            "M{} {}C{} {} {} {} {} {}",
            s(start.0),
            s(start.1),
            s(a.0),
            s(a.1),
            s(b.0),
            s(b.1),
            s(end.0),
            s(end.1)
        ),
        paint,
        1.2,
    );
    let (dx, dy) = if flat { (1.0, 0.0) } else { (0.0, (end.1 - start.1).signum()) };
    let head = [(-7.0, 3.6), (-7.0, -3.6)].map(|(l, w): (f32, f32)| (end.0 + l * dx + w * dy, end.1 + l * dy + w * dx));
    c.path(
        &format!("M{} {}L{} {}L{} {}", s(head[0].0), s(head[0].1), s(end.0), s(end.1), s(head[1].0), s(head[1].1)),
        paint,
        1.2,
    );
    (0.5 * (start.0 + end.0), 0.5 * (start.1 + end.1))
}

/// Whole decades around positive ranges.
fn decades(ranges: impl Iterator<Item = (f64, f64)>) -> (i32, i32) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for (a, b) in ranges.filter(|(a, b)| *a > 0.0 && *a <= *b && b.is_finite()) {
        low = low.min(a);
        high = high.max(b);
    }
    if low > high {
        return (-3, 0);
    }
    let (a, b) = ((low.log10() + 1e-9).floor() as i32, (high.log10() - 1e-9).ceil() as i32);
    (a, b.max(a + 1))
}

fn fraction(v: f64, (low, high): (i32, i32)) -> f32 {
    ((v.log10() - low as f64) / (high - low) as f64).clamp(0.0, 1.0) as f32
}

/// Calls for a decade each, or for every n-th where there is room for fewer.
fn ticks((low, high): (i32, i32), room: f32, mut at: impl FnMut(f64, &str), unit: &str) {
    let every = ((high - low) as f32 / room.max(1.0)).ceil().max(1.0) as i32;
    for e in (low..=high).filter(|e| (e - low) % every == 0) {
        let v = 10f64.powi(e);
        at(v, &si(v, unit));
    }
}
