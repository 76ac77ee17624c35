//! A real EVM node from npm.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use portico_localnet::ports::free_address;
use portico_localnet::{Output, Process};
use serde_json::json;
use tokio::process::Command;

use crate::process::{eventually, workspace};

/// A running node with an in-memory chain of id 31337.
#[derive(Debug)]
pub struct EvmNode {
    url: String,
    process: Process,
    _dir: tempfile::TempDir,
}

impl EvmNode {
    /// Starts it on a free port and awaits its first answer.
    pub async fn start() -> Result<Self> {
        let addr = free_address()?;
        let url = format!("http://{addr}");
        let dir = tempfile::tempdir()?;
        let mut process = spawn(dir.path(), addr.port())?;
        let dapp = crate::DApp::new(&url);
        eventually("the EVM node answers", || async {
            Ok(dapp.call(1, "eth_chainId").await.ok())
        })
        .await?;
        process.must_run()?;
        Ok(Self {
            url,
            process,
            _dir: dir,
        })
    }

    /// Makes blocks.
    pub async fn mine(&self, blocks: u64) -> Result<()> {
        let answer = crate::DApp::new(&self.url)
            .send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "hardhat_mine", "params": [format!("{blocks:#x}")] }))
            .await?;
        ensure!(answer.is_result(), "no blocks: {}", answer.body);
        Ok(())
    }

    /// Ends it at once.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Its JSON-RPC URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn spawn(dir: &Path, port: u16) -> Result<Process> {
    let js = workspace().join("e2e/js");
    let program = js.join("node_modules/.bin/hardhat");
    let mut command = Command::new(&program);
    command
        .current_dir(&js)
        .args(["node", "--hostname", "127.0.0.1", "--port", &port.to_string()])
        .env("HARDHAT_DISABLE_TELEMETRY_PROMPT", "true");
    Process::start("evm-node", command, &Output::Logged(dir.to_owned()))
        .with_context(|| format!("{}: run e2e/run, or npm install in e2e/js", program.display()))
}
