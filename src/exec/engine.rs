//! How functions are computed: compiled once by a back end, run many times.

use crate::backend::{self, Backend, Executable};
use crate::ir::{Fault, Func};
use crate::passes;

/// Which executor, and how many threads it may use.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    /// 0: as many as there are cores.
    pub threads: usize,
    /// The tensor library instead of generated code.
    pub candle: bool,
}

impl Engine {
    pub fn name(&self) -> &'static str {
        if self.candle { "candle" } else { "native" }
    }

    pub fn compile(&self, func: &Func) -> Result<Executable, Fault> {
        self.compile_optimised(&passes::optimise(func.clone()))
    }

    /// Compiles what the passes have been over.
    pub fn compile_optimised(&self, func: &Func) -> Result<Executable, Fault> {
        let backend = if self.candle { Backend::Candle } else { Backend::Native };
        backend::compile(func, &backend::Options { threads: self.threads, backend })
    }
}
