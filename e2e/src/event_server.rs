//! A real event server from npm.

use std::path::Path;

use anyhow::{Context, Result};
use portico_localnet::ports::free_address;
use portico_localnet::{Output, Process};
use portico_net::tls::ClientTls;
use tokio::process::Command;

use crate::process::{eventually, workspace};

/// A running server; `js/event-server.mjs` says what it answers.
#[derive(Debug)]
pub struct EventServer {
    url: String,
    process: Process,
    _dir: tempfile::TempDir,
}

impl EventServer {
    /// Starts it on a free port and awaits its first answer.
    pub async fn start() -> Result<Self> {
        let addr = free_address()?;
        let dir = tempfile::tempdir()?;
        let mut server = Self {
            url: format!("http://{addr}"),
            process: spawn(dir.path(), addr.port())?,
            _dir: dir,
        };
        let client = ClientTls::public_http();
        eventually("the event server answers", || async {
            Ok(client.get(format!("{}/open", server.url)).send().await.ok())
        })
        .await?;
        server.process.must_run()?;
        Ok(server)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn spawn(dir: &Path, port: u16) -> Result<Process> {
    let js = workspace().join("e2e/js");
    let mut command = Command::new("node");
    command
        .current_dir(&js)
        .args(["event-server.mjs", &port.to_string()]);
    Process::start("event-server", command, &Output::Logged(dir.to_owned()))
        .context("node does not start: run e2e/run, or npm install in e2e/js")
}
