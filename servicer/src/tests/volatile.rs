//! A disk in memory that remembers what it was told, and what is left of it when the process or the power ends.

use std::io;
use std::sync::{Arc, Mutex};

use rand::RngExt as _;
use rand::rngs::StdRng;
use redb::StorageBackend;

/// Bytes that a disk writes as a whole or not at all.
const SECTOR: usize = 512;

/// What reached the disk, operation by operation.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

/// Called before each operation, with its name: an error keeps it from being done.
type Hook = Arc<dyn Fn(&'static str) -> io::Result<()> + Send + Sync>;

/// A disk in memory; clones are the same disk.
#[derive(Clone, Default)]
pub(super) struct Disk {
    content: Arc<Mutex<Vec<u8>>>,
    operations: Arc<Mutex<Vec<Operation>>>,
    hook: Option<Hook>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    /// A disk on which `content` is safe.
    pub(super) fn of(content: Vec<u8>) -> Self {
        Self {
            content: Arc::new(Mutex::new(content)),
            ..Self::default()
        }
    }

    /// The same disk with a hook.
    pub(super) fn hooked(
        self,
        hook: impl Fn(&'static str) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            hook: Some(Arc::new(hook)),
            ..self
        }
    }

    pub(super) fn content(&self) -> Vec<u8> {
        self.content.lock().unwrap().clone()
    }

    /// All that was done.
    pub(super) fn operations(&self) -> Vec<Operation> {
        self.operations.lock().unwrap().clone()
    }

    /// The disk as it is after the first `count` operations, with only `torn` bytes of the last one when it is a write.
    pub(super) fn at(operations: &[Operation], count: usize, torn: usize) -> Self {
        Self::default().after(operations, count, torn)
    }

    fn after(self, operations: &[Operation], count: usize, torn: usize) -> Self {
        for (index, operation) in operations[..count].iter().enumerate() {
            match operation {
                Operation::Write(offset, data) => {
                    let length = if index + 1 == count {
                        torn.min(data.len())
                    } else {
                        data.len()
                    };
                    StorageBackend::write(&self, *offset, &data[..length]).unwrap();
                }
                Operation::SetLen(length) => self.set_len(*length).unwrap(),
                Operation::Sync => {}
            }
        }
        self
    }

    /// This disk after `operations`, at the end of which the power went: of each write since the last sync it has all, nothing, or some of the
    /// sectors.
    pub(super) fn cut(self, operations: &[Operation], rng: &mut StdRng) -> Self {
        let is_sync = |operation: &Operation| matches!(operation, Operation::Sync);
        let synced = operations.iter().rposition(is_sync).map_or(0, |at| at + 1);
        let disk = self.after(operations, synced, usize::MAX);
        for operation in &operations[synced..] {
            match operation {
                Operation::SetLen(length) => disk.set_len(*length).unwrap(),
                Operation::Write(offset, data) => {
                    let (all, any) = (rng.random_bool(0.4), rng.random_bool(0.5));
                    for (index, sector) in data.chunks(SECTOR).enumerate() {
                        if all || any && rng.random_bool(0.5) {
                            let at = offset + u64::try_from(index * SECTOR).unwrap();
                            StorageBackend::write(&disk, at, sector).unwrap();
                        }
                    }
                }
                Operation::Sync => {}
            }
        }
        disk
    }

    fn begin(&self, name: &'static str) -> io::Result<()> {
        self.hook.as_ref().map_or(Ok(()), |hook| hook(name))
    }

    fn done(&self, operation: Operation) {
        self.operations.lock().unwrap().push(operation);
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.content.lock().unwrap().len()).unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let content = self.content.lock().unwrap();
        let part = content
            .get(start..start + out.len())
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(part);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut content = self.content.lock().unwrap();
        self.begin("disk.set_len")?;
        content.resize(usize::try_from(len).unwrap(), 0);
        self.done(Operation::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let _content = self.content.lock().unwrap();
        self.begin("disk.sync")?;
        self.done(Operation::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut content = self.content.lock().unwrap();
        self.begin("disk.write")?;
        let start = usize::try_from(offset).unwrap();
        content[start..start + data.len()].copy_from_slice(data);
        self.done(Operation::Write(offset, data.to_vec()));
        Ok(())
    }
}
