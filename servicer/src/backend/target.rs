//! Where a relay's request goes: the backend's address with the path and query that were asked for.

use reqwest::Url;

/// The backend's address with the request's path and query: paths are joined, the backend's own query parameters added.
pub(super) fn target(backend: &Url, requested: &str) -> Option<Url> {
    let base = Url::parse("http://relay.invalid/").ok()?;
    let requested = base.join(requested).ok()?;
    let mut url = backend.clone();
    let path = format!("{}{}", backend.path().trim_end_matches('/'), requested.path());
    url.set_path(&path);
    if backend.query().is_none() {
        url.set_query(requested.query());
    } else {
        let mut pairs: Vec<_> = requested.query_pairs().chain(backend.query_pairs()).collect();
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use reqwest::Url;

    fn target(backend: &str, requested: &str) -> String {
        super::target(&Url::parse(backend).unwrap(), requested)
            .unwrap()
            .to_string()
    }

    #[test]
    fn joins_paths_and_queries() {
        for (backend, requested, expected) in [
            ("http://node:8545", "http://gw.example/", "http://node:8545/"),
            ("http://node:8545", "", "http://node:8545/"),
            (
                "http://node/base/",
                "https://gw.example/v1/x?b=2&a=1",
                "http://node/base/v1/x?b=2&a=1",
            ),
            (
                "http://node/rpc?key=k",
                "/v1?z=1&a=2",
                "http://node/rpc/v1?a=2&key=k&z=1",
            ),
            (
                "http://node/base",
                "http://gw/../../etc/passwd",
                "http://node/base/etc/passwd",
            ),
            (
                "http://node/base",
                "http://gw/%2e%2e/admin",
                "http://node/base/admin",
            ),
        ] {
            assert_eq!(target(backend, requested), expected, "{backend} + {requested}");
        }
    }

    #[test]
    fn never_leaves_the_backend_host() {
        for requested in ["http://evil/", "//evil/x", "https://user@evil:1/x", "http:evil"] {
            assert!(
                target("http://node:1/", requested).starts_with("http://node:1/"),
                "{requested}"
            );
        }
    }
}
