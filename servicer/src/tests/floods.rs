//! What strangers send in numbers, beside honest relays.

use super::*;

fn invented(world: &World, n: u8) -> RelayRequest {
    let mut request = world.request("/", "invented");
    let header = request.meta.as_mut().unwrap().session_header.as_mut().unwrap();
    header.application_address = key(n).address().to_string();
    request
}

/// Each would ask the backend again, make a leaf when the answer differs, and burn the application's budget.
#[tokio::test]
async fn a_replay_asks_no_backend_and_burns_no_budget() {
    let world = World::without_servicer().await;
    // floor(floor(stake / 2 suppliers) / (1 pending session + 1)) pays for two relays.
    world.chain.set_stake(4 * (2 * COST + COST / 2));
    let mut world = world;
    world.run(world.config());
    let request = world.request("/", "once");
    world.send(&request).await;
    for _ in 0..10 {
        world.refused(&request).await.is(409, "was sent before");
    }
    assert_eq!(world.backend.hits(), 1);
    world.relay("/", "the second that is paid for").await;
    let row = world.row();
    assert_eq!((row.served, row.committed, row.unpaid), (2, 2, 0));
}

#[tokio::test]
async fn a_request_refused_before_its_backend_may_come_again() {
    let world = World::without_servicer().await;
    world.chain.set_stake(4 * COST);
    let mut world = world;
    world.run(world.config());
    let waiting = Arc::new(world.request("/wait", "takes the budget")).encode_to_vec();
    let url = format!("http://{}/", world.running().address);
    let first = tokio::spawn(world.client.post(&url).body(waiting).send());
    while world.backend.hits() == 0 {
        tokio::task::yield_now().await;
    }
    let again = world.request("/", "again");
    assert_eq!(world.refused(&again).await.status, 429);
    assert_eq!(world.refused(&again).await.status, 429, "not taken for a replay");
    world.backend.gate.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
}

/// The budget was reserved before the signature was verified: whoever forged requests held it.
#[tokio::test]
async fn a_forged_request_is_refused_as_such_when_the_budget_is_taken() {
    let world = World::without_servicer().await;
    world.chain.set_stake(4 * COST);
    let mut world = world;
    world.run(world.config());
    world.relay("/", "takes the budget").await;
    let mut forged = world.request("/", "x");
    forged.payload = payload("/", "forged");
    world.refused(&forged).await.is(403, "ring signature refused");
    assert_eq!(world.refused(&world.request("/", "x")).await.status, 429);
}

#[tokio::test]
async fn unknown_sessions_hold_no_places_of_relays() {
    let world = Arc::new(World::with(|config| config.limits.max_in_flight = 4).await);
    world.chain.be_silent_for_strangers();
    let flood: Vec<_> = (10..40)
        .map(|n| {
            let (request, world) = (invented(&world, n), Arc::clone(&world));
            tokio::spawn(async move { world.post(request.encode_to_vec()).await.status() })
        })
        .collect();
    while world.chain.session_calls() < 30 {
        tokio::task::yield_now().await;
    }
    for n in 0..8 {
        assert_eq!(world.relay("/", &format!("honest {n}")).await.status_code, 200);
    }
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Refusals were remembered in the places of sessions: enough of them kept every new session out until the next block.
#[tokio::test]
async fn remembered_refusals_do_not_keep_new_sessions_out() {
    let world = World::with(|config| config.limits.max_sessions = 8).await;
    for n in 10..40 {
        world
            .refused(&invented(&world, n))
            .await
            .is(403, "the chain has no such session");
    }
    assert_eq!(world.relay("/", "a new session").await.status_code, 200);
}
