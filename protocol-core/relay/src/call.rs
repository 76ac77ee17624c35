//! A call: what a client asks of a service, as the backend is to get it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use portico_protocol::wire::sdk::types::{Header, PokthttpRequest};
use prost::Message;

use crate::{RpcType, target};

/// Name and value of a request header, the name in canonical case (`Content-Type`).
pub type HeaderField = (Cow<'static, str>, Cow<'static, str>);

/// What a JSON-RPC call says of itself, as the network's gateways write it.
static JSON_HEADERS: [HeaderField; 1] = [(Cow::Borrowed("Content-Type"), Cow::Borrowed("application/json"))];

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
        let request = PokthttpRequest {
            method: self.method.to_string(),
            header: self.header_map(),
            url: target::join(endpoint, &self.path),
            body_bz: self.body.clone(),
        };
        request.encode_to_vec().into()
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
