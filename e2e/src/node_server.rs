//! Real servers on Node.js, written with what npm has.

use std::path::Path;

use anyhow::{Context, Result};
use portico_localnet::ports::free_address;
use portico_localnet::{Output, Process};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::process::{eventually, workspace};

/// A running server; its script in `js` says what it answers.
#[derive(Debug)]
pub struct NodeServer {
    url: String,
    process: Process,
    _dir: tempfile::TempDir,
}

impl NodeServer {
    /// Starts `script` on a free port and awaits that it listens.
    pub async fn start(script: &'static str) -> Result<Self> {
        let addr = free_address()?;
        let dir = tempfile::tempdir()?;
        let mut server = Self {
            url: format!("http://{addr}"),
            process: spawn(script, dir.path(), addr.port())?,
            _dir: dir,
        };
        eventually(script, || async { Ok(TcpStream::connect(addr).await.ok()) }).await?;
        server.process.must_run()?;
        Ok(server)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn spawn(script: &str, dir: &Path, port: u16) -> Result<Process> {
    let js = workspace().join("e2e/js");
    let mut command = Command::new("node");
    command.current_dir(&js).args([script, &port.to_string()]);
    Process::start(script, command, &Output::Logged(dir.to_owned()))
        .context("node does not start: run e2e/run, or npm install in e2e/js")
}
