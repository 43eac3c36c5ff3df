//! A result that is written while it is computed: arrays grow row by row in a file of the store, which gets its name when it is
//! whole. What a run that died has written is there for the next one, which finds it by its key and takes it up where its last
//! checkpoint says.

use super::format;
use super::fs::{DiskFault, FileSystem, Growing};
use super::store::Artifact;
use crate::base::Fingerprint;
use crate::base::fingerprint::Rolling;
use crate::ir::{Tensor, Type};
use indexmap::IndexMap;
use serde_json::Value;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Arrays with an equal number of rows, of which some are there.
pub struct Partial {
    fs: Arc<dyn FileSystem>,
    file: Box<dyn Growing>,
    path: PathBuf,
    key: Fingerprint,
    arrays: Vec<Growth>,
    rows: usize,
}

struct Growth {
    name: String,
    ty: Type,
    range: Range<usize>,
    hash: Rolling,
}

impl Growth {
    /// Bytes of a row.
    fn row(&self) -> usize {
        format::size(&self.ty) / self.ty.shape.first().copied().unwrap_or(1).max(1)
    }
}

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;

impl Partial {
    /// Takes up the file at `path`, or begins it, with room for these arrays. None while another process has it.
    ///
    /// # Errors
    /// Where the disk refuses or is full.
    pub fn open(
        fs: Arc<dyn FileSystem>,
        path: &Path,
        key: Fingerprint,
        arrays: &[(String, Type)],
    ) -> Result<Option<Partial>, DiskFault> {
        let folder = path.parent().unwrap_or(Path::new(""));
        fs.create_folder(folder).map_err(|e| DiskFault::new("create the folder", folder, &e))?;
        let fault = |e: io::Error| DiskFault::new("write", path, &e);
        let Some(mut file) = fs.grow(path).map_err(fault)? else { return Ok(None) };
        let (ranges, end) = format::places(arrays.iter().map(|a| &a.1));
        if let Err(e) = file.reserve(end as u64) {
            drop(file);
            let _ = fs.remove(path);
            let fault = DiskFault::new("make room for the samples of this run in", path, &e);
            return Err(DiskFault { reason: format!("{} ({} MB)", fault.reason, end.div_ceil(1_000_000)), ..fault });
        }
        let growth = |((name, ty), range): (&(String, Type), Range<usize>)| Growth {
            name: name.clone(),
            ty: ty.clone(),
            range,
            hash: Rolling::default(),
        };
        let arrays = arrays.iter().zip(ranges).map(growth).collect();
        Ok(Some(Partial { fs, file, path: path.into(), key, arrays, rows: 0 }))
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> usize {
        self.arrays.iter().map(|a| format::size(&a.ty)).sum()
    }

    /// Appends rows, the same number to each array: their bytes as they lie in memory.
    ///
    /// # Errors
    /// Where the disk refuses or is full. What was there stays.
    pub fn append(&mut self, rows: &[&[u8]]) -> Result<(), DiskFault> {
        let mut count = 0;
        for (a, bytes) in self.arrays.iter_mut().zip(rows) {
            let at = a.range.start + self.rows * a.row();
            self.file.write_at(at as u64, bytes).map_err(|e| DiskFault::new("write", &self.path, &e))?;
            count = bytes.len() / a.row().max(1);
        }
        for (a, bytes) in self.arrays.iter_mut().zip(rows) {
            a.hash.update(bytes);
        }
        self.rows += count;
        Ok(())
    }

    /// What identifies the rows so far. They are on the disk when this returns.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn settled(&mut self) -> Result<Fingerprint, DiskFault> {
        self.file.sync().map_err(|e| DiskFault::new("write", &self.path, &e))?;
        Ok(self.content())
    }

    fn content(&self) -> Fingerprint {
        let mut all = Rolling::default();
        self.arrays.iter().for_each(|a| {
            all.update(&a.hash.finish().0);
        });
        all.finish()
    }

    /// Goes on after so many rows of the file, if they are those that this identifies; else from its beginning.
    pub fn resume(&mut self, rows: usize, content: Fingerprint) -> bool {
        self.rows = rows;
        if self.read(rows).is_ok() && self.content() == content {
            return true;
        }
        self.restart();
        false
    }

    /// Begins again.
    pub fn restart(&mut self) {
        self.rows = 0;
        self.arrays.iter_mut().for_each(|a| a.hash = Rolling::default());
    }

    fn read(&mut self, rows: usize) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        for a in &mut self.arrays {
            a.hash = Rolling::default();
            let end = a.range.start + rows * a.row();
            if end > a.range.end {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            for at in (a.range.start..end).step_by(PIECE) {
                let piece = &mut buffer[..PIECE.min(end - at)];
                self.file.read_at(at as u64, piece)?;
                a.hash.update(piece);
            }
        }
        Ok(())
    }

    /// Completes the file with the other arrays and puts it in place: the result of the task. Gives it as it then lies there, or
    /// none where it cannot be mapped.
    ///
    /// # Errors
    /// Where the disk refuses or is full.
    pub fn finish(
        mut self,
        path: &Path,
        (kind, meta): (&str, &Value),
        others: &IndexMap<String, Tensor>,
    ) -> Result<Option<Artifact>, DiskFault> {
        let fault = |path: &Path, e: io::Error| DiskFault::new("write", path, &e);
        let types = self.arrays.iter().map(|a| &a.ty).chain(others.values().map(|t| &t.ty));
        let (ranges, at) = format::places(types);
        let mut hashes: Vec<Fingerprint> = vec![];
        let filled = |n: usize| vec![0; n.next_multiple_of(8) - n];
        let mut write =
            |at: usize, bytes: &[u8]| self.file.write_at(at as u64, bytes).map_err(|e| fault(&self.path, e));
        for a in &mut self.arrays {
            let n = format::size(&a.ty);
            write(a.range.start + n, &filled(n))?;
            hashes.push(a.hash.update(&filled(n)).finish());
        }
        for (t, range) in others.values().zip(&ranges[self.arrays.len()..]) {
            let bytes = t.raw();
            write(range.start, bytes)?;
            write(range.start + bytes.len(), &filled(bytes.len()))?;
            hashes.push(Rolling::default().update(bytes).update(&filled(bytes.len())).finish());
        }
        let named = self.arrays.iter().map(|a| (a.name.as_str(), &a.ty));
        let named = named.chain(others.iter().map(|(name, t)| (name.as_str(), &t.ty)));
        let end = format::end(&self.key, (kind, meta), named, hashes);
        write(at, &end)?;
        write(0, &format::start(at))?;
        self.file.end((at + end.len()) as u64).map_err(|e| fault(&self.path, e))?;
        self.fs.rename(&self.path, path).map_err(|e| fault(path, e))?;
        let _ = self.fs.sync_folder(path.parent().unwrap_or(Path::new("")));
        let mapped = self.fs.map(path, self.key).map_err(|e| DiskFault::new("read", path, &e))?;
        Ok(mapped.and_then(|file| format::decode_mapped(&file, &self.key, false).ok()))
    }

    /// Removes the file.
    pub fn discard(self) {
        // What cannot be removed goes when the cache is swept.
        let _ = self.fs.remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fs;
    use super::super::fs::faulty::{Faults, Memory};
    use super::*;
    use crate::exec::store::Store;
    use serde_json::json;

    /// Two arrays of four rows.
    fn arrays() -> Vec<(String, Type)> {
        vec![("0".into(), Type::f64([4, 3])), ("2".into(), Type::f32([4, 1]))]
    }

    fn rows(steps: Range<usize>) -> [Vec<u8>; 2] {
        let wide = steps.clone().flat_map(|k| (0..3).flat_map(move |i| (k as f64 / 3.0 + i as f64).to_le_bytes()));
        [wide.collect(), steps.flat_map(|k| (k as f32).to_le_bytes()).collect()]
    }

    fn append(p: &mut Partial, steps: Range<usize>) -> Result<(), DiskFault> {
        let [a, b] = rows(steps);
        p.append(&[&a, &b])
    }

    fn finish(store: &Store, key: &Fingerprint, p: Partial) -> Result<Option<Artifact>, DiskFault> {
        let others = [("1".to_string(), Tensor::f64([1], [7.0]))].into();
        store.complete(p, key, ("tensors", &json!({ "task": "a" })), &others)
    }

    #[test]
    fn what_grows_row_by_row_is_the_result_that_would_be_kept_whole() {
        let fs = Arc::new(Memory::default());
        let store = Store::open("out", fs.clone());
        let key = Fingerprint::of(b"run");
        let mut p = store.begin(&key, &arrays()).unwrap().unwrap();
        append(&mut p, 0..1).unwrap();
        append(&mut p, 1..4).unwrap();
        let found = finish(&store, &key, p).unwrap().unwrap();
        let [a, b] = rows(0..4);
        assert_eq!((found.arrays["0"].raw(), found.arrays["2"].raw()), (&a[..], &b[..]));
        assert_eq!(found.arrays["0"].item_at(2).to_f64(), [2.0 / 3.0, 2.0 / 3.0 + 1.0, 2.0 / 3.0 + 2.0]);
        let read = store.get(&key).unwrap();
        assert_eq!((read.arrays["0"].raw(), read.arrays["1"].item()), (&a[..], 7.0));
        assert!(store.complaints().is_empty() && fs.paths().len() == 1);
    }

    #[test]
    fn a_run_that_died_anywhere_is_taken_up_to_the_same_bytes() {
        let key = Fingerprint::of(b"run");
        let whole = {
            let fs = Arc::new(Memory::default());
            let store = Store::open("out", fs.clone());
            let mut p = store.begin(&key, &arrays()).unwrap().unwrap();
            append(&mut p, 0..4).unwrap();
            finish(&store, &key, p).unwrap();
            (fs::read(&*fs, &fs.paths()[0]).unwrap().unwrap(), fs.steps())
        };
        for die_at in (0..whole.1).step_by(3) {
            let fs = Arc::new(Memory::new(Faults { die_at: Some(die_at), ..Faults::default() }));
            // What a checkpoint would say: rows, and what identifies them.
            let mut said = None;
            let _ = (|| {
                let store = Store::open("out", fs.clone());
                let Some(mut p) = store.begin(&key, &arrays())? else { return Ok(None) };
                append(&mut p, 0..2)?;
                said = Some((2, p.settled()?));
                append(&mut p, 2..4)?;
                finish(&store, &key, p)
            })();
            let after = Arc::new(fs.restarted(Faults::default()));
            let store = Store::open("out", after.clone());
            let mut p = store.begin(&key, &arrays()).unwrap().unwrap();
            let from = said.filter(|(rows, content)| p.resume(*rows, *content)).map_or(0, |s| s.0);
            append(&mut p, from..4).unwrap();
            finish(&store, &key, p).unwrap();
            assert_eq!(fs::read(&*after, &after.paths()[0]).unwrap().unwrap(), whole.0, "died at {die_at}");
        }
    }

    #[test]
    fn rows_that_are_not_those_of_the_checkpoint_are_written_anew() {
        let fs = Arc::new(Memory::default());
        let store = Store::open("out", fs.clone());
        let key = Fingerprint::of(b"run");
        let mut p = store.begin(&key, &arrays()).unwrap().unwrap();
        append(&mut p, 0..2).unwrap();
        let content = p.settled().unwrap();
        drop(p);
        fs.damage(&fs.paths()[0], |bytes| bytes[format::START + 5] ^= 1);
        let mut p = store.begin(&key, &arrays()).unwrap().unwrap();
        assert!(!p.resume(2, content));
        append(&mut p, 0..4).unwrap();
        assert!(finish(&store, &key, p).is_ok());
        assert!(store.get(&key).is_some());
    }

    #[test]
    fn a_disk_without_room_is_told_at_once() {
        let fs = Arc::new(Memory::new(Faults { capacity: Some(100), ..Faults::default() }));
        let store = Store::open("out", fs.clone());
        let fault = store.begin(&Fingerprint::of(b"run"), &arrays()).err().unwrap();
        assert!(fault.full && fault.to_string().contains("make room"), "{fault}");
        assert!(fs.paths().is_empty());
    }
}
