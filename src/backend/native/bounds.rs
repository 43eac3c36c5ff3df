//! Where a loop of many steps leaves its state, so that it can be gone back over in little memory.
//!
//! Segments are gone back over last first. While that is done for one of them, the places of states that were left behind it are free,
//! so an earlier segment may be longer by one step than the next: with `p` places (p + 1)(p + 2)/2 steps are computed once more and no
//! oftener. [Griewank & Walther 2000, Algorithm 799: revolve, with two evaluations of a step]

/// Where the segments of a loop begin, and how much is computed again on the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first step of each segment, and behind the last one all steps.
    pub starts: Vec<usize>,
    /// Places for states. The state before the first segment has none, that before segment k place k - 1.
    pub places: usize,
}

impl Bounds {
    /// Of so many steps, at least one, with at least two places.
    pub fn new(steps: usize, places: usize) -> Bounds {
        let mut lengths = vec![];
        let mut left = steps;
        for place in 0..=places {
            let length = left.min(places - place + 1);
            lengths.extend((length > 0).then_some(length));
            left -= length;
        }
        // What is too much goes where most places are free, and lengthens one segment rather than several.
        while left > 0 {
            for (segment, length) in lengths.iter_mut().enumerate().take(places - 1) {
                let more = left.min(places - segment);
                *length += more;
                left -= more;
            }
        }
        let mut starts = vec![0];
        for length in lengths {
            starts.push(starts[starts.len() - 1] + length);
        }
        Bounds { starts, places }
    }

    /// The fewest places with which no step is computed more than once again.
    pub fn enough(steps: usize) -> usize {
        (2..)
            .find(|p| (p + 1) * (p + 2) / 2 >= steps)
            .expect("compiler bug: a loop of more steps than there are numbers")
    }

    pub fn segments(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn length(&self, segment: usize) -> usize {
        self.starts[segment + 1] - self.starts[segment]
    }

    /// Places that are free on the way back over a segment.
    pub fn free(&self, segment: usize) -> std::ops::Range<usize> {
        segment..self.places
    }
}

/// Of so many steps from a state, with so many free places: those that are only gone over to reach the state behind them, before
/// all others are computed and gone back over. Then these are what is left.
pub fn passed_over(steps: usize, free: usize) -> usize {
    // One place holds the state behind them.
    if steps <= free + 1 { 0 } else { steps - free }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that are computed on the way back.
    fn again(b: &Bounds) -> usize {
        let mut count = 0;
        for segment in 0..b.segments() {
            let mut left = b.length(segment);
            while left > 0 {
                let over = passed_over(left, b.free(segment).len());
                count += over + (left - over) - 1;
                left = over;
            }
        }
        count
    }

    #[test]
    fn segments_are_all_steps_and_enough_places_are_enough() {
        for steps in 1..700 {
            for places in 2..40 {
                let b = Bounds::new(steps, places);
                assert_eq!((b.starts[0], b.starts[b.segments()]), (0, steps));
                assert!(b.segments() <= places + 1 && (0..b.segments()).all(|s| b.length(s) > 0), "{b:?}");
                // A run that ends in the last segment has one place beside its result.
                assert!(b.segments() <= places || b.length(places) == 1, "{b:?}");
                let once = steps - b.segments();
                assert_eq!(again(&b) == once, places >= Bounds::enough(steps), "{b:?}");
            }
        }
        assert_eq!(Bounds::enough(500), 31);
        assert_eq!(Bounds::new(500, 31).starts[..3], [0, 32, 63]);
    }

    /// Not many more than the fewest there can be, by dynamic programming over where the next state is left.
    #[test]
    fn with_fewer_places_few_steps_are_computed_more_than_once_again() {
        const STEPS: usize = 120;
        // Of steps from a state that is there, with so many places.
        let mut fewest = vec![vec![0; STEPS + 1]];
        fewest[0] = (0..=STEPS).map(|n: usize| n * n.saturating_sub(1) / 2).collect();
        for places in 1..16 {
            let mut of: Vec<usize> = vec![0, 0];
            for n in 2..=STEPS {
                let split = |first: usize| first + fewest[places - 1][n - first] + of[first];
                of.push((1..n).map(split).min().expect("there are some"));
            }
            fewest.push(of);
        }
        for (places, fewest) in fewest.iter().enumerate().skip(11) {
            let b = Bounds::new(STEPS, places);
            // The way back without the first run, which all count.
            let best = fewest[STEPS] - (STEPS - b.length(b.segments() - 1));
            assert!(again(&b) <= best + best / 5, "{places} places: {} of {best}, {b:?}", again(&b));
        }
    }
}
