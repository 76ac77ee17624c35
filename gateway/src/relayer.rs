//! The hot path: one call, from the session it is paid in to a verified answer.

mod check;
mod expected;
mod link;
mod slots;
mod stream;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use portico_client::{BlockHead, RelayChain};
use portico_config::gateway::GatewayConfig;
use portico_net::budget::{Budget, Budgets, Clients, Full, Share};
use portico_net::large::LargeWork;
use portico_protocol::ServiceId;
use portico_protocol::relay::{MinedRelay, sign_prepared};
use portico_protocol::wire::pocket::service::{RelayRequest, RelayResponse};
use portico_relay::Exchange;
use portico_session_cache::{SessionCache, SessionView};
use portico_telemetry::span;
use prost::Message;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, debug};

use self::check::{Checked, Turns, check};
use self::expected::{Expected, NoTurn};
use self::slots::Slots;
use crate::GatewayError;
use crate::codec::Codec;
use crate::codec::jsonrpc::JsonRpc;
use crate::codec::jsonrpc::repeated::{OWN_ID, names_a_transaction};
use crate::core::attempt::{Failed, Miss, Reply};
use crate::core::call::Call;
use crate::core::candidate::Candidate;
use crate::core::choice::Choice;
use crate::core::error::{Closed, RelayError};
use crate::core::fault::{Fault, beginning};
use crate::core::plan::{Decision, Plan};
use crate::core::receipt::ReceiptOutcome;
use crate::core::reputation::{LeftAlone, Reputation};
use crate::metrics::Metrics;
use crate::signer::{Signer, Signers};
use crate::supplier::http::HttpTransport;
use crate::supplier::websocket::WebSocketTransport;
use crate::supplier::{Message as Received, SupplierTransport, Wanted};

impl From<NoTurn> for RelayError {
    fn from(_: NoTurn) -> Self {
        Self::NoRoom { attempts: Vec::new() }
    }
}

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
    transport: HttpTransport,
    sockets: WebSocketTransport,
    head: watch::Receiver<BlockHead>,
    slots: Slots,
    /// Bytes of answers held for all callers.
    answers: Arc<Budget>,
    /// Bytes of large answers held for each client.
    clients: Arc<Clients>,
    /// Bytes of large answers that each client's calls will bring.
    expected: Expected,
    /// Checks of large answers.
    large: LargeWork,
    max_answer_bytes_per_request: usize,
    max_attempts: u32,
    max_response_bytes: usize,
    attempt_timeout: Duration,
    /// Whether suppliers are told of a call's id and place in a trace.
    pub(crate) propagates: bool,
    /// Longest wait for the next piece of a stream, and bytes of all of them.
    stream_bounds: (Duration, u64),
}

impl Relayer {
    /// Prepares everything; `chance` decides picks and signatures' nonces, which are drawn `ahead` of calls or with them.
    pub(crate) fn new(
        config: &GatewayConfig,
        chain: Arc<dyn RelayChain>,
        registry: &prometheus::Registry,
        chance: StdRng,
        ahead: bool,
    ) -> Result<Self, GatewayError> {
        let signers = Signers::new(config)?;
        Ok(Self {
            head: chain.head(),
            sockets: WebSocketTransport::new(config)?,
            sessions: SessionCache::new(chain, "gateway", registry)?,
            metrics: Metrics::new(registry)?,
            reputation: Mutex::default(),
            chance: Mutex::new(chance),
            ahead,
            transport: HttpTransport::new(config)?,
            slots: Slots::new(config.max_concurrent_relays, signers.services()),
            signers,
            answers: Budget::new(config.max_answer_bytes_in_flight),
            clients: Clients::new(config.max_answer_bytes_per_client()),
            expected: Expected::new(config.max_answer_bytes_per_client()),
            large: LargeWork::default(),
            max_answer_bytes_per_request: config.max_answer_bytes_per_request,
            max_attempts: config.max_attempts,
            max_response_bytes: config.max_response_bytes,
            attempt_timeout: Duration::from_millis(config.attempt_timeout_ms),
            propagates: config.traces.propagate,
            stream_bounds: (
                Duration::from_millis(config.stream_idle_timeout_ms),
                config.max_stream_bytes,
            ),
        })
    }

    /// The budgets of an answer to a call of `client`.
    pub(crate) fn budgets(&self, client: Option<IpAddr>) -> Budgets {
        Budgets {
            all: Arc::clone(&self.answers),
            batch: None,
            client: client.map(|client| self.clients.share(client)),
        }
    }

    /// The budgets that the answers to a new batch of `client` share.
    pub(crate) fn batch_budgets(&self, client: Option<IpAddr>) -> Budgets {
        Budgets {
            batch: Some(Budget::new(self.max_answer_bytes_per_request)),
            ..self.budgets(client)
        }
    }

    /// Serves one call, trying suppliers in order until a response verifies.
    pub(crate) async fn relay<C: Codec>(
        &self,
        codec: C,
        service: &ServiceId,
        call: &Call<C::Expected>,
    ) -> Result<Reply, RelayError> {
        let client = call.budgets.client.as_ref().map(Share::client);
        let key = || expected::key(service.as_str(), codec.method(call));
        let has_room = || match call.budgets.used_up() {
            None => Ok(()),
            Some(Full::Batch(_)) => Err(RelayError::ResponseTooLarge { attempts: Vec::new() }),
            Some(Full::Client | Full::All) => Err(NoTurn.into()),
        };
        has_room()?;
        let turn = match client {
            Some(client) => self.expected.turn(client, key, call.deadline).await?,
            None => None,
        };
        if let Some(turn) = &turn {
            has_room()?; // answers came meanwhile
            self.expected.pace(turn, call.deadline).await?;
        }
        let _slot = self.slots.take(service).ok_or(RelayError::Overloaded)?;
        let signers = self.signers.of(service);
        let mut rng = self.draw();
        let mut plan = Plan::new(
            call.request.rpc_type,
            call.choice.clone(),
            applications(signers, call.choice.as_deref()),
            self.max_attempts,
            call.deadline,
            &mut rng,
        );
        while let Some(candidate) = self
            .next_candidate(&mut plan, signers, service, call.deadline)
            .await
        {
            let signer = &signers[candidate.application];
            let payload = call.request.payload(candidate.url());
            let request = span!("sign").in_scope(|| self.sign(&candidate, signer, payload, &mut rng))?; // our own fault ends here
            let span = span!(
                "attempt",
                supplier = %candidate.supplier().operator,
                session = candidate.session.id(),
                cause = Empty,
                otel.status_code = Empty,
            );
            let attempt = self.attempt(codec, candidate.clone(), request, call);
            match attempt.instrument(span).await {
                Ok(reply) => {
                    if let Some(client) = client {
                        self.expected.saw(client, key, reply.answer.len());
                    }
                    let reply = self.learn(plan.done(reply));
                    return Ok(match carried_out(&reply.failed) {
                        true => self.once(codec, service, call, reply).await,
                        false => reply,
                    });
                }
                Err(miss) => {
                    if let (Some(client), Fault::TooLarge(bytes)) = (client, &miss.fault) {
                        self.expected.saw(client, key, *bytes);
                    }
                    plan.failed(&candidate, miss); // theirs: try the next
                }
            }
        }
        plan.into_outcome()
    }

    /// The reply to a call of which an earlier try may have been carried out: then it is that try's.
    fn once<'c, C: Codec>(
        &'c self,
        codec: C,
        service: &'c ServiceId,
        call: &'c Call<C::Expected>,
        mut reply: Reply,
    ) -> Pin<Box<dyn Future<Output = Reply> + Send + 'c>> {
        Box::pin(async move {
            let Some(repeated) = codec.repeated(call, &reply.answer) else {
                return reply;
            };
            let was_carried_out = match repeated.question {
                None => true,
                Some(question) => self.is_known(service, call, question).await,
            };
            if was_carried_out {
                reply.answer = repeated.answer;
            }
            reply
        })
    }

    /// Whether the chain knows the transaction that `question` asks for, in a relay of its own.
    async fn is_known<E: Sync>(&self, service: &ServiceId, call: &Call<E>, question: Bytes) -> bool {
        let path = call.request.path.clone();
        let asked = Call {
            request: portico_relay::Call::posted(call.request.rpc_type, path, question),
            expected: Some(Bytes::from_static(OWN_ID)),
            budgets: call.budgets.clone(),
            wants_receipt: false,
            takes_stream: false,
            choice: call.choice.clone(),
            origin: Arc::clone(&call.origin),
            deadline: call.deadline,
        };
        let reply = self.relay(JsonRpc, service, &asked).await;
        reply.is_ok_and(|reply| names_a_transaction(&reply.answer))
    }

    /// Whom to try next, once the sessions that the plan wants are open; `None` when it gives up.
    async fn next_candidate(
        &self,
        plan: &mut Plan,
        signers: &[Signer],
        service: &ServiceId,
        deadline: Instant,
    ) -> Option<Candidate> {
        loop {
            match plan.decide(Instant::now(), self.sessions.height()) {
                Decision::Open(application) => {
                    let signer = &signers[application];
                    let span = span!("session", application = %signer.application);
                    let session = self.session(signer, service, deadline).instrument(span).await;
                    plan.opened(application, session, &self.reputation(), self.sessions.height());
                }
                Decision::OpenPrevious(application) => {
                    let session = self.previous(&signers[application], service);
                    plan.reopened(application, session, &self.reputation(), self.sessions.height());
                }
                Decision::Try(candidate) => return Some(candidate),
                Decision::GiveUp => return None,
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

    /// One try at one supplier, and what it means for its reputation.
    async fn attempt<C: Codec>(
        &self,
        codec: C,
        candidate: Candidate,
        request: RelayRequest,
        call: &Call<C::Expected>,
    ) -> Result<Reply, Miss> {
        let begun = Instant::now();
        let (session, supplier) = (Arc::clone(&candidate.session), candidate.supplier().operator);
        let outcome = self.exchange(codec, candidate, request, call).await;
        let height = self.sessions.height();
        let (fault, fallback) = match outcome {
            Ok((reply, None)) => {
                self.reputation().praise(&supplier, height);
                return Ok(reply);
            }
            Ok((reply, Some(fault))) => (fault, Some(Box::new(reply))),
            Err(fault) => (fault, None),
        };
        let (cause, request_id) = (fault.cause(), call.origin.request_id());
        debug!(request_id, %supplier, cause, fault = fault.unquoted(), session = session.id(), "attempt failed");
        Span::current()
            .record("cause", cause)
            .record("otel.status_code", "ERROR");
        self.metrics.failed(&fault);
        self.reputation().blame(&session, &supplier, height, &fault);
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Err(Miss { fault, ms, fallback })
    }

    /// Suppliers that are not tried now.
    pub(crate) fn left_alone(&self) -> Vec<LeftAlone> {
        self.reputation().left_alone(self.sessions.height())
    }

    /// Takes note of the suppliers that failed where this reply's did not.
    fn learn(&self, reply: Reply) -> Reply {
        if !reply.failed.is_empty() {
            let height = self.sessions.height();
            let mut reputation = self.reputation();
            for failed in &reply.failed {
                reputation.outdone(&failed.supplier, height, &failed.fault);
            }
        }
        reply
    }

    /// Sent, verified, judged: nothing of the supplier's gets past here unchecked. A fault beside a reply is the backend's.
    async fn exchange<C: Codec>(
        &self,
        codec: C,
        candidate: Candidate,
        request: RelayRequest,
        call: &Call<C::Expected>,
    ) -> Result<(Reply, Option<Fault>), Fault> {
        let mut received = self
            .first_message(&candidate, request.encode_to_vec(), call)
            .instrument(span!("supplier round trip", otel.kind = "client"))
            .await?;
        if let Some(opened) = received.stream.take() {
            return Box::pin(self.streamed(codec, *opened, candidate, &request, call)).await;
        }
        let (mut room, size) = (received.room.take(), received.bytes.len());
        let sent_receipt = received.receipt.take();
        let (header, key) = (&candidate.session.header, candidate.supplier().public_key);
        let Checked { response, verdict } = check(
            codec,
            received,
            header,
            key,
            call,
            self.max_response_bytes,
            Turns {
                large: &self.large,
                decoding: self.transport.decoding(),
            },
        )
        .instrument(span!("verify"))
        .await?;
        if let Some(room) = &mut room {
            room.grow(verdict.answer.len().saturating_sub(size))?; // undone, an encoded answer is larger than what came
        }
        let receipt = match call.wants_receipt {
            true => self.receipt(sent_receipt.as_ref(), &request, &response, &candidate),
            false => ReceiptOutcome::NotAsked,
        };
        let fault = verdict.failed.then(|| Fault::Backend {
            status: verdict.status,
            retry_after: verdict.retry_after,
            text: beginning(&verdict.answer),
        });
        let reply = Reply {
            answer: verdict.answer,
            room,
            stream: None,
            backend_status: verdict.status,
            headers: verdict.headers,
            retry_after: verdict.retry_after,
            relay_hash: MinedRelay::new(&request, &response).hash,
            payload_hashed: !response.payload_hash.is_empty(),
            receipt,
            candidate,
            failed: Vec::new(),
            is_fallback: false,
        };
        Ok((reply, fault))
    }

    /// What came of asking for a receipt.
    fn receipt(
        &self,
        sent: Option<&HeaderValue>,
        request: &RelayRequest,
        response: &RelayResponse,
        candidate: &Candidate,
    ) -> ReceiptOutcome {
        let supplier = candidate.supplier();
        let sent = sent.map(HeaderValue::as_bytes);
        let outcome = ReceiptOutcome::of(sent, request, response, supplier.public_key);
        if outcome == ReceiptOutcome::Invalid {
            debug!(supplier = %supplier.operator, "the receipt does not verify");
        }
        self.metrics.receipt(&outcome);
        outcome
    }

    /// Sends `request` and waits for the first message, until the attempt's or the call's time is over.
    async fn first_message<E>(
        &self,
        candidate: &Candidate,
        request: Vec<u8>,
        call: &Call<E>,
    ) -> Result<Received, Fault> {
        let begun = Instant::now();
        let until = call.deadline.min(begun + self.attempt_timeout);
        let wanted = Wanted {
            receipt: call.wants_receipt,
            stream: call.takes_stream,
        };
        let told = match self.propagates {
            true => call.origin.headers(),
            false => HeaderMap::new(),
        };
        let message = async {
            let mut exchange = self
                .transport
                .open(candidate, request, &call.budgets, wanted, told)
                .await?;
            exchange.next().await.unwrap_or(Err(Fault::Undecodable))
        };
        timeout_at(until, message).await.unwrap_or_else(|_| {
            let ms = until.saturating_duration_since(begun).as_millis();
            Err(Fault::Timeout(u64::try_from(ms).unwrap_or(u64::MAX)))
        })
    }

    /// The signed relay request, by a signature made ahead if there is one. Signing runs where the call runs: it takes less than the hop
    /// to another thread and back.
    fn sign(
        &self,
        candidate: &Candidate,
        signer: &Signer,
        payload: Bytes,
        rng: &mut StdRng,
    ) -> Result<RelayRequest, RelayError> {
        let (session, supplier) = (&candidate.session, &candidate.supplier().operator_text);
        let ready = self.ahead.then(|| signer.presigner.take(&session.ring)).flatten();
        let prepare = || session.ring.prepare(signer.key.ring_signer()?, rng);
        let prepared = ready.map_or_else(prepare, Ok);
        let prepared = prepared.map_err(|error| RelayError::Sign(error.into()))?;
        if self.ahead {
            signer.presigner.refill(&signer.key, || self.draw());
        }
        sign_prepared(&session.header, supplier, payload, prepared).map_err(RelayError::Sign)
    }

    /// A generator of this call's own, so that calls do not wait for each other's signatures.
    fn draw(&self) -> StdRng {
        StdRng::from_rng(&mut *self.chance.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reputation(&self) -> MutexGuard<'_, Reputation> {
        self.reputation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one of these tries may have been carried out by its backend.
fn carried_out(failed: &[Failed]) -> bool {
    failed
        .iter()
        .any(|failed| failed.fault.may_have_been_carried_out())
}

/// Indices of the applications that may pay: all, or the one that the caller wants.
fn applications(signers: &[Signer], choice: Option<&Choice>) -> VecDeque<usize> {
    let wanted = choice.and_then(|choice| choice.application);
    let may_pay = |signer: &Signer| wanted.is_none_or(|wanted| wanted == signer.application);
    let indexed = signers.iter().enumerate();
    indexed
        .filter(|(_, signer)| may_pay(signer))
        .map(|(index, _)| index)
        .collect()
}
