//! Heads of blocks that came between two sockets: asked for by number, told in order.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Conversation, LinkId, MAX_SEEN, Purpose, Subscription, Told, gap, hex_number, notification};

/// Missed blocks that are asked for; of a longer gap, the newest.
pub(super) const MAX_FILL: u64 = 128;
/// Heads that wait until the blocks before them are there.
pub(super) const MAX_HELD: usize = 64;

/// Blocks that are missing.
#[derive(Debug)]
pub(super) struct Fill {
    from: u64,
    to: u64,
    /// What came of them: the head, or none.
    fetched: BTreeMap<u64, Option<Value>>,
    /// Heads that came meanwhile.
    pub(super) held: VecDeque<(Bytes, u64)>,
}

impl Conversation {
    /// Asks for the newest block as soon as a socket has taken a subscription to heads over: what came between the two is told then, and not with the
    /// next block.
    pub(super) fn ask_newest(&mut self, id: &Bytes, link: LinkId) -> Told {
        let body = self.own(
            link,
            Purpose::Newest(id.clone()),
            "eth_getBlockByNumber",
            "[\"latest\",false]",
        );
        Told {
            to_supplier: vec![body],
            ..Told::default()
        }
    }

    /// The newest block of a socket that took a subscription over: told as its first head, unless that came first.
    pub(super) fn newest(&mut self, id: &Bytes, block: Option<&RawValue>, link: LinkId) -> Told {
        let Some(index) = self.subscriptions.iter().position(|known| known.id == *id) else {
            return Told::default();
        };
        let known = &self.subscriptions[index];
        let block = block.and_then(|block| serde_json::from_str::<Value>(block.get()).ok());
        let head = block.filter(Value::is_object).map(head_of);
        let number = head.as_ref().and_then(|head| hex_number(head.get("number")?));
        let is_first = known.resumed == Some(link) && known.fill.is_none();
        match (head, number.zip(known.last)) {
            (Some(head), Some((number, last))) if is_first && number > last => {
                let message = notification("eth_subscription", id, &head);
                self.deliver(index, &message, Some(head), None, link)
            }
            _ => Told::default(),
        }
    }

    /// Asks for the blocks from `from` up to `number`, whose head waits.
    pub(super) fn fill(&mut self, index: usize, from: u64, head: &Bytes, number: u64, link: LinkId) -> Told {
        let known = &mut self.subscriptions[index];
        let id = known.id.clone();
        let mut told = Told::default();
        let first = from.max(number.saturating_sub(MAX_FILL));
        if first > from {
            let range = (from, first.saturating_sub(1));
            told.to_client.push(gap(
                &id,
                Some(range),
                "more blocks were missed than are asked for",
            ));
        }
        known.fill = Some(Fill {
            from: first,
            to: number.saturating_sub(1),
            fetched: BTreeMap::new(),
            held: [(head.clone(), number)].into(),
        });
        for block in first..number {
            let params = format!("[\"0x{block:x}\",false]");
            let purpose = Purpose::Block(id.clone(), block);
            told.to_supplier
                .push(self.own(link, purpose, "eth_getBlockByNumber", &params));
        }
        told
    }

    /// A block that a subscription missed; `None` when nobody has it.
    pub(super) fn fetched(&mut self, id: &Bytes, number: u64, result: Option<&RawValue>) -> Told {
        let Some(known) = self.subscriptions.iter_mut().find(|known| known.id == *id) else {
            return Told::default();
        };
        let Some(fill) = &mut known.fill else {
            return Told::default();
        };
        let head = result.and_then(|block| serde_json::from_str::<Value>(block.get()).ok());
        fill.fetched.insert(number, head.filter(Value::is_object));
        let wanted = fill.to.saturating_sub(fill.from).saturating_add(1);
        match u64::try_from(fill.fetched.len()).unwrap_or(u64::MAX) < wanted {
            true => Told::default(),
            false => filled(known),
        }
    }

    /// Tells what there is, when more heads wait than may.
    pub(super) fn abandon(&mut self, index: usize, message: &Bytes, number: u64) -> Told {
        let known = &mut self.subscriptions[index];
        let id = known.id.clone();
        for pending in &mut self.pending {
            if matches!(&pending.purpose, Purpose::Block(of, _) if *of == id) {
                pending.purpose = Purpose::Nothing;
            }
        }
        let mut told = filled(known);
        known.last = Some(number);
        told.to_client.push(message.clone());
        told
    }
}

/// Tells the missed blocks that are there, what is missing of them, and the heads that waited.
fn filled(known: &mut Subscription) -> Told {
    let mut told = Told::default();
    let Some(fill) = known.fill.take() else {
        return told;
    };
    let mut missing: Option<(u64, u64)> = None;
    for number in fill.from..=fill.to {
        let block = fill.fetched.get(&number).cloned().flatten();
        match block {
            None => missing = Some(missing.map_or((number, number), |(from, _)| (from, number))),
            Some(block) => {
                if let Some(range) = missing.take() {
                    told.to_client
                        .push(gap(&known.id, Some(range), "the node does not have them"));
                }
                let key = block["hash"].as_str().map(str::to_owned);
                if key.as_ref().is_none_or(|key| !known.seen.contains(key)) {
                    known.seen.extend(key);
                    told.to_client
                        .push(notification("eth_subscription", &known.id, &head_of(block)));
                }
            }
        }
    }
    if let Some(range) = missing {
        told.to_client
            .push(gap(&known.id, Some(range), "the node does not have them"));
    }
    for (head, number) in fill.held {
        known.last = Some(known.last.map_or(number, |last| last.max(number)));
        told.to_client.push(head);
    }
    while known.seen.len() > MAX_SEEN {
        known.seen.pop_front();
    }
    told
}

/// The head in a block as `eth_getBlockByNumber` gives it.
fn head_of(mut block: Value) -> Value {
    if let Some(members) = block.as_object_mut() {
        for body in ["transactions", "uncles", "withdrawals", "size", "totalDifficulty"] {
            members.remove(body);
        }
    }
    block
}
