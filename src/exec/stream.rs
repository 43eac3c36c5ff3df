//! Samples of a run in time that are too many for memory: they go to the file of the result as they are made.

use super::fs::DiskFault;
use super::store::{Artifact, Partial, Store};
use crate::backend::View;
use crate::base::Fingerprint;
use crate::ir::{Fault, Func, Op, Tensor, Type};
use indexmap::IndexMap;
use serde_json::Value as Json;
use std::ops::Range;

/// Samples of a run that take so many bytes are not held in memory.
pub const LARGE: usize = 1 << 26;

/// The loop of a function all of whose rows are results and nothing else.
pub struct Rows {
    /// Name of its body.
    pub body: String,
    /// Results that its rows are, in their order.
    pub outputs: Vec<usize>,
}

impl Rows {
    /// Of the first loop at the top of the function that is followed and has rows; None where they are read by others, or small.
    pub fn of(func: &Func, follows: impl Fn(&str) -> bool) -> Option<Rows> {
        let (at, body, carry) = func.values().find_map(|(v, n)| match &n.op {
            Op::Scan { body, carry, reverse: false, .. } if follows(&body.name) && body.outputs.len() > *carry => {
                Some((v, body, *carry))
            }
            _ => None,
        })?;
        let outputs = (carry..body.outputs.len()).map(|k| {
            let row = func.values().find(|(_, n)| n.op == Op::Get(k) && n.args[0] == at)?.0;
            let read = func.nodes.iter().any(|n| n.args.contains(&row));
            let mut places = func.outputs.iter().enumerate().filter(|(_, v)| **v == row).map(|(i, _)| i);
            let place = places.next()?;
            (!read && places.next().is_none()).then_some(place)
        });
        let outputs = outputs.collect::<Option<Vec<usize>>>()?;
        let bytes: usize = outputs.iter().map(|i| size(func.ty(func.outputs[*i]))).sum();
        (bytes >= LARGE).then(|| Rows { body: body.name.clone(), outputs })
    }
}

/// Bytes of a tensor.
fn size(ty: &Type) -> usize {
    ty.len() * ty.dtype.size()
}

/// The rows of a loop on their way to the disk.
pub struct Stream {
    pub rows: Rows,
    file: Partial,
    /// Steps whose rows are there.
    done: usize,
    /// Why the disk took no more.
    pub fault: Option<DiskFault>,
}

impl Stream {
    /// Takes up or begins the file of the result with this key. None where the rows must be held in memory after all.
    ///
    /// # Errors
    /// Where the disk has no room for them.
    pub fn open(store: &Store, key: &Fingerprint, func: &Func, rows: Rows) -> Result<Option<Stream>, DiskFault> {
        let array = |i: &usize| (i.to_string(), func.ty(func.outputs[*i]).clone());
        let arrays: Vec<(String, Type)> = rows.outputs.iter().map(array).collect();
        Ok(store.begin(key, &arrays)?.map(|file| Stream { rows, file, done: 0, fault: None }))
    }

    /// Appends the rows of these steps.
    pub fn take(&mut self, steps: Range<usize>, rows: &[View]) -> Result<(), Fault> {
        if steps.start != self.done {
            // What was saved did not fit after all, and the loop began again.
            self.restart();
        }
        assert_eq!(steps.start, self.done, "compiler bug: samples out of order");
        let bytes: Vec<&[u8]> = rows.iter().map(View::raw).collect();
        self.file.append(&bytes).map_err(|fault| {
            let words = fault.to_string();
            self.fault = Some(fault);
            Fault::new(&self.rows.body, words)
        })?;
        self.done = steps.end;
        Ok(())
    }

    /// What identifies the rows so far, which are then on the disk. None where the disk refuses.
    pub fn settled(&mut self) -> Option<Fingerprint> {
        self.file.settled().ok()
    }

    /// Goes on after so many steps; false where what is there is not what was there, and everything begins again.
    pub fn resume(&mut self, steps: usize, content: Fingerprint) -> bool {
        let there = self.file.resume(steps, content);
        self.done = if there { steps } else { 0 };
        there
    }

    pub fn restart(&mut self) {
        self.file.restart();
        self.done = 0;
    }

    /// The whole result, its other arrays given: `tensors` has nothing in the places of the rows.
    pub fn finish(
        self,
        store: &Store,
        key: &Fingerprint,
        of: (&str, &Json),
        tensors: &[Tensor],
    ) -> Result<Option<Artifact>, DiskFault> {
        let others = (0..tensors.len()).filter(|i| !self.rows.outputs.contains(i));
        let others: IndexMap<String, Tensor> = others.map(|i| (i.to_string(), tensors[i].clone())).collect();
        store.complete(self.file, key, of, &others)
    }

    /// Removes what was written.
    pub fn discard(self) {
        self.file.discard();
    }
}

/// Gives back the memory of constants in files that a function has read.
pub fn release(func: &Func) {
    for node in &func.nodes {
        if let Op::Const(t) = &node.op {
            t.release();
        }
    }
}
