//! Where words go: diagnostics, progress and summaries to stderr for people; one JSON object a line to stdout for editors and
//! scripts. Writing to a closed pipe is not an error.

use super::draw;
use crate::base::{Diagnostic, Severity, Sources, Span};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};

/// Text to stdout.
pub fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// How a command talks, and how many errors and warnings it has told of.
#[derive(Debug)]
pub struct Output {
    pub json: bool,
    pub quiet: bool,
    style: draw::Style,
    pub errors: usize,
    pub warnings: usize,
}

impl Output {
    pub fn new(json: bool, quiet: bool) -> Output {
        let terminal = std::io::stderr().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let width = if terminal { console_width().clamp(40, 140) } else { 100 };
        Output { json, quiet, style: draw::Style { color: terminal && !plain, width }, errors: 0, warnings: 0 }
    }

    /// Draws one message, or writes it as JSON. Quiet output leaves out warnings and advice.
    pub fn diagnostic(&mut self, d: &Diagnostic, sources: &Sources) {
        match d.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
            Severity::Advice => {}
        }
        if self.json {
            print(&format!("{}\n", diagnostic(d, sources)));
        } else if !self.quiet || d.is_error() {
            let _ = std::io::stderr().lock().write_all(draw::report(d, sources, &self.style).as_bytes());
        }
    }

    pub fn diagnostics<'a>(&mut self, ds: impl IntoIterator<Item = &'a Diagnostic>, sources: &Sources) {
        /// Errors that are drawn: one mistake may have hundreds of consequences.
        const MOST: usize = 50;
        let mut more = 0;
        for d in ds {
            if d.is_error() && self.errors >= MOST && !self.json {
                self.errors += 1;
                more += 1;
            } else {
                self.diagnostic(d, sources);
            }
        }
        if more > 0 {
            let _ = writeln!(std::io::stderr().lock(), "… and {more} more errors");
        }
    }

    /// A line for people, on stderr.
    pub fn say(&self, line: &str) {
        if !self.json && !self.quiet {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }

    /// An object for scripts, on stdout.
    pub fn event(&self, event: &Value) {
        if self.json {
            print(&format!("{event}\n"));
        }
    }

    /// `2 errors and 1 warning`
    pub fn counts(&self) -> String {
        let many = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        match (self.errors, self.warnings) {
            (0, 0) => "no errors".into(),
            (0, w) => many(w, "warning"),
            (e, 0) => many(e, "error"),
            (e, w) => format!("{} and {}", many(e, "error"), many(w, "warning")),
        }
    }
}

/// The message as editors read it. Bytes are offsets into the file; lines and columns count from 1, columns in characters.
pub fn diagnostic(d: &Diagnostic, sources: &Sources) -> Value {
    let labels: Vec<Value> = d
        .labels
        .iter()
        .map(|l| {
            let mut v = range(l.span, sources);
            v["text"] = json!(l.text);
            v
        })
        .collect();
    let mut out = json!({
        "kind": "diagnostic",
        "code": d.code,
        "severity": match d.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Advice => "advice",
        },
        "message": d.message,
    });
    if let (Value::Object(out), Value::Object(place)) = (&mut out, range(d.span(), sources)) {
        out.extend(place);
    }
    out["labels"] = json!(labels);
    out["help"] = json!(d.help);
    out["note"] = json!(d.note);
    out
}

/// `{file, bytes: [start, end], start: {line, column}, end: {line, column}}`
fn range(span: Span, sources: &Sources) -> Value {
    let file = sources.get(span.file);
    let place = |offset: u32| {
        let (line, column) = file.line_column(offset);
        json!({ "line": line, "column": column })
    };
    json!({ "file": file.name, "bytes": [span.start, span.end], "start": place(span.start), "end": place(span.end) })
}

/// Columns of the terminal, from `COLUMNS` or the terminal itself; 100 where neither says.
fn console_width() -> usize {
    if let Some(n) = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()) {
        return n;
    }
    // SAFETY: `winsize` is plain data that the call fills in; the descriptor is that of stderr.
    #[cfg(unix)]
    unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        if libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, &mut size) == 0 && size.ws_col > 0 {
            return size.ws_col as usize;
        }
    }
    100
}
