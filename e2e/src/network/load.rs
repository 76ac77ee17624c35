//! Clients that call without pause.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, bail};
use portico_localnet::Role;
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
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let workers: Vec<_> = (0..clients)
            .map(|_| spawn_client(self.dapp(), Arc::clone(&stop), Arc::clone(&answered)))
            .collect();
        for _ in 0..kills {
            await_more(&answered).await?;
            self.processes.of(Role::Servicer).kill().await?;
            self.processes.restart(&self.plan, Role::Servicer)?;
        }
        let recovered = await_more(&answered).await;
        stop.store(true, Ordering::SeqCst);
        let mut answers = Vec::new();
        for worker in workers {
            answers.extend(worker.await?.into_iter().flatten());
        }
        recovered?;
        answers.retain(|answer| answer.header("x-session-id") == Some(&session));
        Ok((session, answers))
    }
}

/// Awaits 25 more answers.
async fn await_more(answered: &AtomicU64) -> Result<()> {
    let goal = answered.load(Ordering::SeqCst) + 25;
    eventually("calls are answered", || async {
        Ok((answered.load(Ordering::SeqCst) >= goal).then_some(()))
    })
    .await
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
