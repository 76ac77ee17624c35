//! The error of a JSON-RPC response.

use serde::Deserialize;
use serde_json::Value;

/// An error in an answer.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Fault {
    message: String,
    #[serde(default)]
    data: Value,
}

impl Fault {
    pub(super) fn text(&self) -> String {
        match &self.data {
            Value::String(data) if !data.is_empty() => format!("{}: {data}", self.message),
            _ => self.message.clone(),
        }
    }
}
