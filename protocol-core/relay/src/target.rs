//! Where a call goes behind a supplier's endpoint.

use std::borrow::Cow;

/// The URL of a call to `called` (path and query: empty, or starting with `/` or `?`) behind the staked `endpoint`.
///
/// Paths are joined by one slash, queries by `&`, the endpoint's first. Everything else stays as it was staked and as it was called:
/// escapes, order, doubled and trailing slashes.
#[must_use]
pub fn join<'e>(endpoint: &'e str, called: &str) -> Cow<'e, str> {
    if called.is_empty() {
        return Cow::Borrowed(endpoint);
    }
    let endpoint = endpoint.split_once('#').map_or(endpoint, |(before, _)| before);
    let (base, staked_query) = split_query(endpoint);
    let (path, called_query) = split_query(called);
    let base = match path.is_empty() {
        true => base,
        false => base.strip_suffix('/').unwrap_or(base),
    };
    let mut url = String::with_capacity(endpoint.len().saturating_add(called.len()).saturating_add(1));
    url.push_str(base);
    url.push_str(path);
    let queries = staked_query.into_iter().chain(called_query);
    for (query, separator) in queries.zip(['?', '&']) {
        url.push(separator);
        url.push_str(query);
    }
    Cow::Owned(url)
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    text.split_once('?')
        .map_or((text, None), |(before, query)| (before, Some(query)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_paths_and_queries_without_touching_them() {
        for (endpoint, called, url) in [
            ("https://s.example", "", "https://s.example"),
            ("https://s.example/base/", "", "https://s.example/base/"),
            ("https://s.example/base/", "/x", "https://s.example/base/x"),
            ("https://s.example/base", "//x/", "https://s.example/base//x/"),
            ("https://s.example/base/", "?a=1", "https://s.example/base/?a=1"),
            (
                "https://s.example",
                "/a%2Fb?z=a%20b&a=%7E",
                "https://s.example/a%2Fb?z=a%20b&a=%7E",
            ),
            (
                "https://s.example/r?z=a%20b",
                "/x?b=2&a=1",
                "https://s.example/r/x?z=a%20b&b=2&a=1",
            ),
            (
                "https://s.example/r?z=a%20b",
                "/x",
                "https://s.example/r/x?z=a%20b",
            ),
            ("https://s.example/r?k", "?a=1?b", "https://s.example/r?k&a=1?b"),
            ("https://s.example/r#part", "/x", "https://s.example/r/x"),
        ] {
            assert_eq!(join(endpoint, called), url, "{endpoint} + {called}");
        }
    }
}
