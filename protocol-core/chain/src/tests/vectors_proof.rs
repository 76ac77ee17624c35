//! Claims and proofs of the Go implementation, through blocks.

use std::collections::BTreeMap;

use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::proof::{
    Claim, ClaimProofStatus, MsgCreateClaim, MsgSubmitProof, Proof, ProofRequirementReason,
    QueryGetClaimRequest, QueryGetClaimResponse,
};
use portico_protocol::wire::pocket::service::RelayMiningDifficulty;
use portico_protocol::wire::tendermint::abci::Event;
use portico_protocol::{Height, ServiceId, Upokt};
use prost::Message;
use serde_json::Value;

use super::lab::{bytes, each, number, text, upokt, vectors};
use super::replay::{
    Keys, Replay, account, attribute, genesis, keys, kind_of, of_kind, proof_params, refusal, service,
    shared_params,
};
use crate::genesis::{
    Genesis, GenesisApplication, GenesisGateway, GenesisParams, GenesisSupplier, GenesisSupplierService,
    ProofParams,
};
use crate::{proof, service};

/// Sections that are arithmetic of `portico-protocol`.
const ARITHMETIC: [&str; 7] = [
    "claim_sampling",
    "go_math_rand",
    "messages",
    "messages_validate_basic",
    "meta",
    "proof_path",
    "seeded_random",
];

/// Free balance of each actor.
const BALANCE: Upokt = Upokt(1_000_000);

#[test]
fn takes_claims_and_proofs_as_the_go_implementation() {
    let all = vectors("proof.json");
    for section in all.keys() {
        let here = [
            "full_session",
            "message_server",
            "validation",
            "proof_requirement",
        ];
        let known = here.contains(&section.as_str()) || ARITHMETIC.contains(&section.as_str());
        assert!(known, "section {section} is not known here");
    }
    let stage = Stage {
        session: &all["full_session"][0],
        keys: keys(),
    };
    let file = "proof.json";
    each(file, "full_session", &all["full_session"], |session| {
        let stage = Stage {
            session,
            keys: keys(),
        };
        stage.whole_session();
    });
    each(file, "message_server", &all["message_server"], |case| {
        stage.message_server(case)
    });
    let mut by_hand = 0;
    each(file, "validation", &all["validation"], |case| {
        by_hand += stage.validation(case)
    });
    println!("{file} validation: {by_hand} claims were put into state, for no message makes them");
    let mut by_hand = 0;
    each(file, "proof_requirement", &all["proof_requirement"], |case| {
        by_hand += stage.proof_requirement(case);
    });
    println!("{file} proof_requirement: {by_hand} claims were put into state, for no message makes them");
}

/// The actors of the full session.
struct Stage<'a> {
    session: &'a Value,
    keys: Keys,
}

impl Stage<'_> {
    /// One application delegated to a gateway, one supplier, both staked for the service.
    fn genesis(&self, change: impl FnOnce(&mut ProofParams)) -> Genesis {
        let session = self.session;
        let mut params = GenesisParams {
            shared: shared_params(&session["shared_params"]),
            proof: proof_params(&session["proof_params"]),
            ..GenesisParams::default()
        };
        change(&mut params.proof);
        let mut genesis = genesis(params);
        let id = text(&session["service_id"]);
        let address = |name: &str| text(&session[name]["address"]).parse().unwrap();
        let actors = ["application", "gateway", "supplier"];
        genesis
            .accounts
            .extend(actors.map(|name| account(&session[name], BALANCE)));
        let owner = genesis.validators[0].account.to_string();
        genesis.services = vec![service(&id, number(&session["compute_units_per_relay"]), &owner)];
        genesis.gateways = vec![GenesisGateway {
            address: address("gateway"),
            stake: Upokt(1_000_000),
        }];
        genesis.applications = vec![GenesisApplication {
            address: address("application"),
            stake: Upokt(1_000_000_000_000),
            service_id: ServiceId::new(&id).unwrap(),
            delegatees: vec![address("gateway")],
        }];
        genesis.suppliers = vec![supplier(&id, &text(&session["supplier"]["address"]))];
        genesis
    }

    fn claim(&self) -> Claim {
        Claim::decode(bytes(&self.session["claim_bytes"]).as_slice()).unwrap()
    }

    fn window(&self, name: &str) -> [i64; 2] {
        [0, 1].map(|index| self.session[name][index].as_i64().unwrap())
    }

    /// Claims in the window's first block; returns whether the message was taken.
    fn claim_in(&self, chain: &mut Replay, claim: &Claim) -> bool {
        let message = MsgCreateClaim {
            supplier_operator_address: claim.supplier_operator_address.clone(),
            session_header: claim.session_header.clone(),
            root_hash: claim.root_hash.clone(),
        };
        chain.run_to(self.window("claim_window")[0] - 1);
        let (outcome, _) = chain.deliver(&self.keys, &claim.supplier_operator_address, &message);
        outcome.code == 0
    }

    /// The session's own messages, claimed and proved under our own chain's rules, in each block of the proof window.
    fn whole_session(&self) {
        let claim =
            MsgCreateClaim::decode(bytes(&self.session["msg_create_claim_bytes"]).as_slice()).unwrap();
        let submit =
            MsgSubmitProof::decode(bytes(&self.session["msg_submit_proof_bytes"]).as_slice()).unwrap();
        let mut genesis = self.genesis(|_| {});
        genesis.params.features = GenesisParams::default().features;
        let mut chain = Replay::new(&genesis);
        let supplier = claim.supplier_operator_address.clone();
        chain.run_to(self.window("claim_window")[0] - 1);
        let (outcome, _) = chain.deliver(&self.keys, &supplier, &claim);
        assert_eq!(outcome.code, 0, "{}", outcome.log);
        let [first, last] = self.window("proof_window");
        for height in first..=last {
            let mut chain = chain.clone();
            chain.run_to(height - 1);
            let (outcome, events) = chain.deliver(&self.keys, &supplier, &submit);
            assert_eq!(outcome.code, 0, "{}", outcome.log);
            assert_eq!(validity(&events), Some(Ok(())), "{height}");
        }
    }

    fn message_server(&self, case: &Value) {
        let (name, height) = (case["name"].as_str().unwrap(), case["height"].as_i64().unwrap());
        let outcome = if name.starts_with("create_claim") {
            let message = MsgCreateClaim::decode(bytes(&case["msg"]).as_slice()).unwrap();
            let outcome = self.create(&self.genesis(|_| {}), height, &message);
            if name.contains("wraps") {
                let mut strict = self.genesis(|_| {});
                strict.params.features = GenesisParams::default().features;
                let outcome = self.create(&strict, height, &message);
                assert_eq!(outcome.cause, Some(("proof", 1126)), "{}", outcome.log);
            }
            outcome
        } else {
            self.submit(name, height, case)
        };
        assert_eq!(
            outcome.code == 0,
            case["result"]["ok"] == true,
            "{} for {case}",
            outcome.log
        );
        if outcome.code != 0 {
            let theirs = case["result"]["error"].as_str().unwrap();
            let theirs = theirs.split_once(" desc = ").map_or(theirs, |(_, text)| text);
            assert_eq!(refusal(&outcome), theirs, "{case}");
        }
    }

    fn create(&self, genesis: &Genesis, height: i64, message: &MsgCreateClaim) -> crate::block::TxOutcome {
        let mut chain = Replay::new(genesis);
        chain.run_to(height - 1);
        chain
            .deliver(&self.keys, &message.supplier_operator_address, message)
            .0
    }

    fn submit(&self, name: &str, height: i64, case: &Value) -> crate::block::TxOutcome {
        let default = &self.session["msg_submit_proof_bytes"];
        let message = bytes(case.get("msg").unwrap_or(default));
        let message = MsgSubmitProof::decode(message.as_slice()).unwrap();
        let claim = self.claim();
        let claimed = self.claimed();
        let genesis = self.genesis(|params| {
            let least = match name {
                "submit_proof_not_required" => Upokt(1 << 40),
                "submit_proof_threshold_equal_to_claimed" => claimed,
                "submit_proof_threshold_one_above_claimed" => Upokt(claimed.0 + 1),
                "submit_proof_balance_equals_fee" => {
                    params.proof_submission_fee = BALANCE;
                    return;
                }
                _ => return,
            };
            params.proof_request_probability = 0.0;
            params.proof_requirement_threshold = least;
        });
        let fee = genesis.params.proof.proof_submission_fee.0;
        let mut chain = Replay::new(&genesis);
        if name != "submit_proof_without_claim" {
            assert!(self.claim_in(&mut chain, &claim));
        }
        chain.run_to(height - 1);
        let before = chain.balance(&module_address("proof"));
        let num_proofs = if name == "submit_proof_twice" { 2 } else { 1 };
        let signer = &message.supplier_operator_address;
        let txs: Vec<_> = (0..num_proofs)
            .map(|offset| chain.tx(&self.keys, signer, &message, offset).0)
            .collect();
        let mut outcome = chain.block(&txs);
        let taken = outcome.txs.iter().filter(|tx| tx.code == 0).count();
        let after = chain.balance(&module_address("proof"));
        assert_eq!(after - before, fee * u128::try_from(taken).unwrap(), "{case}");
        outcome.txs.pop().unwrap()
    }

    /// What the session's claim is worth, as the chain announces it.
    fn claimed(&self) -> Upokt {
        let claim = self.claim();
        let message = MsgCreateClaim {
            supplier_operator_address: claim.supplier_operator_address.clone(),
            session_header: claim.session_header,
            root_hash: claim.root_hash,
        };
        let height = self.window("claim_window")[0];
        let outcome = self.create(&self.genesis(|_| {}), height, &message);
        let created = of_kind(&outcome.events, "pocket.proof.EventClaimCreated")
            .next()
            .unwrap();
        upokt(&attribute(created, "claimed_upokt"))
    }

    /// Returns how many claims had to be put into state.
    fn validation(&self, case: &Value) -> u64 {
        let name = case["name"].as_str().unwrap();
        let network = self.judge(case, false);
        let same = |ours: &Result<(), String>, theirs: &Value| {
            assert_eq!(ours.is_ok(), theirs["ok"] == true, "{ours:?} for {case}");
        };
        same(&network.well_formed, &case["well_formed"]);
        same(&network.valid, &case["signatures_and_path"]);
        if let (Err(ours), Some(theirs)) = (&network.well_formed, case["well_formed"]["error"].as_str()) {
            assert!(same_kind(ours, theirs), "{ours} for {case}");
        }
        let strict_accepts = [
            "valid",
            "first_block_of_window",
            "last_block_of_window",
            "before_window",
            "after_window",
            "single_relay_valid",
        ];
        let strict_refuses = [
            "one_relay_under_eight_arbitrary_keys",
            "other_leaf_with_all_differing_bits_flipped",
            "other_leaf_with_depth_zero",
            "uneven_leaf_weights_with_the_right_total",
        ];
        let strict = self.judge(case, true).valid;
        assert!(
            strict.is_ok() || !strict_accepts.contains(&name),
            "{strict:?} {name}"
        );
        assert!(strict.is_err() || !strict_refuses.contains(&name), "{name}");
        network.by_hand
    }

    /// Claims, proves at the case's height, and lets the block's end judge the proof; one that the transaction refuses is put into state, so
    /// that the end of a block judges it too.
    fn judge(&self, case: &Value, strict: bool) -> Judged {
        let (name, height) = (case["name"].as_str().unwrap(), case["height"].as_i64().unwrap());
        let proved = Proof::decode(bytes(&case["proof_bytes"]).as_slice()).unwrap();
        let mut genesis = self.genesis(|params| params.proof_requirement_threshold = Upokt(0));
        if strict {
            genesis.params.features = GenesisParams::default().features;
        }
        let id = text(&self.session["service_id"]);
        if name.contains("other_supplier_in_session") {
            genesis
                .suppliers
                .push(supplier(&id, &proved.supplier_operator_address));
        }
        let mut chain = Replay::new(&genesis);
        if let Some((from, target)) = self.target(name) {
            chain.place(|ctx| {
                let difficulty = RelayMiningDifficulty {
                    service_id: id,
                    block_height: from,
                    num_relays_ema: 1,
                    target_hash: target,
                };
                service::record_difficulty(ctx, Height(from), difficulty);
                Ok(())
            });
        }
        let mut claim = self.claim();
        let root = case["claim_root"].as_str();
        claim.root_hash = root.map(|root| hex::decode(root).unwrap()).unwrap_or_default();
        let claimed = root.is_some() && self.claim_in(&mut chain, &claim);
        let place_claim = |chain: &mut Replay, claim: &Claim| {
            chain.place(|ctx| {
                proof::save_claim(ctx, claim);
                Ok(())
            });
        };
        chain.run_to(self.window("claim_window")[0]);
        if root.is_some() && !claimed {
            place_claim(&mut chain, &claim);
        }
        chain.run_to(height - 1);
        let submit = MsgSubmitProof {
            supplier_operator_address: proved.supplier_operator_address.clone(),
            session_header: proved.session_header.clone(),
            proof: proved.closest_merkle_proof.clone(),
        };
        let (outcome, events) = chain.deliver(&self.keys, &submit.supplier_operator_address, &submit);
        let by_hand = u64::from(root.is_some() && !claimed);
        if outcome.code == 0 {
            return Judged {
                well_formed: Ok(()),
                valid: validity(&events).unwrap(),
                by_hand,
            };
        }
        // The claim that the proof names, with the case's root; in the proof window, whose seed is then known.
        claim
            .supplier_operator_address
            .clone_from(&proved.supplier_operator_address);
        claim.session_header.clone_from(&proved.session_header);
        chain.height = chain.height.max(self.window("proof_window")[0] - 1);
        chain.place(|ctx| {
            proof::save_proof(ctx, &proved);
            Ok(())
        });
        place_claim(&mut chain, &claim);
        let events = chain.block(&[]).events;
        // What comes after the proof's own checks: fee, draw, worth of the claim.
        let later = outcome
            .cause
            .is_some_and(|(module, code)| module == "proof" && [1127, 1128, 1129, 1131].contains(&code));
        let refused = (!later).then(|| refusal(&outcome).to_owned());
        Judged {
            well_formed: refused.map_or(Ok(()), Err),
            valid: validity(&events).unwrap(),
            by_hand,
        }
    }

    /// Target hash that a case is about, and from when on; no message sets one.
    fn target(&self, name: &str) -> Option<(i64, Vec<u8>)> {
        use sha2::Digest;
        let rest = name.strip_prefix("difficulty_target_")?;
        if rest == "equal_to_relay_hash" {
            let relay = bytes(&self.session["closest_value"]);
            let mut totals = number(&self.session["compute_units_per_relay"])
                .to_be_bytes()
                .to_vec();
            totals.extend(1_u64.to_be_bytes());
            let relay = relay.strip_suffix(&totals[..]).unwrap_or(&relay);
            return Some((1, sha2::Sha256::digest(relay).to_vec()));
        }
        if rest == "31_bytes" {
            return Some((1, vec![0xff; 31]));
        }
        if rest == "change_effective_after_session_start" {
            let start = self.session["session_header"]["session_start_block_height"]
                .as_i64()
                .unwrap();
            return Some((start + 1, vec![0; 32]));
        }
        // Two bytes, repeated.
        Some((1, hex::decode(rest.repeat(16)).unwrap()))
    }

    /// The draw at settlement: a claim without proof settles, or expires. Returns how many claims had to be put into state.
    fn proof_requirement(&self, case: &Value) -> u64 {
        let claim = Claim::decode(bytes(&case["claim_bytes"]).as_slice()).unwrap();
        let header = proof::header_of(&claim);
        let genesis = self.genesis(|params| {
            params.proof_request_probability = case["probability"].as_f64().unwrap();
            params.proof_requirement_threshold = upokt(&case["threshold"]);
        });
        let mut chain = Replay::new(&genesis);
        let seed_height = self.session["proof_path_seed_height"].as_i64().unwrap();
        chain.hashes = BTreeMap::from([(seed_height, bytes(&case["seed_block_hash"]).try_into().unwrap())]);
        chain.place(|ctx| {
            let difficulty = RelayMiningDifficulty {
                service_id: header.service_id.clone(),
                block_height: 1,
                num_relays_ema: 1,
                target_hash: bytes(&case["target"]),
            };
            service::record_difficulty(ctx, Height(1), difficulty);
            Ok(())
        });
        let pending = claim.proof_validation_status == i32::from(ClaimProofStatus::PendingValidation);
        let claimed = pending && self.claim_in(&mut chain, &claim);
        if !claimed {
            chain.run_to(self.window("claim_window")[0]);
            chain.place(|ctx| {
                proof::save_claim(ctx, &claim);
                Ok(())
            });
        }
        let stored = self.stored(&chain, &claim).expect("claimed");
        assert_eq!(stored, claim);
        let events = chain.run_to(self.window("proof_window")[1]);
        assert_eq!(self.stored(&chain, &claim), None, "settled or expired");
        let theirs = ProofRequirementReason::from_str_name(case["reason"].as_str().unwrap()).unwrap();
        self.check_drawn(case, &claim, theirs, &events);
        u64::from(!claimed)
    }

    fn check_drawn(&self, case: &Value, claim: &Claim, theirs: ProofRequirementReason, events: &[Event]) {
        let of = |kind: &'static str| of_kind(events, kind).next();
        let proved = claim.proof_validation_status == i32::from(ClaimProofStatus::Validated);
        if theirs == ProofRequirementReason::NotRequired || proved {
            if let Some(settled) = of("pocket.tokenomics.EventClaimSettled") {
                assert_eq!(
                    attribute(settled, "proof_requirement_int"),
                    i32::from(theirs),
                    "{case}"
                );
                assert_eq!(
                    upokt(&attribute(settled, "claimed_upokt")),
                    upokt(&case["claimed_upokt"])
                );
                return;
            }
            // It settles as far as the draw is concerned, and is worth nothing.
            let discarded = of("pocket.tokenomics.EventClaimDiscarded").unwrap_or_else(|| panic!("{case}"));
            let error = text(&attribute(discarded, "error"));
            assert!(
                error.contains("root hash") || error.contains("mismatch"),
                "{error} for {case}"
            );
            return;
        }
        let expired = of("pocket.tokenomics.EventClaimExpired").unwrap_or_else(|| panic!("{case}"));
        let claimed = upokt(&attribute(expired, "claimed_upokt"));
        assert_eq!(claimed, upokt(&case["claimed_upokt"]), "{case}");
        let by_threshold = claimed >= upokt(&case["threshold"]);
        assert_eq!(
            by_threshold,
            theirs == ProofRequirementReason::Threshold,
            "{case}"
        );
    }

    fn stored(&self, chain: &Replay, claim: &Claim) -> Option<Claim> {
        let request = QueryGetClaimRequest {
            session_id: proof::header_of(claim).session_id,
            supplier_operator_address: claim.supplier_operator_address.clone(),
        };
        let answer: Result<QueryGetClaimResponse, _> = chain.ask("/pocket.proof.Query/Claim", &request);
        answer.ok()?.claim
    }
}

/// What the chain says of a proof: of the transaction, and of the end of its block.
struct Judged {
    well_formed: Result<(), String>,
    valid: Result<(), String>,
    by_hand: u64,
}

/// Whether two refusals are of one kind: what a text ends with. A message's own checks come before those of the case.
fn same_kind(ours: &str, theirs: &str) -> bool {
    kind_of(ours) == "invalid session header" || kind_of(ours) == kind_of(theirs)
}

/// What a block's end says of its proof.
fn validity(events: &[Event]) -> Option<Result<(), String>> {
    let checked = of_kind(events, "pocket.proof.EventProofValidityChecked").next()?;
    let reason = text(&attribute(checked, "failure_reason"));
    let valid = attribute(checked, "claim_proof_status_int") == i32::from(ClaimProofStatus::Validated);
    assert_eq!(valid, reason.is_empty());
    Some(if valid { Ok(()) } else { Err(reason) })
}

fn supplier(id: &str, operator: &str) -> GenesisSupplier {
    GenesisSupplier {
        owner: operator.parse().unwrap(),
        operator: operator.parse().unwrap(),
        stake: Upokt(1_000_000_000),
        services: vec![GenesisSupplierService {
            service_id: ServiceId::new(id).unwrap(),
            url: "http://127.0.0.1:8545".into(),
            endpoints: Vec::new(),
            rev_share: Vec::new(),
        }],
    }
}
