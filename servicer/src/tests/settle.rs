//! From leaves to settlement, block by block.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use portico_client::Claims;
use portico_protocol::Upokt;
use portico_protocol::tx::pack;
use portico_protocol::wire::pocket::proof::MsgCreateClaim;
use portico_smst::{Path, Sum, SumDigest, root_of};

use super::hooked::{HookedLog, Write};
use super::*;
use crate::leaf_log::LeafReader;
use crate::{ExpiredReason, Gaps, LedgerTotals, Stage};

const CLAIM: &str = "/pocket.proof.MsgCreateClaim";
const PROOF: &str = "/pocket.proof.MsgSubmitProof";

impl World {
    /// Heights of the blocks that included messages of this type.
    fn included(&self, type_url: &str) -> Vec<i64> {
        let messages = self.chain.messages();
        messages
            .iter()
            .filter(|(_, message)| message.type_url == type_url)
            .map(|(height, _)| *height)
            .collect()
    }

    async fn relays(&self, count: usize) {
        for n in 0..count {
            assert_eq!(self.relay("/", &format!("relay {n}")).await.status_code, 200);
        }
    }

    fn stage(&self) -> Stage {
        self.row().stage
    }

    /// Another process with the supplier's key claims the first session: in the next block.
    pub(super) fn claim_elsewhere(&self, root_hash: Vec<u8>) {
        let claim = MsgCreateClaim {
            supplier_operator_address: self.supplier().to_string(),
            session_header: Some(self.chain.header(1, SERVICE)),
            root_hash,
        };
        self.chain.send(&self.suppliers[0], vec![pack(&claim)]);
    }

    fn no_proof_is_asked(&self) {
        self.chain.set_proof_params(|params| {
            params.proof_requirement_threshold = Some(Upokt(u128::from(u64::MAX)).into());
        });
    }
}

#[tokio::test]
async fn claims_proves_and_settles_at_the_exact_heights() {
    let world = World::start().await;
    world.relays(7).await;
    for (height, stage) in [
        (10, Stage::Open),
        (11, Stage::Open),
        (12, Stage::ClaimSent),
        (13, Stage::ClaimOnChain),
        (14, Stage::ClaimOnChain),
        // The seed of the draw is the hash of block 15.
        (15, Stage::ProofRequired),
        (16, Stage::ProofSent),
        (17, Stage::ProofOnChain),
        (19, Stage::ProofOnChain),
        (20, Stage::Settled),
    ] {
        world.go_to(height).await;
        assert_eq!(world.stage(), stage, "at height {height}");
    }
    assert_eq!(
        (world.included(CLAIM), world.included(PROOF)),
        (vec![13], vec![17])
    );
    let row = world.row();
    assert_eq!((row.served, row.committed, row.claimed), (7, 7, 7));
    assert_eq!(
        (row.claimed_compute_units, row.claimed_upokt),
        (700, Upokt(7 * COST))
    );
    assert_eq!(
        (row.proof_required, row.proved, row.settled_upokt),
        (Some(true), true, Some(Upokt(7 * COST)))
    );
    assert!(crate::Gaps::of(&row).closes(&row), "{row:?}");
    let totals = LedgerTotals::of([&row]);
    assert_eq!(
        (totals.settled_upokt, totals.unsettled_sessions),
        (Upokt(7 * COST), 0)
    );
}

#[tokio::test]
async fn sends_no_proof_that_is_not_asked_for() {
    let world = World::start().await;
    world.no_proof_is_asked();
    world.relays(3).await;
    world.go_to(15).await;
    assert_eq!(world.stage(), Stage::ProofNotRequired);
    world.go_to(20).await;
    assert_eq!(world.stage(), Stage::Settled);
    assert!(world.included(PROOF).is_empty());
}

#[tokio::test]
async fn claims_what_the_leaves_add_up_to() {
    let world = World::start().await;
    world.relays(20).await;
    world.go_to(13).await;
    let row = world.row();
    let leaves = world
        .running()
        .handle
        .leaves(&row.session_id, &row.supplier)
        .unwrap();
    let digest = |leaf: &crate::leaf_log::Leaf| {
        let path = Path::of_key(&leaf.key);
        (path, SumDigest::of_leaf(&path, &leaf.relay, leaf.weight))
    };
    let root = root_of::<Sum>(leaves.iter().map(digest));
    let claim = world.chain.claim(&row.session_id, &row.supplier).await;
    assert_eq!(claim.unwrap().unwrap().root_hash, root.as_ref());
    assert_eq!((root.sum(), root.count()), (20 * UNITS, 20));
}

#[tokio::test]
async fn sends_the_claims_of_several_sessions_and_suppliers_in_one_transaction_each() {
    let world = World::with(|config| {
        let service = config.services[&SERVICE.parse().unwrap()].clone();
        config.services.insert("second".parse().unwrap(), service);
    })
    .await;
    for supplier in &world.suppliers {
        for service in [SERVICE, "second"] {
            let header = world.chain.header(1, service);
            let request = world.request_in(&header, &supplier.address().to_string(), "/", "x");
            assert!(world.is_served(&request).await);
        }
    }
    world.go_to(20).await;
    assert!(world.rows().iter().all(|row| row.stage == Stage::Settled));
    assert_eq!(world.chain.handed_over(), [(12, 2), (12, 2), (16, 2), (16, 2)]);
}

#[tokio::test]
async fn a_message_that_the_chain_refuses_does_not_take_others_with_it() {
    let world = World::with(|config| {
        let service = config.services[&SERVICE.parse().unwrap()].clone();
        for name in ["b", "c", "d"] {
            config.services.insert(name.parse().unwrap(), service.clone());
        }
    })
    .await;
    for service in [SERVICE, "b", "c", "d"] {
        let header = world.chain.header(1, service);
        let request = world.request_in(&header, &world.supplier().to_string(), "/", "x");
        assert!(world.is_served(&request).await);
    }
    let bad = world.chain.header(1, "c").session_id;
    world.chain.refuse_simulation_of(&bad);
    world.go_to(20).await;
    for row in world.rows() {
        let expected = if row.session_id == bad {
            Stage::Expired {
                reason: ExpiredReason::ClaimWindowMissed,
            }
        } else {
            Stage::Settled
        };
        assert_eq!(row.stage, expected, "{}", row.service);
        assert_eq!(row.last_error.is_some(), row.session_id == bad);
    }
}

#[tokio::test]
async fn sends_again_what_the_mempool_lost() {
    let world = World::start().await;
    world.relays(2).await;
    // Sent at 12, at half of the window and at its last two chances.
    world.chain.lose(2);
    world.go_to(16).await;
    let sent: Vec<i64> = world
        .chain
        .handed_over()
        .iter()
        .map(|(height, _)| *height)
        .collect();
    assert_eq!((sent, world.included(CLAIM)), (vec![12, 14, 15, 16], vec![16]));
    // The proof of height 16 was taken; lose nothing more than it.
    world.chain.drop_mempool();
    world.go_to(20).await;
    assert_eq!(world.included(PROOF), [19]);
    assert_eq!(world.stage(), Stage::Settled);
}

#[tokio::test]
async fn a_proof_in_the_last_block_of_its_window_counts() {
    let world = World::start().await;
    world.relays(2).await;
    world.go_to(15).await;
    // Those of heights 16 and 18 are lost; the last chance is height 19.
    world.chain.lose(2);
    world.go_to(20).await;
    let row = world.row();
    assert_eq!(
        (world.included(PROOF), row.stage, row.proved),
        (vec![20], Stage::Settled, true)
    );
}

#[tokio::test]
async fn keeps_trying_while_the_chain_is_away() {
    let world = World::start().await;
    world.relays(2).await;
    world.go_to(11).await;
    world.chain.set_away(true);
    world.go_to(14).await;
    world.chain.set_away(false);
    world.go_to(20).await;
    assert_eq!(world.included(CLAIM), [16]);
    assert_eq!(world.stage(), Stage::Settled);
}

#[tokio::test]
async fn never_replaces_a_larger_claim_but_a_smaller_one() {
    for (theirs, expected) in [
        (
            100,
            Stage::Expired {
                reason: ExpiredReason::ForeignClaim,
            },
        ),
        (1, Stage::Settled),
    ] {
        let world = World::start().await;
        world.relays(2).await;
        world.go_to(11).await;
        let mut root_hash = [7; 48];
        root_hash[32..40].copy_from_slice(&(theirs * UNITS).to_be_bytes());
        root_hash[40..48].copy_from_slice(&theirs.to_be_bytes());
        world.claim_elsewhere(root_hash.to_vec());
        world.go_to(20).await;
        assert_eq!(world.stage(), expected);
        assert_eq!(
            world.included(CLAIM).len(),
            1 + usize::from(expected == Stage::Settled)
        );
    }
}

/// Another process with the same key replaced our claim: a proof of ours would be invalid, and what is paid is not ours to report.
#[tokio::test]
async fn proves_no_claim_of_another_process() {
    let world = World::start().await;
    world.relays(2).await;
    world.go_to(14).await;
    assert_eq!(world.stage(), Stage::ClaimOnChain);
    let (session, supplier) = (world.row().session_id, world.supplier());
    let ours = world.chain.claim(&session, &supplier).await.unwrap();
    let mut root_hash = ours.unwrap().root_hash;
    root_hash[0] ^= 1;
    world.claim_elsewhere(root_hash.to_vec());
    world.go_to(20).await;
    let foreign = Stage::Expired {
        reason: ExpiredReason::ForeignClaim,
    };
    assert_eq!(
        (world.stage(), world.row().settled_upokt),
        (foreign, Some(Upokt(0)))
    );
    assert!(world.included(PROOF).is_empty());
}

#[tokio::test]
async fn records_why_a_claim_was_not_paid() {
    let world = World::start().await;
    world.relays(2).await;
    world.go_to(15).await;
    // From here on every transaction is lost: the proof never arrives.
    world.chain.lose_all();
    world.go_to(20).await;
    assert_eq!(
        world.stage(),
        Stage::Expired {
            reason: ExpiredReason::ProofMissing
        }
    );
    let row = world.row();
    assert_eq!(
        (row.claim_on_chain, row.proved, row.settled_upokt),
        (true, false, Some(Upokt(0)))
    );
}

#[tokio::test]
async fn a_session_without_leaves_ends_quietly() {
    let world = World::start().await;
    world.relay("/500", "x").await;
    world.go_to(12).await;
    assert_eq!(world.stage(), Stage::Empty);
    assert!(world.included(CLAIM).is_empty());
}

/// Restarts at every height: whatever was going on, the session is claimed, proved and settled, and no message is sent out of order.
#[tokio::test]
async fn resumes_at_any_stage() {
    for restart_at in 1..=20 {
        let mut world = World::start().await;
        world.relays(5).await;
        world.go_to(restart_at).await;
        world.restart().await;
        world.go_to(21).await;
        let row = world.row();
        assert_eq!(
            (row.stage, row.settled_upokt),
            (Stage::Settled, Some(Upokt(5 * COST))),
            "restart at {restart_at}"
        );
        assert_eq!((row.served, row.committed), (5, 5), "restart at {restart_at}");
        let (claims, proofs) = (world.included(CLAIM), world.included(PROOF));
        assert!(
            claims[0] < proofs[0],
            "restart at {restart_at}: claims {claims:?}, proofs {proofs:?}"
        );
    }
}

/// A claim is what a restart finds on disk, so nothing is claimed that is not there.
#[tokio::test]
async fn no_claim_is_sent_before_its_root_is_on_disk() {
    let mut world = World::without_servicer().await;
    let refuses = Arc::new(AtomicBool::new(false));
    let refusing = Arc::clone(&refuses);
    let inner = RedbLog::open(world.folder.path()).unwrap();
    let log = HookedLog::new(inner, move |write| {
        match write == Write::Put && refusing.load(Ordering::SeqCst) {
            true => Err(std::io::Error::other("input/output error").into()),
            false => Ok(()),
        }
    });
    world.run_on(world.config(), Arc::new(log));
    world.relays(3).await;
    world.go_to(11).await;
    refuses.store(true, Ordering::SeqCst);
    world.go_to(14).await;
    assert_eq!(
        world.chain.handed_over(),
        [],
        "the claim's root is in memory only"
    );
    refuses.store(false, Ordering::SeqCst);
    world.go_to(20).await;
    let row = world.row();
    assert_eq!(
        (row.stage, row.settled_upokt),
        (Stage::Settled, Some(Upokt(3 * COST)))
    );
}

/// The chain's operator undoes blocks, with the servicer running or not: what they held is claimed, proved and settled once more.
#[tokio::test]
async fn relays_and_claims_survive_a_rollback_of_the_chain() {
    for seen in 12..=21 {
        for back in 11..seen {
            let running = (seen + back) % 2 == 0;
            let mut world = World::start().await;
            world.relays(5).await;
            world.go_to(seen).await;
            if running {
                world.chain.roll_back(back);
            } else {
                world.stop().await;
                world.chain.roll_back(back);
                world.run(world.config());
            }
            let taken = async {
                while world.running().handle.height() != back {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), taken)
                .await
                .unwrap();
            world.go_to(21).await;
            let row = world.row();
            assert_eq!(
                (row.stage, row.committed, row.settled_upokt),
                (Stage::Settled, 5, Some(Upokt(5 * COST))),
                "from {seen} back to {back}"
            );
        }
    }
}

/// As a node that is away for a rollback, and has made as many blocks again before it is reached: the head that is told does not go back.
#[tokio::test]
async fn relays_and_claims_survive_a_rollback_that_is_seen_by_the_hashes_only() {
    for (back, seen) in [
        (11, 13),
        (12, 13),
        (12, 14),
        (13, 15),
        (15, 17),
        (16, 17),
        (16, 18),
        (17, 18),
    ] {
        for unseen in 0..=1 {
            // What is sent at the height where its window closes, or later, is too late.
            let close = if back < 13 { 15 } else { 19 };
            if seen + unseen >= close {
                continue;
            }
            let world = World::start().await;
            world.relays(5).await;
            world.go_to(seen).await;
            world.chain.roll_back(back);
            while world.chain.height() < seen + unseen {
                world.chain.advance(); // nobody else runs meanwhile
            }
            world.go_to(21).await;
            let row = world.row();
            assert_eq!(
                (row.stage, row.committed, row.settled_upokt),
                (Stage::Settled, 5, Some(Upokt(5 * COST))),
                "from {seen} back to {back} and on to {}",
                seen + unseen
            );
        }
    }
}

/// Blocks go on while the servicer is down; it takes up what is left of each window.
#[tokio::test]
async fn takes_up_what_is_left_after_an_outage() {
    for (down_from, up_at, expected) in [
        (5, 15, Stage::Settled),
        (
            5,
            16,
            Stage::Expired {
                reason: ExpiredReason::ClaimWindowMissed,
            },
        ),
        (13, 19, Stage::Settled),
        (
            13,
            20,
            Stage::Expired {
                reason: ExpiredReason::ProofMissing,
            },
        ),
        (17, 30, Stage::Settled),
    ] {
        let mut world = World::start().await;
        world.relays(3).await;
        world.go_to(down_from).await;
        world.stop().await;
        while world.chain.height() < up_at {
            world.chain.advance();
        }
        world.run(world.config());
        world.running().handle.wait_for_block(up_at).await;
        world.go_to(up_at.max(20)).await;
        assert_eq!(world.stage(), expected, "down from {down_from} to {up_at}");
    }
}

#[tokio::test]
async fn proves_nothing_when_leaves_are_missing() {
    let mut world = World::start().await;
    world.relays(3).await;
    world.go_to(14).await;
    world.stop().await;
    let log = Arc::new(RedbLog::open(world.folder.path()).unwrap());
    assert_eq!(log.delete_leaves(0, 1).unwrap(), 1);
    world.run_on(world.config(), log);
    let mismatch = Stage::Expired {
        reason: ExpiredReason::RootMismatch,
    };
    world.go_to(16).await;
    assert_eq!(
        world.stage(),
        mismatch,
        "known when it is drawn that a proof is asked for"
    );
    world.go_to(21).await;
    assert!(world.included(PROOF).is_empty());
    let row = world.row();
    assert_eq!((row.stage, row.settled_upokt), (mismatch, Some(Upokt(0))));
    assert!(
        row.slashed_upokt.0 > 0,
        "what the chain took is in the ledger: {row:?}"
    );
}

/// A claim that could not be proved is paid all the same when no proof is asked for; and one that is lost is not sent once more.
#[tokio::test]
async fn leaves_that_are_missing_cost_nothing_where_no_proof_is_asked_for() {
    for (stopped_at, paid) in [(14, true), (12, false)] {
        let mut world = World::start().await;
        world.no_proof_is_asked();
        world.relays(3).await;
        if !paid {
            world.chain.lose_all();
        }
        world.go_to(stopped_at).await;
        world.stop().await;
        let log = Arc::new(RedbLog::open(world.folder.path()).unwrap());
        assert_eq!(log.delete_leaves(0, 1).unwrap(), 1);
        world.run_on(world.config(), log);
        let handed_over = world.chain.handed_over().len();
        world.go_to(20).await;
        assert_eq!(world.chain.handed_over().len(), handed_over);
        let row = world.row();
        let (stage, settled) = match paid {
            true => (Stage::Settled, Some(Upokt(3 * COST))),
            false => {
                let reason = ExpiredReason::RootMismatch;
                (Stage::Expired { reason }, Some(Upokt(0)))
            }
        };
        assert_eq!((row.stage, row.settled_upokt), (stage, settled), "{row:?}");
        assert!(Gaps::of(&row).closes(&row), "{row:?}");
    }
}

/// A leaf whose relay the chain would refuse is found before its proof costs stake.
#[tokio::test]
async fn sends_no_proof_that_the_chain_would_refuse() {
    let world = World::start().await;
    world.relays(1).await;
    world.go_to(14).await;
    // The gateway's right to sign is gone from the application's record altogether.
    world.chain.forget_delegations();
    world.go_to(15).await;
    assert_eq!(
        world.stage(),
        Stage::Expired {
            reason: ExpiredReason::ProofNotVerified
        }
    );
    assert!(world.row().last_error.unwrap().contains("ring key"));
    world.go_to(19).await;
    assert!(world.included(PROOF).is_empty());
}

#[tokio::test]
async fn keeps_leaves_until_well_after_settlement() {
    let world = World::with(|config| config.keep_leaves_blocks = 5).await;
    world.relays(3).await;
    world.go_to(25).await;
    let row = world.row();
    let leaves = || {
        world
            .running()
            .handle
            .leaves(&row.session_id, &row.supplier)
            .unwrap()
            .len()
    };
    assert_eq!((row.stage, leaves()), (Stage::Settled, 3));
    world.go_to(26).await;
    assert_eq!(leaves(), 0);
    assert_eq!(world.row().committed, 3, "the ledger remembers");
}

#[tokio::test]
async fn a_relay_that_is_late_for_its_seal_is_not_answered_as_if_it_counted() {
    let world = Arc::new(World::start().await);
    world.relays(1).await;
    let (late, request) = (Arc::clone(&world), world.request("/wait", "late"));
    let late = tokio::spawn(async move { late.refused(&request).await });
    while world.backend.hits() < 2 {
        tokio::task::yield_now().await;
    }
    world.go_to(13).await;
    assert_eq!(
        world.stage(),
        Stage::Draining,
        "relays in progress are waited for"
    );
    world.go_to(14).await;
    assert_eq!(
        world.stage(),
        Stage::ClaimSent,
        "but not longer than half of the claim window"
    );
    world.backend.gate.add_permits(1);
    let refused = late.await.unwrap();
    refused.is(403, "sealed while the relay was in progress");
    world.go_to(20).await;
    assert_eq!(
        (world.row().committed, world.row().settled_upokt),
        (1, Some(Upokt(COST)))
    );
}

#[tokio::test]
async fn shows_its_leaves_to_others_once_it_stopped() {
    let mut world = World::start().await;
    world.relays(4).await;
    assert!(matches!(
        LeafReader::open(world.folder.path()),
        Err(crate::leaf_log::LeafLogError::InUse)
    ));
    world.go_to(13).await;
    let row = world.row();
    let running = world
        .running()
        .handle
        .leaves(&row.session_id, &row.supplier)
        .unwrap();
    world.stop().await;
    let reader = LeafReader::open(world.folder.path()).unwrap();
    let sessions = reader.sessions().unwrap();
    assert_eq!(
        (sessions[0].leaves, &sessions[0].session_id),
        (4, &row.session_id)
    );
    assert_eq!(sessions[0].sealed_root.unwrap().len(), 48);
    assert_eq!(reader.leaves(&row.session_id, &row.supplier).unwrap(), running);
}
