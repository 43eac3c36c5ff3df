//! `docs/orders.md`: its parts stand between `<!-- name -->` and `<!-- end -->`, each the work of one test.
//! `MSLC_BLESS=1 cargo test convergence` writes them.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What a number of the page may be off by: other compilers of the machine's code round elsewhere.
const SLACK: f64 = 0.03;

static WRITING: Mutex<()> = Mutex::new(());

pub fn blessing() -> bool {
    std::env::var_os("MSLC_BLESS").is_some()
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/orders.md")
}

/// The page, and where a part of it begins and ends.
#[track_caller]
fn find(name: &str) -> (String, usize, usize) {
    let whole = std::fs::read_to_string(path()).unwrap();
    let open = format!("<!-- {name} -->\n");
    let start = whole.find(&open).unwrap_or_else(|| panic!("docs/orders.md has no part `{name}`")) + open.len();
    let end = start + whole[start..].find("<!-- end -->").expect("a part has an end");
    (whole, start, end)
}

/// A part as it stands.
#[track_caller]
pub fn part(name: &str) -> String {
    let _one_at_a_time = WRITING.lock().unwrap_or_else(|e| e.into_inner());
    let (whole, start, end) = find(name);
    whole[start..end].into()
}

/// Compares a part with what it should be, or writes it.
#[track_caller]
pub fn compare_or_bless(name: &str, wanted: &str) {
    if !blessing() {
        let kept = part(name);
        for (kept, found) in kept.lines().zip(wanted.lines()) {
            assert!(
                same(kept, found),
                "part `{name}` of docs/orders.md is out of date (MSLC_BLESS=1 writes it anew):\n{kept}\n{found}"
            );
        }
        let lines = (kept.lines().count(), wanted.lines().count());
        assert_eq!(lines.0, lines.1, "part `{name}` of docs/orders.md is out of date: MSLC_BLESS=1 writes it anew");
        return;
    }
    let _one_at_a_time = WRITING.lock().unwrap_or_else(|e| e.into_inner());
    let (whole, start, end) = find(name);
    std::fs::write(path(), format!("{}{wanted}{}", &whole[..start], &whole[end..])).unwrap();
}

/// The same words and, but for the last digits, the same numbers.
fn same(a: &str, b: &str) -> bool {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split(' ').collect(), b.split(' ').collect());
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| close(a, b))
}

/// One word, or the same number but for its last digits.
pub fn close(a: &str, b: &str) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) if a.contains('e') => (x - y).abs() <= SLACK * x.abs().max(y.abs()),
        (Ok(x), Ok(y)) => (x - y).abs() <= SLACK,
        _ => a == b,
    }
}
