//! The disk of the operating system.

use super::{FileSystem, Growing};
use crate::base::Fingerprint;
use crate::ir::elements::Mapped;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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
