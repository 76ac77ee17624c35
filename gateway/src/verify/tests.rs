use http::StatusCode;
use portico_protocol::wire::cosmos::auth::v1beta1::{BaseAccount, QueryAccountResponse};
use portico_protocol::wire::cosmos::crypto::secp256k1::PubKey;
use portico_protocol::wire::pocket::service::RelayRequest;
use portico_protocol::wire::sdk::types::PokthttpRequest;

use super::*;

fn judge(status: u32, body: &str, id: &str) -> Result<Judged, Fault> {
    let body_bz = Bytes::copy_from_slice(body.as_bytes());
    let response = PokthttpResponse {
        status_code: status,
        body_bz,
        ..Default::default()
    };
    super::judge(
        response.encode_to_vec().into(),
        &Some(Bytes::copy_from_slice(id.as_bytes())),
    )
}

#[test]
fn passes_what_the_chain_says_byte_for_byte() {
    for body in [
        r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#,
        r#"{"id":7, "result":null, "jsonrpc":"2.0"}"#,
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":3,"message":"execution reverted","data":"0x08c3"}}"#,
        " {\"id\":7,\"result\":[1,\n2]}\n",
    ] {
        assert_eq!(judge(200, body, "7").unwrap().answer, body.as_bytes());
        assert!(
            judge(400, body, "7").is_ok(),
            "an error of the chain may come with a 4xx"
        );
    }
}

#[test]
fn refuses_what_is_no_answer_to_the_call() {
    for body in [
        "",
        "  ",
        "<html>502</html>",
        "[]",
        "7",
        "oops",
        "{",
        "{}",
        r#"{"id":7}"#,
        r#"{"id":7,"error":null}"#,
        r#"{"result":1}"#,
        r#"{"id":8,"result":1}"#,
        r#"{"id":"7","result":1}"#,
        r#"{"id":null,"error":{"code":-32700,"message":"parse error"}}"#,
        "{\"id\":7,\"result\":\"\u{1}\"}",
    ] {
        assert_eq!(
            judge(200, body, "7").unwrap_err().cause(),
            "bad_payload",
            "{body}"
        );
    }
}

#[test]
fn gives_the_caller_back_its_own_id() {
    let answer = judge(200, r#"{"id" : "a" ,"result":1}"#, r#""\u0061""#)
        .unwrap()
        .answer;
    assert_eq!(answer, r#"{"id" : "\u0061" ,"result":1}"#);
}

#[test]
fn blames_the_backend_for_a_server_error_and_keeps_what_it_said() {
    let body = r#"{"id":7,"error":{"code":-32603,"message":"internal"}}"#;
    let judged = judge(500, body, "7").unwrap();
    assert_eq!((judged.failed, &judged.answer[..]), (true, body.as_bytes()));
    assert_eq!(judge(503, "<html>", "7").unwrap_err().cause(), "backend");
    assert_eq!(judge(429, "slow down", "7").unwrap_err().cause(), "backend");
}

#[test]
fn asks_nothing_of_the_answer_to_a_notification() {
    let response = PokthttpResponse {
        status_code: 200,
        ..Default::default()
    };
    let judged = super::judge(response.encode_to_vec().into(), &None).unwrap();
    assert!(judged.answer.is_empty());
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
    let crate::http::jsonrpc::Body::Single(Ok(item)) = crate::http::jsonrpc::read(&call, 1) else {
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

fn received(name: &str) -> Sent {
    Sent {
        status: StatusCode::OK,
        body: captured(&format!("{name}.response.bin")),
    }
}

#[test]
fn takes_the_answers_of_a_running_relay_miner() {
    for name in CAPTURED {
        let (header, id) = asked(name);
        let checked = check_here(received(name), &header, &supplier_key(), &id).unwrap();
        assert_eq!(checked.judged.status, 200, "{name}");
        assert!(!checked.response.payload_hash.is_empty());
    }
}

#[test]
fn refuses_them_with_any_byte_changed() {
    let (name, key) = (CAPTURED[0], supplier_key());
    let (header, id) = asked(name);
    let honest = received(name).body;
    for index in 0..honest.len() {
        let mut body = honest.to_vec();
        body[index] ^= 1;
        let sent = Sent {
            status: StatusCode::OK,
            body: body.into(),
        };
        assert!(check_here(sent, &header, &key, &id).is_err(), "byte {index}");
    }
}

#[test]
fn refuses_them_for_another_session_supplier_or_call() {
    let key = supplier_key();
    let (header, id) = asked("path-svc1-01");
    let (other_header, _) = asked("pocketap-svc1-01");
    let fault = check_here(received("path-svc1-01"), &other_header, &key, &id).unwrap_err();
    assert_eq!(fault.cause(), "session_header");
    let stranger = portico_protocol::SigningKey::from_bytes(&[9; 32])
        .unwrap()
        .public_key();
    let fault = check_here(received("path-svc1-01"), &header, &stranger, &id).unwrap_err();
    assert_eq!(fault.cause(), "signature");
    let fault = check_here(received("path-svc1-01"), &header, &key, &Some("\"other\"".into())).unwrap_err();
    assert_eq!(fault.cause(), "bad_payload");
}
