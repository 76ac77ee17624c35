//! JSON-RPC over a client's WebSocket, kept across the suppliers' sockets under it. Pure: what came goes in, what is to be sent comes out.
//!
//! ```text
//!  client ── request ──► remembered until it is answered ──────────────► current socket
//!         ◄── answer under the client's id; notification under the id ◄── any socket
//!             that the client knows its subscription by
//!  a new socket:  subscriptions are asked for again; heads of blocks that were missed are asked for by number
//!  a lost socket: requests that it did not answer are asked again of the current one
//! ```
//! - A subscription keeps the id under which its client knows it. What both sockets tell while one replaces the other is told once.
//! - What cannot be asked for again is told by the old socket until the node behind it has ended the subscription there: what was on its way then is
//!   not lost, and comes first.
//! - Of `eth_subscribe`, heads (`newHeads`) of blocks that came between two sockets are filled in by number, in order, and `logs` by `eth_getLogs`; logs
//!   that the new socket's branch does not have are told as removed. What is missing of anything else, or cannot be had, is told by the notification
//!   `portico_gap`; a subscription that no socket takes any more, by `portico_subscriptionEnded`. Subscriptions of CometBFT's have their own forms of both.
//! - What is no JSON-RPC passes as it is, and nothing is kept of it.

mod handover;
mod heads;
mod logs;

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::handover::Handover;
use self::heads::{Fill, MAX_HELD};
use self::logs::{LogKey, Logs};
use super::judge::replaced;
use super::members::members;
use super::read::{Body, read};

/// Requests of one client that are not answered.
const MAX_PENDING: usize = 256;
/// Subscriptions of one client.
const MAX_SUBSCRIPTIONS: usize = 128;
/// Messages of a subscription that are remembered, to tell each once.
const MAX_SEEN: usize = 256;
/// Sockets that may be lost before they answer a request: one that ends every socket is not asked for ever.
const MAX_TRIES: u32 = 3;

/// A supplier's socket, as the caller numbers them.
pub(crate) type LinkId = u64;

/// What to do with a client's message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// To be sent on the current socket.
    Forward(Bytes),
    /// To be answered here.
    Answer(Bytes),
    /// Too many requests or subscriptions are open: to be refused, under this id.
    TooMany(Bytes),
}

/// What follows from a supplier's message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// For the client, in this order.
    pub(crate) to_client: Vec<Bytes>,
    /// For the same socket.
    pub(crate) to_supplier: Vec<Bytes>,
    /// For the socket before the current one.
    pub(crate) to_old: Vec<Bytes>,
    /// Ids of requests that are given up: to be answered with an error.
    pub(crate) given_up: Vec<Bytes>,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    pending: VecDeque<Pending>,
    subscriptions: Vec<Subscription>,
    next_id: u64,
    /// The newest socket.
    current: LinkId,
    /// Whether something passed that is no JSON-RPC.
    is_opaque: bool,
}

/// A request that is not answered.
#[derive(Debug)]
struct Pending {
    /// Ids in the text of the request: one, or those of a batch.
    ids: Vec<Bytes>,
    body: Bytes,
    link: LinkId,
    /// Sockets that were asked.
    tries: u32,
    purpose: Purpose,
}

impl Pending {
    /// Whether it is its client's, who waits for an answer.
    const fn is_clients(&self) -> bool {
        matches!(
            self.purpose,
            Purpose::Call | Purpose::Subscribe | Purpose::Unsubscribe
        )
    }
}

/// What a request is for.
#[derive(Debug)]
enum Purpose {
    /// Its client's answer.
    Call,
    /// Its client's subscription.
    Subscribe,
    /// To end a subscription.
    Unsubscribe,
    /// To take the subscription of this id over to another socket.
    Renew(Bytes),
    /// A block that the subscription of this id missed.
    Block(Bytes, u64),
    /// The newest block, when the subscription of this id was taken over.
    Newest(Bytes),
    /// Up to which block the subscription of this id has nothing to tell.
    Base(Bytes),
    /// Up to which block it was taken over.
    Upto(Bytes),
    /// Logs that it missed, of these blocks.
    Logs(Bytes, u64, u64),
    /// To end the subscription of this id on the socket that it was taken over from.
    HandOver(Bytes),
    /// Nothing any more.
    Nothing,
}

#[derive(Debug)]
struct Subscription {
    /// The id that the client knows, as JSON.
    id: Bytes,
    /// The client's request.
    request: Bytes,
    kind: Kind,
    /// Ids on the sockets.
    upstream: Vec<(LinkId, Bytes)>,
    /// What was told last: keys of messages.
    seen: VecDeque<String>,
    /// Number of the newest head.
    last: Option<u64>,
    /// Number of the first block that it tells.
    begin: Option<u64>,
    /// The socket that took it over, and has told nothing yet.
    resumed: Option<LinkId>,
    /// For a time no socket had it.
    was_lost: bool,
    fill: Option<Fill>,
    logs: Logs,
    handover: Option<Handover>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `eth_subscribe` to `newHeads`.
    Heads,
    /// `eth_subscribe` to `logs`.
    Logs,
    /// CometBFT's `subscribe`: messages have the request's id.
    Comet,
    Other,
}

impl Conversation {
    /// A client's message, while the socket `link` is the current one; a batch may have `max_batch` entries.
    pub(crate) fn heard(&mut self, message: Bytes, link: LinkId, max_batch: usize) -> Heard {
        let (ids, method, params) = match read(&message, max_batch) {
            Body::Single(Ok(item)) => {
                let Some(id) = item.id else {
                    return Heard::Forward(message); // a notification
                };
                let text = std::str::from_utf8(&message).unwrap_or_default();
                let [method, params] = members(text, ["method", "params"]).unwrap_or_default();
                let method = method.and_then(|method| serde_json::from_str::<String>(method.get()).ok());
                let params = params.map(|params| message.slice_ref(params.get().as_bytes()));
                (vec![id], method.unwrap_or_default(), params)
            }
            Body::Batch(items) => {
                let ids = items.into_iter().filter_map(|item| item.ok()?.id).collect();
                (ids, String::new(), None)
            }
            Body::NotJson | Body::Single(Err(_)) | Body::TooLong(_) => {
                self.is_opaque = true;
                return Heard::Forward(message);
            }
        };
        let Some(first) = ids.first().cloned() else {
            return Heard::Forward(message);
        };
        if self.pending.len() >= MAX_PENDING {
            return Heard::TooMany(first);
        }
        let (purpose, body) = match method.as_str() {
            "unsubscribe_all" => {
                self.subscriptions.retain(|known| known.kind != Kind::Comet);
                (Purpose::Call, message)
            }
            "unsubscribe" => {
                let same = |known: &Subscription| {
                    known.kind == Kind::Comet && params.is_some() && params_of(&known.request) == params
                };
                self.subscriptions.retain(|known| !same(known));
                (Purpose::Call, message)
            }
            method if method.contains("nsubscribe") => {
                let id = params.as_ref().and_then(first_param);
                match id.filter(|id| self.subscriptions.iter().any(|known| known.id == *id)) {
                    None => (Purpose::Call, message),
                    Some(id) => {
                        let upstream = self.upstream_of(&id, link);
                        self.subscriptions.retain(|known| known.id != id);
                        match upstream {
                            Some(upstream) => (Purpose::Unsubscribe, replaced(&message, &id, &upstream)),
                            // Not taken over yet: nobody has to be asked.
                            None => return Heard::Answer(answer(&first, &json!(true))),
                        }
                    }
                }
            }
            method if method.contains("ubscribe") => {
                let asked = self.pending.iter();
                let asked = asked.filter(|pending| matches!(pending.purpose, Purpose::Subscribe));
                if self.subscriptions.len().saturating_add(asked.count()) >= MAX_SUBSCRIPTIONS {
                    return Heard::TooMany(first);
                }
                (Purpose::Subscribe, message)
            }
            _ => (Purpose::Call, message),
        };
        self.pending.push_back(Pending {
            ids,
            body: body.clone(),
            link,
            tries: 1,
            purpose,
        });
        Heard::Forward(body)
    }

    /// A message of the socket `link`.
    pub(crate) fn told(&mut self, message: &Bytes, link: LinkId) -> Told {
        let pass = || Told {
            to_client: vec![message.clone()],
            ..Told::default()
        };
        let Ok(text) = std::str::from_utf8(message) else {
            return pass();
        };
        let text = text.trim();
        if text.starts_with('[') {
            return self.batch_told(message, text);
        }
        let names = ["id", "method", "params", "result", "error"];
        let Ok([id, method, params, result, error]) = members(text, names) else {
            return pass();
        };
        let id = id.filter(|id| id.get() != "null");
        match (id, method, params) {
            (Some(id), None, _) => self.answered(message, id.get(), result, error, link),
            (None, Some(_), Some(params)) => {
                let Ok([Some(subscription), result]) = members(params.get(), ["subscription", "result"])
                else {
                    return pass();
                };
                self.notified(message, subscription.get(), result, link)
            }
            _ => pass(),
        }
    }

    /// The socket `link` is open: what is to be asked of it.
    pub(crate) fn opened(&mut self, link: LinkId) -> Vec<Bytes> {
        self.current = link;
        (0..self.subscriptions.len())
            .map(|index| self.renew(index, link))
            .collect()
    }

    /// Asks the socket `link` for a subscription that another has.
    fn renew(&mut self, index: usize, link: LinkId) -> Bytes {
        let known = &self.subscriptions[index];
        let (id, request, kind) = (known.id.clone(), known.request.clone(), known.kind);
        let (own, body) = match kind {
            // Its messages have the id of the request, and the client knows it by that.
            Kind::Comet => (id.clone(), request),
            Kind::Heads | Kind::Logs | Kind::Other => {
                let own = self.own_id();
                (own.clone(), with_id(&request, &own))
            }
        };
        self.pending.push_back(Pending {
            ids: vec![own],
            body: body.clone(),
            link,
            tries: 1,
            purpose: Purpose::Renew(id),
        });
        body
    }

    /// The socket `link` is gone: what it did not answer is to be asked of `current`, which is open. Without one, it is asked later, by calling
    /// this again.
    pub(crate) fn lost(&mut self, link: LinkId, current: Option<LinkId>) -> Told {
        let mut told = self.handovers_lost(link);
        for known in &mut self.subscriptions {
            known.upstream.retain(|(of, _)| *of != link);
            known.was_lost |= known.upstream.is_empty();
        }
        let Some(current) = current.filter(|current| *current != link) else {
            return told;
        };
        // The socket that is open now was asked for all subscriptions itself.
        let is_renewal = |pending: &Pending| {
            use Purpose::{Base, HandOver, Logs, Newest, Nothing, Renew, Upto};
            let renews = matches!(
                pending.purpose,
                Renew(_) | Newest(_) | Base(_) | Upto(_) | Logs(..) | HandOver(_) | Nothing
            );
            pending.link == link && renews
        };
        self.pending.retain(|pending| !is_renewal(pending));
        self.pending.retain_mut(|pending| {
            if pending.link != link {
                return true;
            }
            if let (Purpose::Unsubscribe, Some(id)) = (&pending.purpose, pending.ids.first()) {
                // The subscription is gone with its socket.
                told.to_client.push(answer(id, &json!(true)));
                return false;
            }
            if pending.is_clients() && pending.tries >= MAX_TRIES {
                told.given_up.append(&mut pending.ids);
                return false;
            }
            pending.tries = pending.tries.saturating_add(1);
            pending.link = current;
            told.to_supplier.push(pending.body.clone());
            true
        });
        told
    }

    /// Takes back what its client asked of the socket `link`, which no other is to be asked; returns the ids, to be answered with an error.
    pub(crate) fn give_up(&mut self, link: LinkId) -> Vec<Bytes> {
        let mut ids = Vec::new();
        self.pending.retain_mut(|pending| {
            let is_given_up = pending.link == link && pending.is_clients();
            if is_given_up {
                ids.append(&mut pending.ids);
            }
            !is_given_up
        });
        ids
    }

    /// Whether the socket `link` is needed no more when another is the current one: it has answered everything, and its subscriptions are told
    /// by another.
    pub(crate) fn is_done_with(&self, link: LinkId) -> bool {
        let elsewhere = |known: &Subscription| known.upstream.iter().any(|(of, _)| *of != link);
        self.pending.iter().all(|pending| pending.link != link) && self.subscriptions.iter().all(elsewhere)
    }

    /// Whether nothing passed but JSON-RPC, so that another socket can go on where one ends.
    pub(crate) fn can_go_on(&self) -> bool {
        !self.is_opaque
    }

    /// Whether no socket is needed: there is nothing to answer, and nothing to tell.
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.subscriptions.is_empty()
    }

    /// The client's requests that no socket will answer any more: what is pending, when all is over.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = &Bytes> {
        self.pending
            .iter()
            .filter(|pending| pending.is_clients())
            .flat_map(|pending| &pending.ids)
    }

    fn own_id(&mut self) -> Bytes {
        self.next_id = self.next_id.saturating_add(1);
        format!("\"portico-{}\"", self.next_id).into()
    }

    /// A request of our own, which is answered to nobody.
    fn own(&mut self, link: LinkId, purpose: Purpose, method: &str, params: &str) -> Bytes {
        let own = self.own_id();
        let body = request(&own, method, params);
        self.pending.push_back(Pending {
            ids: vec![own],
            body: body.clone(),
            link,
            tries: 1,
            purpose,
        });
        body
    }

    fn upstream_of(&self, id: &Bytes, link: LinkId) -> Option<Bytes> {
        let known = self.subscriptions.iter().find(|known| known.id == *id)?;
        let on = known.upstream.iter().find(|(of, _)| *of == link)?;
        Some(on.1.clone())
    }

    fn batch_told(&mut self, message: &Bytes, text: &str) -> Told {
        let entries: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
        let ids: Vec<&str> = entries
            .iter()
            .filter_map(|entry| Some(members(entry.get(), ["id"]).ok()?[0]?.get()))
            .collect();
        let is_answered = |pending: &Pending| {
            pending.ids.len() > 1
                && pending
                    .ids
                    .iter()
                    .any(|id| ids.iter().any(|told| told.as_bytes() == id))
        };
        self.pending.retain(|pending| !is_answered(pending));
        Told {
            to_client: vec![message.clone()],
            ..Told::default()
        }
    }

    /// An answer, or a message of a CometBFT subscription.
    fn answered(
        &mut self,
        message: &Bytes,
        id: &str,
        result: Option<&RawValue>,
        error: Option<&RawValue>,
        link: LinkId,
    ) -> Told {
        let is_it = |pending: &Pending| pending.ids.iter().any(|known| known == id.as_bytes());
        let found = self
            .pending
            .iter()
            .position(|pending| is_it(pending) && pending.link == link)
            // A message of CometBFT's has the id under which its subscription is being asked for elsewhere.
            .or_else(|| {
                self.pending
                    .iter()
                    .position(|pending| is_it(pending) && pending.is_clients())
            });
        let Some(pending) = found.and_then(|found| self.pending.remove(found)) else {
            let events = |known: &Subscription| known.kind == Kind::Comet && known.id == id.as_bytes();
            return match self.subscriptions.iter().position(events) {
                Some(index) => self.deliver(index, message, None, result, link),
                None if self.is_opaque => told(message.clone()),
                None => Told::default(), // answered by another socket
            };
        };
        match pending.purpose {
            Purpose::Call | Purpose::Unsubscribe => told(message.clone()),
            Purpose::Subscribe => self.subscribed(message, &pending.body, id, result, link),
            Purpose::Renew(known) => self.renewed(&known, result, error, link),
            Purpose::Block(known, number) => self.fetched(&known, number, result, link),
            Purpose::Newest(known) => self.newest(&known, result, link),
            Purpose::Base(known) => {
                self.base(&known, result);
                Told::default()
            }
            Purpose::Upto(known) => self.upto(&known, result, link),
            Purpose::Logs(known, from, to) => self.logs(&known, (from, to), result),
            Purpose::HandOver(known) => self.handed_over(&known, link),
            Purpose::Nothing => Told::default(),
        }
    }

    /// The client's subscription is taken: the answer, under an id that no other has.
    fn subscribed(
        &mut self,
        message: &Bytes,
        request: &Bytes,
        id: &str,
        result: Option<&RawValue>,
        link: LinkId,
    ) -> Told {
        let Some(result) = result.filter(|result| result.get() != "null") else {
            return told(message.clone());
        };
        let kind = kind_of(request);
        let upstream = match kind {
            Kind::Comet => Bytes::copy_from_slice(id.as_bytes()),
            _ if result.get().starts_with(['{', '[', 't', 'f']) => return told(message.clone()),
            _ => Bytes::copy_from_slice(result.get().as_bytes()),
        };
        let is_taken = |id: &Bytes| self.subscriptions.iter().any(|known| known.id == *id);
        let mut known = upstream.clone();
        let mut count = self.next_id;
        while is_taken(&known) && kind != Kind::Comet {
            count = count.saturating_add(1);
            // Nodes that number subscriptions begin at the same number.
            known = match upstream.first() {
                Some(b'"') => format!("\"0x{:032x}\"", u128::from(count) << 64 | u128::from(u64::MAX)).into(),
                _ => format!("{}", (1_u64 << 52).saturating_add(count)).into(),
            };
        }
        self.next_id = count;
        self.subscriptions.retain(|other| other.id != known);
        self.subscriptions.push(Subscription {
            id: known.clone(),
            request: request.clone(),
            kind,
            upstream: vec![(link, upstream.clone())],
            seen: VecDeque::new(),
            last: None,
            begin: None,
            resumed: None,
            was_lost: false,
            fill: None,
            logs: Logs::default(),
            handover: None,
        });
        let mut told = told(match known == upstream {
            true => message.clone(),
            false => replaced(message, result.get().as_bytes(), &known),
        });
        let current = self.current;
        if matches!(kind, Kind::Heads | Kind::Logs) {
            told.to_supplier.push(self.ask_base(&known, current.max(link)));
        }
        // Taken by a socket that had a successor when it was: which was asked for what there was then.
        if link < current {
            let newest = self.subscriptions.len().saturating_sub(1);
            told.to_supplier.push(self.renew(newest, current));
        }
        told
    }

    /// Another socket has taken over a subscription, or has not.
    fn renewed(
        &mut self,
        id: &Bytes,
        result: Option<&RawValue>,
        error: Option<&RawValue>,
        link: LinkId,
    ) -> Told {
        let Some(index) = self.subscriptions.iter().position(|known| known.id == *id) else {
            return self.unwanted(result, link); // its client has ended it meanwhile
        };
        let Some(result) = result.filter(|result| error.is_none() && result.get() != "null") else {
            let reason = error.map_or("the node did not take it", |error| error.get());
            let known = self.subscriptions.remove(index);
            return told(ended(known.kind, id, reason));
        };
        let known = &mut self.subscriptions[index];
        let upstream = match known.kind {
            Kind::Comet => known.id.clone(),
            Kind::Heads | Kind::Logs | Kind::Other => Bytes::copy_from_slice(result.get().as_bytes()),
        };
        known.upstream.push((link, upstream));
        known.resumed = Some(link);
        let was_lost = std::mem::take(&mut known.was_lost);
        known.logs.was_lost |= was_lost;
        match known.kind {
            Kind::Heads => self.ask_newest(id, link),
            Kind::Logs => self.ask_logs(index, link),
            Kind::Comet if was_lost => told(comet_gap(id, "another supplier took over")),
            Kind::Other if was_lost => told(gap(id, None, "another supplier took over")),
            Kind::Comet | Kind::Other => self.hand_over(index, link),
        }
    }

    /// Ends a subscription that nobody wants any more.
    fn unwanted(&mut self, result: Option<&RawValue>, link: LinkId) -> Told {
        let Some(result) = result.filter(|result| result.get().starts_with('"')) else {
            return Told::default();
        };
        let params = format!("[{}]", result.get());
        Told {
            to_supplier: vec![self.own(link, Purpose::Nothing, "eth_unsubscribe", &params)],
            ..Told::default()
        }
    }

    /// A notification of the subscription that the socket knows by `upstream`.
    fn notified(&mut self, message: &Bytes, upstream: &str, result: Option<&RawValue>, link: LinkId) -> Told {
        let is_it = |known: &Subscription| {
            let mut ids = known.upstream.iter();
            ids.any(|(of, id)| *of == link && id == upstream.as_bytes())
        };
        let Some(index) = self.subscriptions.iter().position(is_it) else {
            return Told::default(); // ended
        };
        let known = &self.subscriptions[index];
        let message = match known.id == upstream.as_bytes() {
            true => message.clone(),
            false => replaced(message, upstream.as_bytes(), &known.id),
        };
        let head = match known.kind {
            Kind::Heads => result.and_then(|result| serde_json::from_str::<Value>(result.get()).ok()),
            Kind::Comet | Kind::Logs | Kind::Other => None,
        };
        if let (Kind::Logs, Some(log)) = (known.kind, result) {
            return self.log(index, &message, log.get());
        }
        self.deliver(index, &message, head, result, link)
    }

    /// Tells a subscription's message once, and heads in order.
    fn deliver(
        &mut self,
        index: usize,
        message: &Bytes,
        head: Option<Value>,
        result: Option<&RawValue>,
        link: LinkId,
    ) -> Told {
        let key = head
            .as_ref()
            .and_then(|head| head["hash"].as_str().map(str::to_owned))
            .or_else(|| result.and_then(|result| Some(LogKey::of(result.get())?.text())))
            .unwrap_or_else(|| result.map_or_else(String::new, |result| result.get().to_owned()));
        if let Some(told) = self.hold(index, message, link) {
            return told;
        }
        let known = &mut self.subscriptions[index];
        // Equal messages of one socket are its own affair: only what two may tell is told once.
        let is_new = !known.seen.contains(&key);
        if !is_new && (known.resumed.is_some() || known.upstream.len() > 1 || known.kind == Kind::Heads) {
            return Told::default();
        }
        if is_new {
            if known.seen.len() == MAX_SEEN {
                known.seen.pop_front();
            }
            known.seen.push_back(key);
        }
        if known.kind != Kind::Heads && is_new && known.upstream.len() <= 1 {
            known.resumed = None; // what the socket before may have told is behind
        }
        let number = head.as_ref().and_then(|head| hex_number(head.get("number")?));
        let Some(number) = number else {
            return told(message.clone());
        };
        if let Some(fill) = &mut known.fill {
            if fill.held.len() >= MAX_HELD {
                return self.abandon(index, message, number);
            }
            fill.held.push_back((message.clone(), number));
            return Told::default();
        }
        let begin = *known.begin.get_or_insert(number);
        // What the socket before goes on to tell says nothing of what the new one has missed.
        let resumed = known.resumed.take_if(|by| *by == link).is_some();
        let follows = match (known.last, &head) {
            (Some(last), Some(head)) => {
                let is_next = number <= last.saturating_add(1);
                is_next && (number <= begin || heads::is_linked(head, &known.seen))
            }
            _ => true,
        };
        match known.last.filter(|_| resumed && !follows) {
            Some(last) => {
                let parent = head.as_ref().and_then(heads::parent_of);
                self.fill(index, last.saturating_add(1), (message, number, parent), link)
            }
            None => {
                known.last = Some(known.last.map_or(number, |last| last.max(number)));
                told(message.clone())
            }
        }
    }
}

fn told(message: Bytes) -> Told {
    Told {
        to_client: vec![message],
        ..Told::default()
    }
}

fn answer(id: &Bytes, result: &Value) -> Bytes {
    let id = String::from_utf8_lossy(id);
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}").into()
}

fn request(id: &Bytes, method: &str, params: &str) -> Bytes {
    let id = String::from_utf8_lossy(id);
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}").into()
}

fn notification(method: &str, subscription: &Bytes, result: &Value) -> Bytes {
    let id = String::from_utf8_lossy(subscription);
    let params = format!("{{\"subscription\":{id},\"result\":{result}}}");
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{params}}}").into()
}

/// Tells that messages of a subscription may be missing: blocks of a range, or nobody knows which.
fn gap(subscription: &Bytes, blocks: Option<(u64, u64)>, reason: &str) -> Bytes {
    let hex = |number: u64| format!("0x{number:x}");
    let (from, to) = blocks.map_or((Value::Null, Value::Null), |(from, to)| {
        (json!(hex(from)), json!(hex(to)))
    });
    notice(
        "portico_gap",
        subscription,
        &format!(r#""fromBlock":{from},"toBlock":{to},"reason":{}"#, json!(reason)),
    )
}

/// A notification of ours about a subscription. Its id is no `params.subscription`, by which libraries find the listener, some of them (Solana's kit)
/// without a look at the method: they would take what is said here for an event.
fn notice(method: &str, subscription: &Bytes, rest: &str) -> Bytes {
    let id = String::from_utf8_lossy(subscription);
    let params = format!(r#"{{"subscriptionId":{id},{rest}}}"#);
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#).into()
}

/// The same of a subscription of CometBFT's, whose clients know no notifications: `CosmJS` gives up its socket at a message without an id. An answer
/// that nobody has asked for passes all of them by.
fn comet_gap(id: &Bytes, reason: &str) -> Bytes {
    let text = serde_json::from_slice(id).unwrap_or(Value::Null);
    let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
    let own = Bytes::from(json!(format!("{text}#portico_gap")).to_string());
    answer(&own, &json!({ "reason": reason }))
}

/// Tells that a subscription is over; one of CometBFT's in the words of a node that ends one.
fn ended(kind: Kind, id: &Bytes, reason: &str) -> Bytes {
    match kind {
        Kind::Comet => {
            let data = json!(format!("subscription was canceled (reason: {reason})"));
            let id = String::from_utf8_lossy(id);
            let error = format!("{{\"code\":-32000,\"message\":\"Server error\",\"data\":{data}}}");
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}").into()
        }
        Kind::Heads | Kind::Logs | Kind::Other => notice(
            "portico_subscriptionEnded",
            id,
            &format!(r#""reason":{}"#, json!(reason)),
        ),
    }
}

/// A request with another id, which is the client's own otherwise.
fn with_id(request: &Bytes, id: &Bytes) -> Bytes {
    let text = std::str::from_utf8(request).unwrap_or_default();
    match members(text, ["id"]) {
        Ok([Some(given)]) => replaced(request, given.get().as_bytes(), id),
        _ => request.clone(),
    }
}

fn params_of(request: &Bytes) -> Option<Bytes> {
    let text = std::str::from_utf8(request).ok()?;
    let [params] = members(text, ["params"]).ok()?;
    Some(request.slice_ref(params?.get().as_bytes()))
}

/// The first of the params, as it stands there.
fn first_param(params: &Bytes) -> Option<Bytes> {
    let all: Vec<&RawValue> = serde_json::from_slice(params).ok()?;
    let first = all.first()?;
    Some(params.slice_ref(first.get().as_bytes()))
}

fn kind_of(request: &Bytes) -> Kind {
    let text = std::str::from_utf8(request).unwrap_or_default();
    let Ok([Some(method), params]) = members(text, ["method", "params"]) else {
        return Kind::Other;
    };
    match method.get() {
        "\"subscribe\"" => Kind::Comet,
        "\"eth_subscribe\"" => {
            let all = params.and_then(|params| serde_json::from_str::<Vec<&RawValue>>(params.get()).ok());
            match all.and_then(|all| Some(all.first()?.get())) {
                Some("\"newHeads\"") => Kind::Heads,
                Some("\"logs\"") => Kind::Logs,
                _ => Kind::Other,
            }
        }
        _ => Kind::Other,
    }
}

fn hex_number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests;
