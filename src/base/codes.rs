//! Every diagnostic code, with what `mslc explain CODE` says. `docs/diagnostics.md` is generated from this table.
//! Each subject has its own file of rows; a code is `subject.topic`, and its subject is the file it stands in.

mod coupling;
mod discretize;
mod input;
mod names;
mod nets;
mod pde;
mod run;
mod set;
mod shapes;
mod studies;
mod syntax;
mod units;
mod unsupported;

/// One kind of message.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    pub id: &'static str,
    pub title: &'static str,
    /// A paragraph for a researcher: what the rule is, why it stands, how to mend a program that breaks it.
    pub explanation: &'static str,
}

/// The subjects, each with its heading in the generated documentation.
pub const SUBJECTS: &[(&str, &str, &[Code])] = &[
    ("input", "Reading a program", input::ROWS),
    ("set", "Settings of a run", set::ROWS),
    ("syntax", "The text", syntax::ROWS),
    ("names", "Names and modules", names::ROWS),
    ("units", "Units and dimensions", units::ROWS),
    ("shapes", "Types, ranks and shapes", shapes::ROWS),
    ("pde", "Systems: equations, conditions, schemes", pde::ROWS),
    ("discretize", "Meshes and elements", discretize::ROWS),
    ("nets", "Nets, data and training", nets::ROWS),
    ("coupling", "Closures and scales", coupling::ROWS),
    ("studies", "Studies and tasks", studies::ROWS),
    ("unsupported", "Not supported yet", unsupported::ROWS),
    ("run", "While a program runs", run::ROWS),
];

const COUNT: usize = {
    let (mut n, mut s) = (0, 0);
    while s < SUBJECTS.len() {
        n += SUBJECTS[s].2.len();
        s += 1;
    }
    n
};

const TABLE: [Code; COUNT] = {
    let mut table = [Code { id: "", title: "", explanation: "" }; COUNT];
    let (mut n, mut s) = (0, 0);
    while s < SUBJECTS.len() {
        let mut i = 0;
        while i < SUBJECTS[s].2.len() {
            table[n] = SUBJECTS[s].2[i];
            n += 1;
            i += 1;
        }
        s += 1;
    }
    table
};

/// All rows, subject by subject.
pub const CODES: &[Code] = &TABLE;

/// The row of a code.
pub fn find(id: &str) -> Option<&'static Code> {
    CODES.iter().find(|c| c.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_stand_with_their_subject() {
        let mut seen = std::collections::HashSet::new();
        for (subject, _, rows) in SUBJECTS {
            for row in *rows {
                assert!(row.id.split('.').next() == Some(subject), "{} stands among the rows of {subject}", row.id);
                assert!(seen.insert(row.id), "{} stands twice", row.id);
                assert!(!row.title.is_empty() && row.explanation.ends_with('.'), "{} is not explained", row.id);
            }
        }
    }
}
