//! Diagnostics as pictures of the source, drawn by miette.

use crate::base::{Diagnostic, Severity, SourceFile, Sources, Span};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use std::fmt;

/// Colours are for terminals only.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    pub color: bool,
    pub width: usize,
}

/// A line longer than this is not shown: the report would be unreadable.
const LONGEST_LINE: usize = 400;

/// The report, ending in an empty line.
pub fn report(d: &Diagnostic, sources: &Sources, style: &Style) -> String {
    let theme = if style.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(style.width)
        .with_links(false)
        .without_syntax_highlighting()
        .with_context_lines(1)
        .tab_width(2);
    let home = d.span().file;
    let drawn = Drawn::new(d, sources, d.labels.iter().filter(|l| l.span.file == home));
    let mut out = String::new();
    // miette fails only where a span lies outside its text; the message itself must still come through.
    if handler.render_report(&mut out, &drawn).is_err() {
        out = format!("{}\n\n  × {}\n", drawn.code, d.message);
    }
    for l in d.labels.iter().filter(|l| l.span.file != home) {
        let file = sources.get(l.span.file);
        let (line, column) = file.line_column(l.span.start);
        footer(&mut out, style, "see", &format!("{}:{line}:{column}: {}", file.name, l.text));
    }
    if let Some(help) = &d.help {
        footer(&mut out, style, "help", help);
    }
    if let Some(note) = &d.note {
        footer(&mut out, style, "note", note);
    }
    out.push('\n');
    out
}

/// `  help: text`, wrapped.
fn footer(out: &mut String, style: &Style, head: &str, text: &str) {
    let indent = head.len() + 4;
    let room = style.width.saturating_sub(indent).max(20);
    let head = if style.color { format!("\u{1b}[36m{head}:\u{1b}[0m") } else { format!("{head}:") };
    out.push_str(&format!("  {head} "));
    for (i, line) in text.lines().enumerate() {
        let mut column = 0;
        if i > 0 {
            out.push_str(&format!("\n{:indent$}", ""));
        }
        // Lines that are indented are code: kept as they are.
        if line.starts_with(' ') {
            out.push_str(line);
            continue;
        }
        for word in line.split(' ') {
            let n = word.chars().count();
            if column > 0 && column + 1 + n > room {
                out.push_str(&format!("\n{:indent$}", ""));
                column = 0;
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += n;
        }
    }
    out.push('\n');
}

/// A diagnostic in miette's terms.
struct Drawn {
    code: String,
    message: String,
    severity: miette::Severity,
    source: Option<NamedSource<std::sync::Arc<str>>>,
    labels: Vec<LabeledSpan>,
}

impl Drawn {
    fn new<'a>(d: &Diagnostic, sources: &Sources, labels: impl Iterator<Item = &'a crate::base::Label>) -> Drawn {
        let (word, severity) = match d.severity {
            Severity::Error => ("error", miette::Severity::Error),
            Severity::Warning => ("warning", miette::Severity::Warning),
            Severity::Advice => ("advice", miette::Severity::Advice),
        };
        let file = sources.get(d.span().file);
        let labels: Vec<LabeledSpan> = labels
            .enumerate()
            .map(|(i, l)| {
                let (start, end) = on_characters(file, l.span);
                let text = (!l.text.is_empty()).then(|| l.text.clone());
                if i == 0 {
                    LabeledSpan::new_primary_with_span(text, (start, end - start))
                } else {
                    LabeledSpan::new_with_span(text, (start, end - start))
                }
            })
            .collect();
        // What is said of the whole run has no place to show.
        let placeless = d.span() == Span::default() && d.labels.iter().all(|l| l.text.is_empty());
        let showable = placeless || labels.iter().all(|l| line_length(&file.text, l.offset(), l.len()) <= LONGEST_LINE);
        let (line, column) = file.line_column(d.span().start);
        Drawn {
            code: format!("{word}[{}]", d.code),
            message: if showable {
                d.message.clone()
            } else {
                format!("{} ({}:{line}:{column})", d.message, file.name)
            },
            severity,
            source: (showable && !placeless).then(|| NamedSource::new(&file.name, file.text.clone())),
            labels: if showable && !placeless { labels } else { vec![] },
        }
    }
}

/// Byte range of a span, moved to character boundaries inside the text.
fn on_characters(file: &SourceFile, span: Span) -> (usize, usize) {
    let text = &file.text;
    let mut start = (span.start as usize).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = (span.end as usize).clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    (start, end)
}

/// Bytes of the longest line from the one before a range to the one after it, as all of these are shown.
fn line_length(text: &str, start: usize, len: usize) -> usize {
    let bytes = text.as_bytes();
    let back = |from: usize| bytes[..from].iter().rposition(|&b| b == b'\n').unwrap_or(0);
    let forth = |from: usize| bytes[from..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |i| from + i);
    let first = back(back(start));
    let end = forth(start + len);
    let last = forth((end + 1).min(bytes.len()));
    bytes[first..last].split(|&b| b == b'\n').map(<[u8]>::len).max().unwrap_or(0)
}

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Drawn {}

impl miette::Diagnostic for Drawn {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { color: false, width: 80 };

    #[test]
    fn several_labels_help_and_note_are_drawn() {
        let mut sources = Sources::default();
        let f = sources.add("heat.msl", "let a = 1 [m]\nlet b = a + 2 [kg]\n");
        let d = Diagnostic::error("units.mismatch", Span::new(f, 22, 32), "cannot add [kg] to [m]")
            .here("this has [kg]")
            .label(Span::new(f, 8, 13), "this has [m]")
            .help("divide")
            .note("a sum has one dimension");
        let text = report(&d, &sources, &PLAIN);
        for part in [
            "error[units.mismatch]",
            "cannot add [kg] to [m]",
            "heat.msl:2:9",
            "this has [m]",
            "help: divide",
            "note: a",
        ] {
            assert!(text.contains(part), "`{part}` is not in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn a_very_long_line_is_not_shown_but_named() {
        let mut sources = Sources::default();
        let f = sources.add("long.msl", "x".repeat(1 << 20));
        let text = report(&Diagnostic::error("syntax.any", Span::new(f, 5, 9), "odd"), &sources, &PLAIN);
        assert!(text.len() < 500 && text.contains("long.msl:1:6"), "{}", &text[..500.min(text.len())]);
    }

    #[test]
    fn spans_outside_the_text_or_inside_a_character_do_not_panic() {
        let mut sources = Sources::default();
        let f = sources.add("a.msl", "φ");
        for (a, b) in [(1, 1), (0, 1), (5, 9), (2, 2)] {
            report(&Diagnostic::error("syntax.any", Span::new(f, a, b), "odd"), &sources, &PLAIN);
        }
    }
}
