//! What can go wrong while a function runs, through no fault of the compiler: a solve that does not converge, an index out of range.

use std::fmt;

/// A failure of a run. `place` names the part of the model, `what` says what happened there, `help` how it may be mended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// `Cell.corrector`, or the function's name.
    pub place: String,
    pub what: String,
    pub help: Option<String>,
}

impl Fault {
    pub fn new(place: impl Into<String>, what: impl Into<String>) -> Fault {
        Fault { place: place.into(), what: what.into(), help: None }
    }

    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
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
