//! Text as strokes, so that pictures look the same everywhere, as SVG and as PNG, without any font installed.

mod glyphs;

use glyphs::{GLYPHS, glyph, resolve};

/// Size of raised and lowered figures and letters.
const SMALL: f32 = 0.64;
/// Grid units to the unit of `size` (about the size of a printed font of that name: capitals are 0.68 of it).
const SCALE: f32 = 0.068;
/// Extra room after each character.
const TRACKING: f32 = 0.4;

/// Decomposed, so that accented letters lose their accents instead of becoming boxes.
fn letters(text: &str) -> impl Iterator<Item = char> + '_ {
    use unicode_normalization::UnicodeNormalization;
    text.chars().flat_map(|c| {
        // `≠` would fall apart into `=` and a stroke.
        let own = GLYPHS.iter().any(|g| g.0 == c) || resolve(c).0 != c;
        std::iter::once(c)
            .filter(move |_| own)
            .chain(c.nfd().filter(move |d| !own && !('\u{300}'..='\u{36f}').contains(d)))
    })
}

/// Width of a line of text.
pub fn width(text: &str, size: f32) -> f32 {
    letters(text)
        .map(|c| {
            let (c, small) = resolve(c);
            (glyph(c).0 + TRACKING) * if small.is_some() { SMALL } else { 1.0 }
        })
        .sum::<f32>()
        * SCALE
        * size
}

/// The strokes of a line of text as an SVG path, starting at `x` on the base line `y`.
pub fn path(text: &str, x: f32, y: f32, size: f32) -> String {
    let scale = SCALE * size;
    let mut out = String::new();
    let mut pen = x;
    for c in letters(text) {
        let (c, small) = resolve(c);
        let (advance, strokes) = glyph(c);
        let (s, top) = match small {
            Some(top) => (scale * SMALL, y + (top - 10.0) * scale),
            None => (scale, y - 10.0 * scale),
        };
        place(strokes, pen, top, s, &mut out);
        pen += (advance + TRACKING) * s;
    }
    out
}

/// Copies the commands of one glyph, moved and scaled.
fn place(strokes: &str, x: f32, y: f32, s: f32, out: &mut String) {
    let mut command = 'M';
    let mut numbers: Vec<f32> = vec![];
    for token in strokes.split_whitespace() {
        let first = token.chars().next().unwrap_or(' ');
        let rest = if first.is_ascii_alphabetic() {
            flush(command, &numbers, x, y, s, out);
            numbers.clear();
            command = first;
            &token[1..]
        } else {
            token
        };
        if let Ok(n) = rest.parse() {
            numbers.push(n);
        }
    }
    flush(command, &numbers, x, y, s, out);
}

fn flush(command: char, n: &[f32], x: f32, y: f32, s: f32, out: &mut String) {
    let px = |v: f32| short(x + v * s);
    let py = |v: f32| short(y + v * s);
    match (command, n) {
        ('H', [a]) => *out += &format!("H{}", px(*a)),
        ('V', [a]) => *out += &format!("V{}", py(*a)),
        ('Z', []) => out.push('Z'),
        ('E', [cx, cy, rx, ry]) => {
            let (a, b) = (short(rx * s), short(ry * s));
            let (l, r, m) = (px(cx - rx), px(cx + rx), py(*cy));
            *out += &format!("M{l} {m}A{a} {b} 0 1 1 {r} {m}A{a} {b} 0 1 1 {l} {m}Z");
        }
        (_, points) if points.len() >= 2 => {
            out.push(command);
            let words: Vec<String> =
                points.as_chunks::<2>().0.iter().map(|[a, b]| format!("{} {}", px(*a), py(*b))).collect();
            *out += &words.join(" ");
        }
        _ => {}
    }
}

/// At most two decimals, none that are zero.
pub fn short(v: f32) -> String {
    let r = (v * 100.0).round() / 100.0;
    // Negative zero would print its sign.
    format!("{}", if r == 0.0 { 0.0 } else { r })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_glyph_is_drawn_inside_its_box() {
        for &(c, advance, strokes) in GLYPHS {
            assert!(advance > 0.0 && (c == ' ') == strokes.is_empty());
            for n in strokes.split(|k: char| k.is_ascii_alphabetic() || k == ' ').filter(|t| !t.is_empty()) {
                let v: f32 = n.parse().unwrap_or_else(|_| panic!("`{n}` in the glyph of `{c}`"));
                assert!((-1.5..=13.5).contains(&v), "{c}: {v}");
            }
        }
        let ascii = (b' '..=b'~').map(char::from);
        for c in ascii.chain("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ²³·µ°⁻¹∇∂×₀".chars())
        {
            assert!(GLYPHS.iter().any(|g| g.0 == resolve(c).0), "no glyph for `{c}`");
        }
    }

    #[test]
    fn widths_add_up_and_accents_fall() {
        assert!((width("ab", 10.0) - width("a", 10.0) - width("b", 10.0)).abs() < 1e-4);
        assert_eq!(path("é", 0.0, 0.0, 10.0), path("e", 0.0, 0.0, 10.0));
        assert!(width("²", 10.0) < width("2", 10.0));
    }
}
