//! What goes wrong between a question and its answer.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use portico_client::ChainError;

/// Names of questions, for faults and counters: a query's is its gRPC path.
pub mod question {
    /// A session.
    pub const SESSION: &str = "/pocket.session.Query/GetSession";
    /// An account.
    pub const ACCOUNT: &str = "/cosmos.auth.v1beta1.Query/Account";
    /// What an account holds.
    pub const BALANCE: &str = "/cosmos.bank.v1beta1.Query/Balance";
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
    /// It is answered as usual, and nothing comes of it: a transaction is taken, and lost.
    Lost,
    /// It is answered as usual, after this long.
    Slow(Duration),
    /// It is never answered.
    Silent,
}

/// Whether a question's content is meant.
type Applies = Box<dyn Fn(&[u8]) -> bool + Send>;

/// What happens to each question with a certain content.
struct Rule {
    fault: Fault,
    applies: Applies,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

/// Faults to come, and questions so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    queued: BTreeMap<String, VecDeque<Fault>>,
    rules: BTreeMap<String, Rule>,
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

    pub(crate) fn rule(
        &mut self,
        question: &str,
        fault: Fault,
        applies: impl Fn(&[u8]) -> bool + Send + 'static,
    ) {
        let applies = Box::new(applies);
        self.rules.insert(question.to_owned(), Rule { fault, applies });
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
    pub(crate) fn next(&mut self, question: &str, content: &[u8]) -> Option<Fault> {
        if let Some(error) = &self.away {
            return Some(Fault::Refused(error.clone()));
        }
        let queued = self.queued.get_mut(question).and_then(VecDeque::pop_front);
        queued.or_else(|| {
            let rule = self.rules.get(question)?;
            (rule.applies)(content).then(|| rule.fault.clone())
        })
    }
}
