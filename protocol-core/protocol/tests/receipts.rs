//! Receipts against signatures that OpenSSL made over recorded relays (`testdata/relay-receipt-v1`).
#![allow(missing_docs, clippy::unwrap_used)]

use portico_protocol::receipt::{ReceiptError, digest, sign, verify};
use portico_protocol::wire::pocket::service::{RelayRequest, RelayRequestMetadata, RelayResponse};
use portico_protocol::{PublicKey, SigningKey};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    receipts: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    request_signature: String,
    payload_hash: String,
    supplier_private_key: String,
    supplier_public_key: String,
    digest: String,
    receipt: String,
    accepted: Vec<String>,
    refused_high_s: String,
}

impl Case {
    fn request(&self) -> RelayRequest {
        let meta = RelayRequestMetadata {
            signature: hex::decode(&self.request_signature).unwrap(),
            ..Default::default()
        };
        RelayRequest {
            meta: Some(meta),
            ..Default::default()
        }
    }

    fn response(&self) -> RelayResponse {
        RelayResponse {
            payload_hash: hex::decode(&self.payload_hash).unwrap(),
            ..Default::default()
        }
    }

    fn verify(&self, receipt: &str) -> Result<(), ReceiptError> {
        let key = PublicKey::from_slice(&hex::decode(&self.supplier_public_key).unwrap()).unwrap();
        verify(receipt, &self.request(), &self.response(), &key)
    }
}

fn cases() -> Vec<Case> {
    let text = include_str!("../../../testdata/relay-receipt-v1/receipts.json");
    let file: File = serde_json::from_str(text).unwrap();
    assert_eq!(file.receipts.len(), 9);
    file.receipts
}

#[test]
fn receipts_are_signed_byte_for_byte_as_openssl_signs() {
    for case in cases() {
        let (request, response) = (case.request(), case.response());
        let hashed = digest(&request.meta.as_ref().unwrap().signature, &response.payload_hash);
        assert_eq!(hex::encode(hashed), case.digest, "{}", case.name);
        let key = SigningKey::from_hex(&case.supplier_private_key).unwrap();
        let receipt = sign(&request, &response, &key).unwrap();
        assert_eq!(receipt, case.receipt, "{}", case.name);
    }
}

#[test]
fn every_spelling_of_a_receipt_verifies_but_a_high_s_does_not() {
    for case in cases() {
        for receipt in case.accepted.iter().chain([&case.receipt]) {
            assert_eq!(case.verify(receipt), Ok(()), "{} {receipt}", case.name);
        }
        let refused = case.verify(&case.refused_high_s);
        assert_eq!(refused, Err(ReceiptError::Signature), "{}", case.name);
    }
}

#[test]
fn what_is_no_receipt_is_refused_whatever_its_length() {
    let case = &cases()[0];
    let hex = "0".repeat(128);
    let refused = [
        hex.clone(),
        format!("v1.{}", &hex[1..]),
        format!("v1.{hex}0"),
        format!("v1.g{}", &hex[1..]),
        format!("v1.{}", "A".repeat(84)),
        format!("v1.{}", "A".repeat(88)),
        format!("v1.{}+", "A".repeat(85)),
        format!("v1.{}", "0".repeat(1 << 16)),
        format!("v1.{}", "é".repeat(64)),
    ];
    for receipt in refused {
        let outcome = case.verify(&receipt);
        assert_eq!(outcome, Err(ReceiptError::Malformed), "{receipt:.40}");
    }
}
