//! Which service a call is for, which path behind it, and which kind its caller says it is.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, Uri};
use portico_net::websocket::is_upgrade;
use portico_relay::RpcType;

use super::services::{Service, Services};
use crate::core::fault::shortened;
use crate::front::error::CallError;

/// Where calls go; everything below belongs to a service.
pub(crate) const ROOT: &str = "/v1";
/// Names the service; then the whole path below [`ROOT`] is the backend's.
const TARGET_SERVICE: HeaderName = HeaderName::from_static("target-service-id");
/// Names the kind of call, as a word.
const RPC_TYPE: HeaderName = HeaderName::from_static("rpc-type");
/// The application at a portal, which may stand first in the path; PATH takes it away there.
const PORTAL_APPLICATION: HeaderName = HeaderName::from_static("portal-application-id");

/// A call's way.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) service: Arc<Service>,
    /// Path and query for the backend: empty, or starting with `/` or `?`.
    pub(crate) path: String,
    /// The kind of call that its caller names, or shows by its headers.
    pub(crate) named: Option<RpcType>,
}

/// Whether `uri` is below [`ROOT`], or its host stands for a service.
pub(crate) fn is_call(uri: &Uri, headers: &HeaderMap, services: &Services) -> bool {
    below_root(uri.path()).is_some() || by_host(uri, headers, services).is_some()
}

/// Finds the service: the header's; else the host's; else the first path segment's; else the only one. What the path says besides is the
/// backend's, as it was written.
///
/// `/v1/eth/a/b?c` and `/v1/a/b?c` with `Target-Service-Id: eth` both are `/a/b?c` of `eth`.
pub(crate) fn route(uri: &Uri, headers: &HeaderMap, services: &Services) -> Result<Route, CallError> {
    let named = named(headers)?;
    let path = below_root(uri.path()).unwrap_or(uri.path());
    let path = without_portal(path, headers);
    let header = headers.get(TARGET_SERVICE);
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()));
    let (service, path) = match (&header, by_host(uri, headers, services)) {
        (Some(header), _) => (find(header.trim(), services)?, path),
        (None, Some(service)) => (service, path),
        (None, None) => match first_segment(path) {
            ("", _) => (services.only().ok_or_else(|| unknown(None, services))?, ""),
            (first, rest) => (find(first, services)?, rest),
        },
    };
    let path = if path == "/" { "" } else { path }; // behind a service's name it says nothing
    let path = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    Ok(Route {
        service: Arc::clone(service),
        path,
        named,
    })
}

/// What is below [`ROOT`]: empty, or starting with `/`.
fn below_root(path: &str) -> Option<&str> {
    let below = path.strip_prefix(ROOT)?;
    (below.is_empty() || below.starts_with('/')).then_some(below)
}

fn by_host<'s>(uri: &Uri, headers: &HeaderMap, services: &'s Services) -> Option<&'s Arc<Service>> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()); // of HTTP/1.1; HTTP/2 has it in the URI
    services.at_host(host.or_else(|| uri.host())?)
}

/// The path without the application at a portal, if it comes first.
fn without_portal<'p>(path: &'p str, headers: &HeaderMap) -> &'p str {
    let portal = headers
        .get(PORTAL_APPLICATION)
        .and_then(|value| value.to_str().ok());
    let (first, rest) = first_segment(path);
    match portal.map(str::trim) {
        Some(portal) if !portal.is_empty() && portal == first => rest,
        _ => path,
    }
}

/// The first segment of a path, and what follows it as it was written.
fn first_segment(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    path.split_at(path.find('/').unwrap_or(path.len()))
}

fn find<'s>(name: &str, services: &'s Services) -> Result<&'s Arc<Service>, CallError> {
    services.named(name).ok_or_else(|| unknown(Some(name), services))
}

/// That no service is called so.
pub(crate) fn unknown(asked: Option<&str>, services: &Services) -> CallError {
    CallError::UnknownService {
        asked: asked.map(shortened),
        available: services.ids(),
    }
}

/// The kind that the caller names, or that its headers show; errs with one that is not relayed.
fn named(headers: &HeaderMap) -> Result<Option<RpcType>, CallError> {
    if is_upgrade(headers) {
        return Ok(Some(RpcType::WebSocket));
    }
    if let Some(given) = headers.get(RPC_TYPE) {
        let given = String::from_utf8_lossy(given.as_bytes());
        return match RpcType::parse(&given) {
            Some(kind @ (RpcType::JsonRpc | RpcType::Rest | RpcType::CometBft)) => Ok(Some(kind)),
            _ => Err(CallError::RpcType(shortened(&given.to_ascii_lowercase()))),
        };
    }
    let is = |name: &HeaderName, prefix: &[u8]| {
        let value = headers
            .get(name)
            .and_then(|value| value.as_bytes().get(..prefix.len()));
        value.is_some_and(|value| value.eq_ignore_ascii_case(prefix))
    };
    match () {
        () if is(&CONTENT_TYPE, b"application/grpc") => Ok(Some(RpcType::Grpc)),
        () => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use portico_config::gateway::{ApplicationConfig, GatewayConfig, ServiceConfig};
    use portico_protocol::ServiceId;

    use super::*;

    fn services(ids: &[&str]) -> Services {
        let application = |service: &&str| ApplicationConfig {
            address: None,
            service_id: ServiceId::new(service).unwrap(),
            key: Some(portico_config::Secret::new("11".repeat(32))),
        };
        let special = ServiceConfig {
            aliases: vec!["ethereum".to_owned(), "1".to_owned()],
            hosts: vec!["eth.example".to_owned()],
            ..ServiceConfig::default()
        };
        Services::new(&GatewayConfig {
            applications: ids.iter().map(application).collect(),
            services: [(ServiceId::new("eth").unwrap(), special)].into(),
            ..GatewayConfig::default()
        })
        .unwrap()
    }

    fn found(
        ids: &[&str],
        uri: &str,
        fields: &[(&'static str, &str)],
    ) -> Result<(String, String), &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(*name, value.parse().unwrap());
        }
        let route = route(&uri.parse().unwrap(), &headers, &services(ids));
        route
            .map(|route| (route.service.id.to_string(), route.path))
            .map_err(|error| error.row().reason)
    }

    const TARGET: &str = "target-service-id";

    #[test]
    fn finds_service_and_path() {
        let both = &["eth", "pocket"][..];
        for (ids, uri, header, service, path) in [
            (&["eth"][..], "/v1", None, "eth", ""),
            (&["eth"], "/v1/", None, "eth", ""),
            (&["eth"], "/v1?key=1", None, "eth", "?key=1"),
            (both, "/v1/pocket", None, "pocket", ""),
            (both, "/v1/eth/", None, "eth", ""),
            (both, "/v1/ethereum/x", None, "eth", "/x"),
            (both, "/v1/eth/ext/bc/C/rpc?a=b", None, "eth", "/ext/bc/C/rpc?a=b"),
            (both, "/v1", Some("eth"), "eth", ""),
            (both, "/v1/", Some("1"), "eth", ""),
            (both, "/v1/ext/bc", Some("eth"), "eth", "/ext/bc"),
            (both, "/v1/eth/ext", Some("eth"), "eth", "/eth/ext"), // as PATH: a header leaves the whole path to the backend
            (both, "/v1/pocket", Some("eth"), "eth", "/pocket"),
            (
                both,
                "/v1/eth/a%2Fb//c/?z=a%20b&a=",
                None,
                "eth",
                "/a%2Fb//c/?z=a%20b&a=",
            ),
            (both, "/v1//a/", Some("eth"), "eth", "//a/"),
            (both, "/v1//eth", None, "eth", ""),
        ] {
            let fields = header.map(|header| (TARGET, header));
            assert_eq!(
                found(ids, uri, fields.as_slice()),
                Ok((service.into(), path.into())),
                "{uri} {header:?}"
            );
        }
    }

    #[test]
    fn a_host_may_stand_for_a_service() {
        let both = &["eth", "pocket"][..];
        for (host, uri, path) in [
            ("eth.example", "/v1", ""),
            ("ETH.example.:8080", "/", ""),
            ("eth.example", "/v1/pocket", "/pocket"),
            ("eth.example", "/cosmos/bank?x=1", "/cosmos/bank?x=1"),
        ] {
            assert_eq!(
                found(both, uri, &[("host", host)]),
                Ok(("eth".into(), path.into())),
                "{host} {uri}"
            );
        }
        let of_http2 = found(both, "https://eth.example/v1/x", &[]);
        assert_eq!(of_http2, Ok(("eth".into(), "/x".into())));
        let named = found(both, "/v1/x", &[("host", "eth.example"), (TARGET, "pocket")]);
        assert_eq!(named, Ok(("pocket".into(), "/x".into())));
    }

    #[test]
    fn an_application_at_a_portal_is_taken_from_the_path() {
        let both = &["eth", "pocket"][..];
        let portal = ("portal-application-id", "app1");
        let found = |uri, fields: &[(&'static str, &str)]| found(both, uri, fields).unwrap().1;
        assert_eq!(found("/v1/app1/x", &[portal, (TARGET, "eth")]), "/x");
        assert_eq!(found("/v1/app1", &[portal, (TARGET, "eth")]), "");
        assert_eq!(found("/v1/x/app1", &[portal, (TARGET, "eth")]), "/x/app1");
        assert_eq!(found("/v1/app1/eth/x", &[portal]), "/x");
    }

    #[test]
    fn does_not_guess_a_service() {
        assert_eq!(found(&["eth", "pocket"], "/v1", &[]), Err("unknown_service"));
        assert_eq!(found(&["eth"], "/v1/nosuch", &[]), Err("unknown_service"));
        assert_eq!(
            found(&["eth"], "/v1", &[(TARGET, "nosuch")]),
            Err("unknown_service")
        );
        assert_eq!(
            found(&["eth"], "/v1/eth", &[(TARGET, "")]),
            Err("unknown_service")
        );
    }

    #[test]
    fn names_kinds_of_call_that_are_not_relayed() {
        let named = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            named(&headers).map_err(|error| error.row().reason)
        };
        for (name, value, kind) in [
            ("rpc-type", "comet_bft", Ok(Some(RpcType::CometBft))),
            ("rpc-type", "JSON_RPC", Ok(Some(RpcType::JsonRpc))),
            ("rpc-type", "4", Ok(Some(RpcType::Rest))),
            ("rpc-type", "websocket", Err("rpc_type_unsupported")),
            ("rpc-type", "soap", Err("rpc_type_unsupported")),
            ("upgrade", "WebSocket", Ok(Some(RpcType::WebSocket))),
            ("content-type", "application/grpc+proto", Ok(Some(RpcType::Grpc))),
            ("content-type", "application/json", Ok(None)),
        ] {
            assert_eq!(named(name, value), kind, "{name}: {value}");
        }
    }
}
