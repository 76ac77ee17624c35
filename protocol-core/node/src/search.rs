//! Events by composite key, and the search for blocks and transactions by them.
//!
//! There is no index: a search reads the results of the blocks that its heights leave over, at most [`MAX_SEARCHED`] of them with
//! [`MAX_SEARCHED_BYTES`], and is refused beyond. A condition on the height makes it short; one on `tx.hash` makes it a look-up.
//!
//! Any condition takes about half a second per million transfers: 10 to 14 ms among 20,000, 50 to 60 ms among 100,000 (`just bench-store`,
//! from a warm file, one core). That is why there is no index to write, prune and roll back.

mod query;
mod scan;

use portico_store::Snapshot;
use tendermint_proto::v0_38::abci::{Event, ExecTxResult};

use crate::api::ApiError;
use crate::machine::View;
use crate::results::tx_results;

pub(crate) use query::{Events, Query};

use scan::{Scan, block_matches, tx_matches};

/// Most blocks whose results one search reads.
pub(crate) const MAX_SEARCHED: i64 = 100_000;
/// Most bytes of results that one search reads.
pub(crate) const MAX_SEARCHED_BYTES: usize = 256 << 20;
/// Most hits of one search.
pub(crate) const MAX_HITS: usize = 10_000;

/// Key that names the kind of an event.
const KIND: &str = "tm.event";

fn add(events: &mut Events, found: &[Event]) {
    for event in found.iter().filter(|event| !event.r#type.is_empty()) {
        for attribute in event
            .attributes
            .iter()
            .filter(|attribute| !attribute.key.is_empty())
        {
            let key = format!("{}.{}", event.r#type, attribute.key);
            events.entry(key).or_default().push(attribute.value.clone());
        }
    }
}

fn put(events: &mut Events, key: &str, value: String) {
    events.insert(key.to_owned(), vec![value]);
}

/// Events of a transaction; `hash` in upper-case hexadecimal.
pub(crate) fn tx_events(height: i64, hash: &str, result: &ExecTxResult) -> Events {
    let mut events = Events::new();
    add(&mut events, &result.events);
    put(&mut events, KIND, "Tx".to_owned());
    put(&mut events, "tx.hash", hash.to_owned());
    put(&mut events, "tx.height", height.to_string());
    events
}

/// Events of something else, of the given kind, with the block's own ones.
pub(crate) fn block_events(kind: &str, found: &[Event]) -> Events {
    let mut events = Events::new();
    add(&mut events, found);
    put(&mut events, KIND, kind.to_owned());
    events
}

/// Heights and indexes of the transactions that match, ascending.
pub(crate) fn txs(view: &View, query: &Query) -> Result<Vec<(i64, u32)>, ApiError> {
    if let Some(hash) = query.tx_hash() {
        return by_hash(&view.snapshot, query, hash);
    }
    let mut hits = Vec::new();
    let mut scan = Scan::new(&view.snapshot, MAX_SEARCHED_BYTES);
    for height in heights(view, query, "tx.height")? {
        let results = scan.results(height, "tx.height")?;
        let at = height.to_string();
        let implied = implied("", &at);
        for (index, result) in (0_u32..).zip(tx_results(&results)) {
            if tx_matches(query, result?, &implied)? {
                hit(&mut hits, (height, index))?;
            }
        }
    }
    Ok(hits)
}

fn by_hash(snapshot: &Snapshot, query: &Query, text: &str) -> Result<Vec<(i64, u32)>, ApiError> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash)
        .map_err(|_| ApiError::Refused(format!("tx.hash {text:?} is no hash")))?;
    let Some((height, index)) = snapshot.tx(&hash)? else {
        return Ok(Vec::new());
    };
    let results = snapshot.results(height)?.unwrap_or_default();
    let at = usize::try_from(index).unwrap_or(usize::MAX);
    let Some(result) = tx_results(&results).nth(at) else {
        return Ok(Vec::new());
    };
    let height_text = height.to_string();
    let found = tx_matches(query, result?, &implied(text, &height_text))?;
    Ok(found.then_some((height, index)).into_iter().collect())
}

/// What every transaction's events hold, beside those of its result.
const fn implied<'a>(hash: &'a str, height: &'a str) -> [(&'static str, &'a str); 3] {
    [(KIND, "Tx"), ("tx.hash", hash), ("tx.height", height)]
}

/// Heights of the blocks whose events match, ascending.
pub(crate) fn blocks(view: &View, query: &Query) -> Result<Vec<i64>, ApiError> {
    let mut hits = Vec::new();
    let mut scan = Scan::new(&view.snapshot, MAX_SEARCHED_BYTES);
    for height in heights(view, query, "block.height")? {
        let results = scan.results(height, "block.height")?;
        let at = height.to_string();
        let implied = [(KIND, "NewBlock"), ("block.height", at.as_str())];
        if block_matches(query, &results, &implied)? {
            hit(&mut hits, height)?;
        }
    }
    Ok(hits)
}

fn hit<T>(hits: &mut Vec<T>, found: T) -> Result<(), ApiError> {
    if hits.len() >= MAX_HITS {
        let text =
            format!("more than {MAX_HITS} hits: narrow the search, for example by tx.height or block.height");
        return Err(ApiError::Refused(text));
    }
    hits.push(found);
    Ok(())
}

fn heights(view: &View, query: &Query, key: &str) -> Result<std::ops::RangeInclusive<i64>, ApiError> {
    let (from, to) = query.heights(key, view.head.height.0);
    if to.saturating_sub(from) >= MAX_SEARCHED {
        let text = format!("a search covers at most {MAX_SEARCHED} blocks: add conditions on {key}");
        return Err(ApiError::Refused(text));
    }
    Ok(from..=to)
}

/// A page of a list: `page` from 1, `per_page` at most `max`; errs outside of the list, as CometBFT does.
pub(crate) fn page<T: Copy>(
    hits: &[T],
    page: Option<i64>,
    per_page: Option<i64>,
    default: usize,
    max: usize,
) -> Result<Vec<T>, ApiError> {
    let size = per_page
        .filter(|size| *size > 0)
        .map_or(default, |size| usize::try_from(size).unwrap_or(max));
    let size = size.clamp(1, max);
    let pages = hits.len().div_ceil(size).max(1);
    let wanted = page.unwrap_or(1);
    let index = usize::try_from(wanted)
        .ok()
        .filter(|page| (1..=pages).contains(page));
    let Some(index) = index else {
        let text = format!("page should be within [1, {pages}] range, given {wanted}");
        return Err(ApiError::Refused(text));
    };
    let from = index.saturating_sub(1).saturating_mul(size);
    Ok(hits.iter().skip(from).take(size).copied().collect())
}
