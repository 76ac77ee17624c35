//! Settlement where the vectors of the Go implementation do not reach.

use portico_protocol::Upokt;
use portico_protocol::wire::pocket::proof::{Claim, ClaimProofStatus};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::tendermint::abci::Event;

use super::network::{Network, STAKE, UNITS, address, genesis};
use crate::block::execute;
use crate::context::Context;
use crate::genesis::Genesis;
use crate::proof;
use crate::state::{StateRead, Store};

fn claim(network: &Network, supplier: &str, relays: u64, status: ClaimProofStatus) -> Claim {
    let header = network.session(0).header.unwrap();
    let mut root_hash = vec![1; 32];
    root_hash.extend((relays * UNITS).to_be_bytes());
    root_hash.extend(relays.to_be_bytes());
    Claim {
        supplier_operator_address: address(supplier).to_string(),
        session_header: Some(header),
        root_hash,
        proof_validation_status: status.into(),
    }
}

/// A chain in its first session with these claims, run to the block in which they settle; returns that block's events.
fn settle(genesis: &Genesis, claims: impl Fn(&Network) -> Vec<Claim>) -> (Network, Vec<Event>) {
    let mut network = Network::new(genesis);
    network.run_to(3);
    let context = network.next();
    let mut ctx = Context::new(&network.memory as &dyn StateRead, &context);
    for claim in claims(&network) {
        proof::save_claim(&mut ctx, &claim);
    }
    let changes = ctx.state.into_changes();
    super::lab::apply(&mut network.memory, changes);
    let events = network.run_to(20);
    (network, events)
}

fn of_kind<'a>(events: &'a [Event], kind: &str) -> Vec<&'a Event> {
    let kind = format!("pocket.tokenomics.{kind}");
    events.iter().filter(|event| event.r#type == kind).collect()
}

fn attribute<'a>(event: &'a Event, key: &str) -> &'a str {
    let attribute = event.attributes.iter().find(|one| one.key == key);
    &attribute.unwrap().value
}

fn free_genesis() -> Genesis {
    let mut genesis = genesis();
    genesis.params.proof.proof_request_probability = 0.0;
    genesis
}

#[test]
fn discards_a_claim_that_makes_no_sense_and_settles_the_others() {
    let (network, events) = settle(&free_genesis(), |network| {
        let good = claim(network, "supplier", 10, ClaimProofStatus::PendingValidation);
        let stranger = claim(network, "other", 10, ClaimProofStatus::PendingValidation);
        let mut uneven = claim(network, "owner", 10, ClaimProofStatus::PendingValidation);
        uneven.root_hash[47] = 11;
        let mut elsewhere = good.clone();
        elsewhere.session_header = Some(SessionHeader {
            service_id: "nowhere".into(),
            session_id: "another".into(),
            ..good.session_header.clone().unwrap()
        });
        vec![stranger, good, uneven, elsewhere]
    });
    assert_eq!(of_kind(&events, "EventClaimDiscarded").len(), 3);
    assert_eq!(of_kind(&events, "EventClaimSettled").len(), 1);
    assert_eq!(
        network.stake_of_application("application"),
        STAKE.0 - 42_000 - 4_200
    );
    let left = proof::ends_with_claims(network.state(), portico_protocol::Height(i64::MAX - 1));
    assert!(left.unwrap().is_empty(), "no claim is looked at again");
}

#[test]
fn leaves_an_application_whole_whose_claim_mints_nothing() {
    let mut genesis = free_genesis();
    genesis.params.tokenomics.mint_ratio = 0.5;
    genesis.params.shared.compute_units_to_tokens_multiplier = 10_000;
    let (network, events) = settle(&genesis, |network| {
        vec![claim(network, "supplier", 1, ClaimProofStatus::PendingValidation)]
    });
    let discarded = of_kind(&events, "EventClaimDiscarded");
    assert!(attribute(discarded[0], "error").contains("mint amount truncated to zero"));
    assert_eq!(network.stake_of_application("application"), STAKE.0);
}

#[test]
fn says_whether_a_proof_was_missing_or_invalid() {
    let mut genesis = genesis();
    genesis.params.proof.proof_request_probability = 1.0;
    for (status, reason) in [
        (ClaimProofStatus::PendingValidation, "\"PROOF_MISSING\""),
        (ClaimProofStatus::Invalid, "\"PROOF_INVALID\""),
    ] {
        let (_, events) = settle(&genesis, |network| vec![claim(network, "supplier", 10, status)]);
        let expired = of_kind(&events, "EventClaimExpired");
        assert_eq!(attribute(expired[0], "expiration_reason"), reason);
        let slashed = of_kind(&events, "EventSupplierSlashed");
        assert_eq!(
            attribute(slashed[0], "proof_missing_penalty"),
            "\"320000000upokt\""
        );
    }
}

#[test]
fn pays_the_owner_when_revenue_shares_cannot_be_paid() {
    let (mut network, _) = settle(&free_genesis(), |network| {
        vec![claim(
            network,
            "supplier",
            10,
            ClaimProofStatus::PendingValidation,
        )]
    });
    // The shares are checked when they are staked; state of another version may still hold odd ones.
    let context = network.next();
    let mut ctx = Context::new(&network.memory as &dyn StateRead, &context);
    let old = crate::supplier::supplier(&ctx.state, &address("supplier").to_string())
        .unwrap()
        .unwrap();
    let mut odd = old.clone();
    let config = odd.service_config_history[0].service.as_mut().unwrap();
    config.rev_share[0].rev_share_percentage = 81;
    crate::supplier::save(&mut ctx, Some(&old), &odd);
    let claimed = claim(&network, "supplier", 10, ClaimProofStatus::PendingValidation);
    proof::save_claim(&mut ctx, &claimed);
    let changes = ctx.state.into_changes();
    super::lab::apply(&mut network.memory, changes);
    network.run_to(29);
    let before = network.balance(&address("owner"));
    let events = network.run_to(30);
    let fallback = of_kind(&events, "EventSupplierRevShareFallbackDistribution");
    assert_eq!(fallback.len(), 2, "of the relays' mint and of the inflation's");
    assert_eq!(attribute(fallback[0], "observed_sum_percentage"), "\"101\"");
    assert_eq!(network.balance(&address("owner")) - before, 29_400 + 2_940);
}

#[test]
fn settles_a_claim_of_a_supplier_that_left_after_its_session() {
    let genesis = free_genesis();
    let mut network = Network::new(&genesis);
    network.run_to(3);
    let context = network.next();
    let mut ctx = Context::new(&network.memory as &dyn StateRead, &context);
    let claimed = claim(&network, "supplier", 10, ClaimProofStatus::PendingValidation);
    proof::save_claim(&mut ctx, &claimed);
    let changes = ctx.state.into_changes();
    super::lab::apply(&mut network.memory, changes);
    let leave = portico_protocol::wire::pocket::supplier::MsgUnstakeSupplier {
        signer: address("supplier").to_string(),
        operator_address: address("supplier").to_string(),
    };
    network.accept("supplier", &leave);
    network.run_to(19);
    let before = network.balance(&address("owner"));
    let events = network.run_to(20);
    assert_eq!(of_kind(&events, "EventClaimSettled").len(), 1);
    // 80 % of what the supplier's part is, and the stake, which is due in the same block.
    assert_eq!(
        network.balance(&address("owner")) - before,
        23_520 + 2_352 + STAKE.0
    );
}

#[test]
fn moves_the_difficulty_with_the_settled_volume() {
    let mut genesis = free_genesis();
    genesis.params.target_num_relays = 50;
    let (network, events) = settle(&genesis, |network| {
        vec![claim(
            network,
            "supplier",
            200,
            ClaimProofStatus::PendingValidation,
        )]
    });
    let updated = events
        .iter()
        .find(|event| event.r#type == "pocket.service.EventRelayMiningDifficultyUpdated");
    assert_eq!(attribute(updated.unwrap(), "new_num_relays_ema"), "\"200\"");
    let target = |height| {
        let height = portico_protocol::Height(height);
        let difficulty = crate::service::difficulty_at(network.state(), "eth", height);
        hex::encode(difficulty.unwrap().target_hash)
    };
    assert_eq!(
        target(19),
        "ff".repeat(32),
        "sessions before are judged by what was in force"
    );
    assert_eq!(target(21), format!("3f{}", "ff".repeat(31)));
}

#[test]
fn halts_rather_than_pay_with_damaged_state() {
    let genesis = free_genesis();
    let mut network = Network::new(&genesis);
    network.run_to(3);
    let key = [b"balance/", address("owner").as_bytes().as_slice()].concat();
    let damaged = network.memory.insert((Store::Bank, key), b"many".to_vec());
    assert!(damaged.is_some());
    let context = network.next();
    let tx = network.tx(
        "other",
        &portico_protocol::wire::cosmos::bank::v1beta1::MsgSend {
            from_address: address("other").to_string(),
            to_address: address("owner").to_string(),
            amount: vec![Upokt(1).into()],
        },
        &Default::default(),
    );
    assert!(execute(network.state(), &context, &[tx]).is_err());
}
