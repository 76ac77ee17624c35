//! What the chain refused, so that it is not asked twice in a block; apart from sessions, so that inventions cannot crowd them out.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portico_protocol::Height;
use tokio::time::Instant;

use crate::SessionError;
use crate::reader::Pair;

/// Refusals that are remembered, some 0.5 KiB each; the oldest is forgotten, so that its pair may be asked for once more.
pub(crate) const MAX_REFUSALS: usize = 16_384;

/// A pair and the height that it was asked for.
type Asked = (Pair, Height);

/// Refusals of the newest block.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Newest block when these were refused: with another one all are void.
    head: Height,
    by_question: HashMap<Asked, Refusal>,
    /// Oldest first; each question once.
    order: VecDeque<Asked>,
}

#[derive(Debug)]
struct Refusal {
    error: SessionError,
    /// If it may pass by itself: until when it holds.
    until: Option<Instant>,
}

impl Refusals {
    /// What the chain said to this question while its newest block was `head`, for a caller who has been waiting since `since`.
    pub(crate) fn find(
        &self,
        pair: &Pair,
        asked: Height,
        head: Height,
        since: Instant,
    ) -> Option<SessionError> {
        let kept = self.kept();
        if kept.head != head || kept.by_question.is_empty() {
            return None;
        }
        let refusal = kept.by_question.get(&(pair.clone(), asked))?;
        let holds = refusal.until.is_none_or(|until| since < until);
        holds.then(|| refusal.error.clone())
    }

    /// Remembers a refusal at `head`: until the next block, or until `until` if it may pass by itself.
    pub(crate) fn remember(
        &self,
        pair: &Pair,
        asked: Height,
        head: Height,
        error: SessionError,
        until: Option<Instant>,
    ) {
        let mut kept = self.kept();
        if kept.head != head {
            *kept = Kept {
                head,
                ..Kept::default()
            };
        }
        let question = (pair.clone(), asked);
        let refusal = Refusal { error, until };
        if kept.by_question.insert(question.clone(), refusal).is_none() {
            kept.order.push_back(question);
        }
        if kept.order.len() > MAX_REFUSALS
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.by_question.remove(&oldest);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
