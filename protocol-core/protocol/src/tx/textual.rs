//! SIGN_MODE_TEXTUAL: what is signed are the screens that a device with a small display shows, one line of text after the other.
//!
//! A screen has a title, a content, a depth, and whether it is for experts. Those of a message come from its descriptor: a field each in the
//! order of their numbers, without those that have their default. Lists say how many they are, and where they end; coins, times, durations
//! and packed messages have a form of their own. The screens are encoded as CBOR (ADR-050, ADR-050 annexes 1 and 2; version 0 of
//! `cosmossdk.io/x/tx/signing/textual`).
//!
//! No denomination has another to be displayed in: the chain has no metadata of denominations.

mod cbor;
mod format;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};
use prost_types::{Any, Timestamp};
use sha2::{Digest as _, Sha256};

use self::cbor::Screen;
use self::format::{bytes_text, coins_text, duration_text, int_text, sentence_case};
use super::reflect::{MAX_DEPTH, again, dynamic, rfc3339, unpacked};
use super::{DecodedTx, TxError};
use crate::wire::cosmos::base::v1beta1::Coin;
use crate::wire::cosmos::tx::v1beta1::SignerInfo;

/// Titles of a transaction's own screens that are for experts, with all that belongs to them.
const FOR_EXPERTS: [&str; 12] = [
    "Address",
    "Public key",
    "Fee payer",
    "Fee granter",
    "Gas limit",
    "Timeout height",
    "Timeout timestamp",
    "Unordered",
    "Other signer",
    "Extension options",
    "Non critical extension options",
    "Hash of raw bytes",
];

/// Who signs, and on which chain.
#[derive(Debug, Clone, Copy)]
pub struct TextualSigner<'a> {
    /// Chain id.
    pub chain_id: &'a str,
    /// Number of the account.
    pub account_number: u64,
    /// Sequence of the account; 0 for unordered transactions.
    pub sequence: u64,
    /// Address of the account.
    pub address: &'a str,
    /// The account's key, packed.
    pub public_key: &'a Any,
}

/// Bytes that `signer` of `tx` signs in this mode. Errs for content that the mode cannot express: messages that are not known, maps, floating
/// numbers, more than 16 levels.
pub fn textual_sign_bytes(tx: &DecodedTx, signer: &TextualSigner<'_>) -> Result<Vec<u8>, TxError> {
    let mut screens = envelope(tx, signer)?;
    mark_for_experts(&mut screens);
    Ok(cbor::encode(&screens))
}

/// The screens of everything of a transaction, in the order of the fields of the SDK's message `Envelope`.
fn envelope(tx: &DecodedTx, signer: &TextualSigner<'_>) -> Result<Vec<Screen>, TxError> {
    let (body, auth) = (&tx.body, &tx.auth_info);
    let fee = auth.fee.as_ref().ok_or_else(|| malformed("no fee"))?;
    let mut all = Fields::default();
    all.text("Chain id", signer.chain_id);
    all.number("Account number", signer.account_number);
    all.number("Sequence", signer.sequence);
    all.text("Address", signer.address);
    all.add("Public key", packed(signer.public_key, 0)?);
    let start = all.0.len();
    all.packed("Message", &body.messages)?;
    if let Some(head) = all.0.get_mut(start) {
        let (count, plural) = (
            body.messages.len(),
            if body.messages.len() == 1 { "" } else { "s" },
        );
        head.title.clear();
        head.content = format!("This transaction has {count} Message{plural}");
    }
    all.text("Memo", &body.memo);
    if !fee.amount.is_empty() {
        all.add("Fees", one(coins_text(&fee.amount)?));
    }
    all.text("Fee payer", &fee.payer);
    all.text("Fee granter", &fee.granter);
    all.number("Gas limit", fee.gas_limit);
    all.number("Timeout height", body.timeout_height);
    let others = other_signers(&auth.signer_infos, signer.public_key)?;
    if !others.is_empty() {
        all.add("Other signer", list("Other signer", "SignerInfo", others));
    }
    all.packed("Extension options", &body.extension_options)?;
    all.packed(
        "Non critical extension options",
        &body.non_critical_extension_options,
    )?;
    all.text(
        "Hash of raw bytes",
        &hash(&tx.raw.body_bytes, &tx.raw.auth_info_bytes),
    );
    if body.unordered {
        all.text("Unordered", "True");
    }
    if let Some(time) = &body.timeout_timestamp {
        all.add("Timeout timestamp", one(time_text(time)?));
    }
    Ok(all.0)
}

/// The screens of fields, one after the other.
#[derive(Default)]
struct Fields(Vec<Screen>);

impl Fields {
    /// A field that is there: its title comes to the first screen.
    fn add(&mut self, title: &str, screens: Vec<Screen>) {
        let from = self.0.len();
        self.0.extend(screens);
        if let Some(first) = self.0.get_mut(from) {
            first.title = title.to_owned();
        }
    }

    fn text(&mut self, title: &str, text: &str) {
        if !text.is_empty() {
            self.add(title, one(text.to_owned()));
        }
    }

    fn number(&mut self, title: &str, number: u64) {
        if number > 0 {
            self.add(title, one(int_text(&number.to_string())));
        }
    }

    fn packed(&mut self, title: &str, all: &[Any]) -> Result<(), TxError> {
        if !all.is_empty() {
            let items = all.iter().map(|any| packed(any, 0));
            self.add(title, list(title, "Any", items.collect::<Result<_, _>>()?));
        }
        Ok(())
    }
}

/// Signers besides the one whose key this is.
fn other_signers(infos: &[SignerInfo], key: &Any) -> Result<Vec<Vec<Screen>>, TxError> {
    let mut others = Vec::new();
    for info in infos {
        let known = info
            .public_key
            .as_ref()
            .ok_or_else(|| malformed("a signer without key"))?;
        if known.value != key.value {
            others.push(message(&dynamic("cosmos.tx.v1beta1.SignerInfo", info)?, 0)?);
        }
    }
    Ok(others)
}

/// SHA-256 of body and auth info, each after its length.
fn hash(body: &[u8], auth_info: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [body, auth_info] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

fn mark_for_experts(screens: &mut [Screen]) {
    let mut of: Option<String> = None;
    for screen in screens {
        if screen.indent == 0 {
            let ends = of
                .as_ref()
                .is_some_and(|title| screen.content == format!("End of {title}"));
            if !ends {
                let title = FOR_EXPERTS.contains(&screen.title.as_str());
                of = title.then(|| screen.title.clone());
            }
        }
        screen.expert = of.is_some();
    }
}

fn malformed(what: &str) -> TxError {
    TxError::Malformed(format!("{what} cannot be signed as text"))
}

fn one(content: String) -> Vec<Screen> {
    vec![Screen {
        content,
        ..Screen::default()
    }]
}

fn deeper(screens: Vec<Screen>) -> impl Iterator<Item = Screen> {
    screens.into_iter().map(|screen| Screen {
        indent: screen.indent.saturating_add(1),
        ..screen
    })
}

fn time_text(time: &Timestamp) -> Result<String, TxError> {
    rfc3339(time).ok_or_else(|| malformed("such a time"))
}

/// A list's screens: how many, each item under its number, and the end.
fn list(title: &str, kind: &str, items: Vec<Vec<Screen>>) -> Vec<Screen> {
    let count = items.len();
    let mut screens = one(format!("{count} {}", sentence_case(kind)));
    for (index, item) in items.into_iter().enumerate() {
        let from = screens.len();
        screens.extend(deeper(item));
        if let Some(first) = screens.get_mut(from) {
            first.title = format!("{title} ({}/{count})", index.saturating_add(1));
        }
    }
    screens.extend(one(format!("End of {title}")));
    screens
}

/// A packed message: its type, and its fields below.
fn packed(any: &Any, depth: usize) -> Result<Vec<Screen>, TxError> {
    let inner = unpacked(any)?;
    let (screens, has_header) = rendered(&inner, depth.saturating_add(1))?;
    let mut all = one(any.type_url.clone());
    match has_header {
        true => all.extend(screens.into_iter().skip(1)),
        false => all.extend(deeper(screens)),
    }
    Ok(all)
}

fn message(message: &DynamicMessage, depth: usize) -> Result<Vec<Screen>, TxError> {
    Ok(rendered(message, depth)?.0)
}

/// The screens of a message, and whether the first is a header that says its name.
fn rendered(message: &DynamicMessage, depth: usize) -> Result<(Vec<Screen>, bool), TxError> {
    if depth > MAX_DEPTH {
        return Err(malformed("so deep a message"));
    }
    let descriptor = message.descriptor();
    let own = match descriptor.full_name() {
        "google.protobuf.Any" => packed(&again(message)?, depth)?,
        "google.protobuf.Timestamp" => one(time_text(&again(message)?)?),
        "google.protobuf.Duration" => {
            let text = duration_text(&again(message)?).ok_or_else(|| malformed("such a duration"))?;
            one(text)
        }
        "cosmos.base.v1beta1.Coin" => one(coins_text(&[again(message)?])?),
        _ => {
            let mut screens = one(format!("{} object", descriptor.name()));
            let mut fields: Vec<FieldDescriptor> = descriptor.fields().collect();
            fields.sort_by_key(FieldDescriptor::number);
            for field in fields.iter().filter(|field| message.has_field(field)) {
                let from = screens.len();
                screens.extend(deeper(field_screens(field, &message.get_field(field), depth)?));
                if let Some(first) = screens.get_mut(from) {
                    first.title = sentence_case(field.name());
                }
            }
            return Ok((screens, true));
        }
    };
    Ok((own, false))
}

fn field_screens(field: &FieldDescriptor, value: &Value, depth: usize) -> Result<Vec<Screen>, TxError> {
    let Value::List(values) = value else {
        return value_screens(field, value, depth);
    };
    let kind = match field.kind() {
        Kind::Message(of) if of.full_name() == "cosmos.base.v1beta1.Coin" => {
            let coin = |value: &Value| match value {
                Value::Message(message) => again::<Coin>(message),
                _ => Err(malformed(field.full_name())),
            };
            let coins = values.iter().map(coin).collect::<Result<Vec<_>, _>>()?;
            return Ok(one(coins_text(&coins)?));
        }
        Kind::Message(of) => of.name().to_owned(),
        Kind::Enum(of) => of.name().to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let items = values.iter().map(|value| value_screens(field, value, depth));
    Ok(list(
        &sentence_case(field.name()),
        &kind,
        items.collect::<Result<_, _>>()?,
    ))
}

fn value_screens(field: &FieldDescriptor, value: &Value, depth: usize) -> Result<Vec<Screen>, TxError> {
    let text = match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::I32(value) => int_text(&value.to_string()),
        Value::U32(value) => int_text(&value.to_string()),
        Value::I64(value) => int_text(&value.to_string()),
        Value::U64(value) => int_text(&value.to_string()),
        Value::String(value) => value.clone(),
        Value::Bytes(value) => bytes_text(value),
        Value::EnumNumber(number) => match field.kind() {
            Kind::Enum(of) => of
                .get_value(*number)
                .ok_or_else(|| malformed("an enum's unknown value"))?
                .name()
                .to_owned(),
            _ => return Err(malformed(field.full_name())),
        },
        Value::Message(inner) => return message(inner, depth.saturating_add(1)),
        Value::F32(_) | Value::F64(_) | Value::Map(_) | Value::List(_) => {
            return Err(malformed(field.full_name()));
        }
    };
    Ok(one(text))
}

#[cfg(test)]
mod tests;
