//! Did you mean: the nearest of the names that would have been right.

/// The candidate nearest to `name`, if one is near enough to have been meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(name);
    let limit = match folded.chars().count() {
        0 | 1 => 0,
        n => (n / 3).max(1),
    };
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates.into_iter().filter(|c| *c != name && !c.is_empty()) {
        let distance = distance(&folded, &fold(candidate));
        let near = distance <= limit && distance < candidate.chars().count();
        // Equal distances: the shorter, then the alphabetically first, so that the answer does not hang on hash order.
        let rank = (distance, candidate.chars().count().abs_diff(name.chars().count()), candidate);
        let better = best.is_none_or(|(d, c)| rank < (d, c.chars().count().abs_diff(name.chars().count()), c));
        if near && better {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, c)| c)
}

/// Like [`nearest`] for units, where case tells `mPa` from `MPa`: the same letters first.
pub fn nearest_unit<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut all: Vec<&str> = candidates.collect();
    all.sort_unstable_by_key(|c| (c.chars().count().abs_diff(name.chars().count()), c.chars().count(), *c));
    let same_letters = all.iter().find(|c| c.to_lowercase() == name.to_lowercase()).copied();
    same_letters
        .or_else(|| nearest(name, all.into_iter().filter(|c| name.chars().count() > 1 && c.chars().count() > 1)))
}

/// `did you mean `…`?`, or the whole list where it is short.
pub fn help(name: &str, candidates: &[&str]) -> Option<String> {
    match nearest(name, candidates.iter().copied()) {
        Some(c) => Some(format!("did you mean `{c}`?")),
        None if candidates.is_empty() => None,
        None if candidates.len() <= 12 => {
            Some(format!("there are: {}", candidates.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ")))
        }
        None => None,
    }
}

/// Lower case; Greek letters by their names, so that `phi` finds `φ`.
fn fold(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        match GREEK.iter().find(|(g, _)| *g == c) {
            Some((_, spelt)) => out.push_str(spelt),
            None => out.push(c),
        }
    }
    out
}

const GREEK: &[(char, &str)] = &[
    ('α', "alpha"),
    ('β', "beta"),
    ('γ', "gamma"),
    ('δ', "delta"),
    ('ε', "epsilon"),
    ('ζ', "zeta"),
    ('η', "eta"),
    ('θ', "theta"),
    ('κ', "kappa"),
    ('λ', "lambda"),
    ('μ', "mu"),
    ('µ', "mu"),
    ('ν', "nu"),
    ('ξ', "xi"),
    ('π', "pi"),
    ('ρ', "rho"),
    ('σ', "sigma"),
    ('τ', "tau"),
    ('φ', "phi"),
    ('ϕ', "phi"),
    ('χ', "chi"),
    ('ψ', "psi"),
    ('ω', "omega"),
];

/// Insertions, deletions, replacements and swaps of neighbours. [Damerau 1964, optimal string alignment]
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 4 {
        return usize::MAX;
    }
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (vec![], (0..=b.len()).collect());
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_near_and_leaves_the_far() {
        assert_eq!(nearest("conductivty", ["Conductivity", "Cell"]), Some("Conductivity"));
        assert_eq!(nearest("phi", ["φ", "T"]), Some("φ"));
        assert_eq!(nearest("lfet", ["left", "right", "top"]), Some("left"));
        assert_eq!(nearest("banana", ["left", "right"]), None);
        assert_eq!(nearest("q", ["T", "w"]), None);
    }
}
