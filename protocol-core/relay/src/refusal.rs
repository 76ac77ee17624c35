//! Refusals: why a servicer does not serve a relay, and how that is said on each transport.
//!
//! One table for all transports, so that they cannot drift apart. The HTTP statuses, gRPC statuses and close codes are those of the HA relay
//! miner where it has one, because gateways of the network act on them. None of our refusals is an HTTP 200: PATH takes an unsigned relay
//! response for a bad signature and leaves the supplier alone for the rest of the session, while any other status makes it try elsewhere.
//!
//! A new refusal is a variant of [`Reason`] with a line in [`Reason::row`]; the snapshot test prints the table.

/// Why a relay is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// As many relays, bytes or queued leaves as allowed.
    Overloaded,
    /// The process is stopping.
    Stopping,
    /// The body did not arrive whole in time.
    UnreadableBody,
    /// The request is larger than its service takes.
    RequestTooLarge,
    /// The bytes are no relay request.
    Undecodable,
    /// Session header or supplier are missing.
    Malformed,
    /// The heights of the session are nowhere near the chain's.
    ImplausibleHeights,
    /// A field that is signed does not hold by itself: no signature, no session id.
    Invalid,
    /// The supplier is none of this process's.
    ForeignSupplier,
    /// The service is not configured.
    UnknownService,
    /// No backend for the RPC type, or no such type.
    RpcType,
    /// The session is over or has not begun.
    SessionNotActive,
    /// The chain has no such session.
    SessionUnknown,
    /// The session header differs from the chain's.
    SessionHeader,
    /// The supplier is not in the session.
    SupplierNotInSession,
    /// The supplier is leaving, or its stake is too low: it takes no relays of the session any more.
    SupplierStopped,
    /// As many unknown sessions are asked for, or known ones held, as allowed.
    TooManySessions,
    /// The chain cannot be asked.
    ChainUnavailable,
    /// Nothing can be recorded now, such as on a full disk; no backend is asked.
    CannotRecord,
    /// The application's budget for this session and supplier is used up.
    OverServiced,
    /// The ring signature does not hold.
    Signature,
    /// The very same request was served before, or is being served.
    Replayed,
    /// The session was closed while the relay was in progress.
    Sealed,
    /// The payload is not what its transport carries.
    Payload,
    /// None of the backend's nodes is healthy; none was asked.
    BackendUnhealthy,
    /// The backend cannot be reached.
    BackendUnreachable,
    /// The backend took too long.
    BackendTimeout,
    /// The backend ended without an answer.
    BackendNoAnswer,
    /// The backend's answer cannot be decoded.
    BackendEncoding,
    /// The backend's answer is larger than its service allows.
    ResponseTooLarge,
    /// There is no room for the backend's answer now.
    ResponseNoRoom,
    /// The relay cannot be recorded, so it is not answered.
    RecordingFailed,
}

/// How a refusal is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// HTTP status.
    pub http: u16,
    /// gRPC status.
    pub grpc: u8,
    /// WebSocket close code; 4000 to 4003 are the HA relay miner's.
    pub websocket: u16,
    /// Whether the same request may be served a moment later: HTTP says so by `Retry-After`.
    pub retry: bool,
    /// Name in metrics.
    pub name: &'static str,
    /// What clients are told; a detail may follow, after a colon.
    pub text: &'static str,
}

impl Row {
    /// Reason of the close frame; those of the HA relay miner's codes are its own.
    #[must_use]
    pub const fn close_reason(&self) -> &'static str {
        match self.websocket {
            4000 => "session expired",
            4001 => "relay validation failed",
            4002 => "stake limit exceeded",
            4003 => "backend connection failed",
            _ => self.text,
        }
    }

    /// Code and reason of the close that a backend gets whose client is refused so: the HA relay miner's.
    #[must_use]
    pub const fn backend_close(&self) -> (u16, &'static str) {
        match self.websocket {
            4000 => (1001, "session ended"),
            4001 | 1007 | 1008 => (1008, "request rejected"),
            4002 => (1013, "rate limited"),
            _ => (1001, "client gone"),
        }
    }
}

impl Reason {
    /// All reasons, in the order of the checks.
    pub const ALL: [Self; 32] = [
        Self::Overloaded,
        Self::Stopping,
        Self::UnreadableBody,
        Self::RequestTooLarge,
        Self::Undecodable,
        Self::Malformed,
        Self::ImplausibleHeights,
        Self::Invalid,
        Self::ForeignSupplier,
        Self::UnknownService,
        Self::RpcType,
        Self::SessionNotActive,
        Self::SessionUnknown,
        Self::SessionHeader,
        Self::SupplierNotInSession,
        Self::SupplierStopped,
        Self::TooManySessions,
        Self::ChainUnavailable,
        Self::CannotRecord,
        Self::OverServiced,
        Self::Signature,
        Self::Replayed,
        Self::Sealed,
        Self::Payload,
        Self::BackendUnhealthy,
        Self::BackendUnreachable,
        Self::BackendTimeout,
        Self::BackendNoAnswer,
        Self::BackendEncoding,
        Self::ResponseTooLarge,
        Self::ResponseNoRoom,
        Self::RecordingFailed,
    ];

    /// The reason with this [`Row::name`].
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.row().name == name)
    }

    /// The table: nothing else chooses a status, a code or a text.
    #[must_use]
    pub const fn row(self) -> Row {
        const INVALID: &str = "relay validation failed";
        const BACKEND: &str = "backend error";
        const TOO_LARGE: &str = "backend response too large";
        const UNDECODABLE: &str = "invalid relay request: body must be a valid RelayRequest protobuf";
        const BUDGET: &str = "session relay limit reached: claimable portion fully consumed";
        let (http, grpc, websocket, retry, name, text) = match self {
            Self::Overloaded => (503, 14, 1013, true, "overloaded", "overloaded"),
            Self::Stopping => (503, 14, 1001, true, "stopping", "the servicer is stopping"),
            Self::UnreadableBody => (
                400,
                3,
                1002,
                false,
                "unreadable_body",
                "failed to read request body",
            ),
            Self::RequestTooLarge => (
                413,
                8,
                1009,
                false,
                "request_too_large",
                "request body too large for service",
            ),
            Self::Undecodable => (400, 13, 1007, false, "undecodable", UNDECODABLE),
            Self::Malformed => (400, 3, 1007, false, "malformed", "invalid relay request"),
            Self::ImplausibleHeights => (
                400,
                3,
                1008,
                false,
                "implausible_heights",
                "implausible session heights",
            ),
            Self::Invalid => (403, 7, 4001, false, "invalid", INVALID),
            Self::ForeignSupplier => (
                503,
                9,
                1008,
                false,
                "foreign_supplier",
                "supplier not served here",
            ),
            Self::UnknownService => (404, 5, 1008, false, "unknown_service", "unknown service"),
            Self::RpcType => (
                503,
                12,
                1008,
                false,
                "rpc_type",
                "service temporarily unavailable",
            ),
            Self::SessionNotActive => (403, 7, 4000, false, "session_not_active", INVALID),
            Self::SessionUnknown => (403, 7, 4001, false, "session_unknown", INVALID),
            Self::SessionHeader => (403, 7, 4001, false, "session_header", INVALID),
            Self::SupplierNotInSession => (403, 7, 4001, false, "supplier_not_in_session", INVALID),
            Self::SupplierStopped => (403, 7, 4001, false, "supplier_stopped", INVALID),
            Self::TooManySessions => (503, 14, 1013, true, "too_many_sessions", "overloaded"),
            Self::ChainUnavailable => (
                503,
                14,
                1013,
                true,
                "chain_unavailable",
                "relay validation unavailable",
            ),
            Self::CannotRecord => (
                503,
                14,
                1013,
                true,
                "cannot_record",
                "relays cannot be recorded now",
            ),
            Self::OverServiced => (429, 8, 4002, false, "over_serviced", BUDGET),
            Self::Signature => (403, 7, 4001, false, "signature", INVALID),
            Self::Replayed => (
                409,
                6,
                1008,
                false,
                "replayed",
                "this relay request was sent before",
            ),
            Self::Sealed => (403, 7, 4000, false, "sealed", INVALID),
            Self::Payload => (400, 3, 1007, false, "payload", "invalid relay payload"),
            Self::BackendUnhealthy => (503, 14, 4003, true, "backend_unhealthy", "backend unavailable"),
            Self::BackendUnreachable => (502, 14, 4003, false, "backend_unreachable", BACKEND),
            Self::BackendTimeout => (502, 14, 4003, false, "backend_timeout", BACKEND),
            Self::BackendNoAnswer => (502, 14, 4003, false, "backend_no_answer", BACKEND),
            Self::BackendEncoding => (502, 14, 4003, false, "backend_encoding", BACKEND),
            Self::ResponseTooLarge => (502, 14, 1009, false, "response_too_large", TOO_LARGE),
            Self::ResponseNoRoom => (503, 14, 1013, true, "response_no_room", "overloaded"),
            Self::RecordingFailed => (
                503,
                14,
                1013,
                true,
                "recording_failed",
                "the relay cannot be recorded",
            ),
        };
        Row {
            http,
            grpc,
            websocket,
            retry,
            name,
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gateways act on these numbers: a change is a decision.
    #[test]
    fn the_table_of_refusals() {
        let line = |reason: &Reason| {
            let row = reason.row();
            let retry = if row.retry { "retry" } else { "-" };
            format!(
                "{:23} {} {:>2} {} {retry:5} {}",
                row.name, row.http, row.grpc, row.websocket, row.text
            )
        };
        let table: Vec<String> = Reason::ALL.iter().map(line).collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        overloaded              503 14 1013 retry overloaded
        stopping                503 14 1001 retry the servicer is stopping
        unreadable_body         400  3 1002 -     failed to read request body
        request_too_large       413  8 1009 -     request body too large for service
        undecodable             400 13 1007 -     invalid relay request: body must be a valid RelayRequest protobuf
        malformed               400  3 1007 -     invalid relay request
        implausible_heights     400  3 1008 -     implausible session heights
        invalid                 403  7 4001 -     relay validation failed
        foreign_supplier        503  9 1008 -     supplier not served here
        unknown_service         404  5 1008 -     unknown service
        rpc_type                503 12 1008 -     service temporarily unavailable
        session_not_active      403  7 4000 -     relay validation failed
        session_unknown         403  7 4001 -     relay validation failed
        session_header          403  7 4001 -     relay validation failed
        supplier_not_in_session 403  7 4001 -     relay validation failed
        supplier_stopped        403  7 4001 -     relay validation failed
        too_many_sessions       503 14 1013 retry overloaded
        chain_unavailable       503 14 1013 retry relay validation unavailable
        cannot_record           503 14 1013 retry relays cannot be recorded now
        over_serviced           429  8 4002 -     session relay limit reached: claimable portion fully consumed
        signature               403  7 4001 -     relay validation failed
        replayed                409  6 1008 -     this relay request was sent before
        sealed                  403  7 4000 -     relay validation failed
        payload                 400  3 1007 -     invalid relay payload
        backend_unhealthy       503 14 4003 retry backend unavailable
        backend_unreachable     502 14 4003 -     backend error
        backend_timeout         502 14 4003 -     backend error
        backend_no_answer       502 14 4003 -     backend error
        backend_encoding        502 14 4003 -     backend error
        response_too_large      502 14 1009 -     backend response too large
        response_no_room        503 14 1013 retry overloaded
        recording_failed        503 14 1013 retry the relay cannot be recorded
        ");
    }

    #[test]
    fn no_refusal_looks_like_an_answer_or_like_another() {
        let mut names = std::collections::BTreeSet::new();
        for reason in Reason::ALL {
            let row = reason.row();
            assert!(
                row.http >= 400,
                "{reason:?}: PATH would blame the supplier for a bad signature"
            );
            assert!(row.grpc != 0 && row.websocket != 1000, "{reason:?}");
            assert!(
                !row.retry || row.http == 503,
                "{reason:?}: a moment is what Retry-After of a 503 means"
            );
            assert!(names.insert(row.name), "{reason:?}");
        }
    }
}
