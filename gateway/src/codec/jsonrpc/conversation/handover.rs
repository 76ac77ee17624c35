//! How a subscription whose messages cannot be asked for again moves from one socket to the next: the old one is asked to end it, and what the new one
//! tells waits until that is answered. Sockets keep the order of what they carry, so by then the old one has told all that it had.

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::members::members;
use super::{Conversation, Kind, LinkId, Purpose, Told, comet_gap, gap, params_of};

/// Messages that may wait for the old socket.
const MAX_WAITING: usize = 256;

/// A subscription on its way from one socket to another.
#[derive(Debug)]
pub(super) struct Handover {
    /// The socket that is asked to end it.
    from: LinkId,
    /// What the new one has told meanwhile.
    waiting: VecDeque<(Bytes, LinkId)>,
}

impl Conversation {
    /// Asks the socket before `link` to end a subscription that `link` has taken.
    pub(super) fn hand_over(&mut self, index: usize, link: LinkId) -> Told {
        let known = &self.subscriptions[index];
        let before = known.upstream.iter().find(|(of, _)| *of != link);
        let Some((from, upstream)) = before.cloned() else {
            return Told::default();
        };
        let Some((method, params)) = ending(&known.request, &upstream) else {
            return Told::default();
        };
        let id = known.id.clone();
        self.subscriptions[index].handover = Some(Handover {
            from,
            waiting: VecDeque::new(),
        });
        Told {
            to_old: vec![self.own(from, Purpose::HandOver(id), &method, &params)],
            ..Told::default()
        }
    }

    /// Keeps a message of the new socket's while the old one may still tell what came before; `None` when there is nothing to wait for.
    pub(super) fn hold(&mut self, index: usize, message: &Bytes, link: LinkId) -> Option<Told> {
        let handover = self.subscriptions[index].handover.as_mut()?;
        if handover.from == link {
            return None;
        }
        handover.waiting.push_back((message.clone(), link));
        let is_full = handover.waiting.len() > MAX_WAITING;
        Some(match is_full {
            true => self.given_up(index, "the supplier before did not end it"),
            false => Told::default(),
        })
    }

    /// The old socket has ended the subscription.
    pub(super) fn handed_over(&mut self, id: &Bytes, link: LinkId) -> Told {
        let by = |handover: &Handover| handover.from == link;
        let index = self.subscriptions.iter().position(|known| known.id == *id);
        let index = index.filter(|index| self.subscriptions[*index].handover.as_ref().is_some_and(by));
        match index {
            Some(index) => self.tell_waiting(index),
            None => Told::default(), // its client, or the new socket, has ended it meanwhile
        }
    }

    /// Handovers of which the socket `link` was one side come to their end.
    pub(super) fn handovers_lost(&mut self, link: LinkId) -> Told {
        let mut told = Told::default();
        for index in 0..self.subscriptions.len() {
            let known = &mut self.subscriptions[index];
            let Some(handover) = &known.handover else {
                continue;
            };
            if handover.from == link {
                told.to_client
                    .append(&mut self.given_up(index, "another supplier took over").to_client);
            } else if known.upstream.iter().any(|(of, _)| *of == link) {
                // The old socket ends it, and the new one is gone.
                let from = handover.from;
                known.handover = None;
                known.upstream.retain(|(of, _)| *of != from);
            }
        }
        told
    }

    /// Tells what waited, and before it that something may be missing.
    fn given_up(&mut self, index: usize, reason: &str) -> Told {
        let known = &self.subscriptions[index];
        let gap = match known.kind {
            Kind::Comet => comet_gap(&known.id, reason),
            Kind::Heads | Kind::Logs | Kind::Other => gap(&known.id, None, reason),
        };
        let mut told = super::told(gap);
        told.to_client.append(&mut self.tell_waiting(index).to_client);
        told
    }

    /// Tells what waited, but for what the old socket has told.
    fn tell_waiting(&mut self, index: usize) -> Told {
        let mut told = Told::default();
        let Some(handover) = self.subscriptions[index].handover.take() else {
            return told;
        };
        for (message, link) in handover.waiting {
            let text = std::str::from_utf8(&message).unwrap_or_default();
            let [params, result] = members(text, ["params", "result"]).unwrap_or_default();
            let result = match params {
                Some(params) => members(params.get(), ["result"]).unwrap_or_default()[0],
                None => result,
            };
            let mut one = self.deliver(index, &message, None, result, link);
            told.to_client.append(&mut one.to_client);
        }
        let known = &mut self.subscriptions[index];
        known.upstream.retain(|(of, _)| *of != handover.from);
        told
    }
}

/// Method and params that end a subscription which was begun by this request, and which the socket knows by `upstream`: `eth_subscribe`,
/// `slotSubscribe` and CometBFT's `subscribe` are ended by the same with "un" before. `None` for one with another name.
fn ending(request: &Bytes, upstream: &Bytes) -> Option<(String, String)> {
    let text = std::str::from_utf8(request).ok()?;
    let [method] = members(text, ["method"]).ok()?;
    let method: String = serde_json::from_str(method?.get()).ok()?;
    if method == "subscribe" {
        let params = params_of(request)?;
        return Some(("unsubscribe".to_owned(), String::from_utf8(params.to_vec()).ok()?));
    }
    let ending = match (method.strip_suffix("subscribe"), method.strip_suffix("Subscribe")) {
        (Some(of), _) => format!("{of}unsubscribe"),
        (None, Some(of)) => format!("{of}Unsubscribe"),
        (None, None) => return None,
    };
    let plain = ending.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain.then(|| (ending, format!("[{}]", String::from_utf8_lossy(upstream))))
}

#[cfg(test)]
mod tests;
