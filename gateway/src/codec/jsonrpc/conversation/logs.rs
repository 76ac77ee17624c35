//! Logs that came between two sockets: asked for by `eth_getLogs`, told once, in order; those that a reorganization undid meanwhile are told as removed.
//!
//! Up to `base` every block's logs were told. A socket that takes the subscription over is asked for its newest block, then for the logs from there to
//! it, and for those of the last blocks that were told, whose logs it may not have: then it is on another branch. What comes meanwhile waits.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::members::members;
use super::{
    Conversation, Kind, LinkId, Purpose, Subscription, Told, gap, hex_number, notification, params_of,
};

/// Blocks whose logs are asked for; of a longer gap, the newest.
const MAX_BLOCKS: u64 = 1_024;
/// Logs that are remembered as told, for the case that they are undone, and the size of the largest of them, in bytes.
const MAX_KEPT: usize = 64;
const MAX_KEPT_BYTES: usize = 4 << 10;
/// Logs that wait until those before them are there.
const MAX_WAITING: usize = 1_024;
/// Keys of logs that are remembered, to tell each once.
pub(super) const MAX_SEEN_LOGS: usize = 4_096;

/// What is known of a subscription to logs.
#[derive(Debug, Default)]
pub(super) struct Logs {
    /// Up to this block all were told.
    base: Option<u64>,
    kept: VecDeque<Kept>,
    /// Whether no socket had it for a time, about which nothing was said yet.
    pub(super) was_lost: bool,
    /// Messages that wait for those before them; `None` when nothing is asked for.
    waiting: Option<Vec<(Bytes, Bytes)>>,
}

#[derive(Debug)]
struct Kept {
    block: u64,
    key: String,
    log: Bytes,
}

/// The members of a log that it is known by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogKey {
    /// Block and place in it, which two nodes may write with other members in another order.
    place: String,
    number: Option<u64>,
    is_removed: bool,
}

impl LogKey {
    pub(super) fn of(log: &str) -> Option<Self> {
        let names = ["blockHash", "logIndex", "removed", "blockNumber"];
        let [hash, index, removed, number] = members(log, names).ok()?;
        let number = number.and_then(|number| serde_json::from_str::<Value>(number.get()).ok());
        Some(Self {
            place: format!("{} {}", hash?.get(), index?.get()),
            number: number.as_ref().and_then(hex_number),
            is_removed: removed.is_some_and(|removed| removed.get() == "true"),
        })
    }

    pub(super) fn text(&self) -> String {
        format!("{} {}", self.place, self.is_removed)
    }

    /// The same log, the other way round: what makes it news again.
    fn opposite(&self) -> String {
        format!("{} {}", self.place, !self.is_removed)
    }
}

impl Conversation {
    /// Asks up to which block there is nothing to tell a new subscription.
    pub(super) fn ask_base(&mut self, id: &Bytes, link: LinkId) -> Bytes {
        self.own(link, Purpose::Base(id.clone()), "eth_blockNumber", "[]")
    }

    /// Asks a socket that took the subscription over for its newest block; until the logs up to it are there, everything waits.
    pub(super) fn ask_logs(&mut self, index: usize, link: LinkId) -> Told {
        let known = &mut self.subscriptions[index];
        known.logs.waiting.get_or_insert_default();
        let id = known.id.clone();
        Told {
            to_supplier: vec![self.own(link, Purpose::Upto(id), "eth_blockNumber", "[]")],
            ..Told::default()
        }
    }

    pub(super) fn base(&mut self, id: &Bytes, result: Option<&RawValue>) {
        if let Some(known) = self.subscriptions.iter_mut().find(|known| known.id == *id) {
            match known.kind {
                // A head that came first says the same.
                Kind::Heads if known.last.is_none() => {
                    known.last = number_of(result);
                    known.begin = known.last.map(|last| last.saturating_add(1));
                }
                Kind::Heads => {}
                _ => known.logs.base = known.logs.base.or(number_of(result)),
            }
        }
    }

    /// The newest block of a socket that took the subscription over.
    pub(super) fn upto(&mut self, id: &Bytes, result: Option<&RawValue>, link: LinkId) -> Told {
        let Some(index) = self.subscriptions.iter().position(|known| known.id == *id) else {
            return Told::default();
        };
        let logs = &mut self.subscriptions[index].logs;
        let was_lost = std::mem::take(&mut logs.was_lost);
        let newest = number_of(result);
        let (Some(newest), Some(base)) = (newest, logs.base) else {
            logs.base = logs.base.or(newest);
            return self.release(index, was_lost.then_some(None));
        };
        let oldest = logs.kept.iter().map(|kept| kept.block).min();
        let wanted = oldest.map_or(base.saturating_add(1), |oldest| {
            oldest.min(base.saturating_add(1))
        });
        if wanted > newest {
            return self.release(index, None); // it is not further than the one before
        }
        let from = wanted.max(newest.saturating_sub(MAX_BLOCKS - 1));
        let mut told = Told::default();
        if from > base.saturating_add(1) {
            let range = (base.saturating_add(1), from.saturating_sub(1));
            told.to_client
                .push(gap(id, Some(range), "more blocks were missed than are asked for"));
        }
        let filter = filter_of(&self.subscriptions[index].request, from, newest);
        let purpose = Purpose::Logs(id.clone(), from, newest);
        told.to_supplier
            .push(self.own(link, purpose, "eth_getLogs", &format!("[{filter}]")));
        told
    }

    /// The logs of the blocks from `from` to `to`, if the node tells them.
    pub(super) fn logs(&mut self, id: &Bytes, (from, to): (u64, u64), result: Option<&RawValue>) -> Told {
        let Some(index) = self.subscriptions.iter().position(|known| known.id == *id) else {
            return Told::default();
        };
        let fetched = result.and_then(|result| serde_json::from_str::<Vec<&RawValue>>(result.get()).ok());
        let Some(fetched) = fetched else {
            return self.release(index, Some(Some((from, to))));
        };
        let known = &mut self.subscriptions[index];
        let mut told = Told::default();
        let keyed = fetched
            .iter()
            .filter_map(|log| Some((LogKey::of(log.get())?, log.get())));
        let keyed: Vec<(LogKey, &str)> = keyed.collect();
        let there: BTreeSet<String> = keyed.iter().map(|(key, _)| key.text()).collect();
        let is_undone = |kept: &Kept| (from..=to).contains(&kept.block) && !there.contains(&kept.key);
        let kept = std::mem::take(&mut known.logs.kept).into_iter();
        let (undone, kept): (Vec<Kept>, Vec<Kept>) = kept.partition(is_undone);
        known.logs.kept = kept.into();
        for kept in undone {
            let Ok(Value::Object(mut log)) = serde_json::from_slice(&kept.log) else {
                continue;
            };
            log.insert("removed".to_owned(), true.into());
            let log = Value::Object(log);
            if let Some(key) = LogKey::of(&log.to_string()) {
                is_news(known, &key);
            }
            told.to_client
                .push(notification("eth_subscription", &known.id, &log));
        }
        for (key, log) in keyed {
            if is_news(known, &key) {
                keep(known, &key, log);
                let text = format!(
                    "{{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\",\"params\":{{\"subscription\":{},\"result\":{log}}}}}",
                    String::from_utf8_lossy(&known.id)
                );
                told.to_client.push(text.into());
            }
        }
        known.logs.base = known.logs.base.max(Some(to));
        let rest = self.release(index, None);
        told.to_client.extend(rest.to_client);
        told
    }

    /// A notification of a subscription to logs.
    pub(super) fn log(&mut self, index: usize, message: &Bytes, log: &str) -> Told {
        let known = &mut self.subscriptions[index];
        if let Some(waiting) = &mut known.logs.waiting {
            if waiting.len() < MAX_WAITING {
                waiting.push((message.clone(), Bytes::copy_from_slice(log.as_bytes())));
                return Told::default();
            }
            let id = known.id.clone();
            let mut told = self.release(index, None);
            told.to_client
                .push(gap(&id, None, "more logs came than can wait"));
            told.to_client.push(message.clone());
            return told;
        }
        match log_told(known, log) {
            true => super::told(message.clone()),
            false => Told::default(),
        }
    }

    /// Tells what waited, each once; before it, that something is missing, if it is: in these blocks, or nobody knows where.
    fn release(&mut self, index: usize, missing: Option<Option<(u64, u64)>>) -> Told {
        let known = &mut self.subscriptions[index];
        let mut told = Told::default();
        if let Some(blocks) = missing {
            told.to_client.push(gap(
                &known.id,
                blocks,
                "another supplier took over, whose node does not tell them",
            ));
        }
        for (message, log) in known.logs.waiting.take().unwrap_or_default() {
            if log_told(known, std::str::from_utf8(&log).unwrap_or_default()) {
                told.to_client.push(message);
            }
        }
        told
    }
}

/// Whether a log is to be told, which counts as told then.
fn log_told(known: &mut Subscription, log: &str) -> bool {
    let Some(key) = LogKey::of(log) else {
        return true;
    };
    if !is_news(known, &key) {
        return false;
    }
    match key.is_removed {
        true => known.logs.kept.retain(|kept| kept.key != key.opposite()),
        false => keep(known, &key, log),
    }
    // The blocks before that of a log are done.
    if let Some(before) = key.number.and_then(|number| number.checked_sub(1)) {
        known.logs.base = known.logs.base.map(|base| base.max(before));
    }
    true
}

fn is_news(known: &mut Subscription, key: &LogKey) -> bool {
    let text = key.text();
    if known.seen.contains(&text) {
        return false;
    }
    let opposite = key.opposite();
    known.seen.retain(|seen| *seen != opposite);
    if known.seen.len() >= MAX_SEEN_LOGS {
        known.seen.pop_front();
    }
    known.seen.push_back(text);
    true
}

fn keep(known: &mut Subscription, key: &LogKey, log: &str) {
    let Some(block) = key.number.filter(|_| log.len() <= MAX_KEPT_BYTES) else {
        return;
    };
    if known.logs.kept.len() >= MAX_KEPT {
        known.logs.kept.pop_front();
    }
    known.logs.kept.push_back(Kept {
        block,
        key: key.text(),
        log: Bytes::copy_from_slice(log.as_bytes()),
    });
}

fn number_of(result: Option<&RawValue>) -> Option<u64> {
    hex_number(&serde_json::from_str(result?.get()).ok()?)
}

/// The filter of a subscription, for these blocks.
fn filter_of(request: &Bytes, from: u64, to: u64) -> Value {
    let params = params_of(request).and_then(|params| serde_json::from_slice::<Vec<Value>>(&params).ok());
    let mut filter = match params.and_then(|mut params| (params.len() > 1).then(|| params.swap_remove(1))) {
        Some(Value::Object(filter)) => filter,
        _ => serde_json::Map::new(),
    };
    filter.insert("fromBlock".to_owned(), format!("0x{from:x}").into());
    filter.insert("toBlock".to_owned(), format!("0x{to:x}").into());
    filter.remove("blockHash");
    Value::Object(filter)
}
