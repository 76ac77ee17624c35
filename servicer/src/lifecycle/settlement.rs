//! What the chain's settlement events say about our claims.

use std::collections::BTreeMap;

use portico_client::Event;
use portico_protocol::Upokt;
use portico_protocol::types::DENOM;
use serde_json::Value;

use crate::session::record::{SessionRecord, Settled};
use crate::session::stage::ExpiredReason;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// As the network writes it: amounts are coins in quotes, integers of 64 bits are quoted, maps are JSON.
    fn settled() -> Event {
        let attributes = [
            (
                "application_address",
                "\"pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4\"",
            ),
            ("overservicing_loss_upokt", "\"5upokt\""),
            (
                "reward_distribution",
                r#"{"pokt1a":"14700upokt","pokt1b":"3150upokt"}"#,
            ),
            ("service_id", "\"svc1\""),
            ("session_end_block_height", "\"1080\""),
            ("session_id", "\"aa\""),
            ("settled_upokt", "\"21000upokt\""),
            (
                "supplier_operator_address",
                "\"pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4\"",
            ),
            ("mode", "EndBlock"),
        ];
        Event {
            kind: "pocket.tokenomics.EventClaimSettled".into(),
            attributes: attributes
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        }
    }

    fn record() -> SessionRecord {
        let mut record = crate::lifecycle::next::tests::record();
        record.service = "svc1".parse().unwrap();
        record.session_id = "aa".into();
        record.end = portico_protocol::Height(1080);
        record
    }

    #[test]
    fn reads_amounts_and_rewards() {
        let events = [settled()];
        let Some(Outcome::Settled(settled)) = Settlement::new(&events).outcome(&record()) else {
            panic!("settled")
        };
        assert_eq!(
            (settled.settled, settled.overservicing_loss),
            (Upokt(21_000), Upokt(5))
        );
        assert_eq!(settled.rewards["pokt1a"], Upokt(14_700));
    }

    #[test]
    fn leaves_the_claims_of_others_alone() {
        let events = [settled()];
        let settlement = Settlement::new(&events);
        let others: [fn(&mut SessionRecord); 3] = [
            |record| record.session_id = "bb".into(),
            |record| record.service = "svc2".parse().unwrap(),
            |record| record.end = portico_protocol::Height(1090),
        ];
        for change in others {
            let mut other = record();
            change(&mut other);
            assert_eq!(settlement.outcome(&other), None);
        }
    }

    #[test]
    fn knows_a_missing_from_an_invalid_proof() {
        for (reason, expected) in [
            ("\"PROOF_MISSING\"", ExpiredReason::ProofMissing),
            ("\"PROOF_INVALID\"", ExpiredReason::ProofInvalid),
            ("2", ExpiredReason::ProofInvalid),
        ] {
            let mut event = settled();
            event.kind = "pocket.tokenomics.EventClaimExpired".into();
            event.attributes.retain(|(key, _)| key != "session_id");
            event.attributes.push(("expiration_reason".into(), reason.into()));
            let events = [event];
            assert_eq!(
                Settlement::new(&events).outcome(&record()),
                Some(Outcome::Expired(expected))
            );
        }
    }
}
