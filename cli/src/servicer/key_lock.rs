//! One process on this machine for each supplier's key.
//!
//! Two processes with one key and data folders of their own claim the same sessions with different roots: one of them is not paid, and may be
//! slashed. So the key of each supplier is locked by a file that is named by its address, in the folders that processes of all users share. A lock
//! ends with its process, so a file that was left behind locks nothing. Other users' files are only read: nothing is written to them, and what
//! is not a plain file is passed over. What another machine does is seen on chain: `docs/servicer.md`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use portico_protocol::Address;

/// Longest text of a lock file that is read, in bytes.
const MAX_TEXT: u64 = 128;

/// Locks of the suppliers' keys, until it is dropped.
#[derive(Debug, Default)]
pub(super) struct KeyLocks {
    files: BTreeMap<Address, Vec<File>>,
}

impl KeyLocks {
    /// Locks these suppliers' keys, beside those that are locked already; errs when another process has one of them, and locks none then.
    /// Where no file can be made, that is only told.
    pub(super) fn take(&mut self, suppliers: impl IntoIterator<Item = Address>) -> Result<()> {
        // A service manager may give a process folders of its own in place of one of them.
        self.take_in(&[PathBuf::from("/run/lock"), std::env::temp_dir()], suppliers)
    }

    fn take_in(&mut self, folders: &[PathBuf], suppliers: impl IntoIterator<Item = Address>) -> Result<()> {
        let mut taken = BTreeMap::new();
        let mut unseen = 0_usize;
        for supplier in suppliers {
            if self.files.contains_key(&supplier) {
                continue;
            }
            let mut files = Vec::new();
            for folder in folders {
                let path = folder.join(format!("portico-supplier-{supplier}.lock"));
                match lock(&path) {
                    Ok(Locked::Ours(file)) => files.push(file),
                    Ok(Locked::Theirs(holder)) => bail!(
                        "the key of supplier {supplier} is in use by {holder} (lock file {}): run one servicer per key, or set \
                         lock_keys: false where the other process is of another chain",
                        path.display()
                    ),
                    Err(error) => tracing::debug!(%error, file = %path.display(), "no lock file"),
                }
            }
            unseen += usize::from(files.is_empty());
            taken.insert(supplier, files);
        }
        if unseen > 0 {
            // As in a container with a read-only root, which would not see other containers either.
            tracing::info!(
                suppliers = unseen,
                ?folders,
                "whether another process uses a supplier's key cannot be seen: no lock file can be made"
            );
        }
        self.files.append(&mut taken);
        Ok(())
    }
}

enum Locked {
    Ours(File),
    Theirs(String),
}

fn lock(path: &Path) -> std::io::Result<Locked> {
    let file = open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Locked::Theirs(holder(&file))),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // A file that another user left behind keeps its text.
    let told = writable(path).and_then(|mut own| {
        own.set_len(0)?;
        write!(own, "{}", std::process::id())
    });
    if let Err(error) = told {
        tracing::debug!(%error, file = %path.display(), "a lock file does not name its process");
    }
    Ok(Locked::Ours(file))
}

/// Opens the file at `path`, or makes it.
fn open(path: &Path) -> std::io::Result<File> {
    match existing(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => return opened,
    }
    match OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
    {
        Ok(file) => {
            readable_by_all(&file)?;
            Ok(file)
        }
        // Another process was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => existing(path),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn existing(path: &Path) -> std::io::Result<File> {
    plain(OpenOptions::new().read(true), path)
}

#[cfg(unix)]
fn writable(path: &Path) -> std::io::Result<File> {
    plain(OpenOptions::new().write(true), path)
}

/// Opens a plain file: what others may have put there, such as a link or a pipe, is neither followed nor waited for.
#[cfg(unix)]
fn plain(options: &mut OpenOptions, path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let file = options.custom_flags(flags.cast_signed()).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(std::io::Error::other("it is no plain file")),
    }
}

#[cfg(not(unix))]
fn existing(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

#[cfg(not(unix))]
fn writable(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

/// Whoever has the key has to be able to open the file, whatever the user's mask is.
#[cfg(unix)]
fn readable_by_all(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &File) -> std::io::Result<()> {
    Ok(())
}

/// Which process holds the lock of `file`, as far as it can be seen.
fn holder(file: &File) -> String {
    let Some(process) = holder_by_system(file).or_else(|| holder_by_text(file)) else {
        return "another process".to_owned();
    };
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    match name.trim() {
        "" => format!("process {process}"),
        name => format!("process {process} ({name})"),
    }
}

/// By the system's list of locks.
#[cfg(unix)]
fn holder_by_system(file: &File) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let inode = file.metadata().ok()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        // 1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF
        let mut words = line.split_whitespace().skip(1);
        let kind = words.next()?;
        let process = words.nth(2)?;
        let of = words.next()?.rsplit(':').next()?;
        (kind == "FLOCK" && of == inode)
            .then(|| process.parse().ok())
            .flatten()
    })
}

#[cfg(not(unix))]
fn holder_by_system(_: &File) -> Option<u32> {
    None
}

/// By what it wrote into the file.
fn holder_by_text(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(MAX_TEXT).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn supplier(n: u8) -> Address {
        Address::new([n; 20])
    }

    fn file(folder: &Path, n: u8) -> PathBuf {
        folder.join(format!("portico-supplier-{}.lock", supplier(n)))
    }

    fn taken(folders: &[PathBuf], suppliers: impl IntoIterator<Item = Address>) -> Result<KeyLocks> {
        let mut locks = KeyLocks::default();
        locks.take_in(folders, suppliers)?;
        Ok(locks)
    }

    #[test]
    fn a_key_is_one_processes_until_that_ends() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let first = taken(&folders, [supplier(1), supplier(2)]).unwrap();
        let refused = taken(&folders, [supplier(3), supplier(2)])
            .unwrap_err()
            .to_string();
        assert!(refused.contains(&supplier(2).to_string()), "{refused}");
        assert!(
            refused.contains(&format!("process {} (", std::process::id())),
            "{refused}"
        );
        let other = taken(&folders, [supplier(3)]).unwrap();
        drop(first);
        taken(&folders, [supplier(1), supplier(2)]).unwrap();
        drop(other);
    }

    #[test]
    fn a_file_that_was_left_behind_locks_nothing_and_is_told_anew() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(file(folder.path(), 1), "4000000000").unwrap();
        let _held = taken(&[folder.path().to_owned()], [supplier(1)]).unwrap();
        let text = std::fs::read_to_string(file(folder.path(), 1)).unwrap();
        assert_eq!(text, std::process::id().to_string());
        assert_eq!(
            std::fs::metadata(file(folder.path(), 2)).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn others_can_open_the_file_and_nobody_else_can_write_it() {
        let folder = tempfile::tempdir().unwrap();
        let _held = taken(&[folder.path().to_owned()], [supplier(1)]).unwrap();
        let mode = std::fs::metadata(file(folder.path(), 1))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    /// What others put there is neither followed nor waited for, and keeps nobody from starting.
    #[test]
    fn traps_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        std::fs::write(&target, "untouched").unwrap();
        symlink(&target, file(folder.path(), 1)).unwrap();
        std::fs::create_dir(file(folder.path(), 2)).unwrap();
        let pipe = file(folder.path(), 3);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o666),
            0,
        )
        .unwrap();
        let folders = [folder.path().to_owned(), folder.path().join("missing")];
        let locks = taken(&folders, (1..=3).map(supplier)).unwrap();
        assert!(locks.files.values().all(Vec::is_empty));
        assert_eq!(std::fs::read_to_string(target).unwrap(), "untouched");
    }
}
