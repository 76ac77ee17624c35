//! Snapshots in a folder: everything that the store holds at one block, in chunks that are named by their hashes.
//!
//! ```text
//!  FOLDER/manifest.json    height, ids, hashes of the chunks, and a hash of itself
//!  FOLDER/chunk-00000      1 MiB of the rows of all tables, one after the other; the last one is shorter
//!  FOLDER/chunk-00001 …
//! ```
//! A snapshot is made from one read transaction, so that blocks go on meanwhile (the file may grow by what they replace). Folder and
//! restored file get their names when they are complete and on disk: what a crash leaves is `NAME.partial`, which the next attempt removes.

mod read;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::rows::rows;
use crate::snapshot::hex;
use crate::store::{ChainStore, at, sync_parent};
use crate::tables::{FORMAT, OLDEST_FORMAT};
use crate::{Hash, Snapshot, StoreError};

/// Bytes per chunk.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;
/// Layout of folder and manifest.
const ARCHIVE_FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";

/// What a snapshot says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Layout of folder and manifest: 1.
    pub format: u32,
    /// Format of the store whose rows these are.
    pub store_format: u32,
    /// Id of the chain.
    pub chain_id: String,
    /// Height of the newest block.
    pub height: i64,
    /// Oldest height whose state can be read and proved.
    pub oldest: i64,
    /// Id of the newest block in hex.
    pub block_id: String,
    /// Root of the state after it, in hex. The header of the next block has it.
    pub app_hash: String,
    /// The newest block's header as its owner encodes it, in hex.
    pub header: String,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of all chunks.
    pub bytes: u64,
    /// Bytes of each chunk but the last.
    pub chunk_bytes: usize,
    /// SHA-256 of each chunk in hex.
    pub chunks: Vec<String>,
    /// SHA-256 in hex of this manifest as JSON without spaces, with this field empty.
    pub checksum: String,
}

/// What a snapshot says about its chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Id of the chain.
    pub chain_id: String,
    /// The newest block's header, encoded.
    pub header: Vec<u8>,
}

impl Manifest {
    fn sum(&self) -> Result<String, StoreError> {
        let bare = Self {
            checksum: String::new(),
            ..self.clone()
        };
        let bytes = serde_json::to_vec(&bare).map_err(|error| StoreError::Damaged(error.to_string()))?;
        Ok(hex(&Sha256::digest(bytes).into()))
    }

    /// Reads the manifest of the snapshot in `folder`, and checks it against its own checksum.
    pub fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(MANIFEST);
        let bytes = fs::read(&path).map_err(at(&path))?;
        let refuse = |reason: String| StoreError::Archive {
            file: MANIFEST.into(),
            reason,
        };
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| refuse(error.to_string()))?;
        if manifest.format != ARCHIVE_FORMAT || !(OLDEST_FORMAT..=FORMAT).contains(&manifest.store_format) {
            return Err(refuse(format!(
                "it has format {}.{}, this program reads {ARCHIVE_FORMAT}.{FORMAT}",
                manifest.format, manifest.store_format
            )));
        }
        if manifest.sum()? != manifest.checksum || manifest.chunk_bytes != CHUNK_BYTES {
            return Err(refuse("it does not match its checksum".into()));
        }
        Ok(manifest)
    }
}

/// Name of chunk `index`.
pub(crate) fn chunk_name(index: usize) -> String {
    format!("chunk-{index:05}")
}

/// `path` with `.partial` behind its name.
pub(crate) fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Refuses to write over something.
pub(crate) fn check_free(path: &Path) -> Result<(), StoreError> {
    match path.try_exists().map_err(at(path))? {
        true => Err(StoreError::Exists(path.to_owned())),
        false => Ok(()),
    }
}

impl ChainStore {
    /// Writes a snapshot of now into the new folder `folder`, while blocks go on. `about` reads what the manifest says about the chain
    /// from the same version; `progress` is told each chunk that is on disk.
    pub fn write_snapshot(
        &self,
        folder: &Path,
        about: impl FnOnce(&Snapshot) -> Result<About, StoreError>,
        progress: impl FnMut(usize),
    ) -> Result<Manifest, StoreError> {
        check_free(folder)?;
        let building = partial(folder);
        if building.exists() {
            fs::remove_dir_all(&building).map_err(at(&building))?;
        }
        fs::create_dir_all(&building).map_err(at(&building))?;
        let read = self.settled_read()?;
        let snapshot = Snapshot::of_tables(&read, self.live().file.clone())?;
        let tip = snapshot
            .tip()
            .ok_or_else(|| StoreError::Damaged("there is no block yet".into()))?;
        let About { chain_id, header } = about(&snapshot)?;
        let mut chunks = Chunks::new(&building, progress);
        rows(&read, &mut |row| {
            chunks.rows = chunks.rows.saturating_add(1);
            row.encode(&mut chunks.buffer)?;
            chunks.write_full()
        })?;
        chunks.write_rest()?;
        let mut manifest = Manifest {
            format: ARCHIVE_FORMAT,
            store_format: FORMAT,
            chain_id,
            height: tip.height,
            oldest: snapshot.oldest(),
            block_id: hex(&tip.block_id),
            app_hash: hex(&tip.app_hash),
            header: header.iter().map(|byte| format!("{byte:02X}")).collect(),
            rows: chunks.rows,
            bytes: chunks.bytes,
            chunk_bytes: CHUNK_BYTES,
            chunks: chunks.hashes,
            checksum: String::new(),
        };
        manifest.checksum = manifest.sum()?;
        let text =
            serde_json::to_vec_pretty(&manifest).map_err(|error| StoreError::Damaged(error.to_string()))?;
        write_file(&building.join(MANIFEST), &text)?;
        sync_parent(&building.join(MANIFEST))?;
        fs::rename(&building, folder).map_err(at(folder))?;
        sync_parent(folder)?;
        Ok(manifest)
    }
}

/// Writes a new file, durably.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(at(path))
}

/// Cuts a stream of bytes into chunk files.
struct Chunks<'a, P> {
    folder: &'a Path,
    buffer: Vec<u8>,
    hashes: Vec<String>,
    rows: u64,
    bytes: u64,
    progress: P,
}

impl<'a, P: FnMut(usize)> Chunks<'a, P> {
    fn new(folder: &'a Path, progress: P) -> Self {
        Self {
            folder,
            buffer: Vec::with_capacity(2 * CHUNK_BYTES),
            hashes: Vec::new(),
            rows: 0,
            bytes: 0,
            progress,
        }
    }

    fn write_full(&mut self) -> Result<(), StoreError> {
        while self.buffer.len() >= CHUNK_BYTES {
            self.write(CHUNK_BYTES)?;
        }
        Ok(())
    }

    fn write_rest(&mut self) -> Result<(), StoreError> {
        match self.buffer.len() {
            0 => Ok(()),
            len => self.write(len),
        }
    }

    fn write(&mut self, len: usize) -> Result<(), StoreError> {
        let index = self.hashes.len();
        let chunk = &self.buffer[..len];
        let hash: Hash = Sha256::digest(chunk).into();
        write_file(&self.folder.join(chunk_name(index)), chunk)?;
        self.hashes.push(hex(&hash));
        self.bytes = self.bytes.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        self.buffer.drain(..len);
        (self.progress)(index);
        Ok(())
    }
}
