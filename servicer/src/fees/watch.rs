//! Asks what became of transactions, block by block, until all is known.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use portico_client::{BlockHead, Chain, ChainError, TxResult};
use portico_protocol::{Address, Height};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Fate, FeeBook, cost};
use crate::session::tree::SessionTrees;

/// Questions at a time: nothing waits for the answers but the ledger.
const AT_A_TIME: usize = 4;
/// Time for an answer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Blocks after a transaction's last one beyond which a node that does not know it has no block with it: the node asked may be two behind, and
/// CometBFT notes transactions down a moment after their block.
const LATE_BLOCKS: i64 = 3;

/// Follows the chain for [`FeeBook`].
pub(crate) struct FeeWatch {
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) trees: Arc<SessionTrees>,
    pub(crate) book: Arc<FeeBook>,
}

/// A transaction to ask about.
#[derive(Debug)]
struct Question {
    payer: Address,
    sent_at: Height,
    expires_at_ms: u64,
    sessions: Vec<u64>,
    /// Nobody told when it was asked about last.
    untold: bool,
}

/// What is remembered between two blocks.
#[derive(Debug, Default)]
struct Memory {
    /// First block that could not take a transaction any more.
    expired: HashMap<String, Height>,
    /// Whether those that nobody told of were asked about since the start.
    asked_again: bool,
}

impl FeeWatch {
    /// Asks until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut head = self.chain.head();
        let mut memory = Memory::default();
        loop {
            let now = head.borrow_and_update().clone();
            tokio::select! {
                () = stop.cancelled() => return self.book.written().await,
                () = self.look(&now, &mut memory) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return self.book.written().await,
                changed = head.changed() => if changed.is_err() {
                    return stop.cancelled().await;
                },
            }
        }
    }

    async fn look(&self, now: &BlockHead, memory: &mut Memory) {
        let mut questions = self.questions(now, memory.asked_again);
        memory.expired.retain(|hash, _| questions.contains_key(hash));
        memory.asked_again |= now.height.0 > 0;
        let mut asking = JoinSet::new();
        while let Some((hash, question)) = questions.pop_first() {
            let expired = now.time_ms > question.expires_at_ms;
            let expired = expired.then(|| *memory.expired.entry(hash.clone()).or_insert(now.height));
            let over = expired.is_some_and(|at| now.height.0 >= at.0.saturating_add(LATE_BLOCKS));
            let chain = Arc::clone(&self.chain);
            asking.spawn(async move {
                let answer = tokio::time::timeout(TIMEOUT, chain.tx(&hash)).await;
                (hash, question, over, answer.unwrap_or_else(|_| Err(late())))
            });
            if asking.len() == AT_A_TIME
                && let Some(Ok((hash, question, over, answer))) = asking.join_next().await
            {
                self.take(&hash, &question, over, answer);
            }
        }
        while let Some(answered) = asking.join_next().await {
            if let Ok((hash, question, over, answer)) = answered {
                self.take(&hash, &question, over, answer);
            }
        }
        self.book.store().await;
    }

    /// Transactions that had a block to be in, by hash.
    fn questions(&self, now: &BlockHead, untold_too: bool) -> BTreeMap<String, Question> {
        let mut questions: BTreeMap<String, Question> = BTreeMap::new();
        for tree in self.trees.all() {
            let fees = tree.fees();
            for tx in fees.pending().filter(|tx| tx.sent_at < now.height) {
                let untold = tx.fate == Fate::Untold;
                if untold && untold_too {
                    continue;
                }
                let question = questions.entry(tx.hash.clone()).or_insert_with(|| Question {
                    payer: tree.supplier(),
                    sent_at: tx.sent_at,
                    expires_at_ms: tx.expires_at_ms,
                    sessions: Vec::new(),
                    untold,
                });
                question.sessions.push(tree.index);
            }
        }
        questions
    }

    fn take(
        &self,
        hash: &str,
        question: &Question,
        over: bool,
        answer: Result<Option<TxResult>, ChainError>,
    ) {
        let payer = question.payer.to_string();
        match answer {
            Ok(Some(result)) => self.book.decide(hash, &question.sessions, |tx| Fate::Taken {
                height: result.height,
                cost: cost(&result, &payer, tx.messages, tx.position),
            }),
            Ok(None) if over => self.book.decide(hash, &question.sessions, |_| Fate::NotTaken),
            Err(error) if over && !question.untold && !matches!(error, ChainError::Unavailable(_)) => {
                let sent_at = question.sent_at.0;
                tracing::warn!(
                    tx = hash, sent_at, %error,
                    "no node says what became of a transaction: the ledger is without its fee"
                );
                self.book.decide(hash, &question.sessions, |_| Fate::Untold);
            }
            // The next block asks again.
            Ok(None) | Err(_) => {}
        }
    }
}

fn late() -> ChainError {
    ChainError::Unavailable("no answer in time".to_owned())
}
