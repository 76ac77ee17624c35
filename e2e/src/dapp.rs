//! A dApp: plain JSON-RPC over HTTP, knowing nothing but the gateway's URL.

use anyhow::{Context, Result};
use reqwest::Method;
use serde_json::{Value, json};

use crate::network::SERVICE;

/// An HTTP client of one gateway.
#[derive(Clone, Debug)]
pub struct DApp {
    http: reqwest::Client,
    url: String,
}

/// What came back for one HTTP call.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header values by lower-case name.
    pub headers: reqwest::header::HeaderMap,
    /// Body as JSON; `Null` when empty.
    pub body: Value,
}

impl Answer {
    /// Value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether it is a JSON-RPC result.
    #[must_use]
    pub fn is_result(&self) -> bool {
        self.status == 200 && self.body.get("result").is_some()
    }

    /// `error.data.reason`, when it is an error of the gateway.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.body.pointer("/error/data/reason").and_then(Value::as_str)
    }
}

impl DApp {
    /// A dApp that uses the gateway at `url` (with its path, e.g. `http://127.0.0.1:3069/v1`).
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            http: portico_net::tls::ClientTls::public_http(),
            url: url.into(),
        }
    }

    /// The same with another client, which trusts whom it should.
    #[must_use]
    pub fn with_client(self, http: reqwest::Client) -> Self {
        Self { http, ..self }
    }

    /// The gateway's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls `method` without parameters.
    pub async fn call(&self, id: impl Into<Value>, method: &str) -> Result<Answer> {
        self.send(&json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": [] }))
            .await
    }

    /// Sends any JSON.
    pub async fn send(&self, body: &Value) -> Result<Answer> {
        answered(self.http.post(&self.url).json(body)).await
    }

    /// Asks for `path` (and query) behind the service, with these headers; the answer must be JSON.
    pub async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let url = format!("{}/{SERVICE}{path}", self.url);
        let request = self.http.request(method, url);
        let headers = headers.iter();
        answered(headers.fold(request, |request, (name, value)| request.header(*name, *value))).await
    }
}

async fn answered(request: reqwest::RequestBuilder) -> Result<Answer> {
    let response = request.send().await.context("the gateway does not answer")?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await?;
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).context("not JSON")?
    };
    Ok(Answer {
        status,
        headers,
        body,
    })
}
