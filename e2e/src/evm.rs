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
    /// Starts hardhat on a free port and awaits its first answer.
    pub async fn start() -> Result<Self> {
        let options = ["node", "--hostname", "127.0.0.1"];
        Self::start_program("hardhat", &options).await
    }

    /// The same with anvil, which can also put other blocks in the place of its newest ones.
    pub async fn start_anvil() -> Result<Self> {
        let options = ["--silent", "--host", "127.0.0.1"];
        Self::start_program("anvil", &options).await
    }

    async fn start_program(name: &str, options: &[&str]) -> Result<Self> {
        let addr = free_address()?;
        let url = format!("http://{addr}");
        let dir = tempfile::tempdir()?;
        let mut process = spawn(dir.path(), name, options, addr.port())?;
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

fn spawn(dir: &Path, name: &str, options: &[&str], port: u16) -> Result<Process> {
    let js = workspace().join("e2e/js");
    let program = js.join("node_modules/.bin").join(name);
    let mut command = Command::new(&program);
    command
        .current_dir(&js)
        .args(options)
        .args(["--port", &port.to_string()])
        .env("HARDHAT_DISABLE_TELEMETRY_PROMPT", "true");
    Process::start("evm-node", command, &Output::Logged(dir.to_owned()))
        .with_context(|| format!("{}: run e2e/run, or npm install in e2e/js", program.display()))
}
