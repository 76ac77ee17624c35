//! The tables of the file.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | name | format, genesis, names of the stores, oldest retained height |
//! | `tip` | – | height, block id, app hash |
//! | `blocks`, `results`, `certificates` | height | as their owner encodes them |
//! | `ids` | height | block id, app hash after the block |
//! | `heights` | block id | height |
//! | `txs` | transaction hash | height, index in the block |
//! | `state`, `tree` | store, key | the newest value, and since when it holds |
//! | `state_history`, `tree_history` | height, store, key | what the block of that height replaced, for older heights and rollback |
//! | `journal` | height | which transactions the block of that height added to `txs`, for rollback |
//!
//! The newest blocks are in the log (`log.rs`), and not yet here.
//!
//! Formats: 1 had the newest state only; 2 was never released; 3 has what is listed here, and no log; 4 has a log. A file of format 3 becomes
//! one of format 4 when it is opened.

use redb::TableDefinition;

use crate::Hash;

/// Version of the layout.
pub(crate) const FORMAT: u32 = 4;
/// The oldest layout that is read: its tables are the same.
pub(crate) const OLDEST_FORMAT: u32 = 3;

/// Key in [`META`]: [`FORMAT`], little endian.
pub(crate) const META_FORMAT: &str = "format";
/// Key in [`META`]: the genesis, as its owner encodes it.
pub(crate) const META_GENESIS: &str = "genesis";
/// Key in [`META`]: names of the stores, in order, each ended by a zero byte.
pub(crate) const META_STORES: &str = "stores";
/// Key in [`META`]: the oldest height whose state is retained, little endian.
pub(crate) const META_OLDEST: &str = "oldest";

/// Key of versioned tables: store, key.
pub(crate) type Place = (&'static str, &'static [u8]);
/// Key of history tables: height, store, key. A block writes its rows next to each other, and they go together.
pub(crate) type PastPlace = (i64, &'static str, &'static [u8]);

/// Facts about the whole.
pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// Height, block id, app hash of the newest block, under the only key.
pub(crate) const TIP: TableDefinition<(), (i64, Hash, Hash)> = TableDefinition::new("tip");
/// The state as of the tip.
pub(crate) const STATE: TableDefinition<Place, &[u8]> = TableDefinition::new("state");
/// Older values of the state.
pub(crate) const STATE_HISTORY: TableDefinition<PastPlace, &[u8]> = TableDefinition::new("state_history");
/// Pages of the tries as of the tip; the key is the way to the page, one nibble per byte.
pub(crate) const TREE: TableDefinition<Place, &[u8]> = TableDefinition::new("tree");
/// Older pages of the tries.
pub(crate) const TREE_HISTORY: TableDefinition<PastPlace, &[u8]> = TableDefinition::new("tree_history");
/// Height to the transactions of a block, and where they were included before.
pub(crate) const JOURNAL: TableDefinition<i64, &[u8]> = TableDefinition::new("journal");
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
