//! What a database is on: each opening has a handle of its own on the same disk.
//!
//! One kind writes through, the other keeps its writes in memory, for reading while the disk takes none. A handle that was given up can no
//! longer write.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::StorageBackend;

/// A disk, shared by handles.
pub type Disk = Arc<dyn StorageBackend>;

/// Bytes that are kept at a time.
const BLOCK: usize = 4096;

/// Where the writes of a handle go.
#[derive(Debug)]
pub(crate) enum Writes {
    /// To the disk.
    Through,
    /// Nowhere; the handle reads them back.
    Kept(Mutex<Kept>),
}

/// Writes in memory over what the disk has.
#[derive(Debug)]
pub(crate) struct Kept {
    len: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
}

/// One opening's access to the disk.
#[derive(Debug)]
pub(crate) struct Handle {
    disk: Disk,
    given_up: Arc<AtomicBool>,
    writes: Writes,
}

impl Handle {
    /// A handle that writes to the disk, until `given_up`.
    pub(crate) fn through(disk: Disk, given_up: Arc<AtomicBool>) -> Self {
        Self {
            disk,
            given_up,
            writes: Writes::Through,
        }
    }

    /// A handle that leaves the disk as it is.
    pub(crate) fn keeping(disk: Disk, given_up: Arc<AtomicBool>) -> io::Result<Self> {
        let kept = Kept {
            len: disk.len()?,
            blocks: BTreeMap::new(),
        };
        Ok(Self {
            disk,
            given_up,
            writes: Writes::Kept(Mutex::new(kept)),
        })
    }

    fn check(&self) -> io::Result<()> {
        if self.given_up.load(Ordering::Acquire) {
            return Err(io::Error::other("this opening of the file was given up"));
        }
        Ok(())
    }
}

impl Kept {
    /// The block at `index`, from the disk unless it was written.
    fn block(&mut self, disk: &Disk, index: u64) -> io::Result<&mut Vec<u8>> {
        use std::collections::btree_map::Entry;
        match self.blocks.entry(index) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(from_disk(disk, index)?)),
        }
    }

    fn write(&mut self, disk: &Disk, mut offset: u64, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let (index, within) = place(offset);
            let (now, later) = data.split_at(data.len().min(BLOCK - within));
            self.block(disk, index)?[within..within + now.len()].copy_from_slice(now);
            offset += now.len() as u64;
            self.len = self.len.max(offset);
            data = later;
        }
        Ok(())
    }

    fn read(&self, disk: &Disk, mut offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        if offset.saturating_add(out.len() as u64) > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !out.is_empty() {
            let (index, within) = place(offset);
            let (now, later) = out.split_at_mut(out.len().min(BLOCK - within));
            match self.blocks.get(&index) {
                Some(block) => now.copy_from_slice(&block[within..within + now.len()]),
                None => read_padded(disk, offset, now)?,
            }
            offset += now.len() as u64;
            out = later;
        }
        Ok(())
    }
}

fn place(offset: u64) -> (u64, usize) {
    let within = usize::try_from(offset % BLOCK as u64).expect("less than a block");
    (offset / BLOCK as u64, within)
}

fn from_disk(disk: &Disk, index: u64) -> io::Result<Vec<u8>> {
    let mut block = vec![0; BLOCK];
    read_padded(disk, index * BLOCK as u64, &mut block)?;
    Ok(block)
}

/// Reads what the disk has there; the rest is zeros.
fn read_padded(disk: &Disk, offset: u64, out: &mut [u8]) -> io::Result<()> {
    let there = usize::try_from(disk.len()?.saturating_sub(offset)).unwrap_or(usize::MAX);
    let there = there.min(out.len());
    disk.read(offset, &mut out[..there])?;
    out[there..].fill(0);
    Ok(())
}

fn lock(kept: &Mutex<Kept>) -> std::sync::MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        match &self.writes {
            Writes::Through => self.disk.len(),
            Writes::Kept(kept) => Ok(lock(kept).len),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &self.writes {
            Writes::Through => self.disk.read(offset, out),
            Writes::Kept(kept) => lock(kept).read(&self.disk, offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        match &self.writes {
            Writes::Through => self.disk.set_len(len),
            Writes::Kept(kept) => {
                let mut kept = lock(kept);
                if len < kept.len {
                    return Err(io::Error::other("a file that is only read does not shrink"));
                }
                kept.len = len;
                Ok(())
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        match &self.writes {
            Writes::Through => self.disk.sync_data(),
            Writes::Kept(_) => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        match &self.writes {
            Writes::Through => self.disk.write(offset, data),
            Writes::Kept(kept) => lock(kept).write(&self.disk, offset, data),
        }
    }
}
