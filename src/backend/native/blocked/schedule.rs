//! In which order the parts of several steps are done.
//!
//! Time is counted in sweeps. A row of sweep τ needs rows of earlier sweeps at most `reach` away. The first axis is cut into parts,
//! one a thread. In a first phase each part shrinks by `reach` a sweep at both ends; in a second one the gaps that this leaves around
//! each border grow by as much. Within a part sweeps follow each other as a wave over blocks of few rows, sweep τ + 1 `reach`
//! rows behind sweep τ, so that what one writes the next finds in cache. In three dimensions the second axis is cut into strips that lean
//! against the one before. No array is overwritten before its last reader is past: two sweeps that use one array in turn
//! are at least one sweep apart, and each is `reach` rows behind the one before.

use crate::backend::native::small::Flush;
use crate::backend::native::{Context, processors};

/// Rows of the first axis, and of the second one of three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Box {
    pub rows: (usize, usize),
    pub columns: (usize, usize),
}

/// What the schedule depends on.
pub struct Problem<'a> {
    pub grid: &'a [usize],
    pub reach: [usize; 2],
    pub periodic: [bool; 2],
    /// Of one step.
    pub sweeps: usize,
    /// Bytes of one index of all axes but the last, over all large arrays.
    pub row_bytes: usize,
    /// Operations of a step.
    pub cost: usize,
    /// The second axis may be cut.
    pub boxed: bool,
    /// The first axis may be cut.
    pub divisible: bool,
    pub threads: usize,
}

#[derive(Clone, Debug)]
pub struct Schedule {
    /// Steps that advance together.
    pub steps: usize,
    /// Parts of the first axis.
    parts: usize,
    /// Rows of a block of the wave.
    block: usize,
    /// Strips of the second axis.
    strips: usize,
    /// Sweeps finish everywhere before the next begins.
    in_turn: bool,
    /// The second axis may be cut.
    #[cfg(test)]
    boxed: bool,
    rows: usize,
    columns: usize,
    reach: [usize; 2],
    periodic: [bool; 2],
}

/// A range of rows that changes by so much from sweep to sweep.
#[derive(Clone, Copy, Debug)]
struct Range {
    low: isize,
    high: isize,
    low_by: isize,
    high_by: isize,
}

/// Operations worth another thread.
const WORTH: usize = 150_000;
/// Sweeps that advance together at most.
const MOST: usize = 32;

impl Range {
    fn at(&self, time: usize) -> (isize, isize) {
        (self.low + time as isize * self.low_by, self.high + time as isize * self.high_by)
    }
}

impl Schedule {
    pub fn new(p: &Problem) -> Schedule {
        let rows = p.grid[0];
        let columns = if p.grid.len() == 3 { p.grid[1] } else { 1 };
        let [reach, across] = p.reach;
        let mut s = Schedule {
            steps: MOST.div_ceil(p.sweeps),
            parts: 1,
            block: rows,
            strips: 1,
            in_turn: true,
            #[cfg(test)]
            boxed: p.boxed,
            rows,
            columns,
            reach: p.reach,
            periodic: p.periodic,
        };
        // Bytes of one index of the first axis, for each column.
        let row = if p.grid.len() == 1 { p.row_bytes.div_ceil(rows) } else { p.row_bytes };
        let total = row * rows * columns;
        // Of the second-level cache, what is sure to stay.
        let cache = processors::second_level_cache() / 4 * 3;
        let worth = |steps: usize| p.threads.min(p.cost * steps / WORTH + 1).min(rows).max(1);
        if !p.divisible {
            return s;
        }
        s.parts = worth(1);
        // So many steps leave at least half of each part to the first phase.
        let fits = |parts: usize| rows / (4 * parts * p.sweeps * reach.max(1));
        let mut steps = s.steps.min(fits(worth(s.steps)));
        let least = |steps: usize| steps * p.sweeps * reach + 2 * reach + 2;
        if steps == 0 {
            // Too wide for phases: threads meet after each sweep.
            return s;
        }
        if total <= cache && p.threads == 1 {
            return s;
        }
        if columns > 1 && p.boxed {
            // Two steps from a cache further away are faster than one from memory.
            let width =
                |steps: usize| (3 * cache / (least(steps) * row)).saturating_sub((steps * p.sweeps + 2) * across);
            let narrowest = |steps: usize| (2 * across * steps * p.sweeps).max(16);
            steps = steps.min(4);
            while steps > 1 && width(steps) < narrowest(steps) {
                steps -= 1;
            }
            let strip = width(steps).max(narrowest(steps));
            s.strips = (columns / strip).max(1);
        } else {
            while steps > 1 && least(steps) * row * columns > cache {
                steps -= 1;
            }
        }
        let strip = columns.div_ceil(s.strips) + (steps * p.sweeps + 2) * across;
        let strip = if p.grid.len() == 3 { strip.min(columns) } else { 1 };
        let cache = if columns > 1 { 3 * cache } else { cache };
        let room = (cache / (strip * row).max(1)).saturating_sub(steps * p.sweeps * reach + 2 * reach);
        s.block = room.clamp(1, rows);
        s.steps = steps;
        s.parts = worth(steps);
        s.in_turn = false;
        s
    }

    /// The same with other parameters, if they fit the problem.
    #[cfg(test)]
    pub fn altered(&self, steps: usize, parts: usize, block: usize, strips: usize, sweeps: usize) -> Option<Schedule> {
        let times = steps * sweeps;
        let narrow = |n: usize, k: usize, reach: usize| n / k < 2 * reach * times || n < k;
        let fits = !narrow(self.rows, parts, self.reach[0])
            && (strips == 1 || self.boxed && !narrow(self.columns, strips, self.reach[1]));
        fits.then(|| Schedule { steps, parts, block, strips, in_turn: false, ..self.clone() })
    }

    /// `times` sweeps; `work(time, box)`.
    pub fn run(&self, context: &Context, times: usize, work: &(dyn Fn(usize, &Box) + Sync)) {
        let bound = |p: usize| (self.rows * p / self.parts) as isize;
        if self.in_turn {
            for time in 0..times {
                context.parallel(self.parts, &|p, _| {
                    let _flush = Flush::new();
                    let rows = (bound(p) as usize, bound(p + 1) as usize);
                    work(time, &Box { rows, columns: (0, self.columns) });
                });
            }
            return;
        }
        let reach = self.reach[0] as isize;
        let around = self.periodic[0];
        context.parallel(self.parts, &|p, _| {
            let low_by = if p == 0 && !around { 0 } else { reach };
            let high_by = if p + 1 == self.parts && !around { 0 } else { -reach };
            self.part(times, Range { low: bound(p), high: bound(p + 1), low_by, high_by }, work);
        });
        if reach == 0 || times == 1 {
            return;
        }
        let first = if around { 0 } else { 1 };
        context.parallel(self.parts - first, &|p, _| {
            let at = bound(p + first);
            self.part(times, Range { low: at, high: at, low_by: -reach, high_by: reach }, work);
        });
    }

    /// All strips of some rows.
    fn part(&self, times: usize, rows: Range, work: &dyn Fn(usize, &Box)) {
        let _flush = Flush::new();
        let n = self.columns as isize;
        if self.strips == 1 {
            return self.wave(times, rows, Range { low: 0, high: n, low_by: 0, high_by: 0 }, work);
        }
        let (reach, around) = (self.reach[1] as isize, self.periodic[1]);
        let bound = |k: usize| (self.columns * k / self.strips) as isize;
        for k in 0..self.strips {
            let low_by = match k {
                0 if around => reach,
                0 => 0,
                _ => -reach,
            };
            let high_by = if k + 1 == self.strips && !around { 0 } else { -reach };
            self.wave(times, rows, Range { low: bound(k), high: bound(k + 1), low_by, high_by }, work);
        }
        if around && reach > 0 {
            self.wave(times, rows, Range { low: 0, high: 0, low_by: -reach, high_by: reach }, work);
        }
    }

    /// All sweeps over some rows and columns.
    fn wave(&self, times: usize, rows: Range, columns: Range, work: &dyn Fn(usize, &Box)) {
        let reach = self.reach[0] as isize;
        let behind = |time: usize| time as isize * reach;
        let ends = (0..times).map(|t| (rows.at(t).0 + behind(t), rows.at(t).1 + behind(t)));
        let (first, last) = ends.fold((isize::MAX, isize::MIN), |(a, b), (c, d)| (a.min(c), b.max(d)));
        let mut front = first;
        while front < last {
            for time in 0..times {
                let (low, high) = rows.at(time);
                let low = low.max(front - behind(time));
                let high = high.min(front + self.block as isize - behind(time));
                wrapped(low, high, self.rows, |rows| {
                    let (low, high) = columns.at(time);
                    wrapped(low, high, self.columns, |columns| work(time, &Box { rows, columns }));
                });
            }
            front += self.block as isize;
        }
    }
}

/// The parts of a range that may go beyond the ends of `0..n`, brought inside.
fn wrapped(low: isize, high: isize, n: usize, mut f: impl FnMut((usize, usize))) {
    let n = n as isize;
    let mut at = low;
    while at < high {
        let lap = at.div_euclid(n);
        let end = high.min((lap + 1) * n);
        f(((at - lap * n) as usize, (end - lap * n) as usize));
        at = end;
    }
}
