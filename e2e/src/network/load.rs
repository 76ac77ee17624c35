//! Clients that call without pause.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, bail};
use portico_protocol::session::Timing;

use super::{Network, expect_result};
use crate::process::eventually;
use crate::{Answer, DApp};

/// What clients saw.
#[derive(Debug, Default)]
pub struct LoadOutcome {
    /// Calls made.
    pub calls: u64,
    /// What was not a result.
    pub failures: Vec<String>,
    /// Sessions named by answers.
    pub sessions_seen: u64,
}

impl Network {
    /// `clients` call until answers of `sessions` whole sessions were seen.
    pub async fn call_over_sessions(&self, clients: usize, sessions: u64) -> Result<LoadOutcome> {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let workers: Vec<_> = (0..clients)
            .map(|_| spawn_client(self.dapp(), Arc::clone(&stop), Arc::clone(&answered)))
            .collect();
        let params = self.chain().shared_params(None).await?;
        let first = Timing::new(&params).number(self.head().await?.height);
        let wanted = first + i64::try_from(sessions)?;
        let passed = eventually("the sessions pass", || async {
            Ok((Timing::new(&params).number(self.head().await?.height) >= wanted).then_some(()))
        })
        .await;
        stop.store(true, Ordering::SeqCst);
        let mut outcome = LoadOutcome::default();
        let mut seen = BTreeSet::new();
        for worker in workers {
            let answers = worker.await?;
            outcome.calls += answers.len() as u64;
            for answer in answers {
                match answer {
                    Ok(answer) => seen.extend(answer.header("x-session-id").map(str::to_owned)),
                    Err(failure) => outcome.failures.push(failure),
                }
            }
        }
        passed?;
        outcome.sessions_seen = seen.len() as u64;
        Ok(outcome)
    }

    /// Makes `calls` calls, one after the other, that all belong to one session; returns its id and the answers.
    pub async fn call_within_one_session(&self, calls: usize) -> Result<(String, Vec<Answer>)> {
        let session = self.await_fresh_session().await?;
        let dapp = self.dapp();
        let mut answers = Vec::with_capacity(calls);
        for id in 0..calls {
            answers.push(dapp.call(id as u64, "eth_blockNumber").await?);
        }
        if let Some(other) = answers
            .iter()
            .filter_map(|a| a.header("x-session-id"))
            .find(|id| *id != session)
        {
            bail!("the session {session} ended meanwhile: an answer names {other}");
        }
        Ok((session, answers))
    }

    /// Awaits a session's beginning without spending a relay; returns its id.
    pub async fn await_fresh_session(&self) -> Result<String> {
        let params = self.chain().shared_params(None).await?;
        eventually("a session begins", || async {
            let head = self.head().await?.height;
            let into = head.0 - Timing::new(&params).start(head).0;
            if into == 0 || into > 2 {
                return Ok(None);
            }
            Ok(Some(self.session(head).await?.session_id))
        })
        .await
    }

    /// `clients` call while the servicer is killed without warning and started again; returns the session in which it
    /// began and the answers that belong to it.
    pub async fn kill_servicer_under_load(
        &mut self,
        clients: usize,
        kills: usize,
    ) -> Result<(String, Vec<Answer>)> {
        let session = self.await_fresh_session().await?;
        let load = Load::start(self, clients);
        for _ in 0..kills {
            load.await_more(BETWEEN_KILLS).await?;
            self.kill_servicer().await?;
        }
        let recovered = load.await_more(BETWEEN_KILLS).await;
        let mut answers = load.stop().await?;
        recovered?;
        answers.retain(|answer| answer.header("x-session-id") == Some(&session));
        Ok((session, answers))
    }
}

/// Answers between two kills.
const BETWEEN_KILLS: u64 = 25;

/// Clients that call until they are told to stop.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<Vec<Result<Answer, String>>>>,
}

impl Load {
    /// So many `clients` call.
    #[must_use]
    pub fn start(network: &Network, clients: usize) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |_| spawn_client(network.dapp(), Arc::clone(&stop), Arc::clone(&answered));
        let clients = (0..clients).map(client).collect();
        Self {
            stop,
            answered,
            clients,
        }
    }

    /// Awaits so many more answers.
    pub async fn await_more(&self, count: u64) -> Result<()> {
        let goal = self.answered.load(Ordering::SeqCst) + count;
        eventually("calls are answered", || async {
            Ok((self.answered.load(Ordering::SeqCst) >= goal).then_some(()))
        })
        .await
    }

    /// The answers that were results.
    pub async fn stop(self) -> Result<Vec<Answer>> {
        self.stop.store(true, Ordering::SeqCst);
        let mut answers = Vec::new();
        for client in self.clients {
            answers.extend(client.await?.into_iter().flatten());
        }
        Ok(answers)
    }
}

/// A client that calls until told to stop; failures are kept as text.
fn spawn_client(
    dapp: DApp,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> tokio::task::JoinHandle<Vec<Result<Answer, String>>> {
    tokio::spawn(async move {
        let mut answers = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let answer = dapp.call(answers.len() as u64, "eth_blockNumber").await;
            answers.push(match answer {
                Ok(answer) => expect_result(&answer).map(|()| answer),
                Err(error) => Err(format!("{error:#}")),
            });
            if answers.last().is_some_and(Result::is_ok) {
                answered.fetch_add(1, Ordering::SeqCst);
            }
        }
        answers
    })
}
