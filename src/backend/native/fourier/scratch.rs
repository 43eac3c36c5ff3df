//! Memory for the time of a transform, the same for all transforms that there are: of those that come one after the other only one
//! uses it.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

/// Pieces of memory that nobody uses now.
#[derive(Default)]
pub struct Scratch {
    idle: Mutex<Vec<Vec<Line>>>,
}

/// Pieces begin at multiples of a cache line. Never read as such.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
#[allow(dead_code, reason = "memory is taken in such pieces, and used as numbers")]
struct Line([u64; 8]);

impl Scratch {
    /// That of all transforms; gone with the last of them.
    pub fn shared() -> Arc<Scratch> {
        static SHARED: Mutex<Weak<Scratch>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|e| e.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let new = Arc::default();
            *shared = Arc::downgrade(&new);
            new
        })
    }

    /// Gives `f` so many bytes, of any content.
    pub fn with<R>(&self, bytes: usize, f: impl FnOnce(*mut u8) -> R) -> R {
        let mut memory = self.take(bytes);
        let result = f(memory.as_mut_ptr().cast());
        self.idle().push(memory);
        result
    }

    /// The same of several pieces.
    pub fn with_many<R>(&self, bytes: usize, count: usize, f: impl FnOnce(&[*mut u8]) -> R) -> R {
        let mut pieces: Vec<Vec<Line>> = (0..count).map(|_| self.take(bytes)).collect();
        let places: Vec<*mut u8> = pieces.iter_mut().map(|p| p.as_mut_ptr().cast()).collect();
        let result = f(&places);
        self.idle().append(&mut pieces);
        result
    }

    /// The least of the idle pieces that are large enough, else a new one in place of the largest, so that in the end there are as many
    /// as are used at a time.
    fn take(&self, bytes: usize) -> Vec<Line> {
        let lines = bytes.div_ceil(size_of::<Line>());
        let reused = {
            let mut idle = self.idle();
            let fits = (0..idle.len()).filter(|&k| idle[k].len() >= lines).min_by_key(|&k| idle[k].len());
            let chosen = fits.or_else(|| (0..idle.len()).max_by_key(|&k| idle[k].len()));
            chosen.map(|k| idle.swap_remove(k))
        };
        match reused {
            Some(memory) if memory.len() >= lines => memory,
            smaller => {
                drop(smaller);
                vec![Line::default(); lines]
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Vec<Line>>> {
        self.idle.lock().unwrap_or_else(|e| e.into_inner())
    }
}
