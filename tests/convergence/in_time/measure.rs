//! Runs of composed programs inside this process: what a solution is at the end, or why it was refused.

use mslc::base::{Diagnostic, Sources};
use mslc::exec::engine::Engine;
use mslc::exec::outcome::Entry;
use mslc::exec::progress::Silent;
use mslc::exec::run::{self, Options};
use mslc::exec::study::{SavedField, Series, Writer};
use mslc::lower::value::Value;
use mslc::sema::hir::Program;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A program whose studies run one by one, and the folder of its results.
pub struct Programme {
    program: Program,
    folder: PathBuf,
}

/// Why there is no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: String,
    pub message: String,
}

impl Programme {
    /// Panics where the text is not sound: a mistake of the list of problems.
    pub fn new(text: &str) -> Programme {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let mut sources = Sources::default();
        let root = sources.add("orders.msl", text);
        let (program, found) = mslc::sema::analyse(sources, root, &Default::default());
        let errors: Vec<&Diagnostic> = found.iter().filter(|d| d.is_error()).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{text}");
        let name = format!("mslc-orders-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Programme { program, folder: std::env::temp_dir().join(name) }
    }

    /// The numbers that a study reports, a list for each `report`.
    pub fn run(&self, study: &str) -> Result<Vec<Vec<f64>>, Refusal> {
        let options = Options {
            engine: Engine { threads: 1, candle: false },
            seed: None,
            studies: vec![study.into()],
            folder: PathBuf::new(),
            out: self.folder.clone(),
            progress: Box::new(Silent),
            checkpoint_every: None,
        };
        let finished = catch_unwind(AssertUnwindSafe(|| run::run(&self.program, options, &mut Nowhere)));
        let finished = finished.map_err(|_| Refusal { code: "panic".into(), message: study.into() })?;
        match finished.failure {
            Some(d) => Err(Refusal { code: d.code.to_string(), message: d.message }),
            None => Ok(finished
                .outcome
                .rows
                .iter()
                .map(|r| r.entries.iter().flat_map(|e| numbers(&e.1)).collect())
                .collect()),
        }
    }
}

impl Drop for Programme {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn numbers(e: &Entry) -> Vec<f64> {
    match e {
        Entry::Number { value, .. } => vec![*value],
        Entry::Numbers { values, .. } => values.clone(),
        Entry::Text(words) => panic!("`{words}` is no number"),
    }
}

/// These programs write no files.
struct Nowhere;

impl Writer for Nowhere {
    fn vtk(&mut self, _: &str, _: &[SavedField], _: mslc::base::Span) -> Result<PathBuf, Box<Diagnostic>> {
        unreachable!("a file")
    }
    fn save(&mut self, _: &str, _: &[(String, Value)], _: mslc::base::Span) -> Result<PathBuf, Box<Diagnostic>> {
        unreachable!("a file")
    }
    fn series(&mut self, _: &str, _: &Series, _: mslc::base::Span) -> Result<PathBuf, Box<Diagnostic>> {
        unreachable!("a file")
    }
}
