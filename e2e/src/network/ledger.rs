//! What the chain says about money: claims, settlements, balances, supply.

use anyhow::{Context, Result, ensure};
use portico_client::Event;
use portico_protocol::{Address, Height};

use super::Network;
use crate::process::{LONG_PATIENCE, eventually, eventually_within};

/// A claim as its creation event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Leaves of the trie.
    pub num_relays: u64,
    /// Sum of the trie.
    pub compute_units: u64,
}

/// A settlement as its event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What the application paid for relays.
    pub upokt: u128,
    /// Whether a valid proof was submitted.
    pub proved: bool,
}

/// Text of a typed event's attribute without its JSON quotes.
fn attribute<'a>(event: &'a Event, key: &str) -> Result<&'a str> {
    let text = event
        .attribute(key)
        .with_context(|| format!("{} has no attribute {key}", event.kind))?;
    Ok(text.trim_matches('"'))
}

fn upokt(text: &str) -> Result<u128> {
    text.strip_suffix("upokt")
        .unwrap_or(text)
        .parse()
        .with_context(|| format!("{text:?} is no amount"))
}

impl Network {
    /// The first event of this kind about `session`, awaited.
    async fn event(&self, kind: &str, session: &str) -> Result<Event> {
        Ok(self.event_and_height(kind, session).await?.1)
    }

    /// Height of the block that holds the session's claim, awaited.
    pub(super) async fn claim_height(&self, session: &str) -> Result<Height> {
        Ok(self
            .event_and_height("pocket.proof.EventClaimCreated", session)
            .await?
            .0)
    }

    async fn event_and_height(&self, kind: &str, session: &str) -> Result<(Height, Event)> {
        let end = self.session_end(session).await?.to_string();
        eventually(&format!("{kind} of session {session}"), || {
            self.find_event(kind, session, &end)
        })
        .await
        .with_context(|| self.logs())
    }

    async fn find_event(&self, kind: &str, session: &str, end: &str) -> Result<Option<(Height, Event)>> {
        let head = self.head().await?.height;
        for height in 1..=head.0 {
            let results = self.chain().block_results(Height(height)).await?;
            let events = results
                .block_events
                .into_iter()
                .chain(results.txs.into_iter().flat_map(|tx| tx.events));
            for event in events.filter(|event| event.kind == kind) {
                let same_session = event
                    .attribute("session_id")
                    .is_none_or(|id| id.trim_matches('"') == session);
                let same_end = attribute(&event, "session_end_block_height")? == end;
                if same_session && same_end {
                    return Ok(Some((Height(height), event)));
                }
            }
        }
        Ok(None)
    }

    /// End height of one of the application's sessions so far.
    async fn session_end(&self, id: &str) -> Result<i64> {
        let head = self.head().await?.height.0;
        let mut height = 1;
        while height <= head {
            let session = self.session(Height(height)).await?;
            let end = session
                .header
                .context("a session has a header")?
                .session_end_block_height;
            if session.session_id == id {
                return Ok(end);
            }
            height = end + 1;
        }
        anyhow::bail!("no session up to height {head} has the id {id}")
    }

    /// What was claimed for `session`, awaited.
    pub async fn claimed(&self, session: &str) -> Result<Claimed> {
        let event = self.event("pocket.proof.EventClaimCreated", session).await?;
        Ok(Claimed {
            num_relays: attribute(&event, "num_relays")?.parse()?,
            compute_units: attribute(&event, "num_claimed_compute_units")?.parse()?,
        })
    }

    /// What was settled for `session`, awaited.
    pub async fn settled(&self, session: &str) -> Result<Settled> {
        let event = self.event("pocket.tokenomics.EventClaimSettled", session).await?;
        // 1 is VALIDATED of `pocket.proof.ClaimProofStatus`.
        let proved = attribute(&event, "claim_proof_status_int")? == "1";
        Ok(Settled {
            upokt: upokt(attribute(&event, "settled_upokt")?)?,
            proved,
        })
    }

    /// Total supply of upokt.
    pub async fn supply(&self) -> Result<u128> {
        Ok(self.chain().total_supply().await?.0)
    }

    async fn balance(&self, address: &Address) -> Result<u128> {
        Ok(self.chain().balance(address).await?.0)
    }

    /// What an account holds more, or less, than in the first state.
    async fn gained(&self, address: &Address) -> Result<i128> {
        let now = i128::try_from(self.balance(address).await?)?;
        Ok(now - i128::try_from(self.genesis_balance(address))?)
    }

    /// Balance of an account in the first state.
    fn genesis_balance(&self, address: &Address) -> u128 {
        let accounts = self.plan.genesis.accounts.iter();
        let own = accounts.filter(|account| account.address == *address);
        own.map(|account| account.balance.0).sum()
    }

    /// That one settlement of `settled` upokt moved every balance as the default params say: of the mint 70 % to the supplier, 15 % to
    /// the service's owner, 10 % to the DAO, 5 % to the proposer; of 10 % inflation the same; and the application pays both.
    pub async fn check_default_distribution(&self, settled: u128) -> Result<()> {
        let inflation = settled / 10;
        let minted = settled + inflation;
        let actors = self.actors();
        let supplier = self.suppliers().first().context("no supplier")?;
        let expected = [
            ("supplier", supplier.address(), minted * 70 / 100),
            ("service owner", actors.service_owner.address(), minted * 15 / 100),
            ("dao", actors.dao.address(), minted * 10 / 100 + inflation),
            ("proposer", actors.validator.address(), minted * 5 / 100),
        ];
        for (who, address, gain) in expected {
            let (before, after) = (self.genesis_balance(&address), self.balance(&address).await?);
            ensure!(
                after == before + gain,
                "{who}: {before} + {gain} expected, has {after}"
            );
        }
        let application = self.chain().application(&self.application()).await?;
        let stake = application.stake.context("a stake")?.amount.parse::<u128>()?;
        let before = self.plan.spec.application_stake.0;
        let paid = before.checked_sub(stake).context("the stake grew")?;
        ensure!(
            paid == settled + inflation,
            "the application paid {paid}, not {settled} + {inflation}"
        );
        Ok(())
    }

    /// That the supply grew by inflation only: 10 % of what was settled.
    pub async fn check_supply(&self) -> Result<()> {
        let (supply, settled) = (self.supply().await?, self.settled_in_all().await?);
        let expected = self.genesis_supply + settled / 10;
        ensure!(
            supply == expected,
            "supply is {supply}, {expected} expected after {settled} settled"
        );
        Ok(())
    }

    async fn settled_in_all(&self) -> Result<u128> {
        let head = self.head().await?.height;
        let mut sum = 0;
        for height in 1..=head.0 {
            for event in self.chain().block_results(Height(height)).await?.block_events {
                if event.kind == "pocket.tokenomics.EventClaimSettled" {
                    sum += upokt(attribute(&event, "settled_upokt")?)?;
                }
            }
        }
        Ok(sum)
    }

    /// That `portico servicer ledger` and `why` tell what the chain's events and the supplier's balance tell; returns the ledger's totals.
    pub async fn check_ledger(&self, session: &str) -> Result<serde_json::Value> {
        let (settled, supplier) = (
            self.settled_in_all().await?,
            self.suppliers().first().context("no supplier")?.address(),
        );
        // A settlement is known to the servicer when it has taken the block into account.
        let ledger = eventually("the ledger tells of the settlement", || async {
            let told = self
                .ask_servicer(&["ledger", "--against-chain", "--format", "json"])
                .await?;
            let ledger: serde_json::Value = serde_json::from_str(&told)?;
            Ok((amount(&ledger["totals"]["settled_upokt"])? == settled).then_some(ledger))
        })
        .await?;
        let totals = &ledger["totals"];
        ensure!(ledger["closes"] == true, "the ledger does not close: {ledger}");
        let gained = self.gained(&supplier).await?;
        ensure!(
            net(totals)? == gained,
            "the supplier's balance changed by {gained}: {totals}"
        );
        ensure!(
            totals["validated"] == totals["claimed"],
            "every relay is claimed: {totals}"
        );
        let why = self.ask_servicer(&["why", session]).await?;
        ensure!(
            why.contains("settled") && why.contains(&supplier.to_string()),
            "{why}"
        );
        let relay = self
            .ask_servicer(&["ledger", "--by", "day", "--format", "csv"])
            .await?;
        ensure!(relay.lines().count() >= 2, "{relay}");
        Ok(totals.clone())
    }

    /// That the totals of `portico servicer ledger` are those of the chain's events, and earnings less fees what the supplier's balance changed
    /// by; returns what was settled.
    pub async fn check_totals(&self) -> Result<u128> {
        // A transaction that a kill lost may come until its time is over.
        let ledger = eventually_within(LONG_PATIENCE, "all fees are known", || async {
            let told = self
                .ask_servicer(&["ledger", "--against-chain", "--format", "json"])
                .await?;
            let ledger: serde_json::Value = serde_json::from_str(&told)?;
            Ok((amount(&ledger["totals"]["fees_unknown"])? == 0).then_some(ledger))
        })
        .await?;
        let (totals, settled) = (&ledger["totals"], self.settled_in_all().await?);
        ensure!(ledger["closes"] == true, "the ledger does not close: {ledger}");
        ensure!(
            amount(&totals["settled_upokt"])? == settled,
            "{settled} upokt were settled on chain: {totals}"
        );
        let supplier = self.suppliers().first().context("no supplier")?.address();
        let gained = self.gained(&supplier).await?;
        ensure!(
            net(totals)? == gained,
            "the supplier's balance changed by {gained}: {totals}"
        );
        Ok(settled)
    }

    /// What `portico servicer COMMAND…` answers; errs with its error.
    async fn ask_servicer(&self, command: &[&str]) -> Result<String> {
        let answer = tokio::process::Command::new(crate::process::binary()?)
            .arg("servicer")
            .args(command)
            .arg("--config")
            .arg(self.plan.config_file(portico_localnet::Role::Servicer))
            .output()
            .await?;
        let told = String::from_utf8_lossy(&answer.stdout).into_owned();
        ensure!(
            answer.status.success(),
            "{told}{}",
            String::from_utf8_lossy(&answer.stderr)
        );
        Ok(told)
    }

    /// What `portico servicer check --against-chain` finds that keeps the servicer from earning, if its configuration were changed so.
    pub async fn check_servicer(&self, change: impl FnOnce(String) -> String) -> Result<Vec<String>> {
        let file = self.plan.config_file(portico_localnet::Role::Servicer);
        let changed = file.with_extension("changed.yaml");
        tokio::fs::write(&changed, change(tokio::fs::read_to_string(&file).await?)).await?;
        let answer = tokio::process::Command::new(crate::process::binary()?)
            .args(["servicer", "check", "--against-chain", "--json", "--config"])
            .arg(&changed)
            .output()
            .await?;
        let found: Vec<serde_json::Value> = serde_json::from_slice(&answer.stdout)
            .with_context(|| String::from_utf8_lossy(&answer.stderr).into_owned())?;
        let faults: Vec<String> = found
            .iter()
            .filter(|one| one["level"] == "fault")
            .map(|one| one["what"].to_string())
            .collect();
        ensure!(
            !found.is_empty() && answer.status.success() == faults.is_empty(),
            "{found:?}"
        );
        Ok(faults)
    }

    /// Asks the servicer to end, and waits until it has.
    pub async fn stop_servicer(&mut self) -> Result<()> {
        self.processes.of(portico_localnet::Role::Servicer).stop().await
    }
}

/// What is left of earnings after all fees.
fn net(totals: &serde_json::Value) -> Result<i128> {
    let text = totals["net_upokt"].as_str();
    Ok(text.context("no net amount")?.parse()?)
}

/// An amount in JSON, where it is a text.
fn amount(value: &serde_json::Value) -> Result<u128> {
    value
        .as_str()
        .context("an amount is a text")?
        .parse()
        .context("an amount is a number")
}
