//! Executed blocks that are not durable yet.

use std::collections::{BTreeMap, BTreeSet};

use crate::{BlockId, MachineError};

/// Most executed blocks that may wait for a commit. When a further one comes, one that is not below it is evicted; an engine stops
/// proposing when so many stand on each other.
pub const MAX_OVERLAYS: usize = 64;

/// Executed blocks by id, each on the durable tip or on another overlay.
#[derive(Clone, Debug)]
pub struct Overlays<T> {
    tip: BlockId,
    blocks: BTreeMap<BlockId, Entry<T>>,
    /// Blocks that were ever kept.
    arrivals: u64,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    parent: BlockId,
    arrival: u64,
    value: T,
}

impl<T> Overlays<T> {
    /// None above `tip`.
    #[must_use]
    pub const fn new(tip: BlockId) -> Self {
        Self {
            tip,
            blocks: BTreeMap::new(),
            arrivals: 0,
        }
    }

    /// Number of overlays.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The overlay of block `id`.
    #[must_use]
    pub fn get(&self, id: &BlockId) -> Option<&T> {
        self.blocks.get(id).map(|entry| &entry.value)
    }

    /// The overlays from block `id` down to the tip, newest first: none for the tip itself. Errs when the block is neither the tip nor an
    /// overlay, and when a block on it would be one too many above the tip.
    pub fn path(&self, id: &BlockId) -> Result<Vec<&T>, MachineError> {
        let ids = self.path_ids(id)?;
        if ids.len() >= MAX_OVERLAYS {
            return Err(MachineError::Full(ids.len()));
        }
        Ok(ids.iter().filter_map(|id| self.get(id)).collect())
    }

    fn path_ids(&self, id: &BlockId) -> Result<Vec<BlockId>, MachineError> {
        let mut ids = Vec::new();
        let mut at = *id;
        while at != self.tip {
            let entry = self.blocks.get(&at).ok_or(MachineError::Unknown(at))?;
            ids.push(at);
            at = entry.parent;
        }
        Ok(ids)
    }

    /// Keeps block `id` on `parent`. A block that is known keeps its overlay. When there is no room, the block that came first among
    /// those that nothing stands on is evicted, but none below `parent`.
    pub fn insert(&mut self, id: BlockId, parent: BlockId, value: T) -> Result<(), MachineError> {
        let below = self.path_ids(&parent)?;
        if self.blocks.contains_key(&id) {
            return Ok(());
        }
        if self.blocks.len() >= MAX_OVERLAYS {
            self.evict(&below)?;
        }
        let arrival = self.arrivals;
        self.arrivals = self.arrivals.saturating_add(1);
        self.blocks.insert(
            id,
            Entry {
                parent,
                arrival,
                value,
            },
        );
        Ok(())
    }

    fn evict(&mut self, kept: &[BlockId]) -> Result<(), MachineError> {
        let parents: BTreeSet<BlockId> = self.blocks.values().map(|entry| entry.parent).collect();
        let leaves = self
            .blocks
            .iter()
            .filter(|(id, _)| !parents.contains(*id) && !kept.contains(id));
        let first = leaves.min_by_key(|(_, entry)| entry.arrival).map(|(id, _)| *id);
        let evicted = first.ok_or(MachineError::Full(self.blocks.len()))?;
        self.blocks.remove(&evicted);
        Ok(())
    }

    /// The overlay to be committed; errs when it is unknown or does not follow the tip.
    pub fn next(&self, id: &BlockId) -> Result<&T, MachineError> {
        let entry = self.blocks.get(id).ok_or(MachineError::Unknown(*id))?;
        if entry.parent == self.tip {
            return Ok(&entry.value);
        }
        Err(MachineError::NotNext {
            block: *id,
            parent: entry.parent,
            tip: self.tip,
        })
    }

    /// Makes `id` the tip; its siblings go with all that stands on them, its descendants stay. Call it once the block is durable: what
    /// [`Self::next`] allowed may have been discarded meanwhile.
    pub fn advance(&mut self, id: &BlockId) {
        self.blocks.remove(id);
        self.tip = *id;
        self.blocks = self.descendants();
    }

    /// Drops all overlays.
    pub fn clear(&mut self) {
        self.blocks.clear();
    }

    /// Takes out the blocks that stand on the tip, directly or not.
    fn descendants(&mut self) -> BTreeMap<BlockId, Entry<T>> {
        let mut kept: BTreeMap<BlockId, Entry<T>> = BTreeMap::new();
        loop {
            let stands = |entry: &Entry<T>| entry.parent == self.tip || kept.contains_key(&entry.parent);
            let found: Vec<BlockId> = self
                .blocks
                .iter()
                .filter(|(_, entry)| stands(entry))
                .map(|(id, _)| *id)
                .collect();
            if found.is_empty() {
                return kept;
            }
            for id in found {
                kept.extend(self.blocks.remove_entry(&id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_OVERLAYS, Overlays};
    use crate::{BlockId, MachineError};

    fn id(n: u8) -> BlockId {
        [n; 32]
    }

    /// 0 ─ 1 ─ 3 ─ 4
    ///   └ 2 ─ 5
    fn tree() -> Overlays<u8> {
        let mut overlays = Overlays::new(id(0));
        for (block, parent) in [(1, 0), (2, 0), (3, 1), (4, 3), (5, 2)] {
            overlays.insert(id(block), id(parent), block).expect("fits");
        }
        overlays
    }

    #[test]
    fn a_path_leads_to_the_tip() {
        let overlays = tree();
        assert!(overlays.path(&id(0)).expect("the tip").is_empty());
        assert_eq!(overlays.path(&id(4)).expect("known"), [&4, &3, &1]);
        assert!(matches!(overlays.path(&id(9)), Err(MachineError::Unknown(unknown)) if unknown == id(9)));
    }

    #[test]
    fn a_commit_drops_siblings_and_what_stands_on_them() {
        let mut overlays = tree();
        assert_eq!(overlays.next(&id(1)).expect("next"), &1);
        overlays.advance(&id(1));
        assert_eq!(overlays.len(), 2);
        assert!(overlays.get(&id(3)).is_some() && overlays.get(&id(4)).is_some());
        assert!(overlays.get(&id(2)).is_none() && overlays.get(&id(5)).is_none());
        assert!(overlays.path(&id(1)).expect("the tip").is_empty());
        assert!(matches!(overlays.path(&id(0)), Err(MachineError::Unknown(_))));
    }

    #[test]
    fn only_the_next_block_can_be_committed() {
        let overlays = tree();
        let error = overlays.next(&id(4)).expect_err("3 comes first");
        assert!(
            matches!(error, MachineError::NotNext { parent, tip, .. } if parent == id(3) && tip == id(0))
        );
        assert!(matches!(overlays.next(&id(8)), Err(MachineError::Unknown(_))));
    }

    #[test]
    fn a_commit_counts_though_its_overlay_was_discarded() {
        let mut overlays = tree();
        overlays.next(&id(1)).expect("next");
        overlays.clear();
        overlays.advance(&id(1));
        assert!(overlays.path(&id(1)).expect("the tip").is_empty());
    }

    fn last() -> u8 {
        u8::try_from(MAX_OVERLAYS).expect("few")
    }

    #[test]
    fn a_full_tree_evicts_the_oldest_leaf_beside_the_path() {
        let mut overlays = Overlays::new(id(0));
        overlays.insert(id(1), id(0), ()).expect("fits");
        overlays.insert(id(2), id(1), ()).expect("fits");
        for block in 3..=last() {
            overlays.insert(id(block), id(0), ()).expect("fits");
        }
        overlays.insert(id(100), id(2), ()).expect("3 makes room");
        assert_eq!(overlays.len(), MAX_OVERLAYS);
        assert!(overlays.get(&id(3)).is_none(), "the oldest leaf");
        assert!(overlays.get(&id(1)).is_some() && overlays.get(&id(2)).is_some());
        overlays.insert(id(1), id(0), ()).expect("known already");
        overlays
            .insert(id(3), id(0), ())
            .expect("again, when it is needed");
        assert!(overlays.get(&id(4)).is_none());
    }

    #[test]
    fn no_more_blocks_stand_on_each_other_than_the_bound() {
        let mut overlays = Overlays::new(id(0));
        for block in 1..=last() {
            overlays.insert(id(block), id(block - 1), ()).expect("fits");
        }
        assert!(matches!(
            overlays.path(&id(last())),
            Err(MachineError::Full(MAX_OVERLAYS))
        ));
        assert!(matches!(
            overlays.insert(id(100), id(last()), ()),
            Err(MachineError::Full(MAX_OVERLAYS))
        ));
    }
}
