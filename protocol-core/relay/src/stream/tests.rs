//! Streams as the HA relay miner wrote them (`testdata/go-wire-transports/streams.json`), as `docs/streams.md` specifies ours
//! (`testdata/relay-stream-1`), and what may be done to either on the way.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use portico_protocol::relay::{MinedRelay, verify_response_signature};
use portico_protocol::wire::pocket::service::{RelayRequest, RelayResponse};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use portico_protocol::{PublicKey, SigningKey};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::*;

const SIGNATURE: [u8; 199] = [7; 199];

fn header() -> SessionHeader {
    let application = SigningKey::from_bytes(&[1; 32]).unwrap().address();
    SessionHeader {
        application_address: application.to_string(),
        service_id: "llm".to_owned(),
        session_start_block_height: 1,
        session_end_block_height: 10,
        session_id: "0".repeat(64),
    }
}

fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::from_bytes(&[2; 32]).unwrap())
}

fn head(status: u32) -> PokthttpResponse {
    let key = "Content-Type".to_owned();
    let values = vec!["text/event-stream".to_owned()];
    PokthttpResponse {
        status_code: status,
        header: [(key.clone(), Header { key, values })].into(),
        body_bz: Bytes::new(),
    }
}

fn writer(framing: Framing) -> StreamWriter {
    StreamWriter::new(framing, header(), &SIGNATURE, head(200), key())
}

fn reader(framing: Framing) -> StreamReader {
    StreamReader::new(framing, header(), &SIGNATURE, key().public_key())
}

/// The frames of a whole stream, and the response of its leaf.
fn written(framing: Framing, pieces: &[Vec<u8>], end: End) -> (Vec<Bytes>, RelayResponse) {
    let mut writer = writer(framing);
    let mut frames = Vec::new();
    for piece in pieces {
        frames.extend(writer.frames(Bytes::from(piece.clone())));
    }
    let finished = writer.finish(end, BTreeMap::new());
    frames.extend(finished.frame);
    (frames, finished.leaf)
}

/// What a caller gets of bytes that arrive in chunks of this size, and how it ends for them.
fn read(
    reader: StreamReader,
    bytes: &[u8],
    chunk: usize,
) -> (Option<PokthttpResponse>, Vec<u8>, Result<(), StreamFault>) {
    let (first, body, end) = read_with_trailers(reader, bytes, chunk);
    (first, body, end.map(|_| ()))
}

type Trailers = BTreeMap<String, Header>;

/// The same with the trailers.
fn read_with_trailers(
    mut reader: StreamReader,
    bytes: &[u8],
    chunk: usize,
) -> (Option<PokthttpResponse>, Vec<u8>, Result<Trailers, StreamFault>) {
    let (mut first, mut body) = (None, Vec::new());
    let mut chunks = bytes.chunks(chunk.max(1));
    loop {
        match reader.part() {
            Ok(None) => match chunks.next() {
                Some(chunk) => reader.push(chunk),
                None => reader.close(),
            },
            Ok(Some(Part::Head { http, .. })) => {
                assert!(first.is_none());
                body.extend_from_slice(&http.body_bz);
                first = Some(http);
            }
            Ok(Some(Part::Data(data))) => body.extend_from_slice(&data),
            Ok(Some(Part::End { trailers })) => return (first, body, Ok(trailers)),
            Err(fault) => return (first, body, Err(fault)),
        }
    }
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let delimiter = || Just(b"||POKT_STREAM||".to_vec());
    let half = || Just(b"||POKT_ST".to_vec());
    let piece = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..300),
        1 => delimiter(),
        1 => half(),
        1 => Just(b"x||POKT_STREAM||POKT_STREAM||||POKT_STREAM||y".to_vec()),
        1 => Just(vec![b'a'; MAX_DATA + 1]),
    ];
    prop::collection::vec(piece, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_a_backend_says_arrives_byte_by_byte(
        pieces in pieces(),
        chained in any::<bool>(),
        chunk in prop_oneof![Just(1_usize), 2_usize..5_000],
    ) {
        let framing = if chained { Framing::Chained } else { Framing::Delimited };
        let (frames, leaf) = written(framing, &pieces, End::Complete);
        let chunk = if pieces.iter().any(|piece| piece.len() > MAX_DATA) { chunk.max(1_000) } else { chunk };
        let (first, body, end) = read(reader(framing), &frames.concat(), chunk);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(&body, &pieces.concat());
        prop_assert_eq!(first.unwrap().status_code, 200);
        verify_response_signature(&leaf, &key().public_key()).unwrap();
        prop_assert!(MinedRelay::new(&RelayRequest::default(), &leaf).bytes.len() < 1_000, "no payload in the leaf");
    }

    #[test]
    fn no_change_to_a_chained_stream_goes_unnoticed(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 2..6),
        change in 0_usize..6,
        at in any::<prop::sample::Index>(),
        bit in 0_u32..8,
    ) {
        let (frames, _) = written(Framing::Chained, &pieces, End::Complete);
        let whole = frames.concat();
        let (other, _) = written(Framing::Chained, &pieces, End::Complete);
        let mut changed = frames.clone();
        let index = at.index(frames.len());
        let bytes = match change {
            0 => { changed.remove(index); changed.concat() }
            1 => { changed.insert(index, other[index].clone()); changed.concat() }
            2 => { changed.swap(index, (index + 1) % frames.len()); changed.concat() }
            3 => whole[..at.index(whole.len())].to_vec(),
            4 => { let mut bytes = whole.clone(); bytes[at.index(whole.len())] ^= 1 << bit; bytes }
            _ => [whole.clone(), frames[index].to_vec()].concat(),
        };
        let (_, body, end) = read(reader(Framing::Chained), &bytes, 64);
        prop_assert!(pieces.concat().starts_with(&body), "no byte out of place");
        // What stands behind the end is not read: the last message once more is.
        let behind = matches!(change, 1 | 5) && body == pieces.concat();
        prop_assert!(end.is_err() || behind, "{} of {}: {:?}", change, index, end);
    }
}

#[test]
fn messages_of_another_request_do_not_belong_to_a_chained_stream() {
    let (frames, _) = written(Framing::Chained, &[b"data: 1\n\n".to_vec()], End::Complete);
    let other = StreamReader::new(Framing::Chained, header(), &[8; 199], key().public_key());
    let (first, _, end) = read(other, &frames.concat(), 1_000);
    assert_eq!(
        (first, end),
        (
            None,
            Err(StreamFault::OutOfPlace("it does not follow the one before"))
        )
    );
}

#[test]
fn a_cut_is_told_by_the_supplier_or_by_what_is_missing() {
    let pieces = [b"data: 1\n\n".to_vec()];
    let (frames, leaf) = written(Framing::Chained, &pieces, End::Cut("backend"));
    let (_, body, end) = read(reader(Framing::Chained), &frames.concat(), 10);
    assert_eq!(
        (body, end),
        (pieces.concat(), Err(StreamFault::Cut("backend".to_owned())))
    );
    verify_response_signature(&leaf, &key().public_key()).unwrap();
    let (_, body, end) = read(reader(Framing::Chained), &frames[0], 10);
    assert_eq!((body, end), (pieces.concat(), Err(StreamFault::Truncated)));
    for framing in [Framing::Chained, Framing::Delimited] {
        assert_eq!(
            read(reader(framing), b"", 1).2,
            Err(StreamFault::Truncated),
            "nothing is signed"
        );
        let noise = read(reader(framing), &[b'x'; 2 * MAX_MESSAGE], 1 << 16).2;
        assert_eq!(noise, Err(StreamFault::TooLarge));
    }
    let flood = b"||POKT_STREAM||".repeat(1_000);
    let undecodable = StreamFault::Message(crate::MessageFault::Undecodable);
    assert_eq!(
        read(reader(Framing::Delimited), &flood, 1 << 16).2,
        Err(undecodable)
    );
}

#[test]
fn an_empty_stream_is_a_signed_answer() {
    for framing in [Framing::Chained, Framing::Delimited] {
        let (frames, _) = written(framing, &[], End::Complete);
        let (first, body, end) = read(reader(framing), &frames.concat(), 10);
        assert_eq!((first.unwrap().status_code, body, end), (200, Vec::new(), Ok(())));
    }
}

#[test]
fn a_leaf_in_the_go_framing_has_the_hash_of_the_body_as_the_ha_miners() {
    let (_, leaf) = written(
        Framing::Delimited,
        &[b"data: 1\n".to_vec(), b"\n".to_vec()],
        End::Complete,
    );
    assert_eq!(leaf.payload_hash, Sha256::digest(b"data: 1\n\n").to_vec());
    assert!(leaf.payload.is_empty());
}

#[test]
fn media_types_of_streams() {
    for (content_type, expected) in [
        ("text/event-stream", true),
        ("Text/Event-Stream; charset=utf-8", true),
        ("application/x-ndjson", true),
        ("application/json", false),
        ("text/event-streams", false),
        ("", false),
    ] {
        assert_eq!(is_stream(content_type.as_bytes()), expected, "{content_type}");
    }
}

#[test]
fn the_specification_and_the_code_say_the_same() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../testdata/relay-stream-1/stream.json")).unwrap();
    let streams = vectors["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 6);
    for stream in streams {
        let name = stream["name"].as_str().unwrap();
        let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
        let signature = bytes(&stream["request_signature"]);
        let fields = |value: &Value| -> BTreeMap<String, Header> {
            let fields: BTreeMap<String, Vec<String>> = serde_json::from_value(value.clone()).unwrap();
            let fields = fields.into_iter();
            fields
                .map(|(key, values)| (key.clone(), Header { key, values }))
                .collect()
        };
        let trailers = fields(&stream["trailers"]);
        let head = PokthttpResponse {
            status_code: u32::try_from(stream["status"].as_u64().unwrap()).unwrap(),
            header: fields(&stream["headers"]),
            body_bz: Bytes::new(),
        };
        let mut writer = StreamWriter::new(Framing::Chained, header(), &signature, head.clone(), key());
        let mut frames = Vec::new();
        for piece in stream["pieces"].as_array().unwrap() {
            frames.extend(writer.frames(bytes(piece).into()));
        }
        let end = match stream["cut"].as_str() {
            None => End::Complete,
            Some(_) => End::Cut("backend"),
        };
        let finished = writer.finish(end, trailers.clone());
        frames.extend(finished.frame);
        let payloads: Vec<Vec<u8>> = frames
            .iter()
            .map(|frame| RelayResponse::decode(&frame[4..]).unwrap().payload.to_vec())
            .collect();
        let expected: Vec<Vec<u8>> = stream["payloads"].as_array().unwrap().iter().map(bytes).collect();
        assert_eq!(payloads, expected, "{name}");
        assert_eq!(
            finished.leaf.payload_hash,
            bytes(&stream["leaf_payload_hash"]),
            "{name}"
        );
        let reader = StreamReader::new(Framing::Chained, header(), &signature, key().public_key());
        let (first, _, ended) = read_with_trailers(reader, &frames.concat(), 100);
        let first = first.unwrap();
        assert_eq!(
            (first.status_code, first.header),
            (head.status_code, head.header),
            "{name}"
        );
        match end {
            End::Complete => assert_eq!(ended, Ok(trailers), "{name}"),
            End::Cut(_) => assert!(ended.is_err(), "{name}"),
        }
    }
}

/// What the HA relay miner sent, and what its caller got through pocket-ap: bytes of lines, mostly the backend's.
#[test]
fn streams_of_the_ha_relay_miner_are_read() {
    let recorded: Value = serde_json::from_str(include_str!(
        "../../../../testdata/go-wire-transports/streams.json"
    ))
    .unwrap();
    let suppliers = &recorded["suppliers"];
    let (mut whole, mut refused) = (0, BTreeMap::new());
    for case in recorded["cases"].as_array().unwrap() {
        let name = case["case"].as_str().unwrap();
        let leg = |wanted: &str| {
            let mut exchanges = case["exchanges"].as_array().unwrap().iter();
            exchanges.find(|exchange| exchange["leg"].as_str().unwrap().starts_with(wanted))
        };
        let Some(relay) = leg("relay.ha") else { continue };
        let bytes = |exchange: &Value, field: &str| {
            hex::decode(exchange[field].as_str().unwrap_or_default()).unwrap()
        };
        let request = RelayRequest::decode(&*bytes(relay, "request")).unwrap();
        let meta = request.meta.unwrap();
        let supplier = suppliers[&meta.supplier_operator_address].as_str().unwrap();
        let supplier = PublicKey::from_slice(&hex::decode(supplier).unwrap()).unwrap();
        let header = meta.session_header.unwrap();
        let reader = StreamReader::new(Framing::Delimited, header, &meta.signature, supplier);
        let (_, body, end) = read(reader, &bytes(relay, "body"), 777);
        if let Err(fault) = end {
            refused.insert(name.to_owned(), fault.to_string());
            continue;
        }
        whole += 1;
        // Who called through pocket-ap got the same; but where the data has the delimiter, which only ours reads.
        let Some(client) = leg("client.pap").filter(|_| name != "stream-pap-rest-ha-sse-delim") else {
            continue;
        };
        match client["sha256"].as_str() {
            Some(hash) => assert_eq!(hex::encode(Sha256::digest(&body)), hash, "{name}"),
            None => assert_eq!(body, bytes(client, "body"), "{name}"),
        }
    }
    assert_eq!(whole, 23, "{refused:?}");
    // What nothing is signed of, and what ends with an unsigned error.
    let refused: Vec<(&str, &str)> = refused.iter().map(|(name, fault)| (&**name, &**fault)).collect();
    let expected = [
        ("stream-pap-rest-ha-ndjson-empty", "the stream is cut off"),
        ("stream-pap-rest-ha-sse-empty", "the stream is cut off"),
        (
            "stream-pap-rest-ha-sse-err500",
            "the bytes are not a relay response",
        ),
    ];
    assert_eq!(refused, expected);
}
