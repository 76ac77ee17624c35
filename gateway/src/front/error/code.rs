//! JSON-RPC codes of this gateway's own errors: −31000 to −31099, and the protocol's two for what is no request.

/// The body is not JSON.
pub(crate) const PARSE_ERROR: i32 = -32700;
/// Not a JSON-RPC request; also a batch that is too long.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// No such service.
pub(crate) const UNKNOWN_SERVICE: i32 = -31010;
/// The service has no supplier for this kind of call.
pub(crate) const RPC_TYPE_UNSUPPORTED: i32 = -31011;
/// The application that the caller names is none of the service's.
pub(crate) const UNKNOWN_APPLICATION: i32 = -31012;
/// The caller may not call.
pub(crate) const UNAUTHORIZED: i32 = -31020;
/// The body is larger than allowed.
pub(crate) const BODY_TOO_LARGE: i32 = -31022;
/// The body's content encoding is unknown.
pub(crate) const UNSUPPORTED_ENCODING: i32 = -31023;
/// The chain gives no session.
pub(crate) const SESSION_UNAVAILABLE: i32 = -31030;
/// The application's stake does not pay for another relay in this session.
pub(crate) const STAKE_EXHAUSTED: i32 = -31032;
/// No supplier is left to try.
pub(crate) const NO_SUPPLIER: i32 = -31033;
/// All attempts failed, for different reasons.
pub(crate) const SUPPLIERS_FAILED: i32 = -31040;
/// All answers failed verification.
pub(crate) const SIGNATURE_INVALID: i32 = -31041;
/// All verified answers were no JSON-RPC answers.
pub(crate) const BAD_PAYLOAD: i32 = -31042;
/// The call's time is over.
pub(crate) const DEADLINE: i32 = -31050;
/// All answers were larger than allowed.
pub(crate) const RESPONSE_TOO_LARGE: i32 = -31051;
/// As many relays as allowed are under way, or the gateway is stopping.
pub(crate) const OVERLOADED: i32 = -31052;
/// A fault of ours.
pub(crate) const INTERNAL: i32 = -31099;
