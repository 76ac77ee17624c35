//! Why a call gets an error for an answer, and the row of the table that says how it is told.

mod code;
mod table;

use std::error::Error;
use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode};
use portico_protocol::Address;
use portico_relay::content_encoding::SUPPORTED;
use portico_relay::grpc;
use serde_json::{Map, Value, json};

use crate::codec::jsonrpc::{self, Attempt, Data, Id};
use crate::core::attempt::Failed;
use crate::core::error::RelayError;

pub(crate) use self::table::{ROWS, Row};

/// Outcome, in metrics only, of a caller that went away before its answer.
pub(crate) const CLIENT_GONE: &str = "client_gone";

/// Longest text about one attempt, in characters.
const MAX_DETAIL: usize = 300;

/// Why a call gets an error for an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the body is not JSON")]
    NotJson,
    #[error("the body is not encoded as its Content-Encoding says, or cut short")]
    NotAsEncoded,
    #[error("the body's Content-Encoding is not one of {SUPPORTED}")]
    UnsupportedEncoding,
    #[error("not a JSON-RPC request: {0}")]
    Invalid(&'static str),
    #[error("the batch has more than {max} entries")]
    BatchTooLarge { max: usize },
    #[error("the body is larger than {max} bytes")]
    BodyTooLarge { max: usize },
    #[error("{}", unknown(.asked.as_deref()))]
    UnknownService {
        asked: Option<String>,
        available: Vec<String>,
    },
    #[error("{0} is not relayed here")]
    RpcType(String),
    #[error("{0} is no method of this service's calls")]
    Method(Method),
    #[error("the header {0} has no value that it may have")]
    Header(HeaderName),
    #[error("application {0} is none of this service's here")]
    UnknownApplication(Address),
    #[error("pages of this origin may not call")]
    Origin,
    #[error("the body did not arrive in time")]
    BodyLate,
    #[error("the gateway is stopping")]
    Draining,
    /// The HTTP layer's own, with the status that it chose.
    #[error("{1}")]
    Http(StatusCode, String),
    #[error(transparent)]
    Relay(#[from] RelayError),
}

fn unknown(asked: Option<&str>) -> String {
    match asked {
        Some(asked) => format!("service {asked:?} is not served here"),
        None => "several services are served here: name one".to_owned(),
    }
}

impl CallError {
    /// The row of the table.
    pub(crate) const fn row(&self) -> &'static Row {
        match self {
            Self::NotJson | Self::NotAsEncoded => &table::PARSE_ERROR,
            Self::UnsupportedEncoding => &table::UNSUPPORTED_ENCODING,
            Self::Invalid(_) | Self::Header(_) => &table::INVALID_REQUEST,
            Self::UnknownApplication(_) => &table::UNKNOWN_APPLICATION,
            Self::BatchTooLarge { .. } => &table::BATCH_TOO_LARGE,
            Self::BodyTooLarge { .. } => &table::BODY_TOO_LARGE,
            Self::UnknownService { .. } => &table::UNKNOWN_SERVICE,
            Self::RpcType(_) | Self::Method(_) => &table::RPC_TYPE_UNSUPPORTED,
            Self::Origin => &table::UNAUTHORIZED,
            Self::BodyLate => &table::DEADLINE,
            Self::Draining | Self::Http(StatusCode::SERVICE_UNAVAILABLE, _) => &table::OVERLOADED,
            Self::Http(StatusCode::REQUEST_TIMEOUT, _) => &table::DEADLINE,
            Self::Http(StatusCode::METHOD_NOT_ALLOWED, _) => &table::RPC_TYPE_UNSUPPORTED,
            Self::Http(..) => &table::INVALID_REQUEST,
            Self::Relay(error) => error.row(),
        }
    }

    /// HTTP status of the answer to a single call: the row's, but 400 for a request without an id to answer to, and 405 for a
    /// method, where JSON-RPC has no say.
    pub(crate) fn status(&self, id: &Id) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::Header(_) | Self::BatchTooLarge { .. } if id.is_none() => {
                StatusCode::BAD_REQUEST
            }
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Http(status, _) => *status,
            _ => self.row().status,
        }
    }

    /// HTTP status of the answer to a call that is no JSON-RPC: as [`CallError::status`] without an id, and never a success.
    pub(crate) fn http_status(&self) -> StatusCode {
        match self.status(&None) {
            StatusCode::OK => StatusCode::NOT_IMPLEMENTED,
            status => status,
        }
    }

    /// gRPC's status of the answer to a call of gRPC.
    pub(crate) fn grpc_status(&self) -> u8 {
        let by_http = || grpc::of_error(self.http_status().as_u16());
        self.row().grpc.unwrap_or_else(by_http)
    }

    /// The JSON-RPC error answer to the request with `id`.
    pub(crate) fn body(&self, id: &Id, request_id: &str) -> Bytes {
        let row = self.row();
        let data = Data {
            reason: row.reason,
            source: row.source,
            retryable: row.retryable,
            attempts: self.attempts().iter().map(attempt).collect(),
            request_id: request_id.to_owned(),
            docs: format!("/errors/{}", row.reason),
            more: self.more(),
        };
        jsonrpc::error(id, row.code, &self.message(), &data)
    }

    /// This error and what caused it, in one line.
    pub(crate) fn message(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        text
    }

    /// `Retry-After` in seconds: the row's, or the shortest pause when every backend that was asked wants one.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        let pauses = self.attempts().iter().map(|failed| failed.fault.retry_after());
        let pauses: Option<Vec<u32>> = pauses.collect();
        let row = self.row().retry_after;
        row.or_else(|| pauses.and_then(|pauses| pauses.into_iter().min()))
    }

    /// Tries at suppliers that failed.
    pub(crate) fn attempts(&self) -> &[Failed] {
        match self {
            Self::Relay(error) => error.attempts(),
            _ => &[],
        }
    }

    fn more(&self) -> Map<String, Value> {
        let more = match self {
            Self::BatchTooLarge { max } | Self::BodyTooLarge { max } => json!({ "max": max }),
            Self::UnknownService { available, .. } => json!({ "available": available }),
            Self::BodyLate => json!({ "phase": "body" }),
            Self::Relay(RelayError::Deadline { phase, .. }) => json!({ "phase": phase }),
            Self::Relay(RelayError::NoSupplier { filtered, .. }) => json!({ "filtered": {
                "no_endpoint": filtered.no_endpoint,
                "stake_exhausted": filtered.exhausted,
                "signature_invalid": filtered.distrusted,
                "unwanted": filtered.unwanted,
            }}),
            _ => Value::Null,
        };
        match more {
            Value::Object(more) => more,
            _ => Map::new(),
        }
    }
}

impl RelayError {
    /// The row of the table.
    pub(crate) const fn row(&self) -> &'static Row {
        match self {
            Self::Overloaded | Self::NoRoom { .. } => &table::OVERLOADED,
            Self::Session(_) => &table::SESSION_UNAVAILABLE,
            Self::StakeExhausted { .. } => &table::STAKE_EXHAUSTED,
            Self::NoSupplier { .. } => &table::NO_SUPPLIER,
            Self::RpcTypeUnsupported => &table::RPC_TYPE_UNSUPPORTED,
            Self::SuppliersFailed { .. } => &table::SUPPLIERS_FAILED,
            Self::SignatureInvalid { .. } => &table::SIGNATURE_INVALID,
            Self::BadPayload { .. } => &table::BAD_PAYLOAD,
            Self::ResponseTooLarge { .. } => &table::RESPONSE_TOO_LARGE,
            Self::Deadline { .. } => &table::DEADLINE,
            Self::Sign(_) => &table::INTERNAL,
        }
    }

    /// Tries at suppliers that failed.
    pub(crate) fn attempts(&self) -> &[Failed] {
        match self {
            Self::StakeExhausted { attempts }
            | Self::NoSupplier { attempts, .. }
            | Self::SuppliersFailed { attempts }
            | Self::SignatureInvalid { attempts }
            | Self::BadPayload { attempts }
            | Self::ResponseTooLarge { attempts }
            | Self::NoRoom { attempts }
            | Self::Deadline { attempts, .. } => attempts,
            Self::Overloaded | Self::Session(_) | Self::RpcTypeUnsupported | Self::Sign(_) => &[],
        }
    }
}

fn attempt(failed: &Failed) -> Attempt {
    Attempt {
        supplier: failed.supplier.to_string(),
        cause: failed.fault.cause(),
        detail: failed.fault.to_string().chars().take(MAX_DETAIL).collect(),
        ms: failed.ms,
    }
}
