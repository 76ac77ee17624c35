//! Reading calls: envelope and params.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

use super::error::RpcError;
use super::names::NAMES;

/// Longest query part of a URI that is read, in bytes; hyper bounds it too.
const MAX_QUERY_BYTES: usize = 1 << 20;

/// A call.
pub(super) struct Request {
    /// `None` for a notification.
    pub(super) id: Option<Value>,
    pub(super) method: String,
    pub(super) params: Params,
}

/// Params by name.
#[derive(Debug, Default)]
pub(super) struct Params {
    values: Map<String, Value>,
    in_uri: bool,
}

impl Request {
    /// Reads a call; an error comes with the id to answer to.
    pub(super) fn read(call: Value) -> Result<Self, (Value, RpcError)> {
        let Value::Object(mut call) = call else {
            let error = RpcError::invalid_request("a call is an object".into());
            return Err((Value::Null, error));
        };
        let id = call.remove("id");
        let fault = |text: &str| {
            let error = RpcError::invalid_request(text.to_owned());
            (id.clone().unwrap_or_default(), error)
        };
        if !matches!(id, None | Some(Value::String(_) | Value::Number(_) | Value::Null)) {
            let error = RpcError::invalid_request("id must be a text or a number".into());
            return Err((Value::Null, error));
        }
        if call.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(fault("jsonrpc must be \"2.0\""));
        }
        let Some(Value::String(method)) = call.remove("method") else {
            return Err(fault("method must be a text"));
        };
        let params = Params::of_body(&method, call.remove("params")).map_err(|error| (fault("").0, error))?;
        Ok(Self { id, method, params })
    }
}

impl Params {
    /// Params of a body: an object, or an array in the order of the method's params.
    fn of_body(method: &str, params: Option<Value>) -> Result<Self, RpcError> {
        let values = match params {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(values)) => values,
            Some(Value::Array(list)) => positional(method, list)?,
            Some(_) => {
                let text = "params must be an object or an array".to_owned();
                return Err(RpcError::invalid_params(text));
            }
        };
        Ok(Self {
            values,
            in_uri: false,
        })
    }

    /// Params of a URI: `"text"`, `0x…`, numbers and booleans.
    pub(super) fn of_query(query: &str) -> Result<Self, RpcError> {
        if query.len() > MAX_QUERY_BYTES {
            let text = format!("the query is longer than {MAX_QUERY_BYTES} bytes");
            return Err(RpcError::invalid_params(text));
        }
        let mut values = Map::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (unescape(name)?, unescape(value)?);
            values.insert(name, Value::String(value));
        }
        Ok(Self { values, in_uri: true })
    }

    fn text(&self, name: &str) -> Result<Option<&str>, RpcError> {
        match self.values.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, &other.to_string(), "a text")),
        }
    }

    /// A text without the quotes that a URI puts around it, or hexadecimal after `0x` there; empty when absent.
    pub(super) fn string(&self, name: &str) -> Result<String, RpcError> {
        let text = self.text(name)?.unwrap_or_default();
        if let (true, Some(digits)) = (self.in_uri, text.strip_prefix("0x")) {
            let bytes = hex::decode(digits).ok();
            let read = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            return read.ok_or_else(|| wrong(name, text, "a text in hexadecimal"));
        }
        Ok(quoted(text).unwrap_or(text).to_owned())
    }

    /// A number, as number or text; `None` when absent or empty.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, RpcError> {
        if let Some(Value::Number(number)) = self.values.get(name) {
            let whole = number.as_i64();
            return whole
                .map(Some)
                .ok_or_else(|| wrong(name, &number.to_string(), "a number"));
        }
        let text = self.string(name)?;
        match text.as_str() {
            "" => Ok(None),
            _ => text.parse().map(Some).map_err(|_| wrong(name, &text, "a number")),
        }
    }

    /// A boolean, as boolean or text; false when absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, RpcError> {
        if let Some(Value::Bool(flag)) = self.values.get(name) {
            return Ok(*flag);
        }
        match self.string(name)?.as_str() {
            "" | "false" => Ok(false),
            "true" => Ok(true),
            other => Err(wrong(name, other, "true or false")),
        }
    }

    /// Bytes: base64 in a body; `0x` with hexadecimal or a quoted text in a URI.
    pub(super) fn base64(&self, name: &str) -> Result<Vec<u8>, RpcError> {
        let text = self.text(name)?.unwrap_or_default();
        if self.in_uri {
            return uri_bytes(name, text);
        }
        BASE64.decode(text).map_err(|_| wrong(name, text, "base64"))
    }

    /// Bytes in hexadecimal, with or without `0x`; a quoted text in a URI.
    pub(super) fn hex(&self, name: &str) -> Result<Vec<u8>, RpcError> {
        let text = self.text(name)?.unwrap_or_default();
        if self.in_uri && quoted(text).is_some() {
            return uri_bytes(name, text);
        }
        let digits = text.strip_prefix("0x").unwrap_or(text);
        hex::decode(digits).map_err(|_| wrong(name, text, "hexadecimal"))
    }

    /// A hash of 32 bytes: base64 or hexadecimal in a body, hexadecimal in a URI.
    pub(super) fn hash(&self, name: &str) -> Result<[u8; 32], RpcError> {
        let text = self.text(name)?.unwrap_or_default();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = match hex::decode(digits) {
            Ok(bytes) if bytes.len() == 32 => bytes,
            _ => self.base64(name)?,
        };
        let fault = |_| wrong(name, text, "a hash of 32 bytes");
        bytes.try_into().map_err(fault)
    }
}

fn positional(method: &str, list: Vec<Value>) -> Result<Map<String, Value>, RpcError> {
    let known = NAMES.iter().find(|(name, _)| *name == method);
    let names = known.map_or(&[][..], |(_, names)| names);
    if list.len() > names.len() {
        let text = format!("{} params are too many: {names:?}", list.len());
        return Err(RpcError::invalid_params(text));
    }
    Ok(names.iter().map(|name| (*name).to_owned()).zip(list).collect())
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

fn uri_bytes(name: &str, text: &str) -> Result<Vec<u8>, RpcError> {
    if let Some(text) = quoted(text) {
        return Ok(text.as_bytes().to_vec());
    }
    let digits = text.strip_prefix("0x").or(text.is_empty().then_some(""));
    let bytes = digits.and_then(|digits| hex::decode(digits).ok());
    bytes.ok_or_else(|| wrong(name, text, "0x and hexadecimal, or a text in quotes"))
}

/// Undoes `%41` and `+`.
fn unescape(text: &str) -> Result<String, RpcError> {
    let fault = || RpcError::invalid_params(format!("{text:?} is not a URI's text"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2).ok_or_else(fault)?;
                let mut byte = [0];
                hex::decode_to_slice(digits, &mut byte).map_err(|_| fault())?;
                bytes.extend(byte);
                rest = tail;
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map_err(|_| fault())
}

fn wrong(name: &str, value: &str, expected: &str) -> RpcError {
    let shown: String = value.chars().take(100).collect();
    RpcError::invalid_params(format!("{name}: {shown:?} is not {expected}"))
}
