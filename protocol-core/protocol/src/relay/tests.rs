//! Laws of relays, and what either end may try on the other.

mod captured;
mod vectors;

use proptest::prelude::*;
use prost::Message;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::types::Height;
use crate::wire::pocket::application::Application;
use crate::wire::pocket::service::Relay;

/// A session header, the keys of a ring of application and gateway, and the supplier's.
struct World {
    header: SessionHeader,
    application: SigningKey,
    gateway: SigningKey,
    supplier: SigningKey,
    rng: StdRng,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let [application, gateway, supplier] = std::array::from_fn(|_| SigningKey::generate(&mut rng));
        let header = SessionHeader {
            application_address: application.address().to_string(),
            service_id: "anvil".into(),
            session_id: "ab".repeat(32),
            session_start_block_height: 11,
            session_end_block_height: 20,
        };
        Self {
            header,
            application,
            gateway,
            supplier,
            rng,
        }
    }

    fn expected(&self) -> BTreeSet<Address> {
        [self.application.address(), self.gateway.address()].into()
    }

    fn request(&mut self, payload: impl Into<Bytes>) -> RelayRequest {
        let ring = Ring::new(vec![self.application.public_key(), self.gateway.public_key()]).unwrap();
        let supplier = self.supplier.address().to_string();
        sign_request(
            &self.header,
            &supplier,
            payload.into(),
            &ring,
            &self.gateway,
            &mut self.rng,
        )
        .unwrap()
    }

    fn response(&self, payload: impl Into<Bytes>) -> RelayResponse {
        sign_response(&self.header, payload.into(), &self.supplier)
    }

    fn verify(&self, response: &RelayResponse) -> Result<(), RelayError> {
        verify_response(response, &self.header, &self.supplier.public_key())
    }
}

#[test]
fn refuses_a_ring_with_a_stranger_before_any_arithmetic() {
    let mut world = World::new(1);
    let stranger = SigningKey::generate(&mut world.rng);
    let ring = Ring::new(vec![world.application.public_key(), stranger.public_key()]).unwrap();
    let payload = Bytes::from_static(b"x");
    let request = sign_request(&world.header, "s", payload, &ring, &stranger, &mut world.rng).unwrap();
    let refused = verify_request_signature(&request, &world.expected());
    assert_eq!(refused, Err(RelayError::ForeignRingKey(stranger.address())));
    let mut expected = world.expected();
    expected.insert(stranger.address());
    assert_eq!(verify_request_signature(&request, &expected), Ok(()));
}

#[test]
fn takes_the_placeholder_only_of_an_application_without_gateways() {
    let mut world = World::new(2);
    let ring = Ring::new(vec![placeholder_key(), world.application.public_key()]).unwrap();
    let application = world.application.clone();
    let payload = Bytes::from_static(b"x");
    let request = sign_request(&world.header, "s", payload, &ring, &application, &mut world.rng).unwrap();
    let mut staked = Application {
        address: application.address().to_string(),
        ..Application::default()
    };
    let check =
        |staked: &Application| verify_request_signature(&request, &ring_addresses(staked, Height(20)));
    assert_eq!(check(&staked), Ok(()));
    staked.delegatee_gateway_addresses = vec![world.gateway.address().to_string()];
    assert_eq!(
        check(&staked),
        Err(RelayError::ForeignRingKey(placeholder_key().address()))
    );
}

#[test]
fn refuses_a_request_without_metadata_or_signature() {
    let nothing = RelayRequest::default();
    assert!(matches!(
        validate_request_basic(&nothing),
        Err(RelayError::Basic(_))
    ));
    let refused = verify_request_signature(&nothing, &BTreeSet::new());
    assert_eq!(refused, Err(RelayError::Ring(RingError::Length(0))));
    assert!(matches!(
        validate_response_basic(&RelayResponse::default()),
        Err(RelayError::Basic(_))
    ));
}

#[test]
fn a_gateway_refuses_a_payload_that_is_not_the_signed_one() {
    let world = World::new(3);
    let mut response = world.response("an answer");
    assert_eq!(world.verify(&response), Ok(()));
    response.payload = Bytes::from_static(b"another");
    // The signature alone does not notice: it covers the hash.
    assert_eq!(
        verify_response_signature(&response, &world.supplier.public_key()),
        Ok(())
    );
    assert_eq!(world.verify(&response), Err(RelayError::PayloadHash));
    response.payload_hash = Sha256::digest(&response.payload).to_vec();
    assert_eq!(world.verify(&response), Err(RelayError::SupplierSignature));
    response.payload_hash.clear();
    assert_eq!(world.verify(&response), Err(RelayError::SupplierSignature));
}

#[test]
fn a_gateway_refuses_an_answer_of_another_session_and_says_in_what() {
    let mut world = World::new(4);
    let other_application = SigningKey::generate(&mut world.rng).address().to_string();
    type Change = fn(&mut SessionHeader, String);
    let cases: [(&str, Change); 5] = [
        ("application_address", |header, other| {
            header.application_address = other
        }),
        ("service_id", |header, _| header.service_id = "eth".into()),
        ("session_start_block_height", |header, _| {
            header.session_start_block_height = 10
        }),
        ("session_end_block_height", |header, _| {
            header.session_end_block_height = 21
        }),
        ("session_id", |header, _| header.session_id = "cd".repeat(32)),
    ];
    for (field, change) in cases {
        let mut header = world.header.clone();
        change(&mut header, other_application.clone());
        let response = sign_response(&header, Bytes::from_static(b"x"), &world.supplier);
        assert_eq!(world.verify(&response), Err(RelayError::HeaderMismatch(field)));
    }
}

#[test]
fn an_unsigned_error_of_a_supplier_is_told_and_a_signed_one_verified_first() {
    let world = World::new(5);
    let error = RelayMinerError {
        codespace: "relayer_proxy".into(),
        code: 7,
        description: "rate limited".into(),
        message: "over-serviced".into(),
    };
    let told = Err(RelayError::Miner(Box::new(error.clone())));
    let unsigned = RelayResponse {
        relay_miner_error: Some(error.clone()),
        ..RelayResponse::default()
    };
    assert_eq!(world.verify(&unsigned), told);

    let mut signed = world.response("x");
    signed.relay_miner_error = Some(error);
    assert_eq!(world.verify(&signed), Err(RelayError::SupplierSignature));
    let signature = world.supplier.sign(&response_signable_hash(&signed));
    signed.meta.as_mut().unwrap().supplier_operator_signature = signature.to_vec();
    assert_eq!(world.verify(&signed), told);
}

#[test]
fn a_mined_relay_is_what_was_served_without_the_payload() {
    let mut world = World::new(6);
    let (request, response) = (world.request("a question"), world.response("an answer"));
    let mined = MinedRelay::new(&request, &response);
    let relay = Relay::decode(mined.bytes.as_slice()).unwrap();
    assert_eq!(relay.req.as_ref(), Some(&request));
    let kept = relay.res.unwrap();
    assert!(kept.payload.is_empty());
    assert_eq!(kept.payload_hash, Sha256::digest("an answer").as_slice());
    assert_eq!(
        verify_response_signature(&kept, &world.supplier.public_key()),
        Ok(())
    );
    assert_eq!(MinedRelay::new(&request, &kept), mined);
}

#[test]
fn a_ring_is_warm_once_it_was_verified_twice_and_its_tables_stand() {
    let mut world = World::new(77);
    let (first, second) = (world.request("a"), world.request("b"));
    verify_request_signature(&first, &world.expected()).unwrap();
    assert!(!is_signature_warm(&second), "seen once");
    verify_request_signature(&second, &world.expected()).unwrap();
    assert!(!is_signature_warm(&second), "nobody has built its tables");
    while crate::ring::build_tables(8) > 0 {}
    assert!(is_signature_warm(&first) && is_signature_warm(&second));
    verify_request_signature(&second, &world.expected()).unwrap();
    let other_member = World::new(78).request("c");
    assert!(!is_signature_warm(&other_member));
    assert!(!is_signature_warm(&RelayRequest::default()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_relay_verifies_on_both_ends_and_survives_the_wire(
        seed in any::<u64>(),
        question in prop::collection::vec(any::<u8>(), 0..3_000),
        answer in prop::collection::vec(any::<u8>(), 1..3_000),
    ) {
        let mut world = World::new(seed);
        let (request, response) = (world.request(question), world.response(answer));
        let request = RelayRequest::decode(request.encode_to_vec().as_slice()).unwrap();
        let response = RelayResponse::decode(response.encode_to_vec().as_slice()).unwrap();
        prop_assert_eq!(validate_request_basic(&request), Ok(()));
        prop_assert_eq!(verify_request_signature(&request, &world.expected()), Ok(()));
        prop_assert_eq!(world.verify(&response), Ok(()));
    }

    #[test]
    fn no_altered_byte_of_a_request_or_response_is_accepted(
        seed in any::<u64>(),
        at in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let mut world = World::new(seed);
        let mut request = world.request("a question").encode_to_vec();
        let at_request = at.index(request.len());
        request[at_request] ^= change;
        if let Ok(altered) = RelayRequest::decode(request.as_slice()) {
            prop_assert!(verify_request_signature(&altered, &world.expected()).is_err());
        }
        let mut response = world.response("an answer").encode_to_vec();
        let at_response = at.index(response.len());
        response[at_response] ^= change;
        if let Ok(altered) = RelayResponse::decode(response.as_slice()) {
            prop_assert!(world.verify(&altered).is_err());
        }
    }

    #[test]
    fn what_is_hashed_is_the_message_as_prost_encodes_it(
        request in requests(),
        response in responses(),
    ) {
        let relay = Relay {
            req: Some(RelayRequest {
                meta: Some(request.meta.clone().unwrap_or_default()),
                payload: request.payload.clone(),
            }),
            res: Some(hashed(&response)),
        };
        prop_assert_eq!(MinedRelay::new(&request, &response).bytes, relay.encode_to_vec());

        let mut unsigned = relay.req.unwrap();
        unsigned.meta.as_mut().unwrap().signature.clear();
        let hash: [u8; 32] = Sha256::digest(unsigned.encode_to_vec()).into();
        prop_assert_eq!(request_signable_hash(&request), hash);

        let mut unsigned = hashed(&response);
        unsigned.meta.as_mut().unwrap().supplier_operator_signature.clear();
        let hash: [u8; 32] = Sha256::digest(unsigned.encode_to_vec()).into();
        prop_assert_eq!(response_signable_hash(&response), hash);
    }
}

#[test]
fn the_placeholder_is_the_key_of_its_published_secret() {
    let secret = "60c6cbe6b5011807d6486f351cbde6f964356df1d0bc1b04f8589cead5ab5206";
    let key = SigningKey::from_hex(secret).unwrap();
    assert_eq!(key.public_key(), placeholder_key());
}

/// A response as it is signed and stored.
fn hashed(response: &RelayResponse) -> RelayResponse {
    let mut response = response.clone();
    response.meta.get_or_insert_default();
    if !response.payload_hash.is_empty() {
        response.payload.clear();
    }
    response
}

fn headers() -> impl Strategy<Value = Option<SessionHeader>> {
    let header = (".{0,8}", "[a-z]{0,4}", 0_i64..300, -1_i64..300);
    prop::option::of(
        header.prop_map(|(application_address, service_id, start, end)| SessionHeader {
            application_address,
            service_id,
            session_start_block_height: start,
            session_end_block_height: end,
            session_id: String::new(),
        }),
    )
}

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..20_000)
}

fn requests() -> impl Strategy<Value = RelayRequest> {
    let meta = (headers(), some_bytes(), ".{0,8}").prop_map(|(session_header, signature, supplier)| {
        RelayRequestMetadata {
            session_header,
            signature,
            supplier_operator_address: supplier,
        }
    });
    (prop::option::of(meta), payloads()).prop_map(|(meta, payload)| RelayRequest {
        meta,
        payload: payload.into(),
    })
}

fn responses() -> impl Strategy<Value = RelayResponse> {
    let meta = (headers(), some_bytes()).prop_map(|(session_header, signature)| RelayResponseMetadata {
        session_header,
        supplier_operator_signature: signature,
    });
    let error = (".{0,4}", any::<u32>()).prop_map(|(codespace, code)| RelayMinerError {
        codespace,
        code,
        ..RelayMinerError::default()
    });
    let error = prop::option::of(error);
    let parts = (prop::option::of(meta), payloads(), error, some_bytes());
    parts.prop_map(|(meta, payload, relay_miner_error, payload_hash)| RelayResponse {
        meta,
        payload: payload.into(),
        relay_miner_error,
        payload_hash,
    })
}
