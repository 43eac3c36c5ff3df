//! `mslc explain CODE`: what a message means, why the rule stands, how to mend a program that breaks it.

use super::{Outcome, args, output::print};
use crate::base::codes::{self, CODES, Code};
use crate::sema::suggest;
use std::fmt::Write;

pub fn explain(args: &args::Explain) -> Outcome {
    let Some(asked) = &args.code else {
        print(&list());
        return Outcome::Good;
    };
    let asked = asked.trim().trim_start_matches("error").trim_matches(['[', ']']);
    if let Some(code) = codes::find(asked) {
        print(&format!("{}: {}\n\n{}\n", code.id, code.title, wrap(code.explanation, 100)));
        return Outcome::Good;
    }
    // `units` lists all codes of the room.
    let family: Vec<&Code> = CODES.iter().filter(|c| c.id.starts_with(&format!("{asked}."))).collect();
    if !family.is_empty() {
        print(&lines(family.into_iter()));
        return Outcome::Good;
    }
    let help = match suggest::nearest(asked, CODES.iter().map(|c| c.id)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`mslc explain` lists every code".into(),
    };
    eprintln!("error: there is no diagnostic code `{asked}`\n  help: {help}");
    Outcome::ProgramWrong
}

fn list() -> String {
    format!("{}\n`mslc explain CODE` says more about one of them.\n", lines(CODES.iter()))
}

fn lines<'a>(codes: impl Iterator<Item = &'a Code>) -> String {
    let mut codes: Vec<&Code> = codes.collect();
    codes.sort_by_key(|c| c.id);
    let width = codes.iter().map(|c| c.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for c in codes {
        let _ = writeln!(out, "{:width$}  {}", c.id, c.title);
    }
    out
}

/// Paragraphs filled to `width` columns; lines that begin with a space (examples) are left as they are.
fn wrap(text: &str, width: usize) -> String {
    let mut out = String::new();
    for paragraph in text.trim().split("\n\n") {
        if !out.is_empty() {
            out.push_str("\n\n");
        }
        if paragraph.starts_with(' ') || paragraph.contains("\n ") {
            out.push_str(paragraph);
            continue;
        }
        let mut column = 0;
        for word in paragraph.split_whitespace() {
            let n = word.chars().count();
            if column > 0 && column + 1 + n > width {
                out.push('\n');
                column = 0;
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += n;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_filled_and_examples_kept() {
        assert_eq!(wrap("a b\nc\n\n  x =  1\n\nd e", 3), "a b\nc\n\n  x =  1\n\nd e");
    }
}
