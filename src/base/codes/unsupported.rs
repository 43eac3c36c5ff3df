//! Parts of the language that this version reads and checks, and does not run.

use super::Code;

pub const ROWS: &[Code] = &[
    Code {
        id: "unsupported.library",
        title: "a library function that does not run yet",
        explanation: "The function is declared, so that programs that use it can be read, formatted and checked. This \
                      version has no implementation of it. docs/language.md lists all such names.",
    },
    Code {
        id: "unsupported.time",
        title: "problems in time do not run yet",
        explanation: "Derivatives in time, initial conditions and time steppers are checked, and this version solves \
                      steady problems only.",
    },
    Code {
        id: "unsupported.weak",
        title: "weak forms do not run yet",
        explanation: "`weak` equations are checked, and this version discretises only equations in strong form. Write \
                      ∇·(…) = …; the weak form is derived from it.",
    },
    Code {
        id: "unsupported.index",
        title: "index notation does not run yet",
        explanation: "Free indices i, j, k, l are read, and this version does not sum over them. Use `·`, `::`, `⊗`, `tr`.",
    },
    Code {
        id: "unsupported.state",
        title: "closures with state do not run yet",
        explanation: "`state` and `next` belong to time loops, which this version does not have.",
    },
];
