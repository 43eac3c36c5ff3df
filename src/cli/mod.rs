//! The command `mslc`. Exit codes: 0 all is well and every check holds, 1 a check failed (or `fmt --check` found a file that is
//! not formatted), 2 the program or the command line is wrong, 3 a run failed, 101 a bug in mslc, 130 interrupted.

mod args;
mod check;
mod compare;
mod draw;
mod explain;
mod folder;
mod format;
mod front;
mod input;
mod output;
mod panics;
mod plan;
mod run;
mod story;

pub use output::Output;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

/// What a command came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Good,
    CheckFailed,
    ProgramWrong,
    RunFailed,
    Interrupted,
}

impl Outcome {
    pub fn code(self) -> u8 {
        match self {
            Outcome::Good => 0,
            Outcome::CheckFailed => 1,
            Outcome::ProgramWrong => 2,
            Outcome::RunFailed => 3,
            Outcome::Interrupted => 130,
        }
    }
}

pub fn main() -> ExitCode {
    panics::install();
    answer_file_limits();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            // Help and version are answers, not errors. A closed pipe is no reason to fail.
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { Outcome::ProgramWrong.code() } else { 0 });
        }
    };
    let done = std::panic::catch_unwind(|| match args.command {
        Command::Run(a) => run::run(&a),
        Command::Plan(a) => plan::plan(&a),
        Command::Check(a) => check::check(&a),
        Command::Fmt(a) => format::format(&a),
        Command::Explain(a) => explain::explain(&a),
    });
    match done {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(_) => ExitCode::from(101),
    }
}

/// A write beyond the user's limit on file sizes (`ulimit -f`) then fails with an error like that of a full disk, where else the
/// signal would end the process without a word.
fn answer_file_limits() {
    // SAFETY: ignoring a signal installs no handler, and no other thread runs yet.
    #[cfg(unix)]
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
