//! The second executor (under construction in this file).
use crate::ir::{Fault, Func, Tensor};
pub struct Candle;
impl Candle {
    pub fn compile(f: &Func) -> Result<Candle, Fault> {
        Err(Fault::new(&f.name, "the candle back end is not built in yet").help("use the native back end"))
    }
    pub fn run(&self, _: &[Tensor]) -> Result<Vec<Tensor>, Fault> {
        unreachable!("compiler bug: it cannot be compiled")
    }
}
