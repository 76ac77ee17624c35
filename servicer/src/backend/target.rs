//! Where a relay's request goes: the backend's address with the path and query that were asked for, byte for byte.

use std::sync::LazyLock;

use reqwest::Url;

/// Relays may name their target by its path alone.
static NOWHERE: LazyLock<Url> =
    LazyLock::new(|| Url::parse("http://relay.invalid/").expect("a URL that does not change"));

/// `backend` with path and query of `requested`; `None` when that is no URL.
///
/// The backend's own path comes first, as configured; its query parameters come last, and whoever asks cannot give one of them himself.
/// Escapes stay as they are. Dot segments are resolved before the paths are joined, so that nobody leaves the backend's path.
pub(super) fn target(backend: &Url, requested: &str) -> Option<Url> {
    let requested = NOWHERE.join(requested).ok()?;
    let mut url = backend.clone();
    if requested.path() != "/" {
        let base = backend.path().trim_end_matches('/');
        url.set_path(&format!("{base}{}", requested.path()));
    }
    match (requested.query(), backend.query()) {
        (query, None) => url.set_query(query),
        (None, Some(_)) => {}
        (Some(asked), Some(own)) => url.set_query(Some(&joined(asked, own))),
    }
    url.set_fragment(None);
    Some(url)
}

/// The path of `requested`, escapes as they are; `None` when that is no URL.
pub(super) fn path_of(requested: &str) -> Option<String> {
    NOWHERE.join(requested).ok().map(|url| url.path().to_owned())
}

/// The parameters of `asked` that `own` has not, then those of `own`.
fn joined(asked: &str, own: &str) -> String {
    let own_keys: Vec<String> = own.split('&').map(key).collect();
    let mut parts: Vec<&str> = asked
        .split('&')
        .filter(|part| part.is_empty() || !own_keys.contains(&key(part)))
        .collect();
    parts.push(own);
    parts.join("&")
}

/// The name of a query parameter as a node reads it: escapes decoded, in lower case, as some nodes do not tell case apart.
fn key(part: &str) -> String {
    let mut url = NOWHERE.clone();
    url.set_query(Some(part));
    let name = url.query_pairs().next();
    name.map(|(name, _)| name.to_lowercase()).unwrap_or_default()
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
                "http://node/rpc/v1?z=1&a=2&key=k",
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
    fn keeps_what_is_configured_and_called_as_written() {
        for (backend, requested, expected) in [
            ("http://node/rpc", "http://gw/", "http://node/rpc"),
            ("http://node/rpc/", "http://gw/", "http://node/rpc/"),
            (
                "http://node/v%2F1?k=a%20b+c",
                "/x%2Fy//z?z=a%20b&q=%7B%22a%22%3A1%7D&&e",
                "http://node/v%2F1/x%2Fy//z?z=a%20b&q=%7B%22a%22%3A1%7D&&e&k=a%20b+c",
            ),
            ("http://node/?k=v", "/?z=1&a=2", "http://node/?z=1&a=2&k=v"),
        ] {
            assert_eq!(target(backend, requested), expected, "{backend} + {requested}");
        }
    }

    #[test]
    fn nobody_gives_the_backends_own_parameters() {
        for asked in [
            "key=mine",
            "KEY=mine",
            "%6bey=mine",
            "a=1&key=mine&key=again",
            "key",
        ] {
            let url = target("http://node/?key=secret", &format!("/x?{asked}"));
            let keys = url.to_lowercase().matches("key").count();
            assert!(keys == 1 && url.ends_with("key=secret"), "{asked}: {url}");
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
