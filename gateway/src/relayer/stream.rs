//! Answers that come piece by piece: the first message is judged as any answer, the rest is passed on as it comes.

use portico_protocol::relay::MinedRelay;
use portico_protocol::wire::pocket::service::RelayRequest;
use prost::Message as _;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::Relayer;
use crate::codec::Codec;
use crate::core::attempt::Reply;
use crate::core::call::Call;
use crate::core::candidate::Candidate;
use crate::core::fault::{Fault, beginning};
use crate::supplier::stream::{Opened, SupplierStream};

impl Relayer {
    /// The beginning of a stream. Until its first message has come, and is one that may be shown, another supplier can be tried.
    pub(super) async fn streamed<C: Codec>(
        &self,
        codec: C,
        opened: Opened,
        candidate: Candidate,
        request: &RelayRequest,
        call: &Call<C::Expected>,
    ) -> Result<(Reply, Option<Fault>), Fault> {
        let begun = Instant::now();
        let mut stream = SupplierStream::new(
            opened,
            candidate.clone(),
            request,
            call.budgets.clone(),
            self.stream_bounds,
        );
        let head = timeout_at(call.deadline, stream.head()).await;
        let late = |_| Fault::Timeout(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        let (response, http) = head.map_err(late)??;
        let verdict = codec.judge(call, http.encode_to_vec().into(), self.max_response_bytes)?;
        let receipt = match call.wants_receipt {
            true => self.receipt(None, request, &response, &candidate),
            false => crate::core::receipt::ReceiptOutcome::NotAsked,
        };
        let fault = verdict.failed.then(|| Fault::Backend {
            status: verdict.status,
            retry_after: verdict.retry_after,
            text: beginning(&verdict.answer),
        });
        let reply = Reply {
            answer: verdict.answer,
            room: None,
            stream: Some(Box::new(stream)),
            backend_status: verdict.status,
            headers: verdict.headers,
            retry_after: verdict.retry_after,
            relay_hash: MinedRelay::new(request, &response).hash,
            payload_hashed: !response.payload_hash.is_empty(),
            receipt,
            candidate,
            failed: Vec::new(),
            is_fallback: false,
        };
        Ok((reply, fault))
    }

    /// A stream ended without having ended.
    pub(crate) fn stream_failed(&self, candidate: &Candidate, fault: &Fault) {
        let (session, supplier) = (&candidate.session, candidate.supplier().operator);
        debug!(%supplier, cause = fault.cause(), fault = fault.unquoted(), session = session.id(), "stream cut off");
        self.metrics.failed(fault);
        self.reputation()
            .blame(session, &supplier, self.sessions.height(), fault);
    }
}
