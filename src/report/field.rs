//! Scalar fields in the plane: one panel each, with its colour bar. The field itself is an indexed PNG inside the SVG, so that a
//! million cells make no larger file than a thousand.

use super::axes::{Frame, SMALL, Scale, TEXT, title};
use super::canvas::{Align, Canvas, Paint, Theme};
use super::color;
use super::figure::{ColorMap, FieldData, FieldMap, FieldRow, Film};
use super::stroke::{self, short};
use super::{png, ticks};

/// Colours of a map in an image.
const LEVELS: usize = 255;
/// Image pixels for a unit of the sheet.
const DENSITY: f32 = 2.5;
const GAP: f32 = 26.0;
const BAR: f32 = 10.0;
/// The colour bar of a slender field is longer than the field is high, so that it can be read.
const SHORTEST_BAR: f32 = 84.0;

/// Draws the panels in a row, or in several rows where there are more than three.
pub fn draw(row: &FieldRow, heading: &str, theme: Theme) -> String {
    let columns = match row.panels.len() {
        0 | 1 => 1,
        4 => 2,
        n => n.min(3),
    };
    let panels: Vec<Panel> = row.panels.iter().map(|p| Panel::new(p, columns)).collect();
    let rows: Vec<&[Panel]> = panels.chunks(columns).collect();
    let width =
        rows.iter().map(|r| r.iter().map(|p| p.width).sum::<f32>() + GAP * (r.len() - 1) as f32).fold(240.0, f32::max);
    let height = rows.iter().map(|r| r.iter().map(|p| p.height).fold(0.0, f32::max)).sum::<f32>() + 36.0;
    let mut c = Canvas::new(width + 28.0, height + 10.0, theme);
    c.bold(heading, 14.0, 24.0, TEXT + 1.0, Align::Left, Paint::Ink);
    let mut y = 36.0;
    for r in rows {
        let mut x = 14.0;
        for p in r {
            p.draw(&mut c, x, y);
            x += p.width + GAP;
        }
        y += r.iter().map(|p| p.height).fold(0.0, f32::max);
    }
    c.finish(heading)
}

/// Draws the frames over each other, each visible in its turn, over and over; where nothing moves, the first is seen.
pub fn film(film: &Film, heading: &str, theme: Theme) -> String {
    let n = film.frames.len();
    let drawn = film.frames.iter().map(|f| draw(&FieldRow { panels: vec![f.clone()] }, heading, theme));
    let (mut out, mut end) = (String::new(), "");
    for (k, picture) in drawn.enumerate() {
        let Some((head, body)) = picture.split_once("</title>\n") else { return picture };
        if k == 0 {
            out = format!("{head}</title>\n");
            end = "</svg>\n";
        }
        // Discrete steps: not seen, seen from k/n, not seen from (k + 1)/n.
        let (mut values, mut times) = (vec![], vec![]);
        for (at, value) in [(0, usize::from(k == 0)), (k, 1), (k + 1, 0)] {
            if (at > 0 || values.is_empty()) && at < n {
                values.push(value.to_string());
                times.push(format!("{:.5}", at as f64 / n as f64));
            }
        }
        let (opacity, length) = (usize::from(k == 0), film.seconds * n as f64);
        out += &format!(
            "<g opacity=\"{opacity}\"><animate attributeName=\"opacity\" calcMode=\"discrete\" values=\"{}\" keyTimes=\"{}\" \
             dur=\"{length:.2}s\" repeatCount=\"indefinite\"/>\n{}</g>\n",
            values.join(";"),
            times.join(";"),
            body.trim_end().trim_end_matches("</svg>"),
        );
    }
    out + end
}

/// A panel with its size settled.
struct Panel<'a> {
    map: &'a FieldMap,
    x: Scale,
    y: Scale,
    /// Of the values.
    v: Scale,
    /// The field's rectangle.
    w: f32,
    h: f32,
    left: f32,
    width: f32,
    height: f32,
}

impl<'a> Panel<'a> {
    fn new(map: &'a FieldMap, columns: usize) -> Panel<'a> {
        let (bx, by) = bounds(&map.data);
        let (dx, dy) = ((bx.1 - bx.0).abs().max(1e-300), (by.1 - by.0).abs().max(1e-300));
        // Equal aspect, within a box; a very slender field is stretched so that it can be seen.
        let (max_w, max_h) = [(440.0, 360.0), (300.0, 280.0), (232.0, 240.0)][columns - 1];
        let s = (max_w / dx as f32).min(max_h / dy as f32);
        let (w, h) = match map.stretched {
            true => (max_w, 0.7 * max_h),
            false => ((dx as f32 * s).max(70.0), (dy as f32 * s).max(46.0)),
        };
        let x = Scale::new(&map.x.clone().range(bx.0, bx.1), std::iter::empty(), true, (w / 55.0).max(2.0) as usize);
        let y = Scale::new(&map.y.clone().range(by.0, by.1), std::iter::empty(), true, (h / 27.0).max(2.0) as usize);
        let (low, high) = map.range.unwrap_or_else(|| value_range(&map.data, map.colors));
        let axis = super::figure::Axis::default().range(low, high);
        let v = Scale::new(&axis, std::iter::empty(), true, (h.max(SHORTEST_BAR) / 24.0).clamp(3.0, 8.0) as usize);
        let left = Frame::left_room(&y);
        let numbers = v.ticks.iter().map(|t| stroke::width(&t.1, SMALL)).fold(0.0, f32::max);
        let right = 12.0 + BAR + 8.0 + numbers;
        let heading = stroke::width(&title(&map.title, &map.unit), TEXT);
        let width = (left + w + right).max(left + heading + 4.0);
        let height = 26.0 + (h + Frame::bottom_room(&x)).max(h.max(SHORTEST_BAR) + 8.0) + 10.0;
        Panel { map, x, y, v, w, h, left, width, height }
    }

    fn draw(&self, c: &mut Canvas, x0: f32, y0: f32) {
        let (left, top) = (x0 + self.left, y0 + 26.0);
        c.text(&title(&self.map.title, &self.map.unit), left, y0 + 16.0, TEXT, Align::Left, Paint::Ink);
        let palette: Vec<color::Rgb> =
            (0..LEVELS).map(|i| color::sample(self.map.colors, i as f64 / (LEVELS - 1) as f64)).collect();
        let (nx, ny) = ((self.w * DENSITY) as usize, (self.h * DENSITY) as usize);
        let samples = raster(&self.map.data, nx, ny);
        let indices: Vec<u8> = samples
            .iter()
            .map(|&v| {
                let t = self.v.fraction(v).clamp(0.0, 1.0);
                if v.is_nan() { 0 } else { 1 + (t * (LEVELS - 1) as f64).round() as u8 }
            })
            .collect();
        c.image(left, top, self.w, self.h, &png::indexed(nx, &indices, &palette));
        for i in 1..=self.map.isolines {
            let level = self.v.low + (self.v.high - self.v.low) * i as f64 / (self.map.isolines + 1) as f64;
            let d = isoline(&samples, nx, level, left, top, self.w / nx as f32, self.h / ny as f32);
            if !d.is_empty() {
                c.path(&d, Paint::Exact([255, 255, 255]), 0.7);
            }
        }
        let frame = Frame { left, top, width: self.w, height: self.h, x: self.x.clone(), y: self.y.clone() };
        frame.axes(c, true);
        self.bar(c, left + self.w + 12.0, top, &palette);
    }

    fn bar(&self, c: &mut Canvas, x: f32, top: f32, palette: &[color::Rgb]) {
        let h = self.h.max(SHORTEST_BAR);
        let indices: Vec<u8> = (0..LEVELS).rev().map(|i| i as u8 + 1).collect();
        c.image(x, top, BAR, h, &png::indexed(1, &indices, palette));
        c.rect(x, top, BAR, h, 0.0, Paint::None, Paint::Ink, 1.0);
        for (v, text) in &self.v.ticks {
            let y = top + (1.0 - self.v.fraction(*v) as f32) * h;
            c.line((x + BAR, y), (x + BAR + 4.0, y), Paint::Ink, 0.8);
            c.text(text, x + BAR + 7.0, y + 0.34 * SMALL, SMALL, Align::Left, Paint::Muted);
        }
    }
}

type Range = (f64, f64);

fn bounds(data: &FieldData) -> (Range, Range) {
    match data {
        FieldData::Grid { x, y, .. } => (*x, *y),
        FieldData::Mesh { points, .. } => {
            let along = |k: usize| {
                let low = points.iter().map(|p| p[k]).fold(f64::INFINITY, f64::min);
                let high = points.iter().map(|p| p[k]).fold(f64::NEG_INFINITY, f64::max);
                if low <= high { (low, high) } else { (0.0, 1.0) }
            };
            (along(0), along(1))
        }
    }
}

fn value_range(data: &FieldData, map: ColorMap) -> Range {
    let (FieldData::Grid { values, .. } | FieldData::Mesh { values, .. }) = data;
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return (0.0, 1.0);
    }
    if map == ColorMap::Diverging {
        let most = low.abs().max(high.abs());
        return (-most, most);
    }
    (low, high)
}

/// Values at the centres of `nx` by `ny` pixels, the first row on top; NaN where the field is not.
fn raster(data: &FieldData, nx: usize, ny: usize) -> Vec<f64> {
    match data {
        FieldData::Grid { nx: gx, ny: gy, values, nodal, .. } => {
            if *gx == 0 || *gy == 0 || values.len() < gx * gy {
                return vec![f64::NAN; nx * ny];
            }
            let at = |i: usize, j: usize| values[j.min(gy - 1) * gx + i.min(gx - 1)];
            let mut out = Vec::with_capacity(nx * ny);
            for row in 0..ny {
                let v = 1.0 - (row as f64 + 0.5) / ny as f64;
                for column in 0..nx {
                    let u = (column as f64 + 0.5) / nx as f64;
                    out.push(if *nodal {
                        let (a, b) = (u * (gx - 1) as f64, v * (gy - 1) as f64);
                        let (i, j) = (a as usize, b as usize);
                        let (s, t) = (a - i as f64, b - j as f64);
                        let low = at(i, j) * (1.0 - s) + at(i + 1, j) * s;
                        low * (1.0 - t) + t * (at(i, j + 1) * (1.0 - s) + at(i + 1, j + 1) * s)
                    } else {
                        at((u * *gx as f64) as usize, (v * *gy as f64) as usize)
                    });
                }
            }
            out
        }
        FieldData::Mesh { points, cells, values, nodal } => {
            let (bx, by) = bounds(data);
            let mut out = vec![f64::NAN; nx * ny];
            let pixel = |p: [f64; 2]| {
                [
                    (p[0] - bx.0) / (bx.1 - bx.0) * nx as f64 - 0.5,
                    (1.0 - (p[1] - by.0) / (by.1 - by.0)) * ny as f64 - 0.5,
                ]
            };
            for (k, cell) in cells.iter().enumerate() {
                let corners: Option<Vec<[f64; 2]>> =
                    cell.iter().map(|&i| points.get(i as usize).map(|p| pixel(*p))).collect();
                let Some(corners) = corners.filter(|c| c.len() >= 3) else { continue };
                let value = |i: usize| {
                    let at = if *nodal { cell[i] as usize } else { k };
                    values.get(at).copied().unwrap_or(f64::NAN)
                };
                for i in 1..corners.len() - 1 {
                    let t = [corners[0], corners[i], corners[i + 1]];
                    triangle(t, [value(0), value(i), value(i + 1)], nx, ny, &mut out);
                }
            }
            out
        }
    }
}

/// Fills the pixels whose centres lie in a triangle, values by barycentric weights.
fn triangle(p: [[f64; 2]; 3], v: [f64; 3], nx: usize, ny: usize, out: &mut [f64]) {
    let cross = |a: [f64; 2], b: [f64; 2], c: [f64; 2]| (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
    let area = cross(p[0], p[1], p[2]);
    if !area.is_normal() {
        return;
    }
    let range = |k: usize, n: usize| {
        let low = p.iter().map(|q| q[k]).fold(f64::INFINITY, f64::min);
        let high = p.iter().map(|q| q[k]).fold(f64::NEG_INFINITY, f64::max);
        (low.ceil().max(0.0) as usize)..((high.floor() + 1.0).clamp(0.0, n as f64) as usize)
    };
    for row in range(1, ny) {
        for column in range(0, nx) {
            let q = [column as f64, row as f64];
            let w = [cross(q, p[1], p[2]) / area, cross(p[0], q, p[2]) / area, cross(p[0], p[1], q) / area];
            if w.iter().all(|w| *w >= -1e-9) {
                out[row * nx + column] = w[0] * v[0] + w[1] * v[1] + w[2] * v[2];
            }
        }
    }
}

/// The line where the samples take a value, by marching squares on every third pixel. [Lorensen & Cline 1987, in the plane]
fn isoline(samples: &[f64], nx: usize, level: f64, left: f32, top: f32, dx: f32, dy: f32) -> String {
    const STEP: usize = 3;
    let ny = samples.len() / nx.max(1);
    let mut d = String::new();
    let at = |i: usize, j: usize| samples[j * nx + i] - level;
    for j in (0..ny.saturating_sub(STEP)).step_by(STEP) {
        for i in (0..nx.saturating_sub(STEP)).step_by(STEP) {
            let corners = [(i, j), (i + STEP, j), (i + STEP, j + STEP), (i, j + STEP)];
            let v = corners.map(|(i, j)| at(i, j));
            if v.iter().any(|v| v.is_nan()) {
                continue;
            }
            let mut cuts = vec![];
            for k in 0..4 {
                let l = (k + 1) % 4;
                if (v[k] < 0.0) != (v[l] < 0.0) {
                    let t = (v[k] / (v[k] - v[l])) as f32;
                    let (a, b) = (corners[k], corners[l]);
                    let x = a.0 as f32 + t * (b.0 as f32 - a.0 as f32) + 0.5;
                    let y = a.1 as f32 + t * (b.1 as f32 - a.1 as f32) + 0.5;
                    cuts.push((left + x * dx, top + y * dy));
                }
            }
            for pair in cuts.chunks_exact(2) {
                d += &format!("M{} {}L{} {}", short(pair[0].0), short(pair[0].1), short(pair[1].0), short(pair[1].1));
            }
        }
    }
    d
}

/// The range of a field in words: `from 293.1 to 390`.
pub fn range_in_words(map: &FieldMap) -> String {
    let (low, high) = value_range(&map.data, ColorMap::Viridis);
    format!("from {} to {}", ticks::number(low), ticks::number(high))
}
