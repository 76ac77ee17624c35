//! The HTTP request and response that travel as a relay's payload.

#[cfg(test)]
pub(crate) mod tests;

use bytes::Bytes;
use prost::Message;

use crate::wire::sdk::types::{Header, PokthttpRequest, PokthttpResponse};

/// Encodes a request; header names are made canonical (`content-type` becomes `Content-Type`), entries are sorted by name.
pub fn encode_http_request<N: AsRef<str>, V: Into<String>>(
    method: &str,
    url: &str,
    headers: impl IntoIterator<Item = (N, V)>,
    body: Bytes,
) -> Bytes {
    let request = PokthttpRequest {
        method: method.to_owned(),
        header: header_map(headers),
        url: url.to_owned(),
        body_bz: body,
    };
    request.encode_to_vec().into()
}

/// Encodes a response, as [`encode_http_request`] does a request.
pub fn encode_http_response<N: AsRef<str>, V: Into<String>>(
    status: u16,
    headers: impl IntoIterator<Item = (N, V)>,
    body: Bytes,
) -> Bytes {
    let response = PokthttpResponse {
        status_code: status.into(),
        header: header_map(headers),
        body_bz: body,
    };
    response.encode_to_vec().into()
}

/// Reads a request; the body shares the payload's memory.
pub fn decode_http_request(payload: &Bytes) -> Result<PokthttpRequest, prost::DecodeError> {
    PokthttpRequest::decode(payload.clone())
}

/// Reads a response; the body shares the payload's memory.
pub fn decode_http_response(payload: &Bytes) -> Result<PokthttpResponse, prost::DecodeError> {
    PokthttpResponse::decode(payload.clone())
}

fn header_map<N: AsRef<str>, V: Into<String>>(
    headers: impl IntoIterator<Item = (N, V)>,
) -> std::collections::BTreeMap<String, Header> {
    let mut map = std::collections::BTreeMap::new();
    for (name, value) in headers {
        let key = canonical(name.as_ref());
        let entry = map.entry(key.clone()).or_insert_with(|| Header {
            key,
            values: Vec::new(),
        });
        entry.values.push(value.into());
    }
    map
}

/// Go's canonical form of a header name: `content-type` → `Content-Type`, the first letter and each after a hyphen in upper case, the
/// others in lower case. What is not a header name (a character that RFC 9110 does not allow in it) stays as it is.
#[must_use]
pub fn canonical(name: &str) -> String {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    if !name.bytes().all(allowed) {
        return name.to_owned();
    }
    let mut upper = true;
    let case = |c: char| {
        let c = if upper {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        };
        upper = c == '-';
        c
    };
    name.chars().map(case).collect()
}
