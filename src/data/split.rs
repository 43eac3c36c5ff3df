//! Splits of the rows of a dataset, by a hash of the row's index.

use super::Stream;

/// Disjoint sets of rows with these fractions of `rows`, exact to rounding, each ascending. Which rows go where depends
/// on the stream and on `rows` alone. Fractions that sum to less than 1 leave rows unused.
pub fn split(rows: usize, fractions: &[f64], stream: &Stream) -> Result<Vec<Vec<u32>>, String> {
    if fractions.iter().any(|f| !(0.0..=1.0).contains(f)) || fractions.iter().sum::<f64>() > 1.0 + 1e-9 {
        return Err(format!("a split needs fractions between 0 and 1 that sum to at most 1, not {fractions:?}"));
    }
    let mut order: Vec<(u64, u32)> = (0..rows as u32).map(|i| (stream.bits(i as u64, 0), i)).collect();
    order.sort_unstable();
    let (mut parts, mut start, mut sum) = (vec![], 0, 0.0);
    for f in fractions {
        sum += f;
        let end = ((sum * rows as f64).round() as usize).min(rows);
        let mut part: Vec<u32> = order[start..end].iter().map(|&(_, i)| i).collect();
        part.sort_unstable();
        parts.push(part);
        start = end;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_and_of_the_stated_size() {
        let s = Stream::new(3, "split");
        let parts = split(257, &[0.7, 0.2, 0.1], &s).unwrap();
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [180, 51, 26]);
        let mut all: Vec<u32> = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (0..257).collect::<Vec<_>>());
        assert_eq!(parts, split(257, &[0.7, 0.2, 0.1], &s).unwrap());
        assert_ne!(parts, split(257, &[0.7, 0.2, 0.1], &Stream::new(4, "split")).unwrap());
    }

    #[test]
    fn fractions_must_make_sense() {
        let s = Stream::new(3, "split");
        assert!(split(10, &[0.8, 0.3], &s).is_err());
        assert!(split(10, &[-0.1, 0.3], &s).is_err());
        assert!(split(10, &[f64::NAN], &s).is_err());
        assert_eq!(split(0, &[0.5, 0.5], &s).unwrap(), vec![Vec::<u32>::new(); 2]);
    }
}
