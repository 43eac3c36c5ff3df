//! The store of finished tasks on a real disk: several writers at once, and a writer that is killed.

use mslc::base::Fingerprint;
use mslc::exec::fs::Disk;
use mslc::exec::store::{Artifact, Store};
use mslc::ir::Tensor;
use std::path::PathBuf;
use std::sync::Arc;

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("mslc-cache-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn key(i: u64) -> Fingerprint {
    Fingerprint::of(&i.to_le_bytes())
}

fn artifact(i: u64) -> Artifact {
    let values: Vec<f64> = (0..1000).map(|k| (i * 1000 + k) as f64 / 7.0).collect();
    Artifact {
        kind: "solve".into(),
        meta: serde_json::json!({ "task": i }),
        arrays: [("u".to_string(), Tensor::f64([1000], values))].into(),
    }
}

#[test]
fn writers_at_once_leave_whole_entries() {
    let dir = folder("many");
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                let store = Store::open(&dir, Arc::new(Disk));
                for i in 0..12 {
                    store.put(&key(i), &artifact(i)).unwrap();
                    assert_eq!(store.get(&key(i)).unwrap(), artifact(i));
                }
                assert!(store.complaints().is_empty());
            });
        }
    });
    let store = Store::open(&dir, Arc::new(Disk));
    assert_eq!(store.sweep(0, |_| true).unwrap(), 0);
    (0..12).for_each(|i| assert_eq!(store.get(&key(i)).unwrap(), artifact(i)));
    std::fs::remove_dir_all(dir).unwrap();
}

/// The other process of the next test: writes one task after the other until it is killed.
#[test]
#[ignore = "runs as a child of `a_killed_writer_loses_no_finished_task`"]
fn child_that_writes_until_killed() {
    let Some(dir) = std::env::var_os("MSLC_TEST_STORE") else { return };
    let store = Store::open(PathBuf::from(dir), Arc::new(Disk));
    for i in 0.. {
        store.put(&key(i), &artifact(i)).unwrap();
        println!("finished {i}");
    }
}

#[test]
#[cfg(unix)]
fn a_killed_writer_loses_no_finished_task() {
    use std::io::{BufRead, BufReader};
    let dir = folder("killed");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["cache::child_that_writes_until_killed", "--exact", "--ignored", "--nocapture"])
        .env("MSLC_TEST_STORE", &dir)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut finished = vec![];
    while finished.len() < 20 {
        let line = lines.next().unwrap().unwrap();
        if let Some((_, i)) = line.split_once("finished ") {
            finished.push(i.parse::<u64>().unwrap());
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let store = Store::open(&dir, Arc::new(Disk));
    for i in finished {
        assert_eq!(store.get(&key(i)).unwrap(), artifact(i), "task {i} had finished");
    }
    assert!(store.complaints().is_empty());
    // A new writer goes on beside whatever the dead one left.
    store.put(&key(7), &artifact(7)).unwrap();
    assert_eq!(store.get(&key(7)).unwrap(), artifact(7));
    std::fs::remove_dir_all(dir).unwrap();
}
