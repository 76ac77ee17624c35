//! What can be wrong with one supplier's answer, and who pays for it in reputation.

use portico_net::budget::Full;
use portico_protocol::relay::RelayError as ProtocolError;
use portico_protocol::wire::pocket::service::RelayMinerError;
use portico_relay::{MessageFault, RefusalKind};

/// Longest text of a supplier that is kept, in characters.
const MAX_TEXT: usize = 200;
/// Bytes of a body that are looked at for its beginning: as many as the longest text may take.
const MAX_TEXT_BYTES: usize = 4 * MAX_TEXT;

/// Why a supplier's answer to one relay was not used. All of these let the next supplier try.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// No connection: refused, unknown host, not http.
    #[error("cannot be connected: {0}")]
    Connect(String),
    /// The connection broke before the answer was complete.
    #[error("connection lost: {0}")]
    Lost(String),
    /// No answer in time.
    #[error("no answer within {0} ms")]
    Timeout(u64),
    /// An HTTP error instead of a relay response.
    #[error("HTTP status {status}: {text}")]
    Http {
        /// HTTP status.
        status: u16,
        /// Its text.
        text: String,
    },
    /// HTTP success with something that is no relay response.
    #[error("the body is not a relay response")]
    Undecodable,
    /// The answer is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The backend's answer is larger than the supplier takes.
    #[error("the answer is larger than the supplier takes: {0}")]
    TooLargeThere(String),
    /// The answers of a batch are larger together than allowed.
    #[error("the answers of the batch are larger than {0} bytes")]
    BatchTooLarge(usize),
    /// As many bytes of answers are held as allowed.
    #[error("too many bytes of answers are held")]
    NoRoom,
    /// The supplier does not serve more relays of this application in this session.
    #[error("over-serviced: {0}")]
    OverServiced(String),
    /// The supplier sees another session than we do: its chain is a block ahead or behind.
    #[error("session refused: {0}")]
    Session(String),
    /// Any other unsigned error of the supplier.
    #[error("relay miner error {codespace}/{code}: {text}")]
    Miner {
        /// Module of the code.
        codespace: String,
        /// Code within it.
        code: u32,
        /// Its text.
        text: String,
    },
    /// The response does not verify: signature, payload hash, header or shape.
    #[error(transparent)]
    Unverified(ProtocolError),
    /// The verified payload is not an answer to the call.
    #[error("bad payload: {why} (HTTP status {status}){}", quoted(.text))]
    BadPayload {
        /// What is wrong with it.
        why: &'static str,
        /// HTTP status of the backend.
        status: u32,
        /// Its beginning.
        text: String,
    },
    /// The backend failed.
    #[error("the backend answered with HTTP status {status}{}", quoted(.text))]
    Backend {
        /// HTTP status of the backend.
        status: u32,
        /// Seconds after which the backend wants to be asked again.
        retry_after: Option<u32>,
        /// The beginning of what it said.
        text: String,
    },
}

/// What a fault says about all suppliers together, when each attempt ended alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OverServiced,
    Unverified,
    BadPayload,
    Other,
}

impl Fault {
    /// Short name for metrics, logs and `data.attempts`.
    pub(crate) const fn cause(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Lost(_) => "connection_lost",
            Self::Timeout(_) => "timeout",
            Self::Http { .. } => "http_status",
            Self::Undecodable => "undecodable",
            Self::TooLarge(_) | Self::TooLargeThere(_) | Self::BatchTooLarge(_) => "response_too_large",
            Self::NoRoom => "overloaded",
            Self::OverServiced(_) => "over_serviced",
            Self::Session(_) => "session",
            Self::Miner { .. } => "miner_error",
            Self::Unverified(ProtocolError::PayloadHash) => "payload_hash",
            Self::Unverified(ProtocolError::HeaderMismatch(_)) => "session_header",
            Self::Unverified(_) => "signature",
            Self::BadPayload { .. } => "bad_payload",
            Self::Backend { .. } => "backend",
        }
    }

    /// The fault for logs: without what a backend said, which may repeat what it was asked.
    pub(crate) fn unquoted(&self) -> String {
        match self {
            Self::BadPayload { why, status, .. } => format!("bad payload: {why} (HTTP status {status})"),
            Self::Backend { status, .. } => format!("the backend answered with HTTP status {status}"),
            other => other.to_string(),
        }
    }

    /// Whether a backend may have carried the call out, although no answer to it came.
    pub(crate) const fn may_have_been_carried_out(&self) -> bool {
        !matches!(self, Self::Connect(_) | Self::OverServiced(_) | Self::Session(_))
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::OverServiced(_) => Kind::OverServiced,
            Self::Unverified(_) => Kind::Unverified,
            Self::BadPayload { .. } => Kind::BadPayload,
            _ => Kind::Other,
        }
    }

    /// Whether no other supplier can do better: its answer is as large.
    pub(crate) const fn settles(&self) -> bool {
        matches!(
            self,
            Self::TooLarge(_) | Self::TooLargeThere(_) | Self::BatchTooLarge(_) | Self::NoRoom
        )
    }

    /// Seconds after which the backend wants to be asked again, if it said so.
    pub(crate) const fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Backend { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Sorts an error in the form of the reference relay miner.
    fn miner(error: &RelayMinerError) -> Self {
        let text = shortened(&error.message);
        match RefusalKind::of_miner_error(&error.codespace, error.code) {
            RefusalKind::OverServiced => Self::OverServiced(text),
            RefusalKind::Session => Self::Session(text),
            RefusalKind::ResponseTooLarge => Self::TooLargeThere(text),
            RefusalKind::Other => Self::Miner {
                codespace: shortened(&error.codespace),
                code: error.code,
                text,
            },
        }
    }

    /// Sorts an HTTP error of a supplier.
    pub(crate) fn http(status: u16, text: &str) -> Self {
        let kind = RefusalKind::of_http(status, text);
        let text = shortened(text);
        match kind {
            RefusalKind::OverServiced => Self::OverServiced(text),
            RefusalKind::Session => Self::Session(text),
            RefusalKind::ResponseTooLarge => Self::TooLargeThere(text),
            RefusalKind::Other => Self::Http { status, text },
        }
    }
}

impl From<Full> for Fault {
    fn from(full: Full) -> Self {
        match full {
            Full::Batch(limit) => Self::BatchTooLarge(limit),
            Full::Client | Full::All => Self::NoRoom,
        }
    }
}

impl From<MessageFault> for Fault {
    fn from(fault: MessageFault) -> Self {
        match fault {
            MessageFault::Undecodable => Self::Undecodable,
            MessageFault::Refused(error) => Self::miner(&error),
            MessageFault::Unverified(error) => Self::Unverified(error),
        }
    }
}

/// A supplier's text, short enough for a log line and without control characters.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}

/// The beginning of a body, as [`shortened`] text.
pub(crate) fn beginning(body: &[u8]) -> String {
    let beginning = body.get(..MAX_TEXT_BYTES).unwrap_or(body);
    shortened(String::from_utf8_lossy(beginning).trim())
}

fn quoted(text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!(": {text}"),
    }
}
