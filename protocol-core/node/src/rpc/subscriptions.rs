//! The subscriptions of one client.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::RpcError;
use super::feed::Happening;
use super::request::Params;
use crate::metrics::Metrics;
use crate::search::Query;

/// Clients with subscriptions; CometBFT's default.
pub(super) const MAX_SUBSCRIBED_CLIENTS: usize = 100;
/// Subscriptions of a client; CometBFT's default is 5.
pub(super) const MAX_SUBSCRIPTIONS: usize = 5;

struct Subscription {
    id: Value,
    query: Query,
    /// It is told of later heights.
    after: i64,
}

/// What a client wants to hear, by the query's text.
pub(super) struct Subscriptions {
    by_query: BTreeMap<String, Subscription>,
    clients: Arc<Semaphore>,
    place: Option<OwnedSemaphorePermit>,
    metrics: Metrics,
}

impl Subscriptions {
    /// None, of a client who shares `clients` with the others.
    pub(super) const fn new(clients: Arc<Semaphore>, metrics: Metrics) -> Self {
        Self {
            by_query: BTreeMap::new(),
            clients,
            place: None,
            metrics,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_query.is_empty()
    }

    /// Answers `subscribe`, `unsubscribe` and `unsubscribe_all`; `None` for other calls. A subscription begins after `height`.
    pub(super) fn call(
        &mut self,
        method: &str,
        params: &Params,
        id: &Value,
        height: i64,
    ) -> Option<Result<Value, RpcError>> {
        let done = match method {
            "subscribe" => self.subscribe(params, id, height),
            "unsubscribe" => self.unsubscribe(params),
            "unsubscribe_all" if self.is_empty() => Err(not_found()),
            "unsubscribe_all" => {
                self.clear();
                Ok(())
            }
            _ => return None,
        };
        Some(done.map(|()| json!({})))
    }

    fn subscribe(&mut self, params: &Params, id: &Value, after: i64) -> Result<(), RpcError> {
        let text = params.string("query")?;
        let query = Query::parse(&text);
        let query = query.map_err(|error| RpcError::internal(error.to_string()))?;
        if self.by_query.contains_key(&text) {
            return Err(RpcError::internal("already subscribed".into()));
        }
        if self.by_query.len() >= MAX_SUBSCRIPTIONS {
            let text = format!("max_subscriptions_per_client {MAX_SUBSCRIPTIONS} reached");
            return Err(RpcError::internal(text));
        }
        if self.place.is_none() {
            let place = self.clients.clone().try_acquire_owned();
            let full = |_| {
                RpcError::internal(format!(
                    "max_subscription_clients {MAX_SUBSCRIBED_CLIENTS} reached"
                ))
            };
            self.place = Some(place.map_err(full)?);
        }
        self.metrics.subscriptions.inc();
        let id = id.clone();
        self.by_query.insert(text, Subscription { id, query, after });
        Ok(())
    }

    fn unsubscribe(&mut self, params: &Params) -> Result<(), RpcError> {
        let text = params.string("query")?;
        if self.by_query.remove(&text).is_none() {
            return Err(not_found());
        }
        self.metrics.subscriptions.dec();
        if self.is_empty() {
            self.place = None;
        }
        Ok(())
    }

    fn clear(&mut self) {
        let count = i64::try_from(self.by_query.len()).unwrap_or(i64::MAX);
        self.metrics.subscriptions.sub(count);
        self.by_query.clear();
        self.place = None;
    }

    /// Ends all of them; returns the message that says so to each.
    pub(super) fn cancel(&mut self, reason: &str) -> Vec<String> {
        let text = format!("subscription was canceled (reason: {reason})");
        let told = self.by_query.values().map(|subscription| {
            let error = RpcError::server(text.clone());
            super::envelope(&subscription.id, Err(error)).to_string()
        });
        let told = told.collect();
        self.clear();
        told
    }

    /// The messages that tell what happened at `height` to the subscriptions that want it.
    pub(super) fn messages(&self, height: i64, happened: &Happening) -> Result<Vec<String>, RpcError> {
        let wanting = self
            .by_query
            .iter()
            .filter(|(_, wanted)| wanted.after < height && happened.matches(&wanted.query));
        wanting
            .map(|(text, wanted)| happened.message(&wanted.id, text))
            .collect()
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.clear();
    }
}

fn not_found() -> RpcError {
    RpcError::internal("subscription not found".into())
}
