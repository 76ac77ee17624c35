//! The log: blocks that are durable and not in the tables yet, one record each, in two files that take turns.
//!
//! ```text
//!  record   magic 8 │ height 8 │ length 8 │ parent's id 32 │ SHA-256 of the payload 32 │ check 8 │ payload
//!           └───────────────────── header, 96 bytes ──────────────────────────────────┘
//! ```
//! Numbers are big endian; `check` is the front of the SHA-256 of what is before it.
//!
//! - **Torn or damaged**: the last record may be torn, since nobody was told of it. What is not whole and has a sound header behind it was
//!   acknowledged: that is damage, and an error. A header has its own check, so that a damaged length is seen as what it is.
//! - **No record within a record**: a payload is written XORed with the front of its own hash. Nobody who sends a transaction can make its
//!   bytes read as a header there.
//! - **A file is emptied, and that synced**, before its turn comes again.

use portico_disk::Disk;
use sha2::{Digest as _, Sha256};

use crate::layer::Layer;
use crate::{Hash, StoreError};

const MAGIC: [u8; 8] = *b"pbLOCK\x04\n";
/// Bytes of a header.
const HEADER: usize = 8 + 8 + 8 + 32 + 32 + CHECK;
/// Bytes of a header's check.
const CHECK: usize = 8;

/// One of the two files.
pub(crate) struct Segment {
    disk: Disk,
    /// Where the next record goes.
    end: u64,
    /// Whether there may be something behind `end`.
    torn: bool,
    /// Records in it.
    pub(crate) records: usize,
}

impl Segment {
    /// Opens a file, and hands each whole record to `visit`.
    pub(crate) fn open(
        disk: Disk,
        mut visit: impl FnMut(Layer) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let len = usize::try_from(disk.len().map_err(io)?).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len];
        if len > 0 {
            disk.read(0, &mut bytes).map_err(io)?;
        }
        let (mut at, mut records) = (0, 0_usize);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Some((layer, size)) = record(rest)? else {
                if let Some(offset) = (1..rest.len()).find(|from| Header::read(&rest[*from..]).is_some()) {
                    return Err(StoreError::Damaged(format!(
                        "a record of the log is not as it was written (byte {at}, the next one begins at byte {}); restore \
                         the data folder from a snapshot, or move the log's files away to go on from the newest block in \
                         the tables",
                        at.saturating_add(offset)
                    )));
                }
                tracing::warn!(
                    bytes = rest.len(),
                    "the log ends in a record that was not written to its end; nobody was told of its block"
                );
                break;
            };
            visit(layer)?;
            at = at.saturating_add(size);
            records = records.saturating_add(1);
        }
        Ok(Self {
            disk,
            end: u64::try_from(at).unwrap_or(u64::MAX),
            torn: at < len,
            records,
        })
    }

    /// Bytes of its records.
    pub(crate) const fn bytes(&self) -> u64 {
        self.end
    }

    /// Appends a record; durable on return. After an error nothing of it counts, unless the process ends before the next append.
    pub(crate) fn append(&mut self, layer: &Layer) -> Result<(), StoreError> {
        let payload = layer.payload();
        let sum: Hash = Sha256::digest(payload).into();
        let len = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        let mut bytes = Vec::with_capacity(HEADER.saturating_add(payload.len()));
        bytes.extend(MAGIC);
        bytes.extend(layer.height.to_be_bytes());
        bytes.extend(len.to_be_bytes());
        bytes.extend(layer.parent);
        bytes.extend(sum);
        let check = Sha256::digest(&bytes);
        bytes.extend(&check[..CHECK]);
        bytes.extend(payload);
        mask(&mut bytes[HEADER..], &sum);
        self.cut()?;
        let end = self
            .end
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.torn = true;
        self.disk.set_len(end).map_err(unwritable)?;
        self.disk.write(self.end, &bytes).map_err(unwritable)?;
        self.disk.sync_data().map_err(unwritable)?;
        (self.end, self.torn) = (end, false);
        self.records = self.records.saturating_add(1);
        Ok(())
    }

    /// Takes back the last append, of `layer`.
    pub(crate) fn take_back(&mut self, layer: &Layer) {
        let size = HEADER.saturating_add(layer.payload().len());
        self.end = self.end.saturating_sub(u64::try_from(size).unwrap_or(u64::MAX));
        self.records = self.records.saturating_sub(1);
        self.torn = true;
    }

    fn cut(&mut self) -> Result<(), StoreError> {
        if self.torn {
            self.disk.set_len(self.end).map_err(unwritable)?;
            self.torn = false;
        }
        Ok(())
    }

    /// Removes all records, durably.
    pub(crate) fn clear(&mut self) -> Result<(), StoreError> {
        if self.end == 0 && !self.torn {
            return Ok(());
        }
        (self.end, self.records, self.torn) = (0, 0, true);
        self.disk.set_len(0).map_err(unwritable)?;
        self.disk.sync_data().map_err(unwritable)?;
        self.torn = false;
        Ok(())
    }
}

fn io(error: std::io::Error) -> StoreError {
    StoreError::Io(Box::new(redb::Error::Io(error)))
}

fn unwritable(error: std::io::Error) -> StoreError {
    StoreError::Unwritable(Box::new(redb::Error::Io(error)))
}

fn mask(payload: &mut [u8], sum: &Hash) {
    for chunk in payload.chunks_mut(CHECK) {
        for (byte, mask) in chunk.iter_mut().zip(sum) {
            *byte ^= mask;
        }
    }
}

struct Header {
    height: i64,
    len: usize,
    parent: Hash,
    sum: Hash,
}

impl Header {
    /// The header at the front of `bytes`, if there is a sound one.
    fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (height, rest) = rest.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<8>()?;
        let (parent, rest) = rest.split_first_chunk::<32>()?;
        let (sum, rest) = rest.split_first_chunk::<32>()?;
        let check = rest.first_chunk::<CHECK>()?;
        let covered = bytes.get(..HEADER.checked_sub(CHECK)?)?;
        (Sha256::digest(covered).first_chunk::<CHECK>() == Some(check)).then_some(Self {
            height: i64::from_be_bytes(*height),
            len: usize::try_from(u64::from_be_bytes(*len)).ok()?,
            parent: *parent,
            sum: *sum,
        })
    }
}

/// The record at the front of `bytes` and its size; `None` when it is not whole.
fn record(bytes: &[u8]) -> Result<Option<(Layer, usize)>, StoreError> {
    let Some(header) = Header::read(bytes) else {
        return Ok(None);
    };
    let size = HEADER.saturating_add(header.len);
    let Some(payload) = bytes.get(HEADER..size) else {
        return Ok(None);
    };
    let mut payload = payload.to_vec();
    mask(&mut payload, &header.sum);
    if Hash::from(Sha256::digest(&payload)) != header.sum {
        return Ok(None);
    }
    let layer = Layer::read(header.height, header.parent, payload, None)?;
    Ok(Some((layer, size)))
}
