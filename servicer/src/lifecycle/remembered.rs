//! Answers of the chain that several sessions need: asked once, by whoever comes first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portico_client::ChainError;
use tokio::sync::OnceCell;

/// Answers kept of a kind, unless it is said otherwise; the lowest keys, which are the oldest heights, go first.
const MAX_ANSWERS: usize = 256;

/// Time for an answer: what a node does not say by then is asked again at the next block. Nodes have time-outs of their own, of 10 s.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(15);

/// The answer to a question, in time.
pub(crate) async fn answered<T>(
    asking: impl Future<Output = Result<T, ChainError>>,
) -> Result<T, ChainError> {
    let answer = tokio::time::timeout(QUESTION_TIMEOUT, asking).await;
    answer.unwrap_or_else(|_| Err(late()))
}

/// A chain that does not answer in time is one that is away.
pub(crate) fn late() -> ChainError {
    ChainError::Unavailable("no answer in time".to_owned())
}

/// Answers by what was asked. Who comes while a question is under way waits for its answer; a failure is not remembered.
pub(crate) struct Remembered<K, V> {
    answers: Mutex<BTreeMap<K, Arc<OnceCell<V>>>>,
    max: usize,
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self::keeping(MAX_ANSWERS)
    }
}

impl<K, V> Remembered<K, V> {
    /// Of which so many answers are kept.
    pub(crate) const fn keeping(max: usize) -> Self {
        Self {
            answers: Mutex::new(BTreeMap::new()),
            max,
        }
    }
}

impl<K: Ord + Clone, V: Clone> Remembered<K, V> {
    /// The answer to `key`: a remembered one, or that of `asking`.
    pub(crate) async fn get(
        &self,
        key: K,
        asking: impl Future<Output = Result<V, ChainError>>,
    ) -> Result<V, ChainError> {
        let answer = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = Arc::clone(answers.entry(key).or_default());
            while answers.len() > self.max {
                answers.pop_first();
            }
            answer
        };
        answer.get_or_try_init(|| answered(asking)).await.cloned()
    }

    /// The answer to `key` is known without asking.
    pub(crate) fn know(&self, key: K, value: V) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(key, Arc::new(OnceCell::new_with(Some(value))));
        while answers.len() > self.max {
            answers.pop_first();
        }
    }

    /// Forgets one answer.
    pub(crate) fn remove(&self, key: &K) {
        self.answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    /// As if nothing had been asked.
    pub(crate) fn forget(&self) {
        self.answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
