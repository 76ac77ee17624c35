//! The tables of the file.

use redb::TableDefinition;

use crate::Hash;

/// Version of the layout below.
pub(crate) const FORMAT: u32 = 1;

/// Key in [`META`]: [`FORMAT`], little endian.
pub(crate) const META_FORMAT: &str = "format";
/// Key in [`META`]: the genesis, as its owner encodes it.
pub(crate) const META_GENESIS: &str = "genesis";

/// Facts about the whole.
pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Height, block id, app hash of the newest block, under the only key.
pub(crate) const TIP: TableDefinition<(), (i64, Hash, Hash)> = TableDefinition::new("tip");
/// (store, key) to value, as of the tip.
pub(crate) const STATE: TableDefinition<(&str, &[u8]), &[u8]> = TableDefinition::new("state");
/// Height to encoded block.
pub(crate) const BLOCKS: TableDefinition<i64, &[u8]> = TableDefinition::new("blocks");
/// Height to encoded results.
pub(crate) const RESULTS: TableDefinition<i64, &[u8]> = TableDefinition::new("results");
/// Height to certificate.
pub(crate) const CERTIFICATES: TableDefinition<i64, &[u8]> = TableDefinition::new("certificates");
/// Height to (block id, app hash after the block).
pub(crate) const IDS: TableDefinition<i64, (Hash, Hash)> = TableDefinition::new("ids");
/// Block id to height.
pub(crate) const HEIGHTS: TableDefinition<Hash, i64> = TableDefinition::new("heights");
/// Transaction hash to (height, index in the block).
pub(crate) const TXS: TableDefinition<Hash, (i64, u32)> = TableDefinition::new("txs");
