//! Flags in the state, and which of them this version knows.

use portico_protocol::Height;
use portico_protocol::wire::portico::feature::Flag;

use crate::context::{Context, decode, history_key, key, newest, prefix_end, scan};
use crate::event::quote;
use crate::state::{StateError, StateRead, Store};

pub(crate) const MODULE: &str = "feature";
/// Prefix of the names of all flags.
pub(crate) const NAMES: &[u8] = b"name/";
/// Most entries of one flag.
pub(super) const MAX_ENTRIES: usize = 10_000;

/// A proof binds the proved leaf to the challenged path: the path is that of the on-chain session, every skipped sibling is an empty
/// subtree, and the leaf lies where its relay's hash says, with the weight of one relay.
pub(crate) const STRICT_CLOSEST_PROOF: &str = "strict_closest_proof";

/// A claim's sum is compared with count · compute units per relay without wrapping at 2^64.
pub(crate) const EXACT_CLAIM_UNITS: &str = "exact_claim_units";

/// Hashes of blocks that no claim and no proof can need any more leave the state; without it they stay for ever.
pub(crate) const FORGET_BLOCK_HASHES: &str = "forget_block_hashes";

/// The authority may change who commits to blocks.
pub(crate) const VALIDATOR_SETS: &str = "validator_sets";

/// The state commits to the ordered index of each service's suppliers.
pub(crate) const SUPPLIER_INDEX_ROOTS: &str = "supplier_index_roots";

/// Flags whose meaning this version knows.
pub(crate) const KNOWN: [&str; 5] = [
    EXACT_CLAIM_UNITS,
    FORGET_BLOCK_HASHES,
    STRICT_CLOSEST_PROOF,
    SUPPLIER_INDEX_ROOTS,
    VALIDATOR_SETS,
];

/// Flags that hold from the genesis of our own chain. Forgetting is not among them: it also makes queries for old sessions fail.
pub(crate) const OWN_CHAIN: [&str; 2] = [EXACT_CLAIM_UNITS, STRICT_CLOSEST_PROOF];

/// Whether this version knows what the flag does.
pub(crate) fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Prefix of a flag's entries; they are kept newest first.
pub(crate) fn entries(name: &str) -> Vec<u8> {
    key("flag", name)
}

/// What holds of a flag at `height`; nothing before its first entry.
pub(crate) fn flag_at(state: &dyn StateRead, name: &str, height: Height) -> Result<Option<Flag>, StateError> {
    newest(state, Store::Feature, &entries(name), height)
}

/// Whether the feature holds at `height`.
pub(crate) fn is_enabled(state: &dyn StateRead, name: &str, height: Height) -> Result<bool, StateError> {
    Ok(flag_at(state, name, height)?.is_some_and(|flag| flag.enabled))
}

fn entry_key(name: &str, from_height: i64) -> Vec<u8> {
    history_key(&entries(name), Height(from_height))
}

/// Writes an entry, and the height at which the flag begins.
pub(crate) fn save(ctx: &mut Context<'_>, flag: &Flag) -> Result<(), StateError> {
    ctx.put(Store::Feature, entry_key(&flag.name, flag.from_height), flag);
    note_name(ctx, &flag.name)
}

pub(super) fn remove(ctx: &mut Context<'_>, name: &str, from_height: i64) -> Result<(), StateError> {
    ctx.delete(Store::Feature, entry_key(name, from_height));
    note_name(ctx, name)
}

/// Keeps the list of names: each with its oldest entry, so that a list knows when the flag began.
fn note_name(ctx: &mut Context<'_>, name: &str) -> Result<(), StateError> {
    let prefix = entries(name);
    let all = ctx.state.range(
        Store::Feature,
        &prefix,
        prefix_end(&prefix).as_deref(),
        MAX_ENTRIES,
    )?;
    let key = key("name", name);
    match all.last() {
        Some((at, oldest)) => {
            let oldest: Flag = decode(Store::Feature, at, oldest)?;
            ctx.put(Store::Feature, key, &oldest);
        }
        None => ctx.delete(Store::Feature, key),
    }
    Ok(())
}

/// All names.
pub(super) fn names(state: &dyn StateRead) -> Result<Vec<String>, StateError> {
    let oldest: Vec<Flag> = scan(state, Store::Feature, NAMES)?;
    Ok(oldest.into_iter().map(|flag| flag.name).collect())
}

/// JSON of a flag in events.
pub(super) fn json(flag: &Flag) -> String {
    format!(
        "{{\"name\":{},\"value\":{},\"enabled\":{},\"from_height\":\"{}\",\"scope\":{},\"kind\":{}}}",
        quote(&flag.name),
        quote(&flag.value),
        flag.enabled,
        flag.from_height,
        quote(flag.scope().as_str_name()),
        quote(flag.kind().as_str_name()),
    )
}
