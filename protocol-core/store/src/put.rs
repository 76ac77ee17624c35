//! Blocks of the log become rows of the tables.

use std::sync::Arc;

use redb::{ReadableTable as _, WriteTransaction};

use crate::layer::Layer;
use crate::snapshot::{height_of_bytes, hex};
use crate::step::Step;
use crate::tables::{
    BLOCKS, CERTIFICATES, HEIGHTS, IDS, JOURNAL, META, META_OLDEST, META_STORES, RESULTS, TIP, TXS,
};
use crate::tries::app_hash_of;
use crate::versioned::{STATE_FAMILY, TREE_FAMILY, Writer, forget, oldest_after};
use crate::{Altered, Hash, StoreError, tree};

pub(crate) fn wrong_root(height: i64, found: &Hash, expected: &Hash) -> StoreError {
    StoreError::Damaged(format!(
        "the state after block {height} has the root {}, its app hash is {}; nothing was written",
        hex(found),
        hex(expected)
    ))
}

/// Writes blocks of the log, oldest first; those that are there already are passed over. Returns whether there were others.
pub(crate) fn put_layers(
    write: &WriteTransaction,
    layers: &[Arc<Layer>],
    retain: u32,
    observe: &mut dyn FnMut(Step) -> Result<(), StoreError>,
) -> Result<bool, StoreError> {
    let none = || {
        StoreError::Damaged(
            "the log has blocks, and the tables no genesis: they are of different stores".into(),
        )
    };
    let (mut height, mut id, _) = tip(write)?.ok_or_else(none)?;
    let mut new = false;
    for layer in layers {
        if layer.height <= height {
            let ids = write.open_table(IDS)?;
            let stored = ids.get(layer.height)?.map(|row| row.value().0);
            if stored != Some(layer.id) {
                return Err(foreign(layer.height));
            }
            continue;
        }
        if height.checked_add(1) != Some(layer.height) || layer.parent != id {
            return Err(foreign(layer.height));
        }
        let changes: Vec<Altered<'_>> = layer.changes().collect();
        put_state(write, layer.height, &changes)?;
        observe(Step::State)?;
        put_tree(write, layer.height, layer.app_hash, &changes)?;
        observe(Step::Tree)?;
        write.open_table(BLOCKS)?.insert(layer.height, layer.block())?;
        write.open_table(RESULTS)?.insert(layer.height, layer.results())?;
        let mut certificates = write.open_table(CERTIFICATES)?;
        certificates.insert(layer.height, layer.certificate())?;
        drop(certificates);
        observe(Step::Block)?;
        put_index(write, layer)?;
        observe(Step::Index)?;
        forget_old(write, layer.height, retain)?;
        observe(Step::Forgotten)?;
        (height, id, new) = (layer.height, layer.id, true);
        let mut tip = write.open_table(TIP)?;
        tip.insert((), (height, id, layer.app_hash))?;
        observe(Step::Tip)?;
    }
    Ok(new)
}

fn foreign(height: i64) -> StoreError {
    StoreError::Damaged(format!(
        "block {height} of the log does not follow what is in the tables; move the log's files away to go on from there, or restore \
         the data folder from a snapshot"
    ))
}

pub(crate) fn tip(write: &WriteTransaction) -> Result<Option<(i64, Hash, Hash)>, StoreError> {
    Ok(write.open_table(TIP)?.get(())?.map(|row| row.value()))
}

pub(crate) fn put_state(
    write: &WriteTransaction,
    height: i64,
    changes: &[Altered<'_>],
) -> Result<(), StoreError> {
    let mut state = Writer::open(write, STATE_FAMILY, height)?;
    for (store, key, value) in changes {
        state.put(store, key, *value)?;
    }
    Ok(())
}

/// Changes the tries, and compares their root with the block's.
pub(crate) fn put_tree(
    write: &WriteTransaction,
    height: i64,
    app_hash: Hash,
    changes: &[Altered<'_>],
) -> Result<(), StoreError> {
    let mut pages = Writer::open(write, TREE_FAMILY, height)?;
    tree::apply(&mut pages, changes)?;
    let mut roots = Vec::new();
    let meta = write.open_table(META)?;
    let names = meta
        .get(META_STORES)?
        .map(|row| row.value().to_vec())
        .unwrap_or_default();
    let names =
        String::from_utf8(names).map_err(|_| StoreError::Damaged("the stores' names are no text".into()))?;
    for name in names.split_terminator('\0') {
        roots.push((name, tree::root(pages.get(name, &[])?)?));
    }
    if let Some((other, _, _)) = changes
        .iter()
        .find(|(store, _, _)| roots.iter().all(|(name, _)| name != store))
    {
        return Err(StoreError::NoStore((*other).to_owned()));
    }
    let found = app_hash_of(roots.iter().map(|(name, root)| (*name, root)));
    if found != app_hash {
        return Err(wrong_root(height, &found, &app_hash));
    }
    Ok(())
}

/// Bytes per transaction in the journal: its hash, and where it was included before. Undoing puts that back, also when it still holds.
pub(crate) const TX_ENTRY: usize = 32 + 8 + 4;

fn put_index(write: &WriteTransaction, block: &Layer) -> Result<(), StoreError> {
    write
        .open_table(IDS)?
        .insert(block.height, (block.id, block.app_hash))?;
    write.open_table(HEIGHTS)?.insert(block.id, block.height)?;
    let mut txs = write.open_table(TXS)?;
    let mut undo = Vec::with_capacity(block.txs().len().saturating_mul(TX_ENTRY));
    for (index, hash) in (0_u32..).zip(block.txs()) {
        // A transaction counts where it was included first: a replay can only fail, and must not hide the success.
        let before = txs.get(hash)?.map(|row| row.value());
        if before.is_none() {
            txs.insert(hash, (block.height, index))?;
        }
        let (height, index) = before.unwrap_or((-1, 0));
        undo.extend(hash);
        undo.extend(height.to_be_bytes());
        undo.extend(index.to_be_bytes());
    }
    let mut journal = write.open_table(JOURNAL)?;
    journal.insert(block.height, undo.as_slice())?;
    Ok(())
}

/// The oldest retained height.
pub(crate) fn oldest(write: &WriteTransaction) -> Result<i64, StoreError> {
    let meta = write.open_table(META)?;
    let row = meta.get(META_OLDEST)?.map(|row| row.value().to_vec());
    height_of_bytes(row.as_deref())
}

/// Forgets states older than `retain` blocks below `height`: as many heights as came, and a few more when there are too many.
fn forget_old(write: &WriteTransaction, height: i64, retain: u32) -> Result<(), StoreError> {
    let before = oldest(write)?;
    let target = oldest_after(before, height, retain);
    if target <= before {
        return Ok(());
    }
    for height in before.saturating_add(1)..=target {
        forget(write, STATE_FAMILY, height)?;
        forget(write, TREE_FAMILY, height)?;
        write.open_table(JOURNAL)?.remove(height)?;
    }
    write
        .open_table(META)?
        .insert(META_OLDEST, target.to_le_bytes().as_slice())?;
    Ok(())
}
