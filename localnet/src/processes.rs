//! Node, servicer and gateway as processes of the binary, which talk over the node's RPC and gRPC as strangers would.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use portico_client::{Blocks, RemoteChain, RemoteConfig};
use tokio_util::sync::CancellationToken;

use crate::http::ready;
use crate::network::{Ledger, Network, Part};
use crate::plan::Plan;
use crate::process::{Output, Process, this_program, without_our_variables};
use crate::spec::Role;
use crate::wait::eventually;

/// Longest wait for the node's first block.
const NODE_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two looks for it.
const NODE_INTERVAL: Duration = Duration::from_millis(50);

/// How the roles are run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The binary.
    pub path: PathBuf,
    /// What becomes of its output.
    pub output: Output,
    /// Its log level (`RUST_LOG`); none leaves it to the environment.
    pub log_level: Option<String>,
}

impl Program {
    /// The program that runs now, its output shown.
    pub fn this() -> Result<Self> {
        Ok(Self {
            path: this_program()?,
            output: Output::Shown,
            log_level: None,
        })
    }

    /// Starts a role of `plan`.
    fn start(&self, plan: &Plan, role: Role) -> Result<Process> {
        let mut command = without_our_variables(&self.path);
        command
            .arg(role.name())
            .arg("--config")
            .arg(plan.config_file(role));
        if let Some(level) = &self.log_level {
            command.env("RUST_LOG", level);
        }
        Process::start(role.name(), command, &self.output)
    }
}

/// The running roles; killed when dropped.
#[derive(Debug)]
pub struct Processes {
    program: Program,
    gateway: Process,
    servicer: Process,
    node: Process,
}

impl Processes {
    /// Starts the roles of a planned network, the node first, and waits for its first block; not for the others to be ready.
    pub async fn start(plan: &Plan, program: Program) -> Result<(Network, Self)> {
        let mut node = program.start(plan, Role::Node)?;
        let chain = connect(plan, &mut node).await?;
        let servicer = program.start(plan, Role::Servicer)?;
        let gateway = program.start(plan, Role::Gateway)?;
        let network = Network {
            chain: Arc::new(chain),
            ledger: Ledger::At(plan.ledger_url(), plan.http_client()?),
        };
        let processes = Self {
            program,
            gateway,
            servicer,
            node,
        };
        Ok((network, processes))
    }

    /// Waits until servicer and gateway are ready.
    pub async fn ready(&mut self, plan: &Plan) -> Result<()> {
        self.are_ready(plan, &[Role::Servicer, Role::Gateway]).await
    }

    /// Waits until these roles are ready: a servicer none of whose suppliers is staked never is.
    pub async fn are_ready(&mut self, plan: &Plan, roles: &[Role]) -> Result<()> {
        let client = plan.http_client()?;
        for (role, url) in [
            (Role::Servicer, plan.servicer_url()),
            (Role::Gateway, plan.gateway_url()),
        ] {
            if !roles.contains(&role) {
                continue;
            }
            let url = format!("{url}/ready");
            let ready = tokio::select! {
                ready = ready(&client, &url) => ready,
                error = ended(self.of(role)) => Err(error),
            };
            ready.with_context(|| self.logs())?;
        }
        Role::ALL
            .into_iter()
            .try_for_each(|role| self.of(role).must_run())
    }

    /// The process of a role.
    pub const fn of(&mut self, role: Role) -> &mut Process {
        match role {
            Role::Node => &mut self.node,
            Role::Servicer => &mut self.servicer,
            Role::Gateway => &mut self.gateway,
        }
    }

    /// Starts a role that has ended again, with the same data and ports.
    pub fn restart(&mut self, plan: &Plan, role: Role) -> Result<()> {
        *self.of(role) = self.program.start(plan, role)?;
        Ok(())
    }

    /// The process ids of the roles that run.
    #[must_use]
    pub fn ids(&self) -> Vec<(Role, u32)> {
        let all = [
            (Role::Gateway, &self.gateway),
            (Role::Servicer, &self.servicer),
            (Role::Node, &self.node),
        ];
        let running = all
            .into_iter()
            .filter_map(|(role, process)| Some((role, process.id()?)));
        running.collect()
    }

    /// The last lines of every log.
    #[must_use]
    pub fn logs(&self) -> String {
        [
            ("node", &self.node),
            ("servicer", &self.servicer),
            ("gateway", &self.gateway),
        ]
        .map(|(name, process)| format!("--- {name}\n{}", process.tail()))
        .join("\n")
    }

    /// The roles as parts of this process: each ends when its process does, or ends it when `stop` is cancelled.
    #[must_use]
    pub fn into_parts(self, stop: &CancellationToken) -> Vec<Part> {
        let roles = [
            (Role::Node, self.node),
            (Role::Servicer, self.servicer),
            (Role::Gateway, self.gateway),
        ];
        roles
            .into_iter()
            .map(|(role, process)| Part::new(role.name(), process.run(stop.clone())))
            .collect()
    }
}

/// Waits for the first block; errs as soon as the node has ended.
async fn connect(plan: &Plan, node: &mut Process) -> Result<RemoteChain> {
    let config = RemoteConfig {
        tls: plan.client_tls()?,
        ..RemoteConfig::new(&plan.rpc_url(), &plan.grpc_url())
    };
    let connect = eventually("the node's first block", NODE_TIMEOUT, NODE_INTERVAL, || async {
        let chain = RemoteChain::open(&config).await?;
        let status = chain.status().await?;
        Ok((status.head.height.0 > 0).then_some(chain))
    });
    let connected = tokio::select! {
        chain = connect => chain,
        error = ended(node) => return Err(error.context("the node ended before its first block")),
    };
    connected.with_context(|| node.tail())
}

/// Waits until the process has ended, which it should not, and says how it did.
async fn ended(process: &mut Process) -> anyhow::Error {
    loop {
        if let Err(error) = process.must_run() {
            process.drain().await;
            return error;
        }
        tokio::time::sleep(NODE_INTERVAL).await;
    }
}
