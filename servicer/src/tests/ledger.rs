//! Where each relay went: reasons that are stored, relays that are found by their hash.

use portico_protocol::relay::MinedRelay;

use super::*;
use crate::leaf_log::LeafReader;
use crate::{FoundRelay, Gaps, Unpaid, UnpaidBy, UnpaidRelay};

fn unpaid(world: &World, reason: Unpaid) -> Option<FoundRelay> {
    Some(FoundRelay::Unpaid(UnpaidRelay {
        session_id: world.header().session_id,
        supplier: world.supplier(),
        reason,
    }))
}

/// Sends `request`; the hash of the relay that came of it.
async fn hash(world: &World, request: &RelayRequest) -> [u8; 32] {
    MinedRelay::new(request, &world.send(request).await).hash
}

#[tokio::test]
async fn tells_of_each_relay_what_became_of_it() {
    let world = World::without_servicer().await;
    world.chain.set_stake(4 * COST);
    let mut world = world;
    let mut config = world.config();
    config.meter.over_servicing = true;
    world.run(config.clone());
    let paid = hash(&world, &world.request("/", "paid")).await;
    let failed = hash(&world, &world.request("/500", "x")).await;
    let beyond = hash(&world, &world.request("/", "beyond the budget")).await;
    let handle = &world.running().handle;
    let leaf = FoundRelay::Leaf {
        session_id: world.header().session_id,
        supplier: world.supplier(),
        seq: 0,
    };
    assert_eq!(handle.relay(&paid).unwrap(), Some(leaf.clone()));
    assert_eq!(
        handle.relay(&failed).unwrap(),
        unpaid(&world, Unpaid::BackendError)
    );
    assert_eq!(
        handle.relay(&beyond).unwrap(),
        unpaid(&world, Unpaid::OverServiced)
    );
    assert_eq!(handle.relay(&[7; 32]).unwrap(), None);
    let by = UnpaidBy {
        backend_error: 1,
        over_serviced: 1,
        ..UnpaidBy::default()
    };
    assert_eq!(world.row().unpaid_by, by);

    world.stop().await;
    let reader = LeafReader::open(&config.data_dir).unwrap();
    let rows = reader.ledger().unwrap();
    assert_eq!((rows.len(), rows[0].unpaid_by, rows[0].committed), (1, by, 1));
    assert!(Gaps::of(&rows[0]).closes(&rows[0]), "{:?}", rows[0]);
    assert_eq!(reader.find(&paid).unwrap(), Some(leaf));
    assert_eq!(
        reader.find(&failed).unwrap(),
        None,
        "single unpaid relays are remembered in memory only"
    );
    drop(reader);

    world.run(config);
    assert_eq!(world.row(), rows[0], "a start goes on from what was stored");
}

#[tokio::test]
async fn a_relay_above_the_target_is_unpaid_for_its_difficulty() {
    let world = World::without_servicer().await;
    world.chain.set_target_hash([0; 32]);
    let mut world = world;
    world.run(world.config());
    let above = hash(&world, &world.request("/", "x")).await;
    assert_eq!(
        world.running().handle.relay(&above).unwrap(),
        unpaid(&world, Unpaid::Difficulty)
    );
    let row = world.row();
    assert_eq!(row.unpaid_by.difficulty, 1);
    assert!(Gaps::of(&row).closes(&row), "{row:?}");
}
