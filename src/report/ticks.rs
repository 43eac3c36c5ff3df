//! Where ticks stand and how numbers are written.

/// Ticks of an axis: `(value, text)`; an empty text marks a minor tick.
pub type Ticks = Vec<(f64, String)>;

/// About `n` ticks at multiples of 1, 2 or 5 times a power of ten inside the range.
pub fn linear(low: f64, high: f64, n: usize) -> Ticks {
    let step = nice_step((high - low) / n.max(1) as f64);
    if !(step > 0.0 && step.is_finite()) {
        return vec![(low, number(low))];
    }
    let digits = (-(step * 1.0000001).log10().floor()).max(0.0) as usize;
    let largest = low.abs().max(high.abs());
    let scientific = !(1e-3..1e5).contains(&largest);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last.min(first + 40))
        .map(|i| {
            let v = i as f64 * step;
            let text = if i == 0 {
                "0".into()
            } else if scientific {
                power(v, (v.abs().log10() - step.log10()).abs().ceil() as usize)
            } else {
                fixed(v, digits)
            };
            (v, text)
        })
        .collect()
}

/// Decades, labelled as powers of ten, with unlabelled ticks at 2…9 between them. Where less than two decades are shown, 2 and 5
/// are labelled as well.
pub fn log(low: f64, high: f64, n: usize) -> Ticks {
    let (a, b) = (low.log10(), high.log10());
    let every = ((b - a) / n.max(1) as f64).ceil().max(1.0) as i32;
    let narrow = b - a < 2.0;
    let plain = a > -2.1 && b < 3.1;
    let mut out = vec![];
    for e in a.floor() as i32..=b.ceil() as i32 {
        for m in 1..=9 {
            let v = m as f64 * 10f64.powi(e);
            if v < low * (1.0 - 1e-9) || v > high * (1.0 + 1e-9) {
                continue;
            }
            let text = match m {
                1 if e.rem_euclid(every) == 0 => decade(e, plain),
                2 | 5 if narrow => number(v),
                _ => String::new(),
            };
            if m == 1 || every == 1 {
                out.push((v, text));
            }
        }
    }
    out
}

/// `10⁻³`, or `0.001` where the whole axis is written plainly.
fn decade(e: i32, plain: bool) -> String {
    match e {
        0 => "1".into(),
        1 => "10".into(),
        _ if plain => number(10f64.powi(e)),
        _ => format!("10{}", superscript(e)),
    }
}

/// With the SI prefix that leaves a number from 1 to 1000: `10 µm`, `2 ms`.
pub fn si(v: f64, unit: &str) -> String {
    const PREFIXES: [&str; 13] = ["a", "f", "p", "n", "µ", "m", "", "k", "M", "G", "T", "P", "E"];
    if v == 0.0 || !v.is_finite() {
        return format!("{} {unit}", number(v));
    }
    let thousands = ((v.abs().log10() + 1e-9) / 3.0).floor();
    match PREFIXES.get((thousands + 6.0).max(0.0) as usize) {
        Some(prefix) if thousands >= -6.0 => format!("{} {prefix}{unit}", number(v / 1000f64.powi(thousands as i32))),
        _ => format!("{} {unit}", number(v)),
    }
}

pub fn superscript(n: i32) -> String {
    n.to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            c => "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(c as usize - '0' as usize).unwrap_or(c),
        })
        .collect()
}

/// A number for people: four significant digits, `1.2×10⁻⁵` where it is very large or small.
pub fn number(v: f64) -> String {
    if v == 0.0 {
        return "0".into();
    }
    if !v.is_finite() {
        return if v.is_nan() {
            "not a number".into()
        } else if v > 0.0 {
            "∞".into()
        } else {
            "−∞".into()
        };
    }
    let e = v.abs().log10().floor() as i32;
    if !(-3..6).contains(&e) { power(v, 3) } else { fixed(v, (3 - e).max(0) as usize) }
}

/// `−1.25×10⁻⁵` with at most `digits` decimals.
fn power(v: f64, digits: usize) -> String {
    let mut e = v.abs().log10().floor() as i32;
    let mut m = v / 10f64.powi(e);
    if (m.abs() - 10.0).abs() < 0.5 * 10f64.powi(-(digits as i32)) {
        m /= 10.0;
        e += 1;
    }
    let m = fixed(m, digits);
    match m.as_str() {
        "1" => format!("10{}", superscript(e)),
        "−1" => format!("−10{}", superscript(e)),
        _ => format!("{m}×10{}", superscript(e)),
    }
}

/// With at most this many decimals, without closing zeros, with a true minus sign.
fn fixed(v: f64, digits: usize) -> String {
    let mut s = format!("{v:.digits$}");
    if s.contains('.') {
        s.truncate(s.trim_end_matches('0').trim_end_matches('.').len());
    }
    if s == "-0" { "0".into() } else { s.replace('-', "−") }
}

/// 1, 2 or 5 times a power of ten, nearest above.
fn nice_step(raw: f64) -> f64 {
    let base = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * base).find(|s| *s >= raw * (1.0 - 1e-9)).unwrap_or(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(t: &Ticks) -> Vec<&str> {
        t.iter().map(|t| t.1.as_str()).filter(|t| !t.is_empty()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(texts(&linear(0.0, 1.0, 5)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(texts(&linear(-0.013, 0.021, 4)), ["−0.01", "0", "0.01", "0.02"]);
        assert_eq!(texts(&linear(285.0, 391.0, 5)), ["300", "350"]);
        assert_eq!(texts(&linear(0.0, 3e-6, 3)), ["0", "10⁻⁶", "2×10⁻⁶", "3×10⁻⁶"]);
        assert_eq!(texts(&log(1e-4, 20.0, 6)), ["10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "1", "10"]);
        assert_eq!(texts(&log(1.0, 30.0, 6)), ["1", "2", "5", "10", "20"]);
    }

    #[test]
    fn numbers_are_readable() {
        let cases = [
            (1.818182, "1.818"),
            (0.0, "0"),
            (-2.5e-7, "−2.5×10⁻⁷"),
            (1e9, "10⁹"),
            (123456.0, "123456"),
            (0.00123, "0.00123"),
            (9.9996, "10"),
            (9.9999e-6, "10⁻⁵"),
        ];
        for (v, text) in cases {
            assert_eq!(number(v), text);
        }
        assert_eq!([si(1e-5, "m"), si(0.1, "m"), si(1.0, "s"), si(2.5e-9, "s")], ["10 µm", "100 mm", "1 s", "2.5 ns"]);
    }
}
