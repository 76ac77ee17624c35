//! The events of a block out of an answer of any size: it is read as it arrives, and only what is wanted is kept.
//!
//! A block that settles the claims of a whole network has results of hundreds of megabytes, of which one supplier wants a few kilobytes.
//!
//! ```text
//! {"result": {"height": ..., "txs_results": [...], "finalize_block_events": [ {event}, {event}, ... ], ...}}
//!                            passed over            each is read, kept if wanted, and forgotten
//! ```

use std::mem;

use super::fault::Fault;
use super::json;
use crate::{BlockEvents, ChainError, KeepEvent};

/// Largest event that is read, in bytes of its JSON: one that settles a claim names everybody who is paid for it. A larger one is counted.
const MAX_EVENT_BYTES: usize = 8 << 20;
/// Bytes of JSON of the events that are kept; when more are wanted, the answer says so.
const MAX_KEPT_BYTES: usize = 64 << 20;
/// Bytes of a key that are compared.
const MAX_KEY_BYTES: usize = 32;
const EVENTS: &[u8] = b"finalize_block_events";

/// Reads an answer to `block_results`, piece by piece. It follows braces and strings and knows where it is; what it takes out is then read as
/// JSON.
pub(super) struct EventReader {
    keep: KeepEvent,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The last string of the outer two objects: a key, when a colon follows.
    text: Vec<u8>,
    outer: Outer,
    /// Whether the last key in the result is that of the events.
    at_events: bool,
    in_events: bool,
    /// What is being taken out, and the depth at which it began.
    taking: Option<(Piece, usize)>,
    taken: Vec<u8>,
    overflown: bool,
    kept_bytes: usize,
    is_complete: bool,
    has_events: bool,
    fault: Option<Fault>,
    found: BlockEvents,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outer {
    Result,
    Error,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Event,
    Fault,
}

/// The bytes are no JSON-RPC.
#[derive(Debug)]
pub(super) struct NoJson;

impl EventReader {
    pub(super) fn new(keep: KeepEvent) -> Self {
        Self {
            keep,
            depth: 0,
            in_string: false,
            escaped: false,
            text: Vec::with_capacity(MAX_KEY_BYTES),
            outer: Outer::Other,
            at_events: false,
            in_events: false,
            taking: None,
            taken: Vec::new(),
            overflown: false,
            kept_bytes: 0,
            is_complete: false,
            has_events: false,
            fault: None,
            found: BlockEvents::default(),
        }
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), NoJson> {
        // Where the part of `bytes` begins that is being taken out and not yet copied.
        let mut from = 0;
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.in_string {
                at = self.string(bytes, at);
                continue;
            }
            match byte {
                b'"' if self.depth > 0 => {
                    self.in_string = true;
                    self.text.clear();
                }
                b':' if self.depth > 0 => self.key(),
                b'{' | b'[' => {
                    if self.is_complete || (self.depth == 0 && byte == b'[') {
                        return Err(NoJson);
                    }
                    self.depth = self.depth.saturating_add(1);
                    if let Some(piece) = self.opened(byte) {
                        self.taking = Some((piece, self.depth));
                        from = at;
                    }
                }
                b'}' | b']' => {
                    let opened = self.depth;
                    self.depth = opened.checked_sub(1).ok_or(NoJson)?;
                    if let Some((piece, depth)) = self.taking
                        && depth == opened
                    {
                        self.copy(bytes.get(from..=at).unwrap_or_default());
                        self.taking = None;
                        self.take(piece);
                    }
                    self.in_events &= self.depth > 2;
                    self.is_complete = self.depth == 0;
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ if self.depth == 0 => return Err(NoJson),
                _ => {}
            }
            at += 1;
        }
        if self.taking.is_some() {
            self.copy(bytes.get(from..).unwrap_or_default());
        }
        Ok(())
    }

    /// Passes over a string up to its end or that of `bytes`; where to go on.
    fn string(&mut self, bytes: &[u8], at: usize) -> usize {
        if mem::take(&mut self.escaped) {
            return at + 1;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
        let length = plain.unwrap_or(rest.len());
        if self.depth <= 2 && self.taking.is_none() {
            // One byte beyond the bound tells a longer string from a key.
            let room = (MAX_KEY_BYTES + 1).saturating_sub(self.text.len()).min(length);
            self.text.extend_from_slice(rest.get(..room).unwrap_or_default());
        }
        match rest.get(length) {
            Some(b'"') => self.in_string = false,
            Some(_) => self.escaped = true,
            None => return at + length,
        }
        at + length + 1
    }

    /// The last string is a key.
    fn key(&mut self) {
        match self.depth {
            1 => {
                self.outer = match self.text.as_slice() {
                    b"result" => Outer::Result,
                    b"error" => Outer::Error,
                    _ => Outer::Other,
                };
            }
            2 => {
                self.at_events = self.outer == Outer::Result && self.text == EVENTS;
                self.has_events |= self.at_events;
            }
            _ => {}
        }
    }

    /// What begins to be taken out with the bracket that has just been opened.
    fn opened(&mut self, bracket: u8) -> Option<Piece> {
        match (self.depth, bracket) {
            (2, b'{') if self.outer == Outer::Error => Some(Piece::Fault),
            (3, b'[') if self.at_events => {
                self.in_events = true;
                None
            }
            (4, b'{') if self.in_events => Some(Piece::Event),
            _ => None,
        }
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.overflown |= self.taken.len().saturating_add(bytes.len()) > MAX_EVENT_BYTES;
        if self.overflown {
            self.taken = Vec::new();
        } else {
            self.taken.extend_from_slice(bytes);
        }
    }

    fn take(&mut self, piece: Piece) {
        let size = self.taken.len();
        let overflown = mem::take(&mut self.overflown);
        match piece {
            Piece::Fault => self.fault = Some(serde_json::from_slice(&self.taken).unwrap_or_default()),
            Piece::Event => match json::event(&self.taken) {
                Some(event) if !overflown => {
                    if !(self.keep)(&event) {
                        // passed over
                    } else if self.kept_bytes.saturating_add(size) > MAX_KEPT_BYTES {
                        self.found.more = true;
                    } else {
                        self.kept_bytes = self.kept_bytes.saturating_add(size);
                        self.found.events.push(event);
                    }
                }
                _ => self.found.unreadable = self.found.unreadable.saturating_add(1),
            },
        }
        self.taken.clear();
    }

    /// What was found, once all bytes were pushed; `Ok(Err)` is the node's own error.
    pub(super) fn finish(self) -> Result<Result<BlockEvents, Fault>, ChainError> {
        if !self.is_complete {
            return Err(ChainError::Unavailable("the answer ended early".to_owned()));
        }
        if let Some(fault) = self.fault {
            return Ok(Err(fault));
        }
        // A node of another version has its events elsewhere: that is not a block without events.
        match self.has_events {
            true => Ok(Ok(self.found)),
            false => Err(ChainError::Internal(
                "the answer holds no finalize_block_events".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const ANSWER: &str = r#" {"jsonrpc":"2.0","id":1,"result":{"height":"7","txs_results":[{"code":0,"log":"[{\"finalize_block_events\":[{]",
        "events":[{"type":"wanted","attributes":[]}]}],"a":{"finalize_block_events":[{"type":"wanted"}]},
        "finalize_block_events": [{"type":"wanted","attributes":[{"key":"k","value":"\"quoted \\ } ] \u00e9\"","index":true}]},
        {"type":"other"}, {"type":7}, {"type":"wanted","attributes":null}],"app_hash":"AA"}} "#;

    fn wanted() -> KeepEvent {
        Arc::new(|event| event.kind == "wanted")
    }

    fn read(pieces: &[&[u8]]) -> Result<Result<BlockEvents, Fault>, ChainError> {
        let mut reader = EventReader::new(wanted());
        for piece in pieces {
            reader.push(piece).unwrap();
        }
        reader.finish()
    }

    #[test]
    fn finds_the_wanted_events_wherever_the_answer_is_cut() {
        let bytes = ANSWER.as_bytes();
        for cut in 0..=bytes.len() {
            let found = read(&[&bytes[..cut], &bytes[cut..]]).unwrap().unwrap();
            assert_eq!(found.events.len(), 2, "cut at {cut}");
            let value = found.events[0].attribute("k");
            assert_eq!(value, Some("\"quoted \\ } ] \u{e9}\""));
            assert_eq!((found.unreadable, found.more), (1, false), "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single).unwrap().unwrap(), read(&[bytes]).unwrap().unwrap());
    }

    #[test]
    fn an_answer_that_ends_early_is_asked_for_again() {
        let bytes = ANSWER.trim_end().as_bytes();
        for end in 0..bytes.len() {
            let error = read(&[&bytes[..end]]).unwrap_err();
            assert!(error.is_retryable(), "{end}: {error}");
        }
    }

    #[test]
    fn an_answer_without_a_list_of_events_is_not_one_of_a_block_without_events() {
        let none = read(&[br#"{"result":{"finalize_block_events":null}}"#]);
        assert_eq!(none.unwrap().unwrap(), BlockEvents::default());
        for other in [
            &br#"{"result":{"end_block_events":[]}}"#[..],
            br#"{"result":null}"#,
            br#"{"finalize_block_events":[]}"#,
        ] {
            assert!(read(&[other]).is_err());
        }
    }

    #[test]
    fn the_nodes_own_error_is_told() {
        let text = br#"{"id":1,"error":{"code":-32603,"message":"Internal error","data":"height 9 is not available"}}"#;
        let fault = read(&[text]).unwrap().unwrap_err();
        assert_eq!(fault.text(), "Internal error: height 9 is not available");
    }

    #[test]
    fn what_is_no_object_is_no_answer() {
        for text in ["<html>", "[]", "x", "}", "{}x", "{}{}"] {
            assert!(
                EventReader::new(wanted()).push(text.as_bytes()).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_huge_event_is_counted_and_too_many_wanted_ones_are_said_to_be_there() {
        let large = |bytes: usize| format!(r#"{{"type":"wanted","x":"{}"}},"#, "x".repeat(bytes));
        let (huge, half) = (large(MAX_EVENT_BYTES), large(MAX_EVENT_BYTES / 2));
        let mut reader = EventReader::new(wanted());
        reader.push(br#"{"result":{"finalize_block_events":["#).unwrap();
        reader.push(huge.as_bytes()).unwrap();
        for _ in 0..=2 * MAX_KEPT_BYTES / MAX_EVENT_BYTES {
            reader.push(half.as_bytes()).unwrap();
        }
        reader.push(br#"{"type":"wanted"}]}}"#).unwrap();
        let found = reader.finish().unwrap().unwrap();
        assert_eq!((found.unreadable, found.more), (1, true));
        assert_eq!(found.events.len(), 2 * MAX_KEPT_BYTES / MAX_EVENT_BYTES);
    }
}
