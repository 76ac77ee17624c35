//! One relay, from bytes to bytes. Start reading here.

use std::sync::Arc;

use bytes::Bytes;
use portico_client::Chain;
use portico_config::servicer::Durability;
use portico_protocol::difficulty;
use portico_protocol::relay::{MinedRelay, RelayError, sign_response};
use portico_protocol::wire::pocket::service::RelayResponse;
use tokio::time::Instant;

use crate::backend::http::Answer;
use crate::buffers::Buffers;
use crate::leaf_log::LeafLog;
use crate::metrics::Metrics;
use crate::relay::recorder::{Appended, Slot, Writer};
use crate::relay::refusal::{Refusal, Refused};
use crate::relay::verify::{self, Request, Verifier};
use crate::session::lookup::{SessionInfo, SessionSupplier, Sessions};
use crate::session::meter::Reservation;
use crate::session::tree::{InFlight, SessionTree, SessionTrees, count};

/// What the hot path works with.
pub(crate) struct Relays {
    pub(crate) verifier: Verifier,
    pub(crate) sessions: Arc<Sessions<dyn Chain>>,
    pub(crate) trees: Arc<SessionTrees>,
    pub(crate) log: Arc<dyn LeafLog>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) client: reqwest::Client,
    pub(crate) buffers: Buffers,
    pub(crate) metrics: Arc<Metrics>,
    /// Answer applications whose budget is used up, for nothing.
    pub(crate) over_servicing: bool,
}

impl Relays {
    /// Serves one relay request. `rpc_type` is the value of its `Rpc-Type` header.
    pub(crate) async fn serve(&self, body: Bytes, rpc_type: Option<&str>) -> Result<RelayResponse, Refused> {
        let bytes = body.len();
        let request = verify::decode(body)?;
        let header = request.meta.as_ref().and_then(|meta| meta.session_header.clone());
        let outcome = async {
            let request = self.verifier.accept(request, bytes, rpc_type)?;
            self.answer(&request).await
        };
        outcome.await.map_err(|refusal| Refused { header, refusal })
    }

    /// Every check is made before the backend is asked; the answer leaves after its leaf is on disk.
    async fn answer(&self, request: &Request) -> Result<RelayResponse, Refusal> {
        let started = Instant::now();
        let (meta, header) = verify::parts(&request.relay)?;
        let session = self
            .sessions
            .find(header, request.application, &request.service_id)
            .await?;
        let supplier = session.supplier(&request.supplier)?;
        let slot = self.writer.slot().ok_or(Refusal::Overloaded("leaf writer"))?;
        let budget = self.reserve(supplier)?;
        self.check_signature(request, &session).await?;
        let tree = session
            .tree(request.supplier, supplier, &self.trees, &self.log)
            .await?;
        let place = tree.enter().ok_or(Refusal::Sealed)?;
        count(&tree.counts.validated);

        let asked = Instant::now();
        let rpc_type = request.rpc_type;
        let backend = &request.service.backend;
        let answer = backend
            .ask(
                &self.client,
                rpc_type,
                meta,
                &request.relay.payload,
                &self.buffers,
            )
            .await?;
        self.metrics.backend(asked.elapsed());

        let response = sign_response(header, answer.payload.clone(), &request.key);
        let paid = self.paid(&session, &answer, request, &response, budget);
        match paid {
            Ok((relay, budget)) => self.record(request, &tree, slot, relay, budget, place).await?,
            Err(reason) => self.unpaid(&tree, reason),
        }
        count(&tree.counts.served);
        self.metrics.served(started.elapsed());
        Ok(response)
    }

    /// The ring signature, with a second look at who may sign when a stranger did.
    async fn check_signature(&self, request: &Request, session: &SessionInfo) -> Result<(), Refusal> {
        let outcome = self.verifier.check_signature(request, session.ring()).await;
        if !matches!(outcome, Err(Refusal::Signature(RelayError::ForeignRingKey(_)))) {
            return outcome;
        }
        match self.sessions.renewed_ring(session).await {
            Some(ring) => self.verifier.check_signature(request, ring).await,
            None => outcome,
        }
    }

    /// A place in the session's budget; `None` beyond it when the operator chose to serve anyway.
    fn reserve(&self, supplier: &SessionSupplier) -> Result<Option<Reservation>, Refusal> {
        match supplier.meter.reserve() {
            None if !self.over_servicing => Err(Refusal::OverServiced),
            place => Ok(place),
        }
    }

    /// The relay to record, or why it earns nothing.
    fn paid(
        &self,
        session: &SessionInfo,
        answer: &Answer,
        request: &Request,
        response: &RelayResponse,
        budget: Option<Reservation>,
    ) -> Result<(MinedRelay, Reservation), &'static str> {
        if answer.status >= 500 {
            return Err("backend_error");
        }
        let budget = budget.ok_or("over_serviced")?;
        let relay = MinedRelay::new(&request.relay, response);
        if difficulty::is_applicable(&relay.hash, &session.target_hash) {
            Ok((relay, budget))
        } else {
            Err("difficulty")
        }
    }

    /// Hands the relay to the writer and, unless the service is `bounded`, waits until it is on disk.
    async fn record(
        &self,
        request: &Request,
        tree: &Arc<SessionTree>,
        slot: Slot,
        relay: MinedRelay,
        budget: Reservation,
        place: InFlight,
    ) -> Result<(), Refusal> {
        count(&tree.counts.applicable);
        let written = slot.append(Arc::clone(tree), relay, budget, place);
        if request.service.durability == Durability::Bounded {
            return Ok(());
        }
        match written.await.map_err(|_| Refusal::Stopping)?? {
            Appended::Leaf => {}
            Appended::Duplicate => self.unpaid(tree, "duplicate"),
        }
        Ok(())
    }

    fn unpaid(&self, tree: &SessionTree, reason: &'static str) {
        count(&tree.counts.unpaid);
        self.metrics.unpaid(reason);
    }
}
