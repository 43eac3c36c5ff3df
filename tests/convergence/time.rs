//! Whole programs that state their own observed orders: each of `programs/*.msl` runs, and its checks hold.

use std::process::Command;

#[test]
fn programs_show_their_orders() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/convergence/programs");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of programs") {
        let path = entry.expect("an entry").path();
        let out = std::env::temp_dir().join(format!("mslc-orders-{found}-{}", std::process::id()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_mslc"));
        let run = command.arg("run").arg(&path).arg("--out").arg(&out).output().expect("mslc starts");
        let said = String::from_utf8_lossy(&run.stdout);
        assert_eq!(run.status.code(), Some(0), "{}:\n{said}{}", path.display(), String::from_utf8_lossy(&run.stderr));
        let _ = std::fs::remove_dir_all(out);
        found += 1;
    }
    assert!(found > 0);
}
