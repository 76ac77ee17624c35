//! Frames: read into whole messages within bounds, and written.

use std::io::Cursor;

use bytes::{Buf, Bytes, BytesMut};
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use super::{Close, Incoming, Kind, Limits, Message, Role, WebSocketError};
use crate::budget::{Room, holding};

/// Longest payload of a ping, pong or close (RFC 6455 §5.5).
const MAX_CONTROL: usize = 125;
/// Space that is made at once for what a frame still lacks, at most: a frame may announce more than its sender means to send.
const MAX_RESERVED: usize = 64 << 10;
/// Space for the next frame's beginning.
const MIN_RESERVED: usize = 4 << 10;

/// What frames add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Whole(Incoming),
    Ping(Bytes),
    Pong,
}

/// Bytes of a peer on their way to messages.
#[derive(Debug)]
pub(super) struct Frames {
    /// What has arrived and is not read yet.
    pub(super) buffer: BytesMut,
    peer_masks: bool,
    limits: Limits,
    /// Header and length of the frame that arrives.
    frame: Option<(FrameHeader, usize)>,
    /// The message that arrives in several frames.
    partial: Option<(Kind, Vec<u8>)>,
    /// For the bytes of the message that arrives.
    room: Option<Room>,
    /// Bytes of the frame that arrives which have their room.
    counted: usize,
}

impl Frames {
    pub(super) fn new(role: Role, limits: Limits) -> Self {
        Self {
            buffer: BytesMut::new(),
            peer_masks: role == Role::Server,
            limits,
            frame: None,
            partial: None,
            room: None,
            counted: 0,
        }
    }

    /// What has arrived whole; `None` when more has to arrive, for which there is space then.
    pub(super) fn take(&mut self) -> Result<Option<Read>, WebSocketError> {
        loop {
            if self.frame.is_none() {
                self.frame = self.header()?;
            }
            let Some((header, length)) = self.frame.clone() else {
                self.buffer.reserve(MIN_RESERVED);
                return Ok(None);
            };
            if matches!(header.opcode, OpCode::Data(_)) {
                self.count(self.buffer.len().min(length))?;
            }
            if self.buffer.len() < length {
                let lacks = length.saturating_sub(self.buffer.len());
                self.buffer.reserve(lacks.clamp(MIN_RESERVED, MAX_RESERVED));
                return Ok(None);
            }
            self.frame = None;
            self.counted = 0;
            let mut payload = self.buffer.split_to(length);
            if let Some(mask) = header.mask {
                unmask(&mut payload, mask);
            }
            if let Some(read) = self.read(&header, payload.freeze())? {
                return Ok(Some(read));
            }
        }
    }

    /// Whether part of a message has arrived.
    pub(super) fn is_in_message(&self) -> bool {
        !self.buffer.is_empty() || self.frame.is_some() || self.partial.is_some()
    }

    /// The next frame's header and length, checked.
    fn header(&mut self) -> Result<Option<(FrameHeader, usize)>, WebSocketError> {
        let mut cursor = Cursor::new(&self.buffer[..]);
        let header = FrameHeader::parse(&mut cursor);
        let header = header.map_err(|_| WebSocketError::Protocol("a frame of an unknown kind"))?;
        let Some((header, length)) = header else {
            return Ok(None);
        };
        let read = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        self.buffer.advance(read.min(self.buffer.len()));
        let fault = WebSocketError::Protocol;
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(fault("an extension that was not agreed on"));
        }
        match (header.mask.is_some(), self.peer_masks) {
            (false, true) => return Err(fault("a client's frame without a mask")),
            (true, false) => return Err(fault("a server's frame with a mask")),
            _ => {}
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        match header.opcode {
            OpCode::Control(_) if !header.is_final => Err(fault("a control frame in parts")),
            OpCode::Control(_) if length > MAX_CONTROL => Err(fault("a control frame that is too long")),
            OpCode::Control(_) => Ok(Some((header, length))),
            OpCode::Data(data) => {
                let before = match (data, &self.partial) {
                    (Data::Continue, None) => return Err(fault("a part of no message")),
                    (Data::Continue, Some((_, before))) => before.len(),
                    (_, Some(_)) => return Err(fault("a message within another")),
                    (_, None) => 0,
                };
                let max = self.limits.max_message_bytes;
                match before.checked_add(length) {
                    Some(whole) if whole <= max => Ok(Some((header, length))),
                    _ => Err(WebSocketError::TooLarge(max)),
                }
            }
        }
    }

    /// Makes room for the first `arrived` bytes of the frame that arrives.
    fn count(&mut self, arrived: usize) -> Result<(), WebSocketError> {
        let Some(budgets) = &self.limits.budgets else {
            return Ok(());
        };
        let room = self.room.get_or_insert_with(|| budgets.room());
        let fits = room.grow(arrived.saturating_sub(self.counted));
        fits.map_err(|_| WebSocketError::NoRoom)?;
        self.counted = arrived;
        Ok(())
    }

    fn read(&mut self, header: &FrameHeader, payload: Bytes) -> Result<Option<Read>, WebSocketError> {
        let kind = match header.opcode {
            OpCode::Control(Control::Ping) => return Ok(Some(Read::Ping(payload))),
            OpCode::Control(Control::Pong) => return Ok(Some(Read::Pong)),
            OpCode::Control(_) => return Ok(Some(Read::Whole(Incoming::Close(closed(&payload)?)))),
            OpCode::Data(Data::Text) => Kind::Text,
            OpCode::Data(_) => Kind::Binary,
        };
        let (kind, bytes) = match (self.partial.take(), header.is_final) {
            (None, true) => (kind, payload),
            (None, false) => {
                self.partial = Some((kind, payload.into()));
                return Ok(None);
            }
            (Some((kind, mut whole)), is_final) => {
                whole.extend_from_slice(&payload);
                if !is_final {
                    self.partial = Some((kind, whole));
                    return Ok(None);
                }
                (kind, whole.into())
            }
        };
        let bytes = holding(bytes, self.room.take().into_iter().collect());
        Ok(Some(Read::Whole(Incoming::Message(Message { kind, bytes }))))
    }
}

/// What a close frame says. Codes that must not be sent are taken: both Go miners send 1006 when their backend is gone.
fn closed(payload: &[u8]) -> Result<Close, WebSocketError> {
    match payload {
        [] => Ok(Close::default()),
        [_] => Err(WebSocketError::Protocol("half a close code")),
        [high, low, reason @ ..] => Ok(Close {
            code: Some(u16::from_be_bytes([*high, *low])),
            reason: String::from_utf8_lossy(reason).into_owned(),
        }),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (whole, rest) = payload.as_chunks_mut::<4>();
    for four in whole {
        for (byte, key) in four.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// A frame's bytes; masked by `mask`, if there is one.
pub(super) fn written(mut frame: Frame, mask: Option<[u8; 4]>) -> Vec<u8> {
    frame.header_mut().mask = mask;
    let mut bytes = Vec::with_capacity(frame.len());
    frame
        .format(&mut bytes)
        .expect("a vector takes all that is written");
    bytes
}

/// The header of an unmasked message of so many bytes.
pub(super) fn header(kind: Kind, length: usize) -> Vec<u8> {
    let header = FrameHeader {
        opcode: opcode(kind),
        ..FrameHeader::default()
    };
    let mut bytes = Vec::new();
    let written = header.format(length as u64, &mut bytes);
    written.expect("a vector takes all that is written");
    bytes
}

pub(super) const fn opcode(kind: Kind) -> OpCode {
    match kind {
        Kind::Text => OpCode::Data(Data::Text),
        Kind::Binary => OpCode::Data(Data::Binary),
    }
}
