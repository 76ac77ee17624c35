//! Which service a call is for, and which path behind it.

use http::{HeaderMap, HeaderName, Uri};
use portico_protocol::ServiceId;
use portico_relay::RpcType;

use crate::core::fault::shortened;
use crate::front::error::CallError;
use crate::signer::Signers;

/// Where calls go; everything below belongs to a service.
pub(crate) const ROOT: &str = "/v1";
/// Names the service; then the whole path below [`ROOT`] is the backend's.
const TARGET_SERVICE: HeaderName = HeaderName::from_static("target-service-id");
/// Names the kind of call, as a word.
const RPC_TYPE: HeaderName = HeaderName::from_static("rpc-type");

/// A call's way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) service: ServiceId,
    /// Path and query for the backend: empty, or starting with `/` or `?`.
    pub(crate) path: String,
}

/// Finds the service: the header's; else the first path segment's; else the only one.
///
/// `/v1/eth/a/b?c` and `/v1/a/b?c` with `Target-Service-Id: eth` both are `/a/b?c` of `eth`.
pub(crate) fn route(uri: &Uri, headers: &HeaderMap, signers: &Signers) -> Result<Route, CallError> {
    check_rpc_type(headers)?;
    let below = uri.path().strip_prefix(ROOT).unwrap_or("");
    let (first, rest) = first_segment(below);
    let header = headers
        .get(TARGET_SERVICE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let (asked, path) = match &header {
        Some(header) if header.trim() == first => (Some(first), rest),
        Some(header) => (Some(header.trim()), below),
        None if first.is_empty() => (None, ""),
        None => (Some(first), rest),
    };
    let path = if path == "/" { "" } else { path }; // behind a service's name it says nothing
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Route {
        service: service(asked, signers)?,
        path: format!("{path}{query}"),
    })
}

/// The first segment of a path, and what follows it as it was written.
fn first_segment(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches('/');
    path.split_at(path.find('/').unwrap_or(path.len()))
}

fn service(asked: Option<&str>, signers: &Signers) -> Result<ServiceId, CallError> {
    let found = match asked {
        Some(asked) => signers.services().find(|service| service.as_str() == asked),
        None if signers.services().len() == 1 => signers.services().next(),
        None => None,
    };
    found.cloned().ok_or_else(|| CallError::UnknownService {
        asked: asked.map(shortened),
        available: signers.services().map(ToString::to_string).collect(),
    })
}

fn check_rpc_type(headers: &HeaderMap) -> Result<(), CallError> {
    let Some(given) = headers.get(RPC_TYPE) else {
        return Ok(());
    };
    let given = String::from_utf8_lossy(given.as_bytes());
    match RpcType::parse(&given) {
        Some(RpcType::JsonRpc) => Ok(()),
        _ => Err(CallError::RpcType(shortened(&given.to_ascii_lowercase()))),
    }
}

#[cfg(test)]
mod tests {
    use portico_config::gateway::{ApplicationConfig, GatewayConfig};

    use super::*;

    fn signers(services: &[&str]) -> Signers {
        let application = |service: &&str| ApplicationConfig {
            address: None,
            service_id: ServiceId::new(service).unwrap(),
            key: Some(portico_config::Secret::new("11".repeat(32))),
        };
        let applications = services.iter().map(application).collect();
        Signers::new(&GatewayConfig {
            applications,
            ..Default::default()
        })
        .unwrap()
    }

    fn found(
        services: &[&str],
        uri: &str,
        header: Option<&'static str>,
    ) -> Result<(String, String), &'static str> {
        let mut headers = HeaderMap::new();
        header.map(|header| headers.insert("Target-Service-Id", header.parse().unwrap()));
        let route = route(&uri.parse().unwrap(), &headers, &signers(services));
        route
            .map(|route| (route.service.to_string(), route.path))
            .map_err(|error| error.row().reason)
    }

    #[test]
    fn finds_service_and_path() {
        let both = &["eth", "pocket"][..];
        for (services, uri, header, service, path) in [
            (&["eth"][..], "/v1", None, "eth", ""),
            (&["eth"], "/v1/", None, "eth", ""),
            (&["eth"], "/v1?key=1", None, "eth", "?key=1"),
            (both, "/v1/pocket", None, "pocket", ""),
            (both, "/v1/eth/", None, "eth", ""),
            (both, "/v1/eth/ext/bc/C/rpc?a=b", None, "eth", "/ext/bc/C/rpc?a=b"),
            (both, "/v1", Some("eth"), "eth", ""),
            (both, "/v1/ext/bc", Some("eth"), "eth", "/ext/bc"),
            (both, "/v1/eth/ext", Some("eth"), "eth", "/ext"),
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
            assert_eq!(
                found(services, uri, header),
                Ok((service.into(), path.into())),
                "{uri} {header:?}"
            );
        }
    }

    #[test]
    fn does_not_guess_a_service() {
        assert_eq!(found(&["eth", "pocket"], "/v1", None), Err("unknown_service"));
        assert_eq!(found(&["eth"], "/v1/nosuch", None), Err("unknown_service"));
        assert_eq!(found(&["eth"], "/v1", Some("nosuch")), Err("unknown_service"));
        assert_eq!(found(&["eth"], "/v1/eth", Some("")), Err("unknown_service"));
    }

    #[test]
    fn names_kinds_of_call_that_are_not_relayed() {
        let mut headers = HeaderMap::new();
        headers.insert("RPC-Type", "comet_bft".parse().unwrap());
        let error = route(&"/v1".parse().unwrap(), &headers, &signers(&["eth"])).unwrap_err();
        assert_eq!(error.row().reason, "rpc_type_unsupported");
        headers.insert("RPC-Type", "JSON_RPC".parse().unwrap());
        assert!(route(&"/v1".parse().unwrap(), &headers, &signers(&["eth"])).is_ok());
    }
}
