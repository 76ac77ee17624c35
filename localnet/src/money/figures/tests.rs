use std::collections::BTreeMap;

use portico_protocol::wire::pocket::{shared, tokenomics};
use portico_protocol::{Height, ServiceId};

use super::{Disagreement, Money, Verdict};
use crate::actors::Actors;
use crate::money::expected::Rates;
use crate::money::load::{Served, Tally};
use crate::money::pots::{Pot, Pots, Snapshot};
use crate::money::watch::{Seen, Settlement};
use crate::spec::{Spec, chain_service};

/// Fifty relays of ten units in one settled session, and what everybody had before.
struct Scene {
    actors: Actors,
    pots: Pots,
    before: Snapshot,
    after: Snapshot,
    earlier: Tally,
    tally: Tally,
    leaves: Tally,
    seen: Seen,
    rates: Rates,
    units: BTreeMap<ServiceId, u64>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = chain_service();
        let spec = Spec::new(BTreeMap::from([(service.clone(), None)]));
        let actors = Actors::open(folder.path(), &spec, &mut rand::rng()).unwrap();
        let pots = Pots::of(&actors);
        let served = Served {
            session: "ab".repeat(32),
            supplier: actors.suppliers[0].address(),
        };
        let tally = Tally::from([(served.clone(), 50)]);
        let seen = Seen {
            settlements: vec![settlement(&actors, &service, served)],
            ..Seen::default()
        };
        let snapshot = |height| Snapshot {
            height: Height(height),
            amounts: vec![1_000_000; pots.0.len()],
        };
        let (before, after) = (snapshot(5), snapshot(30));
        let units = BTreeMap::from([(service, 10)]);
        let mut scene = Self {
            actors,
            pots,
            before,
            after,
            earlier: Tally::new(),
            leaves: tally.clone(),
            tally,
            seen,
            rates: rates(),
            units,
        };
        // 21,000 claimed, 2,100 inflation.
        let application = scene.actors.applications.values().next().unwrap().address();
        scene.give(&Pot::ApplicationStake(application), -23_100);
        scene.give(&Pot::Balance(scene.actors.suppliers[0].address()), 16_170);
        scene.give(&Pot::Balance(scene.actors.service_owner.address()), 3_465);
        scene.give(&Pot::Balance(scene.actors.validator.address()), 1_155);
        scene.give(&Pot::Balance(scene.actors.dao.address()), 4_410);
        scene.give(&Pot::Supply, 2_100);
        scene
    }

    fn give(&mut self, pot: &Pot, change: i128) {
        let index = self.pots.0.iter().position(|(_, _, other)| other == pot).unwrap();
        let amount = &mut self.after.amounts[index];
        *amount = amount.checked_add_signed(change).unwrap();
    }

    fn verdict(&self) -> Verdict {
        let Self {
            actors,
            pots,
            before,
            after,
            earlier,
            tally,
            leaves,
            seen,
            rates,
            units,
        } = self;
        Money {
            actors,
            pots,
            before,
            after,
            earlier,
            tally,
            leaves,
            seen,
            rates,
            units,
        }
        .verdict()
    }
}

fn settlement(actors: &Actors, service: &ServiceId, served: Served) -> Settlement {
    Settlement {
        served,
        application: actors.applications[service].address(),
        service: service.clone(),
        relays: 50,
        compute_units: 500,
        claimed: 21_000,
        settled: 21_000,
        minted: 21_000,
        proved: true,
        height: Height(20),
    }
}

fn rates() -> Rates {
    let shared = shared::Params {
        compute_units_to_tokens_multiplier: 42_000_000,
        compute_unit_cost_granularity: 1_000_000,
        ..shared::Params::default()
    };
    let (dao, proposer, supplier, source_owner) = (0.1, 0.05, 0.7, 0.15);
    let tokenomics = tokenomics::Params {
        mint_allocation_percentages: Some(tokenomics::MintAllocationPercentages {
            dao,
            proposer,
            supplier,
            source_owner,
            application: 0.0,
        }),
        mint_equals_burn_claim_distribution: Some(tokenomics::MintEqualsBurnClaimDistribution {
            dao,
            proposer,
            supplier,
            source_owner,
            application: 0.0,
        }),
        global_inflation_per_claim: 0.1,
        mint_ratio: 1.0,
        ..tokenomics::Params::default()
    };
    Rates::of(&shared, &tokenomics).unwrap()
}

#[test]
fn figures_that_agree_are_told_and_not_complained_about() {
    let scene = Scene::new();
    let verdict = scene.verdict();
    assert_eq!(verdict.disagreements, []);
    assert_eq!(
        (verdict.sessions.len(), verdict.sessions[0].expected),
        (1, 21_000)
    );
    assert_eq!(verdict.pots.len(), scene.pots.0.len());
}

#[test]
fn one_upokt_too_much_anywhere_disagrees() {
    for index in 0..Scene::new().pots.0.len() {
        let mut scene = Scene::new();
        scene.after.amounts[index] += 1;
        assert!(!scene.verdict().disagreements.is_empty(), "pot {index}");
    }
}

#[test]
fn a_leaf_that_the_servicer_lost_disagrees() {
    let mut scene = Scene::new();
    *scene.leaves.values_mut().next().unwrap() -= 1;
    assert_eq!(scene.verdict().disagreements.len(), 1);
}

#[test]
fn a_claim_without_one_of_the_relays_disagrees() {
    let mut scene = Scene::new();
    scene.seen.settlements[0].relays -= 1;
    assert!(!scene.verdict().disagreements.is_empty());
}

#[test]
fn a_settlement_off_by_one_upokt_disagrees() {
    let mut scene = Scene::new();
    scene.seen.settlements[0].settled -= 1;
    assert_eq!(scene.verdict().disagreements.len(), 1);
}

#[test]
fn a_claim_that_settles_without_proof_disagrees() {
    let mut scene = Scene::new();
    scene.seen.settlements[0].proved = false;
    assert_eq!(scene.verdict().disagreements.len(), 1);
}

#[test]
fn a_session_that_was_not_settled_is_named() {
    let mut scene = Scene::new();
    scene.seen.settlements.clear();
    assert!(
        scene
            .verdict()
            .disagreements
            .iter()
            .any(|found| matches!(found, Disagreement::NotSettled { relays: 50, .. }))
    );
}

#[test]
fn leaves_of_an_earlier_run_that_settle_meanwhile_are_reckoned_with() {
    let mut scene = Scene::new();
    let served = scene.seen.settlements[0].served.clone();
    scene.earlier = Tally::from([(served.clone(), 20)]);
    scene.tally = Tally::from([(served, 30)]);
    assert_eq!(scene.verdict().disagreements, []);
    scene.tally.clear();
    assert!(
        !scene.verdict().disagreements.is_empty(),
        "thirty relays are nobody's"
    );
}
