//! Machine code of a [`Nest`] with vectors of 512 bits, where the processor has AVX-512.
//!
//! The portable emitter knows 128 bits only. This one selects instructions ([`select`], [`tape`]), orders them ([`plan`]),
//! assigns registers and emits them ([`registers`], [`body`], [`memory`]) inside loops ([`loops`], [`encode`]). Elementary functions are written out from the text that the interpreter
//! evaluates, and every operation rounds as there, so that both emitters and the interpreter give the same bits.

mod body;
mod encode;
mod loops;
mod memory;
mod operations;
mod plan;
mod registers;
mod scalar;
mod select;
mod tape;
mod vector;

use super::nest::Nest;

/// A function `(buffers, first, last, scratch, first, last)` over ranges of the outermost loop, and of the second one of three.
pub struct Code {
    /// To be placed at a multiple of 64.
    pub bytes: Vec<u8>,
    /// Bytes of scratch memory that a call needs.
    pub scratch: usize,
}

/// Whether this processor runs such code, and its functions are called in the way that the code expects.
pub fn available() -> bool {
    #[cfg(all(target_arch = "x86_64", unix))]
    {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("bmi2")
    }
    #[cfg(not(all(target_arch = "x86_64", unix)))]
    false
}

/// None where the nest is too long, or an address does not fit; the portable emitter takes those. `lengths`: of the buffers, in
/// elements. `streaming`: large results may go around the caches.
pub fn emit(nest: &Nest, lengths: &[usize], streaming: bool) -> Option<Code> {
    let selected = select::select(nest, lengths)?;
    let groups = selected.groups.clone();
    let double = nest.graph.dtype == crate::ir::DType::F64;
    let plan = plan::Plan::new(selected, double);
    let mut a = encode::Assembler::default();
    let scratch = loops::emit(&mut a, nest, &groups, &plan, streaming && streams(nest, lengths));
    Some(Code { bytes: a.finish(), scratch })
}

/// Results so large that no cache keeps them until they are read are written around the caches: the lines are then not read
/// before, which saves a third of the traffic of a copy.
fn streams(nest: &Nest, lengths: &[usize]) -> bool {
    const LARGE: usize = 64 << 20;
    nest.stores.iter().any(|(a, _)| lengths[a.buffer] * nest.graph.dtype.size() >= LARGE)
}

#[cfg(test)]
mod tests;
