use portico_protocol::difficulty::BASE_TARGET;
use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::proof::{
    Claim, ClaimProofStatus, MsgCreateClaim, MsgSubmitProof, Params, Proof, ProofRequirementReason,
};
use portico_protocol::wire::pocket::service::RelayMiningDifficulty;
use portico_protocol::wire::pocket::shared::{
    ApplicationServiceConfig, Service, ServiceConfigUpdate, Supplier, SupplierServiceConfig,
};
use portico_protocol::{Address, Height, PublicKey, Upokt};
use prost::Message;
use serde_json::{Map, Value};

use super::lab::{Lab, bytes, each, number, shared_params, text, upokt, vectors};
use crate::error::Fault;
use crate::{application, auth, bank, feature, proof, service, shared, supplier};

/// Sections that are arithmetic of `portico-protocol`.
const ARITHMETIC: [&str; 8] = [
    "claim_sampling",
    "full_session",
    "go_math_rand",
    "messages",
    "messages_validate_basic",
    "meta",
    "proof_path",
    "seeded_random",
];

#[test]
fn checks_claims_and_proofs_as_the_go_implementation() {
    let all = vectors("proof.json");
    let session = &all["full_session"][0];
    for (section, cases) in &all {
        match section.as_str() {
            "message_server" => each("proof.json", section, cases, |case| message_server(session, case)),
            "validation" => each("proof.json", section, cases, |case| validation(session, case)),
            "proof_requirement" => each("proof.json", section, cases, proof_requirement),
            known if ARITHMETIC.contains(&known) => {}
            unknown => panic!("section {unknown} is not known here"),
        }
    }
    check_full_session(&all);
}

/// The claim of the session, proved at each height, under our own chain's rules.
fn check_full_session(all: &Map<String, Value>) {
    let session = &all["full_session"][0];
    let mut lab = lab(session);
    enable_strict_rules(&mut lab);
    let claim = MsgCreateClaim::decode(bytes(&session["msg_create_claim_bytes"]).as_slice()).unwrap();
    let submit = MsgSubmitProof::decode(bytes(&session["msg_submit_proof_bytes"]).as_slice()).unwrap();
    lab.at(22, |ctx| proof::msg_create_claim(ctx, &claim)).unwrap();
    lab.at(27, |ctx| proof::msg_submit_proof(ctx, &submit)).unwrap();
    lab.at(27, proof::end_block).unwrap();
    let stored = proof::claim(
        lab.state(),
        &claim.session_header.unwrap().session_id,
        &claim.supplier_operator_address,
    );
    let status = stored.unwrap().unwrap().proof_validation_status;
    assert_eq!(status, i32::from(ClaimProofStatus::Validated));
}

fn enable_strict_rules(lab: &mut Lab) {
    lab.at(0, |ctx| {
        for name in feature::KNOWN {
            feature::save(ctx, &feature::own_rule(name))?;
        }
        Ok(())
    })
    .unwrap();
}

fn actor(session: &Value, name: &str) -> (String, PublicKey) {
    let actor = &session[name];
    let key = PublicKey::from_slice(&bytes(&actor["public_key"])).unwrap();
    (text(&actor["address"]), key)
}

/// The state in which the vectors were made: one application delegated to a gateway, one supplier, both staked for `eth`.
fn lab(session: &Value) -> Lab {
    let mut lab = Lab::new().with_block_hashes(1..=40);
    let id = text(&session["service_id"]);
    lab.at(0, |ctx| {
        shared::set_params(ctx, &shared_params(&session["shared_params"]));
        proof::set_params(ctx, &params(&session["proof_params"]));
        let service = Service {
            id: id.clone(),
            compute_units_per_relay: number(&session["compute_units_per_relay"]),
            ..Service::default()
        };
        service::genesis_service(ctx, &service)?;
        for name in ["application", "gateway", "supplier"] {
            let (address, key) = actor(session, name);
            let address: Address = address.parse().unwrap();
            bank::genesis_balance(ctx, &address, Upokt(1_000_000))?;
            auth::set_public_key(ctx, &address, &key)?;
        }
        let app = Application {
            address: actor(session, "application").0,
            service_configs: vec![ApplicationServiceConfig {
                service_id: id.clone(),
            }],
            delegatee_gateway_addresses: vec![actor(session, "gateway").0],
            ..Application::default()
        };
        application::save(ctx, &app);
        Ok(())
    })
    .unwrap();
    stake(&mut lab, &id, &actor(session, "supplier").0);
    lab
}

fn stake(lab: &mut Lab, service_id: &str, operator: &str) {
    let config = SupplierServiceConfig {
        service_id: service_id.into(),
        ..SupplierServiceConfig::default()
    };
    let new = Supplier {
        operator_address: operator.into(),
        owner_address: operator.into(),
        service_config_history: vec![ServiceConfigUpdate {
            operator_address: operator.into(),
            service: Some(config),
            activation_height: 1,
            deactivation_height: 0,
        }],
        ..Supplier::default()
    };
    lab.at(0, |ctx| {
        supplier::save(ctx, None, &new);
        Ok(())
    })
    .unwrap();
}

fn params(value: &Value) -> Params {
    Params {
        proof_request_probability: value["proof_request_probability"].as_f64().unwrap(),
        proof_requirement_threshold: Some(upokt(&value["proof_requirement_threshold"]).into()),
        proof_missing_penalty: Some(upokt(&value["proof_missing_penalty"]).into()),
        proof_submission_fee: Some(upokt(&value["proof_submission_fee"]).into()),
    }
}

fn change_params(lab: &mut Lab, change: impl FnOnce(&mut Params)) {
    lab.at(0, |ctx| {
        let mut params = proof::params(&ctx.state)?;
        change(&mut params);
        proof::set_params(ctx, &params);
        Ok(())
    })
    .unwrap();
}

/// Our text equals the Go implementation's without the gRPC status around it.
fn same_text(ours: &Fault, theirs: &Value, case: &Value) {
    let theirs = theirs.as_str().unwrap();
    let theirs = theirs.split_once(" desc = ").map_or(theirs, |(_, text)| text);
    assert_eq!(ours.to_string(), theirs, "{case}");
}

fn message_server(session: &Value, case: &Value) {
    let mut lab = lab(session);
    let (name, height) = (case["name"].as_str().unwrap(), case["height"].as_i64().unwrap());
    let result = match name.split_once("create_claim") {
        Some(_) => {
            let message = MsgCreateClaim::decode(bytes(&case["msg"]).as_slice()).unwrap();
            lab.at(height, |ctx| proof::msg_create_claim(ctx, &message))
        }
        None => submit(session, &mut lab, name, height, case),
    };
    if name == "create_claim_count_wraps_when_multiplied" {
        let message = MsgCreateClaim::decode(bytes(&case["msg"]).as_slice()).unwrap();
        let mut strict = self::lab(session);
        enable_strict_rules(&mut strict);
        let refused = strict.at(height, |ctx| proof::msg_create_claim(ctx, &message));
        assert!(refused.unwrap_err().to_string().contains("is not equal to"));
    }
    match (result, case["result"]["ok"] == true) {
        (Ok(()), true) => {}
        (Err(ours), false) => same_text(&ours, &case["result"]["error"], case),
        (ours, _) => panic!("{ours:?} for {case}"),
    }
}

fn submit(session: &Value, lab: &mut Lab, name: &str, height: i64, case: &Value) -> Result<(), Fault> {
    let default = &session["msg_submit_proof_bytes"];
    let message = bytes(case.get("msg").unwrap_or(default));
    let message = MsgSubmitProof::decode(message.as_slice()).unwrap();
    let claim = Claim::decode(bytes(&session["claim_bytes"]).as_slice()).unwrap();
    let claimed = proof::amount(lab.state(), &claim).unwrap().claimed;
    let threshold = |params: &mut Params, least: Upokt| {
        params.proof_request_probability = 0.0;
        params.proof_requirement_threshold = Some(least.into());
    };
    let mut with_claim = true;
    match name {
        "submit_proof_at_height" => {}
        "submit_proof_without_claim" => with_claim = false,
        "submit_proof_not_required" => change_params(lab, |params| threshold(params, Upokt(1 << 40))),
        "submit_proof_threshold_equal_to_claimed" => change_params(lab, |params| threshold(params, claimed)),
        "submit_proof_threshold_one_above_claimed" => {
            change_params(lab, |params| threshold(params, Upokt(claimed.0 + 1)))
        }
        "submit_proof_balance_equals_fee" => change_params(lab, |params| {
            params.proof_submission_fee = Some(Upokt(1_000_000).into())
        }),
        "submit_proof_twice" => {}
        unknown => panic!("case {unknown} is not known here"),
    }
    if with_claim {
        lab.at(22, |ctx| {
            proof::save_claim(ctx, &claim);
            Ok(())
        })?;
    }
    if name == "submit_proof_twice" {
        lab.at(height, |ctx| proof::msg_submit_proof(ctx, &message))?;
    }
    let before = bank::balance(lab.state(), &module_address("proof"))?;
    lab.at(height, |ctx| proof::msg_submit_proof(ctx, &message))?;
    let fee = proof::params(lab.state())?.proof_submission_fee.unwrap();
    let after = bank::balance(lab.state(), &module_address("proof"))?;
    assert_eq!(after.0 - before.0, Upokt::try_from(&fee).unwrap().0);
    Ok(())
}

fn set_target(lab: &mut Lab, id: &str, from: i64, target_hash: Vec<u8>) {
    let difficulty = RelayMiningDifficulty {
        service_id: id.into(),
        block_height: from,
        num_relays_ema: 1,
        target_hash,
    };
    lab.at(0, |ctx| {
        service::record_difficulty(ctx, Height(from), difficulty);
        Ok(())
    })
    .unwrap();
}

fn validation(session: &Value, case: &Value) {
    let mut lab = lab(session);
    let (name, height) = (case["name"].as_str().unwrap(), case["height"].as_i64().unwrap());
    let proof = Proof::decode(bytes(&case["proof_bytes"]).as_slice()).unwrap();
    let id = text(&session["service_id"]);
    match name {
        "difficulty_target_0000" => set_target(&mut lab, &id, 1, vec![0; 32]),
        "difficulty_target_ffff" => set_target(&mut lab, &id, 1, BASE_TARGET.to_vec()),
        "difficulty_target_equal_to_relay_hash" => {
            use sha2::Digest;
            let relay = bytes(&session["closest_value"]);
            let relay = relay.strip_suffix(&closest_totals(session)[..]).unwrap_or(&relay);
            set_target(&mut lab, &id, 1, sha2::Sha256::digest(relay).to_vec());
        }
        "difficulty_target_31_bytes" => set_target(&mut lab, &id, 1, vec![0xff; 31]),
        "difficulty_target_change_effective_after_session_start" => {
            set_target(&mut lab, &id, 12, vec![0; 32])
        }
        "proof_of_other_supplier_in_session_without_public_key" => {
            stake(&mut lab, &id, &proof.supplier_operator_address)
        }
        _ => {}
    }
    let mut claim = Claim::decode(bytes(&session["claim_bytes"]).as_slice()).unwrap();
    claim.root_hash = case["claim_root"]
        .as_str()
        .map(|root| hex::decode(root).unwrap())
        .unwrap_or_default();
    if !claim.root_hash.is_empty() {
        lab.at(22, |ctx| {
            proof::save_claim(ctx, &claim);
            Ok(())
        })
        .unwrap();
    }
    let well_formed = lab.at(height, |ctx| proof::ensure_well_formed(ctx, &proof));
    assert_eq!(
        well_formed.is_ok(),
        case["well_formed"]["ok"] == true,
        "{well_formed:?} {case}"
    );
    let valid = proof::signatures_and_path(lab.state(), &proof, &claim);
    assert_eq!(
        valid.is_ok(),
        case["signatures_and_path"]["ok"] == true,
        "{valid:?} {case}"
    );
    let strict_accepts = [
        "valid",
        "first_block_of_window",
        "last_block_of_window",
        "before_window",
        "after_window",
        "single_relay_valid",
        // The chain's header counts, not the message's.
        "proof_session_end_height_changed",
        "proof_session_start_height_in_same_session",
    ];
    enable_strict_rules(&mut lab);
    let strict = proof::signatures_and_path(lab.state(), &proof, &claim);
    assert!(
        strict.is_ok() || !strict_accepts.contains(&name),
        "{strict:?} {name}"
    );
    let strict_refuses = [
        "one_relay_under_eight_arbitrary_keys",
        "other_leaf_with_all_differing_bits_flipped",
        "other_leaf_with_depth_zero",
        "uneven_leaf_weights_with_the_right_total",
    ];
    assert!(strict.is_err() || !strict_refuses.contains(&name), "{name}");
}

/// Weight and count that end a leaf's value in proofs.
fn closest_totals(session: &Value) -> [u8; 16] {
    let mut totals = [0; 16];
    totals[..8].copy_from_slice(&number(&session["compute_units_per_relay"]).to_be_bytes());
    totals[15] = 1;
    totals
}

fn proof_requirement(case: &Value) {
    let mut lab = Lab::new();
    let claim = Claim::decode(bytes(&case["claim_bytes"]).as_slice()).unwrap();
    set_target(&mut lab, "eth", 1, bytes(&case["target"]));
    change_params(&mut lab, |params| {
        params.proof_request_probability = case["probability"].as_f64().unwrap();
        params.proof_requirement_threshold = Some(upokt(&case["threshold"]).into());
    });
    let seed = bytes(&case["seed_block_hash"]);
    let mut lab = lab.with_block_hashes(1..=25);
    assert_eq!(
        proof::seed_hash(lab.state(), &proof::header_of(&claim)).unwrap(),
        seed[..],
        "{case}"
    );
    let amount = lab.at(30, |ctx| proof::amount(&ctx.state, &claim)).unwrap();
    assert_eq!(amount.claimed, upokt(&case["claimed_upokt"]), "{case}");
    let ours = proof::requirement(lab.state(), &claim, &amount).unwrap();
    let theirs = ProofRequirementReason::from_str_name(case["reason"].as_str().unwrap()).unwrap();
    assert_eq!(ours, theirs, "{case}");
}
