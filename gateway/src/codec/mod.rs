//! Protocols that callers speak: what they call, and what counts as an answer to it.
//!
//! `detect` tells which one a request speaks, `jsonrpc` is JSON-RPC (of any service, and of CometBFT by POST), `http` is everything that is a
//! request and a response: REST, and CometBFT by URI.

pub(crate) mod comet_bft;
pub(crate) mod detect;
pub(crate) mod http;
pub(crate) mod jsonrpc;
mod response;

use std::collections::BTreeMap;

use bytes::Bytes;
use portico_protocol::wire::sdk::types::Header;

use crate::core::call::Call;
use crate::core::fault::Fault;

/// One protocol; a value without state.
pub(crate) trait Codec: Copy + Send + 'static {
    /// What must be known of a call to judge an answer to it.
    type Expected: Clone + Send + Sync + 'static;

    /// Takes the backend's answer out of a verified payload, if it is one to `call`. An answer that is larger than `max_bytes`, once its
    /// content encoding is undone, is [`Fault::TooLarge`].
    fn judge(self, call: &Call<Self::Expected>, payload: Bytes, max_bytes: usize) -> Result<Verdict, Fault>;

    /// What the caller asks for, without the parameters: calls that agree in it are expected to have answers of like size.
    fn method(self, call: &Call<Self::Expected>) -> &[u8] {
        let path = call.request.path.split('?').next().unwrap_or_default();
        path.as_bytes()
    }

    /// What to say instead of `answer`, if the backend has carried out an earlier try of `call` and therefore refuses this one.
    fn repeated(self, _call: &Call<Self::Expected>, _answer: &Bytes) -> Option<Repeated> {
        None
    }
}

/// The answer to a call that was carried out by an earlier try, as it seems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    /// What the caller gets.
    pub(crate) answer: Bytes,
    /// The JSON-RPC request whose answer tells whether it was; `None` if that is certain.
    pub(crate) question: Option<Bytes>,
}

/// A backend's answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// HTTP status that the backend gave.
    pub(crate) status: u32,
    /// What the caller gets; empty if it wants no answer.
    pub(crate) answer: Bytes,
    /// Headers that the backend gave, where the caller's protocol has a place for them. Which of them are passed on is the front's to say.
    pub(crate) headers: BTreeMap<String, Header>,
    /// Seconds after which the backend wants to be asked again.
    pub(crate) retry_after: Option<u32>,
    /// Whether the backend had no capacity for the call, although it said so in the caller's protocol: another supplier may do better.
    pub(crate) failed: bool,
}
