//! A document that knows where its lines may break, and its layout within a width. [Wadler, A prettier printer, 2003], with
//! comments: they are laid out as they come and force the breaks that they need.

/// Columns of a line.
pub const WIDTH: usize = 120;
const INDENT: usize = 2;

#[derive(Clone, Debug)]
pub enum Doc {
    Text(String),
    /// A space, or a line break where its group does not fit.
    Line,
    /// Nothing, or a line break where its group does not fit.
    Soft,
    /// A line break.
    Hard,
    /// The next line break leaves one line empty.
    Blank,
    /// Text only where its group is broken: the comma after a last argument.
    IfBroken(&'static str),
    Concat(Vec<Doc>),
    /// Line breaks inside are indented.
    Nest(Box<Doc>),
    /// On one line if it fits, else every `Line` and `Soft` of it breaks.
    Group(Box<Doc>),
    /// As many of these on each line as fit.
    Fill(Vec<Doc>),
    /// A comment that stands alone on its line, or follows text on its line (`trailing`). A line break follows.
    Comment {
        text: String,
        trailing: bool,
    },
    /// A comment inside a line: `/* … */`.
    Inline(String),
}

pub fn text(s: impl Into<String>) -> Doc {
    Doc::Text(s.into())
}

pub fn concat(parts: impl IntoIterator<Item = Doc>) -> Doc {
    Doc::Concat(parts.into_iter().collect())
}

pub fn group(doc: Doc) -> Doc {
    Doc::Group(Box::new(doc))
}

pub fn nest(doc: Doc) -> Doc {
    Doc::Nest(Box::new(doc))
}

/// Parts with something between them.
pub fn join(parts: impl IntoIterator<Item = Doc>, between: &Doc) -> Doc {
    let mut out = vec![];
    for part in parts {
        if !out.is_empty() {
            out.push(between.clone());
        }
        out.push(part);
    }
    Doc::Concat(out)
}

impl Doc {
    /// Must its group break?
    pub fn breaks(&self) -> bool {
        match self {
            Doc::Hard | Doc::Comment { .. } => true,
            Doc::Concat(parts) | Doc::Fill(parts) => parts.iter().any(Doc::breaks),
            Doc::Nest(doc) | Doc::Group(doc) => doc.breaks(),
            _ => false,
        }
    }

    /// Its layout; ends with a line break unless it is empty.
    pub fn render(&self) -> String {
        let mut page = Page::default();
        page.put(self);
        if page.column > 0 {
            page.out.push('\n');
        }
        page.out
    }
}

/// What is left to lay out: a document in its mode at its indent, or the rest of a `Fill`.
#[derive(Clone, Copy)]
enum Job<'d> {
    Flat(usize, &'d Doc),
    Broken(usize, &'d Doc),
    Rest(usize, &'d [Doc]),
}

#[derive(Default)]
struct Page {
    out: String,
    column: usize,
    /// The next line break leaves a line empty.
    blank: bool,
    /// A comment ended the line.
    must_break: bool,
    /// A comment ended the line before this one.
    after_comment: bool,
    /// An inline comment wants a space after it.
    space: bool,
}

impl Page {
    fn put(&mut self, doc: &Doc) {
        let mut jobs = vec![Job::Broken(0, doc)];
        while let Some(job) = jobs.pop() {
            let (indent, doc, flat) = match job {
                Job::Flat(indent, doc) => (indent, doc, true),
                Job::Broken(indent, doc) => (indent, doc, false),
                Job::Rest(indent, [next, rest @ ..]) => {
                    self.text(indent, ",");
                    // One column for the comma after it.
                    match !next.breaks() && self.column + 2 + flat_width(next) <= WIDTH {
                        true => self.text(indent, " "),
                        false => self.newline(),
                    }
                    jobs.extend([Job::Rest(indent, rest), Job::Flat(indent, next)]);
                    continue;
                }
                Job::Rest(_, []) => continue,
            };
            let same = |d| if flat { Job::Flat(indent, d) } else { Job::Broken(indent, d) };
            match doc {
                Doc::Text(s) => self.text(indent, s),
                Doc::Line if flat => self.text(indent, " "),
                Doc::Soft if flat => {}
                Doc::Line | Doc::Soft | Doc::Hard => self.newline(),
                Doc::Blank => self.blank = true,
                Doc::IfBroken(_) if flat => {}
                Doc::IfBroken(s) => self.text(indent, s),
                Doc::Concat(parts) => jobs.extend(parts.iter().rev().map(same)),
                Doc::Nest(inner) if flat => jobs.push(Job::Flat(indent + INDENT, inner)),
                Doc::Nest(inner) => jobs.push(Job::Broken(indent + INDENT, inner)),
                Doc::Group(inner) if flat || !inner.breaks() && self.fits(inner, &jobs) => {
                    jobs.push(Job::Flat(indent, inner));
                }
                Doc::Group(inner) => jobs.push(Job::Broken(indent, inner)),
                Doc::Fill(parts) => {
                    if let [first, rest @ ..] = &parts[..] {
                        jobs.extend([Job::Rest(indent, rest), Job::Flat(indent, first)]);
                    }
                }
                Doc::Comment { text, trailing } => self.comment(indent, text, *trailing),
                Doc::Inline(text) => {
                    let open = self.column == 0 || self.out.ends_with(['(', '[', ' ']);
                    self.text(indent, if open { "" } else { " " });
                    self.text(indent, text);
                    self.space = true;
                }
            }
        }
    }

    fn text(&mut self, indent: usize, s: &str) {
        if s.is_empty() {
            return;
        }
        if std::mem::take(&mut self.must_break) {
            self.newline();
        }
        if self.column == 0 {
            if s == " " {
                return;
            }
            self.raw(&" ".repeat(indent));
        }
        if std::mem::take(&mut self.space) && !s.starts_with([' ', ',', ')', ']']) {
            self.raw(" ");
        }
        self.raw(s);
    }

    fn raw(&mut self, s: &str) {
        self.out.push_str(s);
        self.column += s.chars().count();
    }

    fn newline(&mut self) {
        self.space = false;
        if self.column > 0 {
            self.after_comment = self.must_break;
            self.out.truncate(self.out.trim_end_matches(' ').len());
            self.out.push('\n');
            self.column = 0;
        }
        self.must_break = false;
        if std::mem::take(&mut self.blank) && !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn comment(&mut self, indent: usize, text: &str, trailing: bool) {
        if trailing
            && self.column == 0
            && !self.after_comment
            && self.out.ends_with('\n')
            && !self.out.ends_with("\n\n")
        {
            // The line broke just before the comment: it goes back to what it follows.
            self.out.pop();
            self.column = self.out.len() - self.out.rfind('\n').map_or(0, |i| i + 1);
        }
        if trailing && self.column > 0 && !self.must_break {
            self.out.truncate(self.out.trim_end_matches(' ').len());
            self.raw(if self.space { " " } else { "  " });
        } else if self.column > 0 {
            self.newline();
        }
        if self.column == 0 {
            self.raw(&" ".repeat(indent));
        }
        self.raw(text);
        (self.must_break, self.space) = (true, false);
    }

    /// Does a group fit on the line, with all that follows it up to the next place where the line may break?
    fn fits(&self, group: &Doc, after: &[Job]) -> bool {
        let mut left = WIDTH.saturating_sub(self.column) as isize;
        let mut jobs = vec![Job::Flat(0, group)];
        let mut after = after.iter().rev();
        while left >= 0 {
            let (doc, flat) = match jobs.pop().or_else(|| after.next().copied()) {
                None | Some(Job::Rest(..)) => return true,
                Some(Job::Flat(_, doc)) => (doc, true),
                Some(Job::Broken(_, doc)) => (doc, false),
            };
            let same = |d| if flat { Job::Flat(0, d) } else { Job::Broken(0, d) };
            match doc {
                Doc::Text(s) => left -= s.chars().count() as isize,
                Doc::Inline(s) => left -= s.chars().count() as isize + 2,
                Doc::Line if flat => left -= 1,
                Doc::Line | Doc::Soft | Doc::Hard if !flat => return true,
                Doc::Hard | Doc::Comment { .. } => return true,
                Doc::Soft | Doc::Line | Doc::Blank => {}
                Doc::IfBroken(s) if !flat => left -= s.len() as isize,
                Doc::IfBroken(_) => {}
                Doc::Concat(parts) => jobs.extend(parts.iter().rev().map(same)),
                // A later group may break at its first chance.
                Doc::Group(inner) | Doc::Nest(inner) => jobs.push(same(inner)),
                Doc::Fill(parts) => left -= parts.iter().map(|p| flat_width(p) + 2).sum::<usize>() as isize,
            }
        }
        false
    }
}

fn flat_width(doc: &Doc) -> usize {
    match doc {
        Doc::Text(s) => s.chars().count(),
        Doc::Inline(s) => s.chars().count() + 2,
        Doc::Line => 1,
        Doc::Concat(parts) => parts.iter().map(flat_width).sum(),
        Doc::Fill(parts) => parts.iter().map(|p| flat_width(p) + 2).sum(),
        Doc::Nest(doc) | Doc::Group(doc) => flat_width(doc),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(args: usize) -> Doc {
        let args = join((0..args).map(|i| text(format!("argument{i}"))), &concat([text(","), Doc::Line]));
        group(concat([text("f("), nest(concat([Doc::Soft, args])), Doc::IfBroken(","), Doc::Soft, text(")")]))
    }

    #[test]
    fn a_group_is_on_one_line_if_it_fits() {
        assert_eq!(call(2).render(), "f(argument0, argument1)\n");
        let long = call(12).render();
        assert!(long.starts_with("f(\n  argument0,\n  argument1,\n") && long.ends_with("argument11,\n)\n"), "{long}");
    }

    #[test]
    fn comments_break_lines_and_only_once() {
        let c = |trailing| Doc::Comment { text: "// c".into(), trailing };
        assert_eq!(concat([text("a"), c(true), Doc::Hard, text("b")]).render(), "a  // c\nb\n");
        assert_eq!(concat([text("a"), c(false), text("b")]).render(), "a\n// c\nb\n");
        assert_eq!(concat([text("a"), Doc::Blank, c(false), c(false)]).render(), "a\n\n// c\n// c\n");
    }
}
