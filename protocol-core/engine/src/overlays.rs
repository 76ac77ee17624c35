//! Executed blocks that are not durable yet.

use std::collections::BTreeMap;

use crate::{BlockId, MachineError};

/// Most executed blocks that may wait for a commit. An engine stops proposing at it.
pub const MAX_OVERLAYS: usize = 64;

/// Executed blocks by id, each on the durable tip or on another overlay.
#[derive(Clone, Debug)]
pub struct Overlays<T> {
    tip: BlockId,
    blocks: BTreeMap<BlockId, Entry<T>>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    parent: BlockId,
    value: T,
}

/// What a block can be built on.
#[derive(Debug, PartialEq, Eq)]
pub enum Parent<'a, T> {
    /// The durable tip.
    Tip,
    /// An overlay.
    Overlay(&'a T),
}

impl<T> Overlays<T> {
    /// None above `tip`.
    #[must_use]
    pub const fn new(tip: BlockId) -> Self {
        Self {
            tip,
            blocks: BTreeMap::new(),
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

    /// What is below a block on `parent`; errs when that is neither the tip nor an overlay.
    pub fn parent(&self, parent: &BlockId) -> Result<Parent<'_, T>, MachineError> {
        if *parent == self.tip {
            return Ok(Parent::Tip);
        }
        self.get(parent)
            .map(Parent::Overlay)
            .ok_or(MachineError::Unknown(*parent))
    }

    /// Errs when no further overlay fits.
    pub fn check_room(&self) -> Result<(), MachineError> {
        if self.blocks.len() < MAX_OVERLAYS {
            return Ok(());
        }
        Err(MachineError::Full(self.blocks.len()))
    }

    /// Keeps block `id` on `parent`. A block that is known keeps its overlay.
    pub fn insert(&mut self, id: BlockId, parent: BlockId, value: T) -> Result<(), MachineError> {
        self.parent(&parent)?;
        if self.blocks.contains_key(&id) {
            return Ok(());
        }
        self.check_room()?;
        self.blocks.insert(id, Entry { parent, value });
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

    /// Makes `id` the tip; its siblings go with all that stands on them, its descendants stay. Call it once the block is durable.
    pub fn advance(&mut self, id: &BlockId) -> Result<T, MachineError> {
        self.next(id)?;
        let entry = self.blocks.remove(id).ok_or(MachineError::Unknown(*id))?;
        self.tip = *id;
        let mut kept = Self::new(*id);
        kept.blocks = self.descendants();
        *self = kept;
        Ok(entry.value)
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
    use super::{MAX_OVERLAYS, Overlays, Parent};
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
    fn blocks_stack_on_blocks_that_are_not_durable() {
        let overlays = tree();
        assert!(matches!(overlays.parent(&id(0)), Ok(Parent::Tip)));
        assert!(matches!(overlays.parent(&id(4)), Ok(Parent::Overlay(4))));
        assert!(matches!(overlays.parent(&id(9)), Err(MachineError::Unknown(unknown)) if unknown == id(9)));
    }

    #[test]
    fn a_commit_drops_siblings_and_what_stands_on_them() {
        let mut overlays = tree();
        assert_eq!(overlays.advance(&id(1)).expect("next"), 1);
        assert_eq!(overlays.len(), 2);
        assert!(overlays.get(&id(3)).is_some() && overlays.get(&id(4)).is_some());
        assert!(overlays.get(&id(2)).is_none() && overlays.get(&id(5)).is_none());
        assert!(matches!(overlays.parent(&id(1)), Ok(Parent::Tip)));
        assert!(matches!(overlays.parent(&id(0)), Err(MachineError::Unknown(_))));
    }

    #[test]
    fn only_the_next_block_can_be_committed() {
        let mut overlays = tree();
        let error = overlays.advance(&id(4)).expect_err("3 comes first");
        assert!(
            matches!(error, MachineError::NotNext { parent, tip, .. } if parent == id(3) && tip == id(0))
        );
        assert_eq!(overlays.len(), 5);
        assert!(matches!(overlays.advance(&id(8)), Err(MachineError::Unknown(_))));
    }

    #[test]
    fn takes_no_more_blocks_than_its_bound() {
        let mut overlays = Overlays::new(id(255));
        for block in 0..u8::try_from(MAX_OVERLAYS).expect("64") {
            overlays.insert(id(block), id(255), ()).expect("fits");
        }
        assert!(matches!(
            overlays.insert(id(100), id(255), ()),
            Err(MachineError::Full(64))
        ));
        overlays.insert(id(1), id(255), ()).expect("known already");
        overlays.clear();
        overlays.insert(id(100), id(255), ()).expect("fits again");
    }
}
