use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use prost::Message;

use super::*;

fn judge(status: u32, body: &str, id: &str) -> Result<Verdict, Fault> {
    let body_bz = Bytes::copy_from_slice(body.as_bytes());
    let response = PokthttpResponse {
        status_code: status,
        body_bz,
        ..Default::default()
    };
    super::judge(
        response.encode_to_vec().into(),
        &Some(Bytes::copy_from_slice(id.as_bytes())),
        MAX,
    )
}

/// Bytes that an answer may have.
const MAX: usize = 1 << 10;

/// An answer with a `Content-Encoding`.
fn judge_encoded(encoding: &str, body_bz: Vec<u8>) -> Result<Verdict, Fault> {
    let header = Header {
        key: "Content-Encoding".to_owned(),
        values: vec![encoding.to_owned()],
    };
    let response = PokthttpResponse {
        status_code: 200,
        header: [("content-encoding".to_owned(), header)].into(),
        body_bz: body_bz.into(),
    };
    super::judge(response.encode_to_vec().into(), &Some("7".into()), MAX)
}

#[test]
fn an_encoded_answer_is_decoded_within_bounds() {
    let body = r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#;
    let encoded = zstd::encode_all(body.as_bytes(), 1).unwrap();
    assert_eq!(judge_encoded("zstd", encoded).unwrap().answer, body);
    assert_eq!(judge_encoded("identity", body.into()).unwrap().answer, body);
    let bomb = zstd::encode_all(&vec![b' '; 1 << 20][..], 1).unwrap();
    assert!(matches!(judge_encoded("zstd", bomb), Err(Fault::TooLarge(MAX))));
    for (encoding, body) in [("zstd", body), ("compress", body)] {
        let fault = judge_encoded(encoding, body.into()).unwrap_err();
        assert_eq!(fault.cause(), "bad_payload", "{encoding}");
    }
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
        r#"{"id":null,"result":1}"#,
        r#"{"id":"8","result":1}"#,
        r#"{"id":8,"error":{"code":-32700,"message":"parse error"}}"#,
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
fn an_answer_of_another_form_is_an_answer() {
    for (id, body, told) in [
        ("7", r#"{"id":"7","result":1}"#, r#"{"id":7,"result":1}"#),
        (r#""7""#, r#"{"id":7,"result":1}"#, r#"{"id":"7","result":1}"#),
        (
            "7",
            r#"{"id":null,"error":{"code":-32700,"message":"parse error"}}"#,
            r#"{"id":7,"error":{"code":-32700,"message":"parse error"}}"#,
        ),
        (
            "7",
            r#" {"error":{"code":-32700,"message":"parse error"}}"#,
            r#" {"id":7,"error":{"code":-32700,"message":"parse error"}}"#,
        ),
    ] {
        assert_eq!(judge(400, body, id).unwrap().answer, told);
    }
}

#[test]
fn judges_the_body_first_and_tells_a_rate_limit() {
    let body = r#"{"id":7,"error":{"code":-32603,"message":"internal"}}"#;
    for status in [400, 429, 500, 503] {
        let judged = judge(status, body, "7").unwrap();
        assert_eq!((judged.failed, &judged.answer[..]), (false, body.as_bytes()));
    }
    for (status, error, failed) in [
        (
            429,
            r#"{"code":-32005,"message":"daily request count exceeded"}"#,
            true,
        ),
        (429, r#"{"message":"compute units per second","code":429}"#, true),
        (429, r#""slow down""#, false),
        (
            200,
            r#"{"code":-32005,"message":"more than 10000 results"}"#,
            false,
        ),
    ] {
        let body = format!(r#"{{"id":7,"error":{error}}}"#);
        assert_eq!(
            judge(status, &body, "7").unwrap().failed,
            failed,
            "{status} {error}"
        );
    }
    assert_eq!(judge(503, "<html>", "7").unwrap_err().cause(), "backend");
    assert_eq!(judge(429, "slow down", "7").unwrap_err().cause(), "backend");
}

#[test]
fn asks_nothing_of_the_answer_to_a_notification() {
    let response = PokthttpResponse {
        status_code: 200,
        ..Default::default()
    };
    let judged = super::judge(response.encode_to_vec().into(), &None, MAX).unwrap();
    assert!(judged.answer.is_empty());
}
