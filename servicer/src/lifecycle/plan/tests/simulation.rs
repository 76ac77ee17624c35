//! The planner with a chain that is a table: many sessions over many heights, effects that end late, fail and are refused, all from a seed.

use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

const SUPPLIERS: u8 = 3;
const SESSIONS: u64 = 18;
const LAST: i64 = 70;

/// How often things go wrong, in percent.
#[derive(Clone, Copy, Debug)]
struct Luck {
    /// An effect takes longer than its block.
    late: u32,
    failed: u32,
    refused: u32,
    /// A transaction that was taken is in no block.
    lost: u32,
}

const GOOD: Luck = Luck {
    late: 0,
    failed: 0,
    refused: 0,
    lost: 0,
};

/// What the chain holds of a session.
#[derive(Clone, Copy, Debug, Default)]
struct OnChain {
    claimed: bool,
    /// Another process's claim, with a larger sum.
    is_foreign: bool,
    proved: bool,
}

struct Simulation {
    rng: StdRng,
    luck: Luck,
    head: Height,
    flow: Flow,
    sessions: Vec<Session>,
    chain: Vec<OnChain>,
    /// Taken, and in the next block.
    mempool: Vec<(Kind, usize)>,
    /// Begun at a height.
    running: Vec<(Height, Effect)>,
    /// Of which sessions a proof is asked for.
    required: Vec<bool>,
    trace: String,
}

fn at(index: u64) -> usize {
    usize::try_from(index).unwrap()
}

impl Simulation {
    fn new(seed: u64, luck: Luck) -> Self {
        let session = |index: u64| {
            let supplier = u8::try_from(index % u64::from(SUPPLIERS)).unwrap() + 1;
            let mut session = session(index, supplier, 10 + u128::from(index));
            session.record.stage = Stage::Open;
            session.record.seal = None;
            // Sessions of three ends.
            let later = i64::try_from(index / 6).unwrap() * 3;
            let windows = &mut session.record.windows;
            for height in [
                &mut session.record.end,
                &mut windows.grace_end,
                &mut windows.claim_open,
                &mut windows.claim_close,
                &mut windows.proof_open,
                &mut windows.proof_close,
            ] {
                height.0 += later;
            }
            session
        };
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            required: (0..SESSIONS).map(|_| rng.random_range(0..100) < 70).collect(),
            rng,
            luck,
            head: Height(8),
            flow: Flow::default(),
            sessions: (0..SESSIONS).map(session).collect(),
            chain: vec![OnChain::default(); at(SESSIONS)],
            mempool: Vec::new(),
            running: Vec::new(),
            trace: String::new(),
        }
    }

    fn strikes(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn run(mut self) -> Self {
        while self.head.0 < LAST {
            self.block();
            self.flow.retry();
            // Until nothing begins and nothing ends any more within this block.
            for _ in 0..200 {
                self.plan();
                if self.running.is_empty() {
                    break;
                }
                let next = self.rng.random_range(0..self.running.len());
                if self.strikes(self.luck.late) {
                    continue; // not in this round
                }
                let (begun, effect) = self.running.remove(next);
                self.end(begun, effect);
            }
        }
        self
    }

    /// The next block, with what the mempool holds and the windows admit.
    fn block(&mut self) {
        self.head.0 += 1;
        for (kind, index) in std::mem::take(&mut self.mempool) {
            let (windows, on_chain) = (&self.sessions[index].record.windows, &mut self.chain[index]);
            match kind {
                Kind::Claim if (windows.claim_open..=windows.claim_close).contains(&self.head) => {
                    assert!(!on_chain.is_foreign, "a larger claim is replaced: {index}");
                    on_chain.claimed = true;
                }
                Kind::Proof if (windows.proof_open..=windows.proof_close).contains(&self.head) => {
                    assert!(
                        on_chain.claimed && !on_chain.is_foreign,
                        "a proof of no claim of ours: {index}"
                    );
                    on_chain.proved = true;
                }
                Kind::Claim | Kind::Proof => {}
            }
        }
    }

    fn plan(&mut self) {
        for effect in self.flow.plan(self.head, &self.sessions, &LIMITS) {
            writeln!(self.trace, "{} {effect:?}", self.head).unwrap();
            let jobs = jobs(&effect, self.head);
            for (begun, other) in &self.running {
                assert!(
                    jobs.iter().all(|job| !self::jobs(other, *begun).contains(job)),
                    "twice: {effect:?}"
                );
            }
            if let Effect::Send(batch) = &effect {
                assert!(batch.messages.len() <= LIMITS.max_messages);
                for (index, _) in &batch.messages {
                    let record = &self.sessions[at(*index)].record;
                    let (open, close) = match batch.kind {
                        Kind::Claim => (record.windows.claim_open, record.windows.claim_close),
                        Kind::Proof => (record.windows.proof_open, record.windows.proof_close),
                    };
                    assert!(record.supplier == batch.supplier && record.seal.is_some());
                    assert!(
                        open <= self.head && self.head < close,
                        "{} at {}",
                        batch.kind.name(),
                        self.head
                    );
                }
            }
            self.running.push((self.head, effect));
        }
    }

    fn claim(&self, index: usize) -> Option<Claim> {
        let on_chain = self.chain[index];
        if !on_chain.claimed && !on_chain.is_foreign {
            return None;
        }
        let mut claim = claim_of(&self.sessions[index]);
        if on_chain.is_foreign {
            claim.root_hash[0] ^= 1;
            claim.root_hash[32] = 1;
        }
        if on_chain.proved {
            claim.set_proof_validation_status(ClaimProofStatus::Validated);
        }
        Some(claim)
    }

    /// What the driver does when an effect ends.
    fn end(&mut self, begun: Height, effect: Effect) {
        let failed = self.strikes(self.luck.failed);
        if let Effect::Send(batch) = effect {
            return self.sent(batch, failed);
        }
        for job in jobs(&effect, begun) {
            self.flow.ended(job, failed);
        }
        if failed {
            return;
        }
        match effect {
            Effect::Step(index, action) => {
                let required = self.required[at(index)];
                let record = &mut self.sessions[at(index)].record;
                match action {
                    Action::Drain => record.stage = Stage::Draining,
                    Action::Seal => {
                        record.seal = Some(sealed());
                        record.stage = Stage::Sealed;
                    }
                    Action::Draw => record.stage = Stage::drawn(required),
                    Action::GiveUp(reason) => record.expire(reason, self.head),
                    Action::DeleteLeaves => record.deleted_leaves = Some(1),
                    Action::Wait | Action::Claim | Action::Prove => panic!("{action:?} is no step"),
                }
            }
            Effect::Prove(index) => self.flow.made(index, any(7), self.head),
            Effect::DrawEarly(sessions) => {
                let required = &self.required;
                self.flow
                    .drawn(sessions.into_iter().map(|index| (index, required[at(index)])));
            }
            Effect::Look(supplier) => self.looked(&supplier, begun),
            Effect::Settle(height) => self.settle(height),
            Effect::Learn(_) | Effect::Rehearse(_) | Effect::Send(_) => {}
        }
    }

    fn looked(&mut self, supplier: &Address, begun: Height) {
        for index in 0..self.sessions.len() {
            if !self.flow.wants_look(&self.sessions[index], supplier, begun) {
                continue;
            }
            let claim = self.claim(index);
            let Session {
                index: of, record, ..
            } = &mut self.sessions[index];
            match self.flow.looked(*of, record, claim.as_ref(), begun, self.head) {
                Seen::Nothing | Seen::ProofDue => {}
                Seen::ClaimDue => self.flow.ready(*of, Kind::Claim, create_claim(record), self.head),
                Seen::Claimed => {
                    record.claimed_on_chain = true;
                    let drawn = self.flow.was_drawn(*of);
                    record.stage = drawn.map_or(Stage::ClaimOnChain, Stage::drawn);
                }
                Seen::Proved => record.stage = Stage::ProofOnChain,
                Seen::Lost(reason) => record.expire(reason, self.head),
            }
        }
    }

    fn settle(&mut self, height: Height) {
        for (session, on_chain) in self.sessions.iter_mut().zip(&self.chain) {
            let record = &mut session.record;
            if record.windows.proof_close != height || record.stage.is_final() || !on_chain.claimed {
                continue;
            }
            match on_chain.proved || record.stage == Stage::ProofNotRequired {
                true => record.finish(Stage::Settled, self.head),
                false => record.expire(ExpiredReason::ProofMissing, self.head),
            }
        }
    }

    fn sent(&mut self, batch: Batch, failed: bool) {
        let refused = self.strikes(self.luck.refused);
        if refused && batch.messages.len() > 1 {
            return self.flow.split(batch);
        }
        self.flow.sent(&batch);
        let lost = self.strikes(self.luck.lost);
        for (index, _) in &batch.messages {
            let record = &mut self.sessions[at(*index)].record;
            let (sending, stage) = match batch.kind {
                Kind::Claim => (&mut record.claim, Stage::ClaimSent),
                Kind::Proof => (&mut record.proof, Stage::ProofSent),
            };
            if refused || failed {
                sending.refused(String::new(), false);
                continue;
            }
            sending.accepted(String::new(), self.head);
            if !record.stage.is_final() {
                record.stage = stage;
            }
            if !lost {
                self.mempool.push((batch.kind, at(*index)));
            }
        }
    }
}

/// What is busy while an effect is under way that began at a height.
fn jobs(effect: &Effect, begun: Height) -> Vec<Job> {
    match effect {
        Effect::Step(index, _) | Effect::Prove(index) => vec![Job::Session(*index)],
        Effect::Look(supplier) => vec![Job::Look(*supplier, begun)],
        Effect::DrawEarly(_) => vec![Job::DrawEarly],
        Effect::Settle(height) => vec![Job::Settle(*height)],
        Effect::Learn(fact) => vec![Job::Learn(*fact)],
        Effect::Rehearse(batch) => vec![Job::Rehearse(batch.messages[0].0)],
        Effect::Send(batch) => batch
            .messages
            .iter()
            .map(|(index, _)| Job::Session(*index))
            .collect(),
    }
}

#[test]
fn without_faults_every_session_is_settled() {
    for seed in 0..50 {
        let simulation = Simulation::new(seed, GOOD).run();
        for Session { record, .. } in &simulation.sessions {
            assert_eq!(
                record.final_height,
                Some(record.windows.proof_close),
                "seed {seed}: {record:?}"
            );
            assert_eq!(record.stage, Stage::Settled, "seed {seed}: {record:?}");
        }
    }
}

/// Whatever ends when and how: nothing is sent outside of its window, twice at a time, or over another's claim, and every session ends; and the
/// same seed gives the same effects in the same order.
#[test]
fn whatever_goes_wrong_every_session_ends_and_a_seed_repeats_it() {
    let (mut settled, mut foreign) = (0, 0);
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let luck = Luck {
            late: rng.random_range(0..90),
            failed: rng.random_range(0..60),
            refused: rng.random_range(0..60),
            lost: rng.random_range(0..60),
        };
        let begin = || {
            let mut simulation = Simulation::new(seed, luck);
            for on_chain in simulation.chain.iter_mut().step_by(5) {
                on_chain.is_foreign = true;
            }
            simulation.run()
        };
        let (once, again) = (begin(), begin());
        assert_eq!(once.trace, again.trace, "seed {seed}");
        for (Session { record, .. }, on_chain) in once.sessions.iter().zip(&once.chain) {
            assert!(record.stage.is_final(), "seed {seed}, {luck:?}: {record:?}");
            settled += u32::from(record.stage == Stage::Settled);
            foreign += u32::from(on_chain.is_foreign);
            assert!(
                !(on_chain.is_foreign && record.stage == Stage::Settled),
                "seed {seed}: {record:?}"
            );
        }
    }
    assert_eq!(foreign, 200 * 4);
    assert!(settled > 1_000, "{settled} of {}", 200 * (SESSIONS - 4));
}
