use bytes::BufMut as _;
use proptest::prelude::*;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use super::frame::{Frames, Read, header, opcode, written};
use super::*;

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn limits(max_message_bytes: usize) -> Limits {
    Limits {
        max_message_bytes,
        write_timeout: Duration::from_secs(1),
        budgets: None,
    }
}

/// All that a server reads of `bytes`, which arrive in pieces of `step`.
fn read(bytes: &[u8], step: usize, limits: Limits) -> Result<Vec<Read>, WebSocketError> {
    let mut frames = Frames::new(Role::Server, limits);
    let mut all = Vec::new();
    for piece in bytes.chunks(step) {
        frames.buffer.put_slice(piece);
        while let Some(read) = frames.take()? {
            all.push(read);
        }
    }
    Ok(all)
}

fn frame(data: Data, payload: &'static [u8], last: bool) -> Vec<u8> {
    written(Frame::message(payload, OpCode::Data(data), last), MASK)
}

fn message(kind: Kind, bytes: &'static [u8]) -> Read {
    let bytes = Bytes::from_static(bytes);
    Read::Whole(Incoming::Message(Message { kind, bytes }))
}

#[test]
fn text_may_be_any_bytes() {
    let bytes = frame(Data::Text, b"\x0a\xff\x80", true);
    for step in [1, 2, 100] {
        let all = read(&bytes, step, limits(3)).unwrap();
        assert_eq!(all, [message(Kind::Text, b"\x0a\xff\x80")]);
    }
}

#[test]
fn parts_are_put_together_around_a_ping() {
    let all = [
        frame(Data::Binary, b"ab", false),
        written(Frame::ping("hi"), MASK),
        frame(Data::Continue, b"", false),
        frame(Data::Continue, b"c", true),
        frame(Data::Text, b"", true),
    ]
    .concat();
    let expected = [
        Read::Ping("hi".into()),
        message(Kind::Binary, b"abc"),
        message(Kind::Text, b""),
    ];
    assert_eq!(read(&all, 1, limits(3)).unwrap(), expected);
    assert_eq!(read(&all, 1, limits(2)), Err(WebSocketError::TooLarge(2)));
}

#[test]
fn refuses_what_the_protocol_does_not_have() {
    let with = |first: u8| {
        let mut bytes = frame(Data::Text, b"a", true);
        bytes[0] = first;
        bytes
    };
    for (what, bytes) in [
        (
            "no mask",
            written(Frame::message("a", OpCode::Data(Data::Text), true), None),
        ),
        ("an extension", with(0xc1)),
        ("an unknown opcode", with(0x83)),
        ("a part of no message", frame(Data::Continue, b"a", true)),
        (
            "a message within another",
            [frame(Data::Text, b"a", false), frame(Data::Text, b"b", true)].concat(),
        ),
        ("a control frame in parts", with(0x09)),
        ("half a close code", with(0x88)),
        ("a long ping", written(Frame::ping(vec![0; 126]), MASK)),
    ] {
        let read = read(&bytes, 1, limits(10));
        assert!(
            matches!(read, Err(WebSocketError::Protocol(_))),
            "{what}: {read:?}"
        );
    }
}

#[test]
fn a_frame_that_announces_much_takes_no_space_before_it_comes() {
    let mut frames = Frames::new(Role::Server, limits(1 << 40));
    frames
        .buffer
        .put_slice(&[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(frames.take(), Ok(None));
    assert!(frames.buffer.capacity() < 1 << 20, "{}", frames.buffer.capacity());
}

#[test]
fn messages_count_until_nobody_holds_them() {
    let budgets = Budgets::of_all(8);
    let limits = Limits {
        budgets: Some(budgets.clone()),
        ..limits(100)
    };
    let mut frames = Frames::new(Role::Server, limits);
    frames.buffer.put_slice(&frame(Data::Text, b"12345", true));
    let first = frames.take().unwrap().unwrap();
    frames.buffer.put_slice(&frame(Data::Text, b"6789", true));
    assert_eq!(frames.take(), Err(WebSocketError::NoRoom));
    drop((first, frames));
    assert!(budgets.room().grow(8).is_ok());
}

#[test]
fn takes_closes_as_peers_send_them() {
    let close = |payload: &'static [u8]| {
        let header = Frame::close(None).header().clone();
        let bytes = written(Frame::from_payload(header, payload.into()), MASK);
        read(&bytes, 1, limits(1)).unwrap().pop()
    };
    let told = |close| Some(Read::Whole(Incoming::Close(close)));
    assert_eq!(close(b""), told(Close::default()));
    // 1006 must not be sent, and both Go miners do.
    let dropped = Close::new(1006, "unexpected EOF");
    assert_eq!(close(b"\x03\xeeunexpected EOF"), told(dropped.clone()));
    assert_eq!(dropped.sendable().code, Some(1011));
    assert_eq!(Close::new(4000, "session expired").sendable().code, Some(4000));
    assert_eq!(Close::new(1000, &"ä".repeat(100)).reason.len(), 122);
}

proptest! {
    /// Whatever arrives in whichever pieces, nothing panics, and nothing larger than allowed is held.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), step in 1usize..50) {
        for read in read(&bytes, step, limits(64)).into_iter().flatten() {
            if let Read::Whole(Incoming::Message(message)) = read {
                prop_assert!(message.bytes.len() <= 64);
            }
        }
    }

    /// What is written is read, in whichever pieces it arrives.
    #[test]
    fn messages_come_as_they_were_sent(
        bytes in prop::collection::vec(any::<u8>(), 0..70_000),
        mask in any::<[u8; 4]>(),
        text in any::<bool>(),
        step in 64usize..100_000,
    ) {
        let kind = if text { Kind::Text } else { Kind::Binary };
        let bytes = Bytes::from(bytes);
        let sent = written(Frame::message(bytes.clone(), opcode(kind), true), Some(mask));
        let all = read(&sent, step, limits(70_000)).unwrap();
        prop_assert_eq!(all, [Read::Whole(Incoming::Message(Message { kind, bytes: bytes.clone() }))]);
        let unmasked = written(Frame::message(bytes.clone(), opcode(kind), true), None);
        prop_assert_eq!([header(kind, bytes.len()).as_slice(), &bytes].concat(), unmasked);
    }
}
