//! Relays against the data of the Go implementation.

mod file;

use prost::Message;

use super::super::*;
use crate::difficulty;
use crate::http_payload::tests::agrees_with_go;
use crate::session::Timing;
use crate::types::Height;
use crate::wire::pocket::application::{Application, UndelegatingGatewayList};
use crate::wire::pocket::service::Relay;
use crate::wire::pocket::shared::Params;
use file::{Composition, File, Header, RelayCase};
use portico_vectors::{Hex, Recorded, counted, read_json};

const FILE: &str = "relay.json";

impl From<&Header> for SessionHeader {
    fn from(header: &Header) -> Self {
        Self {
            application_address: header.application_address.clone(),
            service_id: header.service_id.clone(),
            session_id: header.session_id.clone(),
            session_start_block_height: header.session_start_block_height,
            session_end_block_height: header.session_end_block_height,
        }
    }
}

impl File {
    fn read() -> Self {
        let file: Self = read_json(FILE);
        let _ = file.meta;
        file
    }

    fn actor(&self, name: &str) -> SigningKey {
        let actor = self.actors.iter().find(|actor| actor.name == name).unwrap();
        SigningKey::from_bytes(&actor.private_key.array()).unwrap()
    }
}

impl RelayCase {
    fn request(&self) -> RelayRequest {
        RelayRequest::decode(self.request_bytes.0.as_slice()).unwrap()
    }

    fn response(&self) -> RelayResponse {
        RelayResponse::decode(self.response_bytes_sent_to_client.0.as_slice()).unwrap()
    }

    /// An empty hash that is present is a state of a Go program's memory: on the wire it is no hash. The miner signed without payload,
    /// and sent one: nobody who reads the bytes can verify that answer.
    fn has_empty_hash(&self) -> bool {
        self.response_payload_hash
            .as_ref()
            .is_some_and(|hash| hash.0.is_empty())
    }
}

fn keys(list: &[Hex]) -> Vec<PublicKey> {
    list.iter()
        .map(|key| PublicKey::from_slice(&key.0).unwrap())
        .collect()
}

fn addresses(list: &[Hex]) -> BTreeSet<Address> {
    keys(list).iter().map(PublicKey::address).collect()
}

#[test]
fn actors_have_the_addresses_of_their_keys() {
    let file = File::read();
    for actor in &file.actors {
        let key = file.actor(&actor.name);
        assert_eq!(key.public_key().as_bytes().as_slice(), actor.public_key.0);
        assert_eq!(key.address().as_bytes().as_slice(), actor.address_bytes.0);
        match (&actor.address, &actor.ring_address_string_used_for_sorting) {
            (Some(address), None) => assert_eq!(key.address(), *address),
            (None, Some(text)) => {
                assert_eq!(key.public_key(), placeholder_key());
                assert_eq!(*text, hex::encode_upper(key.address().as_bytes()));
            }
            other => panic!("{}: {other:?}", actor.name),
        }
    }
    counted(FILE, "actors", file.actors.len());
}

#[test]
fn payloads_have_the_bytes_of_go() {
    let file = File::read();
    agrees_with_go(&file.pokt_http_request, &file.pokt_http_response);
}

#[test]
fn requests_are_signed_and_verified_as_go_does() {
    let file = File::read();
    for case in &file.relays {
        let name = &case.name;
        let ring = Ring::new(keys(&case.ring_public_keys)).unwrap();
        let key = SigningKey::from_bytes(&case.ring_signer_private_key.array()).unwrap();
        let mut draws = Recorded::new(&case.ring_nonces);
        let ours = sign_request(
            &(&case.session_header).into(),
            &case.supplier_operator_address.to_string(),
            case.request_payload.0.clone().into(),
            &ring,
            &key,
            &mut draws,
        )
        .unwrap();
        assert_eq!(ours.encode_to_vec(), case.request_bytes.0, "{name}");
        assert_eq!(ours, case.request(), "{name}");
        assert_eq!(
            request_signable_hash(&ours).as_slice(),
            case.request_signable_hash.0,
            "{name}"
        );
        assert_eq!(
            ours.meta.as_ref().unwrap().signature,
            case.request_signature.0,
            "{name}"
        );

        let mut unsigned = ours.clone();
        unsigned.meta.as_mut().unwrap().signature.clear();
        assert_eq!(unsigned.encode_to_vec(), case.request_unsigned_bytes.0, "{name}");
        assert_eq!(
            request_signable_hash(&unsigned),
            request_signable_hash(&ours),
            "{name}"
        );

        case.request_validate_basic
            .agrees(name, &validate_request_basic(&ours));
        let expected = addresses(&case.ring_public_keys);
        case.request_signature_verify
            .agrees(name, &verify_request_signature(&ours, &expected));
        let named: BTreeSet<Address> = case
            .ring_addresses
            .iter()
            .map(|text| ring_address(text))
            .collect();
        assert_eq!(named, expected, "{name}");
    }
    counted(FILE, "relays (requests)", file.relays.len());
}

/// An address as the ring client names it: bech32, or the placeholder's bytes in hex.
fn ring_address(text: &str) -> Address {
    text.parse()
        .unwrap_or_else(|_| Address::new(hex::decode(text).unwrap().try_into().unwrap()))
}

#[test]
fn responses_are_signed_and_verified_as_go_does() {
    let file = File::read();
    let supplier = file.actor("supplier");
    for case in &file.relays {
        let name = &case.name;
        let response = case.response();
        assert_eq!(
            response.encode_to_vec(),
            case.response_bytes_sent_to_client.0,
            "{name}"
        );
        assert_eq!(response.payload, case.response_payload.0, "{name}");
        let meta = response.meta.as_ref().unwrap();
        assert_eq!(
            meta.supplier_operator_signature, case.response_signature.0,
            "{name}"
        );
        let hash = case
            .response_payload_hash
            .clone()
            .map_or_else(Vec::new, |hash| hash.0);
        assert_eq!(response.payload_hash, hash, "{name}");
        case.response_validate_basic
            .agrees(name, &validate_response_basic(&response));
        let theirs = case.relay_miner_error.as_ref().map(|error| RelayMinerError {
            codespace: error.codespace.clone(),
            code: error.code,
            description: error.description.clone(),
            message: error.message.clone(),
        });
        assert_eq!(response.relay_miner_error, theirs, "{name}");

        let verified = verify_response(&response, &(&case.session_header).into(), &supplier.public_key());
        let signed = supplier.sign(&case.response_signable_hash.array::<32>());
        assert_eq!(signed.as_slice(), case.response_signature.0, "{name}");
        if case.has_empty_hash() {
            assert_eq!(verified, Err(RelayError::SupplierSignature), "{name}");
            continue;
        }
        assert_eq!(
            response_signable_hash(&response).as_slice(),
            case.response_signable_hash.0,
            "{name}"
        );
        match theirs {
            Some(error) => assert_eq!(verified, Err(RelayError::Miner(Box::new(error))), "{name}"),
            None => assert_eq!(verified, Ok(()), "{name}"),
        }
        if !hash.is_empty() && response.relay_miner_error.is_none() {
            let payload = case.response_payload.0.clone().into();
            assert_eq!(
                sign_response(&(&case.session_header).into(), payload, &supplier),
                response,
                "{name}"
            );
        }
    }
    counted(FILE, "relays (responses)", file.relays.len());
}

#[test]
fn mined_relays_have_the_bytes_and_hashes_of_go() {
    let file = File::read();
    let supplier = file.actor("supplier").public_key();
    for case in &file.relays {
        let name = &case.name;
        let mut response = case.response();
        if case.has_empty_hash() {
            // What Go empties by the hash in its memory.
            response.payload = Bytes::new();
        }
        let mined = MinedRelay::new(&case.request(), &response);
        assert_eq!(mined.bytes, case.relay_bytes.0, "{name}");
        assert_eq!(mined.bytes, case.smst_value.0, "{name}");
        assert_eq!(mined.hash.as_slice(), case.relay_hash.0, "{name}");
        assert_eq!(mined.hash.as_slice(), case.smst_key.0, "{name}");
        assert_eq!(Sha256::digest(mined.hash).as_slice(), case.smst_path.0, "{name}");

        let relay = Relay::decode(mined.bytes.as_slice()).unwrap();
        let response = relay.res.unwrap();
        assert_eq!(
            response.encode_to_vec(),
            case.response_bytes_in_mined_relay.0,
            "{name}"
        );
        let hash = response_signable_hash(&response);
        assert_eq!(
            hash.as_slice(),
            case.response_in_mined_relay_signable_hash_after_decode.0,
            "{name}"
        );
        let verified = verify_response_signature(&response, &supplier);
        case.response_in_mined_relay_verify_after_decode
            .agrees(name, &verified);
    }
    counted(FILE, "relays (mined)", file.relays.len());
}

#[test]
fn judges_altered_relays_as_go_does() {
    // Go ignores bytes after a signature; we take the exact length only, as `ring` says.
    const REFUSED_BY_US_ONLY: &str = "request_signature_trailing_byte";
    let file = File::read();
    for case in &file.negative {
        let name = &case.name;
        let relay = Relay::decode(case.relay_bytes.0.as_slice()).unwrap();
        let (request, response) = (relay.req.unwrap(), relay.res.unwrap());
        let supplier = PublicKey::from_slice(&case.supplier_public_key.0).unwrap();
        let checks = &case.checks;
        checks
            .request_validate_basic
            .agrees(name, &validate_request_basic(&request));
        checks
            .response_validate_basic
            .agrees(name, &validate_response_basic(&response));
        checks
            .response_signature
            .agrees(name, &verify_response_signature(&response, &supplier));
        let ring = verify_request_signature(&request, &addresses(&case.expected_ring));
        if name == REFUSED_BY_US_ONLY {
            assert!(checks.request_signature_and_ring.ok);
            assert_eq!(ring, Err(RelayError::Ring(RingError::Length(200))));
        } else {
            checks.request_signature_and_ring.agrees(name, &ring);
        }
    }
    counted(FILE, "negative", file.negative.len());
}

impl Composition {
    fn application(&self) -> Application {
        let pending = self.pending_undelegations.iter().map(|(height, gateways)| {
            let gateway_addresses = gateways.clone();
            (
                height.parse().unwrap(),
                UndelegatingGatewayList { gateway_addresses },
            )
        });
        Application {
            address: self.application_address.clone(),
            delegatee_gateway_addresses: self
                .delegatee_gateway_addresses
                .clone()
                .flatten()
                .unwrap_or_default(),
            pending_undelegations: pending.collect(),
            ..Application::default()
        }
    }

    fn session_end(&self) -> Height {
        let params = Params {
            num_blocks_per_session: self.num_blocks_per_session,
            ..Params::default()
        };
        Timing::new(&params).end(Height(self.query_height))
    }
}

#[test]
fn composes_rings_as_go_does() {
    let file = File::read();
    for case in &file.ring_composition {
        let name = format!("{} at {}", case.name, case.query_height);
        let (application, end) = (case.application(), case.session_end());
        // Go may list a gateway twice; as a ring's member once is enough.
        let mut gateways: Vec<Address> = Vec::new();
        for gateway in &case.gateway_addresses {
            let gateway = gateway.parse().unwrap();
            if !gateways.contains(&gateway) {
                gateways.push(gateway);
            }
        }
        assert_eq!(ring_gateways(&application, end), gateways, "{name}");

        let second = if gateways.is_empty() {
            vec![placeholder_key().address()]
        } else {
            gateways
        };
        let members = std::iter::once(application.address.parse().unwrap()).chain(second);
        assert_eq!(ring_addresses(&application, end), members.collect(), "{name}");
    }
    counted(FILE, "ring_composition", file.ring_composition.len());
}

#[test]
fn picks_the_relays_that_go_mines() {
    let file = File::read();
    for (index, case) in file.difficulty.iter().enumerate() {
        let applicable = difficulty::is_applicable(&case.relay_hash.array(), &case.target.0);
        assert_eq!(applicable, case.applicable, "case {index}");
        if let Some(multiplier) = &case.target_multiplier {
            assert!(
                is_multiplier(multiplier, &case.target.0),
                "case {index}: {multiplier}"
            );
        }
    }
    counted(FILE, "difficulty", file.difficulty.len());
}

/// Whether `fraction` is base target / target, in lowest terms or not.
fn is_multiplier(fraction: &str, target: &[u8]) -> bool {
    use num_bigint::BigUint;
    let (numerator, denominator) = fraction.split_once('/').unwrap();
    let number = |text: &str| text.parse::<BigUint>().unwrap();
    number(numerator) * BigUint::from_bytes_be(target)
        == number(denominator) * BigUint::from_bytes_be(&difficulty::BASE_TARGET)
}
