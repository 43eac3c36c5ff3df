//! Studies and tasks.

use super::Code;

pub const ROWS: &[Code] = &[Code {
    id: "studies.check",
    title: "a check that is not true or false once",
    explanation: "`check` states what a paper claims: a comparison of numbers, with its tolerance.",
}];
