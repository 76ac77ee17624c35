//! Tables with a past: the newest values in one table, what each block replaced in a second one, in the order of heights.
//!
//! ```text
//!  current   key            → value, since height 9, jump 5
//!  history   9, key         → value, since height 4, jump 4      what the block of height 9 replaced
//!  history   4, key         → value, since height 0              … and so on, as far as heights are retained
//! ```
//! A block writes as much history as it changes, in one place; forgetting a height removes what that height wrote; rolling back puts it
//! back. A value at an older height is found from the newest one backwards. *Jumps* make that short for keys that change in every block:
//! the jump of a value since height v is the first change after v without its lowest bit, so that a walk over n changes takes about
//! log₂ n steps. A removed key keeps a row that says since when, until that height is forgotten.

use redb::{ReadOnlyTable, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::StoreError;

/// A key and its value at some height.
type Found = (Vec<u8>, Option<Vec<u8>>);
use crate::tables::{PastPlace, Place, STATE, STATE_HISTORY, TREE, TREE_HISTORY};

/// Two tables that belong together.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    current: TableDefinition<'static, Place, &'static [u8]>,
    history: TableDefinition<'static, PastPlace, &'static [u8]>,
}

/// The modules' keys and values.
pub(crate) const STATE_FAMILY: Family = Family {
    current: STATE,
    history: STATE_HISTORY,
};

/// Pages of the tries.
pub(crate) const TREE_FAMILY: Family = Family {
    current: TREE,
    history: TREE_HISTORY,
};

/// First byte of a row of history: the block set the key.
const SET: u8 = 0;
/// First byte of a row of history: the block removed the key.
const REMOVED: u8 = 1;
/// Bytes of a row before the value: since, jump, whether there is a value.
const HEAD: usize = 8 + 8 + 1;

/// A row: a value, or its absence, from a height on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version<'a> {
    since: i64,
    /// An older change, or `since`.
    jump: i64,
    value: Option<&'a [u8]>,
}

impl<'a> Version<'a> {
    fn encode(&self) -> Vec<u8> {
        let value = self.value.unwrap_or_default();
        let mut row = Vec::with_capacity(HEAD.saturating_add(value.len()));
        row.extend(self.since.to_be_bytes());
        row.extend(self.jump.to_be_bytes());
        row.push(u8::from(self.value.is_some()));
        row.extend(value);
        row
    }

    fn decode(row: &'a [u8]) -> Result<Self, StoreError> {
        let parts = || {
            let (since, rest) = row.split_first_chunk::<8>()?;
            let (jump, rest) = rest.split_first_chunk::<8>()?;
            let value = match rest.split_first()? {
                (0, []) => None,
                (1, value) => Some(value),
                _ => return None,
            };
            Some(Self {
                since: i64::from_be_bytes(*since),
                jump: i64::from_be_bytes(*jump),
                value,
            })
        };
        parts().ok_or_else(|| damaged("a versioned value does not decode"))
    }
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.into())
}

/// The value in a row of a current table; `None` for a key that was removed.
pub(crate) fn value_of(row: &[u8]) -> Result<Option<&[u8]>, StoreError> {
    Ok(Version::decode(row)?.value)
}

/// The row before the change at `height`, out of a row of history: `None` when there never was one.
fn replaced(past: &[u8]) -> Result<Option<&[u8]>, StoreError> {
    match past.split_first() {
        Some((&(SET | REMOVED), [])) => Ok(None),
        Some((&(SET | REMOVED), row)) => Ok(Some(row)),
        _ => Err(damaged("a historic value has no known kind")),
    }
}

/// All rows of history that the block at `height` wrote.
fn rows_of(height: i64) -> std::ops::Range<(i64, &'static str, &'static [u8])> {
    (height, "", &[])..(height.saturating_add(1), "", &[])
}

/// The row that held before the one in `row`, at or after `floor`: by its jump if that is above it.
fn step(
    history: &impl ReadableTable<PastPlace, &'static [u8]>,
    place: (&str, &[u8]),
    version: &Version<'_>,
    floor: i64,
) -> Result<(i64, Option<Vec<u8>>), StoreError> {
    let at = if version.jump > floor {
        version.jump
    } else {
        version.since
    };
    let past = history.get((at, place.0, place.1))?;
    let past = past.map(|row| row.value().to_vec());
    let row = past.as_deref().map(replaced).transpose()?.flatten();
    Ok((at, row.map(<[u8]>::to_vec)))
}

/// A family in a write transaction, at the height of a block.
pub(crate) struct Writer<'t> {
    height: i64,
    current: Table<'t, Place, &'static [u8]>,
    history: Table<'t, PastPlace, &'static [u8]>,
}

impl<'t> Writer<'t> {
    /// Opens `family` for the changes of the block at `height`. The genesis, height 0, has no past and leaves none.
    pub(crate) fn open(write: &'t WriteTransaction, family: Family, height: i64) -> Result<Self, StoreError> {
        Ok(Self {
            height,
            current: write.open_table(family.current)?,
            history: write.open_table(family.history)?,
        })
    }

    /// The newest value.
    pub(crate) fn get(&self, store: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.current.get((store, key))?;
        let value = row.as_ref().map(|row| Version::decode(row.value())).transpose()?;
        Ok(value.and_then(|version| version.value.map(<[u8]>::to_vec)))
    }

    /// Sets or removes a value, and keeps what was there. At most once per key and block.
    pub(crate) fn put(&mut self, store: &str, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let old = self.current.get((store, key))?.map(|row| row.value().to_vec());
        let version = old.as_deref().map(Version::decode).transpose()?;
        if version.and_then(|version| version.value) == value {
            return Ok(());
        }
        let new = Version {
            since: self.height,
            jump: self.jump((store, key), version)?,
            value,
        };
        self.current.insert((store, key), new.encode().as_slice())?;
        if self.height == 0 {
            return Ok(());
        }
        let kind = if value.is_some() { SET } else { REMOVED };
        let past = [&[kind], old.as_deref().unwrap_or_default()].concat();
        match self.history.insert((self.height, store, key), past.as_slice())? {
            Some(_) => Err(damaged("a block changes a key twice")),
            None => Ok(()),
        }
    }

    /// The first change after this height without its lowest bit.
    fn jump(&self, place: (&str, &[u8]), old: Option<Version<'_>>) -> Result<i64, StoreError> {
        let floor = self.height & self.height.saturating_sub(1);
        let mut first = self.height;
        let Some(old) = old.filter(|old| old.since > floor) else {
            return Ok(first);
        };
        let (mut at, mut row) = step(&self.history, place, &old, floor)?;
        loop {
            first = at;
            let Some(bytes) = row else { return Ok(first) };
            let version = Version::decode(&bytes)?;
            if version.since <= floor || version.since >= at {
                return Ok(first);
            }
            (at, row) = step(&self.history, place, &version, floor)?;
        }
    }
}

/// Most heights that one block forgets: more than one when fewer are to be retained than before.
const MAX_FORGOTTEN: i64 = 4;

/// The oldest retained height after the block at `height`, when it was `before` until then.
pub(crate) fn oldest_after(before: i64, height: i64, retain: u32) -> i64 {
    let wanted = height.saturating_sub(i64::from(retain));
    wanted.min(before.saturating_add(MAX_FORGOTTEN)).max(before)
}

/// Forgets what the block at `height` replaced: states before it can no longer be read. Returns how many values that were.
pub(crate) fn forget(write: &WriteTransaction, family: Family, height: i64) -> Result<u64, StoreError> {
    let mut removed: Vec<(String, Vec<u8>)> = Vec::new();
    let mut count = 0_u64;
    write
        .open_table(family.history)?
        .retain_in(rows_of(height), |(_, store, key), past| {
            count = count.saturating_add(1);
            if past.first() == Some(&REMOVED) {
                removed.push((store.to_owned(), key.to_vec()));
            }
            false
        })?;
    let mut current = write.open_table(family.current)?;
    for (store, key) in removed {
        let row = current
            .get((store.as_str(), key.as_slice()))?
            .map(|row| row.value().to_vec());
        let version = row.as_deref().map(Version::decode).transpose()?;
        if version.is_some_and(|version| version.since == height && version.value.is_none()) {
            current.remove((store.as_str(), key.as_slice()))?;
        }
    }
    Ok(count)
}

/// Undoes what the block at `height`, the newest, changed, while heights from `oldest` on are retained.
pub(crate) fn undo(
    write: &WriteTransaction,
    family: Family,
    height: i64,
    oldest: i64,
) -> Result<(), StoreError> {
    let mut undone: Vec<(String, Vec<u8>, Vec<u8>)> = Vec::new();
    write
        .open_table(family.history)?
        .retain_in(rows_of(height), |(_, store, key), past| {
            undone.push((store.to_owned(), key.to_vec(), past.to_vec()));
            false
        })?;
    let mut current = write.open_table(family.current)?;
    for (store, key, past) in undone {
        let row = replaced(&past)?;
        let version = row.map(Version::decode).transpose()?;
        let gone = version.is_none_or(|version| version.value.is_none() && version.since <= oldest);
        match row {
            Some(row) if !gone => current.insert((store.as_str(), key.as_slice()), row)?,
            _ => current.remove((store.as_str(), key.as_slice()))?,
        };
    }
    Ok(())
}

/// What a block changed: store, key, and the value before.
pub(crate) type Replaced = (String, Vec<u8>, Option<Vec<u8>>);

/// A family in a read transaction.
pub(crate) struct Reader {
    current: ReadOnlyTable<Place, &'static [u8]>,
    history: ReadOnlyTable<PastPlace, &'static [u8]>,
}

impl Reader {
    pub(crate) fn open(read: &redb::ReadTransaction, family: Family) -> Result<Self, StoreError> {
        Ok(Self {
            current: read.open_table(family.current)?,
            history: read.open_table(family.history)?,
        })
    }

    /// The value after the block at `height`.
    pub(crate) fn get_at(&self, store: &str, key: &[u8], height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        match self.current.get((store, key))? {
            Some(row) => self.value_at((store, key), row.value(), height),
            None => Ok(None),
        }
    }

    /// Walks from the newest row back to the one that held at `height`.
    fn value_at(&self, place: (&str, &[u8]), row: &[u8], height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let newest = Version::decode(row)?;
        if newest.since <= height {
            return Ok(newest.value.map(<[u8]>::to_vec));
        }
        let (mut at, mut row) = step(&self.history, place, &newest, height)?;
        loop {
            let Some(bytes) = row else { return Ok(None) };
            let version = Version::decode(&bytes)?;
            if version.since <= height {
                return Ok(version.value.map(<[u8]>::to_vec));
            }
            if version.since >= at {
                return Err(damaged("a value's past goes in circles"));
            }
            (at, row) = step(&self.history, place, &version, height)?;
        }
    }

    /// Keys of `store` with `from ≤ key < to`, ascending, and their values after the block at `height`: `None` for those that were not
    /// there.
    pub(crate) fn range_at(
        &self,
        store: &str,
        from: &[u8],
        to: Option<&[u8]>,
        height: i64,
    ) -> Result<impl Iterator<Item = Result<Found, StoreError>>, StoreError> {
        let rows = self.current.range((store, from)..)?;
        let entry = move |row: Result<_, redb::StorageError>| {
            let (place, row): (redb::AccessGuard<'_, Place>, redb::AccessGuard<'_, &'static [u8]>) = match row
            {
                Ok(row) => row,
                Err(error) => return Some(Err(error.into())),
            };
            let (found, key) = place.value();
            if found != store || to.is_some_and(|to| key >= to) {
                return None;
            }
            let value = self.value_at((found, key), row.value(), height);
            Some(value.map(|value| (key.to_vec(), value)))
        };
        Ok(rows.map_while(entry))
    }

    /// Calls `visit` with store, key and value of all newest values.
    pub(crate) fn each_newest(
        &self,
        mut visit: impl FnMut(&str, &[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for row in self.current.iter()? {
            let (place, row) = row?;
            let (store, key) = place.value();
            if let Some(value) = Version::decode(row.value())?.value {
                visit(store, key, value)?;
            }
        }
        Ok(())
    }

    /// Newest values; and rows of removed keys, of which the first is told that should have been forgotten with `oldest`.
    pub(crate) fn count(&self, oldest: i64) -> Result<(u64, Option<i64>), StoreError> {
        let (mut values, mut stale) = (0_u64, None);
        for row in self.current.iter()? {
            let row = row?.1;
            let version = Version::decode(row.value())?;
            match version.value {
                Some(_) => values = values.saturating_add(1),
                None if version.since <= oldest => stale = stale.or(Some(version.since)),
                None => {}
            }
        }
        Ok((values, stale))
    }

    /// What the block at `height` changed, as it noted it.
    pub(crate) fn replaced_at(&self, height: i64) -> Result<Vec<Replaced>, StoreError> {
        let mut found = Vec::new();
        for row in self.history.range(rows_of(height))? {
            let (place, past) = row?;
            let (_, store, key) = place.value();
            let version = replaced(past.value())?.map(Version::decode).transpose()?;
            let value = version.and_then(|version| version.value.map(<[u8]>::to_vec));
            found.push((store.to_owned(), key.to_vec(), value));
        }
        Ok(found)
    }

    /// Rows of history.
    pub(crate) fn history_len(&self) -> Result<u64, StoreError> {
        use redb::ReadableTableMetadata as _;
        Ok(self.history.len()?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Reader, STATE_FAMILY, Writer};
    use crate::ChainStore;

    /// Reads of a key at each height, and the steps that the longest of them takes, when it changed at these heights.
    fn walk(heights: &[i64], newest: i64) {
        let store = ChainStore::in_memory().expect("made");
        let mut values = BTreeMap::new();
        for height in heights {
            let value = height.to_be_bytes();
            store
                .transact(|write| {
                    Writer::open(write, STATE_FAMILY, *height)?.put("bank", b"key", Some(&value))?;
                    Ok(true)
                })
                .expect("written");
            values.insert(*height, value.to_vec());
        }
        let read = store.settled_read().expect("readable");
        let reader = Reader::open(&read, STATE_FAMILY).expect("there");
        for height in 0..=newest {
            let expected = values
                .range(..=height)
                .next_back()
                .map(|(_, value)| value.clone());
            assert_eq!(
                reader.get_at("bank", b"key", height).expect("readable"),
                expected,
                "{height}"
            );
        }
    }

    #[test]
    fn a_key_is_found_at_every_height_however_often_it_changed() {
        let all: Vec<i64> = (1..=300).collect();
        walk(&all, 310);
        for step in [2, 3, 7, 64, 100] {
            let some: Vec<i64> = all.iter().copied().filter(|height| height % step == 0).collect();
            walk(&some, 310);
            let others: Vec<i64> = all.iter().copied().filter(|height| height % step != 0).collect();
            walk(&others, 310);
        }
    }
}
