//! What goes wrong between a question and its answer.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use portico_client::ChainError;

/// Names of questions, for faults and counters: a query's is its gRPC path.
pub mod question {
    /// A session.
    pub const SESSION: &str = "/pocket.session.Query/GetSession";
    /// An account.
    pub const ACCOUNT: &str = "/cosmos.auth.v1beta1.Query/Account";
    /// The shared params at a height.
    pub const SHARED_PARAMS: &str = "/pocket.shared.Query/ParamsAtHeight";
    /// Where the chain is.
    pub const STATUS: &str = "status";
    /// A block.
    pub const BLOCK: &str = "block";
    /// Results of a block.
    pub const BLOCK_RESULTS: &str = "block_results";
    /// Handing a transaction over.
    pub const BROADCAST: &str = "broadcast";
    /// What a transaction would use.
    pub const SIMULATE: &str = "simulate";
    /// What became of a transaction.
    pub const TX: &str = "tx";
}

/// What happens to one question.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is answered with this error, and nothing else happens.
    Refused(ChainError),
    /// It does what it does (a transaction is taken), but the answer is lost.
    AnswerLost,
    /// It is never answered.
    Silent,
}

/// Faults to come, and questions so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    queued: BTreeMap<String, VecDeque<Fault>>,
    delays: BTreeMap<String, Duration>,
    asked: BTreeMap<String, u64>,
    /// Every question is answered with this.
    away: Option<ChainError>,
}

impl Faults {
    pub(crate) fn queue(&mut self, question: &str, faults: impl IntoIterator<Item = Fault>) {
        self.queued
            .insert(question.to_owned(), faults.into_iter().collect());
    }

    pub(crate) fn delay(&mut self, question: &str, delay: Duration) {
        self.delays.insert(question.to_owned(), delay);
    }

    pub(crate) fn asked(&self, question: &str) -> u64 {
        self.asked.get(question).copied().unwrap_or_default()
    }

    pub(crate) fn away(&mut self, error: Option<ChainError>) {
        self.away = error;
    }

    /// Counts a question; how long it takes.
    pub(crate) fn ask(&mut self, question: &str) -> Duration {
        *self.asked.entry(question.to_owned()).or_default() += 1;
        self.delays.get(question).copied().unwrap_or_default()
    }

    /// What happens to a question, after its delay.
    pub(crate) fn next(&mut self, question: &str) -> Option<Fault> {
        if let Some(error) = &self.away {
            return Some(Fault::Refused(error.clone()));
        }
        self.queued.get_mut(question)?.pop_front()
    }
}
