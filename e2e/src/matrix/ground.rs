//! The network that all cells share.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use portico_localnet::{Network, Output, Plan, Processes, Program, Role, Spec, free_ports};
use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{Height, ServiceId};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::client::Client;
use crate::process::{LONG_PATIENCE, binary, eventually, eventually_within};
use crate::supplier::LyingSupplier;
use portico_localnet::forgery::Signing;

/// Relays of a session that an application pays for where there are too few.
pub(super) const PAID_RELAYS: usize = 10;
/// Seed of the actors' keys.
const KEYS_SEED: u64 = 11;

/// What a session of a cell came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Paid {
    pub(super) leaves: u64,
    pub(super) settled: u128,
}

/// Sessions that anything was served in, by service, in their order.
pub(super) type PaidBy = BTreeMap<ServiceId, Vec<Paid>>;

/// The network.
pub(super) struct Ground {
    plan: Plan,
    network: Network,
    processes: Processes,
    pub(super) client: Client,
    session_end: i64,
    _liars: Vec<LyingSupplier>,
    _dir: tempfile::TempDir, // last: what the processes write is deleted after they have ended
}

impl Ground {
    pub(super) async fn start(spec: Spec) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut rng = StdRng::seed_from_u64(KEYS_SEED);
        let plan = Plan::open(dir.path(), free_ports()?, spec, &mut rng)?;
        let mut liars = Vec::new();
        for (supplier, key) in plan.spec.suppliers.iter().zip(&plan.actors.suppliers) {
            if let Some(address) = supplier.elsewhere {
                liars.push(LyingSupplier::start(address, key.clone()).await?);
            }
        }
        let program = Program {
            path: binary()?.to_owned(),
            output: Output::Logged(dir.path().to_owned()),
            log_level: Some(std::env::var("PORTICO_E2E_LOG").unwrap_or_else(|_| "info".into())),
        };
        let (network, mut processes) = Processes::start(&plan, program).await?;
        processes.ready(&plan).await?;
        Ok(Self {
            client: Client::new(plan.gateway_url())?,
            plan,
            network,
            processes,
            session_end: 0,
            _liars: liars,
            _dir: dir,
        })
    }

    /// The last lines of every process.
    pub(super) fn logs(&self) -> String {
        self.processes.logs()
    }

    pub(super) fn servicer_url(&self) -> String {
        self.plan.servicer_url()
    }

    async fn height(&self) -> Result<Height> {
        Ok(self.network.chain.status().await?.head.height)
    }

    /// Awaits the second block of a session: then gateway and servicer have seen the first.
    pub(super) async fn fresh_session(&mut self) -> Result<()> {
        let params = self.network.chain.shared_params(None).await?;
        let timing = Timing::new(&params);
        let begun = eventually("a session begins", || async {
            let height = self.height().await?;
            let is_second = height.0 == timing.start(height).0 + 1;
            Ok(is_second.then(|| timing.end(height).0))
        });
        self.session_end = begun.await?;
        Ok(())
    }

    /// Awaits the block that is so many after the first of the session after that of [`Self::fresh_session`].
    pub(super) async fn blocks_into_next_session(&self, blocks: i64) -> Result<()> {
        eventually("the next session begins", || async {
            let height = self.height().await?.0;
            Ok((height > self.session_end + blocks).then_some(()))
        })
        .await
    }

    pub(super) async fn kill_servicer(&mut self) -> Result<()> {
        self.processes.of(Role::Servicer).kill().await
    }

    pub(super) async fn restart_servicer(&mut self) -> Result<()> {
        self.processes.restart(&self.plan, Role::Servicer)?;
        self.processes.ready(&self.plan).await
    }

    /// Who signs requests for a service in its current session.
    pub(super) async fn signing(&self, service: &ServiceId) -> Result<Signing<'_>> {
        let actors = &self.plan.actors;
        let application = actors.application(service)?;
        let height = self.height().await?;
        let session = self.network.chain.session(&application, service, height).await?;
        let header: SessionHeader = session.header.context("a session has a header")?;
        let [own, foreign, ..] = &actors.suppliers[..] else {
            anyhow::bail!("there are two suppliers here");
        };
        Ok(Signing {
            header,
            supplier: own.address(),
            foreign: Some(foreign.address()),
            ring: vec![
                actors.applications[service].public_key(),
                actors.gateway.public_key(),
            ],
            key: &actors.gateway,
        })
    }

    /// Awaits the end of every session that anything was served in, and reads what the chain says of them.
    pub(super) async fn all_settled(&self) -> Result<PaidBy> {
        let rows = eventually_within(LONG_PATIENCE, "all sessions are settled", || async {
            let rows = self.network.ledger.rows().await?;
            let open = rows.iter().any(|row| !row.stage.is_final());
            Ok((!open).then_some(rows))
        });
        let mut rows = rows.await.with_context(|| self.logs())?;
        rows.sort_by_key(|row| row.session_start_height);
        let settled = self.settlements().await?;
        let mut paid = PaidBy::new();
        for row in rows.iter().filter(|row| row.committed > 0) {
            let of_session = settled.get(&(row.service.to_string(), row.session_end_height));
            let (relays, upokt) = of_session.copied().unwrap_or_default();
            ensure!(
                relays == row.committed,
                "{relays} relays settled for {} leaves: {row:?}",
                row.committed
            );
            paid.entry(row.service.clone()).or_default().push(Paid {
                leaves: row.committed,
                settled: upokt,
            });
        }
        let sessions: usize = paid.values().map(Vec::len).sum();
        ensure!(
            sessions == settled.len(),
            "settled without leaves: {settled:?}, {paid:?}"
        );
        Ok(paid)
    }

    /// Relays and upokt of every settlement on chain, by service and session.
    async fn settlements(&self) -> Result<BTreeMap<(String, i64), (u64, u128)>> {
        let (chain, mut found) = (&self.network.chain, BTreeMap::new());
        for height in 1..=self.height().await?.0 {
            for event in chain.block_results(Height(height)).await?.block_events {
                if event.kind != "pocket.tokenomics.EventClaimSettled" {
                    continue;
                }
                let attribute = |key: &str| {
                    let value = event.attribute(key).context("an attribute is missing")?;
                    anyhow::Ok(value.trim_matches('"').to_owned())
                };
                let key = (
                    attribute("service_id")?,
                    attribute("session_end_block_height")?.parse()?,
                );
                let upokt = attribute("settled_upokt")?;
                let upokt = upokt.trim_end_matches("upokt").parse()?;
                found.insert(key, (attribute("num_relays")?.parse()?, upokt));
            }
        }
        Ok(found)
    }
}
