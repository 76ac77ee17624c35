//! Answers of suppliers that come piece by piece: each message verified before its bytes go on.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use portico_net::budget::{Budgets, Room, holding};
use portico_protocol::wire::pocket::service::{RelayRequest, RelayResponse};
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use portico_relay::stream::{self, Framing, MAX_MESSAGE, Part, StreamFault, StreamReader};
use tokio::time::timeout;

use super::failed::fault;
use crate::core::candidate::Candidate;
use crate::core::fault::{Fault, shortened};

/// A supplier's answer that is a stream; nothing of it was read.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) framing: Framing,
    pub(crate) response: reqwest::Response,
}

impl Opened {
    /// How the messages of an answer stand in it; `None` of one that is no stream.
    pub(crate) fn framing(response: &reqwest::Response) -> Option<Framing> {
        let headers = response.headers();
        if !response.status().is_success() || headers.contains_key(CONTENT_ENCODING) {
            return None;
        }
        if headers
            .get(stream::HEADER)
            .is_some_and(|version| version == stream::VERSION)
        {
            return Some(Framing::Chained);
        }
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        content_type
            .is_some_and(stream::is_stream)
            .then_some(Framing::Delimited)
    }
}

/// A stream of verified bytes. Dropped, it ends the connection to the supplier.
pub(crate) struct SupplierStream {
    response: reqwest::Response,
    reader: StreamReader,
    /// Who sends it.
    pub(crate) candidate: Candidate,
    /// Longest wait for the next bytes.
    idle: Duration,
    /// Bytes that may still come.
    left: u64,
    max_bytes: u64,
    budgets: Budgets,
    /// For what was read and not told yet.
    room: Room,
    /// Told before anything else.
    first: Option<Bytes>,
    /// What the backend said behind its body, once the stream has ended.
    trailers: BTreeMap<String, Header>,
}

impl std::fmt::Debug for SupplierStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SupplierStream")
            .field("supplier", &self.candidate.supplier().operator)
            .finish_non_exhaustive()
    }
}

impl SupplierStream {
    /// Reads what `opened` says in answer to `request`: at most `max_bytes`, and never nothing for longer than `idle`.
    pub(crate) fn new(
        opened: Opened,
        candidate: Candidate,
        request: &RelayRequest,
        budgets: Budgets,
        (idle, max_bytes): (Duration, u64),
    ) -> Self {
        let signature = request.meta.as_ref().map(|meta| meta.signature.as_slice());
        let reader = StreamReader::new(
            opened.framing,
            candidate.session.header.clone(),
            signature.unwrap_or_default(),
            candidate.supplier().public_key,
        );
        Self {
            response: opened.response,
            reader,
            candidate,
            idle,
            left: max_bytes,
            max_bytes,
            room: budgets.room(),
            budgets,
            first: None,
            trailers: BTreeMap::new(),
        }
    }

    /// What the backend said behind its body; nothing before the end.
    pub(crate) const fn trailers(&self) -> &BTreeMap<String, Header> {
        &self.trailers
    }

    /// The first message: status, headers, and the first bytes, which are told again by [`Self::next`]. The caller bounds the time.
    pub(crate) async fn head(&mut self) -> Result<(RelayResponse, PokthttpResponse), Fault> {
        let Some(Part::Head { response, mut http }) = self.part().await? else {
            return Err(Fault::Undecodable); // a reader begins with a head
        };
        let first = std::mem::take(&mut http.body_bz);
        self.first = Some(self.held(first)?).filter(|first| !first.is_empty());
        // The framing of the Go miners leaves it to HTTP.
        if http.header.is_empty()
            && let Some(value) = self.response.headers().get(CONTENT_TYPE)
        {
            let key = "Content-Type".to_owned();
            let values = vec![String::from_utf8_lossy(value.as_bytes()).into_owned()];
            http.header.insert(key.clone(), Header { key, values });
        }
        Ok((*response, http))
    }

    /// The next bytes; `None` when the stream has ended as its supplier says.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        match timeout(self.idle, self.part()).await {
            Ok(Ok(Some(Part::Data(data)))) => self.held(data).map(Some),
            Ok(Ok(Some(Part::End { trailers }))) => {
                self.trailers = trailers;
                Ok(None)
            }
            Ok(Ok(Some(Part::Head { .. }) | None)) => Err(Fault::Undecodable), // a reader has one head
            Ok(Err(fault)) => Err(fault),
            Err(_) => Err(Fault::Timeout(
                u64::try_from(self.idle.as_millis()).unwrap_or(u64::MAX),
            )),
        }
    }

    async fn part(&mut self) -> Result<Option<Part>, Fault> {
        loop {
            match self.reader.part() {
                Ok(Some(part)) => return Ok(Some(part)),
                Ok(None) => {}
                Err(fault) => return Err(fault.into()),
            }
            match self.response.chunk().await.map_err(|error| fault(&error))? {
                Some(chunk) => {
                    self.room.grow(chunk.len())?;
                    self.reader.push(&chunk);
                }
                None => self.reader.close(),
            }
        }
    }

    /// Bytes that hold what they take of the budgets; what waits for the rest of its message is in a new room.
    fn held(&mut self, data: Bytes) -> Result<Bytes, Fault> {
        let left = self.left.checked_sub(data.len() as u64);
        self.left =
            left.ok_or_else(|| Fault::TooLarge(usize::try_from(self.max_bytes).unwrap_or(usize::MAX)))?;
        let mut room = self.budgets.room();
        room.grow(self.reader.buffered())?;
        let room = std::mem::replace(&mut self.room, room);
        Ok(holding(data, vec![room]))
    }
}

impl From<StreamFault> for Fault {
    fn from(fault: StreamFault) -> Self {
        match fault {
            StreamFault::Message(fault) => fault.into(),
            StreamFault::TooLarge => Self::TooLarge(MAX_MESSAGE),
            StreamFault::OutOfPlace(why) => Self::BadPayload {
                why,
                status: 0,
                text: String::new(),
            },
            StreamFault::Truncated => Self::Lost(fault.to_string()),
            StreamFault::Cut(reason) if matches!(&*reason, "session_over" | "stopping") => {
                Self::Session(shortened(&reason))
            }
            // Its backend's doing, mostly: it lowers no supplier's score.
            StreamFault::Cut(reason) => Self::Miner {
                codespace: "stream".to_owned(),
                code: 0,
                text: shortened(&reason),
            },
        }
    }
}
