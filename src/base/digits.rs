//! Numbers for people.

/// A number in few digits: `3.2`, `1.5e-6`.
pub fn short(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || (1e-3..1e6).contains(&size) {
        let digits = if x == 0.0 { 0 } else { (3 - size.log10().floor() as i32).max(0) as usize };
        let text = format!("{x:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
    } else {
        let text = format!("{x:.3e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        format!("{digits}e{power}")
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn few_digits() {
        for (x, text) in
            [(0.0, "0"), (3.2, "3.2"), (0.0011653778860407729, "0.001165"), (1.5e-6, "1.5e-6"), (-2e7, "-2e7")]
        {
            assert_eq!(short(x), text);
        }
    }
}
