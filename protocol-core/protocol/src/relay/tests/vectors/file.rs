//! The shape of `relay.json`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::http_payload::tests::{RequestCase, ResponseCase};
use crate::types::Address;
use portico_vectors::{Hex, Outcome, nullable};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) meta: IgnoredAny,
    pub(super) actors: Vec<Actor>,
    pub(super) pokt_http_request: Vec<RequestCase>,
    pub(super) pokt_http_response: Vec<ResponseCase>,
    pub(super) relays: Vec<RelayCase>,
    pub(super) negative: Vec<Negative>,
    pub(super) ring_composition: Vec<Composition>,
    pub(super) difficulty: Vec<Difficulty>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Actor {
    pub(super) name: String,
    pub(super) address: Option<Address>,
    pub(super) address_bytes: Hex,
    pub(super) private_key: Hex,
    pub(super) public_key: Hex,
    pub(super) ring_address_string_used_for_sorting: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RelayCase {
    pub(super) name: String,
    pub(super) session_header: Header,
    pub(super) supplier_operator_address: Address,
    pub(super) ring_addresses: Vec<String>,
    pub(super) ring_public_keys: Vec<Hex>,
    pub(super) ring_signer_private_key: Hex,
    pub(super) ring_nonces: Vec<Hex>,
    pub(super) request_payload: Hex,
    pub(super) request_unsigned_bytes: Hex,
    pub(super) request_signable_hash: Hex,
    pub(super) request_signature: Hex,
    pub(super) request_signature_verify: Outcome,
    pub(super) request_bytes: Hex,
    pub(super) request_validate_basic: Outcome,
    pub(super) response_payload: Hex,
    pub(super) response_payload_hash: Option<Hex>,
    pub(super) response_signable_hash: Hex,
    pub(super) response_signature: Hex,
    pub(super) response_validate_basic: Outcome,
    pub(super) response_bytes_sent_to_client: Hex,
    pub(super) response_bytes_in_mined_relay: Hex,
    pub(super) response_in_mined_relay_signable_hash_after_decode: Hex,
    pub(super) response_in_mined_relay_verify_after_decode: Outcome,
    pub(super) relay_miner_error: Option<MinerError>,
    pub(super) relay_bytes: Hex,
    pub(super) relay_hash: Hex,
    pub(super) smst_key: Hex,
    pub(super) smst_path: Hex,
    pub(super) smst_value: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) application_address: String,
    pub(super) service_id: String,
    pub(super) session_id: String,
    pub(super) session_start_block_height: i64,
    pub(super) session_end_block_height: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MinerError {
    pub(super) codespace: String,
    pub(super) code: u32,
    pub(super) description: String,
    pub(super) message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Negative {
    pub(super) name: String,
    pub(super) relay_bytes: Hex,
    pub(super) expected_ring: Vec<Hex>,
    pub(super) supplier_public_key: Hex,
    pub(super) checks: Checks,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checks {
    pub(super) request_validate_basic: Outcome,
    pub(super) request_signature_and_ring: Outcome,
    pub(super) response_validate_basic: Outcome,
    pub(super) response_signature: Outcome,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Composition {
    pub(super) name: String,
    pub(super) application_address: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) delegatee_gateway_addresses: Option<Option<Vec<String>>>,
    pub(super) pending_undelegations: BTreeMap<String, Vec<String>>,
    pub(super) num_blocks_per_session: u64,
    pub(super) query_height: i64,
    pub(super) gateway_addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Difficulty {
    pub(super) relay_hash: Hex,
    pub(super) target: Hex,
    pub(super) applicable: bool,
    pub(super) target_multiplier: Option<String>,
}
