//! A call: what a client asks of a service, as the backend is to get it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use portico_protocol::wire::sdk::types::{Header, PokthttpRequest};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::{RpcType, target};

/// Name and value of a request header, the name in canonical case (`Content-Type`).
pub type HeaderField = (Cow<'static, str>, Cow<'static, str>);

/// What a JSON-RPC call says of itself, as the network's gateways write it.
static JSON_HEADERS: [HeaderField; 1] = [(Cow::Borrowed("Content-Type"), Cow::Borrowed("application/json"))];

/// Numbers of `POKTHTTPRequest.url` and `POKTHTTPRequest.body_bz`, the last of its fields.
const URL: u32 = 3;
const BODY: u32 = 4;
/// Most bytes that the number and the length of a field take here.
const MAX_KEY: usize = 11;

/// One call to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its kind.
    pub rpc_type: RpcType,
    /// HTTP method that the backend is asked with.
    pub method: Cow<'static, str>,
    /// Path and query behind the supplier's endpoint: empty, or starting with `/` or `?`.
    pub path: String,
    /// Request headers for the backend.
    pub headers: Cow<'static, [HeaderField]>,
    /// Body, as the client wrote it.
    pub body: Bytes,
}

impl Call {
    /// A JSON-RPC call over POST.
    #[must_use]
    pub const fn json_rpc(path: String, body: Bytes) -> Self {
        Self::posted(RpcType::JsonRpc, path, body)
    }

    /// The same of another kind: CometBFT's RPC speaks JSON-RPC too.
    #[must_use]
    pub const fn posted(rpc_type: RpcType, path: String, body: Bytes) -> Self {
        Self {
            rpc_type,
            method: Cow::Borrowed("POST"),
            path,
            headers: Cow::Borrowed(&JSON_HEADERS),
            body,
        }
    }

    /// The relay's payload: the HTTP request that the supplier behind `endpoint` is to make of its backend.
    #[must_use]
    pub fn payload(&self, endpoint: &str) -> Bytes {
        let before = self.method_and_headers();
        let url = target::join(endpoint, &self.path);
        let mut bytes = Vec::with_capacity(before.len() + url.len() + self.body.len() + 2 * MAX_KEY);
        bytes.extend_from_slice(&before);
        for (field, value) in [(URL, url.as_bytes()), (BODY, &self.body)] {
            if !value.is_empty() {
                encode_key(field, WireType::LengthDelimited, &mut bytes);
                encode_varint(value.len() as u64, &mut bytes);
                bytes.extend_from_slice(value);
            }
        }
        bytes.into()
    }

    /// The payload's first fields. Those of a JSON-RPC call, which is what nearly all calls are, are encoded once.
    fn method_and_headers(&self) -> Cow<'static, [u8]> {
        static POSTED: LazyLock<Vec<u8>> =
            LazyLock::new(|| encoded(&Call::json_rpc(String::new(), Bytes::new())));
        fn encoded(call: &Call) -> Vec<u8> {
            let request = PokthttpRequest {
                method: call.method.to_string(),
                header: call.header_map(),
                ..PokthttpRequest::default()
            };
            request.encode_to_vec()
        }
        match &self.headers {
            Cow::Borrowed(headers) if std::ptr::eq(*headers, &JSON_HEADERS) && self.method == "POST" => {
                Cow::Borrowed(&POSTED)
            }
            _ => Cow::Owned(encoded(self)),
        }
    }

    fn header_map(&self) -> BTreeMap<String, Header> {
        let mut map: BTreeMap<String, Header> = BTreeMap::new();
        for (name, value) in self.headers.iter() {
            let entry = map.entry(name.to_string()).or_insert_with(|| Header {
                key: name.to_string(),
                values: Vec::new(),
            });
            entry.values.push(value.to_string());
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_the_backends_http_request() {
        let call = Call::json_rpc("/ext?k=v".to_owned(), Bytes::from_static(b"{}"));
        let request = PokthttpRequest::decode(call.payload("https://supplier.example/base/")).unwrap();
        assert_eq!(request.method, "POST");
        assert_eq!(request.url, "https://supplier.example/base/ext?k=v");
        assert_eq!(request.header["Content-Type"].values, ["application/json"]);
        assert_eq!(request.header["Content-Type"].key, "Content-Type");
        assert_eq!(request.body_bz, "{}");
    }

    #[test]
    fn a_payload_is_encoded_as_prost_does() {
        let json = Call::json_rpc("/x".to_owned(), Bytes::from_static(b"{}"));
        let calls = [
            json.clone(),
            Call {
                body: Bytes::new(),
                ..json.clone()
            },
            Call {
                method: Cow::Borrowed("PUT"),
                ..json.clone()
            },
            Call {
                headers: Cow::Borrowed(&[]),
                ..json.clone()
            },
            Call {
                headers: vec![(Cow::Borrowed("Accept"), Cow::Borrowed("a"))].into(),
                ..json
            },
        ];
        for call in calls {
            for endpoint in ["", "http://s"] {
                let request = PokthttpRequest {
                    method: call.method.to_string(),
                    header: call.header_map(),
                    url: target::join(endpoint, &call.path).into_owned(),
                    body_bz: call.body.clone(),
                };
                assert_eq!(call.payload(endpoint), request.encode_to_vec(), "{call:?}");
            }
        }
    }

    #[test]
    fn values_of_one_header_stay_in_order() {
        let field = |value: &'static str| (Cow::Borrowed("Accept"), Cow::Borrowed(value));
        let call = Call {
            headers: vec![field("b"), field("a")].into(),
            ..Call::json_rpc(String::new(), Bytes::new())
        };
        let request = PokthttpRequest::decode(call.payload("http://s")).unwrap();
        assert_eq!(request.header["Accept"].values, ["b", "a"]);
    }
}
