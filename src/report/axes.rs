//! A pair of axes: frame, grid, ticks, labels, and the map from values to the sheet.

use super::canvas::{Align, Canvas, Paint};
use super::figure::Axis;
use super::stroke;
use super::ticks::{self, Ticks};

pub const TEXT: f32 = 12.0;
pub const SMALL: f32 = 10.5;

/// One axis with a range and ticks.
#[derive(Clone, Debug)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub log: bool,
    pub ticks: Ticks,
    pub title: String,
}

impl Scale {
    /// From the axis and the data on it; `tight` leaves no room at the ends.
    pub fn new(axis: &Axis, values: impl Iterator<Item = f64>, tight: bool, n: usize) -> Scale {
        let (low, high) = axis.range.unwrap_or_else(|| extent(values, axis.log, tight));
        let (low, high) = sound(low, high, axis.log);
        let ticks = if axis.log { ticks::log(low, high, n) } else { ticks::linear(low, high, n) };
        Scale { low, high, log: axis.log, ticks, title: title(&axis.label, &axis.unit) }
    }

    /// 0 at the low end, 1 at the high one.
    pub fn fraction(&self, v: f64) -> f64 {
        if self.log {
            (v.log10() - self.low.log10()) / (self.high.log10() - self.low.log10())
        } else {
            (v - self.low) / (self.high - self.low)
        }
    }

    pub fn shows(&self, v: f64) -> bool {
        v.is_finite() && (!self.log || v > 0.0)
    }
}

/// `label [unit]`
pub fn title(label: &str, unit: &str) -> String {
    if unit.is_empty() || unit == "1" { label.into() } else { format!("{label} [{unit}]").trim_start().into() }
}

/// The range of finite values, with 4 % of room at each end.
fn extent(values: impl Iterator<Item = f64>, log: bool, tight: bool) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for v in values.filter(|v| v.is_finite() && (!log || *v > 0.0)) {
        low = low.min(v);
        high = high.max(v);
    }
    if low > high {
        return if log { (0.1, 10.0) } else { (0.0, 1.0) };
    }
    if tight {
        return (low, high);
    }
    if log {
        let room = (high / low).powf(0.04).max(1.02);
        return (low / room, high * room);
    }
    let room = 0.04 * (high - low);
    // A quantity that starts at zero is shown from zero.
    let low_room = if low >= 0.0 && low - room < 0.0 { low } else { room };
    (low - low_room, high + room)
}

/// A range with an inside, whatever was given.
fn sound(low: f64, high: f64, log: bool) -> (f64, f64) {
    let (low, high) = if low <= high { (low, high) } else { (high, low) };
    if !low.is_finite() || !high.is_finite() || (log && low <= 0.0) {
        return if log { (0.1, 10.0) } else { (0.0, 1.0) };
    }
    // Values that differ by rounding only are one value.
    if high - low > 1e-12 * low.abs().max(high.abs()) {
        (low, high)
    } else if log {
        (low / 2.0, high * 2.0)
    } else {
        let half = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
        (low - half, high + half)
    }
}

/// Two scales on a rectangle of the sheet.
#[derive(Clone, Debug)]
pub struct Frame {
    pub left: f32,
    pub top: f32,
    pub width: f32,
    pub height: f32,
    pub x: Scale,
    pub y: Scale,
}

impl Frame {
    pub fn px(&self, v: f64) -> f32 {
        self.left + self.x.fraction(v) as f32 * self.width
    }

    pub fn py(&self, v: f64) -> f32 {
        self.top + (1.0 - self.y.fraction(v) as f32) * self.height
    }

    /// Room that ticks and label of the y axis need to the left of the frame.
    pub fn left_room(y: &Scale) -> f32 {
        let widest = y.ticks.iter().map(|t| stroke::width(&t.1, SMALL)).fold(0.0, f32::max);
        widest + 10.0 + if y.title.is_empty() { 4.0 } else { TEXT + 12.0 }
    }

    /// Room below the frame.
    pub fn bottom_room(x: &Scale) -> f32 {
        if x.title.is_empty() { 24.0 } else { 24.0 + TEXT + 10.0 }
    }

    pub fn grid(&self, c: &mut Canvas) {
        for (v, text) in &self.x.ticks {
            if !text.is_empty() {
                c.line((self.px(*v), self.top), (self.px(*v), self.top + self.height), Paint::Faint, 0.7);
            }
        }
        for (v, text) in &self.y.ticks {
            if !text.is_empty() {
                c.line((self.left, self.py(*v)), (self.left + self.width, self.py(*v)), Paint::Faint, 0.7);
            }
        }
    }

    /// Axis lines, ticks and words; `boxed` closes the frame.
    pub fn axes(&self, c: &mut Canvas, boxed: bool) {
        let (right, bottom) = (self.left + self.width, self.top + self.height);
        if boxed {
            c.rect(self.left, self.top, self.width, self.height, 0.0, Paint::None, Paint::Ink, 1.0);
        } else {
            c.line((self.left, self.top), (self.left, bottom), Paint::Ink, 0.9);
            c.line((self.left, bottom), (right, bottom), Paint::Ink, 0.9);
        }
        let mut taken = f32::NEG_INFINITY;
        for (v, text) in &self.x.ticks {
            let x = self.px(*v);
            let long = if text.is_empty() { 2.5 } else { 4.5 };
            c.line((x, bottom), (x, bottom + long), Paint::Ink, 0.8);
            let half = 0.5 * stroke::width(text, SMALL);
            if !text.is_empty() && x - half > taken {
                c.text(text, x, bottom + 17.0, SMALL, Align::Middle, Paint::Muted);
                taken = x + half + 4.0;
            }
        }
        for (v, text) in &self.y.ticks {
            let y = self.py(*v);
            let long = if text.is_empty() { 2.5 } else { 4.5 };
            c.line((self.left - long, y), (self.left, y), Paint::Ink, 0.8);
            c.text(text, self.left - 8.0, y + 0.34 * SMALL, SMALL, Align::Right, Paint::Muted);
        }
        c.text(&self.x.title, self.left + 0.5 * self.width, bottom + 36.0, TEXT, Align::Middle, Paint::Ink);
        if !self.y.title.is_empty() {
            let x = self.left - Frame::left_room(&self.y) + TEXT;
            c.upright(&self.y.title, x, self.top + 0.5 * self.height, TEXT, Paint::Ink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_data_give_a_range_with_an_inside() {
        let nan = f64::NAN;
        let cases: [&[f64]; 7] =
            [&[], &[nan], &[0.0], &[3.0, 3.0], &[300.0, 300.0 + 1e-11], &[-1.0, f64::INFINITY, 2.0], &[1e-300, 1e300]];
        for values in cases {
            for log in [false, true] {
                let axis = Axis { log, ..Axis::default() };
                let s = Scale::new(&axis, values.iter().copied(), false, 5);
                assert!(s.low < s.high && s.fraction(s.low) == 0.0 && s.fraction(s.high) == 1.0, "{values:?} {s:?}");
                assert!(s.ticks.len() < 5000);
            }
        }
    }
}
