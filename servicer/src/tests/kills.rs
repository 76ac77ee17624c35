//! Killed, and cut off from power, around any of its effects, in every phase of a session's life, while relays come.
//!
//! What a process leaves behind is what it did outside of itself: what it wrote to its disk, asked of the chain and its nodes, and answered. So
//! a process is ended at one of those: between two of them nothing of it is left that tells where it was. `awaits` has which `.await` of the way
//! from request to settlement waits for which of them.
//!
//! `PORTICO_KILLS=100 cargo test -p portico-servicer --lib -- kills --nocapture` ends it so often in each phase, in both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use portico_client::{Accounts as _, Blocks as _, ChainError};
use portico_protocol::relay::MinedRelay;
use portico_protocol::{Height, Upokt};
use rand::RngExt as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::faulty::Faulty;
use super::hooked::{HookedLog, Write};
use super::volatile::Disk;
use super::ways::{Asker, Node};
use super::*;
use crate::leaf_log::LeafLogError;
use crate::session::unpaid::UnpaidBy;
use crate::{Gaps, LedgerTotals, Stage};

/// Ends in each phase, of either kind, in a normal test run.
const KILLS: u32 = 1;
/// Relays that are sent at each block.
const RELAYS: usize = 3;
/// Ends in each phase from which on no effect may be left out.
const ALL_EFFECTS: u32 = 100;
/// Ends that are aimed at effects which chance left out, at most.
const MAX_AIMED: u32 = 300;
/// Most effects from one moment to the end of the process.
const MAX_EFFECTS: i64 = 60;
/// Ends at one height, at most.
const MAX_ENDS_PER_BLOCK: u32 = 3;
/// Blocks of one chain: the chain in memory keeps all of its states.
const BLOCKS: i64 = 120;
/// Blocks for which leaves are kept: few, so that they are deleted under load too.
const KEEP_LEAVES_BLOCKS: u32 = 5;
/// The phases of a session's life, by the stage that is on disk. All are proved, so there is no `ProofNotRequired`.
const PHASES: [&str; 9] = [
    "open",
    "draining",
    "sealed",
    "claim_sent",
    "claim_on_chain",
    "proof_required",
    "proof_sent",
    "proof_on_chain",
    "settled",
];
/// Effects outside of the process, at each of which it is ended: of its log, of the disk below that, of its questions to the chain by their
/// names, of its requests to a node and of its answers: whole ones, pieces of streams, and messages of sockets.
pub(super) const EFFECTS: [&str; 43] = [
    "request",
    "session",
    "compute_units_per_relay",
    "difficulty",
    "session_params",
    "shared_params",
    "application",
    "log.begin",
    "log.begin done",
    "backend",
    "backend.piece",
    "backend.call",
    "backend.message",
    "log.append",
    "log.append done",
    "answer",
    "piece",
    "message",
    "disk.set_len",
    "disk.write",
    "disk.sync",
    "log.put",
    "log.put done",
    "log.put_fees",
    "log.put_fees done",
    "log.delete_leaves",
    "log.delete_leaves done",
    "log.other",
    "block",
    "block_results",
    "claims",
    "balance",
    "proof_params",
    "status",
    "account",
    "simulate",
    "broadcast",
    "broadcast done",
    "tx",
    "claim",
    "supplier",
    "supplier_params",
    "tokenomics_params",
];
/// Those that come once in the life of a file or of a process, or when something goes wrong: not every run meets them.
const RARE: [&str; 9] = [
    "disk.set_len",
    "log.other",
    "session_params",
    "tx",
    "claim",
    "supplier",
    "supplier_params",
    "tokenomics_params",
    "status",
];
/// Fees of transactions and of proofs, so that earnings, fees and balance can be compared.
const GAS_PRICE: u64 = 10;
const PROOF_FEE: Upokt = Upokt(1_000);
const TIMEOUT_S: u64 = 30;
const PATIENCE: Duration = Duration::from_secs(120);

/// Ends a process at an effect.
#[derive(Default)]
struct Reaper {
    /// Effects until the end; 0 for no end.
    left: AtomicI64,
    dead: AtomicBool,
    died: Notify,
    at: Mutex<Option<&'static str>>,
    /// It ends here, the first time.
    doomed: Mutex<Option<&'static str>>,
}

impl Reaper {
    /// Whether the process has ended; it may end here.
    fn reach(&self, effect: &'static str) -> bool {
        assert!(EFFECTS.contains(&effect), "{effect} is not listed");
        if *self.doomed.lock().unwrap() == Some(effect) {
            self.kill(effect);
        }
        if !self.is_dead()
            && self.left.load(Ordering::SeqCst) > 0
            && self.left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            self.kill(effect);
        }
        self.is_dead()
    }

    fn kill(&self, effect: &'static str) {
        let mut at = self.at.lock().unwrap();
        if at.is_none() {
            *at = Some(effect);
            self.dead.store(true, Ordering::SeqCst);
            self.died.notify_one();
        }
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn io(&self, effect: &'static str) -> io::Result<()> {
        match self.reach(effect) {
            true => Err(io::Error::other("the process has ended")),
            false => Ok(()),
        }
    }

    fn log(&self, write: Write, done: bool) -> Result<(), LeafLogError> {
        let [before, after] = match write {
            Write::Append => ["log.append", "log.append done"],
            Write::Begin => ["log.begin", "log.begin done"],
            Write::Put => ["log.put", "log.put done"],
            Write::PutFees => ["log.put_fees", "log.put_fees done"],
            Write::DeleteLeaves => ["log.delete_leaves", "log.delete_leaves done"],
            Write::DeleteSessions | Write::Probe => return self.io("log.other").map_err(Into::into),
        };
        self.io(if done { after } else { before }).map_err(Into::into)
    }

    fn chain(&self, question: &'static str) -> Result<(), ChainError> {
        match self.reach(question) {
            true => Err(ChainError::Unavailable("the process has ended".to_owned())),
            false => Ok(()),
        }
    }
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Kill,
    PowerCut,
}

/// How often the process ended, by phase and kind; and at which effects.
#[derive(Default)]
struct Tally {
    phases: BTreeMap<(&'static str, End), u32>,
    effects: BTreeMap<&'static str, u32>,
    ends: u32,
    /// Ends that were to be at a certain effect.
    aimed: u32,
    relays: usize,
    by_way: BTreeMap<&'static str, usize>,
    sessions: usize,
}

impl Tally {
    fn is_enough(&self, wanted: u32) -> bool {
        self.has_phases(wanted) && (self.missed(wanted).is_empty() || self.aimed >= MAX_AIMED)
    }

    /// Effects at which it has not ended, of those at which it is to.
    fn missed(&self, wanted: u32) -> Vec<&'static str> {
        let is_missed = |effect: &&str| !RARE.contains(effect) && !self.effects.contains_key(*effect);
        match wanted >= ALL_EFFECTS {
            true => EFFECTS.into_iter().filter(is_missed).collect(),
            false => Vec::new(),
        }
    }

    fn has_phases(&self, wanted: u32) -> bool {
        let count = |phase: &'static str, end| self.phases.get(&(phase, end)).copied().unwrap_or(0);
        PHASES
            .iter()
            .all(|phase| count(phase, End::Kill).min(count(phase, End::PowerCut)) >= wanted)
    }
}

/// Relays that a client holds the answer of, by session.
type Held = BTreeMap<String, BTreeSet<[u8; 32]>>;

/// An answered relay: its session and its hash.
type Answered = (String, [u8; 32]);

/// A servicer's life over many processes, on one disk.
struct Life {
    world: World,
    /// What was on the disk when the present process began.
    began_with: Vec<u8>,
    disk: Disk,
    reaper: Arc<Reaper>,
    /// For everything but plain HTTP.
    node: Node,
    rng: StdRng,
    held: Held,
    /// By the way that they went.
    asked: Vec<(&'static str, JoinHandle<Vec<Answered>>)>,
    /// Answered relays, likewise.
    by_way: BTreeMap<&'static str, usize>,
    /// Leaves of sessions that were settled.
    settled: BTreeMap<String, u64>,
    /// What the supplier's account held at first.
    had: Upokt,
}

impl Life {
    async fn begin(seed: u64) -> Self {
        let mut life = Self {
            world: World::without_servicer().await,
            began_with: Vec::new(),
            disk: Disk::default(),
            reaper: Arc::default(),
            node: Node::start().await,
            rng: StdRng::seed_from_u64(seed),
            held: Held::new(),
            asked: Vec::new(),
            by_way: BTreeMap::new(),
            settled: BTreeMap::new(),
            had: Upokt(0),
        };
        life.world
            .chain
            .found(|genesis| genesis.params.proof.proof_submission_fee = PROOF_FEE);
        life.had = life.balance().await;
        life.start(Vec::new());
        life
    }

    /// Starts a process on a disk with this content.
    fn start(&mut self, content: Vec<u8>) {
        let reaper = Arc::new(Reaper::default());
        let hook = Arc::clone(&reaper);
        self.began_with.clone_from(&content);
        self.disk = Disk::of(content).hooked(move |effect| hook.io(effect));
        let hooks = [
            Arc::clone(&reaper),
            Arc::clone(&reaper),
            Arc::clone(&reaper),
            Arc::clone(&reaper),
        ];
        let [before, after, chain, backend] = hooks;
        let log = HookedLog {
            inner: RedbLog::on(self.disk.clone(), None).unwrap(),
            before: Box::new(move |write| before.log(write, false)),
            after: Box::new(move |write| after.log(write, true)),
        };
        let chain = Faulty::watched(Arc::clone(&self.world.chain), move |question| {
            chain.chain(question)
        });
        *self.world.backend.on_request.lock().unwrap() = Some(Box::new(move || _ = backend.reach("backend")));
        let node = Arc::clone(&reaper);
        self.node
            .on_effect(Arc::new(move |effect| _ = node.reach(effect)));
        let mut config = self.world.config();
        config.keep_leaves_blocks = KEEP_LEAVES_BLOCKS;
        config.tx.gas_price_micro_upokt = GAS_PRICE;
        config.tx.timeout_s = TIMEOUT_S;
        self.node.put(&mut config);
        self.world.run_with(config, chain, Arc::new(log));
        self.reaper = reaper;
    }

    /// Sends relays without waiting for them.
    fn ask(&mut self) {
        let header = self.world.header();
        for _ in 0..RELAYS {
            self.reaper.reach("request");
            let body = format!("{}", self.rng.random::<u64>());
            let request = self
                .world
                .request_in(&header, &self.world.supplier().to_string(), "/", &body);
            let url = format!("http://{}/", self.world.running().address);
            let asked = self
                .world
                .client
                .post(url)
                .header("rpc-type", "3")
                .body(request.encode_to_vec())
                .send();
            let (session, reaper) = (header.session_id.clone(), Arc::clone(&self.reaper));
            let task = async move {
                let answered = async {
                    let answer = asked.await.ok()?;
                    let served = answer.status() == 200;
                    let response = RelayResponse::decode(answer.bytes().await.ok()?).ok()?;
                    reaper.reach("answer");
                    served.then(|| (session, MinedRelay::new(&request, &response).hash))
                };
                // The sockets of a process that has ended are closed by the system; here some may outlive it.
                match tokio::time::timeout(PATIENCE / 8, answered).await {
                    Ok(answered) => answered.into_iter().collect(),
                    Err(_) if reaper.is_dead() => Vec::new(),
                    Err(late) => panic!("no answer: {late}"),
                }
            };
            self.asked.push(("http", tokio::spawn(task)));
        }
        self.ask_otherwise(&header);
    }

    /// A client of this process.
    fn asker(&self) -> Asker {
        let reaper = Arc::clone(&self.reaper);
        Asker {
            address: self.world.running().address,
            client: self.world.client.clone(),
            supplier: self.world.suppliers[0].clone(),
            on_effect: Arc::new(move |effect| _ = reaper.reach(effect)),
        }
    }

    /// Sends one relay by each of the other ways, and over a socket some.
    fn ask_otherwise(&mut self, header: &SessionHeader) {
        let [stream, call, socket] = self.world.other_requests(header, &mut self.rng);
        for (way, requests) in [("stream", stream), ("grpc", call), ("socket", socket)] {
            self.reaper.reach("request");
            let (asker, session, reaper) =
                (self.asker(), header.session_id.clone(), Arc::clone(&self.reaper));
            let task = async move {
                let asking = async {
                    match way {
                        "stream" => asker.streams(requests).await,
                        "grpc" => asker.calls(requests).await,
                        _ => asker.socket(requests).await,
                    }
                };
                // As above.
                let hashes = match tokio::time::timeout(PATIENCE / 8, asking).await {
                    Ok(hashes) => hashes,
                    Err(_) if reaper.is_dead() => Vec::new(),
                    Err(late) => panic!("no answer over {way}: {late}"),
                };
                hashes.into_iter().map(|hash| (session.clone(), hash)).collect()
            };
            self.asked.push((way, tokio::spawn(task)));
        }
    }

    /// Takes down which relays were answered.
    async fn answers(&mut self) {
        for (way, asked) in std::mem::take(&mut self.asked) {
            let answered = tokio::time::timeout(PATIENCE, asked)
                .await
                .unwrap_or_else(|late| panic!("neither an answer nor an end over {way}: {late}"));
            for (session, hash) in answered.unwrap() {
                *self.by_way.entry(way).or_default() += 1;
                self.held.entry(session).or_default().insert(hash);
            }
        }
    }

    /// Whether the process ends before it is done with the block at `height`.
    async fn ends_before(&self, height: i64) -> bool {
        let done = self.world.running().handle.wait_for_block(height);
        let waiting = async {
            tokio::select! {
                () = self.reaper.died.notified() => true,
                () = done => self.reaper.is_dead(),
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("a block that is done, or an end")
    }

    /// Ends the process, and starts another on what is left.
    async fn end(&mut self, end: End, tally: &mut Tally) {
        self.reaper.kill("between effects");
        let running = self.world.running.take().unwrap();
        running.task.abort();
        let _ended = running.task.await;
        drop(running.handle);
        self.answers().await;
        let content = match end {
            End::Kill => self.disk.content(),
            End::PowerCut => {
                let before = Disk::of(std::mem::take(&mut self.began_with));
                before.cut(&self.disk.operations(), &mut self.rng).content()
            }
        };
        let left = RedbLog::on(Disk::of(content.clone()), None).unwrap();
        let stages: BTreeSet<&str> = left
            .sessions()
            .unwrap()
            .iter()
            .filter(|(_, record)| record.deleted_leaves.is_none())
            .map(|(_, record)| record.stage.name())
            .collect();
        for phase in PHASES.into_iter().filter(|phase| stages.contains(phase)) {
            *tally.phases.entry((phase, end)).or_default() += 1;
        }
        let effect = self.reaper.at.lock().unwrap().expect("it ended");
        *tally.effects.entry(effect).or_default() += 1;
        tally.ends += 1;
        drop(left);
        self.start(content);
    }

    /// The next block, with relays before it and ends within it.
    async fn block(&mut self, ends: u32, aim: Option<&'static str>, tally: &mut Tally) {
        let height = self.world.chain.height() + 1;
        for round in 0..=ends {
            if round < ends && aim.is_some() {
                *self.reaper.doomed.lock().unwrap() = aim;
                tally.aimed += 1;
            } else if round < ends {
                let left = self.rng.random_range(1..=MAX_EFFECTS);
                self.reaper.left.store(left, Ordering::SeqCst);
            }
            self.ask();
            if self.world.chain.height() < height {
                self.world.chain.advance();
            }
            let died = self.ends_before(height).await;
            if died || round < ends {
                let end = match self.rng.random_bool(0.5) {
                    true => End::Kill,
                    false => End::PowerCut,
                };
                self.end(end, tally).await;
            }
        }
        self.reaper.left.store(0, Ordering::SeqCst);
        *self.reaper.doomed.lock().unwrap() = None;
        while self.ends_before(height).await {
            self.end(End::Kill, tally).await;
        }
        self.answers().await;
        self.look();
    }

    /// Nothing that a client holds is missing of a session that was settled meanwhile.
    fn look(&mut self) {
        for row in self.world.rows() {
            assert!(Gaps::of(&row).closes(&row), "{row:?}");
            assert_eq!(row.unpaid_by, UnpaidBy::default(), "{row:?}");
            if row.stage != Stage::Settled || self.settled.contains_key(&row.session_id) {
                continue;
            }
            let leaves = self
                .world
                .running()
                .handle
                .leaves(&row.session_id, &row.supplier)
                .unwrap();
            let leaves: BTreeSet<[u8; 32]> = leaves.into_iter().map(|leaf| leaf.key).collect();
            let held = self.held.get(&row.session_id).cloned().unwrap_or_default();
            assert!(held.is_subset(&leaves), "an answered relay is no leaf: {row:?}");
            assert_eq!(
                row.settled_upokt,
                Some(Upokt(leaves.len() as u128 * COST)),
                "{row:?}"
            );
            self.settled.insert(row.session_id, row.committed);
        }
    }

    async fn balance(&self) -> Upokt {
        self.world.chain.balance(&self.world.supplier()).await.unwrap()
    }

    /// What was earned, less what was paid for it, is what the account has more, whenever a process ended.
    async fn check_balance(&self) {
        let known = async {
            while LedgerTotals::of(&self.world.rows()).fees_unknown > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, known)
            .await
            .expect("fees that are known");
        let totals = LedgerTotals::of(&self.world.rows());
        let signed = |upokt: Upokt| i128::try_from(upokt.0).unwrap();
        let changed = signed(self.balance().await) - signed(self.had);
        assert_eq!(totals.net_upokt(), changed, "{totals:?}");
        assert!(
            totals.tx_fees_upokt.0 > 0 && totals.proof_fees_upokt.0 > 0,
            "{totals:?}"
        );
    }

    /// Lets everything settle, and compares the ledger with the chain.
    async fn finish(mut self, tally: &mut Tally) {
        // Until no transaction can come any more that was lost in a kill.
        let last = self.world.chain.height() + 25 + i64::try_from(TIMEOUT_S).unwrap();
        while self.world.chain.height() < last {
            let height = self.world.chain.advance();
            assert!(!self.ends_before(height).await);
            self.look();
        }
        let rows = self.world.rows();
        for row in &rows {
            if row.stage == Stage::Empty {
                continue; // opened for a relay that was not answered
            }
            assert_eq!(row.stage, Stage::Settled, "{row:?}");
            assert_eq!(Some(&row.committed), self.settled.get(&row.session_id), "{row:?}");
        }
        for session in self.held.keys() {
            assert!(
                self.settled.contains_key(session),
                "the session of an answered relay is unknown"
            );
        }
        let mut on_chain = 0;
        for height in 1..=last {
            let results = self.world.chain.block_results(Height(height)).await.unwrap();
            let settlements = crate::settlements(&results.block_events);
            on_chain += settlements.iter().map(|one| one.settled.0).sum::<u128>();
        }
        let told: u128 = rows
            .iter()
            .filter_map(|row| row.settled_upokt)
            .map(|upokt| upokt.0)
            .sum();
        assert_eq!(told, on_chain, "the ledger's total is the chain's");
        self.check_balance().await;
        tally.relays += self.held.values().map(BTreeSet::len).sum::<usize>();
        for (way, count) in &self.by_way {
            *tally.by_way.entry(way).or_default() += count;
        }
        tally.sessions += rows.len();
        self.world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_in_any_phase() {
    let asked = std::env::var("PORTICO_KILLS").ok();
    let wanted = asked.map_or(KILLS, |text| text.parse().expect("a number"));
    let seed: u64 =
        std::env::var("PORTICO_SEED").map_or_else(|_| rand::random(), |text| text.parse().expect("a number"));
    println!("PORTICO_SEED={seed}");
    let mut tally = Tally::default();
    for round in 0_u64.. {
        let mut life = Life::begin(seed.wrapping_add(round)).await;
        while life.world.chain.height() < BLOCKS && !tally.is_enough(wanted) {
            let ends = life.rng.random_range(0..=MAX_ENDS_PER_BLOCK);
            let missed = tally.missed(wanted).first().copied();
            let aim = missed.filter(|_| tally.has_phases(wanted));
            life.block(ends, aim, &mut tally).await;
        }
        life.finish(&mut tally).await;
        if tally.is_enough(wanted) {
            break;
        }
    }
    let missed = tally.missed(wanted);
    assert!(missed.is_empty(), "never ended at {missed:?}");
    let Tally {
        phases,
        effects,
        ends,
        relays,
        by_way,
        sessions,
        ..
    } = tally;
    for way in ["http", "stream", "grpc", "socket"] {
        assert!(
            by_way.contains_key(way),
            "no relay was answered by {way}: {by_way:?}"
        );
    }
    println!("{ends} ends: {phases:?}\nat {effects:?}");
    println!("{relays} answered relays ({by_way:?}) in {sessions} sessions: none lost, all settled exactly");
}

/// A leaf commits to the last message of its stream, so there is none before that. Wherever a process ends before, its client was told no end; what
/// it has read by then is paid to nobody (`docs/streams.md`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_end_was_not_told_is_a_leaf_only_if_that_was_written() {
    for (effect, leaves) in [("backend.piece", 0), ("log.append", 0), ("log.append done", 1)] {
        let mut life = Life::begin(1).await;
        *life.reaper.doomed.lock().unwrap() = Some(effect);
        let header = life.world.header();
        let [stream, ..] = life.world.other_requests(&header, &mut life.rng);
        let told = life.asker().streams(stream).await;
        assert!(told.is_empty(), "{effect}: the client was told an end");
        assert!(life.reaper.is_dead(), "{effect} was not reached");
        life.end(End::Kill, &mut Tally::default()).await;
        let kept: u64 = life.world.rows().iter().map(|row| row.committed).sum();
        assert_eq!(kept, leaves, "{effect}");
        life.world.stop().await;
    }
}
