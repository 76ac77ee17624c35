//! Keys and addresses against the data of the Go implementation.

use prost::Message as _;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::*;
use crate::wire::cosmos::crypto::secp256k1::PubKey;
use portico_vectors::{Hex, Outcome, counted, read_json};

const FILE: &str = "tx.json";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "sections that the tests of transactions check")]
struct File {
    meta: IgnoredAny,
    addresses: Vec<Account>,
    module_addresses: Vec<Module>,
    ed25519_public_key_any: Vec<Validator>,
    address_parsing: Vec<Parsing>,
    transactions: IgnoredAny,
    signature_checks: Vec<SignatureCheck>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    private_key: Hex,
    public_key: Hex,
    address: String,
    address_bytes: Hex,
    valoper: String,
    valcons: String,
    public_key_any_type_url: String,
    public_key_any_value: Hex,
    public_key_any_bytes: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Module {
    module: String,
    address: String,
    address_bytes: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Validator {
    public_key: Hex,
    type_url: String,
    bytes: Hex,
    consensus_address: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parsing {
    address: String,
    parse: Outcome,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureCheck {
    name: String,
    public_key: Hex,
    message: Hex,
    signature: Hex,
    valid: bool,
}

/// The bytes of a bech32 text, whatever its prefix.
fn bech32_bytes(text: &str, prefix: &str) -> Vec<u8> {
    let (hrp, bytes) = bech32::decode(text).unwrap();
    assert_eq!(hrp.as_str(), prefix);
    bytes
}

#[test]
fn derives_public_keys_and_addresses_as_go_does() {
    let file: File = read_json(FILE);
    for case in &file.addresses {
        let key = SigningKey::from_bytes(&case.private_key.array()).unwrap();
        assert_eq!(key.to_hex(), hex::encode(&case.private_key.0));
        assert_eq!(
            key.public_key(),
            PublicKey::from_slice(&case.public_key.0).unwrap()
        );
        assert_eq!(key.address().to_string(), case.address);
        assert_eq!(key.address().as_bytes().as_slice(), case.address_bytes.0);
        assert_eq!(case.address.parse(), Ok(key.address()));
        assert_eq!(bech32_bytes(&case.valoper, "poktvaloper"), case.address_bytes.0);
        assert_eq!(bech32_bytes(&case.valcons, "poktvalcons"), case.address_bytes.0);
        let message = PubKey {
            key: case.public_key.0.clone(),
        };
        assert_eq!(message.encode_to_vec(), case.public_key_any_value.0);
        let any = prost_types::Any {
            type_url: case.public_key_any_type_url.clone(),
            value: message.encode_to_vec(),
        };
        assert_eq!(any.type_url, "/cosmos.crypto.secp256k1.PubKey");
        assert_eq!(any.encode_to_vec(), case.public_key_any_bytes.0);
    }
    counted(FILE, "addresses", file.addresses.len());
}

#[test]
fn writes_module_and_consensus_addresses_as_go_does() {
    let file: File = read_json(FILE);
    for case in &file.module_addresses {
        let address: Address = case.address.parse().unwrap();
        assert_eq!(
            address.as_bytes().as_slice(),
            case.address_bytes.0,
            "{}",
            case.module
        );
        assert_eq!(address.as_bytes().as_slice(), &Sha256::digest(&case.module)[..20]);
        assert_eq!(address.to_string(), case.address);
    }
    counted(FILE, "module_addresses", file.module_addresses.len());
    for case in &file.ed25519_public_key_any {
        let any = prost_types::Any::decode(case.bytes.0.as_slice()).unwrap();
        assert_eq!(any.type_url, case.type_url);
        let key = crate::wire::cosmos::crypto::ed25519::PubKey::decode(any.value.as_slice()).unwrap();
        assert_eq!(key.key, case.public_key.0);
        let address = bech32_bytes(&case.consensus_address, "poktvalcons");
        assert_eq!(address, &Sha256::digest(&case.public_key.0)[..20]);
    }
    counted(FILE, "ed25519_public_key_any", file.ed25519_public_key_any.len());
}

#[test]
fn reads_addresses_as_go_does() {
    let file: File = read_json(FILE);
    for case in &file.address_parsing {
        case.parse.agrees(&case.address, &case.address.parse::<Address>());
    }
    counted(FILE, "address_parsing", file.address_parsing.len());
}

#[test]
fn judges_signatures_as_go_does() {
    let file: File = read_json(FILE);
    for case in &file.signature_checks {
        let key = PublicKey::from_slice(&case.public_key.0).unwrap();
        let ours = key.verify(&case.message.0, &case.signature.0);
        assert_eq!(ours.is_ok(), case.valid, "{}", case.name);
    }
    counted(FILE, "signature_checks", file.signature_checks.len());
}

#[test]
fn what_a_key_signs_verifies_and_no_altered_byte_does() {
    let mut rng = StdRng::seed_from_u64(1);
    let key = SigningKey::generate(&mut rng);
    let signature = key.sign(b"message");
    assert_eq!(key.sign(b"message"), signature, "nonces follow RFC 6979");
    key.public_key().verify(b"message", &signature).unwrap();
    for at in 0..signature.len() {
        let mut altered = signature;
        altered[at] ^= 0x10;
        assert_eq!(
            key.public_key().verify(b"message", &altered),
            Err(KeyError::Signature),
            "byte {at}"
        );
    }
    assert_eq!(
        key.public_key().verify(b"messagf", &signature),
        Err(KeyError::Signature)
    );
}

#[test]
fn refuses_what_is_not_a_key() {
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let zero = "00".repeat(32);
    for text in [
        "",
        "00",
        &zero,
        ORDER,
        &"ff".repeat(32),
        &"0x".repeat(32),
        &"11".repeat(31),
        &"11".repeat(33),
    ] {
        assert_eq!(
            SigningKey::from_hex(text).unwrap_err(),
            KeyError::SigningKey,
            "{text:?}"
        );
    }
    SigningKey::from_hex(&ORDER.replace("4141", "4140")).unwrap();

    let mut rng = StdRng::seed_from_u64(2);
    let key = *SigningKey::generate(&mut rng).public_key().as_bytes();
    PublicKey::from_slice(&key).unwrap();
    for tag in [0, 1, 4, 5, 6, 7, 0xff] {
        let mut altered = key;
        altered[0] = tag;
        assert_eq!(
            PublicKey::from_slice(&altered),
            Err(KeyError::PublicKey),
            "tag {tag}"
        );
    }
    let mut no_point = [0; 33];
    no_point[0] = 2;
    no_point[32] = 5;
    for bytes in [
        &key[..32],
        &[key.as_slice(), &[0]].concat(),
        &no_point,
        &[2; 0],
        &[0xff; 65],
    ] {
        assert_eq!(PublicKey::from_slice(bytes), Err(KeyError::PublicKey));
    }
}

#[test]
fn a_signing_key_shows_its_address_only() {
    let key = SigningKey::generate(&mut StdRng::seed_from_u64(3));
    assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.address()));
}

#[test]
fn rings_know_a_key_by_the_same_public_key() {
    let key = SigningKey::from_bytes(&[5; 32]).unwrap();
    let signer = key.ring_signer().unwrap();
    assert_eq!(signer.public_key(), key.public_key().as_bytes());
    assert!(std::ptr::eq(signer, key.ring_signer().unwrap()), "made once");
}
