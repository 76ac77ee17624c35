//! Every row of every table in one order, as bytes.

use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableTable as _, TableDefinition, Value};

use crate::StoreError;
use crate::tables::{
    BLOCKS, CERTIFICATES, HEIGHTS, IDS, JOURNAL, META, RESULTS, STATE, STATE_HISTORY, TIP, TREE,
    TREE_HISTORY, TXS,
};

/// A row: name of its table, key and value as redb encodes them.
pub(crate) struct Row<'a> {
    pub(crate) table: &'static str,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Calls `visit` for each row.
pub(crate) fn rows<F>(read: &ReadTransaction, mut visit: F) -> Result<(), StoreError>
where
    F: FnMut(Row<'_>) -> Result<(), StoreError>,
{
    table(read, META, "meta", &mut visit)?;
    table(read, TIP, "tip", &mut visit)?;
    table(read, STATE, "state", &mut visit)?;
    table(read, STATE_HISTORY, "state_history", &mut visit)?;
    table(read, TREE, "tree", &mut visit)?;
    table(read, TREE_HISTORY, "tree_history", &mut visit)?;
    table(read, JOURNAL, "journal", &mut visit)?;
    table(read, BLOCKS, "blocks", &mut visit)?;
    table(read, RESULTS, "results", &mut visit)?;
    table(read, CERTIFICATES, "certificates", &mut visit)?;
    table(read, IDS, "ids", &mut visit)?;
    table(read, HEIGHTS, "heights", &mut visit)?;
    table(read, TXS, "txs", &mut visit)
}

fn table<K, V, F>(
    read: &ReadTransaction,
    definition: TableDefinition<'static, K, V>,
    name: &'static str,
    visit: &mut F,
) -> Result<(), StoreError>
where
    K: Key + 'static,
    V: Value + 'static,
    F: FnMut(Row<'_>) -> Result<(), StoreError>,
{
    let table: ReadOnlyTable<K, V> = read.open_table(definition)?;
    for row in table.iter()? {
        let (key, value) = row?;
        let (key, value) = (key.value(), value.value());
        visit(Row {
            table: name,
            key: K::as_bytes(&key).as_ref(),
            value: V::as_bytes(&value).as_ref(),
        })?;
    }
    Ok(())
}
