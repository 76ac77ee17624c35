//! Which protocol a request speaks, told as PATH tells it: by what its caller says, by what its service offers, by what is in it.

use http::Method;
use portico_relay::RpcType;

use super::{comet_bft, jsonrpc};

/// How a request is read and its answer judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// JSON-RPC, of this kind; if none is given, each call's method tells it.
    JsonRpc(Option<RpcType>),
    /// Plain HTTP, of this kind.
    Http(RpcType),
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looked<'a> {
    /// The kind that the caller names.
    pub(crate) named: Option<RpcType>,
    /// The kinds that the service offers; none if nobody said.
    pub(crate) offered: Option<&'a [RpcType]>,
    pub(crate) method: &'a Method,
    /// Path and query for the backend: empty, or starting with `/` or `?`.
    pub(crate) path: &'a str,
    pub(crate) body: &'a [u8],
}

/// The kinds whose calls are an HTTP request.
const OF_HTTP: [RpcType; 3] = [RpcType::JsonRpc, RpcType::Rest, RpcType::CometBft];

/// The protocol, or the kind that has no request like this one.
///
/// A POST to the service itself is JSON-RPC whatever is in it: what cannot be read is told so, and not relayed.
pub(crate) fn detect(looked: Looked<'_>) -> Result<Protocol, RpcType> {
    let is_post = looked.method == Method::POST;
    match looked.named.or_else(|| only(looked.offered)) {
        Some(RpcType::JsonRpc) if is_post => Ok(Protocol::JsonRpc(Some(RpcType::JsonRpc))),
        Some(RpcType::CometBft) if is_post => Ok(Protocol::JsonRpc(Some(RpcType::CometBft))),
        Some(kind @ (RpcType::CometBft | RpcType::Rest)) => Ok(Protocol::Http(kind)),
        Some(kind) => Err(kind),
        None if is_post && is_root(looked.path) => Ok(Protocol::JsonRpc(of_method(looked.offered))),
        None if is_post && jsonrpc::looks_like(looked.body) => {
            Ok(Protocol::JsonRpc(of_method(looked.offered)))
        }
        None if looked.method == Method::GET && comet_bft::is_uri(looked.path) => {
            Ok(Protocol::Http(RpcType::CometBft))
        }
        None => Ok(Protocol::Http(RpcType::Rest)),
    }
}

/// The kind of HTTP that the service offers, if it is the only one.
fn only(offered: Option<&[RpcType]>) -> Option<RpcType> {
    let mut of_http = offered?.iter().filter(|kind| OF_HTTP.contains(kind));
    of_http.next().copied().filter(|_| of_http.next().is_none())
}

/// The kind of every JSON-RPC call, unless its method may be CometBFT's.
fn of_method(offered: Option<&[RpcType]>) -> Option<RpcType> {
    let no_comet_bft = offered.is_some_and(|offered| !offered.contains(&RpcType::CometBft));
    no_comet_bft.then_some(RpcType::JsonRpc)
}

fn is_root(path: &str) -> bool {
    path.is_empty() || path.starts_with('?')
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#;

    fn detected(
        named: Option<RpcType>,
        offered: Option<&[RpcType]>,
        method: &Method,
        path: &str,
        body: &str,
    ) -> Result<Protocol, RpcType> {
        detect(Looked {
            named,
            offered,
            method,
            path,
            body: body.as_bytes(),
        })
    }

    #[test]
    fn what_is_in_a_request_tells_its_protocol() {
        use RpcType::{CometBft, Rest};
        let by_method = Protocol::JsonRpc(None);
        for (method, path, body, protocol) in [
            (Method::POST, "", CALL, by_method),
            (Method::POST, "?key=1", CALL, by_method),
            (Method::POST, "", "hello", by_method),
            (Method::POST, "/ext/bc/C/rpc", CALL, by_method),
            (
                Method::POST,
                "/ext/bc/C/rpc",
                "[{\"id\":1,\"method\":\"m\"}]",
                by_method,
            ),
            (
                Method::POST,
                "/cosmos/tx/v1beta1/txs",
                r#"{"tx_bytes":""}"#,
                Protocol::Http(Rest),
            ),
            (Method::POST, "/v2/form", "a=1", Protocol::Http(Rest)),
            (Method::GET, "/status", "", Protocol::Http(CometBft)),
            (Method::GET, "/block?height=5", "", Protocol::Http(CometBft)),
            (Method::HEAD, "/status", "", Protocol::Http(Rest)),
            (
                Method::GET,
                "/cosmos/bank/v1beta1/supply",
                "",
                Protocol::Http(Rest),
            ),
            (Method::PUT, "/status", CALL, Protocol::Http(Rest)),
            (Method::GET, "", "", Protocol::Http(Rest)),
        ] {
            let found = detected(None, None, &method, path, body);
            assert_eq!(found, Ok(protocol), "{method} {path} {body}");
        }
    }

    #[test]
    fn who_calls_and_what_is_offered_come_first() {
        use RpcType::{CometBft, Grpc, JsonRpc, Rest, WebSocket};
        let named = |kind, method, body| detected(Some(kind), None, &method, "/status", body);
        assert_eq!(
            named(JsonRpc, Method::POST, ""),
            Ok(Protocol::JsonRpc(Some(JsonRpc)))
        );
        assert_eq!(
            named(CometBft, Method::POST, CALL),
            Ok(Protocol::JsonRpc(Some(CometBft)))
        );
        assert_eq!(named(CometBft, Method::GET, ""), Ok(Protocol::Http(CometBft)));
        assert_eq!(named(Rest, Method::POST, CALL), Ok(Protocol::Http(Rest)));
        assert_eq!(named(JsonRpc, Method::GET, ""), Err(JsonRpc));
        assert_eq!(named(WebSocket, Method::GET, ""), Err(WebSocket));
        assert_eq!(named(Grpc, Method::POST, ""), Err(Grpc));

        let offered = |kinds: &[RpcType], method| detected(None, Some(kinds), &method, "/status", CALL);
        assert_eq!(offered(&[JsonRpc, WebSocket], Method::GET), Err(JsonRpc));
        assert_eq!(offered(&[Rest], Method::POST), Ok(Protocol::Http(Rest)));
        assert_eq!(
            offered(&[JsonRpc, Rest], Method::POST),
            Ok(Protocol::JsonRpc(Some(JsonRpc)))
        );
        assert_eq!(
            offered(&[JsonRpc, CometBft], Method::POST),
            Ok(Protocol::JsonRpc(None))
        );
        assert_eq!(
            offered(&[JsonRpc, CometBft], Method::GET),
            Ok(Protocol::Http(CometBft))
        );
        let both = detected(Some(Rest), Some(&[JsonRpc]), &Method::GET, "/x", "");
        assert_eq!(both, Ok(Protocol::Http(Rest)), "who calls knows best");
    }
}
