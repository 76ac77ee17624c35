//! A transaction that went to two nodes: the first one may have taken it although no answer came, and the second one says that it has it.
//!
//! Its caller sent it once and wants its hash, which is that of the bytes that were sent: an error would make wallets send another one.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::json;
use serde_json::value::RawValue;
use sha3::{Digest as _, Keccak256};

use super::Id;
use super::members::members;
use crate::codec::Repeated;

/// The method by which transactions are sent.
const SEND: &str = "eth_sendRawTransaction";
/// What nodes say of a transaction that they hold already, in lower case: geth, reth, anvil, erigon; nethermind; besu and hardhat; parity and
/// anvil; EVM chains on CometBFT.
const HELD: [&str; 5] = [
    "already known",
    "alreadyknown",
    "known transaction",
    "already imported",
    "already exists in cache",
];
/// What they say when another transaction of the sender has its nonce, or this one, once it is in a block.
const NONCE_USED: [&str; 3] = ["nonce too low", "nonce is too low", "oldnonce"];
/// Id of a question of our own.
pub(crate) const OWN_ID: &[u8] = b"1";
/// The type of a transaction that may be sent with its blobs beside it, which its hash does not cover (EIP-4844).
const BLOBS: u8 = 3;

/// What to answer to `request` instead of `answer`, which came after a try that failed.
pub(super) fn repeated(request: &Bytes, id: &Id, answer: &Bytes) -> Option<Repeated> {
    let id = serde_json::from_slice::<&RawValue>(id.as_deref()?).ok()?;
    let [error] = members(std::str::from_utf8(answer).ok()?, ["error"]).ok()?;
    let [message] = members(error?.get(), ["message"]).ok()?;
    let message = text(message?)?.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    let is_held = says(&HELD);
    if !is_held && !says(&NONCE_USED) {
        return None;
    }
    let [method, params] = members(std::str::from_utf8(request).ok()?, ["method", "params"]).ok()?;
    if text(method?)? != SEND {
        return None;
    }
    let params: Vec<&RawValue> = serde_json::from_str(params?.get()).ok()?;
    let sent = text(params.first()?)?;
    let hash = hash(&hex::decode(sent.strip_prefix("0x")?).ok()?)?;
    let hash = format!("0x{}", hex::encode(hash));
    let question = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionByHash", "params": [hash]});
    Some(Repeated {
        answer: json!({"jsonrpc": "2.0", "id": id, "result": hash})
            .to_string()
            .into(),
        question: (!is_held).then(|| question.to_string().into()),
    })
}

/// Whether `method`, as it is written in a request, sends a transaction, so that [`repeated`] may have something to say.
pub(super) fn sends(method: &[u8]) -> bool {
    serde_json::from_slice::<Cow<'_, str>>(method).is_ok_and(|method| method == SEND)
}

/// Whether an answer to [`Repeated::question`] names a transaction.
pub(crate) fn names_a_transaction(answer: &[u8]) -> bool {
    let found = std::str::from_utf8(answer).map(|text| members(text, ["result"]));
    matches!(found, Ok(Ok([Some(result)])) if result.get().starts_with('{'))
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get()).ok()
}

/// The hash of a transaction as it was sent; `None` of bytes that are none.
fn hash(sent: &[u8]) -> Option<[u8; 32]> {
    if let Some((&BLOBS, wrapped)) = sent.split_first() {
        let (items, _) = list(wrapped)?;
        // With blobs beside it the transaction is the first item, a list; without them the first item is the chain's number.
        if let Some((_, transaction)) = list(items) {
            let hash = Keccak256::new().chain_update([BLOBS]).chain_update(transaction);
            return Some(hash.finalize().into());
        }
    }
    (!sent.is_empty()).then(|| Keccak256::digest(sent).into())
}

/// The list that RLP-encoded `bytes` begin with: what is in it, and all of it.
fn list(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (start, length) = match first {
        0xc0..=0xf7 => (1, usize::from(first - 0xc0)),
        0xf8..=0xff => {
            let width = usize::from(first - 0xf7);
            let mut length = 0_usize;
            for byte in rest.get(..width)? {
                length = length.checked_mul(256)?.checked_add(usize::from(*byte))?;
            }
            (1 + width, length)
        }
        _ => return None,
    };
    let end = start.checked_add(length)?;
    Some((bytes.get(start..end)?, bytes.get(..end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of EIP-155, and its hash as ethers and viem give it.
    const RAW: &str = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
    const HASH: &str = "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788";

    fn asked(method: &str, id: &str, message: &str) -> Option<Repeated> {
        let request = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":["{RAW}"]}}"#);
        let error = json!({"code": -32000, "message": message});
        let answer = json!({"jsonrpc": "2.0", "id": 1, "error": error}).to_string();
        repeated(
            &request.into(),
            &Some(Bytes::copy_from_slice(id.as_bytes())),
            &answer.into(),
        )
    }

    #[test]
    fn a_transaction_that_the_node_holds_is_answered_by_its_hash() {
        for message in [
            "already known",
            "ALREADY_EXISTS: already known",
            "AlreadyKnown",
            "Known transaction",
            "Known transaction: 0x33",
            "Transaction with the same hash was already imported.",
            "transaction already imported",
            "tx already exists in cache",
        ] {
            let repeated = asked(SEND, "\"a\"", message).expect(message);
            let answer = format!(r#"{{"id":"a","jsonrpc":"2.0","result":"{HASH}"}}"#);
            assert_eq!((repeated.answer, repeated.question), (Bytes::from(answer), None));
        }
    }

    #[test]
    fn a_used_nonce_is_looked_into() {
        for message in [
            "nonce too low",
            "Nonce too low. Expected nonce to be 1 but got 0.",
            "OldNonce, Current nonce: 1, nonce of rejected tx: 0",
            "nonce too low: next nonce 1, tx nonce 0",
        ] {
            let question = asked(SEND, "7", message).expect(message).question.expect(message);
            let question: serde_json::Value = serde_json::from_slice(&question).unwrap();
            assert_eq!(question["params"][0], HASH);
        }
        let found = |result: &str| names_a_transaction(format!(r#"{{"id":1,"result":{result}}}"#).as_bytes());
        assert!(found(r#"{"hash":"0x"}"#));
        assert!(!found("null"));
        assert!(!names_a_transaction(br#"{"id":1,"error":{}}"#));
    }

    #[test]
    fn everything_else_is_the_nodes_to_say() {
        assert!(asked(SEND, "1", "insufficient funds for gas * price + value").is_none());
        assert!(asked("eth_call", "1", "already known").is_none());
        for (request, answer) in [
            ("", ""),
            (
                r#"{"method":"eth_sendRawTransaction"}"#,
                r#"{"error":{"message":"already known"}}"#,
            ),
            (
                r#"{"method":"eth_sendRawTransaction","params":["0x"]}"#,
                r#"{"error":{"message":"already known"}}"#,
            ),
            (
                r#"{"method":"eth_sendRawTransaction","params":[{}]}"#,
                r#"{"error":{"message":"already known"}}"#,
            ),
            (
                r#"{"method":"eth_sendRawTransaction","params":["0x00"]}"#,
                r#"{"result":"0x00"}"#,
            ),
        ] {
            assert!(
                repeated(&request.into(), &Some("1".into()), &answer.into()).is_none(),
                "{request}"
            );
        }
    }

    #[test]
    fn blobs_beside_a_transaction_are_not_hashed() {
        // 03 ‖ rlp([1, 2]), and 03 ‖ rlp([[1, 2], [], []]).
        let alone = [BLOBS, 0xc2, 1, 2];
        let with_blobs = [BLOBS, 0xc5, 0xc2, 1, 2, 0xc0, 0xc0];
        assert_eq!(hash(&with_blobs), hash(&alone));
        assert_eq!(hash(&alone), Some(Keccak256::digest(alone).into()));
        let long = [vec![BLOBS, 0xf8, 60, 0xf8, 58], vec![0; 58]].concat();
        let inner = [vec![BLOBS, 0xf8, 58], vec![0; 58]].concat();
        assert_eq!(hash(&long), Some(Keccak256::digest(inner).into()));
        for broken in [&[BLOBS][..], &[BLOBS, 0xff], &[BLOBS, 0xc9, 1], &[]] {
            assert_eq!(hash(broken), None);
        }
    }
}
