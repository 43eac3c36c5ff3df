//! The cache of finished tasks: one file each, named by its fingerprint, whole or absent, and verified by hash when read.
//!
//! ```text
//! DIR/tasks/3f/3f07…e1.task     a result, laid out as in [`format`](super::format)
//! DIR/tasks/3f/3f07…e1.part     one that a run is writing as it goes: see [`Partial`]
//! DIR/journal/9a…4c.json        by task name: what its fingerprint was made of, for `mslc plan` to say what changed
//! ```
//! Several processes may share a store: entries are immutable, and a rename puts the same bytes in place whoever is first.

use super::format;
use super::fs::{self, DiskFault, FileSystem};
pub use super::partial::Partial;
use crate::base::Fingerprint;
use crate::base::fingerprint::Hasher;
use crate::ir::elements::Mapped;
use crate::ir::{Tensor, Type};
use indexmap::IndexMap;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a task yields.
#[derive(Clone, PartialEq, Debug)]
pub struct Artifact {
    /// `solve`, `sample`, `minimize`, …
    pub kind: String,
    /// Whatever describes the arrays: names, units, costs, provenance. Numbers that must keep their last bit belong in arrays.
    pub meta: Value,
    pub arrays: IndexMap<String, Tensor>,
}

/// The folder of finished tasks. Copies of a store are one store.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    fs: Arc<dyn FileSystem>,
    complaints: Arc<Mutex<Vec<String>>>,
}

/// Temporaries of processes that died are removed once no living process can still be writing them.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// What a run has written before it died is kept so long for it to be resumed.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 3600);

/// The ending of names of results that are being written.
const PARTIAL: &str = "part";
/// Files from this size on are not read into memory but mapped.
const MAPPED: u64 = 1 << 24;

impl Store {
    /// Opens a store, creating nothing: folders appear with the first task.
    pub fn open(dir: impl Into<PathBuf>, fs: Arc<dyn FileSystem>) -> Store {
        Store { dir: dir.into(), fs, complaints: Arc::default() }
    }

    /// The result of the task with this fingerprint. None where it has not finished, or where its file is damaged: that is
    /// told by [`Store::complaints`], and the task runs again.
    pub fn get(&self, key: &Fingerprint) -> Option<Artifact> {
        let path = self.task_path(key);
        match self.found(key, |file| format::decode_mapped(file, key, true), |bytes| format::decode(bytes, key)) {
            Ok(found) => match found? {
                Ok(artifact) => Some(artifact),
                Err(why) => {
                    self.complain(format!(
                        "the stored result `{}` is damaged ({why}); its task runs again",
                        path.display()
                    ));
                    None
                }
            },
            Err(fault) => {
                self.complain(fault.to_string());
                None
            }
        }
    }

    /// What is made of the file of a task, mapped if it is large.
    fn found<T>(
        &self,
        key: &Fingerprint,
        mapped: impl FnOnce(&Arc<dyn Mapped>) -> T,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, DiskFault> {
        let path = self.task_path(key);
        if self.fs.size(&path).is_ok_and(|size| size >= MAPPED)
            && let Ok(Some(file)) = self.fs.map(&path, *key)
        {
            return Ok(Some(mapped(&file)));
        }
        Ok(fs::read(&*self.fs, &path)?.map(|bytes| read(&bytes)))
    }

    /// Begins a result whose arrays, which have an axis of equally many rows in front, are written as they are made; or takes up what an
    /// earlier run has left of it. None where another process is at it, or numbers lie otherwise in memory than in files.
    ///
    /// # Errors
    /// Where the disk refuses or has no room.
    pub fn begin(&self, key: &Fingerprint, arrays: &[(String, Type)]) -> Result<Option<Partial>, DiskFault> {
        if cfg!(target_endian = "big") {
            return Ok(None);
        }
        Partial::open(self.fs.clone(), &self.task_path(key).with_extension(PARTIAL), *key, arrays)
    }

    /// Completes such a result; gives it as it lies in its file.
    ///
    /// # Errors
    /// Where the disk refuses or is full.
    pub fn complete(
        &self,
        partial: Partial,
        key: &Fingerprint,
        of: (&str, &Value),
        others: &IndexMap<String, Tensor>,
    ) -> Result<Option<Artifact>, DiskFault> {
        partial.finish(&self.task_path(key), of, others)
    }

    /// Whether [`Store::get`] would look for a result here; the bytes are not verified.
    pub fn has(&self, key: &Fingerprint) -> bool {
        self.fs.open(&self.task_path(key)).is_ok()
    }

    /// As [`Store::has`], of a key in hex.
    pub fn has_hex(&self, key: &str) -> bool {
        Fingerprint::parse(key).is_some_and(|k| self.has(&k))
    }

    /// Kind and meta of a finished task, without reading its arrays or verifying them.
    pub fn describe(&self, key: &Fingerprint) -> Option<(String, Value)> {
        let header = |bytes: &[u8]| format::header(bytes, key).ok();
        let found = self.found(key, |file| header(file.bytes()), header).ok()??;
        found.map(|h| (h.kind, h.meta))
    }

    /// Keeps the result of a finished task. When this returns, no crash can lose it.
    ///
    /// # Errors
    /// Where the disk refuses; what was kept before stays.
    pub fn put(&self, key: &Fingerprint, artifact: &Artifact) -> Result<(), DiskFault> {
        fs::write_atomically(&*self.fs, &self.task_path(key), &format::encode(key, artifact))
    }

    /// Removes a result, if it is there.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn remove(&self, key: &Fingerprint) -> Result<(), DiskFault> {
        let path = self.task_path(key);
        match self.fs.remove(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(DiskFault::new("remove", &path, &e)),
            _ => Ok(()),
        }
    }

    /// Remembers what a task's fingerprint was made of, under the name the task has in the program.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn remember(&self, task: &str, record: &Value) -> Result<(), DiskFault> {
        fs::replace(&*self.fs, &self.journal_path(task), record.to_string().as_bytes())
    }

    /// What was last remembered under this name.
    pub fn recall(&self, task: &str) -> Option<Value> {
        let bytes = fs::read(&*self.fs, &self.journal_path(task)).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// What was wrong since the last call, a sentence each: damaged entries, checkpoints that could not be written.
    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Removes the oldest results until the rest takes at most `most` bytes; those that `keep` wants stay in any case. Removes also
    /// what dead processes left half-written. Gives the number of files removed.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn sweep(&self, most: u64, keep: impl Fn(&Fingerprint) -> bool) -> Result<usize, DiskFault> {
        let fault = |path: &Path, e| DiskFault::new("clean up", path, &e);
        let root = self.dir.join("tasks");
        let mut total = 0;
        let mut removed = 0;
        let mut unwanted = vec![];
        for folder in self.fs.list(&root).map_err(|e| fault(&root, e))? {
            for path in self.fs.list(&folder).map_err(|e| fault(&folder, e))? {
                // What another process has just removed is no fault.
                let (Ok(age), Ok(size)) = (self.fs.age(&path), self.fs.size(&path)) else { continue };
                match key_of(&path) {
                    Some(key) => {
                        total += size;
                        if !keep(&key) {
                            unwanted.push((age, size, path));
                        }
                    }
                    None if fs::is_temporary(&path) && age > STALE => {
                        self.fs.remove(&path).map_err(|e| fault(&path, e))?;
                        removed += 1;
                    }
                    None if path.extension().is_some_and(|e| e == PARTIAL) && age > ABANDONED => {
                        self.fs.remove(&path).map_err(|e| fault(&path, e))?;
                        removed += 1;
                    }
                    None => {}
                }
            }
        }
        unwanted.sort();
        while let Some((_, size, path)) = unwanted.pop().filter(|_| total > most) {
            self.fs.remove(&path).map_err(|e| fault(&path, e))?;
            total -= size;
            removed += 1;
        }
        Ok(removed)
    }

    fn task_path(&self, key: &Fingerprint) -> PathBuf {
        let hex = key.hex();
        self.dir.join("tasks").join(&hex[..2]).join(format!("{hex}.task"))
    }

    fn journal_path(&self, task: &str) -> PathBuf {
        self.dir.join("journal").join(format!("{}.json", &Fingerprint::of(task.as_bytes()).hex()[..32]))
    }

    /// Notes what is wrong with the store and stops nothing.
    pub fn complain(&self, words: String) {
        self.complaints.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(words);
    }
}

impl Artifact {
    /// Hash of the content: kind, meta and arrays; what a report states as the hash of an output.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut h = Hasher::new("artifact");
        h.text(&self.kind).text(&self.meta.to_string());
        for (name, t) in &self.arrays {
            h.text(name).text(&t.ty.to_string()).bytes(&t.bytes());
        }
        h.finish()
    }
}

fn key_of(path: &Path) -> Option<Fingerprint> {
    Fingerprint::parse(path.file_name()?.to_str()?.strip_suffix(".task")?)
}

#[cfg(test)]
mod tests {
    use super::fs::faulty::{Faults, Memory};
    use super::*;
    use serde_json::json;

    fn artifact(seed: usize) -> Artifact {
        let x: Vec<f64> = (0..5).map(|i| (seed * 7 + i) as f64 / 3.0).collect();
        Artifact {
            kind: "solve".into(),
            meta: json!({ "name": format!("task {seed}"), "seconds": 0.5 }),
            arrays: [
                ("T".to_string(), Tensor::f64([5], x)),
                ("cells".to_string(), Tensor::index([3], [1, 2, 3])),
                ("w".to_string(), Tensor::f32([1, 1], [0.25f32])),
                ("none".to_string(), Tensor::f64([0, 4], [])),
            ]
            .into(),
        }
    }

    fn key(seed: usize) -> Fingerprint {
        Fingerprint::of(&[seed as u8])
    }

    fn store(fs: &Arc<Memory>) -> Store {
        Store::open("out", fs.clone())
    }

    #[test]
    fn what_is_put_is_got_back_bit_by_bit() {
        let fs = Arc::new(Memory::default());
        let s = store(&fs);
        let mut a = artifact(1);
        a.arrays.insert("odd".into(), Tensor::f64([4], [f64::NAN, -0.0, f64::INFINITY, 5e-324]));
        s.put(&key(1), &a).unwrap();
        assert_eq!(s.get(&key(1)).unwrap(), a);
        assert_eq!(s.describe(&key(1)).unwrap(), ("solve".into(), a.meta.clone()));
        assert!(s.has(&key(1)) && !s.has(&key(2)) && s.get(&key(2)).is_none() && s.complaints().is_empty());
        s.remember("Heat", &json!({ "h": 1 })).unwrap();
        assert_eq!(s.recall("Heat"), Some(json!({ "h": 1 })));
        assert_eq!(s.recall("Cell"), None);
    }

    #[test]
    fn a_crash_at_any_step_keeps_every_finished_task() {
        let total = {
            let fs = Arc::new(Memory::default());
            (0..3).for_each(|i| store(&fs).put(&key(i), &artifact(i)).unwrap());
            fs.steps()
        };
        for die_at in 0..total {
            let fs = Arc::new(Memory::new(Faults { die_at: Some(die_at), ..Faults::default() }));
            let finished: Vec<bool> = (0..3).map(|i| store(&fs).put(&key(i), &artifact(i)).is_ok()).collect();
            let after = Arc::new(fs.restarted(Faults::default()));
            let s = store(&after);
            for (i, finished) in finished.into_iter().enumerate() {
                match s.get(&key(i)) {
                    Some(a) => assert_eq!(a, artifact(i)),
                    None => assert!(!finished, "task {i} is lost after {die_at} steps"),
                }
            }
            assert_eq!(s.complaints(), Vec::<String>::new(), "nothing half-written has the name of a result");
            s.put(&key(9), &artifact(9)).unwrap();
            assert_eq!(s.get(&key(9)).unwrap(), artifact(9));
        }
    }

    #[test]
    fn a_full_disk_is_named_and_loses_nothing() {
        let fs = Arc::new(Memory::default());
        store(&fs).put(&key(1), &artifact(1)).unwrap();
        let used = format::encode(&key(1), &artifact(1)).len();
        for room in 0..used {
            let full = Arc::new(fs.restarted(Faults { capacity: Some(used + room), ..Faults::default() }));
            let fault = store(&full).put(&key(2), &artifact(2)).unwrap_err();
            assert!(fault.full, "{fault}");
            assert_eq!(store(&full).get(&key(1)).unwrap(), artifact(1));
            assert_eq!(full.paths().len(), 1);
        }
    }

    #[test]
    fn any_flipped_bit_or_missing_byte_is_noticed() {
        let whole = format::encode(&key(1), &artifact(1));
        for i in 0..whole.len() {
            let mut bad = whole.clone();
            bad[i] ^= 1 << (i % 8);
            assert!(format::decode(&bad, &key(1)).is_err(), "flip at {i}");
            assert!(format::decode(&whole[..i], &key(1)).is_err(), "cut at {i}");
        }
        assert!(format::decode(&whole, &key(2)).is_err(), "a file under another's name");
        let fs = Arc::new(Memory::default());
        let s = store(&fs);
        s.put(&key(1), &artifact(1)).unwrap();
        let path = fs.paths().remove(0);
        fs.damage(&path, |b| b.truncate(40));
        assert!(s.get(&key(1)).is_none());
        assert!(s.complaints()[0].contains("damaged"));
        s.put(&key(1), &artifact(1)).unwrap();
        assert_eq!(s.get(&key(1)).unwrap(), artifact(1));
    }

    #[test]
    fn sweeping_keeps_what_is_wanted() {
        let fs = Arc::new(Memory::default());
        let s = store(&fs);
        (0..4).for_each(|i| s.put(&key(i), &artifact(i)).unwrap());
        let one = format::encode(&key(2), &artifact(2)).len() as u64;
        assert_eq!(s.sweep(4 * one, |_| false).unwrap(), 0, "there is room for all");
        assert_eq!(s.sweep(2 * one, |k| *k == key(2)).unwrap(), 2);
        assert_eq!(s.sweep(0, |k| *k == key(2)).unwrap(), 1);
        assert!(s.has(&key(2)) && !s.has(&key(1)));
    }
}
