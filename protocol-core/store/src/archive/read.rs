//! Reading a snapshot back: verifying it, and making a store of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use portico_smst::{Path as TriePath, PlainTrie};
use sha2::{Digest as _, Sha256};

use super::{CHUNK_BYTES, Manifest, check_free, chunk_name, partial};
use crate::rows::{Row, STATE_ROWS};
use crate::snapshot::hex;
use crate::store::{ChainStore, Disks, at, log_files, sync_parent};
use crate::tables::META_STORES;
use crate::tries::{app_hash_of, leaf};
use crate::versioned::value_of;
use crate::{Hash, Report, StoreError};

/// Chunks that one transaction of a restore writes.
const CHUNKS_PER_WRITE: usize = 64;

impl Manifest {
    /// Checks the snapshot in `folder`: each chunk against its hash, and the root of the state in it against the app hash.
    ///
    /// Errs with [`StoreError::Archive`], which names the first file that is wrong. `progress` is told each chunk that is right.
    pub fn verify(folder: &Path, progress: impl FnMut(usize)) -> Result<Self, StoreError> {
        let manifest = Self::read(folder)?;
        let mut tries: BTreeMap<String, PlainTrie> = BTreeMap::new();
        manifest.each_row(folder, progress, |row| {
            if row.table == 0 && row.key == META_STORES.as_bytes() {
                let names = String::from_utf8_lossy(row.value).into_owned();
                tries.extend(
                    names
                        .split_terminator('\0')
                        .map(|name| (name.to_owned(), PlainTrie::new())),
                );
            }
            if row.table == STATE_ROWS {
                let malformed = || manifest.refuse("a row of the state is malformed");
                let (store, key) = row.place().ok_or_else(malformed)?;
                let path = TriePath::of_key(key);
                let trie = tries.get_mut(store).ok_or_else(malformed)?;
                if let Some(value) = value_of(row.value)? {
                    trie.insert_leaf(leaf(path, value));
                }
            }
            Ok(())
        })?;
        let roots: Vec<(String, Hash)> = tries
            .into_iter()
            .map(|(name, trie)| (name, *trie.root().as_bytes()))
            .collect();
        let found = app_hash_of(roots.iter().map(|(name, root)| (name.as_str(), root)));
        if hex(&found) != manifest.app_hash {
            return Err(manifest.refuse(&format!("the root of the state in the chunks is {}", hex(&found))));
        }
        Ok(manifest)
    }

    /// Makes a store at `path`, which must not exist, of the snapshot in `folder`, and checks it. The file gets its name when all of
    /// it is right and on disk.
    pub fn restore(folder: &Path, path: &Path, mut progress: impl FnMut(usize)) -> Result<Self, StoreError> {
        let manifest = Self::read(folder)?;
        check_free(path)?;
        let building = partial(path);
        if building.exists() {
            fs::remove_file(&building).map_err(at(&building))?;
        }
        let refused = |source: redb::Error| StoreError::Open {
            path: building.clone(),
            source: Box::new(source),
        };
        let disks = Disks {
            tables: portico_disk::lock(&building).map_err(refused)?,
            ..Disks::in_memory()
        };
        let store = ChainStore::on(disks, u32::MAX)?;
        manifest.fill(folder, &store, &mut progress)?;
        let report = store.snapshot()?.check(|_| ())?;
        manifest.judge(&report)?;
        drop(store);
        File::open(&building)
            .and_then(|file| file.sync_all())
            .map_err(at(&building))?;
        for log in log_files(path).iter().filter(|log| log.exists()) {
            fs::remove_file(log).map_err(at(log))?; // of a store whose tables are gone
        }
        fs::rename(&building, path).map_err(at(path))?;
        sync_parent(path)?;
        Ok(manifest)
    }

    fn fill(
        &self,
        folder: &Path,
        store: &ChainStore,
        progress: &mut impl FnMut(usize),
    ) -> Result<(), StoreError> {
        let mut rest = Vec::new();
        let indexes: Vec<usize> = (0..self.chunks.len()).collect();
        for indexes in indexes.chunks(CHUNKS_PER_WRITE) {
            store.transact(|write| {
                for index in indexes {
                    rest.extend(self.chunk(folder, *index)?);
                    let used = each(&rest, |row| row.insert(write))?;
                    rest.drain(..used);
                    progress(*index);
                }
                Ok(true)
            })?;
        }
        match rest.is_empty() {
            true => Ok(()),
            false => Err(self.refuse("the chunks end within a row")),
        }
    }

    fn judge(&self, report: &Report) -> Result<(), StoreError> {
        if let Some(fault) = report.faults.first() {
            return Err(self.refuse(fault));
        }
        let tip = report.tip.ok_or_else(|| self.refuse("it holds no block"))?;
        let same = (tip.height, hex(&tip.block_id), hex(&tip.app_hash));
        match same == (self.height, self.block_id.clone(), self.app_hash.clone()) {
            true => Ok(()),
            false => Err(self.refuse("the chunks hold another height than the manifest says")),
        }
    }

    fn refuse(&self, reason: &str) -> StoreError {
        StoreError::Archive {
            file: format!("snapshot of height {}", self.height),
            reason: reason.to_owned(),
        }
    }

    fn each_row(
        &self,
        folder: &Path,
        mut progress: impl FnMut(usize),
        mut visit: impl FnMut(Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut rest = Vec::new();
        let mut rows = 0_u64;
        for index in 0..self.chunks.len() {
            rest.extend(self.chunk(folder, index)?);
            let used = each(&rest, |row| {
                rows = rows.saturating_add(1);
                visit(row)
            })?;
            rest.drain(..used);
            progress(index);
        }
        match rest.is_empty() && rows == self.rows {
            true => Ok(()),
            false => Err(self.refuse(&format!(
                "the chunks hold {rows} rows, the manifest says {}",
                self.rows
            ))),
        }
    }

    /// Reads chunk `index`, and checks its hash.
    fn chunk(&self, folder: &Path, index: usize) -> Result<Vec<u8>, StoreError> {
        let path = folder.join(chunk_name(index));
        let refuse = |reason: String| StoreError::Archive {
            file: chunk_name(index),
            reason,
        };
        let mut bytes = Vec::new();
        let most = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        let file = File::open(&path).map_err(|error| refuse(error.to_string()))?;
        file.take(most).read_to_end(&mut bytes).map_err(at(&path))?;
        let found = hex(&Sha256::digest(&bytes).into());
        match self.chunks.get(index) {
            Some(expected) if *expected == found => Ok(bytes),
            _ => Err(refuse(format!(
                "its SHA-256 is {found}, the manifest says {}",
                self.chunks[index]
            ))),
        }
    }
}

/// Calls `visit` for each whole row; returns how many bytes they took.
fn each(bytes: &[u8], mut visit: impl FnMut(Row<'_>) -> Result<(), StoreError>) -> Result<usize, StoreError> {
    let mut rest = bytes;
    while let Some(row) = Row::take(&mut rest)? {
        visit(row)?;
    }
    Ok(bytes.len().saturating_sub(rest.len()))
}
