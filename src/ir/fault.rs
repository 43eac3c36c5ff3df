//! What can go wrong while a function runs, through no fault of the compiler: a solve that does not converge, an index out of range.

use std::fmt;

/// A failure of a run. `place` names the part of the model, `what` says what happened there, `help` how it may be mended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// `Cell.corrector`, or the function's name.
    pub place: String,
    pub what: String,
    pub help: Option<String>,
    /// The unknown of a solve that `what` speaks of, as `unknown 17`.
    pub unknown: Option<Culprit>,
}

/// An unknown of a solve, by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Culprit {
    /// Name of the solve.
    pub solve: String,
    pub index: usize,
    /// How many unknowns it has.
    pub of: usize,
}

impl Fault {
    pub fn new(place: impl Into<String>, what: impl Into<String>) -> Fault {
        Fault { place: place.into(), what: what.into(), help: None, unknown: None }
    }

    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    /// Of an unknown of a solve.
    pub fn of_unknown(mut self, culprit: Option<Culprit>) -> Fault {
        self.unknown = culprit;
        self
    }

    /// The same failure, seen from outside: `in item 17: …`.
    pub fn within(mut self, context: impl fmt::Display) -> Fault {
        self.what = format!("{context}: {}", self.what);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        self.help.iter().try_for_each(|h| write!(f, "\nhelp: {h}"))
    }
}

impl std::error::Error for Fault {}
