//! Heads of blocks that came between two sockets: asked for by number, told in order.
//!
//! A reorganization between the two is seen by parents' hashes: as long as the lowest block that is to be told does not follow one that was told, the
//! one below it is asked for too. So a client is told every block of the new socket's branch, also where blocks of these numbers were told before.

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
    /// Hash of the block before the first of them.
    parent: Option<String>,
    /// Lowest block that is asked for, whatever its branch.
    floor: u64,
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
        let known = &mut self.subscriptions[index];
        let was_lost = std::mem::take(&mut known.logs.was_lost);
        let block = block.and_then(|block| serde_json::from_str::<Value>(block.get()).ok());
        let head = block.filter(Value::is_object).map(head_of);
        let number = head.as_ref().and_then(|head| hex_number(head.get("number")?));
        let is_first = known.resumed == Some(link) && known.fill.is_none();
        let Some(last) = known.last else {
            // It had told nothing, and nobody said from which block on it would.
            known.last = number;
            known.begin = number.map(|number| number.saturating_add(1));
            return match was_lost {
                true => super::told(gap(id, None, "another supplier took over")),
                false => Told::default(),
            };
        };
        let begin = known.begin.unwrap_or_default();
        let is_news = |head: &Value, number: u64| {
            let is_told = head["hash"]
                .as_str()
                .is_some_and(|hash| known.seen.iter().any(|seen| seen == hash));
            number > last || (!is_told && number >= begin && !known.seen.is_empty())
        };
        match (head, number) {
            (Some(head), Some(number)) if is_first && is_news(&head, number) => {
                let message = notification("eth_subscription", id, &head);
                self.deliver(index, &message, Some(head), None, link)
            }
            _ => Told::default(),
        }
    }

    /// Asks for the blocks from `from` up to that of a head, which waits, and for those below that were replaced.
    pub(super) fn fill(
        &mut self,
        index: usize,
        from: u64,
        (head, number, parent): (&Bytes, u64, Option<String>),
        link: LinkId,
    ) -> Told {
        let known = &mut self.subscriptions[index];
        let id = known.id.clone();
        let mut told = Told::default();
        let lowest = number.saturating_sub(MAX_FILL);
        let first = from.clamp(lowest, number);
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
            parent,
            // Where blocks are left out, what is below says nothing.
            floor: match first > from {
                true => first,
                false => known.begin.unwrap_or(first).max(lowest),
            },
        });
        for block in first..number {
            told.to_supplier.push(self.ask_block(&id, block, link));
        }
        if first == number {
            let more = self.fill_below(index, link);
            told.to_client.extend(more.to_client);
            told.to_supplier.extend(more.to_supplier);
        }
        told
    }

    fn ask_block(&mut self, id: &Bytes, block: u64, link: LinkId) -> Bytes {
        let params = format!("[\"0x{block:x}\",false]");
        let purpose = Purpose::Block(id.clone(), block);
        self.own(link, purpose, "eth_getBlockByNumber", &params)
    }

    /// A block that a subscription missed; `None` when nobody has it.
    pub(super) fn fetched(
        &mut self,
        id: &Bytes,
        number: u64,
        result: Option<&RawValue>,
        link: LinkId,
    ) -> Told {
        let Some(index) = self.subscriptions.iter().position(|known| known.id == *id) else {
            return Told::default();
        };
        let Some(fill) = &mut self.subscriptions[index].fill else {
            return Told::default();
        };
        let head = result.and_then(|block| serde_json::from_str::<Value>(block.get()).ok());
        fill.fetched.insert(number, head.filter(Value::is_object));
        let wanted = fill.to.saturating_sub(fill.from).saturating_add(1);
        match u64::try_from(fill.fetched.len()).unwrap_or(u64::MAX) < wanted {
            true => Told::default(),
            false => self.fill_below(index, link),
        }
    }

    /// All is there that was asked for: what there is is told, or the block below is asked for, where that was replaced.
    fn fill_below(&mut self, index: usize, link: LinkId) -> Told {
        let known = &mut self.subscriptions[index];
        let Some(fill) = &mut known.fill else {
            return Told::default();
        };
        let lowest = fill.fetched.get(&fill.from);
        let parent = match lowest {
            Some(block) => block.as_ref().and_then(parent_of),
            None => fill.parent.clone(), // nothing was asked for yet
        };
        let follows = parent.is_none_or(|parent| known.seen.contains(&parent));
        if follows || fill.from <= fill.floor || known.seen.is_empty() {
            return filled(known);
        }
        fill.from = fill.from.saturating_sub(1);
        let (id, block) = (known.id.clone(), fill.from);
        Told {
            to_supplier: vec![self.ask_block(&id, block, link)],
            ..Told::default()
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

/// Hash of the block before a head's.
pub(super) fn parent_of(head: &Value) -> Option<String> {
    head["parentHash"].as_str().map(str::to_owned)
}

/// Whether a head follows one that was told, as far as it says what it follows.
pub(super) fn is_linked(head: &Value, seen: &VecDeque<String>) -> bool {
    parent_of(head).is_none_or(|parent| seen.contains(&parent))
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
