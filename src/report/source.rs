//! The program as a listing with line numbers; words are coloured by their form alone.

use super::canvas::escape;

const KEYWORDS: &[&str] = &[
    "use", "param", "let", "fn", "scale", "closure", "system", "net", "dataset", "minimize", "study", "dim", "unit",
    "unknown", "eq", "weak", "on", "init", "include", "ensure", "state", "next", "weight", "over", "loss", "stage",
    "subject", "check", "report", "plot", "vtk", "save", "write", "for", "in", "if", "then", "else", "and", "or",
    "not",
];

/// `<pre>` with a line each.
pub fn listing(text: &str) -> String {
    let mut out = String::from("<pre class=\"listing\"><code>");
    for (i, line) in text.trim_end().lines().enumerate() {
        out += &format!("<span class=\"line\" data-n=\"{}\">{}</span>", i + 1, highlighted(line));
    }
    out + "</code></pre>\n"
}

fn highlighted(line: &str) -> String {
    let chars: Vec<char> = line.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    let run =
        |from: usize, ok: &dyn Fn(char) -> bool| (from..chars.len()).find(|&j| !ok(chars[j])).unwrap_or(chars.len());
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '₀';
    let mut after_number = false;
    while i < chars.len() {
        let c = chars[i];
        let text = |j: usize| escape(&chars[i..j].iter().collect::<String>());
        let (end, class) = if c == '/' && chars.get(i + 1) == Some(&'/') {
            (chars.len(), "c")
        } else if c == '"' {
            (chars[i + 1..].iter().position(|c| *c == '"').map_or(chars.len(), |j| i + j + 2), "s")
        } else if c.is_ascii_digit() {
            let mut end = run(i, &|c| c.is_ascii_alphanumeric() || c == '_');
            // `0.5` and `1e-3`, but not the range `0..60`.
            if chars.get(end) == Some(&'.') && chars.get(end + 1).is_some_and(|c| c.is_ascii_digit()) {
                end = run(end + 1, &|c| c.is_ascii_alphanumeric() || c == '_');
            }
            if chars[end - 1] == 'e' && matches!(chars.get(end), Some('-' | '+')) {
                end = run(end + 1, &|c| c.is_ascii_digit());
            }
            (end, "d")
        } else if c == '[' && after_number {
            (chars[i..].iter().position(|c| *c == ']').map_or(chars.len(), |j| i + j + 1), "u")
        } else if c.is_alphabetic() || c == '_' {
            let end = run(i, &word);
            let name: String = chars[i..end].iter().collect();
            let member = i > 0 && chars[i - 1] == '.';
            (end, if KEYWORDS.contains(&name.as_str()) && !member { "k" } else { "" })
        } else {
            (i + 1, "")
        };
        out += &if class.is_empty() { text(end) } else { format!("<span class=\"{class}\">{}</span>", text(end)) };
        if !c.is_whitespace() {
            after_number = class == "d" || (c == ')' || c == ']');
        }
        i = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_coloured_by_form_and_escaped() {
        assert_eq!(
            highlighted("let a = 1e-3 [m] // <b>"),
            "<span class=\"k\">let</span> a = <span class=\"d\">1e-3</span> <span class=\"u\">[m]</span> \
             <span class=\"c\">// &lt;b&gt;</span>"
        );
        assert_eq!(highlighted("x.on 0..60"), "x.on <span class=\"d\">0</span>..<span class=\"d\">60</span>");
        for odd in ["\"open", "1", "1e", "1e-", "[", "1 [", "/", "//", "φ₀·∇", "1."] {
            highlighted(odd);
        }
    }
}
