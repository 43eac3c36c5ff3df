//! What can go wrong while a function runs, through no fault of the compiler: a solve that does not converge, an index out of range.

use std::fmt;

/// A failure of a run. `place` names the part of the model, `what` says what happened there, `help` how it may be mended.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// `Cell.corrector`, or the function's name.
    pub place: String,
    pub what: String,
    pub help: Option<String>,
    /// The unknown of a solve that `what` speaks of, as `unknown 17`.
    pub unknown: Option<Box<Culprit>>,
    /// A run in time that went wrong, which others around it may know how to go on from (a shorter step of Newton's method).
    pub broken: Option<Box<BrokenRun>>,
    /// What it lies in, from the inside out.
    pub path: Vec<Within>,
}

/// A run in time that went wrong: the fault's place is the name of its loop's body.
#[derive(Clone, PartialEq, Debug)]
pub struct BrokenRun {
    /// Steps taken, the bad one included; of those whose lengths are found on the way, the accepted ones.
    pub steps: usize,
    pub t: f64,
    pub how: Broke,
    /// Which of several, counted from 0, and how many there are.
    pub which: Vec<(Several, usize, usize)>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Broke {
    /// Which entry of the state, if it is one of it, and where the unknowns were largest in the step before: number of an entry.
    NotFinite { entry: Option<usize>, value: f64, largest: Option<usize> },
    /// The run began with it: which entry of the state; none where the state is finite, and something else that is carried is not.
    Start { entry: Option<usize>, value: f64 },
    /// Which claim, where, the value there; of a conserved number what it was and by how much it may change.
    Claim { claim: usize, entry: usize, value: f64, conserved: Option<(f64, f64)> },
    /// Tries ran out, or (`short`) became too short; those that were rejected, the length of the next.
    Stuck { short: bool, rejected: f64, length: f64 },
}

/// How there are several runs of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Several {
    /// As items whose steps are taken together.
    Together,
    /// One after the other.
    InTurn,
}

/// What a failure lies in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Within {
    /// The item and how many there are.
    Item(usize, usize),
    /// A step of the loop with a body of this name, counted from 0 in the order in which they are done.
    Step(String, usize),
    Solve(String),
    /// In words.
    Else(String),
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
        Fault { place: place.into(), what: what.into(), help: None, unknown: None, broken: None, path: vec![] }
    }

    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    /// Of an unknown of a solve.
    pub fn of_unknown(mut self, culprit: Option<Culprit>) -> Fault {
        self.unknown = culprit.map(Box::new);
        self
    }

    /// The same failure, seen from outside.
    pub fn within(mut self, context: Within) -> Fault {
        self.path.push(context);
        self
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Within::Item(i, _) => write!(f, "item {i}"),
            Within::Step(_, k) => write!(f, "step {k}"),
            Within::Solve(name) => name.fmt(f),
            Within::Else(words) => words.fmt(f),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        self.path.iter().rev().try_for_each(|within| write!(f, "{within}: "))?;
        self.what.fmt(f)?;
        self.help.iter().try_for_each(|h| write!(f, "\nhelp: {h}"))
    }
}

impl std::error::Error for Fault {}
