//! The command line as clap sees it. Help texts are written for a researcher who has a program and wants a result.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const EXIT_CODES: &str = "Exit codes:
  0    all is well, every check holds
  1    a check of the program failed, or `fmt --check` found a file to format
  2    the program or the command line is wrong
  3    the run failed (a solver, the disk)
  101  a bug in mslc
  130  interrupted with Ctrl-C; what had finished is kept";

/// Compiler and runtime of MSL, a language for multiscale modelling with machine learning
#[derive(Parser, Debug)]
#[command(name = "mslc", version, propagate_version = true, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the studies of a program and write a report
    Run(Run),
    /// Show what `run` would do, why, and at what cost
    Plan(Run),
    /// Find the errors of a program without running it
    Check(Check),
    /// Format programs in place
    Fmt(Fmt),
    /// Explain a diagnostic code, such as `units.mismatch`
    Explain(Explain),
}

const RUN_EXAMPLES: &str = "Examples:
  mslc run heat.msl                       every study; results in .mslc/ beside the program
  mslc run heat.msl validate              the study `validate` only
  mslc run heat.msl --set 'h=1[mm]'       with another value of `param h`
  mslc run heat.msl --seed 3 --out out/   other random draws, results in out/
  mslc plan heat.msl                      what would run, and what is cached

A run can be stopped at any time, even by kill -9 or a full disk: tasks that have finished are kept,
long runs in time leave checkpoints, and the same command resumes.

Results of tasks are kept in DIR/cache, DIR being the folder of results. Delete that folder to empty
the cache; what it holds beyond 4 GiB goes by itself, the oldest first. `mslc plan` says what it has.";

#[derive(ClapArgs, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub struct Run {
    /// The program
    pub file: PathBuf,
    /// Studies to run; all where none is named
    pub studies: Vec<String>,
    /// Override a `param`; repeatable. The unit must have the parameter's dimension
    #[arg(long, value_name = "NAME=VALUE[UNIT]")]
    pub set: Vec<String>,
    /// Seed of every random draw; the same as `--set seed=N` where the program has `param seed`
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Threads to use; results do not depend on it [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Folder of results and cache [default: .mslc/NAME beside the program]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Seconds between two checkpoints of a run in time, from which a killed run goes on
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub checkpoint_every: Option<f64>,
    /// What computes
    #[arg(long, value_enum, default_value_t = Backend::Native)]
    pub backend: Backend,
    /// Diagnostics, progress and checks as JSON on stdout, one object a line
    #[arg(long)]
    pub json: bool,
    /// No progress and no summary; errors only
    #[arg(long, short)]
    pub quiet: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|s: &f64| s.is_finite() && *s >= 0.0).ok_or("not a number of seconds".into())
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub enum Backend {
    /// Compiled kernels and planned buffers
    Native,
    /// Tensors through candle, an independent executor
    Candle,
}

const CHECK_EXAMPLES: &str = "Examples:
  mslc check heat.msl            errors and warnings, with the places they are at
  mslc check *.msl --quiet       exit code 2 where one of them has an error
  mslc check --json heat.msl     for editors: one JSON object a line on stdout";

#[derive(ClapArgs, Debug)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct Check {
    /// Programs; `-` reads from standard input
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Override a `param`; repeatable
    #[arg(long, value_name = "NAME=VALUE[UNIT]")]
    pub set: Vec<String>,
    /// One JSON object a diagnostic on stdout: code, severity, message, file, byte and line/column ranges, labels, help, note
    #[arg(long)]
    pub json: bool,
    /// No summary and no warnings; errors only
    #[arg(long, short)]
    pub quiet: bool,
}

const FMT_EXAMPLES: &str = "Examples:
  mslc fmt heat.msl              in place
  mslc fmt --check *.msl         write nothing; exit code 1 and the names of files that would change
  mslc fmt - < heat.msl          from standard input to standard output";

#[derive(ClapArgs, Debug)]
#[command(after_help = FMT_EXAMPLES)]
pub struct Fmt {
    /// Programs; `-` formats standard input to standard output
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Write nothing; exit code 1 where a file would change
    #[arg(long)]
    pub check: bool,
    /// Diagnostics as JSON on stdout, one object a line
    #[arg(long)]
    pub json: bool,
    /// Errors only
    #[arg(long, short)]
    pub quiet: bool,
}

const EXPLAIN_EXAMPLES: &str = "Examples:
  mslc explain units.mismatch
  mslc explain                   every code, a line each";

#[derive(ClapArgs, Debug)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct Explain {
    /// A code as it stands in the first line of a message; a list of all where none is given
    pub code: Option<String>,
}
