//! Constants of generated code.

use std::collections::HashMap;

/// Constants, each repeated over a vector, that code reads by address.
#[derive(Default)]
pub struct Table {
    // Boxed, because code holds their addresses.
    #[allow(clippy::vec_box)]
    chunks: Vec<Box<[u64; 2]>>,
    known: HashMap<[u64; 2], usize>,
}

impl Table {
    pub fn address(&mut self, bits: [u64; 2]) -> *const u8 {
        let k = *self.known.entry(bits).or_insert_with(|| {
            self.chunks.push(Box::new(bits));
            self.chunks.len() - 1
        });
        self.chunks[k].as_ptr().cast()
    }
}
