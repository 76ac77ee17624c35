//! What the chain's settlement events say about our claims.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portico_client::{Event, KeepEvent};
use portico_protocol::types::DENOM;
use portico_protocol::{Address, ServiceId, Upokt};
use serde::Deserialize;
use serde_json::Value;

use crate::session::ledger::LedgerRow;
use crate::session::record::{SessionRecord, Settled};
use crate::session::stage::ExpiredReason;

const SETTLED: &str = "pocket.tokenomics.EventClaimSettled";
const SLASHED: &str = "pocket.tokenomics.EventSupplierSlashed";
/// Key of the operator's address.
const SUPPLIER: &str = "supplier_operator_address";
/// Part of the names of the operations that pay a supplier's shareholders.
const SHAREHOLDER: &str = "SUPPLIER_SHAREHOLDER_REWARD";

/// What names the claim of an event: supplier, application, service and session end, as texts.
type Of = [String; 4];

/// Outcome of one claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Paid.
    Settled(Settled),
    /// Not paid.
    Expired(ExpiredReason),
}

/// The events of a block's end that settle, expire or discard a claim, or slash its supplier.
#[derive(Debug, Default)]
pub(crate) struct Settlement<'a> {
    events: Vec<&'a Event>,
}

impl<'a> Settlement<'a> {
    /// Picks the events of interest.
    pub(crate) fn new(events: &'a [Event]) -> Self {
        Self {
            events: events.iter().filter(|event| is_settlement(event)).collect(),
        }
    }

    /// The outcome of the claim of `record`, if one of the events tells it.
    ///
    /// Only the settled event names the session; the others name application, service, session end and supplier, which together are
    /// one session.
    pub(crate) fn outcome(&self, record: &SessionRecord) -> Option<Outcome> {
        let event = self
            .events
            .iter()
            .find(|event| event.kind != SLASHED && is_of(event, record))?;
        Some(match event.kind.as_str() {
            SETTLED if is_foreign(event, record) => Outcome::Expired(ExpiredReason::ForeignClaim),
            SETTLED => Outcome::Settled(Settled {
                settled: amount(&text(event, "settled_upokt")),
                overservicing_loss: amount(&text(event, "overservicing_loss_upokt")),
                deflation_loss: amount(&text(event, "deflation_loss_upokt")),
                rewards: rewards(event),
                shares: shares(event),
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

    /// What was burned of the supplier's stake because the claim of `record` was not proved; 0 when nothing was.
    pub(crate) fn slashed(&self, record: &SessionRecord) -> Upokt {
        let mut of_record = self
            .events
            .iter()
            .filter(|event| event.kind == SLASHED && is_of(event, record));
        let burned = |event: &&Event| amount(&text(event, "proof_missing_penalty"));
        of_record.next().map(burned).unwrap_or_default()
    }
}

/// A claim's outcome as a block's events tell it, for whoever compares a ledger with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSettlement {
    /// Operator address.
    pub supplier: Address,
    /// Who pays.
    pub application: Address,
    /// For what.
    pub service: ServiceId,
    /// Last block of the session.
    pub session_end_height: i64,
    /// What the application paid.
    pub settled: Upokt,
    /// What the supplier's shareholders received.
    pub paid: Upokt,
    /// What was burned of the supplier's stake.
    pub slashed: Upokt,
    /// Whether the claim was expired or discarded.
    pub expired: bool,
}

impl ChainSettlement {
    /// Whether it is about the session of `row`.
    #[must_use]
    pub fn is_of(&self, row: &LedgerRow) -> bool {
        self.supplier == row.supplier
            && self.application == row.application
            && self.service == row.service
            && self.session_end_height == row.session_end_height
    }

    fn read(event: &Event, all: &Settlement<'_>) -> Option<Self> {
        let of = of_event(event);
        let same = |other: &&&Event| other.kind == SLASHED && of_event(other) == of;
        let slashed = all.events.iter().find(same);
        let settled = event.kind == SETTLED;
        Some(Self {
            supplier: text(event, SUPPLIER).parse().ok()?,
            application: text(event, "application_address").parse().ok()?,
            service: text(event, "service_id").parse().ok()?,
            session_end_height: text(event, "session_end_block_height").parse().ok()?,
            settled: if settled {
                amount(&text(event, "settled_upokt"))
            } else {
                Upokt(0)
            },
            paid: Upokt(
                shares(event)
                    .values()
                    .fold(0, |sum, share| sum.saturating_add(share.0)),
            ),
            slashed: slashed.map_or(Upokt(0), |event| amount(&text(event, "proof_missing_penalty"))),
            expired: !settled,
        })
    }
}

/// Outcomes of all claims that the events of a block's end tell of; an event that is not readable is left out, with a warning.
#[must_use]
pub fn settlements(events: &[Event]) -> Vec<ChainSettlement> {
    let all = Settlement::new(events);
    let read = |event: &&Event| {
        let read = ChainSettlement::read(event, &all);
        if read.is_none() {
            tracing::warn!(kind = event.kind, "a settlement event is not readable");
        }
        read
    };
    all.events
        .iter()
        .filter(|event| event.kind != SLASHED)
        .filter_map(read)
        .collect()
}

/// Wants the events that tell what became of claims of these suppliers.
#[must_use]
pub fn settlements_of(suppliers: BTreeSet<Address>) -> KeepEvent {
    let suppliers: BTreeSet<String> = suppliers.iter().map(ToString::to_string).collect();
    Arc::new(move |event| is_settlement(event) && suppliers.contains(&text(event, SUPPLIER)))
}

/// Wants the events that tell what became of the claims of these sessions.
pub(crate) fn of_sessions<'a>(records: impl Iterator<Item = &'a SessionRecord>) -> KeepEvent {
    let sessions: BTreeSet<Of> = records.map(of_record).collect();
    Arc::new(move |event| is_settlement(event) && sessions.contains(&of_event(event)))
}

/// Whether it settles, expires or discards a claim, or slashes its supplier.
fn is_settlement(event: &Event) -> bool {
    let names = [
        "EventClaimSettled",
        "EventClaimExpired",
        "EventClaimDiscarded",
        "EventSupplierSlashed",
    ];
    let name = event.kind.strip_prefix("pocket.tokenomics.");
    name.is_some_and(|name| names.contains(&name))
}

fn of_event(event: &Event) -> Of {
    [
        SUPPLIER,
        "application_address",
        "service_id",
        "session_end_block_height",
    ]
    .map(|key| text(event, key))
}

fn of_record(record: &SessionRecord) -> Of {
    [
        record.supplier.to_string(),
        record.application.to_string(),
        record.service.to_string(),
        record.end.to_string(),
    ]
}

fn is_of(event: &Event, record: &SessionRecord) -> bool {
    let session = text(event, "session_id");
    (session.is_empty() || session == record.session_id) && of_event(event) == of_record(record)
}

/// Whether the settled claim adds up to something else than ours: another process with the same key claimed the session.
fn is_foreign(event: &Event, record: &SessionRecord) -> bool {
    let ours = record.seal.map(|seal| (seal.leaves, seal.compute_units.0));
    let number = |key: &str| text(event, key).parse::<u64>().ok();
    match (number("num_relays"), number("num_claimed_compute_units")) {
        (Some(relays), Some(units)) => ours != Some((relays, units)),
        _ => false, // an older chain does not tell
    }
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

/// What the supplier's shareholders receive, by address.
fn shares(event: &Event) -> BTreeMap<String, Upokt> {
    let raw = event
        .attribute("reward_distribution_detailed")
        .unwrap_or_default();
    let payments: Vec<Payment> = serde_json::from_str(raw).unwrap_or_default();
    let mut shares = BTreeMap::new();
    for payment in payments.iter().filter(|one| one.op_reason.contains(SHAREHOLDER)) {
        let share: &mut Upokt = shares.entry(payment.recipient_address.clone()).or_default();
        share.0 = share.0.saturating_add(amount(&payment.amount).0);
    }
    shares
}

/// One payment of a settlement, as its event tells it.
#[derive(Deserialize)]
struct Payment {
    recipient_address: String,
    op_reason: String,
    amount: String,
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
            (
                "reward_distribution_detailed",
                r#"[{"recipient_address":"pokt1a","op_reason":"TLM_RELAY_BURN_EQUALS_MINT_SUPPLIER_SHAREHOLDER_REWARD_DISTRIBUTION","amount":"14000upokt"},
                    {"recipient_address":"pokt1a","op_reason":"TLM_RELAY_BURN_EQUALS_MINT_DAO_REWARD_DISTRIBUTION","amount":"700upokt"},
                    {"recipient_address":"pokt1b","op_reason":"TLM_GLOBAL_MINT_SUPPLIER_SHAREHOLDER_REWARD_DISTRIBUTION","amount":"3150upokt"}]"#,
            ),
            ("deflation_loss_upokt", "\"525upokt\""),
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
        assert_eq!(settled.deflation_loss, Upokt(525));
        let shares = [
            ("pokt1a".to_owned(), Upokt(14_000)),
            ("pokt1b".to_owned(), Upokt(3_150)),
        ];
        assert_eq!(settled.shares, shares.into(), "without what others receive");
    }

    #[test]
    fn a_claim_that_adds_up_to_something_else_is_not_ours() {
        let sealed = SessionRecord {
            seal: Some(crate::lifecycle::next::tests::sealed()),
            ..record()
        };
        for (relays, ours) in [("\"5\"", true), ("\"4\"", false)] {
            let mut event = settled();
            let added = [("num_relays", relays), ("num_claimed_compute_units", "\"500\"")];
            event
                .attributes
                .extend(added.map(|(key, value)| (key.to_owned(), value.to_owned())));
            let events = [event];
            let outcome = Settlement::new(&events).outcome(&sealed).unwrap();
            let foreign = Outcome::Expired(ExpiredReason::ForeignClaim);
            assert_eq!(outcome != foreign, ours, "{relays} relays");
        }
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
    fn a_slashed_supplier_is_no_outcome_of_its_own() {
        let mut slashed = settled();
        slashed.kind = SLASHED.into();
        slashed.attributes.retain(|(key, _)| key != "session_id");
        slashed
            .attributes
            .push(("proof_missing_penalty".into(), "\"320upokt\"".into()));
        let mut expired = slashed.clone();
        expired.kind = "pocket.tokenomics.EventClaimExpired".into();
        let events = [slashed, expired];
        let settlement = Settlement::new(&events);
        assert_eq!(
            settlement.outcome(&record()),
            Some(Outcome::Expired(ExpiredReason::ProofMissing))
        );
        assert_eq!(settlement.slashed(&record()), Upokt(320));
        assert_eq!(Settlement::new(&events[1..]).slashed(&record()), Upokt(0));
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
