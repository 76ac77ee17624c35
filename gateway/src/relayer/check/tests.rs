use bytes::Bytes;
use portico_net::budget::Budgets;
use portico_protocol::wire::cosmos::auth::v1beta1::{BaseAccount, QueryAccountResponse};
use portico_protocol::wire::cosmos::crypto::secp256k1::PubKey;
use portico_protocol::wire::pocket::service::RelayRequest;
use portico_protocol::wire::sdk::types::PokthttpRequest;
use portico_relay as relay;
use prost::Message as _;
use tokio::time::Instant;

use super::*;
use crate::codec::jsonrpc::{self, Body, Id, JsonRpc};

fn checked(message: Message, header: &SessionHeader, key: &PublicKey, id: &Id) -> Result<Checked, Fault> {
    let call = Call {
        request: relay::Call::json_rpc(String::new(), Bytes::new()),
        expected: id.clone(),
        budgets: Budgets::of_all(0),
        wants_receipt: false,
        takes_stream: false,
        choice: None,
        origin: std::sync::Arc::default(),
        deadline: Instant::now(),
    };
    check_here(JsonRpc, message, header, key, &call, 64 << 20)
}

/// Messages captured between PATH or pocket-ap and a relay miner.
const CAPTURED: [&str; 4] = ["path-svc1-01", "path-svc1-02", "path-svc1-03", "pocketap-svc1-01"];

fn captured(name: &str) -> Bytes {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/go-poktroll-0.1.35/wire");
    std::fs::read(format!("{folder}/{name}")).unwrap().into()
}

/// Header and JSON-RPC id of a captured request.
fn asked(name: &str) -> (SessionHeader, Id) {
    let request = RelayRequest::decode(captured(&format!("{name}.request.bin"))).unwrap();
    let call = PokthttpRequest::decode(request.payload).unwrap().body_bz;
    let Body::Single(Ok(item)) = jsonrpc::read(&call, 1) else {
        panic!("{name} holds no call")
    };
    (request.meta.unwrap().session_header.unwrap(), item.id)
}

/// The key of the supplier that answered, as the chain gave it.
fn supplier_key() -> PublicKey {
    let account = captured("query.auth.Account.supplier1.response.bin");
    let response = QueryAccountResponse::decode(account).unwrap();
    let account = BaseAccount::decode(&*response.account.unwrap().value).unwrap();
    let key = PubKey::decode(&*account.pub_key.unwrap().value).unwrap();
    PublicKey::from_slice(&key.key).unwrap()
}

fn received(name: &str) -> Message {
    Message {
        http_error: None,
        room: None,
        receipt: None,
        stream: None,
        bytes: captured(&format!("{name}.response.bin")),
    }
}

#[test]
fn takes_the_answers_of_a_running_relay_miner() {
    for name in CAPTURED {
        let (header, id) = asked(name);
        let checked = checked(received(name), &header, &supplier_key(), &id).unwrap();
        assert_eq!(checked.verdict.status, 200, "{name}");
        assert!(!checked.response.payload_hash.is_empty());
    }
}

#[test]
fn refuses_them_with_any_byte_changed() {
    let (name, key) = (CAPTURED[0], supplier_key());
    let (header, id) = asked(name);
    let honest = received(name).bytes;
    for index in 0..honest.len() {
        let mut body = honest.to_vec();
        body[index] ^= 1;
        let sent = Message {
            http_error: None,
            room: None,
            receipt: None,
            stream: None,
            bytes: body.into(),
        };
        assert!(checked(sent, &header, &key, &id).is_err(), "byte {index}");
    }
}

#[test]
fn refuses_them_for_another_session_supplier_or_call() {
    let key = supplier_key();
    let (header, id) = asked("path-svc1-01");
    let (other_header, _) = asked("pocketap-svc1-01");
    let fault = checked(received("path-svc1-01"), &other_header, &key, &id).unwrap_err();
    assert_eq!(fault.cause(), "session_header");
    let stranger = portico_protocol::SigningKey::from_bytes(&[9; 32])
        .unwrap()
        .public_key();
    let fault = checked(received("path-svc1-01"), &header, &stranger, &id).unwrap_err();
    assert_eq!(fault.cause(), "signature");
    let fault = checked(received("path-svc1-01"), &header, &key, &Some("\"other\"".into())).unwrap_err();
    assert_eq!(fault.cause(), "bad_payload");
}
