//! The sign mode amino-json (`SIGN_MODE_LEGACY_AMINO_JSON`), which hardware wallets and multi-signature accounts need: what is signed is a
//! JSON text of the transaction's content.
//!
//! Fields are named as in the proto files and sorted; what has its default is left out, unless the network marks the field
//! `amino.dont_omitempty`; 64-bit numbers are quoted; a message in an `Any` carries its amino name, which is the type URL for messages
//! without one. Text is escaped as Go's encoder does.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage as _, Value};
use prost_types::{Any, Duration, Timestamp};
use serde_json::{Map, Value as Json, json};

use super::TxError;
use super::reflect::{MAX_DEPTH, again, rfc3339, unpacked};
use crate::wire::cosmos::base::v1beta1::Coin;
use crate::wire::cosmos::tx::v1beta1::{Fee, TxBody};

/// Amino names, by full name.
const NAMES: [(&str, &str); 17] = [
    (
        "cosmos.authz.v1beta1.GenericAuthorization",
        "cosmos-sdk/GenericAuthorization",
    ),
    ("cosmos.authz.v1beta1.MsgExec", "cosmos-sdk/MsgExec"),
    ("cosmos.authz.v1beta1.MsgGrant", "cosmos-sdk/MsgGrant"),
    ("cosmos.authz.v1beta1.MsgRevoke", "cosmos-sdk/MsgRevoke"),
    ("cosmos.bank.v1beta1.MsgMultiSend", "cosmos-sdk/MsgMultiSend"),
    ("cosmos.bank.v1beta1.MsgSend", "cosmos-sdk/MsgSend"),
    (
        "cosmos.bank.v1beta1.SendAuthorization",
        "cosmos-sdk/SendAuthorization",
    ),
    (
        "cosmos.feegrant.v1beta1.AllowedMsgAllowance",
        "cosmos-sdk/AllowedMsgAllowance",
    ),
    (
        "cosmos.feegrant.v1beta1.BasicAllowance",
        "cosmos-sdk/BasicAllowance",
    ),
    (
        "cosmos.feegrant.v1beta1.MsgGrantAllowance",
        "cosmos-sdk/MsgGrantAllowance",
    ),
    (
        "cosmos.feegrant.v1beta1.MsgRevokeAllowance",
        "cosmos-sdk/MsgRevokeAllowance",
    ),
    (
        "cosmos.feegrant.v1beta1.PeriodicAllowance",
        "cosmos-sdk/PeriodicAllowance",
    ),
    (
        "pocket.application.MsgUpdateParams",
        "pocket/x/application/MsgUpdateParams",
    ),
    (
        "pocket.gateway.MsgUpdateParams",
        "pocket/x/gateway/MsgUpdateParams",
    ),
    (
        "pocket.service.MsgUpdateParams",
        "pocket/x/service/MsgUpdateParams",
    ),
    ("pocket.shared.MsgUpdateParams", "pocket/x/shared/MsgUpdateParams"),
    (
        "pocket.supplier.MsgUpdateParams",
        "pocket/x/supplier/MsgUpdateParams",
    ),
];

/// Fields that are written also when they are empty.
const WRITTEN_WHEN_EMPTY: [&str; 18] = [
    "cosmos.authz.v1beta1.MsgGrant.grant",
    "cosmos.bank.v1beta1.Input.coins",
    "cosmos.bank.v1beta1.MsgMultiSend.inputs",
    "cosmos.bank.v1beta1.MsgMultiSend.outputs",
    "cosmos.bank.v1beta1.MsgSend.amount",
    "cosmos.bank.v1beta1.Output.coins",
    "cosmos.bank.v1beta1.SendAuthorization.spend_limit",
    "cosmos.feegrant.v1beta1.BasicAllowance.spend_limit",
    "cosmos.feegrant.v1beta1.PeriodicAllowance.basic",
    "cosmos.feegrant.v1beta1.PeriodicAllowance.period",
    "cosmos.feegrant.v1beta1.PeriodicAllowance.period_can_spend",
    "cosmos.feegrant.v1beta1.PeriodicAllowance.period_reset",
    "cosmos.feegrant.v1beta1.PeriodicAllowance.period_spend_limit",
    "pocket.application.MsgUpdateParams.params",
    "pocket.gateway.MsgUpdateParams.params",
    "pocket.service.MsgUpdateParams.params",
    "pocket.shared.MsgUpdateParams.params",
    "pocket.supplier.MsgUpdateParams.params",
];

/// Bytes that a signer of account `account_number` at `sequence` signs in this mode. Errs for content that the mode cannot express.
pub fn amino_sign_bytes(
    body: &TxBody,
    fee: &Fee,
    chain_id: &str,
    account_number: u64,
    sequence: u64,
) -> Result<Vec<u8>, TxError> {
    if !body.extension_options.is_empty() || !body.non_critical_extension_options.is_empty() {
        return Err(malformed("extension options"));
    }
    let messages = body.messages.iter().map(|any| named(any, 0));
    let mut doc = json!({
        "account_number": account_number.to_string(),
        "chain_id": chain_id,
        "fee": fee_json(fee),
        "memo": body.memo,
        "msgs": messages.collect::<Result<Vec<_>, _>>()?,
        "sequence": sequence.to_string(),
    });
    if body.timeout_height > 0 {
        doc["timeout_height"] = body.timeout_height.to_string().into();
    }
    if body.unordered {
        doc["unordered"] = true.into();
    }
    if let Some(time) = &body.timeout_timestamp {
        doc["timeout_timestamp"] = time_text(time)?.into();
    }
    let mut text = String::new();
    write(&doc, &mut text);
    Ok(text.into_bytes())
}

fn malformed(what: &str) -> TxError {
    TxError::Malformed(format!("{what} cannot be signed in amino-json"))
}

fn fee_json(fee: &Fee) -> Json {
    let coin = |coin: &Coin| json!({"amount": coin.amount, "denom": coin.denom});
    let coins: Vec<Json> = fee.amount.iter().map(coin).collect();
    let mut found = json!({"amount": coins, "gas": fee.gas_limit.to_string()});
    for (name, value) in [("granter", &fee.granter), ("payer", &fee.payer)] {
        if !value.is_empty() {
            found[name] = value.as_str().into();
        }
    }
    found
}

/// `{"type": …, "value": …}` of a packed message.
fn named(any: &Any, depth: usize) -> Result<Json, TxError> {
    let name = any.type_url.trim_start_matches('/');
    let message = unpacked(any)?;
    let amino = NAMES.iter().find(|(full, _)| *full == name);
    let kind = amino.map_or(any.type_url.as_str(), |(_, amino)| amino);
    Ok(json!({"type": kind, "value": object(&message, depth)?}))
}

fn object(message: &DynamicMessage, depth: usize) -> Result<Json, TxError> {
    if depth > MAX_DEPTH {
        return Err(malformed("so deep a message"));
    }
    match message.descriptor().full_name() {
        "google.protobuf.Any" => return named(&again(message)?, depth.saturating_add(1)),
        "google.protobuf.Timestamp" => return Ok(time_text(&again(message)?)?.into()),
        "google.protobuf.Duration" => {
            let duration: Duration = again(message)?;
            let nanos = i128::from(duration.seconds)
                .saturating_mul(1_000_000_000)
                .saturating_add(duration.nanos.into());
            return Ok(nanos.to_string().into());
        }
        _ => {}
    }
    let mut fields = Map::new();
    for field in message.descriptor().fields() {
        if message.has_field(&field) || WRITTEN_WHEN_EMPTY.contains(&field.full_name()) {
            let value = message.get_field(&field);
            fields.insert(field.name().to_owned(), value_json(&field, &value, depth)?);
        }
    }
    Ok(fields.into())
}

fn value_json(field: &FieldDescriptor, value: &Value, depth: usize) -> Result<Json, TxError> {
    Ok(match value {
        Value::Bool(value) => (*value).into(),
        Value::I32(value) | Value::EnumNumber(value) => (*value).into(),
        Value::U32(value) => (*value).into(),
        Value::I64(value) => value.to_string().into(),
        Value::U64(value) => value.to_string().into(),
        Value::String(value) => value.as_str().into(),
        Value::Bytes(value) => BASE64_STANDARD.encode(value).into(),
        Value::Message(message) => object(message, depth.saturating_add(1))?,
        Value::List(values) => {
            let values = values.iter().map(|value| value_json(field, value, depth));
            values.collect::<Result<Vec<_>, _>>()?.into()
        }
        Value::F32(_) | Value::F64(_) | Value::Map(_) => return Err(malformed(field.full_name())),
    })
}

fn time_text(time: &Timestamp) -> Result<String, TxError> {
    rfc3339(time).ok_or_else(|| malformed("such a time"))
}

/// Writes JSON with sorted names, whatever order the map of this build keeps.
fn write(json: &Json, text: &mut String) {
    match json {
        Json::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                text.push(if index == 0 { '{' } else { ',' });
                write_text(name, text);
                text.push(':');
                write(value, text);
            }
            text.push_str(if fields.is_empty() { "{}" } else { "}" });
        }
        Json::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(value, text);
            }
            text.push(']');
        }
        Json::String(value) => write_text(value, text),
        other => text.push_str(&other.to_string()),
    }
}

/// Writes a string, with what Go's encoder escapes for the sake of HTML and JavaScript.
fn write_text(value: &str, text: &mut String) {
    for c in Json::from(value).to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tx::{decode_tx, multisig_address, sign_doc, unpack};
    use crate::wire::cosmos::crypto::multisig::LegacyAminoPubKey;
    use crate::wire::cosmos::crypto::secp256k1::PubKey;
    use crate::{Address, PublicKey};

    /// Transactions of a chain of the network's own program, with what each of their signers signed.
    fn transactions() -> Vec<Json> {
        let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");
        let folder = std::env::var("PORTICO_VECTORS").unwrap_or_else(|_| default.into());
        let text = std::fs::read_to_string(format!("{folder}/chain/tx/transactions.json")).unwrap();
        let mut file: Json = serde_json::from_str(&text).unwrap();
        serde_json::from_value(file["transactions"].take()).unwrap()
    }

    #[test]
    fn signs_the_bytes_that_the_network_signs() {
        let (mut amino, mut direct, mut other) = (0, 0, 0);
        for case in transactions() {
            let tx = hex::decode(case["tx_bytes"].as_str().unwrap_or_default()).unwrap();
            for doc in case["sign_docs"].as_array().into_iter().flatten() {
                let decoded = decode_tx(&tx).unwrap();
                let (chain, number) = (
                    doc["chain_id"].as_str().unwrap(),
                    doc["account_number"].as_u64().unwrap(),
                );
                let fee = decoded.auth_info.fee.clone().unwrap_or_default();
                let ours = match doc["mode"].as_str().unwrap() {
                    "SIGN_MODE_LEGACY_AMINO_JSON" => {
                        amino += 1;
                        let sequence = doc["sequence"].as_u64().unwrap();
                        amino_sign_bytes(&decoded.body, &fee, chain, number, sequence).unwrap()
                    }
                    "SIGN_MODE_DIRECT" => {
                        direct += 1;
                        sign_doc(
                            &decoded.raw.body_bytes,
                            &decoded.raw.auth_info_bytes,
                            chain,
                            number,
                        )
                    }
                    _ => {
                        other += 1;
                        continue;
                    }
                };
                let theirs = hex::decode(doc["sign_bytes_hex"].as_str().unwrap()).unwrap();
                let name = case["name"].as_str().unwrap();
                assert_eq!(
                    String::from_utf8_lossy(&ours),
                    String::from_utf8_lossy(&theirs),
                    "{name}"
                );
                assert_eq!(ours, theirs, "{name}");
            }
        }
        println!(
            "chain/tx/transactions.json: {amino} amino-json, {direct} direct, {other} in another mode (textual.rs)"
        );
        assert!(amino > 0 && direct > 0);
    }

    #[test]
    fn an_account_of_several_keys_has_the_networks_address() {
        let mut found = 0;
        for case in transactions() {
            let tx = hex::decode(case["tx_bytes"].as_str().unwrap_or_default()).unwrap();
            let Ok(decoded) = decode_tx(&tx) else { continue };
            let keys = decoded
                .auth_info
                .signer_infos
                .iter()
                .filter_map(|info| info.public_key.as_ref());
            for multi in keys.filter_map(|any| unpack::<LegacyAminoPubKey>(any).ok()) {
                let key = |any| PublicKey::from_slice(&unpack::<PubKey>(any).unwrap().key).unwrap();
                let members: Vec<PublicKey> = multi.public_keys.iter().map(key).collect();
                let ours = multisig_address(usize::try_from(multi.threshold).unwrap(), &members);
                let address: Address = case["sign_docs"][0]["address"].as_str().unwrap().parse().unwrap();
                assert_eq!(ours, address);
                found += 1;
            }
        }
        assert!(found > 0);
    }

    #[test]
    fn empty_times_and_depth_are_written_as_go_does() {
        let time = |seconds, nanos| time_text(&Timestamp { seconds, nanos });
        assert_eq!(
            time(1_795_899_048, 891_000_000).unwrap(),
            "2026-11-28T20:50:48.891Z"
        );
        assert_eq!(time(1_795_899_048, 0).unwrap(), "2026-11-28T20:50:48Z");
        assert_eq!(time(1_795_899_048, 100).unwrap(), "2026-11-28T20:50:48.0000001Z");
        assert!(time(0, -1).is_err() && time(0, 1_000_000_000).is_err());
        let message = crate::wire::cosmos::bank::v1beta1::MsgSend::default();
        let text = named(&crate::tx::pack(&message), 0).unwrap().to_string();
        assert_eq!(text, r#"{"type":"cosmos-sdk/MsgSend","value":{"amount":[]}}"#);
    }
}
