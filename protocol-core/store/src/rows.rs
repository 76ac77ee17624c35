//! Rows of all tables as bytes of our own, for snapshots: written in one order, read back with every length checked.
//!
//! A row is table (1 byte) ‖ key length (4) ‖ key ‖ value length (4) ‖ value. Numbers are big endian.

use redb::{
    Key, ReadOnlyTable, ReadTransaction, ReadableTable as _, TableDefinition, Value, WriteTransaction,
};

use crate::tables::{
    BLOCKS, CERTIFICATES, HEIGHTS, IDS, JOURNAL, META, PastPlace, Place, RESULTS, STATE, STATE_HISTORY, TIP,
    TREE, TREE_HISTORY, TXS,
};
use crate::{Hash, StoreError};

/// A row. Keys and values are encoded by [`Cell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    /// Number of its table, by the order in which tables are written.
    pub(crate) table: u8,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Number of the state's table in a [`Row`].
pub(crate) const STATE_ROWS: u8 = 2;
/// Longest key or value that is read back, in bytes.
const MAX_CELL: usize = 256 << 20;

impl<'a> Row<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        out.push(self.table);
        for cell in [self.key, self.value] {
            let len = u32::try_from(cell.len());
            let len = len.map_err(|_| StoreError::Damaged("a row is longer than 4 GiB".into()))?;
            out.extend(len.to_be_bytes());
            out.extend(cell);
        }
        Ok(())
    }

    /// Takes a row off the front of `bytes`; `None` when it is not there whole. Errs when it never will be.
    pub(crate) fn take(bytes: &mut &'a [u8]) -> Result<Option<Self>, StoreError> {
        let mut rest = *bytes;
        let Some((table, after)) = rest.split_first() else {
            return Ok(None);
        };
        rest = after;
        let (Some(key), Some(value)) = (take_cell(&mut rest)?, take_cell(&mut rest)?) else {
            return Ok(None);
        };
        *bytes = rest;
        Ok(Some(Self {
            table: *table,
            key,
            value,
        }))
    }

    /// Store and key of a row of the state.
    pub(crate) fn place(&self) -> Option<(&'a str, &'a [u8])> {
        <Place as Cell>::take(self.key)
    }

    /// Writes the row into its table.
    pub(crate) fn insert(&self, write: &WriteTransaction) -> Result<(), StoreError> {
        match self.table {
            0 => self.insert_into(write, META),
            1 => self.insert_into(write, TIP),
            2 => self.insert_into(write, STATE),
            3 => self.insert_into(write, STATE_HISTORY),
            4 => self.insert_into(write, TREE),
            5 => self.insert_into(write, TREE_HISTORY),
            6 => self.insert_into(write, JOURNAL),
            7 => self.insert_into(write, BLOCKS),
            8 => self.insert_into(write, RESULTS),
            9 => self.insert_into(write, CERTIFICATES),
            10 => self.insert_into(write, IDS),
            11 => self.insert_into(write, HEIGHTS),
            12 => self.insert_into(write, TXS),
            other => Err(StoreError::Damaged(format!("there is no table {other}"))),
        }
    }

    fn insert_into<K: Key + Cell, V: Cell>(
        &self,
        write: &WriteTransaction,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), StoreError> {
        let malformed = || StoreError::Damaged(format!("a row of table {} is malformed", self.table));
        let key = K::take(self.key).ok_or_else(malformed)?;
        let value = V::take(self.value).ok_or_else(malformed)?;
        write.open_table(table)?.insert(key, value)?;
        Ok(())
    }
}

/// `None` when the bytes end before the cell does.
fn take_cell<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, StoreError> {
    let Some((len, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
    if len > MAX_CELL {
        return Err(StoreError::Damaged(format!(
            "a row has a key or value of {len} bytes"
        )));
    }
    let Some((cell, rest)) = rest.split_at_checked(len) else {
        return Ok(None);
    };
    *bytes = rest;
    Ok(Some(cell))
}

/// Calls `visit` for each row of each table.
pub(crate) fn rows<F>(read: &ReadTransaction, visit: &mut F) -> Result<(), StoreError>
where
    F: FnMut(Row<'_>) -> Result<(), StoreError>,
{
    rows_of(read, META, 0, visit)?;
    rows_of(read, TIP, 1, visit)?;
    rows_of(read, STATE, STATE_ROWS, visit)?;
    rows_of(read, STATE_HISTORY, 3, visit)?;
    rows_of(read, TREE, 4, visit)?;
    rows_of(read, TREE_HISTORY, 5, visit)?;
    rows_of(read, JOURNAL, 6, visit)?;
    rows_of(read, BLOCKS, 7, visit)?;
    rows_of(read, RESULTS, 8, visit)?;
    rows_of(read, CERTIFICATES, 9, visit)?;
    rows_of(read, IDS, 10, visit)?;
    rows_of(read, HEIGHTS, 11, visit)?;
    rows_of(read, TXS, 12, visit)
}

fn rows_of<K, V, F>(
    read: &ReadTransaction,
    definition: TableDefinition<'static, K, V>,
    table: u8,
    visit: &mut F,
) -> Result<(), StoreError>
where
    K: Key + Cell,
    V: Cell,
    F: FnMut(Row<'_>) -> Result<(), StoreError>,
{
    let rows: ReadOnlyTable<K, V> = read.open_table(definition)?;
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for row in rows.iter()? {
        let (k, v) = row?;
        key.clear();
        value.clear();
        K::put(&k.value(), &mut key);
        V::put(&v.value(), &mut value);
        visit(Row {
            table,
            key: &key,
            value: &value,
        })?;
    }
    Ok(())
}

/// A key or value of a table.
pub(crate) trait Cell: Value + 'static {
    fn put(cell: &Self::SelfType<'_>, out: &mut Vec<u8>);
    /// `None` when the bytes are not one, whole.
    fn take(bytes: &[u8]) -> Option<Self::SelfType<'_>>;
}

impl Cell for &'static [u8] {
    fn put(cell: &&[u8], out: &mut Vec<u8>) {
        out.extend(*cell);
    }

    fn take(bytes: &[u8]) -> Option<&[u8]> {
        Some(bytes)
    }
}

impl Cell for &'static str {
    fn put(cell: &&str, out: &mut Vec<u8>) {
        out.extend(cell.as_bytes());
    }

    fn take(bytes: &[u8]) -> Option<&str> {
        std::str::from_utf8(bytes).ok()
    }
}

impl Cell for () {
    fn put((): &(), _: &mut Vec<u8>) {}

    fn take(bytes: &[u8]) -> Option<()> {
        bytes.is_empty().then_some(())
    }
}

impl Cell for i64 {
    fn put(cell: &i64, out: &mut Vec<u8>) {
        out.extend(cell.to_be_bytes());
    }

    fn take(bytes: &[u8]) -> Option<i64> {
        Some(Self::from_be_bytes(bytes.try_into().ok()?))
    }
}

impl Cell for Hash {
    fn put(cell: &Hash, out: &mut Vec<u8>) {
        out.extend(cell);
    }

    fn take(bytes: &[u8]) -> Option<Hash> {
        bytes.try_into().ok()
    }
}

impl Cell for (i64, u32) {
    fn put((height, index): &(i64, u32), out: &mut Vec<u8>) {
        out.extend(height.to_be_bytes());
        out.extend(index.to_be_bytes());
    }

    fn take(bytes: &[u8]) -> Option<(i64, u32)> {
        let (height, index) = bytes.split_at_checked(8)?;
        Some((i64::take(height)?, u32::from_be_bytes(index.try_into().ok()?)))
    }
}

impl Cell for (Hash, Hash) {
    fn put((a, b): &(Hash, Hash), out: &mut Vec<u8>) {
        out.extend(a);
        out.extend(b);
    }

    fn take(bytes: &[u8]) -> Option<(Hash, Hash)> {
        let (a, b) = bytes.split_at_checked(32)?;
        Some((Hash::take(a)?, Hash::take(b)?))
    }
}

impl Cell for (i64, Hash, Hash) {
    fn put((height, a, b): &(i64, Hash, Hash), out: &mut Vec<u8>) {
        out.extend(height.to_be_bytes());
        <(Hash, Hash)>::put(&(*a, *b), out);
    }

    fn take(bytes: &[u8]) -> Option<(i64, Hash, Hash)> {
        let (height, hashes) = bytes.split_at_checked(8)?;
        let (a, b) = <(Hash, Hash)>::take(hashes)?;
        Some((i64::take(height)?, a, b))
    }
}

impl Cell for Place {
    fn put((store, key): &(&str, &[u8]), out: &mut Vec<u8>) {
        out.extend(store.as_bytes());
        out.push(0);
        out.extend(*key);
    }

    fn take(bytes: &[u8]) -> Option<(&str, &[u8])> {
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let (store, key) = bytes.split_at(end);
        Some((std::str::from_utf8(store).ok()?, key.get(1..)?))
    }
}

impl Cell for PastPlace {
    fn put((height, store, key): &(i64, &str, &[u8]), out: &mut Vec<u8>) {
        out.extend(height.to_be_bytes());
        Place::put(&(store, key), out);
    }

    fn take(bytes: &[u8]) -> Option<(i64, &str, &[u8])> {
        let (height, place) = bytes.split_at_checked(8)?;
        let (store, key) = <Place as Cell>::take(place)?;
        Some((i64::take(height)?, store, key))
    }
}
