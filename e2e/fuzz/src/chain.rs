//! What comes to a node: transactions, queries, claims and proofs, against a small chain with one actor of each kind.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use portico_chain::block::{BlockContext, init, simulate};
use portico_chain::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisGateway, GenesisParams, GenesisRevShare,
    GenesisService, GenesisSupplier, GenesisSupplierService, GenesisValidator,
};
use portico_chain::query::query;
use portico_chain::state::Store;
use portico_protocol::claim::{claim_hash, root_totals, validate_create_claim, validate_submit_proof};
use portico_protocol::tx::{decode_tx, sign_doc};
use portico_protocol::wire::pocket::proof::{Claim, MsgCreateClaim, MsgSubmitProof, Proof};
use portico_protocol::{Address, Height, ServiceId, SigningKey, Upokt};
use sha2::{Digest, Sha256};

use crate::decoded;

/// Height at which transactions are tried: in the first session's claim window.
const HEIGHT: Height = Height(13);

/// Every query that the chain answers; the first byte of an input chooses one.
pub const QUERIES: &[&str] = &[
    "/pocket.application.Query/Application",
    "/pocket.application.Query/AllApplications",
    "/pocket.gateway.Query/Gateway",
    "/pocket.gateway.Query/AllGateways",
    "/pocket.supplier.Query/Supplier",
    "/pocket.supplier.Query/AllSuppliers",
    "/pocket.service.Query/Service",
    "/pocket.service.Query/AllServices",
    "/pocket.service.Query/RelayMiningDifficulty",
    "/pocket.service.Query/RelayMiningDifficultyAll",
    "/pocket.service.Query/RelayMiningDifficultyAtHeight",
    "/pocket.service.Query/RelayMiningDifficultyHistory",
    "/pocket.service.Query/ComputeUnitsPerRelayAtHeight",
    "/pocket.service.Query/ComputeUnitsPerRelayHistory",
    "/pocket.session.Query/GetSession",
    "/pocket.shared.Query/ParamsAtHeight",
    "/pocket.proof.Query/Claim",
    "/pocket.proof.Query/Proof",
    "/pocket.proof.Query/AllClaims",
    "/pocket.proof.Query/AllProofs",
    "/pocket.tokenomics.Query/Params",
    "/cosmos.auth.v1beta1.Query/Account",
    "/cosmos.bank.v1beta1.Query/Balance",
    "/cosmos.bank.v1beta1.Query/AllBalances",
    "/cosmos.bank.v1beta1.Query/TotalSupply",
    "/cosmos.bank.v1beta1.Query/SupplyOf",
];

type Memory = BTreeMap<(Store, Vec<u8>), Vec<u8>>;

static STATE: LazyLock<Memory> = LazyLock::new(|| {
    let changes = init(&genesis()).expect("the genesis is consistent");
    changes
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
});

/// A transaction: read, and run without its signatures, so that messages are reached.
pub fn transaction(data: &[u8]) {
    let Ok(tx) = decode_tx(data) else {
        return;
    };
    let doc = sign_doc(&tx.raw.body_bytes, &tx.raw.auth_info_bytes, "portico-fuzz", 1);
    assert!(doc.len() > tx.raw.body_bytes.len());
    let outcome = simulate(&*STATE, &context(), data).expect("the state is readable");
    assert!(
        outcome.code == 0 || !outcome.codespace.is_empty(),
        "an error names its module"
    );
}

/// A query: the first byte chooses the method.
pub fn chain_query(data: &[u8]) {
    let Some((method, request)) = data.split_first() else {
        return;
    };
    let path = QUERIES[usize::from(*method) % QUERIES.len()];
    drop(query(&*STATE, HEIGHT, path, request));
}

/// Claims and proofs as messages and as stored.
pub fn claim_and_proof(data: &[u8]) {
    if let Some(message) = decoded::<MsgCreateClaim>(data) {
        drop(validate_create_claim(&message));
        drop(root_totals(&message.root_hash));
    }
    if let Some(message) = decoded::<MsgSubmitProof>(data) {
        drop(validate_submit_proof(&message));
    }
    if let Some(claim) = decoded::<Claim>(data) {
        assert_eq!(claim_hash(&claim), claim_hash(&claim.clone()));
    }
    decoded::<Proof>(data);
}

/// The key of an actor.
///
/// # Panics
/// Never: a hash is a scalar but once in 2^128.
#[must_use]
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(name).into()).expect("a scalar")
}

fn address(name: &str) -> Address {
    key(name).address()
}

fn context() -> BlockContext {
    BlockContext {
        chain_id: "portico-fuzz".to_owned(),
        height: HEIGHT,
        time_ms: 1_700_000_013_000,
        hash: [9; 32],
        proposer_account: address("validator").to_string(),
    }
}

fn genesis() -> Genesis {
    let service_id = ServiceId::new("eth").expect("a service id");
    let account = |name: &&str| GenesisAccount::new(&key(name).public_key(), Upokt(10_000_000_000));
    Genesis {
        chain_id: "portico-fuzz".to_owned(),
        genesis_time_ms: 1_700_000_000_000,
        params: GenesisParams::default(),
        validators: vec![GenesisValidator {
            consensus_public_key: "11".repeat(32),
            account: address("validator"),
            tokens: Upokt(5_000_000),
        }],
        accounts: ["application", "gateway", "supplier", "owner", "other"]
            .iter()
            .map(account)
            .collect(),
        services: vec![GenesisService {
            id: service_id.clone(),
            name: "Ethereum".to_owned(),
            compute_units_per_relay: 100,
            owner: address("source"),
        }],
        gateways: vec![GenesisGateway {
            address: address("gateway"),
            stake: Upokt(1_000_000),
        }],
        applications: vec![GenesisApplication {
            address: address("application"),
            stake: Upokt(1_000_000_000),
            service_id: service_id.clone(),
            delegatees: vec![address("gateway")],
        }],
        suppliers: vec![GenesisSupplier {
            owner: address("owner"),
            operator: address("supplier"),
            stake: Upokt(1_000_000_000),
            services: vec![GenesisSupplierService {
                service_id,
                url: "http://127.0.0.1:8545".to_owned(),
                endpoints: Vec::new(),
                rev_share: vec![GenesisRevShare {
                    address: address("owner"),
                    percentage: 100,
                }],
            }],
        }],
    }
}
