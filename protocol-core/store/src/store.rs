//! The tables and their one writer.

use std::path::Path;
use std::sync::{PoisonError, RwLock};

use redb::{Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};

use crate::{Roots, StoreError, Write};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const STATE: TableDefinition<'_, (u8, &[u8]), &[u8]> = TableDefinition::new("state");
const BLOCKS: TableDefinition<'_, i64, (&[u8], &[u8])> = TableDefinition::new("blocks");
const BLOCK_IDS: TableDefinition<'_, &[u8], i64> = TableDefinition::new("block_ids");
const TXS: TableDefinition<'_, &[u8], (i64, u32)> = TableDefinition::new("txs");

/// Format of the tables.
const FORMAT: u32 = 1;

/// The newest committed block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TipRecord {
    /// Height; 0 is the genesis.
    pub height: i64,
    /// Block id; zeros for the genesis.
    pub id: [u8; 32],
    /// Header time in milliseconds since 1970 UTC.
    pub time_ms: u64,
    /// Root over the stores' roots after this block.
    pub app_hash: [u8; 32],
}

impl TipRecord {
    fn to_bytes(&self) -> Vec<u8> {
        [
            self.height.to_be_bytes().as_slice(),
            self.id.as_slice(),
            self.time_ms.to_be_bytes().as_slice(),
            self.app_hash.as_slice(),
        ]
        .concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged("the tip does not decode".into());
        let bytes: &[u8; 80] = bytes.try_into().map_err(|_| damaged())?;
        let word = |at: usize| *bytes[at..].first_chunk::<8>().expect("80 bytes hold it");
        let hash = |at: usize| *bytes[at..].first_chunk::<32>().expect("80 bytes hold it");
        Ok(Self {
            height: i64::from_be_bytes(word(0)),
            id: hash(8),
            time_ms: u64::from_be_bytes(word(40)),
            app_hash: hash(48),
        })
    }
}

/// Everything that a commit writes besides the state.
#[derive(Clone, Debug)]
pub struct BlockRecord {
    /// The tip after it.
    pub tip: TipRecord,
    /// The encoded block.
    pub block: Vec<u8>,
    /// The encoded results.
    pub results: Vec<u8>,
    /// Hashes of its transactions, in order.
    pub tx_hashes: Vec<[u8; 32]>,
}

/// The chain's data: one file.
pub struct Store {
    database: Database,
    roots: RwLock<Roots>,
    tip: RwLock<Option<TipRecord>>,
}

impl Store {
    /// Opens the file at `path`, or makes it; rebuilds the roots of the stores called `names` and holds them against the tip.
    pub fn open(path: &Path, names: &'static [&'static str]) -> Result<Self, StoreError> {
        let database = Database::create(path).map_err(|error| StoreError::Open {
            path: path.to_owned(),
            source: Box::new(error.into()),
        })?;
        check_format(&database, path)?;
        let reader = Reader {
            txn: database.begin_read()?,
        };
        let mut roots = Roots::empty(names);
        let tip = reader.tip()?;
        if let Some(tip) = &tip {
            roots.apply(&reader.all_state()?);
            if roots.app_hash() != tip.app_hash {
                let text = format!(
                    "the state at height {} does not have the root that was committed",
                    tip.height
                );
                return Err(StoreError::Damaged(text));
            }
        }
        drop(reader);
        Ok(Self {
            database,
            roots: RwLock::new(roots),
            tip: RwLock::new(tip),
        })
    }

    /// The newest committed block; `None` before the genesis.
    #[must_use]
    pub fn tip(&self) -> Option<TipRecord> {
        self.tip.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The stores' roots at the tip.
    #[must_use]
    pub fn roots(&self) -> Roots {
        self.roots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A consistent view of the newest commit.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Ok(Reader {
            txn: self.database.begin_read()?,
        })
    }

    /// Writes the genesis: its document and the first state.
    pub fn commit_genesis(
        &self,
        document: &[u8],
        tip: TipRecord,
        writes: &[Write],
        roots: Roots,
    ) -> Result<(), StoreError> {
        let mut txn = self.database.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        txn.open_table(META)?.insert("genesis", document)?;
        write_state(&txn, writes)?;
        write_tip(&txn, &tip)?;
        for open in [
            txn.open_table(BLOCKS).map(drop),
            txn.open_table(BLOCK_IDS).map(drop),
            txn.open_table(TXS).map(drop),
        ] {
            open?;
        }
        txn.commit()?;
        self.advance(tip, roots);
        Ok(())
    }

    /// Writes a block with its results and state changes, all or nothing. Committing the tip again does nothing; any other height than
    /// the next is an error.
    pub fn commit(&self, record: &BlockRecord, writes: &[Write], roots: Roots) -> Result<bool, StoreError> {
        self.commit_with(record, writes, roots, || Ok(()))
    }

    /// [`Store::commit`] with a step before the commit itself, where tests give up.
    pub(crate) fn commit_with(
        &self,
        record: &BlockRecord,
        writes: &[Write],
        roots: Roots,
        before_commit: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let tip = self.tip();
        let height = record.tip.height;
        if let Some(tip) = tip.as_ref().filter(|tip| tip.height == height) {
            if tip.id == record.tip.id {
                return Ok(false);
            }
            let (stored, given) = (hex(&tip.id), hex(&record.tip.id));
            return Err(StoreError::Fork {
                height,
                stored,
                given,
            });
        }
        let at = tip.map_or(-1, |tip| tip.height);
        if height != at + 1 {
            return Err(StoreError::Gap { height, tip: at });
        }
        let mut txn = self.database.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        write_state(&txn, writes)?;
        txn.open_table(BLOCKS)?
            .insert(height, (record.block.as_slice(), record.results.as_slice()))?;
        txn.open_table(BLOCK_IDS)?
            .insert(record.tip.id.as_slice(), height)?;
        {
            let mut txs = txn.open_table(TXS)?;
            for (index, hash) in (0_u32..).zip(&record.tx_hashes) {
                txs.insert(hash.as_slice(), (height, index))?;
            }
        }
        write_tip(&txn, &record.tip)?;
        before_commit()?;
        txn.commit()?;
        self.advance(record.tip.clone(), roots);
        Ok(true)
    }

    fn advance(&self, tip: TipRecord, roots: Roots) {
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = roots;
        *self.tip.write().unwrap_or_else(PoisonError::into_inner) = Some(tip);
    }
}

fn check_format(database: &Database, path: &Path) -> Result<(), StoreError> {
    let txn = database.begin_write()?;
    let mut meta = txn.open_table(META)?;
    let found = meta
        .get("format")?
        .and_then(|bytes| bytes.value().try_into().ok())
        .map(u32::from_be_bytes);
    match found {
        Some(FORMAT) => return Ok(()),
        Some(found) => {
            return Err(StoreError::Format {
                path: path.to_owned(),
                found,
                expected: FORMAT,
            });
        }
        None => meta.insert("format", FORMAT.to_be_bytes().as_slice())?,
    };
    drop(meta);
    txn.open_table(STATE)?;
    txn.commit()?;
    Ok(())
}

fn write_state(txn: &redb::WriteTransaction, writes: &[Write]) -> Result<(), StoreError> {
    let mut state = txn.open_table(STATE)?;
    for (store, key, value) in writes {
        match value {
            Some(value) => state.insert((*store, key.as_slice()), value.as_slice())?,
            None => state.remove((*store, key.as_slice()))?,
        };
    }
    Ok(())
}

fn write_tip(txn: &redb::WriteTransaction, tip: &TipRecord) -> Result<(), StoreError> {
    txn.open_table(META)?.insert("tip", tip.to_bytes().as_slice())?;
    Ok(())
}

fn hex(id: &[u8; 32]) -> String {
    id.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The data as of one commit.
pub struct Reader {
    txn: ReadTransaction,
}

impl Reader {
    /// The newest committed block of this view.
    pub fn tip(&self) -> Result<Option<TipRecord>, StoreError> {
        self.meta("tip")?
            .map(|bytes| TipRecord::from_bytes(&bytes))
            .transpose()
    }

    /// The genesis document.
    pub fn genesis(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.meta("genesis")
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .txn
            .open_table(META)?
            .get(key)?
            .map(|bytes| bytes.value().to_vec()))
    }

    /// A value of the state.
    pub fn get(&self, store: u8, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .txn
            .open_table(STATE)?
            .get((store, key))?
            .map(|bytes| bytes.value().to_vec()))
    }

    /// Up to `limit` entries with `from ≤ key < to`, ascending.
    pub fn range(
        &self,
        store: u8,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let table = self.txn.open_table(STATE)?;
        let mut found = Vec::new();
        for entry in table.range((store, from)..)?.take(limit) {
            let (key, value) = entry?;
            let (at, key) = key.value();
            if at != store || to.is_some_and(|to| key >= to) {
                break;
            }
            found.push((key.to_vec(), value.value().to_vec()));
        }
        Ok(found)
    }

    fn all_state(&self) -> Result<Vec<Write>, StoreError> {
        let table = self.txn.open_table(STATE)?;
        let mut all = Vec::new();
        for entry in table.iter()? {
            let (key, value) = entry?;
            let (store, key) = key.value();
            all.push((store, key.to_vec(), Some(value.value().to_vec())));
        }
        Ok(all)
    }

    /// The encoded block and results at `height`.
    pub fn block(&self, height: i64) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        let found = self.txn.open_table(BLOCKS)?.get(height)?;
        Ok(found.map(|found| {
            let (block, results) = found.value();
            (block.to_vec(), results.to_vec())
        }))
    }

    /// Height of the block with this id.
    pub fn height_of(&self, id: &[u8; 32]) -> Result<Option<i64>, StoreError> {
        Ok(self
            .txn
            .open_table(BLOCK_IDS)?
            .get(id.as_slice())?
            .map(|height| height.value()))
    }

    /// Height and index of the transaction with this hash.
    pub fn tx(&self, hash: &[u8; 32]) -> Result<Option<(i64, u32)>, StoreError> {
        Ok(self
            .txn
            .open_table(TXS)?
            .get(hash.as_slice())?
            .map(|found| found.value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["bank", "proof"];

    fn record(height: i64, id: u8, roots: &Roots) -> BlockRecord {
        BlockRecord {
            tip: TipRecord {
                height,
                id: [id; 32],
                time_ms: 1,
                app_hash: roots.app_hash(),
            },
            block: vec![id],
            results: Vec::new(),
            tx_hashes: vec![[id; 32]],
        }
    }

    fn write(key: &str, value: &str) -> Write {
        (0, key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
    }

    fn begun(path: &Path) -> Store {
        let store = Store::open(path, NAMES).unwrap();
        let mut roots = store.roots();
        let writes = [write("a", "1"), write("b", "1")];
        roots.apply(&writes);
        let tip = TipRecord {
            height: 0,
            id: [0; 32],
            time_ms: 0,
            app_hash: roots.app_hash(),
        };
        store.commit_genesis(b"{}", tip, &writes, roots).unwrap();
        store
    }

    #[test]
    fn a_commit_that_does_not_finish_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chain.redb");
        let store = begun(&path);
        let mut roots = store.roots();
        let writes = [write("a", "2"), (0, b"b".to_vec(), None)];
        roots.apply(&writes);
        let block = record(1, 1, &roots);
        let abandoned = store.commit_with(&block, &writes, roots.clone(), || Err(StoreError::Abandoned));
        assert!(matches!(abandoned, Err(StoreError::Abandoned)));
        drop(store);
        let store = Store::open(&path, NAMES).unwrap();
        assert_eq!(store.tip().unwrap().height, 0);
        assert_eq!(store.reader().unwrap().get(0, b"a").unwrap().unwrap(), b"1");
        assert!(store.reader().unwrap().block(1).unwrap().is_none());

        assert!(store.commit(&block, &writes, roots.clone()).unwrap());
        assert!(
            !store.commit(&block, &writes, roots.clone()).unwrap(),
            "the second time does nothing"
        );
        drop(store);
        let store = Store::open(&path, NAMES).unwrap();
        assert_eq!(store.tip().unwrap(), block.tip);
        assert_eq!(store.reader().unwrap().get(0, b"b").unwrap(), None);
        assert_eq!(store.reader().unwrap().tx(&[1; 32]).unwrap(), Some((1, 0)));
        assert_eq!(store.reader().unwrap().height_of(&[1; 32]).unwrap(), Some(1));
    }

    #[test]
    fn refuses_gaps_and_forks() {
        let dir = tempfile::tempdir().unwrap();
        let store = begun(&dir.path().join("chain.redb"));
        let roots = store.roots();
        assert!(matches!(
            store.commit(&record(2, 2, &roots), &[], roots.clone()),
            Err(StoreError::Gap { .. })
        ));
        store.commit(&record(1, 1, &roots), &[], roots.clone()).unwrap();
        assert!(matches!(
            store.commit(&record(1, 9, &roots), &[], roots.clone()),
            Err(StoreError::Fork { .. })
        ));
    }

    #[test]
    fn finds_state_that_was_changed_behind_its_root() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chain.redb");
        drop(begun(&path));
        let database = Database::create(&path).unwrap();
        let txn = database.begin_write().unwrap();
        txn.open_table(STATE)
            .unwrap()
            .insert((0, b"a".as_slice()), b"9".as_slice())
            .unwrap();
        txn.commit().unwrap();
        drop(database);
        assert!(matches!(Store::open(&path, NAMES), Err(StoreError::Damaged(_))));
    }

    proptest::proptest! {
        #[test]
        fn the_root_follows_from_the_state_alone(writes in proptest::collection::vec((0_u8..2, 0_u8..20, proptest::option::of(0_u8..9)), 0..80)) {
            let writes: Vec<Write> = writes.into_iter().map(|(s, k, v)| (s, vec![k], v.map(|v| vec![v]))).collect();
            let mut step_by_step = Roots::empty(NAMES);
            for write in &writes {
                step_by_step.apply(std::slice::from_ref(write));
            }
            let state: std::collections::BTreeMap<_, _> =
                writes.into_iter().map(|(s, k, v)| ((s, k), v)).collect();
            let at_once: Vec<Write> =
                state.into_iter().filter(|(_, v)| v.is_some()).map(|((s, k), v)| (s, k, v)).collect();
            let mut built = Roots::empty(NAMES);
            built.apply(&at_once);
            proptest::prop_assert_eq!(step_by_step.app_hash(), built.app_hash());
        }
    }
}
