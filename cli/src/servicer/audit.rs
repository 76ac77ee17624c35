//! The ledger beside the chain's own events.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use portico_client::{Chain, ChainError};
use portico_protocol::{Address, Height, Upokt};
use portico_servicer::{ChainSettlement, LedgerRow, Stage, settlements, settlements_of};

use crate::table::{Table, grouped};

/// What was compared, and what differs.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// Sessions whose settlement height is over.
    sessions: u64,
    /// Settled, as the ledger and as the events say.
    settled: [u128; 2],
    /// Paid to the suppliers' shareholders, likewise.
    paid: [u128; 2],
    /// Burned of stakes, likewise.
    slashed: [u128; 2],
    /// What differs, one line each.
    differences: Vec<String>,
    /// Balances of the shareholders now.
    balances: BTreeMap<Address, Upokt>,
}

/// Reads the events of every height at which a session of `rows` settles, and compares.
pub(super) async fn compare(rows: &[&LedgerRow], chain: &dyn Chain) -> Result<Audit> {
    let head = chain.status().await?.head.height;
    let mut audit = Audit::default();
    let due: Vec<&&LedgerRow> = rows
        .iter()
        .filter(|row| {
            row.claim_on_chain && row.proof_close_height > 0 && Height(row.proof_close_height) <= head
        })
        .collect();
    let heights: BTreeSet<i64> = due.iter().map(|row| row.proof_close_height).collect();
    let ours: BTreeSet<Address> = rows.iter().map(|row| row.supplier).collect();
    let keep = settlements_of(ours.clone());
    for height in heights {
        let told = match chain.block_events(Height(height), keep.clone()).await {
            Ok(told) => told,
            Err(ChainError::NotFound(_)) => {
                audit.differences.push(format!(
                    "the chain node has forgotten the events of height {height}"
                ));
                continue;
            }
            Err(error) => return Err(error).with_context(|| format!("events of height {height}")),
        };
        if told.more || told.unreadable > 0 {
            audit.differences.push(format!(
                "height {height} has more events than can be read at a time"
            ));
        }
        let here = due.iter().filter(|row| row.proof_close_height == height);
        audit.height(here.copied().copied(), &settlements(&told.events), &ours);
    }
    let receivers: BTreeSet<&String> = rows.iter().flat_map(|row| row.paid_upokt.keys()).collect();
    for address in receivers {
        let address: Address = address.parse()?;
        audit.balances.insert(address, chain.balance(&address).await?);
    }
    Ok(audit)
}

impl Audit {
    pub(super) fn agrees(&self) -> bool {
        self.differences.is_empty()
    }

    fn height<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a LedgerRow>,
        events: &[ChainSettlement],
        ours: &BTreeSet<Address>,
    ) {
        let mut known = BTreeSet::new();
        for row in rows {
            self.sessions += 1;
            let event = events.iter().find(|event| event.is_of(row));
            let name = format!("session {} of {}", row.session_id, row.supplier);
            let Some(event) = event else {
                if row.stage.is_final() {
                    self.differences
                        .push(format!("{name}: no event at height {}", row.proof_close_height));
                }
                continue;
            };
            known.insert((
                event.supplier,
                event.application,
                event.session_end_height,
                &event.service,
            ));
            let told = [
                row.settled_upokt.unwrap_or_default().0,
                row.paid().0,
                row.slashed_upokt.0,
            ];
            let seen = [event.settled.0, event.paid.0, event.slashed.0];
            for (sums, (told, seen)) in [&mut self.settled, &mut self.paid, &mut self.slashed]
                .into_iter()
                .zip(told.into_iter().zip(seen))
            {
                sums[0] = sums[0].saturating_add(told);
                sums[1] = sums[1].saturating_add(seen);
            }
            for (what, (told, seen)) in ["settled", "paid", "slashed"]
                .iter()
                .zip(told.into_iter().zip(seen))
            {
                if told != seen {
                    self.differences
                        .push(format!("{name}: {what} {told} upokt, the chain says {seen}"));
                }
            }
            if event.expired && row.stage == Stage::Settled {
                self.differences
                    .push(format!("{name}: settled here, expired on chain"));
            }
        }
        for event in events.iter().filter(|event| ours.contains(&event.supplier)) {
            let key = (
                event.supplier,
                event.application,
                event.session_end_height,
                &event.service,
            );
            if !known.contains(&key) {
                self.differences.push(format!(
                    "the chain settled {} for {} (service {}, session end {}), which this ledger does not know as claimed: another process \
                     with the same key?",
                    event.settled, event.supplier, event.service, event.session_end_height
                ));
            }
        }
    }

    pub(super) fn text(&self) -> String {
        let mut table = Table::new(&["", ">ledger", ">chain"]);
        for (name, [told, seen]) in [
            ("settled upokt", self.settled),
            ("paid upokt", self.paid),
            ("slashed upokt", self.slashed),
        ] {
            table.row([name, &grouped(told), &grouped(seen)]);
        }
        let mut text = format!(
            "\n{} sessions beside the chain's events:\n{}",
            self.sessions,
            table.text(2)
        );
        for (address, balance) in &self.balances {
            text += &format!("  balance of {address} now: {} upokt\n", grouped(balance.0));
        }
        for difference in &self.differences {
            text += &format!("differs: {difference}\n");
        }
        if self.agrees() {
            text += "The ledger and the chain agree.\n";
        }
        text
    }
}

#[cfg(test)]
mod tests;
