//! What the chain's rules say at a height: prices of a session's start, seeds of one block, times of the chain's clock.

use std::time::Duration;

use portico_protocol::tx::{decode_tx, pack};
use portico_protocol::wire::pocket::service::MsgAddService;
use portico_protocol::wire::pocket::shared::{MsgUpdateParams, Params, Service};
use portico_testkit::{Fault, question};

use super::chain::authority;
use super::*;
use crate::Stage;
use portico_client::ChainError;
use portico_protocol::Upokt;

impl World {
    /// A servicer in a network whose service belongs to the authority.
    async fn with_owned_service() -> Self {
        let mut world = Self::without_servicer().await;
        world
            .chain
            .found(|genesis| genesis.services[0].owner = authority().address());
        world.run(world.config());
        world
    }

    /// Doubles everything that a relay is priced by.
    fn double_prices(&self) {
        let mut params = Params::from(&self.chain.genesis().params.shared);
        params.compute_units_to_tokens_multiplier *= 2;
        let authority_address = authority().address().to_string();
        let multiplier = MsgUpdateParams {
            authority: authority_address.clone(),
            params: Some(params),
        };
        let units = MsgAddService {
            owner_address: authority_address.clone(),
            service: Some(Service {
                id: SERVICE.to_owned(),
                name: SERVICE.to_owned(),
                compute_units_per_relay: 2 * UNITS,
                owner_address: authority_address,
                ..Service::default()
            }),
        };
        self.chain
            .send(&authority(), vec![pack(&multiplier), pack(&units)]);
    }

    /// Hears of nothing between the present height and `height`.
    async fn miss_blocks_up_to(&self, height: i64) {
        self.chain.advance_to(height);
        self.running().handle.wait_for_block(height).await;
    }
}

#[tokio::test]
async fn prices_that_change_within_a_session_leave_its_claim_as_it_was() {
    for change_at in 1..20 {
        let world = World::with_owned_service().await;
        world.relay("/", "before").await;
        world.go_to(change_at).await;
        world.double_prices();
        if change_at < 10 {
            world.go_to(change_at + 1).await;
            world.relay("/", "after").await;
        }
        world.go_to(20).await;
        let row = world.row();
        let due = Upokt(COST * u128::from(row.committed));
        assert_eq!(
            (row.stage, row.claimed_upokt, row.settled_upokt),
            (Stage::Settled, due, Some(due)),
            "changed at {change_at}"
        );
    }
}

/// Its prices are those of its start, also when nobody has asked for them until they changed.
#[tokio::test]
async fn a_session_that_is_first_served_after_a_change_has_the_prices_of_its_start() {
    for change_at in 1..9 {
        let world = World::with_owned_service().await;
        world.go_to(change_at).await;
        world.double_prices();
        world.go_to(change_at + 1).await;
        world.relay("/", "the first").await;
        world.go_to(20).await;
        let row = world.row();
        assert_eq!(
            (row.stage, row.claimed_upokt, row.settled_upokt),
            (Stage::Settled, Upokt(COST), Some(Upokt(COST))),
            "changed at {change_at}"
        );
    }
}

/// The next session is served at the new prices, by a process that has the old ones in its caches.
#[tokio::test]
async fn the_next_session_has_the_new_prices() {
    let world = World::with_owned_service().await;
    world.double_prices();
    world.go_to(11).await;
    world.relay("/", "dear").await;
    world.go_to(30).await;
    let row = world.row();
    let due = Upokt(4 * COST);
    assert_eq!(
        (row.stage, row.claimed_upokt, row.settled_upokt),
        (Stage::Settled, due, Some(due))
    );
}

/// A draw's seed is the hash of one block; a neighbour's would prove the wrong leaf, which costs stake.
#[tokio::test]
async fn a_seed_block_that_was_missed_is_read_at_its_height() {
    for unheard_up_to in 16..=18 {
        let world = World::start().await;
        world.relay("/", "one").await;
        world.relay("/", "two").await;
        world.go_to(14).await;
        // Nor does the node tell at first.
        let away = Fault::Refused(ChainError::Unavailable("not yet".to_owned()));
        world.chain.fail(question::BLOCK, [away]);
        world.miss_blocks_up_to(unheard_up_to).await;
        world.go_to(20).await;
        let row = world.row();
        assert_eq!(
            (row.stage, row.proved),
            (Stage::Settled, true),
            "nothing heard from 14 to {unheard_up_to}"
        );
    }
}

/// The chain in memory lives years ago: what followed this machine's clock would be refused, and here is the reason why it is not.
#[tokio::test]
async fn time_outs_of_transactions_follow_the_clock_of_the_blocks() {
    let world = World::start().await;
    world.relay("/", "one").await;
    world.go_to(20).await;
    let timeout = Duration::from_secs(world.config().tx.timeout_s);
    let taken = world.chain.taken();
    assert_eq!(taken.len(), 2, "a claim and a proof");
    for (height, tx) in taken {
        let body = decode_tx(&tx).unwrap().body;
        let ends = body.timeout_timestamp.unwrap();
        let block = Duration::from_millis(world.chain.genesis().genesis_time_ms)
            + Duration::from_secs(u64::try_from(height).unwrap());
        assert_eq!(
            u64::try_from(ends.seconds).unwrap(),
            (block + timeout).as_secs(),
            "height {height}"
        );
    }
}

/// The chain takes an unordered transaction of a sender once for each time-out.
#[tokio::test]
async fn transactions_of_one_block_have_time_outs_of_their_own() {
    let world = World::with(|config| {
        let service = config.services[&SERVICE.parse().unwrap()].clone();
        for name in ["b", "c", "d"] {
            config.services.insert(name.parse().unwrap(), service.clone());
        }
        config.tx.max_messages = 1;
    })
    .await;
    for service in [SERVICE, "b", "c", "d"] {
        let header = world.chain.header(1, service);
        let request = world.request_in(&header, &world.supplier().to_string(), "/", "x");
        assert!(world.is_served(&request).await);
    }
    world.go_to(20).await;
    assert!(world.rows().iter().all(|row| row.stage == Stage::Settled));
    let taken = world.chain.taken().into_iter();
    let ends = taken.map(|(_, tx)| {
        let ends = decode_tx(&tx).unwrap().body.timeout_timestamp.unwrap();
        (ends.seconds, ends.nanos)
    });
    let ends: Vec<_> = ends.collect();
    let handed_over = world.chain.handed_over();
    assert_eq!(
        handed_over,
        [[(12, 1); 4], [(16, 1); 4]].concat(),
        "each alone, and at once"
    );
    assert_eq!(std::collections::BTreeSet::from_iter(&ends).len(), 8, "{ends:?}");
}

/// The claims of one supplier are never told: the other's session does not notice.
#[tokio::test]
async fn a_question_that_is_never_answered_holds_up_nothing_else() {
    let world = World::start().await;
    for supplier in &world.suppliers {
        let request = world.request_in(&world.header(), &supplier.address().to_string(), "/", "x");
        assert!(world.is_served(&request).await);
    }
    let silent = world.suppliers[1].address().to_string();
    let is_of = move |request: &[u8]| {
        request
            .windows(silent.len())
            .any(|part| part == silent.as_bytes())
    };
    world
        .chain
        .fail_when("/pocket.proof.Query/AllClaims", Fault::Silent, is_of);
    tokio::time::pause();
    while world.chain.height() < 20 {
        world.chain.advance();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let [heard, unheard] = &world.rows()[..] else {
        panic!("two sessions")
    };
    assert_eq!((heard.supplier, heard.stage), (world.supplier(), Stage::Settled));
    assert_eq!(unheard.stage, Stage::Sealed);
    let heights: Vec<i64> = world.chain.messages().iter().map(|(height, _)| *height).collect();
    assert_eq!(heights, [13, 17]);
}

/// The only node has pruned the block that settled: what it paid is not known, and the session does not wait for ever.
#[tokio::test]
async fn a_settlement_that_every_node_has_pruned_is_given_up() {
    let world = World::start().await;
    world.relay("/", "one").await;
    world.go_to(19).await;
    let gone = ChainError::NotFound("height 20 is not available, lowest height is 21".to_owned());
    world
        .chain
        .fail_when(question::BLOCK_RESULTS, Fault::Refused(gone), |_| true);
    world.go_to(30).await;
    assert_eq!(world.row().stage, Stage::ProofOnChain);
    world.go_to(31).await;
    let reason = crate::ExpiredReason::NotSettled;
    assert_eq!(world.row().stage, Stage::Expired { reason });
}

/// What is in progress when the process is asked to stop is answered and recorded.
#[tokio::test]
async fn an_orderly_stop_loses_no_relay() {
    const IN_PROGRESS: usize = 8;
    let mut world = World::start().await;
    let url = format!("http://{}/", world.running().address);
    let asked: Vec<_> = (0..IN_PROGRESS)
        .map(|n| {
            let body = world.request("/wait", &n.to_string()).encode_to_vec();
            let sending = world.client.post(&url).header("rpc-type", "3").body(body).send();
            tokio::spawn(async move { sending.await.unwrap().status() })
        })
        .collect();
    while world.backend.hits() < IN_PROGRESS as u64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let gate = Arc::clone(&world.backend.gate);
    world.running().stop.cancel();
    let opened = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        gate.add_permits(IN_PROGRESS);
    });
    world.stop().await;
    opened.await.unwrap();
    for status in asked {
        assert_eq!(status.await.unwrap(), 200);
    }
    world.run(world.config());
    assert_eq!(world.row().committed, IN_PROGRESS as u64);
}

/// Readiness turns red while there still is something that can be done about it.
#[tokio::test]
async fn is_not_ready_while_a_window_is_about_to_close() {
    let world = World::start().await;
    world.relay("/", "one").await;
    world.go_to(13).await;
    assert!(world.running().handle.readiness().ready);
    // The proof's window is 16 to 20.
    world.go_to(15).await;
    world.chain.lose(2);
    world.go_to(17).await;
    assert!(world.running().handle.readiness().ready);
    world.go_to(18).await;
    assert_eq!(
        world.running().handle.readiness().reasons,
        ["1 claim or proof is not on chain, and its window closes within 2 blocks"]
    );
    world.go_to(20).await;
    assert_eq!(world.row().stage, Stage::Settled);
    assert!(world.running().handle.readiness().ready);
}

/// Blocks per session and both windows change at one height, as an upgrade of the network may do it: sessions of both sides are paid, each by
/// the rules of its own time.
#[tokio::test]
async fn sessions_before_and_after_a_change_of_the_grid_are_paid() {
    for change_at in [1, 5, 8] {
        let world = World::start().await;
        world.relay("/", "by the old rules").await;
        world.go_to(change_at).await;
        let mut params = Params::from(&world.chain.genesis().params.shared);
        params.num_blocks_per_session = 4;
        params.claim_window_close_offset_blocks = 3;
        params.proof_window_close_offset_blocks = 3;
        // An unbonding outlasts the proofs of a session.
        params.supplier_unbonding_period_sessions = 4;
        params.application_unbonding_period_sessions = 4;
        params.gateway_unbonding_period_sessions = 4;
        let message = MsgUpdateParams {
            authority: authority().address().to_string(),
            params: Some(params),
        };
        world.chain.send(&authority(), vec![pack(&message)]);
        world.go_to(12).await;
        assert!(world.chain.included().iter().all(|tx| tx.code == 0));
        // The grid begins anew where the session ended that the change came in.
        (params.session_grid_anchor_height, params.session_number_at_anchor) = (11, 2);
        let header = portico_protocol::session::header(
            &world.application.address(),
            &SERVICE.parse().unwrap(),
            portico_protocol::Height(11),
            &world.chain.hash(11),
            &params,
        );
        assert_eq!(header.session_end_block_height, 14);
        let supplier = world.supplier().to_string();
        let request = world.request_in(&header, &supplier, "/", "by the new ones");
        let answer = world.post(request.encode_to_vec()).await;
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        world.go_to(24).await;
        let rows = world.rows();
        let ends: Vec<_> = rows.iter().map(|row| (row.stage, row.settled_upokt)).collect();
        assert_eq!(
            ends,
            [(Stage::Settled, Some(Upokt(COST))); 2],
            "changed at {change_at}"
        );
    }
}
