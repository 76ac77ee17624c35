//! CometBFT-style JSON-RPC over HTTP, as POST bodies (single or batch) and as URIs, and over WebSockets with subscriptions.
//!
//! Shapes, names and error texts are those of CometBFT 0.38: numbers of 64 bits are texts, hashes upper-case hexadecimal, bytes base64.
//! Missing on purpose: evidence, the calls that serve peers.

mod error;
mod feed;
mod front;
mod methods;
mod names;
mod request;
mod shape;
mod subscriptions;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, RawQuery, State, WebSocketUpgrade};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use portico_chain::genesis::Genesis;
use portico_net::Listener;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::NodeError;
use crate::api::Api;
pub use front::read_rpc;

use error::RpcError;
use feed::Feed;
use methods::Methods;
use request::{Params, Request};
use websocket::Hub;

/// Time for calls under way to finish when the node stops.
pub(crate) const GRACE: Duration = Duration::from_secs(3);
/// Where this node takes peers: nowhere, but clients of CometBFT want an address.
pub(crate) const NO_PEERS_ADDR: &str = "tcp://127.0.0.1:0";

/// Largest body of a call, in bytes: a transaction of 1 MiB in base64, and its envelope.
const MAX_BODY_BYTES: usize = 2 << 20;
/// Time for a whole body to arrive, however steadily it does.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Most calls of a batch.
const MAX_BATCH: usize = 20;

/// Serves until `stop`; `operators` are the paths that operators ask here.
pub(crate) async fn serve(
    listener: Listener,
    address: SocketAddr,
    api: Api,
    genesis: Arc<Genesis>,
    operators: Router,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let failed = |source| NodeError::Serve {
        server: "RPC",
        source,
    };
    let methods = Arc::new(Methods::new(api.clone(), genesis, address, stop.clone()));
    let metrics = api.metrics.clone();
    let hub = Hub::new(methods.clone(), Feed::new(api), metrics, stop.clone());
    let connections = TaskTracker::new();
    let upgrade = get({
        let connections = connections.clone();
        move |upgrade| websocket(upgrade, hub, connections)
    });
    let router = Router::new()
        .route("/", post(body).get(index))
        .route("/websocket", upgrade)
        .route("/{method}", get(uri))
        .with_state(methods)
        .merge(operators);
    let served = listener.errors(error_body).raw_uris().serve(router, stop).await;
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::debug!("WebSockets are left behind");
    }
    served.map_err(failed)
}

/// Begins a WebSocket, if there is room for one more.
async fn websocket(upgrade: WebSocketUpgrade, hub: Hub, connections: TaskTracker) -> Response {
    let Ok(place) = hub.places.clone().try_acquire_owned() else {
        let text = format!("there are {} WebSockets already", websocket::MAX_WEBSOCKETS);
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let token = connections.token();
    let upgrade = upgrade
        .max_message_size(MAX_BODY_BYTES)
        .max_frame_size(MAX_BODY_BYTES);
    upgrade.on_upgrade(async move |socket| {
        let _held = (place, token);
        hub.serve(socket).await;
    })
}

/// The calls there are, for people who open the address in a browser.
async fn index() -> Response {
    let calls = names::NAMES
        .iter()
        .map(|(name, params)| format!("/{name}?{}\n", params.join("=_&")));
    let text: String = std::iter::once("Portico node. Calls:\n\n".to_owned())
        .chain(calls)
        .collect();
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// A call in a URI. Its id is -1, as CometBFT's.
async fn uri(
    State(methods): State<Arc<Methods>>,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let id = json!(-1);
    let params = Params::of_query(query.as_deref().unwrap_or_default());
    let result = match params {
        Ok(params) => methods.call("rpc", &method, params).await,
        Err(error) => Err(error),
    };
    let status = match &result {
        Ok(_) => StatusCode::OK,
        Err(error) if error.is_unknown_method() => StatusCode::NOT_FOUND,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    answer(status, &envelope(&id, result))
}

/// One call or a batch in a body.
async fn body(State(methods): State<Arc<Methods>>, body: Body) -> Response {
    let Ok(read) = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY_BYTES)).await else {
        let error = RpcError::invalid_request("the body did not arrive in time".into());
        return answer(StatusCode::REQUEST_TIMEOUT, &envelope(&Value::Null, Err(error)));
    };
    let Ok(bytes) = read else {
        let error = RpcError::invalid_request(format!("the body is larger than {MAX_BODY_BYTES} bytes"));
        return answer(StatusCode::PAYLOAD_TOO_LARGE, &envelope(&Value::Null, Err(error)));
    };
    match serde_json::from_slice(&bytes) {
        Err(error) => {
            let error = RpcError::parse(error.to_string());
            answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                &envelope(&Value::Null, Err(error)),
            )
        }
        Ok(Value::Array(calls)) => batch(&methods, calls).await,
        Ok(call) => match one(&methods, call).await {
            Some(value) => answer(StatusCode::OK, &value),
            None => StatusCode::OK.into_response(),
        },
    }
}

async fn batch(methods: &Methods, calls: Vec<Value>) -> Response {
    if calls.is_empty() || calls.len() > MAX_BATCH {
        let text = format!("a batch holds 1 to {MAX_BATCH} calls, not {}", calls.len());
        let error = RpcError::invalid_request(text);
        return answer(StatusCode::OK, &envelope(&Value::Null, Err(error)));
    }
    let mut answers = Vec::with_capacity(calls.len());
    for call in calls {
        answers.extend(one(methods, call).await);
    }
    match answers.is_empty() {
        true => StatusCode::OK.into_response(),
        false => answer(StatusCode::OK, &Value::Array(answers)),
    }
}

/// Answers one call; `None` for a notification, which is not executed.
async fn one(methods: &Methods, call: Value) -> Option<Value> {
    match Request::read(call) {
        Ok(request) => {
            let id = request.id?;
            Some(envelope(
                &id,
                methods.call("rpc", &request.method, request.params).await,
            ))
        }
        Err((id, error)) => Some(envelope(&id, Err(error))),
    }
}

fn envelope(id: &Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error.json()}),
    }
}

/// Body of an error that the listener answers by itself.
fn error_body(_: StatusCode, reason: &str) -> String {
    envelope(&Value::Null, Err(RpcError::invalid_request(reason.to_owned()))).to_string()
}

fn answer(status: StatusCode, value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, value.to_string()).into_response()
}

/// Answers one call without a connection.
#[cfg(test)]
pub(crate) async fn called(api: Api, genesis: Arc<Genesis>, call: Value) -> Value {
    let address = "127.0.0.1:1".parse().expect("an address");
    let methods = Methods::new(api, genesis, address, CancellationToken::new());
    one(&methods, call).await.expect("it has an id")
}

#[cfg(test)]
mod tests;
