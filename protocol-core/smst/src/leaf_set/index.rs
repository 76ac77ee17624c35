//! Where leaves are found by path, and in the order of paths.
//!
//! ```text
//! first 32 bits of the path   00000000 …                    … ffffffff
//! home of such a path         0                             homes
//! slots                       │ · │0a│0f│ · │ · │3c│3c│41│ · │ … │f0│ … tail
//! ```
//! Paths are hashes, so a path tells where in a sorted row its leaf belongs, give or take a few. The row has gaps:
//! a leaf goes to its home, or as near behind it as the order lets it, and moves those behind it up to the next
//! gap. So one insert touches one place of the row, and the row is sorted at any time. (Paths that share their
//! first 32 bits have one home; many such, which nobody can make of hashes, would be slow but right.)
//!
//! A slot is 8 bytes, and between 2/3 and 5/6 of the homes are in use: 10 to 12 bytes per leaf.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "positions in memory, far below the limits of usize"
)]

use std::cmp::Ordering;
use std::ops::Range;

/// First 32 bits of the path, then the leaf's number.
type Slot = u64;

/// A gap. No leaf has this number, see [`MAX_LEAVES`].
const GAP: Slot = Slot::MAX;
/// Most leaves: their numbers have 32 bits. They would take 300 GiB.
const MAX_LEAVES: usize = u32::MAX as usize;
/// Homes of the first row.
const FIRST_HOMES: usize = 8;
/// At most so many of the homes are in use; then the row grows by a quarter.
const MAX_LOAD: (usize, usize) = (5, 6);

/// The row of slots.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    slots: Vec<Slot>,
    homes: usize,
}

impl Index {
    /// The leaf that `order` calls equal, or the position where it belongs.
    ///
    /// `order` compares a leaf, whose path begins with `prefix`, with the one that is looked for.
    pub(super) fn find(&self, prefix: u32, order: impl Fn(usize) -> Ordering) -> Result<usize, usize> {
        let mut at = self.home(prefix);
        while let Some(slot) = self.slots.get(at).copied().filter(|slot| *slot != GAP) {
            let found = match prefix_of(slot).cmp(&prefix) {
                Ordering::Equal => order(number_of(slot)),
                found => found,
            };
            match found {
                Ordering::Less => at += 1,
                Ordering::Equal => return Ok(number_of(slot)),
                Ordering::Greater => break,
            }
        }
        Err(at)
    }

    /// Puts the leaf `number` at the position that [`Self::find`] gave; moves what is there.
    pub(super) fn insert(&mut self, at: usize, prefix: u32, number: usize) {
        assert!(number < MAX_LEAVES, "more leaves than a session can have");
        let behind = self.slots[at..].iter().position(|slot| *slot == GAP);
        let gap = behind.map_or(self.slots.len(), |behind| at + behind);
        if gap == self.slots.len() {
            self.slots.push(GAP);
        }
        self.slots.copy_within(at..gap, at + 1);
        self.slots[at] = u64::from(prefix) << 32 | number as u64;
    }

    /// Whether the row has to grow before one more than `len` leaves is inserted.
    pub(super) const fn is_full(&self, len: usize) -> bool {
        len * MAX_LOAD.1 >= self.homes * MAX_LOAD.0
    }

    /// Makes the row longer; positions of before are void.
    pub(super) fn grow(&mut self) {
        self.homes = FIRST_HOMES.max(self.homes + self.homes / 4);
        let mut slots = Vec::with_capacity(self.homes + self.homes / 1024 + 8);
        slots.resize(self.homes, GAP);
        let mut next = 0;
        for slot in self.slots.iter().copied().filter(|slot| *slot != GAP) {
            let at = self.home(prefix_of(slot)).max(next);
            next = at + 1;
            match slots.get_mut(at) {
                Some(gap) => *gap = slot,
                None => slots.push(slot),
            }
        }
        self.slots = slots;
    }

    /// Positions of the leaves whose paths begin with the `bits` bits of `bucket`.
    pub(super) fn bucket(&self, bucket: usize, bits: usize) -> Range<usize> {
        let first = |bucket: usize| match (bucket as u64) << (32 - bits) {
            past if past > u64::from(u32::MAX) => self.slots.len(),
            prefix => self.lower_bound(prefix),
        };
        first(bucket)..first(bucket + 1)
    }

    /// Numbers of the leaves at these positions, in the order of their paths.
    pub(super) fn numbers(&self, positions: Range<usize>) -> impl Iterator<Item = usize> {
        let slots = self.slots[positions].iter().filter(|slot| **slot != GAP);
        slots.map(|slot| number_of(*slot))
    }

    /// Number of the leaf at a position, unless that is a gap.
    pub(super) fn number(&self, position: usize) -> Option<usize> {
        self.slot(position).map(number_of)
    }

    /// First 32 bits of the path of the leaf at a position, unless that is a gap.
    pub(super) fn prefix(&self, position: usize) -> Option<u32> {
        self.slot(position).map(prefix_of)
    }

    fn slot(&self, position: usize) -> Option<Slot> {
        Some(self.slots[position]).filter(|slot| *slot != GAP)
    }

    /// All positions.
    pub(super) fn all(&self) -> Range<usize> {
        0..self.slots.len()
    }

    /// Where a path with this prefix is, if there is nothing in its way.
    fn home(&self, prefix: u32) -> usize {
        let home = (u64::from(prefix) * self.homes as u64) >> 32;
        usize::try_from(home).expect("less than the number of homes")
    }

    /// The first position with a leaf whose prefix is not below `prefix`.
    fn lower_bound(&self, prefix: u64) -> usize {
        let prefix = u32::try_from(prefix).expect("the caller looked");
        let home = self.home(prefix);
        let ahead = self.slots[home..]
            .iter()
            .position(|slot| *slot != GAP && prefix_of(*slot) >= prefix);
        ahead.map_or(self.slots.len(), |ahead| home + ahead)
    }
}

fn prefix_of(slot: Slot) -> u32 {
    u32::try_from(slot >> 32).expect("32 bits are left")
}

fn number_of(slot: Slot) -> usize {
    usize::try_from(slot & u64::from(u32::MAX)).expect("32 bits fit")
}
