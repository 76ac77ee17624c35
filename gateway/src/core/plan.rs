//! What to do next for one relay: a pure decision over what happened so far.
//!
//! ```text
//!        ┌──────────────── failed(fault) ───────────────┐
//!        ▼                                              │
//!  decide ──Open(application)──► opened / closed ──► Try(candidate) ──► answered: done
//!        └──GiveUp──► into_outcome: one row of the error table
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use portico_protocol::Height;
use portico_relay::RpcType;
use portico_session_cache::SessionView;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::core::attempt::{Failed, Miss, Reply};
use crate::core::candidate::Candidate;
use crate::core::choice::Choice;
use crate::core::error::{Closed, RelayError};
use crate::core::fault::{Fault, Kind};
use crate::core::pick::{self, Filtered, Ranked};
use crate::core::reputation::Reputation;

/// What to do next.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Get the session of the application with this index, then tell [`Plan::opened`].
    Open(usize),
    /// The same with the application's previous session, if it is still in grace: the suppliers may be a block behind us. Then tell
    /// [`Plan::reopened`].
    OpenPrevious(usize),
    /// Relay with this supplier, then tell [`Plan::failed`] unless it answered.
    Try(Candidate),
    /// Nothing is left to try.
    GiveUp,
}

/// The state of one relay between its attempts.
#[derive(Debug)]
pub(crate) struct Plan {
    rpc_type: RpcType,
    /// Whom the caller wants.
    choice: Option<Arc<Choice>>,
    /// Attempts that may still fail; refusals for lack of stake cost none.
    budget: u32,
    /// Applications that were not opened yet.
    applications: VecDeque<usize>,
    candidates: VecDeque<Candidate>,
    failed: Vec<Failed>,
    /// What the first chain said whose backend failed while answering.
    fallback: Option<Box<Reply>>,
    /// The application whose suppliers refused our session, until its previous session was tried.
    lagging: Option<usize>,
    previous_opened: bool,
    /// The application and the end of the session of the last attempt.
    last_tried: Option<(usize, Height)>,
    /// End of the session that was given up since it was over.
    renewed: Option<Height>,
    /// Whether no other supplier can do better.
    settled: bool,
    filtered: Filtered,
    suppliers_seen: usize,
    closed: Option<Closed>,
    deadline: Instant,
    /// Where the deadline struck.
    late: Option<&'static str>,
    /// Decides between suppliers of equal standing.
    rng: StdRng,
}

impl Plan {
    /// A plan over the applications with these indices, begun at a place that `rng` chooses, so that they wear evenly.
    pub(crate) fn new(
        rpc_type: RpcType,
        choice: Option<Arc<Choice>>,
        mut applications: VecDeque<usize>,
        max_attempts: u32,
        deadline: Instant,
        rng: &mut impl Rng,
    ) -> Self {
        let mut rng = StdRng::from_rng(rng);
        if applications.len() > 1 {
            applications.rotate_left((rng.next_u32() as usize) % applications.len());
        }
        Self {
            rpc_type,
            choice,
            budget: max_attempts,
            applications,
            candidates: VecDeque::new(),
            failed: Vec::new(),
            fallback: None,
            lagging: None,
            previous_opened: false,
            last_tried: None,
            renewed: None,
            settled: false,
            filtered: Filtered::default(),
            suppliers_seen: 0,
            closed: None,
            deadline,
            late: None,
            rng,
        }
    }

    /// What to do next, when the newest block is the one at `height`.
    pub(crate) fn decide(&mut self, now: Instant, height: Height) -> Decision {
        if self.late.is_some() || self.settled {
            return Decision::GiveUp;
        }
        if now >= self.deadline {
            self.late = Some("supplier");
            return Decision::GiveUp;
        }
        if let Some(application) = self.over(height) {
            return Decision::Open(application);
        }
        if let Some(application) = self
            .lagging
            .take_if(|_| !self.previous_opened && self.candidates.is_empty())
        {
            self.previous_opened = true;
            return Decision::OpenPrevious(application);
        }
        if self.budget == 0 {
            return Decision::GiveUp;
        }
        if let Some(candidate) = self.candidates.pop_front() {
            return Decision::Try(candidate);
        }
        self.applications
            .pop_front()
            .map_or(Decision::GiveUp, Decision::Open)
    }

    /// The application whose session ended while its suppliers were tried, so that the next attempt belongs in the current one; once for
    /// each session.
    fn over(&mut self, height: Height) -> Option<usize> {
        let (application, end) = self.last_tried?;
        let over = end < height && self.renewed.is_none_or(|renewed| renewed < end);
        if !over || self.previous_opened {
            return None;
        }
        self.renewed = Some(end);
        self.lagging = None;
        self.candidates.clear();
        self.budget = self.budget.max(1); // the session ended: that is nobody's fault
        Some(application)
    }

    /// The application's session is there, and its suppliers are ranked; or it has none, and the next application may; or the
    /// deadline came first (`None`).
    pub(crate) fn opened(
        &mut self,
        application: usize,
        session: Option<Result<Arc<SessionView>, Closed>>,
        reputation: &Reputation,
        height: Height,
    ) {
        match session {
            None => self.late = Some("session"),
            Some(Err(closed)) => self.closed = Some(closed),
            Some(Ok(session)) => self.add(application, &session, reputation, height),
        }
    }

    /// The application's previous session, if suppliers still accept it.
    pub(crate) fn reopened(
        &mut self,
        application: usize,
        session: Option<Arc<SessionView>>,
        reputation: &Reputation,
        height: Height,
    ) {
        if let Some(session) = session {
            self.budget = self.budget.max(1); // ours was the newer session: that is nobody's fault
            self.add(application, &session, reputation, height);
        }
    }

    fn add(
        &mut self,
        application: usize,
        session: &Arc<SessionView>,
        reputation: &Reputation,
        height: Height,
    ) {
        let choice = self.choice.as_deref();
        let Ranked {
            suppliers,
            rpc_type,
            filtered,
        } = pick::rank(session, self.rpc_type, choice, reputation, height, &mut self.rng);
        self.suppliers_seen += session.suppliers.len();
        self.filtered.no_endpoint += filtered.no_endpoint;
        self.filtered.exhausted += filtered.exhausted;
        self.filtered.distrusted += filtered.distrusted;
        self.filtered.unwanted += filtered.unwanted;
        let candidate = |supplier| Candidate {
            session: Arc::clone(session),
            supplier,
            application,
            rpc_type,
        };
        self.candidates.extend(suppliers.into_iter().map(candidate));
    }

    /// The candidate did not answer well.
    pub(crate) fn failed(&mut self, candidate: &Candidate, miss: Miss) {
        self.last_tried = Some((candidate.application, candidate.session.end));
        match &miss.fault {
            Fault::OverServiced(_) => {}
            fault if fault.settles() => self.settled = true,
            Fault::Session(_) => {
                self.lagging = Some(candidate.application);
                self.budget = self.budget.saturating_sub(1);
                if self.budget == 0 {
                    self.candidates.clear();
                }
            }
            _ => self.budget = self.budget.saturating_sub(1),
        }
        self.fallback = self.fallback.take().or(miss.fallback);
        self.failed.push(Failed {
            supplier: candidate.supplier().operator,
            fault: miss.fault,
            ms: miss.ms,
        });
    }

    /// The reply, with the tries that failed before it.
    pub(crate) fn done(self, reply: Reply) -> Reply {
        Reply {
            failed: self.failed,
            ..reply
        }
    }

    /// What the caller gets when nothing is left to try: the answer of a chain whose backend failed while giving it, or one error
    /// that says it all.
    pub(crate) fn into_outcome(mut self) -> Result<Reply, RelayError> {
        match self.fallback.take() {
            Some(reply) => Ok(Reply {
                is_fallback: true,
                ..self.done(*reply)
            }),
            None => Err(self.into_error()),
        }
    }

    /// One error that says it all.
    pub(crate) fn into_error(self) -> RelayError {
        let attempts = self.failed;
        if let Some(phase) = self.late {
            return RelayError::Deadline { phase, attempts };
        }
        if self.settled {
            return match attempts.last().map(|failed| &failed.fault) {
                Some(Fault::NoRoom) => RelayError::NoRoom { attempts },
                _ => RelayError::ResponseTooLarge { attempts },
            };
        }
        let kinds: Vec<Kind> = attempts.iter().map(|failed| failed.fault.kind()).collect();
        let all = |kind: Kind| {
            kinds
                .iter()
                .filter(|k| **k != Kind::OverServiced)
                .all(|k| *k == kind)
        };
        if kinds.iter().all(|kind| *kind == Kind::OverServiced) {
            let filtered = self.filtered;
            let exhausted = filtered.exhausted + attempts.len();
            return match self.closed {
                _ if exhausted > 0 && filtered.distrusted == 0 && filtered.unwanted == 0 => {
                    RelayError::StakeExhausted { attempts }
                }
                Some(source) if self.suppliers_seen == 0 => RelayError::Session(source),
                _ if self.suppliers_seen > 0 && filtered.no_endpoint == self.suppliers_seen => {
                    RelayError::RpcTypeUnsupported
                }
                _ => RelayError::NoSupplier {
                    filtered: Filtered {
                        exhausted,
                        ..filtered
                    },
                    attempts,
                },
            };
        }
        match () {
            () if all(Kind::Unverified) => RelayError::SignatureInvalid { attempts },
            () if all(Kind::BadPayload) => RelayError::BadPayload { attempts },
            () => RelayError::SuppliersFailed { attempts },
        }
    }
}

#[cfg(test)]
mod tests;
