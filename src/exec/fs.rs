//! Every write of mslc goes through [`FileSystem`], so that a crash or a full disk at any point can be played in a test.
//!
//! A file appears under its name only when it is whole: it is written to a temporary file in the same folder, forced to the disk,
//! and renamed. [Pillai et al. 2014, All file systems are not created equal, §4]

use crate::base::Fingerprint;
use crate::base::fingerprint::Rolling;
use crate::ir::elements::Mapped;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The few operations that mslc needs. Paths are as given; nothing is resolved.
pub trait FileSystem: Send + Sync + fmt::Debug {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + '_>>;
    /// Creates or replaces a file and returns once its bytes are on the disk. A crash may leave any part of it.
    fn write_and_sync(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// As [`FileSystem::write_and_sync`], but a crash of the machine soon after may still lose the bytes.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write_and_sync(path, bytes)
    }
    /// Atomic where both paths are in one folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes renames in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The entries of a folder, sorted. None where the folder does not exist.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    fn is_folder(&self, path: &Path) -> bool;
    /// Time since the file was last written.
    fn age(&self, path: &Path) -> io::Result<Duration>;
    /// Bytes of a file.
    fn size(&self, path: &Path) -> io::Result<u64>;
    /// Opens or creates a file to be written in pieces, for this process alone. None while another one has it.
    fn grow(&self, path: &Path) -> io::Result<Option<Box<dyn Growing>>>;
    /// A file in memory, of this name, read as it is touched. None where that cannot be had.
    fn map(&self, _path: &Path, _name: Fingerprint) -> io::Result<Option<Arc<dyn Mapped>>> {
        Ok(None)
    }
}

/// A file that is written in pieces.
pub trait Growing: Send {
    /// Takes room for so many bytes, so that a full disk is met now and not later.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills `bytes` from byte `at` on.
    fn read_at(&mut self, at: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Ends the file here, and returns once all of it is on the disk.
    fn end(&mut self, at: u64) -> io::Result<()>;
    /// Returns once what was written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// Something about files went wrong during a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskFault {
    /// `write`, `create the folder`, …
    pub action: &'static str,
    pub path: PathBuf,
    /// The operating system's reason.
    pub reason: String,
    /// The disk is full, or the user's share of it.
    pub full: bool,
}

impl DiskFault {
    pub fn new(action: &'static str, path: &Path, e: &io::Error) -> DiskFault {
        let full = matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        DiskFault { action, path: path.into(), reason: e.to_string(), full }
    }
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DiskFault { action, path, reason, full } = self;
        write!(f, "cannot {action} `{}`: {reason}", path.display())?;
        if *full {
            f.write_str("; free some space and run again: what had finished is kept")?;
        }
        Ok(())
    }
}

impl std::error::Error for DiskFault {}

/// Puts a file in place whole or not at all, with its folder.
///
/// # Errors
/// Where the disk refuses. The file that stood there before, if any, is then untouched.
pub fn write_atomically(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> Result<(), DiskFault> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs.create_folder(folder).map_err(|e| DiskFault::new("create the folder", folder, &e))?;
    let temporary = temporary_name(path);
    let written = fs.write_and_sync(&temporary, bytes).and_then(|()| fs.rename(&temporary, path));
    if let Err(e) = written {
        let _ = fs.remove(&temporary);
        return Err(DiskFault::new("write", path, &e));
    }
    // The rename has happened; that it be durable is all that is left, and some file systems cannot say so.
    let _ = fs.sync_folder(folder);
    Ok(())
}

/// What a file is made of, piece after piece.
pub type Pieces<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

/// As [`write_atomically`], of a file that `write` gives piece by piece. Gives the hash of its bytes.
///
/// # Errors
/// As there.
pub fn write_in_pieces(
    fs: &dyn FileSystem,
    path: &Path,
    write: impl FnOnce(&mut Pieces) -> io::Result<()>,
) -> Result<Fingerprint, DiskFault> {
    /// Bytes that are gathered.
    const PIECE: usize = 1 << 20;
    let folder = path.parent().unwrap_or(Path::new(""));
    fs.create_folder(folder).map_err(|e| DiskFault::new("create the folder", folder, &e))?;
    let temporary = temporary_name(path);
    let written = || -> io::Result<Fingerprint> {
        let mut file = fs.grow(&temporary)?.ok_or_else(|| io::Error::from(io::ErrorKind::WouldBlock))?;
        let (mut at, mut hash, mut gathered) = (0, Rolling::default(), Vec::with_capacity(PIECE));
        let mut flush = |gathered: &mut Vec<u8>| {
            file.write_at(at, gathered)?;
            hash.update(gathered);
            at += gathered.len() as u64;
            gathered.clear();
            io::Result::Ok(())
        };
        write(&mut |bytes| {
            for part in bytes.chunks(PIECE) {
                if gathered.len() + part.len() > PIECE {
                    flush(&mut gathered)?;
                }
                gathered.extend(part);
            }
            Ok(())
        })?;
        flush(&mut gathered)?;
        file.end(at)?;
        fs.rename(&temporary, path)?;
        Ok(hash.finish())
    };
    let hash = written().map_err(|e| {
        let _ = fs.remove(&temporary);
        DiskFault::new("write", path, &e)
    })?;
    let _ = fs.sync_folder(folder);
    Ok(hash)
}

/// Puts a file in place that a crash of the machine may lose: what only helps people, and is written often.
///
/// # Errors
/// Where the disk refuses. The file that stood there before, if any, is then untouched.
pub fn replace(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> Result<(), DiskFault> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs.create_folder(folder).map_err(|e| DiskFault::new("create the folder", folder, &e))?;
    let temporary = temporary_name(path);
    let written = fs.write(&temporary, bytes).and_then(|()| fs.rename(&temporary, path));
    written.map_err(|e| {
        let _ = fs.remove(&temporary);
        DiskFault::new("write", path, &e)
    })
}

/// Whether files can be put into a folder; makes the folder.
///
/// # Errors
/// Where the disk refuses.
pub fn writable(fs: &dyn FileSystem, folder: &Path) -> Result<(), DiskFault> {
    let path = folder.join("probe");
    fs.create_folder(folder).map_err(|e| DiskFault::new("create the folder", folder, &e))?;
    let temporary = temporary_name(&path);
    let written = fs.write(&temporary, b"");
    let _ = fs.remove(&temporary);
    written.map_err(|e| DiskFault::new("write to", folder, &e))
}

/// The whole file, or none where there is no such file.
///
/// # Errors
/// Where it is there and cannot be read.
pub fn read(fs: &dyn FileSystem, path: &Path) -> Result<Option<Vec<u8>>, DiskFault> {
    let mut bytes = vec![];
    match fs.open(path).and_then(|mut f| f.read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(DiskFault::new("read", path, &e)),
    }
}

/// Whether a file is the temporary of a write that did not finish.
pub fn is_temporary(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "tmp")
}

/// Unlike that of any other writer: process and count.
pub fn temporary_name(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}.{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

/// The disk.
#[derive(Clone, Copy, Default, Debug)]
pub struct Disk;

impl FileSystem for Disk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(std::fs::File::open(path)?))
    }

    fn write_and_sync(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut f = std::fs::File::create(path)?;
        f.write_all(bytes)?;
        f.sync_all()
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        std::fs::write(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        std::fs::File::open(folder)?.sync_all()
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.as_os_str().is_empty() { Ok(()) } else { std::fs::create_dir_all(folder) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        match std::fs::read_dir(folder) {
            Ok(entries) => {
                let mut paths = entries.map(|e| Ok(e?.path())).collect::<io::Result<Vec<_>>>()?;
                paths.sort();
                Ok(paths)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(vec![]),
            Err(e) => Err(e),
        }
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn age(&self, path: &Path) -> io::Result<Duration> {
        // A clock that ran backwards makes a file new, never old.
        Ok(std::fs::metadata(path)?.modified()?.elapsed().unwrap_or_default())
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(path)?.len())
    }

    fn grow(&self, path: &Path) -> io::Result<Option<Box<dyn Growing>>> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(e)) => Err(e),
        }
    }

    fn map(&self, path: &Path, name: Fingerprint) -> io::Result<Option<Arc<dyn Mapped>>> {
        let file = File::open(path)?;
        // SAFETY: files of the store are never written once they have their name, and removing one leaves the mapping as it is.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Some(Arc::new(OnDisk { map, name })))
    }
}

impl Growing for File {
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            // SAFETY: the descriptor is open as long as the file is.
            if unsafe { libc::fallocate(self.as_raw_fd(), 0, 0, bytes as i64) } != 0 {
                let e = io::Error::last_os_error();
                // Some file systems cannot; they tell of a full disk as it fills.
                if !matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL)) {
                    return Err(e);
                }
            }
        }
        let _ = bytes;
        Ok(())
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        io::Seek::seek(self, io::SeekFrom::Start(at))?;
        self.write_all(bytes)
    }

    fn read_at(&mut self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        io::Seek::seek(self, io::SeekFrom::Start(at))?;
        self.read_exact(bytes)
    }

    fn end(&mut self, at: u64) -> io::Result<()> {
        self.set_len(at)?;
        self.sync_all()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

struct OnDisk {
    map: memmap2::Mmap,
    name: Fingerprint,
}

impl Mapped for OnDisk {
    fn bytes(&self) -> &[u8] {
        &self.map
    }

    fn release(&self, bytes: Range<usize>) {
        #[cfg(unix)]
        if !bytes.is_empty() {
            // SAFETY: the pages of a mapping that is only read hold what the file holds, and come back from it. Where the system
            // refuses, they stay.
            let _ = unsafe {
                self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, bytes.start, bytes.len())
            };
        }
    }

    fn name(&self) -> Fingerprint {
        self.name
    }
}

pub mod faulty {
    //! A file system in memory that fails where a test wants it to.

    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

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
}

#[cfg(test)]
mod tests {
    use super::faulty::{Faults, Memory};
    use super::*;

    #[test]
    fn whatever_fails_the_old_file_or_the_new_one_stands() {
        let path = Path::new("out/run.json");
        let fs = Memory::default();
        write_atomically(&fs, path, b"old").unwrap();
        let full_run = {
            let probe = fs.restarted(Faults::default());
            write_atomically(&probe, path, b"newer").unwrap();
            probe.steps()
        };
        for die_at in 0..=full_run {
            let now = fs.restarted(Faults { die_at: Some(die_at), ..Faults::default() });
            let _ = write_atomically(&now, path, b"newer");
            let found = read(&now.restarted(Faults::default()), path).unwrap().unwrap();
            assert!(found == b"old" || found == b"newer", "after {die_at} steps: {found:?}");
        }
        let full = fs.restarted(Faults { capacity: Some(5), ..Faults::default() });
        let fault = write_atomically(&full, path, b"newer").unwrap_err();
        assert!(fault.full && fault.to_string().contains("what had finished is kept"), "{fault}");
        assert_eq!(read(&full, path).unwrap().unwrap(), b"old");
        assert_eq!(full.paths().len(), 1, "the temporary file is gone");
        let refused = fs.restarted(Faults { rename: true, ..Faults::default() });
        assert!(!write_atomically(&refused, path, b"newer").unwrap_err().full);
        assert_eq!(read(&refused, path).unwrap().unwrap(), b"old");
    }
}
