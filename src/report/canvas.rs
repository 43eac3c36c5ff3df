//! A sheet to draw on, written as SVG. Text is drawn as strokes (see [`super::stroke`]), so that no viewer needs a font.

use super::color::{Rgb, SERIES};
use super::stroke::{self, short};
use std::fmt::Write;

/// What a line or an area means; the theme gives it a colour.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Paint {
    Ink,
    /// Secondary text, ticks.
    Muted,
    /// Grid lines, frames.
    Faint,
    /// A soft area.
    Wash,
    Paper,
    Series(usize),
    Good,
    Bad,
    Exact(Rgb),
    None,
}

/// Where a picture is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Theme {
    /// A file of its own: black on white.
    Paper,
    /// Inside a page that defines `--ink`, `--muted`, … for light and dark.
    Page,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    Left,
    Middle,
    Right,
}

pub struct Canvas {
    pub width: f32,
    pub height: f32,
    theme: Theme,
    body: String,
}

impl Canvas {
    pub fn new(width: f32, height: f32, theme: Theme) -> Canvas {
        Canvas { width, height, theme, body: String::new() }
    }

    /// The whole picture; `title` is for those who cannot see it.
    pub fn finish(self, title: &str) -> String {
        let (w, h) = (short(self.width), short(self.height));
        let ground = match self.theme {
            Theme::Paper => format!("<rect width=\"{w}\" height=\"{h}\" fill=\"#fff\"/>\n"),
            Theme::Page => String::new(),
        };
        let head = match self.theme {
            Theme::Paper => format!(" width=\"{w}\" height=\"{h}\""),
            Theme::Page => format!(" style=\"max-width:{}px\"", short(1.25 * self.width)),
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\"{head} role=\"img\" fill=\"none\" \
             stroke-linecap=\"round\" stroke-linejoin=\"round\">\n<title>{}</title>\n{ground}{}</svg>\n",
            escape(title),
            self.body
        )
    }

    pub fn line(&mut self, a: (f32, f32), b: (f32, f32), paint: Paint, width: f32) {
        let d = format!("M{} {}L{} {}", short(a.0), short(a.1), short(b.0), short(b.1));
        self.path(&d, paint, width);
    }

    pub fn path(&mut self, d: &str, paint: Paint, width: f32) {
        let stroke = self.color(paint);
        let _ = writeln!(self.body, "<path d=\"{d}\" stroke=\"{stroke}\" stroke-width=\"{}\"/>", short(width));
    }

    pub fn dashed(&mut self, d: &str, paint: Paint, width: f32, dash: &str) {
        let stroke = self.color(paint);
        let w = short(width);
        let _ = writeln!(
            self.body,
            "<path d=\"{d}\" stroke=\"{stroke}\" stroke-width=\"{w}\" stroke-dasharray=\"{dash}\" stroke-linecap=\"butt\"/>"
        );
    }

    pub fn fill(&mut self, d: &str, paint: Paint, opacity: f32) {
        let fill = self.color(paint);
        let opacity = if opacity < 1.0 { format!(" fill-opacity=\"{}\"", short(opacity)) } else { String::new() };
        let _ = writeln!(self.body, "<path d=\"{d}\" fill=\"{fill}\"{opacity}/>");
    }

    pub fn rect(&mut self, x: f32, y: f32, w: f32, h: f32, radius: f32, fill: Paint, line: Paint, opacity: f32) {
        let (f, s) = (self.color(fill), self.color(line));
        let mut more = String::new();
        if radius > 0.0 {
            let _ = write!(more, " rx=\"{}\"", short(radius));
        }
        if line != Paint::None {
            let _ = write!(more, " stroke=\"{s}\"");
        }
        if opacity < 1.0 {
            let _ = write!(more, " fill-opacity=\"{}\"", short(opacity));
        }
        let (x, y, w, h) = (short(x), short(y), short(w.max(0.0)), short(h.max(0.0)));
        let _ = writeln!(self.body, "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"{f}\"{more}/>");
    }

    pub fn dot(&mut self, x: f32, y: f32, r: f32, paint: Paint, opacity: f32) {
        let fill = self.color(paint);
        let (x, y, r, o) = (short(x), short(y), short(r), short(opacity));
        let _ = writeln!(self.body, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{r}\" fill=\"{fill}\" fill-opacity=\"{o}\"/>");
    }

    /// A line of text on the base line `y`.
    pub fn text(&mut self, text: &str, x: f32, y: f32, size: f32, align: Align, paint: Paint) {
        self.words(text, x, y, size, align, paint, 0.085);
    }

    pub fn bold(&mut self, text: &str, x: f32, y: f32, size: f32, align: Align, paint: Paint) {
        self.words(text, x, y, size, align, paint, 0.125);
    }

    fn words(&mut self, text: &str, x: f32, y: f32, size: f32, align: Align, paint: Paint, weight: f32) {
        let shift = match align {
            Align::Left => 0.0,
            Align::Middle => 0.5,
            Align::Right => 1.0,
        };
        let d = stroke::path(text, x - shift * stroke::width(text, size), y, size);
        if !d.is_empty() {
            self.path(&d, paint, weight * size);
        }
    }

    /// Text that reads upwards, centred at `(x, y)`.
    pub fn upright(&mut self, text: &str, x: f32, y: f32, size: f32, paint: Paint) {
        let d = stroke::path(text, -0.5 * stroke::width(text, size), 0.0, size);
        let stroke = self.color(paint);
        let _ = writeln!(
            self.body,
            "<path d=\"{d}\" transform=\"translate({} {}) rotate(-90)\" stroke=\"{stroke}\" stroke-width=\"{}\"/>",
            short(x),
            short(y),
            short(0.085 * size)
        );
    }

    /// A PNG image stretched over a rectangle.
    pub fn image(&mut self, x: f32, y: f32, w: f32, h: f32, png: &[u8]) {
        let _ = writeln!(
            self.body,
            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" href=\"data:image/png;base64,{}\"/>",
            short(x),
            short(y),
            short(w),
            short(h),
            base64(png)
        );
    }

    /// What is drawn until [`Canvas::end_clip`] shows only inside this rectangle. `id` must be unique on the page.
    pub fn clip(&mut self, id: &str, x: f32, y: f32, w: f32, h: f32) {
        let (x, y, w, h) = (short(x), short(y), short(w), short(h));
        let _ = writeln!(
            self.body,
            "<clipPath id=\"{id}\"><rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"/></clipPath><g clip-path=\"url(#{id})\">"
        );
    }

    pub fn end_clip(&mut self) {
        self.body.push_str("</g>\n");
    }

    fn color(&self, paint: Paint) -> String {
        let hex = |[r, g, b]: Rgb| format!("#{r:02x}{g:02x}{b:02x}");
        match (paint, self.theme) {
            (Paint::None, _) => "none".into(),
            (Paint::Exact(c), _) => hex(c),
            (Paint::Series(i), Theme::Paper) => hex(SERIES[i % SERIES.len()]),
            (Paint::Series(i), Theme::Page) => format!("var(--s{})", i % SERIES.len()),
            (_, Theme::Paper) => hex(match paint {
                Paint::Ink => [28, 30, 34],
                Paint::Muted => [100, 104, 112],
                Paint::Faint => [222, 224, 228],
                Paint::Wash => [244, 245, 247],
                Paint::Good => [22, 124, 78],
                Paint::Bad => [190, 40, 44],
                _ => [255, 255, 255],
            }),
            (Paint::Ink, _) => "var(--ink)".into(),
            (Paint::Muted, _) => "var(--muted)".into(),
            (Paint::Faint, _) => "var(--faint)".into(),
            (Paint::Wash, _) => "var(--wash)".into(),
            (Paint::Good, _) => "var(--good)".into(),
            (Paint::Bad, _) => "var(--bad)".into(),
            (Paint::Paper, _) => "var(--paper)".into(),
        }
    }
}

/// For text and attributes of XML and HTML. Characters that XML forbids are dropped.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// [RFC 4648, §4]
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, &b| w << 8 | b as u32) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * i) & 63) as usize] as char;
            out.push(if i <= chunk.len() { letter } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_standard() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        cases.into_iter().for_each(|(a, b)| assert_eq!(base64(a.as_bytes()), b));
    }
}
