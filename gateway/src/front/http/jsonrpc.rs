//! JSON-RPC: one call, or a batch of them, each relayed by itself or all at once.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use http::StatusCode;
use portico_config::gateway::Batches;
use portico_net::Parts;
use portico_net::budget::{Budgets, holding};
use portico_relay as relay;
use portico_relay::RpcType;

use super::asked::{Asked, Context};
use super::response::{answer_body, error_response, json_response, no_receipts, reply_response};
use super::state::Front;
use crate::codec::jsonrpc::{self, Ids, Item, JsonRpc, NotARequest, WholeBatch};
use crate::core::attempt::Reply;
use crate::core::call::Call;
use crate::front::error::CallError;

impl Front {
    /// Relays the calls in `body`, which are of `kind`; without one, their methods tell.
    pub(super) async fn json_rpc(
        &self,
        asked: Result<Asked, CallError>,
        kind: Option<RpcType>,
        body: &Bytes,
        context: Context<'_>,
    ) -> Response {
        let (max_batch, request_id) = (self.config.max_batch, context.request_id);
        match jsonrpc::read(body, max_batch) {
            jsonrpc::Body::NotJson => self.refuse(&None, &CallError::NotJson, request_id),
            jsonrpc::Body::Single(item) => self.single(asked, kind, item, context).await,
            jsonrpc::Body::Batch(items) => match whole(&asked, &items) {
                Some((asked, ids)) => {
                    Box::pin(self.whole_batch(asked, kind, &items, ids, body, context)).await
                }
                None => Box::pin(self.batch(asked, kind, items, context)).await,
            },
            jsonrpc::Body::TooLong(None) => {
                self.refuse(&None, &CallError::BatchTooLarge { max: max_batch }, request_id)
            }
            jsonrpc::Body::TooLong(Some(ids)) => {
                let error = CallError::BatchTooLarge { max: max_batch };
                self.relayer.metrics.call(None, error.row().reason);
                errors(&error, ids.into_iter(), request_id)
            }
        }
    }

    async fn single(
        &self,
        asked: Result<Asked, CallError>,
        kind: Option<RpcType>,
        item: Result<Item, NotARequest>,
        context: Context<'_>,
    ) -> Response {
        let request_id = context.request_id;
        let item = match item {
            Ok(item) => item,
            Err(not) => return self.refuse(&not.id, &CallError::Invalid(not.reason), request_id),
        };
        let asked = match asked {
            Ok(asked) => asked,
            Err(error) => return self.refuse(&item.id, &error, request_id),
        };
        let call = Call {
            wants_receipt: asked.wants_receipt,
            ..call_of(&asked, kind, &item, self.relayer.budgets(context.client), context)
        };
        match self.relay(JsonRpc, &asked.service.id, &call).await {
            Ok(reply) if item.id.is_none() => reply_response(StatusCode::NO_CONTENT, &[reply], Body::empty()),
            Ok(mut reply) => {
                let body = answer_body(&mut reply);
                reply_response(StatusCode::OK, &[reply], body.into())
            }
            Err(error) => {
                self.log(&error, &asked.service.id, request_id);
                error_response(&error, &item.id, error.status(&item.id), request_id)
            }
        }
    }

    /// A batch in one relay. Always 200 with an entry per id, in the node's order; 204 when nothing wants an answer.
    async fn whole_batch(
        &self,
        asked: &Asked,
        kind: Option<RpcType>,
        items: &[Result<Item, NotARequest>],
        ids: Ids,
        body: &Bytes,
        context: Context<'_>,
    ) -> Response {
        let is_comet_bft = matches!(items.first(), Some(Ok(item)) if item.is_comet_bft);
        let call = Call {
            wants_receipt: asked.wants_receipt,
            ..call(
                asked,
                kind.unwrap_or(by_method(is_comet_bft)),
                body.clone(),
                ids,
                self.relayer.budgets(context.client),
                context,
            )
        };
        match self.relay(WholeBatch, &asked.service.id, &call).await {
            Ok(reply) if call.expected.is_empty() => {
                reply_response(StatusCode::NO_CONTENT, &[reply], Body::empty())
            }
            Ok(mut reply) => {
                let body = answer_body(&mut reply);
                reply_response(StatusCode::OK, &[reply], body.into())
            }
            Err(error) => {
                self.log(&error, &asked.service.id, context.request_id);
                let ids = call.expected.iter().cloned();
                errors(&error, ids, context.request_id)
            }
        }
    }

    /// Always 200 with an entry per id, in the order of the batch; 204 when nothing wants an answer.
    async fn batch(
        &self,
        asked: Result<Asked, CallError>,
        kind: Option<RpcType>,
        items: Vec<Result<Item, NotARequest>>,
        context: Context<'_>,
    ) -> Response {
        let budgets = self.relayer.batch_budgets(context.client);
        // Entries become futures as their turn comes: a thousand at once would hold some megabytes.
        let entry = |index: usize| self.entry(&asked, kind, &items[index], budgets.clone(), context);
        let outcomes: Vec<_> = stream::iter(0..items.len())
            .map(entry)
            .buffered(self.config.max_batch_concurrency.max(1))
            .collect()
            .await;
        let (mut answers, mut replies) = (Vec::new(), Vec::new());
        for (answer, reply) in outcomes {
            answers.extend(answer);
            replies.extend(reply);
        }
        let mut response = if answers.is_empty() {
            reply_response(StatusCode::NO_CONTENT, &replies, Body::empty())
        } else {
            let rooms = replies
                .iter_mut()
                .filter_map(|reply: &mut Reply| reply.room.take())
                .collect();
            let mut parts = jsonrpc::batch(answers);
            let last = parts.pop().unwrap_or_default(); // dropped when everything before it is written
            parts.push(holding(last, rooms));
            reply_response(StatusCode::OK, &replies, Body::new(Parts::new(parts)))
        };
        if asked.is_ok_and(|asked| asked.wants_receipt) {
            no_receipts(&mut response);
        }
        response
    }

    /// One entry of a batch: its answer, unless it is a notification, and how it came about.
    async fn entry(
        &self,
        asked: &Result<Asked, CallError>,
        kind: Option<RpcType>,
        item: &Result<Item, NotARequest>,
        budgets: Budgets,
        context: Context<'_>,
    ) -> (Option<Bytes>, Option<Reply>) {
        let request_id = context.request_id;
        let (item, asked) = match (item, asked) {
            (Err(not), _) => {
                let error = CallError::Invalid(not.reason);
                self.relayer.metrics.call(None, error.row().reason);
                return (Some(error.body(&not.id, request_id)), None);
            }
            (Ok(item), Err(error)) => {
                self.relayer.metrics.call(None, error.row().reason);
                return (item.id.is_some().then(|| error.body(&item.id, request_id)), None);
            }
            (Ok(item), Ok(asked)) => (item, asked),
        };
        let call = call_of(asked, kind, item, budgets, context);
        match self.relay(JsonRpc, &asked.service.id, &call).await {
            Ok(reply) => (item.id.is_some().then(|| reply.answer.clone()), Some(reply)),
            Err(error) => {
                self.log(&error, &asked.service.id, request_id);
                (item.id.is_some().then(|| error.body(&item.id, request_id)), None)
            }
        }
    }
}

/// The ids of a batch that is to be one relay, and what is asked of it.
fn whole<'a>(
    asked: &'a Result<Asked, CallError>,
    items: &[Result<Item, NotARequest>],
) -> Option<(&'a Asked, Ids)> {
    let asked = asked.as_ref().ok()?;
    match asked.service.batches {
        Batches::Split => None,
        Batches::Whole => Some((asked, jsonrpc::whole(items)?)),
    }
}

/// The same error under each of `ids`; without any, no body.
fn errors(error: &CallError, ids: impl Iterator<Item = Bytes>, request_id: &str) -> Response {
    let answers: Vec<Bytes> = ids.map(|id| error.body(&Some(id), request_id)).collect();
    match answers.is_empty() {
        true => json_response(StatusCode::NO_CONTENT, Body::empty()),
        false => json_response(StatusCode::OK, Body::new(Parts::new(jsonrpc::batch(answers)))),
    }
}

const fn by_method(is_comet_bft: bool) -> RpcType {
    match is_comet_bft {
        true => RpcType::CometBft,
        false => RpcType::JsonRpc,
    }
}

/// The call of one request, without a receipt.
fn call_of(
    asked: &Asked,
    kind: Option<RpcType>,
    item: &Item,
    budgets: Budgets,
    context: Context<'_>,
) -> Call<jsonrpc::Id> {
    let kind = kind.unwrap_or(by_method(item.is_comet_bft));
    call(asked, kind, item.body.clone(), item.id.clone(), budgets, context)
}

/// A call without a receipt.
fn call<E>(
    asked: &Asked,
    kind: RpcType,
    body: Bytes,
    expected: E,
    budgets: Budgets,
    context: Context<'_>,
) -> Call<E> {
    Call {
        request: relay::Call::posted(kind, asked.path.clone(), body),
        expected,
        budgets,
        wants_receipt: false,
        takes_stream: false,
        choice: asked.choice.clone(),
        origin: Arc::clone(context.origin),
        deadline: context.deadline,
    }
}
