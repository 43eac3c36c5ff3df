//! Golden files: `# pass: NAME`, a function, `---`, the function that the pass makes of it. `MSLC_BLESS=1` rewrites them.

use crate::gradients::check::noise;
use mslc::ir::eval::eval;
use mslc::ir::text::{parse, print};
use mslc::ir::verify::verify;
use mslc::ir::{Func, Tensor};
use mslc::passes::{PIPELINE, batch, optimise};
use std::path::PathBuf;

#[test]
fn golden_files() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ir");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "ir"));
    files.sort();
    assert!(files.len() >= 5, "golden files in {}", dir.display());
    let mut wrong = vec![];
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let (given, expected) = text.split_once("---\n").unwrap_or((&text, ""));
        let f = parse(given).unwrap_or_else(|e| panic!("{name}: {e}"));
        verify(&f).unwrap_or_else(|e| panic!("{name}: {e}"));
        let pass = given.lines().find_map(|l| l.strip_prefix("# pass: ")).unwrap_or_else(|| panic!("{name}: no pass"));
        let (g, same_values) = run(pass.trim(), &f);
        verify(&g).unwrap_or_else(|e| panic!("{name}: {e}"));
        if same_values {
            let inputs: Vec<Tensor> = f.inputs.iter().enumerate().map(|(k, t)| noise(&t.shape, k as u64)).collect();
            for (a, b) in eval(&f, &inputs).unwrap().iter().zip(eval(&g, &inputs).unwrap()) {
                let pairs = a.to_f64().into_iter().zip(b.to_f64());
                assert!(a.ty == b.ty && pairs.into_iter().all(|(x, y)| (x - y).abs() < 1e-12), "{name}: other values");
            }
        }
        if std::env::var_os("MSLC_BLESS").is_some() {
            std::fs::write(&path, format!("{given}---\n{}", print(&g))).unwrap();
        } else if print(&g) != expected {
            wrong.push(format!("{name}: expected\n{expected}\nfound\n{}", print(&g)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `simplify`, `hoist`, …, `pipeline`, or `batch N` with every input mapped but the first.
fn run(pass: &str, f: &Func) -> (Func, bool) {
    if let Some(n) = pass.strip_prefix("batch ") {
        let mapped: Vec<bool> = (0..f.inputs.len()).map(|k| k > 0).collect();
        return (batch(f, &mapped, n.parse().unwrap()), false);
    }
    if pass == "pipeline" {
        return (optimise(f.clone()), true);
    }
    let pass = PIPELINE.iter().find(|p| p.name == pass).unwrap_or_else(|| panic!("no pass `{pass}`"));
    ((pass.run)(f), true)
}
