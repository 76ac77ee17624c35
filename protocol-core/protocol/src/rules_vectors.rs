//! Sessions, claims, proofs, difficulty and transactions against the data of the Go implementation.
//!
//! Sections that need state are checked in the chain crate (`hydration_conditions`, `message_server`, `validation`,
//! `proof_requirement`, `settlement`, …); a section that neither list knows fails.

use prost::Message;
use serde_json::Value;

use crate::claim::{
    ClaimError, claim_amount, claim_hash, claimed_number, validate_create_claim, validate_submit_proof,
};
use crate::difficulty::{next_ema, scale_target};
use crate::proof::{GoRand, proof_path, seeded, seeded_float64};
use crate::session::{Timing, select_suppliers, session_id, session_id_preimage};
use crate::tx::{decode_tx, sign_doc, tx_hash};
use crate::wire::pocket::proof::{Claim, MsgCreateClaim, MsgSubmitProof};
use crate::wire::pocket::shared::Params;
use crate::{Height, SigningKey};
use portico_vectors::{counted, read_json, seen};

fn list<'a>(file: &'a Value, name: &str) -> &'a [Value] {
    file[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} of {case}"))
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    hex::decode(case[field].as_str().unwrap_or_default()).expect("hex")
}

/// A number, written as one or as a decimal string.
fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
        .parse()
        .expect("a number")
}

/// Fails for a section that no test of the workspace reads.
fn no_other_sections(file: &Value, name: &str, known: &[&str]) {
    let unknown: Vec<_> = file
        .as_object()
        .expect("an object")
        .keys()
        .filter(|key| !known.contains(&key.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "{name} has sections that nobody reads: {unknown:?}"
    );
}

fn shared_params(file: &Value, case: &Value) -> Params {
    let named = &file["shared_params"][text(case, "shared_params")];
    let field = |name: &str| named.get(name).map_or(0, number);
    Params {
        num_blocks_per_session: field("num_blocks_per_session"),
        grace_period_end_offset_blocks: field("grace_period_end_offset_blocks"),
        claim_window_open_offset_blocks: field("claim_window_open_offset_blocks"),
        claim_window_close_offset_blocks: field("claim_window_close_offset_blocks"),
        proof_window_open_offset_blocks: field("proof_window_open_offset_blocks"),
        proof_window_close_offset_blocks: field("proof_window_close_offset_blocks"),
        session_grid_anchor_height: field("session_grid_anchor_height"),
        session_number_at_anchor: field("session_number_at_anchor"),
        ..Params::default()
    }
}

#[test]
fn session_heights_and_ids_are_those_of_go() {
    let file: Value = read_json("session.json");
    let known = [
        "meta",
        "candidates",
        "earliest_commit_heights",
        "hydration_conditions",
        "session_id",
        "shared_params",
    ];
    no_other_sections(
        &file,
        "session.json",
        &[&known[..], &["supplier_selection", "windows"]].concat(),
    );
    for case in list(&file, "windows") {
        let params = shared_params(&file, case);
        let (timing, at) = (Timing::new(&params), Height(number(&case["query_height"])));
        let ours = [
            ("start", timing.start(at).0),
            ("end", timing.end(at).0),
            ("number", timing.number(at)),
            ("grace_end", timing.grace_end(at).0),
            ("claim_open", timing.claim_open(at).0),
            ("claim_close", timing.claim_close(at).0),
            ("proof_open", timing.proof_open(at).0),
            ("proof_close", timing.proof_close(at).0),
            ("earliest_claim", timing.earliest_claim(at, &[], "").0),
            ("earliest_proof", timing.earliest_proof(at, &[], "").0),
            ("next_start", timing.end(at).0 + 1),
            ("end_to_proof_close_blocks", timing.end_to_proof_close_blocks()),
            (
                "num_pending_sessions",
                i64::try_from(timing.num_pending_sessions()).unwrap(),
            ),
        ];
        for (field, ours) in ours {
            let theirs: i64 = number(&case[field]);
            assert!(
                ours == theirs,
                "{field} at {at}: ours {ours}, Go's {theirs} in {case}"
            );
        }
        assert_eq!(case["is_start"], timing.start(at) == at, "{case}");
        assert_eq!(case["is_end"], timing.end(at) == at, "{case}");
    }
    counted("session.json", "windows", list(&file, "windows").len());
    for case in list(&file, "session_id") {
        let params = shared_params(&file, case);
        let start = Timing::new(&params).start(Height(number(&case["block_height"])));
        assert_eq!(start.0, number::<i64>(&case["session_start_height"]), "{case}");
        let (service, application) = (text(case, "service_id"), text(case, "application_address"));
        let preimage = session_id_preimage(&bytes(case, "block_hash"), service, application, start);
        assert_eq!(hex::encode(&preimage), text(case, "preimage"));
        assert_eq!(session_id(&preimage), text(case, "session_id"));
    }
    counted("session.json", "session_id", list(&file, "session_id").len());
    for case in list(&file, "earliest_commit_heights") {
        let params = shared_params(&file, case);
        let (timing, at) = (Timing::new(&params), Height(number(&case["query_height"])));
        let (hash, supplier) = (
            bytes(case, "window_open_block_hash"),
            text(case, "supplier_operator_address"),
        );
        assert_eq!(
            timing.earliest_claim(at, &hash, supplier).0,
            number::<i64>(&case["earliest_claim"]),
            "{case}"
        );
        assert_eq!(
            timing.earliest_proof(at, &hash, supplier).0,
            number::<i64>(&case["earliest_proof"]),
            "{case}"
        );
    }
    counted(
        "session.json",
        "earliest_commit_heights",
        list(&file, "earliest_commit_heights").len(),
    );
}

#[test]
fn sessions_draw_the_suppliers_that_go_draws() {
    let file: Value = read_json("session.json");
    let mut drawn = 0;
    for case in list(&file, "supplier_selection") {
        let found = list(&file, "candidates")
            .iter()
            .find(|other| other["num_candidates"] == case["num_candidates"]);
        let addresses = found
            .map(|found| list(found, "operator_addresses"))
            .unwrap_or_default();
        // The index gives candidates in the order of their addresses, all being active from the same height.
        let mut candidates: Vec<String> = addresses
            .iter()
            .filter_map(|a| a.as_str().map(str::to_owned))
            .collect();
        candidates.sort();
        let params = shared_params(&file, case);
        let start = Timing::new(&params).start(Height(number(&case["query_height"])));
        let (service, application) = (text(case, "service_id"), text(case, "application_address"));
        let preimage = session_id_preimage(&bytes(case, "block_hash"), service, application, start);
        let ours = select_suppliers(&preimage, &candidates, number(&case["num_suppliers_per_session"]));
        let theirs: Vec<&str> = list(case, "suppliers").iter().filter_map(Value::as_str).collect();
        if case["result"]["ok"] == true {
            assert_eq!(ours, theirs, "{} candidates", case["num_candidates"]);
        } else {
            assert!(ours.is_empty(), "Go finds no supplier: {case}");
        }
        drawn += 1;
    }
    counted("session.json", "supplier_selection", drawn);
}

#[test]
fn draws_and_paths_of_proofs_are_those_of_go() {
    let file: Value = read_json("proof.json");
    let known = [
        "meta",
        "claim_sampling",
        "full_session",
        "go_math_rand",
        "message_server",
        "messages",
    ];
    let more = [
        "messages_validate_basic",
        "proof_path",
        "proof_requirement",
        "seeded_random",
        "validation",
    ];
    no_other_sections(&file, "proof.json", &[&known[..], &more].concat());
    let bits = |value: &Value| u64::from_str_radix(text(value, "bits"), 16).expect("hex");
    for case in list(&file, "proof_path") {
        assert_eq!(
            hex::encode(proof_path(&bytes(case, "block_hash"), text(case, "session_id"))),
            text(case, "path")
        );
    }
    for case in list(&file, "go_math_rand") {
        let seed = number(&case["seed"]);
        let mut ints = GoRand::new(seed);
        for theirs in list(case, "int63") {
            assert_eq!(ints.int63(), number::<i64>(theirs), "seed {seed}");
        }
        let mut floats = GoRand::new(seed);
        for theirs in list(case, "float64") {
            assert_eq!(floats.float64().to_bits(), bits(theirs), "seed {seed}");
        }
    }
    for case in list(&file, "seeded_random") {
        let input = bytes(case, "input");
        assert_eq!(
            seeded_float64(&[&input]).to_bits(),
            bits(&case["float64"]),
            "{case}"
        );
        assert_eq!(seeded(&[&input]).int63(), number::<i64>(&case["int63"]), "{case}");
    }
    for case in list(&file, "claim_sampling") {
        let claim = Claim::decode(bytes(case, "claim_bytes").as_slice()).expect("a claim");
        assert_eq!(hex::encode(claim_hash(&claim)), text(case, "claim_hash"));
        let sample = seeded_float64(&[&claim_hash(&claim), &bytes(case, "seed_block_hash")]);
        assert_eq!(sample.to_bits(), bits(&case["sample_value"]), "{case}");
    }
    for section in ["proof_path", "go_math_rand", "seeded_random", "claim_sampling"] {
        counted("proof.json", section, list(&file, section).len());
    }
}

#[test]
fn claim_and_proof_messages_are_judged_as_go_judges_them() {
    let file: Value = read_json("proof.json");
    let mut judged = 0;
    for section in ["messages", "messages_validate_basic"] {
        for case in list(&file, section) {
            let value = bytes(case, "value");
            let ok = match text(case, "type_url") {
                "/pocket.proof.MsgCreateClaim" => {
                    let message = MsgCreateClaim::decode(value.as_slice()).expect("a claim message");
                    assert_eq!(message.encode_to_vec(), value, "{case}");
                    validate_create_claim(&message).is_ok()
                }
                "/pocket.proof.MsgSubmitProof" => {
                    let message = MsgSubmitProof::decode(value.as_slice()).expect("a proof message");
                    assert_eq!(message.encode_to_vec(), value, "{case}");
                    validate_submit_proof(&message).is_ok()
                }
                other => {
                    // Other modules' messages: the frame here, their rules in the chain crate.
                    let any = prost_types::Any {
                        type_url: other.to_owned(),
                        value,
                    };
                    assert!(
                        case.get("any_bytes")
                            .is_none_or(|bytes| hex::encode(any.encode_to_vec()) == *bytes),
                        "{case}"
                    );
                    continue;
                }
            };
            assert_eq!(case["validate_basic"]["ok"], ok, "{case}");
            judged += 1;
        }
        counted("proof.json", section, list(&file, section).len());
    }
    seen("proof.json", "claim and proof messages", judged);
}

#[test]
fn difficulty_and_claim_amounts_are_those_of_go() {
    let file: Value = read_json("tokenomics.json");
    for case in list(&file, "ema") {
        let ours = next_ema(number(&case["prev_ema"]), number(&case["num_relays"]));
        assert_eq!(ours, number::<u64>(&case["new_ema"]), "{case}");
    }
    for case in list(&file, "new_target_hash") {
        let previous: [u8; 32] = bytes(case, "prev_target").try_into().expect("32 bytes");
        let ours = scale_target(
            &previous,
            number(&case["target_num_relays"]),
            number(&case["new_relays_ema"]),
        );
        assert_eq!(ours.is_some(), case["result"]["ok"] == true, "{case}");
        assert!(
            ours.is_none_or(|ours| hex::encode(ours) == text(case, "new_target")),
            "{case}"
        );
    }
    for case in list(&file, "claim_amount") {
        let (sum, count): (u64, u64) = (number(&case["sum"]), number(&case["count"]));
        let root = [
            vec![0; 32],
            sum.to_be_bytes().to_vec(),
            count.to_be_bytes().to_vec(),
        ]
        .concat();
        let (cuttm, granularity) = (number(&case["cuttm"]), number(&case["granularity"]));
        match claim_amount(&root, &bytes(case, "target"), cuttm, granularity) {
            Ok(ours) => {
                assert_eq!(ours.claimed.0.to_string(), text(case, "claimed_upokt"), "{case}");
                assert_eq!(
                    ours.estimated_compute_units,
                    number::<u64>(&case["estimated_compute_units"]),
                    "{case}"
                );
                assert_eq!(
                    ours.estimated_relays,
                    number::<u64>(&case["estimated_relays"]),
                    "{case}"
                );
            }
            // The same number, but beyond 2^128 upokt, far above any supply: an amount of ours does not hold it.
            Err(ClaimError::Range("claimed amount")) => {
                let beyond = claimed_number(&root, &bytes(case, "target"), cuttm, granularity).unwrap();
                assert!(beyond.bits() > 128, "{case}");
                if case["result"]["ok"] == true {
                    assert_eq!(beyond.to_string(), text(case, "claimed_upokt"), "{case}");
                } else {
                    assert!(beyond.bits() > 256, "{case}: Go's own bound");
                }
            }
            Err(_) => assert_eq!(case["result"]["ok"], false, "{case}"),
        }
    }
    for section in ["ema", "new_target_hash", "claim_amount"] {
        counted("tokenomics.json", section, list(&file, section).len());
    }
}

#[test]
fn transactions_have_the_bytes_and_signatures_of_go() {
    let file: Value = read_json("tx.json");
    for case in list(&file, "transactions") {
        let raw = bytes(case, "tx_raw");
        let tx = decode_tx(&raw).expect("a transaction");
        assert_eq!(tx.raw.encode_to_vec(), raw, "{case}");
        assert_eq!(tx.body.encode_to_vec(), bytes(case, "body_bytes"), "{case}");
        assert_eq!(
            tx.auth_info.encode_to_vec(),
            bytes(case, "auth_info_bytes"),
            "{case}"
        );
        assert_eq!(tx_hash(&raw), text(case, "tx_hash"));
        for (index, signer) in list(case, "signers").iter().enumerate() {
            let number = number(&signer["account_number"]);
            let doc = sign_doc(
                &tx.raw.body_bytes,
                &tx.raw.auth_info_bytes,
                text(case, "chain_id"),
                number,
            );
            assert_eq!(hex::encode(&doc), text(signer, "sign_doc"));
            let key = SigningKey::from_hex(text(signer, "private_key")).expect("a key");
            assert_eq!(key.sign(&doc).to_vec(), tx.raw.signatures[index], "{case}");
            assert_eq!(hex::encode(key.sign(&doc)), text(signer, "signature"));
            key.public_key()
                .verify(&doc, &tx.raw.signatures[index])
                .expect("it verifies");
        }
    }
    counted("tx.json", "transactions", list(&file, "transactions").len());
}
