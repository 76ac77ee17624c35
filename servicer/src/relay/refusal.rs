//! What is wrong with a relay request, and how the servicer says so: by a status and `{"error": "…"}`, as the HA relay miner does.
//!
//! Statuses, codes and texts are rows of [`portico_relay::refusal`]. A client is told what it can mend; what the chain or a backend said goes
//! to the log only, as it may name hosts of the operator's network.

use http::StatusCode;
use portico_net::websocket::Close;
use portico_protocol::relay::RelayError;
use portico_protocol::{Address, ServiceId};
use portico_relay::refusal::Reason;

use crate::backend::BackendError;
use crate::leaf_log::LeafLogError;
use crate::relay::writer::AppendError;
use crate::session::error::SessionError;

/// Blocks between a session's heights and the chain's beyond which nobody can mean it.
const MAX_DISTANCE: i64 = 10_000;
/// Longest detail that a client is told, in characters: parts of it come from requests.
const MAX_DETAIL: usize = 200;

/// Why a relay was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// A bound is reached; nothing was done yet.
    #[error("overloaded: {0}")]
    Overloaded(&'static str),
    /// The process is stopping.
    #[error("the servicer is stopping")]
    Stopping,
    /// The body could not be read in time.
    #[error("the request's body could not be read")]
    Body,
    /// The body exceeds the service's limit.
    #[error("the request is larger than {0} bytes")]
    RequestTooLarge(usize),
    /// The body is not a relay request.
    #[error("not a relay request: {0}")]
    Decode(String),
    /// Session header or supplier are missing.
    #[error("{0}")]
    Malformed(&'static str),
    /// A field that is signed does not hold by itself.
    #[error("{0}")]
    Invalid(String),
    /// The supplier is not one of ours.
    #[error("supplier {0:?} is not served here")]
    ForeignSupplier(String),
    /// The supplier is on its way out.
    #[error("supplier {0} takes no more relays")]
    Draining(Address),
    /// The service is not configured.
    #[error("service {0} is not configured")]
    UnknownService(ServiceId),
    /// `Rpc-Type` asks for a transport that is not served, or is neither a number nor a known name.
    #[error("Rpc-Type {0}")]
    RpcType(&'static str),
    /// There is no session to serve in.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The supplier earns nothing in this session any more: the alarm of its stake that says so.
    #[error("the supplier takes no relays of this session: {0}")]
    SupplierStopped(&'static str),
    /// The application's budget for this session and supplier is used up.
    #[error("the application's budget for this session is used up")]
    OverServiced,
    /// The ring signature does not hold.
    #[error("{0}")]
    Signature(RelayError),
    /// The very same request was served before, or is being served.
    #[error("the same request was sent before")]
    Replayed,
    /// The session was sealed while the relay was in progress.
    #[error("the session was sealed while the relay was in progress")]
    Sealed,
    /// The backend gave no answer.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The relay could not be recorded.
    #[error("the relay could not be recorded")]
    Recording,
    /// The disk takes no leaves; nothing was done yet.
    #[error("relays cannot be recorded now")]
    CannotRecord,
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Sealed => Self::Sealed,
            AppendError::Failed => Self::Recording,
        }
    }
}

impl From<LeafLogError> for Refusal {
    fn from(error: LeafLogError) -> Self {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a session could not be opened on disk"
        );
        Self::Recording
    }
}

/// A refusal as HTTP says it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HttpRefusal {
    pub(crate) status: StatusCode,
    /// Whether a moment later may be better.
    pub(crate) retry: bool,
    /// `{"error": "…"}`
    pub(crate) json: String,
}

impl Refusal {
    /// The row of this refusal in the table.
    pub(crate) const fn reason(&self) -> Reason {
        match self {
            Self::Overloaded(_) => Reason::Overloaded,
            Self::Stopping => Reason::Stopping,
            Self::Body => Reason::UnreadableBody,
            Self::RequestTooLarge(_) => Reason::RequestTooLarge,
            Self::Decode(_) => Reason::Undecodable,
            Self::Malformed(_) => Reason::Malformed,
            Self::Invalid(_) => Reason::Invalid,
            Self::ForeignSupplier(_) | Self::Draining(_) => Reason::ForeignSupplier,
            Self::UnknownService(_) => Reason::UnknownService,
            Self::RpcType(_) => Reason::RpcType,
            Self::Session(error) => session_reason(error),
            Self::SupplierStopped(_) => Reason::SupplierStopped,
            Self::OverServiced => Reason::OverServiced,
            Self::Signature(_) => Reason::Signature,
            Self::Replayed => Reason::Replayed,
            Self::Sealed => Reason::Sealed,
            Self::Backend(error) => backend_reason(error),
            Self::Recording => Reason::RecordingFailed,
            Self::CannotRecord => Reason::CannotRecord,
        }
    }

    /// What a client may know beyond the row's text.
    fn detail(&self) -> Option<String> {
        let detail = match self {
            Self::Session(SessionError::Unknown(_)) => "the chain has no such session".to_owned(),
            Self::Overloaded(_)
            | Self::RequestTooLarge(_)
            | Self::Malformed(_)
            | Self::Invalid(_)
            | Self::ForeignSupplier(_)
            | Self::Draining(_)
            | Self::UnknownService(_)
            | Self::RpcType(_)
            | Self::Session(
                SessionError::NotActive { .. } | SessionError::Header(_) | SessionError::Supplier(_),
            )
            | Self::SupplierStopped(_)
            | Self::Signature(_)
            | Self::Sealed
            | Self::Backend(_) => self.to_string(),
            Self::Stopping
            | Self::Body
            | Self::Decode(_)
            | Self::Session(SessionError::Chain(_) | SessionError::TooMany)
            | Self::OverServiced
            | Self::Replayed
            | Self::Recording
            | Self::CannotRecord => return None,
        };
        Some(detail.chars().take(MAX_DETAIL).collect())
    }

    /// Code and reason of the close that says so on a WebSocket.
    pub(crate) fn close(&self) -> Close {
        let row = self.reason().row();
        let reason = row.close_reason();
        match self.detail() {
            // Where the HA miner has words, they are left alone: gateways may compare them.
            Some(detail) if row.websocket < 4000 => Close::new(row.websocket, &format!("{reason}: {detail}")),
            _ => Close::new(row.websocket, reason),
        }
    }

    /// gRPC's status and text.
    pub(crate) fn grpc(&self) -> (u8, String) {
        (self.reason().row().grpc, self.text())
    }

    /// What a client is told.
    fn text(&self) -> String {
        let text = self.reason().row().text;
        match self.detail() {
            Some(detail) => format!("{text}: {detail}"),
            None => text.to_owned(),
        }
    }

    /// Status and body.
    pub(crate) fn http(&self) -> HttpRefusal {
        let row = self.reason().row();
        let text = self.text();
        HttpRefusal {
            status: StatusCode::from_u16(row.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            retry: row.retry,
            json: serde_json::json!({ "error": text }).to_string(),
        }
    }
}

const fn session_reason(error: &SessionError) -> Reason {
    match error {
        SessionError::NotActive { start, end, height } => {
            let far = start.abs_diff(*height) > MAX_DISTANCE.unsigned_abs()
                || end.abs_diff(*height) > MAX_DISTANCE.unsigned_abs();
            if far || *end < *start {
                Reason::ImplausibleHeights
            } else {
                Reason::SessionNotActive
            }
        }
        SessionError::Unknown(_) => Reason::SessionUnknown,
        SessionError::Header(_) => Reason::SessionHeader,
        SessionError::Supplier(_) => Reason::SupplierNotInSession,
        SessionError::TooMany => Reason::TooManySessions,
        SessionError::Chain(_) => Reason::ChainUnavailable,
    }
}

const fn backend_reason(error: &BackendError) -> Reason {
    match error {
        BackendError::Payload(_) => Reason::Payload,
        BackendError::Full(_) => Reason::Overloaded,
        BackendError::NotServed(_) => Reason::RpcType,
        BackendError::NoNode => Reason::BackendUnhealthy,
        BackendError::Unreachable(_) | BackendError::Handshake(_) => Reason::BackendUnreachable,
        BackendError::Timeout(_) => Reason::BackendTimeout,
        BackendError::NoMessage => Reason::BackendNoAnswer,
        BackendError::Encoding => Reason::BackendEncoding,
        BackendError::TooLarge(_) => Reason::ResponseTooLarge,
        BackendError::NoRoom => Reason::ResponseNoRoom,
    }
}

#[cfg(test)]
mod tests {
    use portico_client::ChainError;

    use super::*;

    #[test]
    fn a_refusal_is_a_status_and_json() {
        let refusal = Refusal::UnknownService("eth".parse().unwrap()).http();
        assert_eq!((refusal.status.as_u16(), refusal.retry), (404, false));
        assert_eq!(
            refusal.json,
            r#"{"error":"unknown service: service eth is not configured"}"#
        );
        let busy = Refusal::Overloaded("leaf writer").http();
        assert_eq!((busy.status.as_u16(), busy.retry), (503, true));
    }

    #[test]
    fn tells_nothing_that_a_chain_or_backend_said() {
        let said = || "http://10.0.0.7:9090/?key=k".to_owned();
        for refusal in [
            Refusal::Session(SessionError::Unknown(ChainError::NotFound(said()))),
            Refusal::Session(SessionError::Chain(ChainError::Unavailable(said()))),
            LeafLogError::Io(std::io::Error::other(said())).into(),
        ] {
            let json = refusal.http().json;
            assert!(!json.contains("10.0.0.7"), "{json}");
        }
    }

    #[test]
    fn does_not_repeat_what_a_request_makes_up_at_length() {
        let refusal = Refusal::ForeignSupplier("x".repeat(1_000_000)).http();
        assert!(refusal.json.len() < 400, "{}", refusal.json.len());
    }

    #[test]
    fn heights_that_nobody_can_mean_are_malformed() {
        let at = |start, end| {
            Refusal::Session(SessionError::NotActive {
                start,
                end,
                height: 100,
            })
            .reason()
        };
        assert_eq!(at(61, 90), Reason::SessionNotActive);
        assert_eq!(at(121, 61), Reason::ImplausibleHeights);
        assert_eq!(at(20_101, 20_160), Reason::ImplausibleHeights);
    }
}
