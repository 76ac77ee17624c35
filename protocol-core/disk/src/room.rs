//! Room on a disk: how much there is, and keeping some.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Bytes written at a time where a file system cannot allocate without them.
const CHUNK: usize = 1 << 20;

/// Bytes that are free for this process on the disk of `folder`; `None` when the system does not tell. A quota may allow less.
#[must_use]
#[cfg(unix)]
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes that are free for this process on the disk of `folder`; `None` when the system does not tell.
#[must_use]
#[cfg(not(unix))]
pub fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Room that is kept on a disk in a file of its own, until it is needed for something better.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// A reserve of `bytes` in the file at `path`; nothing is done yet.
    #[must_use]
    pub const fn new(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes }
    }

    /// Whether the room is kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.bytes == 0 || std::fs::metadata(&self.path).is_ok_and(|file| file.len() == self.bytes)
    }

    /// Keeps the room, unless it is kept already. What was allocated of it is given back when there is not enough.
    pub fn keep(&self) -> io::Result<()> {
        if self.is_kept() {
            return Ok(());
        }
        allocate(&self.path, self.bytes)
    }

    /// Gives the room up; returns whether there was any.
    pub fn give_up(&self) -> bool {
        std::fs::remove_file(&self.path).is_ok()
    }
}

/// Makes a file of `bytes` at `path` that has all of its room on the disk; makes none when there is not enough.
pub fn allocate(path: &Path, bytes: u64) -> io::Result<()> {
    // Under another name until it is whole: a file of the right length is one that has its room.
    let partial = path.with_extension("partial");
    let made = fill(&partial, bytes).and_then(|()| std::fs::rename(&partial, path));
    if made.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    made
}

fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    if !reserve_blocks(&file, bytes)? {
        write_all(&mut file, bytes)?;
    }
    file.sync_all()
}

/// Lets the file system allocate; false when it cannot, without anything to allocate for.
#[cfg(target_os = "linux")]
fn reserve_blocks(file: &File, bytes: u64) -> io::Result<bool> {
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve_blocks(_: &File, _: u64) -> io::Result<bool> {
    Ok(false)
}

/// Bytes that no file system keeps as a hole, compresses or has already.
fn write_all(file: &mut File, bytes: u64) -> io::Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut chunk = vec![0; CHUNK];
    let mut left = bytes;
    while left > 0 {
        for word in chunk.chunks_exact_mut(8) {
            // Marsaglia, "Xorshift RNGs": noise, not chance.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        let now = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        file.write_all(&chunk[..now])?;
        left -= now as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn blocks(path: &Path) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(path).unwrap().blocks() * 512
    }

    #[test]
    #[cfg(unix)]
    fn a_reserve_has_its_room_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reserve");
        let reserve = Reserve::new(path.clone(), 3 << 20);
        assert!(!reserve.is_kept());
        reserve.keep().unwrap();
        assert!(reserve.is_kept() && blocks(&path) >= 3 << 20, "{}", blocks(&path));
        assert!(reserve.give_up() && !reserve.is_kept() && !reserve.give_up());
    }

    #[test]
    #[cfg(unix)]
    fn where_nothing_allocates_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("written");
        write_all(&mut File::create(&path).unwrap(), (2 << 20) + 5).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), (2 << 20) + 5);
        assert!(blocks(&path) >= 2 << 20 && bytes[..CHUNK] != bytes[CHUNK..2 * CHUNK]);
    }

    #[test]
    fn there_is_room_where_tests_run() {
        assert!(cfg!(not(unix)) || free_bytes(&std::env::temp_dir()).is_some_and(|bytes| bytes > 0));
    }
}
