//! Where the rows of a pass lie: those of all rings in one memory that repeats, and the heads of the parts.
//!
//! Of each ring a window of rows is in use: from the newest, at the front of the sweep that writes it first, to the oldest that a later sweep
//! reads. All windows move on with the wave, by as many rows at a time. So they lie behind each other in one [`Ring`], which is as long as
//! all of them together: nobody's row is written over before its last reader is past, and nothing lies in cache that no one needs.

use super::layout::Field;
use super::passes::{Head, Place, Stage};
use super::rings::Ring;

/// Where a ring begins in the memory for rows of its length: behind the rows of others, and so many bytes further.
#[derive(Clone, Copy, Default)]
pub struct Window {
    memory: usize,
    rows: usize,
    bytes: usize,
}

/// A memory that repeats: rows, and bytes from one to the next, and those of them that are read or written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    pub rows: usize,
    pub pitch: usize,
    pub touched: usize,
}

/// What the wave is like.
#[derive(Clone, Copy)]
pub struct Wave {
    /// Rows by which each sweep is behind the one before, which is as far as it reads.
    pub reach: usize,
    /// Rows by which a wave goes on.
    pub block: usize,
    /// Rows before and behind the grid which are read.
    pub margin: usize,
}

/// Bytes after which addresses look alike to a processor.
const PAGE: usize = 4096;
/// How far rows of one number in one ring and in the next are apart within a page: a load waits for an earlier store whose address has the same
/// last twelve bits. [Intel Optimization Manual, §B.7.4.4, 4K aliasing]
const APART: usize = 9 * 64;

impl Window {
    /// Where a row begins, before which `before` rows are in the same piece.
    pub fn row(&self, memories: &[Ring], number: usize, before: usize) -> *mut u8 {
        memories[self.memory].row(number + self.rows, before).wrapping_add(self.bytes)
    }
}

/// Each ring's window, and the memories; `fields` are the rings' layouts.
pub fn lay_out(stages: &[Stage], fields: &[&Field], wave: Wave) -> (Vec<Window>, Vec<Size>) {
    let mut memories: Vec<Size> = vec![];
    // Bytes that are taken of each memory.
    let mut taken: Vec<usize> = vec![];
    let mut windows = vec![Window::default(); fields.len()];
    for (ring, field) in fields.iter().enumerate() {
        let Some(first) = stages.iter().position(|s| s.written().any(|r| r == ring)) else { continue };
        let last = stages.iter().rposition(|s| s.table.contains(&Place::Ring(ring))).unwrap_or(first);
        let pitch = field.pitch();
        let memory = memories.iter().position(|m| m.pitch == pitch).unwrap_or(memories.len());
        if memory == memories.len() {
            memories.push(Size { rows: 0, pitch, touched: 0 });
            taken.push(0);
        }
        memories[memory].touched = memories[memory].touched.max(field.touched());
        let read = ((last - first + 1) * wave.reach).max(wave.margin);
        let begin = taken[memory] + (wave.block + read + wave.margin) * pitch;
        // Rows of one number: the window's own are `first` sweeps behind the front.
        let of_number = begin + first * wave.reach * pitch;
        let begin = begin + (ring * APART).wrapping_sub(of_number) % PAGE;
        taken[memory] = begin;
        windows[ring] = Window { memory, rows: begin / pitch + first * wave.reach, bytes: begin % pitch };
    }
    // Each window's end is where the next one's beginning is measured from: one row more for the part of one.
    memories.iter_mut().zip(taken).for_each(|(m, taken)| m.rows = taken.div_ceil(m.pitch) + 1);
    (windows, memories)
}

/// Of each row of a ring that is written as many as later stages read beyond the rows that the writing one has done; and bytes for all.
pub fn lay_out_heads(stages: &mut [Stage], fields: &[&Field], reach: usize) -> usize {
    let mut at = 0;
    for time in 0..stages.len() {
        let head = |ring: usize| {
            let later = &stages[time + 1..];
            let end = later.iter().position(|s| s.written().any(|r| r == ring)).unwrap_or(later.len());
            let reads = |s: &Stage| s.table.contains(&Place::Ring(ring));
            let last = later[..end].iter().rposition(reads).map_or(0, |k| k + 1);
            let rows = if last > 0 { (last + 1) * reach } else { 0 };
            at += rows * fields[ring].pitch();
            Head { rows, at: at - rows * fields[ring].pitch() }
        };
        let heads = stages[time].written().map(head).collect();
        stages[time].heads = heads;
    }
    at
}
