//! Leaves that the disk changed, lost or does not give.

use std::collections::BTreeSet;
use std::sync::Mutex;

use portico_protocol::{Height, Upokt};

use super::*;
use crate::fees::SessionFees;
use crate::leaf_log::{DiskState, LeafLogError, NewLeaf, TakeRecord, Usage, VisitLeaf};
use crate::session::record::SessionRecord;
use crate::{Gaps, Stage};

/// A log on a disk with bad places.
pub(super) struct BadDisk {
    log: RedbLog,
    /// Positions that cannot be read, and whether a session can be read as a whole.
    unreadable: Mutex<BTreeSet<u64>>,
}

impl BadDisk {
    fn open(world: &World) -> Arc<Self> {
        Arc::new(Self {
            log: RedbLog::open(world.folder.path()).unwrap(),
            unreadable: Mutex::default(),
        })
    }

    fn bad() -> LeafLogError {
        LeafLogError::Io(std::io::Error::other("bad sector"))
    }

    /// Turns a bit of the leaf at `seq` of the first session.
    pub(super) fn turn_a_bit(&self, seq: u64) {
        let mut leaf = None;
        self.log
            .scan(0, &mut |at, key, relay| {
                if at == seq {
                    leaf = Some((*key, relay.to_vec()));
                }
            })
            .unwrap();
        let (key, mut relay) = leaf.unwrap();
        let middle = relay.len() / 2;
        relay[middle] ^= 1;
        self.replace(seq, &key, &relay);
    }

    fn replace(&self, seq: u64, key: &[u8; 32], relay: &[u8]) {
        let leaf = NewLeaf {
            session: 0,
            seq,
            key,
            relay,
        };
        self.log.append(&[leaf]).unwrap();
    }
}

impl LeafLog for BadDisk {
    fn sessions(&self) -> Result<Vec<(u64, SessionRecord)>, LeafLogError> {
        self.log.sessions()
    }
    fn cursor(&self) -> Result<Height, LeafLogError> {
        self.log.cursor()
    }
    fn append(&self, leaves: &[NewLeaf<'_>]) -> Result<(), LeafLogError> {
        self.log.append(leaves)
    }
    fn begin(&self, index: u64, record: &SessionRecord) -> Result<(), LeafLogError> {
        self.log.begin(index, record)
    }
    fn state(&self) -> &Arc<DiskState> {
        self.log.state()
    }
    fn probe(&self) -> Result<(), LeafLogError> {
        self.log.probe()
    }
    fn visit(&self, take: TakeRecord<'_>) -> Result<(), LeafLogError> {
        self.log.visit(take)
    }
    fn usage(&self) -> Usage {
        self.log.usage()
    }
    fn put(&self, records: &[(u64, SessionRecord)], cursor: Option<Height>) -> Result<(), LeafLogError> {
        self.log.put(records, cursor)
    }
    fn put_fees(&self, fees: &[(u64, SessionFees)]) -> Result<(), LeafLogError> {
        self.log.put_fees(fees)
    }

    fn scan(&self, session: u64, visit: VisitLeaf<'_>) -> Result<(), LeafLogError> {
        let is_readable = self.unreadable.lock().unwrap().is_empty();
        match is_readable {
            true => self.log.scan(session, visit),
            false => Err(Self::bad()),
        }
    }
    fn relay(&self, session: u64, seq: u64) -> Result<Option<Vec<u8>>, LeafLogError> {
        let is_bad = self.unreadable.lock().unwrap().contains(&seq);
        match is_bad {
            true => panic!("a store that does not expect damage"),
            false => self.log.relay(session, seq),
        }
    }
    fn delete_leaves(&self, session: u64, limit: usize) -> Result<usize, LeafLogError> {
        self.log.delete_leaves(session, limit)
    }
    fn delete_sessions(&self, sessions: &[u64]) -> Result<(), LeafLogError> {
        self.log.delete_sessions(sessions)
    }
}

impl World {
    /// A servicer on `disk` that served `relays` relays in the first session.
    pub(super) async fn on_bad_disk(relays: usize) -> (Self, Arc<BadDisk>) {
        let mut world = Self::without_servicer().await;
        let disk = BadDisk::open(&world);
        world.run_on(world.config(), disk.clone());
        for n in 0..relays {
            world.relay("/", &format!("relay {n}")).await;
        }
        (world, disk)
    }

    /// The session is paid for all but `damaged` of `relays` leaves, and the ledger says why.
    fn is_paid_but_for(&self, relays: u64, damaged: u64) {
        let row = self.row();
        let sound = relays - damaged;
        assert_eq!(row.stage, Stage::Settled, "{row:?}");
        assert_eq!(
            (row.committed, row.damaged, row.claimed),
            (relays, damaged, sound)
        );
        assert_eq!(row.settled_upokt, Some(Upokt(u128::from(sound) * COST)));
        let gaps = Gaps::of(&row);
        assert!(gaps.closes(&row), "{row:?}");
        let named = gaps.0.iter().find(|gap| gap.reason.name() == "damaged").unwrap();
        assert_eq!(named.relays, damaged);
        assert_eq!(self.metric("servicer_damaged_leaves_total", &[]), damaged as f64);
    }
}

#[tokio::test]
async fn a_leaf_that_the_disk_changed_is_left_out_of_the_claim() {
    let (world, disk) = World::on_bad_disk(5).await;
    disk.turn_a_bit(2);
    world.go_to(20).await;
    world.is_paid_but_for(5, 1);
}

#[tokio::test]
async fn a_leaf_that_was_changed_while_the_servicer_was_stopped_is_left_out_too() {
    let (mut world, disk) = World::on_bad_disk(5).await;
    world.stop().await;
    disk.turn_a_bit(4);
    world.run_on(world.config(), disk);
    world.go_to(20).await;
    world.is_paid_but_for(5, 1);
}

/// Its hash is right, but the chain would refuse it in a proof of this session.
#[tokio::test]
async fn a_leaf_of_another_session_is_left_out() {
    let (world, disk) = World::on_bad_disk(3).await;
    let supplier = world.suppliers[1].address();
    let request = world.request_in(&world.header(), &supplier.to_string(), "/", "another supplier's");
    assert!(world.is_served(&request).await);
    let mut other = None;
    disk.log
        .scan(1, &mut |_, key, relay| other = Some((*key, relay.to_vec())))
        .unwrap();
    let (key, relay) = other.unwrap();
    disk.replace(1, &key, &relay);
    world.go_to(20).await;
    let rows = world.rows();
    let of = |supplier: Address| rows.iter().find(|row| row.supplier == supplier).unwrap();
    let (spoiled, whole) = (of(world.supplier()), of(supplier));
    assert_eq!(
        (spoiled.stage, spoiled.claimed, spoiled.damaged),
        (Stage::Settled, 2, 1)
    );
    assert_eq!(
        (whole.stage, whole.claimed, whole.damaged),
        (Stage::Settled, 1, 0)
    );
}

#[tokio::test]
async fn leaves_that_cannot_be_read_are_left_out_when_time_presses() {
    let (world, disk) = World::on_bad_disk(5).await;
    disk.unreadable.lock().unwrap().insert(1);
    world.go_to(13).await;
    assert_eq!(
        world.row().stage,
        Stage::Draining,
        "it may be readable at the next block"
    );
    world.go_to(14).await;
    assert_eq!(world.row().stage, Stage::ClaimSent);
    disk.unreadable.lock().unwrap().clear();
    world.go_to(20).await;
    world.is_paid_but_for(5, 1);
}

/// Nothing is left out because of a disk that is away for a moment.
#[tokio::test]
async fn a_disk_that_reads_nothing_is_waited_for() {
    let (world, disk) = World::on_bad_disk(2).await;
    disk.unreadable.lock().unwrap().extend([0, 1]);
    world.go_to(14).await;
    assert_eq!(world.row().stage, Stage::Draining);
    disk.unreadable.lock().unwrap().clear();
    world.go_to(20).await;
    let row = world.row();
    assert_eq!((row.stage, row.claimed, row.damaged), (Stage::Settled, 2, 0));
}

/// The root is on disk, and not on chain yet.
#[tokio::test]
async fn a_session_whose_claim_was_not_sent_is_sealed_anew_without_the_damage() {
    let (mut world, disk) = World::on_bad_disk(5).await;
    world.go_to(11).await;
    world.chain.fail_when(
        portico_testkit::question::BALANCE,
        portico_testkit::Fault::Refused(portico_client::ChainError::Unavailable("away".to_owned())),
        |_| true,
    );
    world.go_to(12).await;
    assert_eq!(world.row().stage, Stage::Sealed);
    world.stop().await;
    disk.turn_a_bit(0);
    world.run_on(world.config(), disk);
    world.go_to(20).await;
    world.is_paid_but_for(5, 1);
}
