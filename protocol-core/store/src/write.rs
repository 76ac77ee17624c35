//! Writing: one transaction per block.

use redb::{ReadableTable as _, WriteTransaction};

use crate::snapshot::{height_of_bytes, hex};
use crate::store::ChainStore;
use crate::tables::{
    BLOCKS, CERTIFICATES, HEIGHTS, IDS, JOURNAL, META, META_GENESIS, META_OLDEST, META_STORES, RESULTS, TIP,
    TXS,
};
use crate::tries::app_hash_of;
use crate::versioned::{STATE_FAMILY, TREE_FAMILY, Writer, forget};
use crate::{Hash, StateTries, StoreError, tree};

/// A write to the state: store, key, and the value, or `None` to remove the key. A block writes a key once.
pub type Change<'a> = (&'static str, &'a [u8], Option<&'a [u8]>);

/// Most heights that one block forgets: more than one when fewer are to be retained than before.
const MAX_FORGOTTEN: i64 = 4;

/// A block to be committed, without its state changes.
#[derive(Clone, Copy, Debug)]
pub struct BlockWrite<'a> {
    /// Height; one more than the tip's.
    pub height: i64,
    /// Hash of the header.
    pub id: Hash,
    /// Root of the state after the block.
    pub app_hash: Hash,
    /// The encoded block.
    pub block: &'a [u8],
    /// Its encoded results.
    pub results: &'a [u8],
    /// Why it is final.
    pub certificate: &'a [u8],
    /// Hashes of its transactions, in order.
    pub tx_hashes: &'a [Hash],
}

/// A moment of a commit, at which a crash is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is written yet.
    Begun,
    /// The state is written, with what it replaced.
    State,
    /// The pages of the tries are written, and their root is that of the block.
    Tree,
    /// Block, results and certificate are written.
    Block,
    /// Ids and transactions are written.
    Index,
    /// What is no longer retained is gone.
    Forgotten,
    /// The tip is written: all but the commit.
    Tip,
    /// The transaction is committed.
    Committed,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Begun,
        Self::State,
        Self::Tree,
        Self::Block,
        Self::Index,
        Self::Forgotten,
        Self::Tip,
        Self::Committed,
    ];
}

impl ChainStore {
    /// Writes the first state at height 0, with the genesis that it comes from. `tries` are those of the state; their names are the
    /// stores' for as long as the chain lives. Errs when there is a tip.
    pub fn init<'a>(
        &self,
        genesis: &[u8],
        tries: &StateTries,
        changes: impl IntoIterator<Item = Change<'a>>,
    ) -> Result<(), StoreError> {
        let changes: Vec<_> = changes.into_iter().collect();
        let app_hash = tries.app_hash();
        self.transact(|write| {
            if let Some((tip, _, _)) = tip(write)? {
                return Err(StoreError::Gap { height: 0, tip });
            }
            let names: String = tries.names().map(|name| format!("{name}\0")).collect();
            {
                let mut meta = write.open_table(META)?;
                meta.insert(META_GENESIS, genesis)?;
                meta.insert(META_STORES, names.as_bytes())?;
                meta.insert(META_OLDEST, 0_i64.to_le_bytes().as_slice())?;
            }
            put_state(write, 0, &changes)?;
            put_tree(write, 0, app_hash, &changes)?;
            write.open_table(IDS)?.insert(0, ([0; 32], app_hash))?;
            write.open_table(TIP)?.insert((), (0, [0; 32], app_hash))?;
            Ok(true)
        })?;
        Ok(())
    }

    /// Writes a block and its state changes, durable on return. Returns false, having done nothing, when this block was written
    /// before; errs when another one was, when it does not follow the tip, or when its app hash is not the root of the changed state.
    ///
    /// [`StoreError::Unwritable`] says that the disk refused: nothing was written, reads go on, and the same call may succeed later.
    pub fn commit<'a>(
        &self,
        block: &BlockWrite<'_>,
        changes: impl IntoIterator<Item = Change<'a>>,
    ) -> Result<bool, StoreError> {
        self.commit_observed(block, changes, |_| Ok(()))
    }

    /// [`Self::commit`], calling `observe` at each step; its error abandons the whole. For crash tests: what observes nothing costs
    /// nothing.
    pub fn commit_observed<'a>(
        &self,
        block: &BlockWrite<'_>,
        changes: impl IntoIterator<Item = Change<'a>>,
        mut observe: impl FnMut(Step) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let changes: Vec<_> = changes.into_iter().collect();
        let new = self.transact(|write| {
            if !is_next(write, block)? {
                return Ok(false);
            }
            observe(Step::Begun)?;
            put_state(write, block.height, &changes)?;
            observe(Step::State)?;
            put_tree(write, block.height, block.app_hash, &changes)?;
            observe(Step::Tree)?;
            write.open_table(BLOCKS)?.insert(block.height, block.block)?;
            write.open_table(RESULTS)?.insert(block.height, block.results)?;
            let mut certificates = write.open_table(CERTIFICATES)?;
            certificates.insert(block.height, block.certificate)?;
            observe(Step::Block)?;
            put_index(write, block)?;
            observe(Step::Index)?;
            forget_old(write, block.height, self.retain())?;
            observe(Step::Forgotten)?;
            let mut tip = write.open_table(TIP)?;
            tip.insert((), (block.height, block.id, block.app_hash))?;
            observe(Step::Tip)?;
            Ok(true)
        })?;
        if new {
            observe(Step::Committed)?;
        }
        Ok(new)
    }
}

pub(crate) fn tip(write: &WriteTransaction) -> Result<Option<(i64, Hash, Hash)>, StoreError> {
    Ok(write.open_table(TIP)?.get(())?.map(|row| row.value()))
}

/// Whether the block is new and follows the tip; false when it is already there.
fn is_next(write: &WriteTransaction, block: &BlockWrite<'_>) -> Result<bool, StoreError> {
    let tip = tip(write)?.map_or(-1, |(height, _, _)| height);
    if block.height > tip {
        let follows = tip >= 0 && tip.checked_add(1) == Some(block.height);
        return follows.then_some(true).ok_or(StoreError::Gap {
            height: block.height,
            tip,
        });
    }
    let ids = write.open_table(IDS)?;
    let stored = ids.get(block.height)?.map(|row| row.value().0);
    if stored == Some(block.id) {
        return Ok(false);
    }
    Err(StoreError::Fork {
        height: block.height,
        stored: stored.as_ref().map(hex).unwrap_or_default(),
        given: hex(&block.id),
    })
}

fn put_state(write: &WriteTransaction, height: i64, changes: &[Change<'_>]) -> Result<(), StoreError> {
    let mut state = Writer::open(write, STATE_FAMILY, height)?;
    for (store, key, value) in changes {
        state.put(store, key, *value)?;
    }
    Ok(())
}

/// Changes the tries, and compares their root with the block's.
fn put_tree(
    write: &WriteTransaction,
    height: i64,
    app_hash: Hash,
    changes: &[Change<'_>],
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
        return Err(StoreError::Damaged(format!(
            "the state after block {height} has the root {}, its app hash is {}; nothing was written",
            hex(&found),
            hex(&app_hash)
        )));
    }
    Ok(())
}

/// Bytes per transaction in the journal: its hash, and where it was included before. Undoing puts that back, also when it still holds.
pub(crate) const TX_ENTRY: usize = 32 + 8 + 4;

fn put_index(write: &WriteTransaction, block: &BlockWrite<'_>) -> Result<(), StoreError> {
    write
        .open_table(IDS)?
        .insert(block.height, (block.id, block.app_hash))?;
    write.open_table(HEIGHTS)?.insert(block.id, block.height)?;
    let mut txs = write.open_table(TXS)?;
    let mut undo = Vec::with_capacity(block.tx_hashes.len().saturating_mul(TX_ENTRY));
    for (index, hash) in (0_u32..).zip(block.tx_hashes) {
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
    let wanted = height.saturating_sub(i64::from(retain));
    let target = wanted.min(before.saturating_add(MAX_FORGOTTEN));
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
