//! Blocks of leaders who do not play by the rules, and machines that are asked in every order.

use tendermint::block::{Commit, CommitSig};
use tendermint_proto::v0_38::types::{Block as RawBlock, EvidenceList};

use super::*;
use crate::block;

fn encoded(raw: &RawBlock) -> Vec<u8> {
    raw.encode_to_vec()
}

fn raw(built: &Built) -> RawBlock {
    RawBlock::decode(built.bytes.as_ref()).expect("a block")
}

fn verdict(machine: &Machine, parent: &[u8; 32], bytes: &[u8]) -> Verdict {
    machine.verify(parent, bytes).expect("judged")
}

fn assert_invalid(verdict: &Verdict, reason: &str) {
    assert!(
        matches!(verdict, Verdict::Invalid(found) if found.contains(reason)),
        "{verdict:?}"
    );
}

#[test]
fn a_block_id_covers_every_byte_of_the_block() {
    let (maker, judge) = (machine(), machine());
    let first = build(&maker, &ROOT, 1, GENESIS_MS + 1);
    let decoded = block::decode(&first.bytes).expect("a block");
    let id = block::id(&decoded, &first.bytes).expect("an id");
    assert_eq!(first.id, block::digest(&id));
    // The same header over other bytes is another block, and none that is valid.
    let mut more = raw(&first);
    let unknown_field = [encoded(&more), vec![0x2a, 0]].concat();
    more.evidence = Some(EvidenceList {
        evidence: vec![tendermint_proto::v0_38::types::Evidence::default()],
    });
    for bytes in [encoded(&more), unknown_field] {
        let verdict = verdict(&judge, &ROOT, &bytes);
        assert!(matches!(verdict, Verdict::Invalid(_)), "{verdict:?}");
    }
    let split = block::id(&decoded, &[first.bytes.as_ref(), &[0x2a, 0]].concat()).expect("an id");
    assert_eq!(split.hash, id.hash);
    assert_ne!(block::digest(&split), first.id);
}

/// A block on `below` with this commit instead of its own.
fn with_commit(machine: &Machine, parent: &[u8; 32], time_ms: u64, commit: Option<Commit>) -> Vec<u8> {
    let mut below = machine.below(parent).expect("known");
    below.after.commit = commit;
    let proposal = below.proposal(&machine.rules, time_ms, Vec::new());
    block::encode(&proposal.block().expect("a block"))
}

#[test]
fn a_last_commit_is_the_parents_or_absent() {
    let machine = machine();
    let first = build(&machine, &ROOT, 1, GENESIS_MS + 1);
    let sibling = build(&machine, &ROOT, 1, GENESIS_MS + 2);
    let commit_to = |built: &Built| {
        let bytes = certify(&machine, built);
        block::decode_commit(&bytes).expect("a commit")
    };
    let at_first = with_commit(&machine, &ROOT, GENESIS_MS + 3, Some(commit_to(&first)));
    assert_invalid(
        &verdict(&machine, &ROOT, &at_first),
        "a commit to a block before it",
    );
    let on_first = |commit| with_commit(&machine, &first.id, GENESIS_MS + 3, commit);
    for (commit, reason) in [
        (commit_to(&sibling), "another block"),
        (
            Commit {
                signatures: vec![CommitSig::BlockIdFlagAbsent],
                ..commit_to(&first)
            },
            "too few validators",
        ),
    ] {
        let found = verdict(&machine, &first.id, &on_first(Some(commit)));
        assert_invalid(&found, reason);
    }
    for commit in [None, Some(commit_to(&first))] {
        let found = verdict(&machine, &first.id, &on_first(commit));
        assert!(matches!(found, Verdict::Valid(_)), "{found:?}");
    }
}

#[test]
fn a_block_larger_than_the_bound_is_not_even_decoded() {
    let machine = machine();
    let mut large = raw(&build(&machine, &ROOT, 1, GENESIS_MS + 1));
    let size = block::MAX_BLOCK_BYTES as usize;
    large.data.as_mut().expect("there").txs = vec![vec![0; size]];
    assert_invalid(
        &verdict(&machine, &ROOT, &encoded(&large)),
        "are more than 22020096",
    );
}

#[test]
fn small_transactions_do_not_overfill_a_block() {
    let machine = machine();
    let txs: Vec<Bytes> = (0..20).map(|sequence| transfer(1, sequence, 1)).collect();
    let size = txs[1].len() + block::TX_OVERHEAD; // the first, of sequence 0, is shorter
    let slot = Slot {
        max_bytes: size * 10,
        ..slot(1, GENESIS_MS + 1)
    };
    struct Fitting(Vec<Bytes>);
    impl TxSource for Fitting {
        fn next(&mut self, room: usize) -> Option<Bytes> {
            (self.0.first()?.len() <= room).then(|| self.0.remove(0))
        }
    }
    let built = machine.build(&ROOT, slot, &mut Fitting(txs)).expect("built");
    assert_eq!(raw(&built).data.expect("there").txs.len(), 10);
}

/// A block with these transactions, whether the rules admit them or not.
fn holding(machine: &Machine, parent: &[u8; 32], time_ms: u64, txs: Vec<Bytes>) -> Vec<u8> {
    let below = machine.below(parent).expect("known");
    let proposal = below.proposal(&machine.rules, time_ms, txs);
    block::encode(&proposal.block().expect("a block"))
}

#[test]
fn a_transaction_that_pays_nothing_makes_a_block_invalid() {
    let machine = machine();
    let good = transfer(1, 0, 5);
    let (garbage, early) = (Bytes::from_static(b"garbage"), transfer(1, 7, 5));
    for bad in [garbage, early] {
        let block = holding(&machine, &ROOT, GENESIS_MS + 1, vec![good.clone(), bad.clone()]);
        assert_invalid(&verdict(&machine, &ROOT, &block), "transaction 1 is not admitted");
        // A builder passes over it instead.
        let txs = vec![bad, good.clone()];
        let built = machine
            .build(&ROOT, slot(1, GENESIS_MS + 1), &mut Given(txs))
            .expect("built");
        assert_eq!(raw(&built).data.expect("there").txs, [good.to_vec()]);
    }
    // One whose message fails has paid: it stays.
    let failing = transfer(1, 0, 5_000_000);
    let block = holding(&machine, &ROOT, GENESIS_MS + 1, vec![failing]);
    assert!(matches!(verdict(&machine, &ROOT, &block), Verdict::Valid(_)));
}

#[test]
fn a_child_does_not_take_its_parents_transactions_again() {
    let machine = machine();
    for sequence in 0..3 {
        let outcome = machine.mempool.add(transfer(1, sequence, 5)).expect("room");
        assert_eq!(outcome.code, 0, "{}", outcome.log);
    }
    let build = |parent: &[u8; 32], height, max_bytes| {
        let slot = Slot {
            max_bytes,
            ..slot(height, GENESIS_MS + u64::try_from(height).expect("few"))
        };
        let mut txs = portico_engine::Pool::source(&*machine.mempool);
        machine.build(parent, slot, txs.as_mut()).expect("built")
    };
    let two = 2 * (transfer(1, 1, 5).len() + block::TX_OVERHEAD);
    let parent = build(&ROOT, 1, two);
    let child = build(&parent.id, 2, 1 << 20);
    assert_eq!(raw(&parent).data.expect("there").txs.len(), 2);
    assert_eq!(raw(&child).data.expect("there").txs, [transfer(1, 2, 5).to_vec()]);
    for block in [&parent, &child] {
        commit(&machine, block).expect("next");
    }
    assert_eq!(machine.mempool.waiting_txs(9).1, 0);
    let results = machine
        .view()
        .snapshot
        .results(2)
        .expect("readable")
        .expect("there");
    let results =
        tendermint_proto::v0_38::abci::ResponseFinalizeBlock::decode(results.as_slice()).expect("results");
    assert_eq!(results.tx_results[0].code, 0);
}

#[test]
fn a_pipeline_reads_through_as_few_layers_as_wait() {
    let machine = machine();
    let heights = std::env::var("PORTICO_PIPELINE").map_or(200, |text| text.parse().expect("a number"));
    let mut parent = build(&machine, &ROOT, 1, GENESIS_MS + 1);
    for height in 2..=heights {
        let time = GENESIS_MS + u64::try_from(height).expect("positive");
        let child = build(&machine, &parent.id, height, time);
        commit(&machine, &parent).expect("next");
        parent = child;
    }
    let below = machine.below(&parent.id).expect("known");
    assert_eq!(below.path.len(), 1);
    let read = below.state();
    let started = std::time::SystemTime::now();
    for _ in 0..1_000 {
        let found = portico_chain::state::StateRead::get(&read, portico_chain::state::Store::Auth, b"absent");
        assert_eq!(found.expect("readable"), None);
    }
    let took = started.elapsed().expect("forward");
    println!("height {heights}: {:.2} us per get", took.as_secs_f64() * 1e3);
}

/// A disk in memory whose syncs wait while the gate is closed.
#[derive(Debug)]
struct Gated {
    disk: redb::backends::InMemoryBackend,
    closed: std::sync::Mutex<bool>,
    changed: std::sync::Condvar,
    waiting: std::sync::atomic::AtomicBool,
}

impl Gated {
    fn close(&self, closed: bool) {
        *self.closed.lock().expect("sound") = closed;
        self.changed.notify_all();
    }
}

impl redb::StorageBackend for Gated {
    fn len(&self) -> std::io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        let mut closed = self.closed.lock().expect("sound");
        while *closed {
            self.waiting.store(true, Ordering::SeqCst);
            closed = self.changed.wait(closed).expect("sound");
        }
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.disk.write(offset, data)
    }
}

#[test]
fn blocks_are_judged_while_the_disk_is_waited_for() {
    let disk = Arc::new(Gated {
        disk: redb::backends::InMemoryBackend::new(),
        closed: std::sync::Mutex::new(false),
        changed: std::sync::Condvar::new(),
        waiting: false.into(),
    });
    let mut disks = portico_store::Disks::in_memory();
    disks.logs[0] = disk.clone();
    let store = ChainStore::on(disks, 10).expect("made");
    let machine = machine_on(store, GENESIS_MS, portico_config::node::MempoolConfig::default());
    let first = build(&machine, &ROOT, 1, GENESIS_MS + 1);
    disk.close(true);
    std::thread::scope(|scope| {
        let (machine, first) = (&machine, &first);
        let committing = scope.spawn(move || commit(machine, first));
        while !disk.waiting.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let (done, waits) = std::sync::mpsc::channel();
        scope.spawn(move || {
            let second = build(machine, &first.id, 2, GENESIS_MS + 2);
            let verdict = machine.verify(&first.id, &second.bytes).expect("judged");
            done.send((verdict == Verdict::Valid(second.id), machine.tip().height.0))
        });
        let judged = waits.recv_timeout(std::time::Duration::from_secs(20));
        disk.close(false);
        assert_eq!(judged, Ok((true, 0)));
        assert!(committing.join().expect("no panic").expect("next"));
    });
    assert_eq!(machine.tip().height.0, 1);
}
