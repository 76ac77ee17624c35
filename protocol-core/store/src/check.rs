//! Whether everything in the store agrees with everything else.
//!
//! ```text
//!  state ──hashed anew──► roots ══ app hash of the tip        pages ══ state, each digest ══ its parent's
//!    │ undone in memory, block by block                          │ as each block found them
//!    └──────────────────► roots ══ app hash of each retained height
//!  blocks, results, certificates, ids, heights, transactions: none missing, none too many
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use portico_smst::{Path, PlainTrie};
use redb::{ReadableTable as _, ReadableTableMetadata as _};

use crate::layer::Layer;
use crate::page::{Page, Slot};
use crate::put::TX_ENTRY;
use crate::rollback::tx_entry;
use crate::snapshot::hex;
use crate::tries::{app_hash_of, leaf};
use crate::{Hash, Snapshot, StoreError, Tip};

/// Most faults that are told.
const MAX_FAULTS: usize = 20;

/// What [`Snapshot::check`] looked at and found. Counts are those of the tables, without blocks that are in the log alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The newest block.
    pub tip: Option<Tip>,
    /// Oldest height whose state is retained.
    pub oldest: i64,
    /// Keys of the newest state.
    pub keys: u64,
    /// Pages of the newest tries.
    pub pages: u64,
    /// Values that are kept of older heights.
    pub history: u64,
    /// Transactions in the index.
    pub txs: u64,
    /// What does not agree, at most twenty; empty when the store is sound.
    pub faults: Vec<String>,
}

struct Checker<'a> {
    snapshot: &'a Snapshot,
    tries: BTreeMap<String, PlainTrie>,
    report: Report,
}

impl Snapshot {
    /// Reads everything and compares: hashes the state anew, and undoes the retained blocks in memory. Takes seconds and some 300 bytes
    /// of memory per key. `progress` is told each height that was compared.
    ///
    /// Errs only when something cannot be read; what does not agree is in [`Report::faults`].
    pub fn check(&self, mut progress: impl FnMut(i64)) -> Result<Report, StoreError> {
        let names = self.stores()?;
        let settled = self.of_settled()?;
        let mut checker = Checker {
            snapshot: &settled,
            tries: names.into_iter().map(|name| (name, PlainTrie::new())).collect(),
            report: Report {
                tip: self.tip(),
                oldest: settled.oldest(),
                ..Report::default()
            },
        };
        let Some(tip) = settled.tip() else {
            return Ok(checker.report);
        };
        checker.state(&tip)?;
        checker.layers(self.layers());
        checker.pages(&tip)?;
        checker.indexes(&tip)?;
        checker.past(&tip, &mut progress)?;
        Ok(checker.report)
    }
}

impl Checker<'_> {
    fn expect(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds && self.report.faults.len() < MAX_FAULTS {
            self.report.faults.push(fault());
        }
    }

    fn root(&self) -> Hash {
        let roots: Vec<_> = self
            .tries
            .iter()
            .map(|(name, trie)| (name.as_str(), *trie.root().as_bytes()))
            .collect();
        app_hash_of(roots.iter().map(|(name, root)| (*name, root)))
    }

    fn expect_root(&mut self, height: i64) -> Result<(), StoreError> {
        let (found, recorded) = (self.root(), self.snapshot.app_hash(height)?);
        self.expect(recorded == Some(found), || {
            format!(
                "height {height}: the state's root is {}, recorded is {}",
                hex(&found),
                recorded.as_ref().map(hex).unwrap_or_default()
            )
        });
        Ok(())
    }

    fn set(&mut self, store: &str, key: &[u8], value: Option<&[u8]>) {
        let path = Path::of_key(key);
        let Some(trie) = self.tries.get_mut(store) else {
            return self.expect(false, || format!("a key of {store:?}, which is no store"));
        };
        match value {
            Some(value) => trie.insert_leaf(leaf(path, value)),
            None => trie.remove(&path),
        };
    }

    /// The newest state, hashed anew.
    fn state(&mut self, tip: &Tip) -> Result<(), StoreError> {
        let snapshot = self.snapshot;
        snapshot.tables().state.each_newest(|store, key, value| {
            self.set(store, key, Some(value));
            self.report.keys = self.report.keys.saturating_add(1);
            Ok(())
        })?;
        for family in [&snapshot.tables().state, &snapshot.tables().tree] {
            let (_, stale) = family.count(self.report.oldest)?;
            self.expect(stale.is_none(), || {
                format!("a key that height {} removed is still there", stale.unwrap_or(0))
            });
        }
        self.expect_root(tip.height)?;
        let recorded = self.snapshot.app_hash(tip.height)?;
        self.expect(recorded == Some(tip.app_hash), || {
            "the tip has another app hash than its height".into()
        });
        let id = self.snapshot.block_id(tip.height)?;
        self.expect(id == Some(tip.block_id), || {
            "the tip has another id than its height".into()
        });
        Ok(())
    }

    /// The blocks that are not in the tables: each has the root of its changes.
    fn layers(&mut self, layers: &[Arc<Layer>]) {
        let settled = self.tries.clone();
        for layer in layers {
            for (store, key, value) in layer.changes() {
                self.set(store, key, value);
            }
            let found = self.root();
            self.expect(found == layer.app_hash, || {
                let recorded = hex(&layer.app_hash);
                format!(
                    "height {}: the state's root is {}, recorded is {recorded}",
                    layer.height,
                    hex(&found)
                )
            });
        }
        self.tries = settled;
    }

    /// The newest pages, from the roots down.
    fn pages(&mut self, tip: &Tip) -> Result<(), StoreError> {
        let names: Vec<String> = self.tries.keys().cloned().collect();
        for name in names {
            let leaves = self.below(&name, &mut Vec::new())?;
            let expected = self.tries[&name].len();
            self.expect(leaves == expected, || {
                format!(
                    "height {}: the trie of {name} has {leaves} leaves, its state {expected} keys",
                    tip.height
                )
            });
        }
        let (stored, _) = self.snapshot.tables().tree.count(self.report.oldest)?;
        let reached = self.report.pages;
        self.expect(stored == reached, || {
            format!("{stored} pages are stored, {reached} are reached")
        });
        Ok(())
    }

    /// Checks the page at `way` with those below it; returns the number of their leaves.
    fn below(&mut self, store: &str, way: &mut Vec<u8>) -> Result<usize, StoreError> {
        let Some(bytes) = self.snapshot.tree(store, way)? else {
            self.expect(way.is_empty(), || format!("a page of {store} is missing"));
            return Ok(0);
        };
        self.report.pages = self.report.pages.saturating_add(1);
        let page = Page::decode(&bytes)?;
        self.leaves(store, &page, "newest");
        let mut leaves = 0_usize;
        for (index, slot) in (0_u8..).zip(&page.0) {
            match slot {
                Slot::Empty => {}
                Slot::Leaf { .. } => leaves = leaves.saturating_add(1),
                Slot::Page(digest) => {
                    way.push(index);
                    let child = self.snapshot.tree(store, way)?;
                    let found = child.as_deref().map(Page::decode).transpose()?;
                    let found = found.map(|page| page.digest());
                    self.expect(found == Some(*digest), || {
                        format!("a page of {store} is not what its parent says")
                    });
                    leaves = leaves.saturating_add(self.below(store, way)?);
                    way.pop();
                }
            }
        }
        Ok(leaves)
    }

    /// Compares the leaves of a page with the state that the tries are at.
    fn leaves(&mut self, store: &str, page: &Page, when: &str) {
        for slot in &page.0 {
            if let Slot::Leaf { digest, key } = slot {
                let found = self
                    .tries
                    .get(store)
                    .and_then(|trie| trie.get(&Path::of_key(key)));
                let same = found.is_some_and(|leaf| leaf.digest().as_bytes() == digest);
                self.expect(same, || {
                    format!("{when}: a leaf of {store} is not what the state has")
                });
            }
        }
    }

    /// Undoes the retained blocks in memory, and compares state and pages with what each height recorded.
    fn past(&mut self, tip: &Tip, progress: &mut impl FnMut(i64)) -> Result<(), StoreError> {
        let (mut state, mut tree) = (0_u64, 0_u64);
        for height in (self.report.oldest.saturating_add(1)..=tip.height).rev() {
            state = state.saturating_add(self.undo_state(height)?);
            self.expect_root(height.saturating_sub(1))?;
            tree = tree.saturating_add(self.past_pages(height)?);
            self.past_txs(height)?;
            progress(height);
        }
        let tables = self.snapshot.tables();
        let stored = [
            tables.state.history_len()?,
            tables.tree.history_len()?,
            tables.journal.len()?,
        ];
        let journals = u64::try_from(tip.height.saturating_sub(self.report.oldest)).unwrap_or(0);
        let reached = [state, tree, journals];
        self.expect(stored == reached, || {
            format!("older values of state and tries, and journals: {stored:?} are stored, {reached:?} are reached")
        });
        self.report.history = state.saturating_add(tree);
        Ok(())
    }

    fn undo_state(&mut self, height: i64) -> Result<u64, StoreError> {
        let before = self.snapshot.at(height.saturating_sub(1))?;
        let changed = self.snapshot.tables().state.replaced_at(height)?;
        for (store, key, value) in &changed {
            let found = before.get(store, key)?;
            self.expect(found == *value, || {
                format!("height {height}: a key of {store} is not found as it was before")
            });
            self.set(store, key, value.as_deref());
        }
        Ok(u64::try_from(changed.len()).unwrap_or(u64::MAX))
    }

    /// The pages that the block at `height` replaced, as they were.
    fn past_pages(&mut self, height: i64) -> Result<u64, StoreError> {
        let before = self.snapshot.at(height.saturating_sub(1))?;
        let changed = self.snapshot.tables().tree.replaced_at(height)?;
        let when = format!("height {}", before.height());
        for (store, way, old) in &changed {
            let found = before.tree(store, way)?;
            self.expect(found == *old, || {
                format!("{when}: a page of {store} is not found as it was")
            });
            let page = found.as_deref().map(Page::decode).transpose()?;
            if let Some(page) = &page {
                self.leaves(store, page, &when);
            }
            let Some((last, above)) = way.split_last() else {
                continue;
            };
            let parent = before
                .tree(store, above)?
                .as_deref()
                .map(Page::decode)
                .transpose()?;
            let slot = parent.and_then(|parent| parent.0.get(usize::from(*last)).cloned());
            let says = match slot {
                Some(Slot::Page(digest)) => Some(digest),
                _ => None,
            };
            let found = page.map(|page| page.digest());
            self.expect(found == says, || {
                format!("{when}: a page of {store} is not what its parent says")
            });
        }
        Ok(u64::try_from(changed.len()).unwrap_or(u64::MAX))
    }

    fn past_txs(&mut self, height: i64) -> Result<(), StoreError> {
        let row = self.snapshot.tables().journal.get(height)?;
        let missing = || StoreError::Damaged(format!("height {height} has no journal"));
        let journal = row.ok_or_else(missing)?.value().to_vec();
        for entry in journal.chunks(TX_ENTRY) {
            let hash = tx_entry(entry).map(|(hash, _)| hash);
            let found = hash.map(|hash| self.snapshot.tx(&hash)).transpose()?.flatten();
            let known = found.is_some_and(|(at, _)| at <= height);
            self.expect(known, || {
                format!("height {height}: a transaction is not in the index")
            });
        }
        Ok(())
    }

    /// Blocks and what refers to them.
    fn indexes(&mut self, tip: &Tip) -> Result<(), StoreError> {
        for height in 1..=tip.height {
            let snapshot = self.snapshot;
            let id = snapshot.block_id(height)?;
            let back = id.map(|id| snapshot.height_of(&id)).transpose()?.flatten();
            self.expect(back == Some(height), || {
                format!("height {height}: ids and heights disagree")
            });
            let tables = snapshot.tables();
            let there = tables.blocks.get(height)?.is_some()
                && tables.results.get(height)?.is_some()
                && tables.certificates.get(height)?.is_some();
            self.expect(there, || {
                format!("height {height}: block, results or certificate are missing")
            });
        }
        let tables = self.snapshot.tables();
        let stored = [
            tables.blocks.len()?,
            tables.results.len()?,
            tables.certificates.len()?,
            tables.heights.len()?,
            tables.ids.len()?.saturating_sub(1),
        ];
        let expected = u64::try_from(tip.height).unwrap_or(0);
        self.expect(stored.iter().all(|rows| *rows == expected), || {
            format!(
                "blocks, results, certificates, heights, ids: {stored:?} are stored below height {expected}"
            )
        });
        for row in tables.txs.iter()? {
            let (height, _) = row?.1.value();
            self.expect((1..=tip.height).contains(&height), || {
                format!("a transaction is indexed at height {height}")
            });
            self.report.txs = self.report.txs.saturating_add(1);
        }
        Ok(())
    }
}
