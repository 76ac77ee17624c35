//! What a local network says when it is ready.

use std::fmt::Write as _;

use anyhow::Result;
use portico_client::Chain;
use portico_localnet::money::{Pots, Snapshot};
use portico_localnet::{CHAIN_SERVICE, Plan, chain_service};
use portico_protocol::session::Timing;
use portico_protocol::{Height, ServiceId};

use crate::table::{Table, grouped};

/// Everything that is told.
pub(super) struct Banner<'a> {
    pub(super) plan: &'a Plan,
    /// Whether the network begins now.
    pub(super) fresh: bool,
    pub(super) pots: &'a Pots,
    pub(super) amounts: &'a Snapshot,
}

impl Banner<'_> {
    /// The text; the chain says where it is and how long sessions take.
    pub(super) async fn text(&self, chain: &dyn Chain) -> Result<String> {
        let status = chain.status().await?;
        let params = chain.shared_params(None).await?;
        let begun = if self.fresh { "new" } else { "continued" };
        let mut text = format!(
            "Portico local network ({begun}), chain id {}, block {}\ndata in {}\n\n",
            status.chain_id,
            status.head.height,
            self.plan.folder.display()
        );
        let block_time_ms = u64::try_from(self.plan.spec.block_time.as_millis()).unwrap_or(u64::MAX);
        let parts = [
            self.parts(),
            self.actors(),
            timing(&Timing::new(&params), status.head.height, block_time_ms),
        ];
        text.extend(parts.iter().map(|part| format!("{part}\n")));
        write!(text, "First relay:\n\n  {}\n", self.curl())?;
        Ok(text)
    }

    fn parts(&self) -> String {
        let plan = self.plan;
        let mut table = Table::new(&["part", "where", "what"]);
        table.row([
            "gateway",
            &plan.gateway_url(),
            "takes JSON-RPC calls at /v1/<service>",
        ]);
        table.row(["servicer", &plan.servicer_url(), "answers relays"]);
        table.row(["chain RPC", &plan.rpc_url(), "CometBFT-style JSON-RPC"]);
        table.row(["chain gRPC", &plan.grpc_url(), "queries and transactions"]);
        for (service, url) in &plan.spec.services {
            table.row([
                format!("backend {service}"),
                url.clone().unwrap_or_else(|| plan.rpc_url()),
                backend_of(service).to_owned(),
            ]);
        }
        table.text(2)
    }

    fn actors(&self) -> String {
        let mut table = Table::new(&["actor", "address", ">stake upokt", ">balance upokt"]);
        for (name, key) in self.plan.actors.all() {
            let address = key.address();
            let stake = self
                .pots
                .stake_of(&address, self.amounts)
                .map_or_else(|| "-".to_owned(), grouped);
            let balance = self
                .pots
                .balance_of(&address, self.amounts)
                .map_or_else(|| "-".to_owned(), grouped);
            table.row([name, address.to_string(), stake, balance]);
        }
        table.text(2)
    }

    /// A command that works as printed.
    fn curl(&self) -> String {
        let url = front_door(self.plan, &chain_service());
        let trust = self.plan.certificates.as_ref();
        let trust = trust.map_or_else(String::new, |files| {
            format!("--cacert {} ", files.authority.display())
        });
        format!(
            "curl -i {trust}{url} -H 'Content-Type: application/json' -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"status\",\"params\":{{}}}}'"
        )
    }
}

fn backend_of(service: &ServiceId) -> String {
    match service.as_str() {
        CHAIN_SERVICE => "the chain's own RPC".to_owned(),
        _ => "your node".to_owned(),
    }
}

/// Where calls for `service` are sent; the id is left out where there is only one service.
pub(super) fn front_door(plan: &Plan, service: &ServiceId) -> String {
    let base = format!("{}/v1", plan.gateway_url());
    match plan.spec.services.len() {
        1 => base,
        _ => format!("{base}/{service}"),
    }
}

fn timing(timing: &Timing<'_>, now: Height, block_time_ms: u64) -> String {
    let (start, end) = (timing.start(now), timing.end(now));
    let blocks = end.0.saturating_sub(start.0).saturating_add(1);
    let seconds = |blocks: i64| blocks.unsigned_abs().saturating_mul(block_time_ms).div_ceil(1000);
    format!(
        "Sessions have {blocks} blocks (about {} s). The current one is blocks {start} to {end}:\n  \
         relays until block {}, claimed in {} to {}, proved in {} to {}, settled in {} (about {} s from now).\n",
        seconds(blocks),
        timing.grace_end(now),
        timing.claim_open(now),
        timing.claim_close(now),
        timing.proof_open(now),
        timing.proof_close(now),
        timing.proof_close(now),
        seconds(timing.proof_close(now).0.saturating_sub(now.0)),
    )
}
