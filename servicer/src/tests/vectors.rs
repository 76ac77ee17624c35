//! The data of the Go implementation: a session of 20 relays from leaves to messages, and what its chain says of altered proofs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use portico_client::Event;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::proof::{Claim, MsgCreateClaim, MsgSubmitProof, Proof};
use portico_protocol::wire::pocket::shared::Params;
use portico_protocol::{ComputeUnits, Height, PublicKey, Upokt, proof};
use portico_smst::Path;
use serde_json::Value;

use super::*;
use crate::leaf_log::NewLeaf;
use crate::lifecycle::prove;
use crate::lifecycle::settlement::{Outcome, Settlement};
use crate::session::record::{Seal, SessionRecord, Windows};
use crate::session::tree::SessionTree;

fn file(name: &str) -> Value {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/go-poktroll-0.1.35");
    let folder = std::env::var_os("PORTICO_VECTORS").map_or(default, PathBuf::from);
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

/// Whether the data are the tracked ones, whose cases are known by name.
fn tracked() -> bool {
    std::env::var_os("PORTICO_VECTORS").is_none()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn int(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap()
}

/// The session of `proof.json`, its leaves in a real log.
struct Session {
    vector: Value,
    record: SessionRecord,
    log: RedbLog,
    _folder: tempfile::TempDir,
}

impl Session {
    fn read() -> Self {
        let vector = file("proof.json")["full_session"][0].clone();
        let header = &vector["session_header"];
        let params: Params = {
            let given = &vector["shared_params"];
            let value = |name: &str| u64::try_from(int(&given[name])).unwrap();
            Params {
                num_blocks_per_session: value("num_blocks_per_session"),
                grace_period_end_offset_blocks: value("grace_period_end_offset_blocks"),
                claim_window_open_offset_blocks: value("claim_window_open_offset_blocks"),
                claim_window_close_offset_blocks: value("claim_window_close_offset_blocks"),
                proof_window_open_offset_blocks: value("proof_window_open_offset_blocks"),
                proof_window_close_offset_blocks: value("proof_window_close_offset_blocks"),
                session_grid_anchor_height: value("session_grid_anchor_height"),
                session_number_at_anchor: value("session_number_at_anchor"),
                ..Params::default()
            }
        };
        let end = Height(int(&header["session_end_block_height"]));
        let record = SessionRecord {
            application: header["application_address"].as_str().unwrap().parse().unwrap(),
            service: header["service_id"].as_str().unwrap().parse().unwrap(),
            session_id: header["session_id"].as_str().unwrap().into(),
            start: Height(int(&header["session_start_block_height"])),
            end,
            supplier: vector["supplier"]["address"].as_str().unwrap().parse().unwrap(),
            compute_units_per_relay: u64::try_from(int(&vector["compute_units_per_relay"])).unwrap(),
            target_hash: array(&vector["relay_mining_difficulty_target"]),
            windows: Windows::new(&params, end),
            ..crate::lifecycle::next::tests::record()
        };
        let folder = tempfile::tempdir().unwrap();
        let log = RedbLog::open(folder.path()).unwrap();
        log.put(&[(0, record.clone())], None).unwrap();
        for (seq, leaf) in (0..).zip(vector["leaves"].as_array().unwrap()) {
            assert_eq!(int(&leaf["weight"]), int(&vector["compute_units_per_relay"]));
            let (key, relay) = (array(&leaf["key"]), bytes(&leaf["value"]));
            log.append(&[NewLeaf {
                session: 0,
                seq,
                key: &key,
                relay: &relay,
            }])
            .unwrap();
        }
        Self {
            vector,
            record,
            log,
            _folder: folder,
        }
    }

    fn sealed(&self, root: [u8; 48]) -> SessionRecord {
        let seal = Seal {
            root,
            leaves: 20,
            compute_units: ComputeUnits(100),
            worth: Upokt(0),
            height: self.record.end,
        };
        SessionRecord {
            seal: Some(seal),
            ..self.record.clone()
        }
    }

    fn application(&self) -> Application {
        Application {
            address: self.record.application.to_string(),
            delegatee_gateway_addresses: vec![self.vector["gateway"]["address"].as_str().unwrap().into()],
            ..Application::default()
        }
    }

    fn supplier(&self) -> PublicKey {
        PublicKey::from_slice(&bytes(&self.vector["supplier"]["public_key"])).unwrap()
    }

    fn path(&self) -> Path {
        let seed: [u8; 32] = array(&self.vector["proof_path_seed_block_hash"]);
        let path = proof::proof_path(&seed, &self.record.session_id);
        assert_eq!(path, array::<32>(&self.vector["proof_path"]));
        Path::new(path)
    }
}

#[test]
fn claims_and_proves_a_session_with_the_bytes_of_go() {
    let session = Session::read();
    let (vector, record) = (&session.vector, &session.record);
    let window = |name: &str| (Height(int(&vector[name][0])), Height(int(&vector[name][1])));
    let windows = record.windows;
    assert_eq!((windows.claim_open, windows.claim_close), window("claim_window"));
    assert_eq!((windows.proof_open, windows.proof_close), window("proof_window"));
    assert_eq!(windows.seed(), Height(int(&vector["proof_path_seed_height"])));

    let tree = SessionTree::new(0, record.clone());
    tree.load_leaves(|visit| session.log.scan(0, visit)).unwrap();
    let root = tree.leaves().set.root();
    assert_eq!(root.as_ref(), bytes(&vector["root"]));
    assert_eq!((root.sum(), root.count()), (100, 20));

    let claim = MsgCreateClaim {
        supplier_operator_address: record.supplier.to_string(),
        session_header: Some(record.header()),
        root_hash: root.as_ref().to_vec(),
    };
    assert_eq!(claim.encode_to_vec(), bytes(&vector["msg_create_claim_bytes"]));

    let sealed = session.sealed(array(&vector["root"]));
    let proof = prove::build(&tree, &sealed, &session.log, &session.path()).unwrap();
    assert_eq!(proof, bytes(&vector["compact_proof_gob"]));
    prove::verify(
        &proof,
        &sealed,
        &session.path(),
        &session.application(),
        &session.supplier(),
    )
    .unwrap();
    let message = MsgSubmitProof {
        supplier_operator_address: record.supplier.to_string(),
        session_header: Some(record.header()),
        proof,
    };
    assert_eq!(message.encode_to_vec(), bytes(&vector["msg_submit_proof_bytes"]));
    let stored = Claim {
        supplier_operator_address: claim.supplier_operator_address,
        session_header: claim.session_header,
        root_hash: claim.root_hash,
        proof_validation_status: 0,
    };
    assert_eq!(stored.encode_to_vec(), bytes(&vector["claim_bytes"]));
}

/// Cases whose outcome follows from the message around the proof, the height or the state, which the servicer makes itself.
const OUTSIDE_THE_PROOF: [&str; 12] = [
    "no_claim",
    "before_window",
    "after_window",
    "proof_session_id_changed",
    "proof_session_end_height_changed",
    "proof_session_start_height_other_session",
    "proof_service_changed",
    "proof_of_other_supplier_in_session_without_public_key",
    "proof_of_supplier_not_in_session",
    "difficulty_target_0000",
    "difficulty_target_equal_to_relay_hash",
    "difficulty_target_31_bytes",
];

/// What the chain accepts and the servicer does not send: proofs that are not of the closest leaf, not canonical, or of leaves that
/// it would not have made.
const NOT_SENT: [&str; 5] = [
    "compact_depth_nil",
    "one_relay_under_eight_arbitrary_keys",
    "other_leaf_with_all_differing_bits_flipped",
    "other_leaf_with_depth_zero",
    "uneven_leaf_weights_with_the_right_total",
];

#[test]
fn sends_nothing_that_the_chain_refuses() {
    let session = Session::read();
    let cases = file("proof.json")["validation"].as_array().unwrap().clone();
    let (mut compared, mut not_sent) = (0, BTreeSet::new());
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let given = Proof::decode(&*bytes(&case["proof_bytes"])).unwrap();
        let root = case["claim_root"]
            .as_str()
            .and_then(|root| hex::decode(root).ok()?.try_into().ok());
        // Without a claim, or with a root of another length, there is nothing that a servicer would prove.
        let Some(root) = root else { continue };
        let ok = |check: &str| case[check]["ok"].as_bool().unwrap();
        let accepted = ok("well_formed") && ok("signatures_and_path");
        let outcome = prove::verify(
            &given.closest_merkle_proof,
            &session.sealed(root),
            &session.path(),
            &session.application(),
            &session.supplier(),
        );
        if OUTSIDE_THE_PROOF.contains(&name) {
            continue;
        }
        compared += 1;
        match (accepted, outcome) {
            // What other data refuse for the sake of the message, the height or the state, is not known by name.
            (false, Ok(())) if tracked() => panic!("{name}: the chain refuses it"),
            (true, Err(_)) => _ = not_sent.insert(name),
            _ => {}
        }
    }
    assert!(compared > 0, "no case was compared");
    if tracked() {
        assert_eq!(not_sent.into_iter().collect::<Vec<_>>(), NOT_SENT);
    }
}

#[test]
fn reads_a_settlement_event_of_the_network() {
    let vector = file("wire/event.EventClaimSettled.height1090.json");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let attributes = vector["attributes"].as_array().unwrap();
    let event = Event {
        kind: text(&vector["type"]),
        attributes: attributes
            .iter()
            .map(|pair| (text(&pair["key"]), text(&pair["value"])))
            .collect(),
    };
    let record = SessionRecord {
        application: "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4".parse().unwrap(),
        service: "svc1".parse().unwrap(),
        session_id: "f8fc2ffaa810df44455d5b4b3bbc46e0b45108335e90c9e6bb33e1546d13e5cc".into(),
        supplier: "pokt19a3t4yunp0dlpfjrp7qwnzwlrzd5fzs2gjaaaj".parse().unwrap(),
        end: Height(1080),
        seal: Some(crate::lifecycle::next::tests::sealed()),
        ..crate::lifecycle::next::tests::record()
    };
    let events = [event];
    let Some(Outcome::Settled(settled)) = Settlement::new(&events).outcome(&record) else {
        panic!("settled")
    };
    assert_eq!(
        (settled.settled, settled.overservicing_loss),
        (Upokt(21_000), Upokt(0))
    );
    assert_eq!(
        settled.rewards["pokt19a3t4yunp0dlpfjrp7qwnzwlrzd5fzs2gjaaaj"],
        Upokt(16_170)
    );
}
