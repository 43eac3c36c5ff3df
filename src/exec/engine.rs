//! How functions are computed: by a backend, compiled once and run many times.

use crate::ir::{Func, Tensor, fault::Fault};

/// Which executor, and how many threads it may use.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    pub threads: usize,
    /// The tensor library instead of generated code.
    pub candle: bool,
}

/// A compiled function.
pub struct Compiled {
    func: Func,
}

impl Engine {
    pub fn name(&self) -> &'static str {
        if self.candle { "candle" } else { "native" }
    }

    pub fn compile(&self, func: &Func) -> Result<Compiled, Fault> {
        Ok(Compiled { func: func.clone() })
    }
}

impl Compiled {
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, Fault> {
        crate::ir::eval::eval(&self.func, inputs)
    }
}
