//! What a request's head asks for, before its body is read.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use portico_protocol::receipt;
use portico_relay::RpcType;
use portico_telemetry::Origin;
use tokio::time::Instant;

use super::route::{Route, route};
use super::services::Service;
use super::state::Front;
use super::wishes::wishes;
use crate::core::choice::Choice;
use crate::front::error::CallError;

/// What a request's head says about how it is to be relayed.
pub(in crate::front) struct Asked {
    pub(in crate::front) service: Arc<Service>,
    /// Path and query for the backend.
    pub(super) path: String,
    pub(super) named: Option<RpcType>,
    pub(in crate::front) choice: Option<Arc<Choice>>,
    pub(super) wants_receipt: bool,
}

/// What all calls of one request share.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) deadline: Instant,
    pub(super) request_id: &'a str,
    pub(super) origin: &'a Arc<Origin>,
    pub(super) client: Option<IpAddr>,
}

impl Front {
    /// Reads a request's head.
    pub(in crate::front) fn asked(&self, head: &Parts) -> Result<Asked, CallError> {
        let Route { service, path, named } = route(&head.uri, &head.headers, &self.services)?;
        let choice = wishes(&head.headers)?;
        if let Some(application) = choice.as_ref().and_then(|choice| choice.application) {
            let signers = self.relayer.signers.of(&service.id);
            if !signers.iter().any(|signer| signer.application == application) {
                return Err(CallError::UnknownApplication(application));
            }
        }
        let asked = head.headers.get(receipt::REQUEST_HEADER);
        let asked = asked.is_some_and(|value| receipt::is_wanted(value.as_bytes()));
        Ok(Asked {
            service,
            path,
            named,
            choice,
            wants_receipt: self.config.request_receipts || asked,
        })
    }
}
