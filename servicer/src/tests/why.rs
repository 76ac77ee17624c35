//! Ways in which relays were not paid, each brought about, with the reason and the amount that the ledger tells. The rows are what the tests of
//! `portico servicer why` put into words (`cli/src/servicer/why/cases.json`; `PORTICO_UPDATE=1` writes it anew).

use std::sync::atomic::AtomicBool;

use serde::Serialize;

use super::hooked::{HookedLog, Write};
use super::*;
use crate::session::unpaid::Unpaid;
use crate::{ExpiredReason, Gaps, Stage};

/// The rows in words are tested there.
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/src/servicer/why/cases.json");

/// A way, with the relays and the upokt that it cost.
#[derive(Serialize)]
struct Case {
    what_happened: &'static str,
    reason: String,
    relays: u64,
    upokt: i128,
    row: LedgerRow,
}

/// Of the session of `row`, `relays` relays worth `upokt` went by `reason`; everything else was paid.
fn case(what_happened: &'static str, reason: &str, relays: u64, upokt: u128, mut row: LedgerRow) -> Case {
    let gaps = Gaps::of(&row);
    assert!(gaps.closes(&row), "{what_happened}: {row:?}");
    let lost: Vec<_> = gaps.0.iter().filter(|gap| gap.reason.name() == reason).collect();
    assert_eq!(lost.len(), 1, "{what_happened}: {gaps:?}");
    let upokt = i128::try_from(upokt).unwrap();
    assert_eq!(
        (lost[0].relays, lost[0].upokt),
        (relays, upokt),
        "{what_happened}"
    );
    assert!(!lost[0].pending, "{what_happened}");
    let others = gaps.0.iter().filter(|gap| gap.reason.name() != reason);
    let others: Vec<_> = others.map(|gap| gap.reason.name()).collect();
    assert!(
        others.iter().all(|reason| *reason == "others_shares"),
        "{what_happened}: {others:?}"
    );
    // Transactions hold the leaves' hashes, and those the backend's clock.
    let names = |kind| move |index| format!("{kind}-{}", index + 1);
    let claims = row.claim_txs.iter_mut().zip((0..).map(names("CLAIM")));
    let proofs = row.proof_txs.iter_mut().zip((0..).map(names("PROOF")));
    for (hash, name) in claims.chain(proofs) {
        row.last_error = row.last_error.map(|said| said.replace(hash.as_str(), &name));
        *hash = name;
    }
    Case {
        what_happened,
        reason: reason.to_owned(),
        relays,
        upokt,
        row,
    }
}

/// The row of the session that `service` was served in.
fn row_of(world: &World, service: &str) -> LedgerRow {
    let mut rows = world.rows().into_iter();
    rows.find(|row| row.service.as_str() == service).unwrap()
}

async fn backend_error() -> Case {
    let world = World::start().await;
    world.relay("/", "paid").await;
    world.relay("/500", "the node says that it is broken").await;
    world.go_to(20).await;
    let reason = Unpaid::BackendError.name();
    let labels = [("reason", reason), ("service", SERVICE)];
    assert_eq!(world.metric("servicer_served_unpaid_total", &labels), 1.0);
    case(
        "the backend answered with status 500",
        reason,
        1,
        COST,
        world.row(),
    )
}

async fn over_serviced() -> Case {
    let mut world = World::without_servicer().await;
    world.chain.set_stake(4 * COST);
    let mut config = world.config();
    config.meter.over_servicing = true;
    world.run(config);
    for n in 0..3 {
        world.relay("/", &n.to_string()).await;
    }
    world.go_to(20).await;
    let what = "the application's budget paid for one relay of three, and over_servicing was on";
    case(what, "over_serviced", 2, 2 * COST, world.row())
}

async fn difficulty() -> Case {
    let mut world = World::without_servicer().await;
    world.chain.set_target_hash([0; 32]);
    world.run(world.config());
    world.relay("/", "x").await;
    world.go_to(20).await;
    case("the relay missed the difficulty", "difficulty", 1, 0, world.row())
}

async fn backend_timeout() -> Case {
    let world = World::with(|config| {
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        service.timeout_ms = 500;
    })
    .await;
    world.relay("/", "paid").await;
    world
        .refused(&world.request("/never", "x"))
        .await
        .is(502, "did not answer");
    world.go_to(20).await;
    case(
        "the backend did not answer in time",
        "backend_timeout",
        1,
        COST,
        world.row(),
    )
}

async fn response_too_large() -> Case {
    let world = World::with(|config| {
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        service.max_response_bytes = 32 << 10;
    })
    .await;
    world.relay("/", "paid").await;
    world
        .refused(&world.request("/large", "x"))
        .await
        .is(502, "too large");
    world.go_to(20).await;
    let what = "the backend's answer was larger than the configuration allows";
    case(what, "response_too_large", 1, COST, world.row())
}

/// The client waits no longer: nobody but the servicer's backend knows why.
async fn no_answer() -> Case {
    let world = World::start().await;
    world.relay("/", "paid").await;
    let request = world.request("/never", "x").encode_to_vec();
    let asked = async {
        world
            .until("the backend is asked", async || world.backend.hits() == 2)
            .await;
    };
    tokio::select! {
        _ = world.post(request) => panic!("it was answered"),
        () = asked => {}
    }
    world.go_to(20).await;
    let what = "the client left before the answer came";
    case(what, "no_answer", 1, COST, world.row())
}

/// The backend answers when the session's claim is made already.
async fn too_late() -> Case {
    let world = World::with(|config| {
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        service.timeout_ms = 60_000;
    })
    .await;
    world.relay("/", "paid").await;
    let request = world.request("/wait", "late").encode_to_vec();
    let late = async {
        world
            .until("the backend is asked", async || world.backend.hits() == 2)
            .await;
        world.go_to(15).await;
        world.backend.gate.add_permits(1);
    };
    let (answered, ()) = tokio::join!(world.post(request), late);
    assert_eq!(answered.status(), 403);
    world.go_to(20).await;
    let what = "the backend answered after the session was closed";
    case(what, "too_late", 1, COST, world.row())
}

async fn recording_failed() -> Case {
    let mut world = World::without_servicer().await;
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let inner = RedbLog::open(world.folder.path()).unwrap();
    let log = HookedLog::new(inner, move |write| {
        match write == Write::Append && failing.load(Ordering::SeqCst) {
            true => Err(std::io::Error::other("input/output error").into()),
            false => Ok(()),
        }
    });
    world.run_on(world.config(), Arc::new(log));
    world.relay("/", "paid").await;
    fails.store(true, Ordering::SeqCst);
    world
        .refused(&world.request("/", "x"))
        .await
        .is(503, "cannot be recorded");
    world.go_to(20).await;
    case("the disk took no leaf", "recording_failed", 1, COST, world.row())
}

async fn damaged() -> Case {
    let (world, disk) = World::on_bad_disk(5).await;
    disk.turn_a_bit(2);
    world.go_to(20).await;
    case(
        "the disk changed one of five leaves",
        "damaged",
        1,
        COST,
        world.row(),
    )
}

async fn claim_window_missed() -> Case {
    let mut world = World::start().await;
    for n in 0..3 {
        world.relay("/", &n.to_string()).await;
    }
    world.go_to(5).await;
    world.stop().await;
    world.chain.advance_to(16);
    world.run(world.config());
    world.running().handle.wait_for_block(16).await;
    world.go_to(20).await;
    let what = "the servicer was stopped until the claim window had closed";
    case(what, "claim_window_missed", 3, 3 * COST, world.row())
}

async fn unfunded() -> Case {
    let world = World::with_funds(1_001, 1_000, |_| {}).await;
    world.go_to(20).await;
    let what = "the account could pay for the proof of one claim, and there were two";
    case(what, "unfunded", 1, COST, row_of(&world, "second"))
}

async fn unprofitable() -> Case {
    let world = World::with_funds(1_000_000, COST + 1, |_| {}).await;
    world.go_to(20).await;
    let what = "a proof costs more than the claim is worth";
    case(what, "unprofitable", 1, COST, row_of(&world, "second"))
}

async fn foreign_claim() -> Case {
    let world = World::start().await;
    for n in 0..2 {
        world.relay("/", &n.to_string()).await;
    }
    world.go_to(11).await;
    let mut root_hash = [7; 48];
    root_hash[32..40].copy_from_slice(&(100 * UNITS).to_be_bytes());
    root_hash[40..48].copy_from_slice(&100_u64.to_be_bytes());
    world.claim_elsewhere(root_hash.to_vec());
    world.go_to(20).await;
    let labels = [("reason", "foreign_claim"), ("service", SERVICE)];
    assert_eq!(
        world.metric("servicer_lost_upokt_total", &labels),
        2.0 * COST as f64
    );
    let what = "another process claimed more with the same key";
    case(what, "foreign_claim", 2, 2 * COST, world.row())
}

async fn proof_missing() -> Case {
    let world = World::start().await;
    for n in 0..2 {
        world.relay("/", &n.to_string()).await;
    }
    world.go_to(15).await;
    world.chain.lose_all();
    world.go_to(20).await;
    let row = world.row();
    assert_eq!(
        row.slashed_upokt,
        world.chain.genesis().params.proof.proof_missing_penalty
    );
    let what = "the chain's node lost every transaction with the proof";
    case(what, "proof_missing", 2, 2 * COST, row)
}

async fn root_mismatch() -> Case {
    let mut world = World::start().await;
    for n in 0..3 {
        world.relay("/", &n.to_string()).await;
    }
    world.go_to(14).await;
    world.stop().await;
    let log = Arc::new(RedbLog::open(world.folder.path()).unwrap());
    assert_eq!(log.delete_leaves(0, 1).unwrap(), 1);
    world.run_on(world.config(), log);
    world.go_to(20).await;
    let row = world.row();
    let reason = ExpiredReason::RootMismatch;
    assert_eq!(row.stage, Stage::Expired { reason });
    let what = "a leaf was lost from the disk after the claim was sent";
    case(what, "root_mismatch", 3, 3 * COST, row)
}

#[tokio::test]
async fn each_way_not_to_be_paid_has_its_reason_and_amount() {
    let cases = [
        backend_error().await,
        over_serviced().await,
        difficulty().await,
        backend_timeout().await,
        response_too_large().await,
        no_answer().await,
        too_late().await,
        recording_failed().await,
        damaged().await,
        claim_window_missed().await,
        unfunded().await,
        unprofitable().await,
        foreign_claim().await,
        proof_missing().await,
        root_mismatch().await,
    ];
    let reasons: std::collections::BTreeSet<&str> = cases.iter().map(|case| case.reason.as_str()).collect();
    assert_eq!(reasons.len(), cases.len());
    let text = serde_json::to_string_pretty(&cases).unwrap() + "\n";
    if std::env::var_os("PORTICO_UPDATE").is_some() {
        std::fs::write(CASES, &text).unwrap();
    }
    let known = std::fs::read_to_string(CASES).unwrap_or_default();
    assert!(
        text == known,
        "the rows changed: PORTICO_UPDATE=1 writes {CASES} anew\n{text}"
    );
}
