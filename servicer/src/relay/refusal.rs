//! Refusals and how they are answered: the one place that knows codes.
//!
//! Gateways of the network read failures from the body of an HTTP 200: an unsigned `RelayResponse` with a `relay_miner_error` of the
//! code space and number that the network's relay miner uses. Only overload changes the outer status, to 503 with `Retry-After`, which
//! any HTTP client and load balancer understands; the body is the same.

use http::StatusCode;
use portico_protocol::ServiceId;
use portico_protocol::relay::RelayError;
use portico_protocol::wire::pocket::service::{RelayMinerError, RelayResponse, RelayResponseMetadata};
use portico_protocol::wire::pocket::session::SessionHeader;

use crate::backend::BackendError;
use crate::leaf_log::LeafLogError;
use crate::relay::writer::AppendError;
use crate::session::lookup::SessionError;

/// Code space of the relay miner's proxy.
const PROXY: &str = "relayer_proxy";
/// Code space of its authenticator.
const AUTHENTICATOR: &str = "relay_authenticator";
/// Code space of the on-chain service module.
const SERVICE: &str = "service";
/// Code space of ring signatures.
const RINGS: &str = "rings";

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
    /// A field is missing or malformed.
    #[error("{0}")]
    Basic(String),
    /// The supplier is not one of ours.
    #[error("supplier {0:?} is not served here")]
    ForeignSupplier(String),
    /// The service is not configured.
    #[error("service {0} is not configured")]
    UnknownService(ServiceId),
    /// `Rpc-Type` asks for a transport that is not served.
    #[error("WebSocket relays are not served")]
    Transport,
    /// `Rpc-Type` is neither a number nor a known name.
    #[error("the Rpc-Type header is malformed")]
    RpcType,
    /// There is no session to serve in.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The application's budget for this session and supplier is used up.
    #[error("the application's budget for this session is used up")]
    OverServiced,
    /// The ring signature does not hold.
    #[error("{0}")]
    Signature(RelayError),
    /// The session was sealed while the relay was in progress.
    #[error("the session was sealed while the relay was in progress")]
    Sealed,
    /// The backend gave no answer.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The relay could not be recorded.
    #[error("the relay could not be recorded")]
    Recording,
}

/// A refusal with the request's session header, as far as it is known.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) header: Option<SessionHeader>,
    pub(crate) refusal: Refusal,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            header: None,
            refusal,
        }
    }
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

/// How a refusal is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) status: StatusCode,
    pub(crate) codespace: &'static str,
    pub(crate) code: u32,
    pub(crate) description: &'static str,
}

impl Refusal {
    /// Status, code space, number and registered text of this refusal; nothing else in the crate chooses them.
    pub(crate) const fn code(&self) -> Code {
        let ok = StatusCode::OK;
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        let (status, codespace, code, description) = match self {
            Self::Overloaded(_)
            | Self::Stopping
            | Self::Session(SessionError::TooMany)
            | Self::Backend(BackendError::NoRoom) => (busy, PROXY, 5, "internal error"),
            Self::Body | Self::RpcType | Self::Recording => (ok, PROXY, 5, "internal error"),
            Self::Session(SessionError::Chain(_)) => (ok, PROXY, 5, "internal error"),
            Self::RequestTooLarge(_) => (ok, PROXY, 13, "request limit exceeded"),
            Self::Decode(_) => (ok, PROXY, 14, "failed to unmarshal relay request"),
            Self::Basic(_) => (ok, SERVICE, 1111, "invalid relay request"),
            Self::ForeignSupplier(_) => (ok, PROXY, 9, "supplier is not reachable"),
            Self::UnknownService(_) => (ok, PROXY, 3, "service endpoint not handled by relayer proxy"),
            Self::Transport => (ok, PROXY, 4, "unsupported proxy transport type"),
            Self::Session(SessionError::Supplier(_)) => {
                (ok, AUTHENTICATOR, 2, "supplier does not belong to session")
            }
            Self::Session(_) | Self::Sealed => (ok, AUTHENTICATOR, 1, "invalid session in relayer request"),
            Self::OverServiced => (ok, PROXY, 7, "offchain rate limit hit by relayer proxy"),
            Self::Signature(_) => (ok, RINGS, 3, "invalid relay request signature"),
            Self::Backend(BackendError::Timeout(_)) => (ok, PROXY, 10, "request to the backend timed out"),
            Self::Backend(BackendError::TooLarge(_)) => (ok, PROXY, 12, "response limit exceeded"),
            Self::Backend(_) => (ok, PROXY, 5, "internal error"),
        };
        Code {
            status,
            codespace,
            code,
            description,
        }
    }

    /// Name of the refusal in metrics.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Overloaded(_) => "overloaded",
            Self::Stopping => "stopping",
            Self::Body => "unreadable_body",
            Self::RequestTooLarge(_) => "request_too_large",
            Self::Decode(_) => "undecodable",
            Self::Basic(_) => "malformed",
            Self::ForeignSupplier(_) => "foreign_supplier",
            Self::UnknownService(_) => "unknown_service",
            Self::Transport | Self::RpcType => "rpc_type",
            Self::Session(SessionError::NotActive { .. }) => "session_not_active",
            Self::Session(SessionError::Unknown(_)) => "session_unknown",
            Self::Session(SessionError::Header(_)) => "session_header",
            Self::Session(SessionError::Supplier(_)) => "supplier_not_in_session",
            Self::Session(SessionError::TooMany) => "too_many_sessions",
            Self::Session(SessionError::Chain(_)) => "chain_unavailable",
            Self::OverServiced => "over_serviced",
            Self::Signature(_) => "signature",
            Self::Sealed => "sealed",
            Self::Backend(BackendError::Payload(_)) => "payload",
            Self::Backend(BackendError::Unreachable(_)) => "backend_unreachable",
            Self::Backend(BackendError::Timeout(_)) => "backend_timeout",
            Self::Backend(BackendError::TooLarge(_)) => "response_too_large",
            Self::Backend(BackendError::NoRoom) => "response_no_room",
            Self::Backend(BackendError::NoMessage) => "backend_no_answer",
            Self::Recording => "recording_failed",
        }
    }
}

impl Refused {
    /// Outer status and body.
    pub(crate) fn answer(self) -> (StatusCode, RelayResponse) {
        let code = self.refusal.code();
        let message = format!("{}: {}", self.refusal, code.description);
        let error = RelayMinerError {
            codespace: code.codespace.to_owned(),
            code: code.code,
            description: code.description.to_owned(),
            message: message.clone(),
        };
        let meta = RelayResponseMetadata {
            session_header: self.header,
            ..RelayResponseMetadata::default()
        };
        let response = RelayResponse {
            meta: Some(meta),
            payload: message.into(),
            relay_miner_error: Some(error),
            ..RelayResponse::default()
        };
        (code.status, response)
    }
}

#[cfg(test)]
mod tests {
    use portico_client::ChainError;

    use super::*;

    fn every_refusal() -> Vec<Refusal> {
        let address = "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4".parse().unwrap();
        vec![
            Refusal::Overloaded("relays in progress"),
            Refusal::Stopping,
            Refusal::Body,
            Refusal::RequestTooLarge(10),
            Refusal::Decode("x".into()),
            Refusal::Basic("x".into()),
            Refusal::ForeignSupplier("x".into()),
            Refusal::UnknownService("eth".parse().unwrap()),
            Refusal::Transport,
            Refusal::RpcType,
            SessionError::NotActive {
                start: 1,
                end: 10,
                height: 12,
            }
            .into(),
            SessionError::Unknown(ChainError::NotFound("x".into())).into(),
            SessionError::Chain(ChainError::Unavailable("x".into())).into(),
            SessionError::Header("session_id").into(),
            SessionError::Supplier(address).into(),
            SessionError::TooMany.into(),
            Refusal::OverServiced,
            Refusal::Signature(RelayError::PayloadHash),
            Refusal::Sealed,
            BackendError::Payload("x".into()).into(),
            BackendError::Timeout(10).into(),
            BackendError::TooLarge(10).into(),
            BackendError::NoRoom.into(),
            BackendError::NoMessage.into(),
            Refusal::Recording,
        ]
    }

    /// Gateways act on these numbers: a change is a decision.
    #[test]
    fn the_table_of_refusals() {
        let line = |refusal: Refusal| {
            let (code, outcome) = (refusal.code(), refusal.outcome());
            format!(
                "{} {}/{} {outcome}",
                code.status.as_u16(),
                code.codespace,
                code.code
            )
        };
        let table: Vec<String> = every_refusal().into_iter().map(line).collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        503 relayer_proxy/5 overloaded
        503 relayer_proxy/5 stopping
        200 relayer_proxy/5 unreadable_body
        200 relayer_proxy/13 request_too_large
        200 relayer_proxy/14 undecodable
        200 service/1111 malformed
        200 relayer_proxy/9 foreign_supplier
        200 relayer_proxy/3 unknown_service
        200 relayer_proxy/4 rpc_type
        200 relayer_proxy/5 rpc_type
        200 relay_authenticator/1 session_not_active
        200 relay_authenticator/1 session_unknown
        200 relayer_proxy/5 chain_unavailable
        200 relay_authenticator/1 session_header
        200 relay_authenticator/2 supplier_not_in_session
        503 relayer_proxy/5 too_many_sessions
        200 relayer_proxy/7 over_serviced
        200 rings/3 signature
        200 relay_authenticator/1 sealed
        200 relayer_proxy/5 payload
        200 relayer_proxy/10 backend_timeout
        200 relayer_proxy/12 response_too_large
        503 relayer_proxy/5 response_no_room
        200 relayer_proxy/5 backend_no_answer
        200 relayer_proxy/5 recording_failed
        ");
    }

    #[test]
    fn a_refusal_carries_header_codes_and_text_unsigned() {
        let header = SessionHeader {
            session_id: "ab".into(),
            ..SessionHeader::default()
        };
        let refused = Refused {
            header: Some(header.clone()),
            refusal: Refusal::OverServiced,
        };
        let (status, response) = refused.answer();
        let error = response.relay_miner_error.unwrap();
        assert_eq!(
            (status, error.codespace.as_str(), error.code),
            (StatusCode::OK, "relayer_proxy", 7)
        );
        assert_eq!(error.message.as_bytes(), &response.payload[..]);
        let meta = response.meta.unwrap();
        assert_eq!(
            (meta.session_header, meta.supplier_operator_signature),
            (Some(header), Vec::new())
        );
    }
}
