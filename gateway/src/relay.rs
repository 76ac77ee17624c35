//! The hot path: one call, from the session it is paid in to a verified answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use portico_client::Chain;
use portico_config::gateway::GatewayConfig;
use portico_protocol::ServiceId;
use portico_protocol::relay::{MinedRelay, sign_prepared};
use portico_protocol::wire::pocket::service::RelayRequest;
use portico_protocol::wire::sdk::types::{Header, PokthttpRequest};
use portico_session_cache::{SessionCache, SessionView};
use prost::Message;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::GatewayError;
use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::outcome::{Call, Candidate, Closed, RelayError, Reply};
use crate::plan::{Decision, Plan};
use crate::reputation::Reputation;
use crate::send::Sender;
use crate::signer::{Signer, Signers};
use crate::verify::{Checked, check};

/// Relays calls; shared by all callers.
#[derive(Debug)]
pub(crate) struct Relayer {
    pub(crate) sessions: SessionCache,
    pub(crate) signers: Signers,
    pub(crate) metrics: Metrics,
    reputation: Mutex<Reputation>,
    chance: Mutex<StdRng>,
    /// Whether signatures are made ahead; if not, they follow from the seed and the order of calls alone.
    ahead: bool,
    sender: Sender,
    slots: Semaphore,
    max_attempts: u32,
}

impl Relayer {
    /// Prepares everything; `chance` decides picks and signatures' nonces, which are drawn `ahead` of calls or with them.
    pub(crate) fn new(
        config: &GatewayConfig,
        chain: Arc<dyn Chain>,
        registry: &prometheus::Registry,
        chance: StdRng,
        ahead: bool,
    ) -> Result<Self, GatewayError> {
        Ok(Self {
            sessions: SessionCache::new(chain, "gateway", registry)?,
            signers: Signers::new(config)?,
            metrics: Metrics::new(registry)?,
            reputation: Mutex::default(),
            chance: Mutex::new(chance),
            ahead,
            sender: Sender::new(config)?,
            slots: Semaphore::new(config.max_concurrent_relays.min(Semaphore::MAX_PERMITS)),
            max_attempts: config.max_attempts,
        })
    }

    /// Serves one call, trying suppliers in order until a response verifies.
    pub(crate) async fn relay(&self, service: &ServiceId, call: &Call) -> Result<Reply, RelayError> {
        let _slot = self.slots.try_acquire().map_err(|_| RelayError::Overloaded)?;
        let signers = self.signers.of(service);
        let mut rng = self.draw();
        let mut plan = Plan::new(signers.len(), self.max_attempts, call.deadline, &mut rng);
        loop {
            match plan.decide(Instant::now()) {
                Decision::Open(application) => {
                    let session = self.session(&signers[application], service, call.deadline).await;
                    plan.opened(application, session, &self.reputation(), self.sessions.height());
                }
                Decision::OpenPrevious(application) => {
                    let session = self.previous(&signers[application], service);
                    plan.reopened(application, session, &self.reputation(), self.sessions.height());
                }
                Decision::Try(candidate) => {
                    let signer = &signers[candidate.application];
                    let outcome = self.attempt(candidate.clone(), signer, call, &mut rng).await?; // our own fault ends here
                    match outcome {
                        Ok(reply) => return Ok(plan.done(reply)),
                        Err((fault, ms)) => plan.failed(&candidate, fault, ms), // theirs: try the next
                    }
                }
                Decision::GiveUp => return plan.into_outcome(),
            }
        }
    }

    /// The current session of the signer's application; `None` when the deadline came first.
    pub(crate) async fn session(
        &self,
        signer: &Signer,
        service: &ServiceId,
        deadline: Instant,
    ) -> Option<Result<Arc<SessionView>, Closed>> {
        let session = timeout_at(deadline, self.sessions.current(&signer.application, service))
            .await
            .ok()?;
        Some(
            session
                .map_err(Closed::from)
                .and_then(|session| match signer.may_sign(&session) {
                    true => Ok(session),
                    false => {
                        let (application, gateway) = (signer.application, signer.public_key.address());
                        Err(Closed::NotDelegated { application, gateway })
                    }
                }),
        )
    }

    /// The application's session before, if suppliers still accept it and we could sign in it.
    fn previous(&self, signer: &Signer, service: &ServiceId) -> Option<Arc<SessionView>> {
        let session = self.sessions.previous(&signer.application, service);
        session.filter(|session| signer.may_sign(session))
    }

    /// One try at one supplier, and what it means for its reputation; a fault comes with the milliseconds it took.
    async fn attempt(
        &self,
        candidate: Candidate,
        signer: &Signer,
        call: &Call,
        rng: &mut StdRng,
    ) -> Result<Result<Reply, (Fault, u64)>, RelayError> {
        let begun = Instant::now();
        let (session, supplier) = (Arc::clone(&candidate.session), candidate.supplier().operator);
        let request = self.sign(&candidate, signer, call, rng)?;
        let outcome = self.exchange(candidate, request, call).await;
        let (height, ms) = (self.sessions.height(), begun.elapsed().as_millis());
        Ok(match outcome {
            Ok(reply) => {
                self.reputation().praise(&supplier, height);
                Ok(reply)
            }
            Err(fault) => {
                debug!(%supplier, cause = fault.cause(), %fault, session = session.id(), "attempt failed");
                self.metrics.failed(&fault);
                self.reputation().blame(&session, &supplier, height, &fault);
                Err((fault, u64::try_from(ms).unwrap_or(u64::MAX)))
            }
        })
    }

    /// Sent, verified, judged: nothing of the supplier's gets past here unchecked.
    async fn exchange(
        &self,
        candidate: Candidate,
        request: RelayRequest,
        call: &Call,
    ) -> Result<Reply, Fault> {
        let sent = self
            .sender
            .send(candidate.url(), request.encode_to_vec(), call.deadline)
            .await?;
        let (header, key) = (&candidate.session.header, candidate.supplier().public_key);
        let Checked { response, judged } = check(sent, header, key, &call.id).await?;
        let reply = Reply {
            answer: judged.answer,
            backend_status: judged.status,
            relay_hash: MinedRelay::new(&request, &response).hash,
            payload_hashed: !response.payload_hash.is_empty(),
            candidate,
            failed: Vec::new(),
        };
        match judged.failed {
            false => Ok(reply),
            true => Err(Fault::Backend {
                status: judged.status,
                reply: Some(Box::new(reply)),
            }),
        }
    }

    /// The signed relay request, by a signature made ahead if there is one. Signing runs where the call runs: it takes less than the hop
    /// to another thread and back.
    fn sign(
        &self,
        candidate: &Candidate,
        signer: &Signer,
        call: &Call,
        rng: &mut StdRng,
    ) -> Result<RelayRequest, RelayError> {
        let (session, supplier) = (&candidate.session, candidate.supplier().operator.to_string());
        let ready = self.ahead.then(|| signer.shelf.take(&session.ring)).flatten();
        let prepared = ready.map_or_else(|| session.ring.prepare(&signer.key, rng), Ok);
        let prepared = prepared.map_err(|error| RelayError::Sign(error.into()))?;
        if self.ahead {
            signer.shelf.refill(&signer.key, || self.draw());
        }
        let payload = payload(candidate.url(), call);
        sign_prepared(&session.header, &supplier, payload, prepared).map_err(RelayError::Sign)
    }

    /// A generator of this call's own, so that calls do not wait for each other's signatures.
    fn draw(&self) -> StdRng {
        StdRng::from_rng(&mut *self.chance.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reputation(&self) -> MutexGuard<'_, Reputation> {
        self.reputation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The HTTP request that the supplier is to make of its backend.
fn payload(url: &str, call: &Call) -> Bytes {
    const CONTENT_TYPE: &str = "Content-Type";
    let header = Header {
        key: CONTENT_TYPE.to_owned(),
        values: vec!["application/json".to_owned()],
    };
    let url = match call.path.is_empty() {
        true => url.to_owned(),
        false => format!("{}{}", url.trim_end_matches('/'), call.path),
    };
    let request = PokthttpRequest {
        method: "POST".to_owned(),
        header: [(CONTENT_TYPE.to_owned(), header)].into(),
        url,
        body_bz: call.body.clone(),
    };
    request.encode_to_vec().into()
}
