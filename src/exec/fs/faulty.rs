//! A file system in memory that fails where a test wants it to.

use super::{FileSystem, Growing};
use crate::base::Fingerprint;
use crate::ir::elements::Mapped;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong, and when.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Faults {
    /// The disk holds this many bytes.
    pub capacity: Option<usize>,
    /// Every rename is refused.
    pub rename: bool,
    /// The process dies at this step. A byte written, a rename, a removal and a folder are a step each.
    pub die_at: Option<usize>,
}

#[derive(Default, Debug)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Default, Debug)]
struct State {
    files: BTreeMap<PathBuf, Vec<u8>>,
    faults: Faults,
    step: usize,
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        if self.faults.die_at.is_some_and(|n| self.step >= n) {
            return Err(io::Error::other("the process was killed"));
        }
        self.step += 1;
        Ok(())
    }
}

impl Memory {
    pub fn new(faults: Faults) -> Memory {
        Memory { state: Arc::new(Mutex::new(State { faults, ..State::default() })) }
    }

    /// The same files after a restart, with other faults to come.
    pub fn restarted(&self, faults: Faults) -> Memory {
        let state = self.lock().clone();
        Memory { state: Arc::new(Mutex::new(State { faults, step: 0, ..state })) }
    }

    /// Steps taken so far.
    pub fn steps(&self) -> usize {
        self.lock().step
    }

    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock().files.keys().cloned().collect()
    }

    /// Changes a file behind the program's back.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.lock().files.entry(path.into()).or_default());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl FileSystem for Memory {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.lock().files.get(path).cloned().ok_or_else(missing)?;
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn write_and_sync(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut s = self.lock();
        s.step()?;
        s.files.insert(path.into(), vec![]);
        for &b in bytes {
            s.step()?;
            let used: usize = s.files.values().map(Vec::len).sum();
            if s.faults.capacity.is_some_and(|n| used >= n) {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            s.files.entry(path.into()).or_default().push(b);
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut s = self.lock();
        s.step()?;
        if s.faults.rename {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        let bytes = s.files.remove(from).ok_or_else(missing)?;
        s.files.insert(to.into(), bytes);
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.lock().step()
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        self.lock().step()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut s = self.lock();
        s.step()?;
        s.files.remove(path).map(|_| ()).ok_or_else(missing)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let s = self.lock();
        let mut out: Vec<PathBuf> = s
            .files
            .keys()
            .filter_map(|p| p.strip_prefix(folder).ok()?.components().next().map(|c| folder.join(c)))
            .collect();
        out.dedup();
        Ok(out)
    }

    fn is_folder(&self, path: &Path) -> bool {
        self.lock().files.keys().any(|p| p.starts_with(path) && p != path)
    }

    fn age(&self, _: &Path) -> io::Result<Duration> {
        Ok(Duration::ZERO)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        self.lock().files.get(path).map(|b| b.len() as u64).ok_or_else(missing)
    }

    fn grow(&self, path: &Path) -> io::Result<Option<Box<dyn Growing>>> {
        let mut s = self.lock();
        s.step()?;
        s.files.entry(path.into()).or_default();
        Ok(Some(Box::new(Piecewise { state: self.state.clone(), path: path.into() })))
    }

    fn map(&self, path: &Path, name: Fingerprint) -> io::Result<Option<Arc<dyn Mapped>>> {
        let bytes = self.lock().files.get(path).cloned().ok_or_else(missing)?;
        let words = bytes.chunks(8).map(|c| {
            let mut word = [0; 8];
            word[..c.len()].copy_from_slice(c);
            u64::from_ne_bytes(word)
        });
        Ok(Some(Arc::new(Aligned { words: words.collect(), length: bytes.len(), name })))
    }
}

struct Piecewise {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl Piecewise {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Growing for Piecewise {
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let s = self.lock();
        let used: usize = s.files.iter().filter(|f| *f.0 != self.path).map(|f| f.1.len()).sum();
        match s.faults.capacity.is_some_and(|n| used as u64 + bytes > n as u64) {
            true => Err(io::Error::from(io::ErrorKind::StorageFull)),
            false => Ok(()),
        }
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut s = self.lock();
        for (k, &b) in bytes.iter().enumerate() {
            s.step()?;
            let used: usize = s.files.values().map(Vec::len).sum();
            let full = s.faults.capacity.is_some_and(|n| used >= n);
            let file = s.files.get_mut(&self.path).ok_or_else(missing)?;
            let place = at as usize + k;
            if place >= file.len() {
                if full {
                    return Err(io::Error::from(io::ErrorKind::StorageFull));
                }
                file.resize(place + 1, 0);
            }
            file[place] = b;
        }
        Ok(())
    }

    fn read_at(&mut self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let s = self.lock();
        let file = s.files.get(&self.path).ok_or_else(missing)?;
        let part = file.get(at as usize..at as usize + bytes.len());
        bytes.copy_from_slice(part.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn end(&mut self, at: u64) -> io::Result<()> {
        let mut s = self.lock();
        s.step()?;
        s.files.get_mut(&self.path).ok_or_else(missing)?.truncate(at as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.lock().step()
    }
}

struct Aligned {
    words: Vec<u64>,
    length: usize,
    name: Fingerprint,
}

impl Mapped for Aligned {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the words hold at least so many bytes.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.length) }
    }

    fn release(&self, _: Range<usize>) {}

    fn name(&self) -> Fingerprint {
        self.name
    }
}
