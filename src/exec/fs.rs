//! Every write of mslc goes through [`FileSystem`], so that a crash or a full disk at any point can be played in a test.
//!
//! A file appears under its name only when it is whole: it is written to a temporary file in the same folder, forced to the disk,
//! and renamed. [Pillai et al. 2014, All file systems are not created equal, §4]

mod disk;
#[cfg(test)]
pub mod faulty;

use crate::base::Fingerprint;
use crate::base::fingerprint::Rolling;
use crate::ir::elements::Mapped;
pub use disk::Disk;
use std::fmt;
use std::io::{self, Read};
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
