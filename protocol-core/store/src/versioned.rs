//! Tables with a past: the newest values in one table, what they replaced in a second one, and per block a list of what it changed.
//!
//! ```text
//!  value at height h = the first of history[key, h + 1 ..] if there is one, else the newest
//! ```
//! A block writes as much history as it changes; forgetting a height removes what that height wrote; rolling back puts it back.

use redb::{ReadOnlyTable, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::StoreError;
use crate::snapshot::Entry;
use crate::tables::{JOURNAL, PastPlace, Place, STATE, STATE_HISTORY, TREE, TREE_HISTORY};

/// Two tables that belong together.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    /// Its number in the journal.
    pub(crate) id: u8,
    pub(crate) name: &'static str,
    current: TableDefinition<'static, Place, &'static [u8]>,
    history: TableDefinition<'static, PastPlace, &'static [u8]>,
}

/// The modules' keys and values.
pub(crate) const STATE_FAMILY: Family = Family {
    id: 0,
    name: "state",
    current: STATE,
    history: STATE_HISTORY,
};

/// Pages of the tries.
pub(crate) const TREE_FAMILY: Family = Family {
    id: 1,
    name: "tree",
    current: TREE,
    history: TREE_HISTORY,
};

/// First byte of a historic value: there was none.
const ABSENT: u8 = 0;
/// First byte of a historic value: the rest is the value.
const PRESENT: u8 = 1;

fn encode(old: Option<&[u8]>) -> Vec<u8> {
    old.map_or_else(|| vec![ABSENT], |value| [&[PRESENT], value].concat())
}

fn decode(bytes: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    match bytes.split_first() {
        Some((&ABSENT, [])) => Ok(None),
        Some((&PRESENT, value)) => Ok(Some(value.to_vec())),
        _ => Err(StoreError::Damaged("a historic value has no known kind".into())),
    }
}

/// A family in a write transaction, at the height of a block.
pub(crate) struct Writer<'t> {
    family: Family,
    height: i64,
    current: Table<'t, Place, &'static [u8]>,
    history: Table<'t, PastPlace, &'static [u8]>,
    journal: Vec<u8>,
}

impl<'t> Writer<'t> {
    /// Opens `family` for the changes of the block at `height`. The genesis, height 0, has no past and leaves none.
    pub(crate) fn open(write: &'t WriteTransaction, family: Family, height: i64) -> Result<Self, StoreError> {
        Ok(Self {
            family,
            height,
            current: write.open_table(family.current)?,
            history: write.open_table(family.history)?,
            journal: Vec::new(),
        })
    }

    /// The newest value.
    pub(crate) fn get(&self, store: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.current.get((store, key))?.map(|row| row.value().to_vec()))
    }

    /// Sets or removes a value, and keeps what was there. At most once per key and block.
    pub(crate) fn put(&mut self, store: &str, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let old = match value {
            Some(value) => self.current.insert((store, key), value)?,
            None => self.current.remove((store, key))?,
        };
        let old = old.map(|row| row.value().to_vec());
        if old.as_deref() == value || self.height == 0 {
            return Ok(());
        }
        let past = encode(old.as_deref());
        let twice = self.history.insert((store, key, self.height), past.as_slice())?;
        if twice.is_some() {
            return Err(StoreError::Damaged(format!(
                "a block changes a key of {store} twice"
            )));
        }
        push(&mut self.journal, store, key)
    }

    /// Writes the journal.
    pub(crate) fn finish(self, write: &WriteTransaction) -> Result<(), StoreError> {
        if self.height > 0 {
            let mut journal = write.open_table(JOURNAL)?;
            journal.insert((self.height, self.family.id), self.journal.as_slice())?;
        }
        Ok(())
    }
}

fn push(journal: &mut Vec<u8>, store: &str, key: &[u8]) -> Result<(), StoreError> {
    let (Ok(store_len), Ok(key_len)) = (u8::try_from(store.len()), u32::try_from(key.len())) else {
        return Err(StoreError::Damaged(format!(
            "a key or name in {store} is too long"
        )));
    };
    journal.push(store_len);
    journal.extend(store.as_bytes());
    journal.extend(key_len.to_be_bytes());
    journal.extend(key);
    Ok(())
}

/// Reads a journal: the (store, key) pairs in the order in which they were written.
pub(crate) fn journaled(mut bytes: &[u8]) -> Result<Vec<(&str, &[u8])>, StoreError> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let next = take(&mut bytes).ok_or_else(|| StoreError::Damaged("a journal ends early".into()))?;
        found.push(next);
    }
    Ok(found)
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<(&'a str, &'a [u8])> {
    let (len, rest) = bytes.split_first()?;
    let (store, rest) = rest.split_at_checked(usize::from(*len))?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    *bytes = rest;
    Some((std::str::from_utf8(store).ok()?, key))
}

/// Forgets what the block at `height` replaced: states before it can no longer be read. Returns how many values that were.
pub(crate) fn forget(write: &WriteTransaction, family: Family, height: i64) -> Result<usize, StoreError> {
    let mut journal = write.open_table(JOURNAL)?;
    let Some(row) = journal.remove((height, family.id))? else {
        return Ok(0);
    };
    let mut history = write.open_table(family.history)?;
    let changed = journaled(row.value())?;
    for (store, key) in &changed {
        history.remove((*store, *key, height))?;
    }
    Ok(changed.len())
}

/// Undoes what the block at `height`, the newest, changed. Returns how many values that were.
pub(crate) fn undo(write: &WriteTransaction, family: Family, height: i64) -> Result<usize, StoreError> {
    let mut journal = write.open_table(JOURNAL)?;
    let row = journal.remove((height, family.id))?;
    let row =
        row.ok_or_else(|| StoreError::Damaged(format!("height {height} has no {} journal", family.name)))?;
    let mut history = write.open_table(family.history)?;
    let mut current = write.open_table(family.current)?;
    let changed = journaled(row.value())?;
    for (store, key) in &changed {
        let old = history.remove((*store, *key, height))?;
        let old = old.ok_or_else(|| {
            StoreError::Damaged(format!("history of height {height} lacks a {} key", family.name))
        })?;
        match decode(old.value())? {
            Some(value) => current.insert((*store, *key), value.as_slice())?,
            None => current.remove((*store, *key))?,
        };
    }
    Ok(changed.len())
}

/// A family in a read transaction.
pub(crate) struct Reader {
    pub(crate) current: ReadOnlyTable<Place, &'static [u8]>,
    pub(crate) history: ReadOnlyTable<PastPlace, &'static [u8]>,
}

impl Reader {
    pub(crate) fn open(read: &redb::ReadTransaction, family: Family) -> Result<Self, StoreError> {
        Ok(Self {
            current: read.open_table(family.current)?,
            history: read.open_table(family.history)?,
        })
    }

    /// The newest value.
    pub(crate) fn newest(&self, store: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.current.get((store, key))?.map(|row| row.value().to_vec()))
    }

    /// The value after the block at `height`.
    pub(crate) fn get_at(&self, store: &str, key: &[u8], height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let after = height.saturating_add(1);
        let mut past = self.history.range((store, key, after)..=(store, key, i64::MAX))?;
        match past.next() {
            Some(row) => decode(row?.1.value()),
            None => self.newest(store, key),
        }
    }

    /// Up to `limit` entries of `store` with `from ≤ key < to`, as of the tip.
    pub(crate) fn range(
        &self,
        store: &str,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for row in self.current.range((store, from)..)? {
            let (key, value) = row?;
            let (found, key) = key.value();
            if entries.len() == limit || found != store || to.is_some_and(|to| key >= to) {
                break;
            }
            entries.push((key.to_vec(), value.value().to_vec()));
        }
        Ok(entries)
    }

    /// [`Self::range`] after the block at `height`: keys of both tables in order, each with its value then.
    pub(crate) fn range_at(
        &self,
        store: &str,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
        height: i64,
    ) -> Result<Vec<Entry>, StoreError> {
        let inside = |found: &str, key: &[u8]| found == store && to.is_none_or(|to| key < to);
        let mut entries = Vec::new();
        let mut newest = self.current.range((store, from)..)?;
        let mut next = next_entry(&mut newest, &inside)?;
        let mut past = self.past_from(store, from, &inside, height)?;
        while entries.len() < limit {
            let in_past = match (&next, &past) {
                (None, None) => break,
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some((key, _)), Some((past, _))) => past <= key,
            };
            if !in_past {
                entries.extend(next.take());
                next = next_entry(&mut newest, &inside)?;
                continue;
            }
            let Some((key, value)) = past.take() else { break };
            if next.as_ref().is_some_and(|(newer, _)| *newer == key) {
                next = next_entry(&mut newest, &inside)?;
            }
            let after = [key.as_slice(), &[0]].concat();
            entries.extend(value.map(|value| (key, value)));
            past = self.past_from(store, &after, &inside, height)?;
        }
        Ok(entries)
    }

    /// The first key from `from` on that changed after `height`, with its value at `height`.
    fn past_from(
        &self,
        store: &str,
        from: &[u8],
        inside: &impl Fn(&str, &[u8]) -> bool,
        height: i64,
    ) -> Result<Option<PastEntry>, StoreError> {
        let mut from = from.to_vec();
        loop {
            let Some(row) = self.history.range((store, from.as_slice(), i64::MIN)..)?.next() else {
                return Ok(None);
            };
            let row = row?.0;
            let (found, key, _) = row.value();
            if !inside(found, key) {
                return Ok(None);
            }
            let after = height.saturating_add(1);
            let mut later = self.history.range((store, key, after)..=(store, key, i64::MAX))?;
            if let Some(past) = later.next() {
                return Ok(Some((key.to_vec(), decode(past?.1.value())?)));
            }
            from = [key, &[0]].concat(); // it changed at or before that height only
        }
    }
}

/// A key and its value at an older height.
type PastEntry = (Vec<u8>, Option<Vec<u8>>);

fn next_entry(
    rows: &mut redb::Range<'_, Place, &'static [u8]>,
    inside: &impl Fn(&str, &[u8]) -> bool,
) -> Result<Option<Entry>, StoreError> {
    let Some(row) = rows.next() else { return Ok(None) };
    let (key, value) = row?;
    let (store, key) = key.value();
    Ok(inside(store, key).then(|| (key.to_vec(), value.value().to_vec())))
}
