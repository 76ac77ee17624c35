//! The shape of `ring.json`.

use std::collections::BTreeSet;

use serde::Deserialize;

use portico_vectors::{Hex, Outcome};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(rename = "meta")]
    pub(super) _meta: Meta,
    pub(super) hash_to_curve: Vec<HashToCurve>,
    pub(super) hash_to_scalar: Vec<HashToScalar>,
    pub(super) challenge: Vec<Challenge>,
    pub(super) key_image: Vec<KeyImage>,
    pub(super) link: Vec<Link>,
    pub(super) signatures: Vec<Signature>,
    pub(super) tampered: Vec<Tampered>,
    pub(super) ethereum_backend: Vec<OtherBackend>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read so that an unknown field is noticed")]
pub(super) struct Meta {
    pub(super) source: String,
    pub(super) main_backend: String,
    pub(super) curve: String,
    pub(super) signing: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HashToCurve {
    pub(super) point: Hex,
    pub(super) hash_to_curve: Hex,
    pub(super) sha3_256_rounds: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HashToScalar {
    pub(super) input: Hex,
    pub(super) sha3_512: Hex,
    pub(super) reduced_mod_order: Hex,
    pub(super) scalar: Hex,
    #[serde(rename = "note")]
    pub(super) _note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Challenge {
    pub(super) message: Hex,
    #[serde(rename = "L")]
    pub(super) left: Hex,
    #[serde(rename = "R")]
    pub(super) right: Hex,
    pub(super) challenge: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyImage {
    pub(super) private_key: Hex,
    pub(super) public_key: Hex,
    pub(super) hash_to_curve: Hex,
    pub(super) key_image: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) a: Hex,
    pub(super) b: Hex,
    pub(super) linked: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signature {
    pub(super) name: String,
    pub(super) ring: Vec<Hex>,
    pub(super) signer_index: usize,
    pub(super) private_key: Hex,
    pub(super) message: Hex,
    pub(super) nonces: Option<Vec<Hex>>,
    pub(super) signature: Hex,
    pub(super) c0: Hex,
    pub(super) key_image: Hex,
    pub(super) verify: Outcome,
    pub(super) trace: Option<Vec<Trace>>,
    #[serde(rename = "note")]
    pub(super) _note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trace {
    pub(super) index: usize,
    pub(super) public_key: Hex,
    pub(super) hash_to_curve: Hex,
    pub(super) s: Hex,
    pub(super) c: Hex,
    #[serde(rename = "L")]
    pub(super) left: Hex,
    #[serde(rename = "R")]
    pub(super) right: Hex,
    pub(super) next_c: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tampered {
    pub(super) name: String,
    pub(super) message: Option<Hex>,
    pub(super) signature: Option<Hex>,
    pub(super) verify: Outcome,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OtherBackend {
    #[serde(rename = "note")]
    pub(super) _note: String,
    pub(super) hash_to_scalar: Vec<OtherScalar>,
    pub(super) signatures_of_this_file_rejected_by_it: BTreeSet<String>,
    pub(super) signatures_of_this_file_accepted_by_it_count: usize,
    pub(super) tampered_outcomes_that_differ: Vec<OtherOutcome>,
    pub(super) signatures_made_by_it_accepted_by_decred_count: usize,
    pub(super) signatures_made_by_it_rejected_by_decred: Vec<OtherSignature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OtherScalar {
    pub(super) input: Hex,
    pub(super) scalar: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OtherOutcome {
    pub(super) name: String,
    pub(super) verify: Outcome,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OtherSignature {
    pub(super) name: String,
    pub(super) ring: Vec<Hex>,
    pub(super) signer_index: usize,
    pub(super) private_key: Hex,
    pub(super) message: Hex,
    pub(super) nonces: Vec<Hex>,
    pub(super) signature: Hex,
    pub(super) c0: Hex,
    pub(super) key_image: Hex,
    pub(super) verify_by_decred: bool,
    pub(super) verify_by_ethereum: bool,
}
