//! What becomes of claims, block by block, from the chain's events.

use std::sync::Arc;

use anyhow::{Context, Result};
use portico_client::{Chain, Event};
use portico_protocol::wire::pocket::proof::ClaimProofStatus;
use portico_protocol::{Address, Height, ServiceId};

use super::load::Served;

/// A settled claim, as the chain tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Session and supplier.
    pub served: Served,
    /// Who paid.
    pub application: Address,
    /// For what.
    pub service: ServiceId,
    /// Leaves of the claim's root.
    pub relays: u64,
    /// Their weight.
    pub compute_units: u64,
    /// Worth of the claim, in upokt.
    pub claimed: u128,
    /// What was settled of it, in upokt.
    pub settled: u128,
    /// What was minted for it, in upokt, without inflation.
    pub minted: u128,
    /// Whether the chain found its proof valid.
    pub proved: bool,
    /// Block that settled it.
    pub height: Height,
}

/// What the events said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Claims created.
    pub(super) claims: usize,
    /// Proofs found valid.
    pub(super) proofs: usize,
    /// Claims settled.
    pub(super) settlements: Vec<Settlement>,
    /// What should not happen: claims that expired or were discarded, suppliers slashed; as texts.
    pub(super) losses: Vec<String>,
}

/// Follows events from one height on.
pub(super) struct Watch {
    chain: Arc<dyn Chain>,
    done: Height,
    /// What the events said so far.
    pub(super) seen: Seen,
}

impl Watch {
    /// Will look at every block after `height`.
    pub(super) fn after(chain: Arc<dyn Chain>, height: Height) -> Self {
        Self {
            chain,
            done: height,
            seen: Seen::default(),
        }
    }

    /// Looks at every block up to `height`.
    pub(super) async fn catch_up(&mut self, height: Height) -> Result<()> {
        while self.done < height {
            let next = Height(self.done.0.saturating_add(1));
            let results = self.chain.block_results(next).await?;
            let of_txs = results
                .txs
                .iter()
                .filter(|tx| tx.code == 0)
                .flat_map(|tx| &tx.events);
            for event in of_txs.chain(&results.block_events) {
                let told = self.seen.take(event, next);
                told.with_context(|| format!("event {} at height {next}", event.kind))?;
            }
            self.done = next;
        }
        Ok(())
    }
}

impl Seen {
    fn take(&mut self, event: &Event, height: Height) -> Result<()> {
        match event.kind.as_str() {
            "pocket.proof.EventClaimCreated" => self.claims += 1,
            "pocket.proof.EventProofValidityChecked" => self.take_proof(event)?,
            "pocket.tokenomics.EventClaimSettled" => self.settlements.push(settlement(event, height)?),
            "pocket.tokenomics.EventClaimExpired"
            | "pocket.tokenomics.EventClaimDiscarded"
            | "pocket.tokenomics.EventSupplierSlashed"
            | "pocket.tokenomics.EventApplicationOverserviced" => {
                let name = event.kind.rsplit('.').next().unwrap_or_default();
                self.losses
                    .push(format!("{name} at height {height}: {:?}", event.attributes));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_proof(&mut self, event: &Event) -> Result<()> {
        let reason = text(event, "failure_reason")?;
        match reason.as_str() {
            "" => self.proofs += 1,
            reason => self.losses.push(format!("a proof was refused: {reason}")),
        }
        Ok(())
    }

    /// The settlement of a session and supplier, once it happened.
    pub(super) fn settlement(&self, served: &Served) -> Option<&Settlement> {
        self.settlements
            .iter()
            .find(|settlement| settlement.served == *served)
    }
}

fn settlement(event: &Event, height: Height) -> Result<Settlement> {
    let number = |key| Ok::<u64, anyhow::Error>(text(event, key)?.parse()?);
    Ok(Settlement {
        served: Served {
            session: text(event, "session_id")?,
            supplier: text(event, "supplier_operator_address")?.parse()?,
        },
        application: text(event, "application_address")?.parse()?,
        service: text(event, "service_id")?.parse()?,
        relays: number("num_relays")?,
        compute_units: number("num_claimed_compute_units")?,
        claimed: amount(event, "claimed_upokt")?,
        settled: amount(event, "settled_upokt")?,
        minted: amount(event, "minted_upokt")?,
        proved: number_of(event, "claim_proof_status_int")? == i64::from(ClaimProofStatus::Validated as i32),
        height,
    })
}

/// Text of an attribute, without the quotes of its JSON.
fn text(event: &Event, key: &str) -> Result<String> {
    let value = event
        .attribute(key)
        .with_context(|| format!("no attribute {key}"))?;
    serde_json::from_str(value).with_context(|| format!("attribute {key} is {value}"))
}

/// A 32-bit number, which JSON texts of attributes write without quotes.
fn number_of(event: &Event, key: &str) -> Result<i64> {
    let value = event
        .attribute(key)
        .with_context(|| format!("no attribute {key}"))?;
    value
        .parse()
        .with_context(|| format!("attribute {key} is {value}"))
}

/// Amount of an attribute such as `"42upokt"`.
fn amount(event: &Event, key: &str) -> Result<u128> {
    let text = text(event, key)?;
    let digits = text.strip_suffix(portico_protocol::types::DENOM).unwrap_or(&text);
    digits
        .parse()
        .with_context(|| format!("attribute {key} is {text:?}"))
}

#[cfg(test)]
mod tests {
    use portico_client::Event;
    use portico_protocol::Height;

    use super::Seen;

    fn event(kind: &str, attributes: &[(&str, &str)]) -> Event {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Event {
            kind: kind.to_owned(),
            attributes: attributes.iter().map(owned).collect(),
        }
    }

    #[test]
    fn a_settlement_is_read_from_its_event() {
        let address = "\"pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4\"";
        let settled = event(
            "pocket.tokenomics.EventClaimSettled",
            &[
                ("session_id", "\"ab\""),
                ("supplier_operator_address", address),
                ("application_address", address),
                ("service_id", "\"eth\""),
                ("claim_proof_status_int", "1"),
                ("num_relays", "\"5\""),
                ("num_claimed_compute_units", "\"50\""),
                ("claimed_upokt", "\"2100upokt\""),
                ("settled_upokt", "\"2099upokt\""),
                ("minted_upokt", "\"2098upokt\""),
            ],
        );
        let mut seen = Seen::default();
        seen.take(&settled, Height(7)).unwrap();
        let read = &seen.settlements[0];
        assert_eq!((read.relays, read.compute_units, read.height), (5, 50, Height(7)));
        assert_eq!(
            (read.claimed, read.settled, read.minted, read.proved),
            (2100, 2099, 2098, true)
        );
    }

    #[test]
    fn a_refused_proof_and_an_expired_claim_are_losses() {
        let mut seen = Seen::default();
        let proof = event(
            "pocket.proof.EventProofValidityChecked",
            &[("failure_reason", "\"wrong path\"")],
        );
        seen.take(&proof, Height(1)).unwrap();
        seen.take(&event("pocket.tokenomics.EventClaimExpired", &[]), Height(2))
            .unwrap();
        assert_eq!(seen.losses.len(), 2);
    }

    #[test]
    fn a_settlement_without_its_attributes_is_an_error_not_a_zero() {
        assert!(
            Seen::default()
                .take(&event("pocket.tokenomics.EventClaimSettled", &[]), Height(1))
                .is_err()
        );
    }
}
