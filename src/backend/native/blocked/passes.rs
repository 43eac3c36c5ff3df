//! The sweeps of a pass as a wave over the rows.
//!
//! Threads take parts of the rows. Sweep τ needs rows of earlier ones `reach` away, so a part begins `reach` rows further with each
//! sweep, and goes on as far beyond its end, where the next part (or, around a periodic end, the part itself) has begun. What later sweeps need
//! of the rows there the other one kept: a ring forgets, so each part saves the first rows of its sweeps (their *head*). Every row is computed once.

use super::layout::{Aligned, Field};
use super::rings::Ring;
use super::schedule::Box;
use super::slots::Kind;
use super::windows::Window;
use super::{Blocked, Sweep, far};
use crate::backend::native::Context;
use crate::backend::native::kernel::Pointers;
use crate::backend::native::small::Flush;
use std::ops::Range;

/// One sweep, or what the last step back takes over from the one before, by position in time.
pub struct Stage<'a> {
    pub work: Work<'a>,
    /// Of each slot.
    pub table: Vec<Place>,
    /// Of each slot that is written the rows of its head.
    pub heads: Vec<Head>,
}

pub enum Work<'a> {
    Sweep(&'a Blocked, &'a Sweep),
    /// From the first slot of the table to the second.
    Copy(&'a Field),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Place {
    /// A whole array.
    Fixed(*mut u8),
    Ring(usize),
}

#[derive(Clone, Copy, Default)]
pub struct Head {
    pub rows: usize,
    /// Where they begin in the memory for heads.
    pub at: usize,
}

/// The memory of a part.
pub struct Working {
    pub memories: Vec<Ring>,
    pub heads: Aligned,
}

/// One pass.
pub struct Pass<'a> {
    pub stages: Vec<Stage<'a>>,
    /// Of each ring.
    pub windows: Vec<Window>,
    /// Bytes from one of its rows to the next.
    pub pitches: Vec<usize>,
    pub reach: usize,
    /// Of the grid.
    pub rows: usize,
    pub periodic: bool,
    pub parts: usize,
    /// Rows by which a wave goes on.
    pub block: usize,
    /// Rows of a ring before those that are computed which are read, or stand for what lies beyond the grid.
    pub margin: usize,
}

// SAFETY: the pointers lead to arrays that nobody writes, or of which each part writes its own rows.
unsafe impl Sync for Pass<'_> {}

/// The memory of one part, and the heads of the next.
struct Part<'a> {
    memories: &'a [Ring],
    own: *mut u8,
    next: *const u8,
    rows: Range<isize>,
    /// Whether its beginning and its end are borders to other rows.
    borders: (bool, bool),
}

// SAFETY: heads are written by their own part in the first phase, and read by the one before in the second.
unsafe impl Sync for Part<'_> {}

/// The rows of a part.
pub fn part_of(rows: usize, parts: usize, p: usize) -> Range<isize> {
    let bound = |p: usize| (rows * p / parts) as isize;
    bound(p)..bound(p + 1)
}

/// Whether parts are as long as the heads of so many sweeps need.
pub fn fits(rows: usize, parts: usize, periodic: bool, stages: usize, reach: usize) -> bool {
    (parts == 1 && !periodic) || rows / parts >= 2 * stages * reach
}

impl Pass<'_> {
    pub fn run(&self, context: &Context, memory: &mut [Working]) {
        let heads: Vec<*mut u8> = memory.iter_mut().map(|w| w.heads.pointer()).collect();
        let part = |p: usize| Part {
            memories: &memory[p].memories,
            own: heads[p],
            next: heads[(p + 1) % self.parts],
            rows: part_of(self.rows, self.parts, p),
            borders: (self.periodic || p > 0, self.periodic || p + 1 < self.parts),
        };
        let parts: Vec<Part> = (0..self.parts).map(part).collect();
        for second in [false, true] {
            context.parallel(self.parts, &|p, _| {
                let _flush = Flush::new();
                self.wave(&parts[p], second);
            });
        }
    }

    /// All stages over the rows of a part: in the first phase as far as they need nothing of the next part.
    fn wave(&self, part: &Part, second: bool) {
        let (n, reach, block) = (self.rows as isize, self.reach as isize, self.block as isize);
        let Range { start, end } = part.rows;
        let by = |border: bool| if border { reach } else { 0 };
        let low = |time: isize| start + time * by(part.borders.0);
        let high = |time: isize| end + time * by(part.borders.1);
        let last = self.stages.len() as isize - 1;
        let (mut front, stop) = if second { (end, high(last) + last * reach) } else { (start, end) };
        // The number of a row in the rings.
        let origin = start - 2 * self.margin as isize;
        let number = |row: isize| (row - origin) as usize;
        let row_of = |ring: usize, row: isize| self.windows[ring].row(part.memories, number(row), self.margin);
        let mut pointers = vec![];
        let arrays = self.arrays();
        while front < stop {
            let next = stop.min(front + block);
            for (time, stage) in self.stages.iter().enumerate() {
                self.fetch(&arrays, next, time);
                let time = time as isize;
                let (from, to) = (front - time * reach, next - time * reach);
                let (mut at, own) = (from.max(low(time)), to.min(high(time)));
                if !second && !part.borders.0 && from <= start && start < to {
                    stage.written().for_each(|ring| self.zeros(part, ring, number(start) - self.margin));
                }
                while at < own {
                    let lap = at.div_euclid(n) * n;
                    let until = own.min(lap + n);
                    let rows = ((at - lap) as usize, (until - lap) as usize);
                    self.stage(stage, part, number(at), rows, &mut pointers);
                    at = until;
                }
                for (written, head) in stage.written().zip(&stage.heads) {
                    let (pitch, rows) = (self.pitches[written], head.rows as isize);
                    let place = |first: isize, row: isize| head.at + (row - first) as usize * pitch;
                    if part.borders.0 && !second {
                        let (a, b) = (from.max(low(time)), own.min(low(time) + rows));
                        if a < b {
                            // SAFETY: rows that were just made, in one piece; the head has so many.
                            unsafe {
                                let to = part.own.add(place(low(time), a));
                                let made = row_of(written, a);
                                std::ptr::copy_nonoverlapping(made, to, (b - a) as usize * pitch);
                            }
                        }
                    }
                    if part.borders.1 {
                        let (a, b) = (from.max(high(time)), to.min(high(time) + rows));
                        if a < b {
                            // SAFETY: the head was saved in the first phase; so many rows of a ring are in one piece.
                            unsafe {
                                let saved = part.next.add(place(high(time), a));
                                let to = row_of(written, a);
                                std::ptr::copy_nonoverlapping(saved, to, (b - a) as usize * pitch);
                            }
                        }
                    }
                }
            }
            front = next;
        }
    }

    /// Whole arrays that change from pass to pass, and the stages that read them.
    fn arrays(&self) -> Vec<(usize, *const u8, &Field)> {
        let mut all = vec![];
        for (time, stage) in self.stages.iter().enumerate() {
            let Work::Sweep(of, _) = &stage.work else { continue };
            for (place, slot) in stage.table.iter().zip(&of.slots) {
                if let (Place::Fixed(p), Kind::Old(_) | Kind::Item(_)) = (place, slot.kind) {
                    all.push((time, p.cast_const(), &slot.field));
                }
            }
        }
        all
    }

    /// Asks for what stages read of them when the wave goes on behind `next`: a part before each stage.
    fn fetch(&self, arrays: &[(usize, *const u8, &Field)], next: isize, time: usize) {
        let stages = self.stages.len();
        for &(reader, array, field) in arrays {
            let row = next - (reader * self.reach) as isize + self.reach as isize;
            let bytes = self.block * field.pitch();
            let (a, b) = (bytes * time / stages, bytes * (time + 1) / stages);
            let row = row.rem_euclid(self.rows as isize) as usize + field.beyond_rows().0;
            far::to_read(array.wrapping_add(row * field.pitch() + a), b - a);
        }
    }

    /// One stage over some rows of the grid, the first of which has this number in the rings.
    fn stage(&self, stage: &Stage, part: &Part, number: usize, rows: (usize, usize), pointers: &mut Vec<*mut u8>) {
        // Where the array would begin, were it whole.
        let whole = |place: Place, field: &Field| match place {
            Place::Fixed(p) => p,
            Place::Ring(ring) => {
                let row = self.windows[ring].row(part.memories, number, self.margin);
                row.wrapping_sub((field.beyond_rows().0 + rows.0) * field.pitch())
            }
        };
        match &stage.work {
            Work::Copy(field) => {
                let (from, to) = (whole(stage.table[0], field), whole(stage.table[1], field));
                // SAFETY: these rows belong to this part.
                unsafe { field.copy_rows(from, to, rows) };
                self.around(stage.table[1], field, part, (to, number), rows);
            }
            Work::Sweep(of, sweep) => {
                pointers.clear();
                pointers.extend(stage.table.iter().zip(&of.slots).map(|(place, slot)| whole(*place, &slot.field)));
                let table = Pointers(pointers);
                sweep.pieces.iter().for_each(|piece| piece.call_box(&table, rows, (0, 1)));
                for &w in &sweep.writes {
                    self.around(stage.table[w], &of.slots[w].field, part, (pointers[w], number), rows);
                }
            }
        }
    }

    /// What lies around rows that were just made.
    fn around(&self, place: Place, field: &Field, part: &Part, (base, number): (*mut u8, usize), rows: (usize, usize)) {
        match place {
            // SAFETY: the array is as long as its field says, and these rows belong to this part.
            Place::Fixed(_) => unsafe { field.refresh(base, &Box { rows, columns: (0, 1) }, field.grid()) },
            Place::Ring(ring) => {
                // SAFETY: rows that were just made.
                unsafe { field.columns_around(base, rows) };
                // Behind the last row of the grid lie zeros.
                if !self.periodic && rows.1 == self.rows {
                    self.zeros(part, ring, number + rows.1 - rows.0);
                }
            }
        }
    }

    /// As many rows as are read beyond the grid.
    fn zeros(&self, part: &Part, ring: usize, first: usize) {
        let row = self.windows[ring].row(part.memories, first, self.margin);
        // SAFETY: so many rows from any on lie in one piece, and the window has place for them.
        unsafe { row.write_bytes(0, self.margin * self.pitches[ring]) };
    }
}

impl Stage<'_> {
    /// The slots that are written.
    pub fn writes(&self) -> &[usize] {
        match &self.work {
            Work::Sweep(_, sweep) => &sweep.writes,
            Work::Copy(_) => &[1],
        }
    }

    /// The rings that are written, in the order of the heads.
    pub fn written(&self) -> impl Iterator<Item = usize> {
        let ring = |w: &usize| if let Place::Ring(r) = self.table[*w] { Some(r) } else { None };
        self.writes().iter().filter_map(ring)
    }
}
