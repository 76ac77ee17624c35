//! What a gateway has to answer, by JSON-RPC 2.0 and HTTP, and what it has to refuse.

use anyhow::Result;
use http::{Method, StatusCode};
use portico_protocol::ServiceId;
use serde_json::{Value, json};

use super::{Row, beginning};

/// A service that no network has.
const NO_SERVICE: &str = "no-such-service-of-conformance";

/// What came of a request.
struct Answer {
    status: StatusCode,
    text: String,
}

impl Answer {
    fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.text)
            .map_err(|_| format!("{}, no JSON: {}", self.status, beginning(&self.text)))
    }

    fn said(&self) -> String {
        format!("{}: {}", self.status, beginning(&self.text))
    }

    /// Passes if it is an error of JSON-RPC with this code, under this id.
    fn error(&self, code: i64, id: &Value) -> Result<String, String> {
        let answer = self.json()?;
        match answer["error"]["code"] == code && answer["id"] == *id {
            true => Ok(format!("{}, error {code}", self.status)),
            false => Err(self.said()),
        }
    }

    /// Passes if it is a result under this id.
    fn result(&self, id: &Value) -> Result<String, String> {
        let answer = self.json()?;
        is_result(&answer, id)
            .then(|| format!("{}, a result", self.status))
            .ok_or_else(|| self.said())
    }
}

fn is_result(answer: &Value, id: &Value) -> bool {
    answer["jsonrpc"] == "2.0"
        && answer["id"] == *id
        && answer.get("result").is_some()
        && answer.get("error").is_none()
}

/// Tries a gateway whose calls go to `front`.
pub(super) async fn rows(front: &str, service: &ServiceId, method: &str) -> Result<Vec<Row>> {
    let client = crate::http::client()?;
    // The path names the service, or a header does.
    let in_path = front.strip_suffix(&format!("/{service}"));
    let ask = async |verb: Method, url: String, body: String, id: &str| -> Result<Answer, String> {
        let mut request = client
            .request(verb, url)
            .header("Content-Type", "application/json");
        if in_path.is_none() {
            request = request.header("Target-Service-Id", id);
        }
        let request = request.body(body);
        let answer = request.send().await;
        let answer = answer.map_err(|error| portico_protocol::causes(&error.without_url()))?;
        let status = answer.status();
        let text = answer.text().await;
        let text = text.map_err(|error| portico_protocol::causes(&error.without_url()))?;
        Ok(Answer { status, text })
    };
    let post =
        async |body: Value| ask(Method::POST, front.to_owned(), body.to_string(), service.as_str()).await;
    let call = |id: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": []});
    let null = Value::Null;
    let mut rows = Vec::new();

    for (sent, id) in [
        ("a call with a number as id", json!(7)),
        ("a call with a text as id", json!("seven")),
        ("a call with an id beyond 2^53", json!(9_007_199_254_740_993_u64)),
    ] {
        let came = post(call(id.clone())).await.and_then(|answer| answer.result(&id));
        rows.push(Row::of(sent, "a result under the same id", came));
    }

    let notification = json!({"jsonrpc": "2.0", "method": method, "params": []});
    let came = post(notification).await.and_then(|answer| {
        let silent = answer.status.is_success() && answer.text.trim().is_empty();
        silent
            .then(|| answer.status.to_string())
            .ok_or_else(|| answer.said())
    });
    rows.push(Row::of("a notification", "success without a body", came));

    let batch = Value::Array(vec![
        call(json!(1)),
        json!({"jsonrpc": "2.0", "id": 2}),
        call(json!("3")),
    ]);
    let came = post(batch).await.and_then(|answer| {
        let all = answer.json()?;
        let of = |id: Value| all.as_array()?.iter().find(|entry| entry["id"] == id);
        let results =
            [json!(1), json!("3")].map(|id| of(id.clone()).is_some_and(|entry| is_result(entry, &id)));
        let refused = of(json!(2)).is_some_and(|entry| entry["error"]["code"] == -32_600);
        match results == [true, true] && refused {
            true => Ok("two results, one error -32600".to_owned()),
            false => Err(answer.said()),
        }
    });
    rows.push(Row::of(
        "a batch with an entry that is no call",
        "an answer for each id",
        came,
    ));

    let raw = async |body: &str| ask(Method::POST, front.to_owned(), body.to_owned(), service.as_str()).await;
    for (sent, body, code, wanted) in [
        (
            "a body that is no JSON",
            "{\"jsonrpc\": \"2.0\", ",
            -32_700,
            "error -32700 under id null",
        ),
        ("an empty batch", "[]", -32_600, "error -32600 under id null"),
        (
            "JSON that is no call",
            "\"hello\"",
            -32_600,
            "error -32600 under id null",
        ),
    ] {
        let came = raw(body).await.and_then(|answer| answer.error(code, &null));
        rows.push(Row::of(sent, wanted, came));
    }
    let came = post(json!({"jsonrpc": "2.0", "id": 5, "method": 1})).await;
    let came = came.and_then(|answer| answer.error(-32_600, &json!(5)));
    rows.push(Row::of(
        "a call whose method is a number",
        "error -32600 under its id",
        came,
    ));

    let elsewhere = match in_path {
        Some(before) => format!("{before}/{NO_SERVICE}"),
        None => front.to_owned(),
    };
    let came = ask(Method::POST, elsewhere, call(json!(1)).to_string(), NO_SERVICE).await;
    rows.push(Row::of(
        "a call to a service that there is not",
        "an HTTP error of the caller's",
        came.and_then(refused),
    ));
    let came = ask(Method::TRACE, front.to_owned(), String::new(), service.as_str()).await;
    rows.push(Row::of(
        "TRACE",
        "an HTTP error of the caller's",
        came.and_then(refused),
    ));
    Ok(rows)
}

/// Passes if the caller is told that it is at fault.
#[expect(clippy::needless_pass_by_value, reason = "handed to and_then")]
fn refused(answer: Answer) -> Result<String, String> {
    match answer.status.is_client_error() {
        true => Ok(answer.status.to_string()),
        false => Err(answer.said()),
    }
}
