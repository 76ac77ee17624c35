//! JSON-RPC errors: the only place that chooses codes.

use serde_json::{Value, json};

use crate::api::ApiError;

/// An error of a call: code, its standard message, and what is wrong.
#[derive(Debug)]
pub(super) struct RpcError {
    code: i32,
    message: &'static str,
    data: String,
}

impl RpcError {
    pub(super) const fn parse(data: String) -> Self {
        Self::new(-32_700, "Parse error. Invalid JSON", data)
    }

    pub(super) const fn invalid_request(data: String) -> Self {
        Self::new(-32_600, "Invalid Request", data)
    }

    pub(super) const fn unknown_method(method: String) -> Self {
        Self::new(-32_601, "Method not found", method)
    }

    pub(super) const fn invalid_params(data: String) -> Self {
        Self::new(-32_602, "Invalid params", data)
    }

    /// CometBFT's code for whatever a call itself reports.
    pub(super) const fn internal(data: String) -> Self {
        Self::new(-32_603, "Internal error", data)
    }

    /// The end of a subscription.
    pub(super) const fn server(data: String) -> Self {
        Self::new(-32_000, "Server error", data)
    }

    const fn new(code: i32, message: &'static str, data: String) -> Self {
        Self { code, message, data }
    }

    pub(super) const fn is_unknown_method(&self) -> bool {
        self.code == -32_601
    }

    pub(super) fn json(&self) -> Value {
        json!({"code": self.code, "message": self.message, "data": self.data})
    }
}

impl From<ApiError> for RpcError {
    fn from(error: ApiError) -> Self {
        Self::internal(error.to_string())
    }
}
