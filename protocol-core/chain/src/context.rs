//! What a module works with: state it may change, the block it runs in, events it emits.

use portico_protocol::wire::tendermint::abci::Event;
use portico_protocol::{BlockHash, Height};
use prost::Message;

use crate::error::Fault;
use crate::event::TypedEvent;
use crate::state::{Overlay, StateError, StateRead, Store};

/// Most entries that one scan of state returns; a scan that meets it is an error, never a silent cut.
pub(crate) const MAX_SCAN: usize = 1_000_000;

/// What a block tells the modules.
#[derive(Clone, Debug)]
pub struct BlockContext {
    /// Chain id, which signatures commit to.
    pub chain_id: String,
    /// Height being executed.
    pub height: Height,
    /// Header time, milliseconds since 1970 UTC: the only clock.
    pub time_ms: u64,
    /// Hash of this block's header, with which [`crate::block::execute`] ends it; zeros where no block ends.
    pub hash: BlockHash,
    /// Account address (bech32) that receives the proposer's share, if the validator has one.
    pub proposer_account: String,
}

/// Which signatures held before, so that one is not verified again by the mempool, the builder and each block that it waits for.
///
/// An id is a hash over the transaction, the key, the account number and the chain id: all that the outcome depends on.
pub trait SignatureCache: Send + Sync {
    /// Whether the signature with this id held.
    fn contains(&self, id: &[u8; 32]) -> bool;

    /// Notes that it held.
    fn insert(&self, id: [u8; 32]);
}

/// Remembers nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoCache;

impl SignatureCache for NoCache {
    fn contains(&self, _: &[u8; 32]) -> bool {
        false
    }

    fn insert(&self, _: [u8; 32]) {}
}

/// State, block and events of one step: a transaction, or an end blocker.
pub(crate) struct Context<'a> {
    pub(crate) signatures: &'a dyn SignatureCache,
    pub(crate) state: Overlay<&'a dyn StateRead>,
    pub(crate) block: &'a BlockContext,
    pub(crate) events: Vec<Event>,
}

impl<'a> Context<'a> {
    pub(crate) const fn new(parent: &'a dyn StateRead, block: &'a BlockContext) -> Self {
        Self {
            signatures: &NoCache,
            state: Overlay::new(parent),
            block,
            events: Vec::new(),
        }
    }

    pub(crate) const fn height(&self) -> Height {
        self.block.height
    }

    pub(crate) fn emit(&mut self, event: TypedEvent) {
        self.events.push(event.build());
    }

    pub(crate) fn put(&mut self, store: Store, key: Vec<u8>, value: &impl Message) {
        self.state.set(store, key, value.encode_to_vec());
    }

    pub(crate) fn delete(&mut self, store: Store, key: Vec<u8>) {
        self.state.delete(store, key);
    }

    pub(crate) fn get<M: Message + Default>(
        &self,
        store: Store,
        key: &[u8],
    ) -> Result<Option<M>, StateError> {
        read(&self.state, store, key)
    }

    pub(crate) fn scan<M: Message + Default>(
        &self,
        store: Store,
        prefix: &[u8],
    ) -> Result<Vec<M>, StateError> {
        scan(&self.state, store, prefix)
    }
}

/// Decodes the value at `key`.
pub(crate) fn read<M: Message + Default>(
    state: &dyn StateRead,
    store: Store,
    key: &[u8],
) -> Result<Option<M>, StateError> {
    state
        .get(store, key)?
        .map(|bytes| decode(store, key, &bytes))
        .transpose()
}

/// Decodes all values under `prefix`, in key order.
pub(crate) fn scan<M: Message + Default>(
    state: &dyn StateRead,
    store: Store,
    prefix: &[u8],
) -> Result<Vec<M>, StateError> {
    let entries = state.range(store, prefix, prefix_end(prefix).as_deref(), MAX_SCAN)?;
    if entries.len() == MAX_SCAN {
        return Err(StateError::Store(format!(
            "{} holds more than {MAX_SCAN} entries of a kind",
            store.name()
        )));
    }
    entries
        .iter()
        .map(|(key, value)| decode(store, key, value))
        .collect()
}

/// Key of a history's entry that is effective from `height`: later entries sort first, so that the newest is found in one step.
pub(crate) fn history_key(prefix: &[u8], height: Height) -> Vec<u8> {
    let inverted = u64::MAX ^ u64::try_from(height.0).unwrap_or(0);
    [prefix, &inverted.to_be_bytes()].concat()
}

/// The newest entry of a history that is effective at `height`.
pub(crate) fn newest<M: Message + Default>(
    state: &dyn StateRead,
    store: Store,
    prefix: &[u8],
    height: Height,
) -> Result<Option<M>, StateError> {
    if height.0 < 0 {
        return Ok(None);
    }
    let from = history_key(prefix, height);
    let entries = state.range(store, &from, prefix_end(prefix).as_deref(), 1)?;
    let entry = entries.first();
    entry.map(|(key, value)| decode(store, key, value)).transpose()
}

pub(crate) fn decode<M: Message + Default>(store: Store, key: &[u8], bytes: &[u8]) -> Result<M, StateError> {
    M::decode(bytes).map_err(|error| StateError::Corrupt {
        store: store.name(),
        key: hex::encode(key),
        reason: error.to_string(),
    })
}

/// The first key after all keys with `prefix`.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// Big-endian bytes of a height, so that keys sort by it.
pub(crate) fn be(height: i64) -> [u8; 8] {
    height.max(0).to_be_bytes()
}

/// What follows prefix and height in an index key.
pub(crate) fn after_height(prefix: &[u8], key: &[u8]) -> String {
    let after = key
        .strip_prefix(prefix)
        .and_then(|key| key.get(size_of::<u64>()..));
    String::from_utf8_lossy(after.unwrap_or_default()).into_owned()
}

/// `<kind>/<name>/`.
pub(crate) fn key(kind: &str, name: &str) -> Vec<u8> {
    format!("{kind}/{name}/").into_bytes()
}

/// A message field that must be there.
pub(crate) fn required<T>(value: Option<T>, fault: impl FnOnce() -> Fault) -> Result<T, Fault> {
    value.ok_or_else(fault)
}
