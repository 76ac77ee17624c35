//! What the chain's settlement events say about our claims.

use std::collections::BTreeMap;

use portico_client::Event;
use portico_protocol::Upokt;
use portico_protocol::types::DENOM;
use serde_json::Value;

use crate::lifecycle::ExpiredReason;
use crate::record::{SessionRecord, Settled};

/// Outcome of one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Paid.
    Settled(Settled),
    /// Not paid.
    Expired(ExpiredReason),
}

/// The events of a block's end that settle, expire or discard a claim.
#[derive(Debug, Default)]
pub(crate) struct Settlement<'a> {
    events: Vec<&'a Event>,
}

impl<'a> Settlement<'a> {
    /// Picks the events of interest.
    pub(crate) fn new(events: &'a [Event]) -> Self {
        let names = ["EventClaimSettled", "EventClaimExpired", "EventClaimDiscarded"];
        let of_interest = |event: &&Event| {
            event
                .kind
                .strip_prefix("pocket.tokenomics.")
                .is_some_and(|name| names.contains(&name))
        };
        Self {
            events: events.iter().filter(of_interest).collect(),
        }
    }

    /// The outcome of the claim of `record`, if one of the events tells it.
    ///
    /// Only the settled event names the session; the others name application, service, session end and supplier, which together are
    /// one session.
    pub(crate) fn outcome(&self, record: &SessionRecord) -> Option<Outcome> {
        let event = self.events.iter().find(|event| is_of(event, record))?;
        Some(match event.kind.as_str() {
            "pocket.tokenomics.EventClaimSettled" => Outcome::Settled(Settled {
                settled: amount(&text(event, "settled_upokt")),
                overservicing_loss: amount(&text(event, "overservicing_loss_upokt")),
                rewards: rewards(event),
            }),
            "pocket.tokenomics.EventClaimExpired" => {
                Outcome::Expired(match text(event, "expiration_reason").as_str() {
                    "2" | "PROOF_INVALID" | "EXPIRATION_REASON_PROOF_INVALID" => ExpiredReason::ProofInvalid,
                    _ => ExpiredReason::ProofMissing,
                })
            }
            _ => Outcome::Expired(ExpiredReason::Discarded),
        })
    }
}

fn is_of(event: &Event, record: &SessionRecord) -> bool {
    let session = text(event, "session_id");
    (session.is_empty() || session == record.session_id)
        && text(event, "supplier_operator_address") == record.supplier.to_string()
        && text(event, "application_address") == record.application.to_string()
        && text(event, "service_id") == record.service.as_str()
        && text(event, "session_end_block_height") == record.end.to_string()
}

/// An attribute without the quotes of its JSON text; empty when absent.
fn text(event: &Event, key: &str) -> String {
    let raw = event.attribute(key).unwrap_or_default();
    match serde_json::from_str(raw) {
        Ok(Value::String(text)) => text,
        _ => raw.to_owned(),
    }
}

/// `123upokt`; 0 for anything else, with a warning.
fn amount(text: &str) -> Upokt {
    let digits = text.strip_suffix(DENOM).unwrap_or(text);
    if text.is_empty() {
        return Upokt(0);
    }
    digits.parse().map(Upokt).unwrap_or_else(|_| {
        tracing::warn!(
            amount = text,
            "a settlement event holds an amount that is not in {DENOM}"
        );
        Upokt(0)
    })
}

fn rewards(event: &Event) -> BTreeMap<String, Upokt> {
    let raw = event.attribute("reward_distribution").unwrap_or_default();
    let map: BTreeMap<String, String> = serde_json::from_str(raw).unwrap_or_default();
    map.into_iter()
        .map(|(address, text)| (address, amount(&text)))
        .collect()
}
