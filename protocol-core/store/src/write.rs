//! Writing: a block becomes one record of the log, and later, with others, rows of the tables.

use crate::layer::{Layer, encode};
use crate::put::{put_state, put_tree, tip, wrong_root};
use crate::snapshot::hex;
use crate::step::Step;
use crate::store::ChainStore;
use crate::tables::{IDS, META, META_GENESIS, META_OLDEST, META_STORES, TIP};
use crate::{Hash, Snapshot, StateTries, StoreError};

/// A write to the state: store, key, and the value, or `None` to remove the key. A block writes a key once.
pub type Change<'a> = (&'static str, &'a [u8], Option<&'a [u8]>);

/// A block to be committed, without its state changes.
#[derive(Clone, Copy, Debug)]
pub struct BlockWrite<'a> {
    /// Height; one more than the tip's.
    pub height: i64,
    /// Hash of the header.
    pub id: Hash,
    /// Root of the state after the block.
    pub app_hash: Hash,
    /// Tries of the state after the block, whose root it is.
    pub tries: &'a StateTries,
    /// The encoded block.
    pub block: &'a [u8],
    /// Its encoded results.
    pub results: &'a [u8],
    /// Why it is final.
    pub certificate: &'a [u8],
    /// Hashes of its transactions, in order.
    pub tx_hashes: &'a [Hash],
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

    /// Writes a block and its state changes to the log, durable and readable on return. Returns false, having done nothing, when this
    /// block was written before; errs when another one was, when it does not follow the tip, or when its app hash is not the root of
    /// its tries. That the tries are those of the changes is found when the block goes to the tables; when not, it stays in the log, and
    /// all later calls err.
    ///
    /// Waits while 64 blocks, or 128 MiB, are in the log and not in the tables.
    ///
    /// [`StoreError::Unwritable`] says that the disk refused: nothing was written, reads go on, and the same call may succeed later.
    pub fn commit<'a>(
        &self,
        block: &BlockWrite<'_>,
        changes: impl IntoIterator<Item = Change<'a>>,
    ) -> Result<bool, StoreError> {
        self.commit_observed(block, changes, |_| Ok(()))
    }

    /// As [`Self::commit`], calling `observe` at the steps of a commit; its error before the last one abandons the whole. For crash
    /// tests: what observes nothing costs nothing.
    pub fn commit_observed<'a>(
        &self,
        block: &BlockWrite<'_>,
        changes: impl IntoIterator<Item = Change<'a>>,
        mut observe: impl FnMut(Step) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let layer = |now: &Snapshot| {
            if !is_next(now, block)? {
                return Ok(None);
            }
            let root = block.tries.app_hash();
            if root != block.app_hash {
                return Err(wrong_root(block.height, &root, &block.app_hash));
            }
            let mut changes: Vec<_> = changes.into_iter().collect();
            let payload = encode(block, &mut changes, &now.stores()?)?;
            let parent = now.tip().map_or([0; 32], |tip| tip.block_id);
            Layer::read(block.height, parent, payload, Some(block.tries.clone())).map(Some)
        };
        let new = self.live().commit(layer, &mut observe)?;
        if new {
            observe(Step::Committed)?;
        }
        Ok(new)
    }
}

/// Whether the block is new and follows the tip; false when it is already there.
fn is_next(now: &Snapshot, block: &BlockWrite<'_>) -> Result<bool, StoreError> {
    let tip = now.tip().map_or(-1, |tip| tip.height);
    if block.height > tip {
        let follows = tip >= 0 && tip.checked_add(1) == Some(block.height);
        return follows.then_some(true).ok_or(StoreError::Gap {
            height: block.height,
            tip,
        });
    }
    let stored = now.block_id(block.height)?;
    if stored == Some(block.id) {
        return Ok(false);
    }
    Err(StoreError::Fork {
        height: block.height,
        stored: stored.as_ref().map(hex).unwrap_or_default(),
        given: hex(&block.id),
    })
}
