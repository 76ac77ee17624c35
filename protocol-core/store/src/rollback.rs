//! Going back: the newest blocks are undone, in one transaction.

use redb::{ReadableTable as _, WriteTransaction};

use crate::put::{TX_ENTRY, oldest, tip};
use crate::store::ChainStore;
use crate::tables::{BLOCKS, CERTIFICATES, HEIGHTS, IDS, JOURNAL, RESULTS, TIP, TXS};
use crate::versioned::{STATE_FAMILY, TREE_FAMILY, undo};

use crate::{Hash, StoreError, Tip};

impl ChainStore {
    /// Makes the block at `height` the tip again: state, tries, blocks, results and indexes are what they were then, byte for byte, and
    /// what came later is gone. Errs with [`StoreError::NotRetained`], having done nothing, when that state is forgotten or not there.
    ///
    /// `progress` is told each height that was undone. What was forgotten meanwhile stays forgotten: [`crate::Snapshot::oldest`] does not
    /// go back.
    pub fn rollback(&self, height: i64, mut progress: impl FnMut(i64)) -> Result<Tip, StoreError> {
        self.live()
            .settle(&mut |_| Ok(()), || self.undo_to(height, &mut progress))
    }

    fn undo_to(&self, height: i64, progress: &mut dyn FnMut(i64)) -> Result<Tip, StoreError> {
        let mut found = None;
        self.transact(|write| {
            let newest = tip(write)?.map_or(-1, |(height, _, _)| height);
            let oldest = oldest(write)?;
            if !(oldest..=newest).contains(&height) {
                return Err(StoreError::NotRetained {
                    height,
                    oldest,
                    newest,
                });
            }
            for undone in (height.saturating_add(1)..=newest).rev() {
                undo(write, STATE_FAMILY, undone, oldest)?;
                undo(write, TREE_FAMILY, undone, oldest)?;
                undo_block(write, undone)?;
                progress(undone);
            }
            let ids = write.open_table(IDS)?;
            let missing = || StoreError::Damaged(format!("height {height} has no id"));
            let (block_id, app_hash) = ids.get(height)?.ok_or_else(missing)?.value();
            write.open_table(TIP)?.insert((), (height, block_id, app_hash))?;
            found = Some(Tip {
                height,
                block_id,
                app_hash,
            });
            Ok(true)
        })?;
        found.ok_or_else(|| StoreError::Damaged("the rollback found no tip".into()))
    }
}

/// Removes the newest block from blocks and indexes.
fn undo_block(write: &WriteTransaction, height: i64) -> Result<(), StoreError> {
    let missing = |what: &str| StoreError::Damaged(format!("height {height} has no {what}"));
    let mut journal = write.open_table(JOURNAL)?;
    let row = journal.remove(height)?;
    let entries = row
        .ok_or_else(|| missing("journal of transactions"))?
        .value()
        .to_vec();
    let mut txs = write.open_table(TXS)?;
    for entry in entries.chunks(TX_ENTRY).rev() {
        let (hash, before) = tx_entry(entry).ok_or_else(|| missing("readable journal of transactions"))?;
        match before {
            Some(before) => txs.insert(hash, before)?,
            None => txs.remove(hash)?,
        };
    }
    let row = write.open_table(IDS)?.remove(height)?.map(|row| row.value().0);
    write
        .open_table(HEIGHTS)?
        .remove(row.ok_or_else(|| missing("id"))?)?;
    write.open_table(BLOCKS)?.remove(height)?;
    write.open_table(RESULTS)?.remove(height)?;
    write.open_table(CERTIFICATES)?.remove(height)?;
    Ok(())
}

/// A transaction's hash, and height and index at which it was included before.
pub(crate) fn tx_entry(entry: &[u8]) -> Option<(Hash, Option<(i64, u32)>)> {
    let (hash, rest) = entry.split_first_chunk::<32>()?;
    let (height, index) = rest.split_first_chunk::<8>()?;
    let (height, index) = (
        i64::from_be_bytes(*height),
        u32::from_be_bytes(index.try_into().ok()?),
    );
    Some((*hash, (height >= 0).then_some((height, index))))
}
