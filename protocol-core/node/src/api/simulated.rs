//! What a transaction would do, as the SDK writes it as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use portico_chain::block::TxOutcome;
use portico_protocol::wire::cosmos::base::abci::v1beta1::TxMsgData;
use prost::Message as _;
use serde_json::{Value, json};

/// `cosmos.base.abci.v1beta1.SimulationResponse`.
pub(super) fn json(outcome: &TxOutcome) -> String {
    let events: Vec<Value> = outcome
        .events
        .iter()
        .map(|event| {
            let attributes = event.attributes.iter();
            let shown = attributes.map(|one| json!({"key": one.key, "value": one.value, "index": false}));
            json!({"type": event.r#type, "attributes": shown.collect::<Vec<_>>()})
        })
        .collect();
    // Responses of handlers are empty, but for that of authz.
    let responses = TxMsgData::decode(outcome.data.as_slice()).unwrap_or_default();
    let responses: Vec<Value> = responses
        .msg_responses
        .iter()
        .map(|response| match response.value.is_empty() {
            true => json!({"@type": response.type_url}),
            false => json!({"@type": response.type_url, "value": BASE64.encode(&response.value)}),
        })
        .collect();
    json!({
        "gas_info": {
            "gas_wanted": outcome.gas_wanted.to_string(),
            "gas_used": outcome.gas_used.to_string(),
        },
        "result": {
            "data": BASE64.encode(&outcome.data),
            "log": outcome.log,
            "events": events,
            "msg_responses": responses,
        },
    })
    .to_string()
}
