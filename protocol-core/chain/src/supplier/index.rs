//! One value per service that commits to the ordered index of its suppliers' configs, so that nobody can leave one of them out of a session
//! that he shows to somebody who has no state of his own.
//!
//! The value is the number of entries, big-endian in eight bytes, and their Merkle root (RFC 6962, as CometBFT's trees): leaves are the
//! index's values in the order of its keys, which is the order in which sessions draw. A proof of the value under an app hash, and all of the
//! entries, show which suppliers a session could be drawn from. It is written at the end of each block that changed the index, where the flag
//! `SUPPLIER_INDEX_ROOTS` holds, and in the first block of the flag for all services.

use std::collections::BTreeSet;

use portico_protocol::wire::pocket::shared::ServiceConfigUpdate;
use sha2::{Digest as _, Sha256};

use crate::context::{Context, key, prefix_end};
use crate::error::Fault;
use crate::feature::{SUPPLIER_INDEX_ROOTS, flag_at};
use crate::state::{StateError, StateRead, Store};

use super::state::INDEX;

/// Most configs of a service, and in all when the flag begins.
const MAX_ENTRIES: usize = 1_000_000;

/// Key of the value of `service`, in the store `supplier`.
#[must_use]
pub fn root_key(service: &str) -> Vec<u8> {
    key("service_config_root", service)
}

/// The value of a service whose index holds `entries`, in order.
#[must_use]
pub fn commitment<T: AsRef<[u8]>>(entries: &[T]) -> Vec<u8> {
    let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    [count.to_be_bytes().as_slice(), &root(entries)].concat()
}

/// Merkle root of a list (RFC 6962).
fn root<T: AsRef<[u8]>>(leaves: &[T]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => Sha256::new_with_prefix([0]).chain_update(leaf).finalize().into(),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            let hasher = Sha256::new_with_prefix([1]).chain_update(root(left));
            hasher.chain_update(root(right)).finalize().into()
        }
    }
}

/// Entries of the index of `service`, encoded, in order.
pub fn entries(state: &dyn StateRead, service: &str) -> Result<Vec<Vec<u8>>, StateError> {
    let prefix = key("service_config", service);
    let end = prefix_end(&prefix);
    let found = state.range(Store::Supplier, &prefix, end.as_deref(), MAX_ENTRIES)?;
    Ok(found.into_iter().map(|(_, value)| value).collect())
}

/// Writes the values of the services whose index this block changed; of all at the flag's beginning.
pub(super) fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let flag = flag_at(&ctx.state, SUPPLIER_INDEX_ROOTS, ctx.height())?;
    let Some(flag) = flag.filter(|flag| flag.enabled) else {
        return Ok(());
    };
    // A flag of the genesis holds from block 0, which has no end.
    let services = match flag.from_height.max(1) == ctx.height().0 {
        true => all(ctx)?,
        false => changed(ctx),
    };
    for service in services {
        let entries = entries(&ctx.state, &service)?;
        let key = root_key(&service);
        match entries.is_empty() {
            true => ctx.delete(Store::Supplier, key),
            false => ctx.state.set(Store::Supplier, key, commitment(&entries)),
        }
    }
    Ok(())
}

/// Service in a key of the index.
fn service_of(key: &[u8]) -> Option<String> {
    let rest = key.strip_prefix(INDEX)?;
    let end = rest.iter().position(|byte| *byte == b'/')?;
    String::from_utf8(rest.get(..end)?.to_vec()).ok()
}

/// Services with configs.
fn all(ctx: &Context<'_>) -> Result<BTreeSet<String>, StateError> {
    let end = prefix_end(INDEX);
    let found = ctx
        .state
        .range(Store::Supplier, INDEX, end.as_deref(), MAX_ENTRIES)?;
    Ok(found.iter().filter_map(|(key, _)| service_of(key)).collect())
}

/// Services whose configs this block wrote or removed.
fn changed(ctx: &Context<'_>) -> BTreeSet<String> {
    let changes = ctx.state.changes().range((Store::Supplier, INDEX.to_vec())..);
    changes
        .take_while(|((store, key), _)| *store == Store::Supplier && key.starts_with(INDEX))
        .filter_map(|((_, key), _)| service_of(key))
        .collect()
}

/// The entry of the index, decoded.
pub fn read_entry(entry: &[u8]) -> Result<ServiceConfigUpdate, prost::DecodeError> {
    prost::Message::decode(entry)
}
