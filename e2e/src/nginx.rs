//! A real reverse proxy, as operators put it before a node.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use portico_localnet::ports::free_address;
use portico_localnet::{Certificates, Output, Process};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::process::eventually;

/// Its settings, with names for what differs from run to run.
const SETTINGS: &str = include_str!("nginx.conf");

/// A running nginx that speaks TLS, with a certificate of an authority of its own, and whose answers are compressed whoever asks.
#[derive(Debug)]
pub struct Nginx {
    url: String,
    certificates: Certificates,
    process: Process,
    dir: tempfile::TempDir,
}

impl Nginx {
    /// Starts on a free port, before the node at `node`, and awaits that it listens.
    pub async fn start(node: &str) -> Result<Self> {
        let addr = free_address()?;
        let dir = tempfile::tempdir()?;
        let certificates = Certificates::make(dir.path())?;
        let folder = dir.path().to_str().context("a path that is text")?;
        let certificate = certificates.certificate.to_str().context("so is this")?;
        let key = certificates.key.to_str().context("and this")?;
        let settings = SETTINGS.lines().filter(|line| !line.starts_with('#'));
        let settings = settings.collect::<Vec<_>>().join("\n");
        let settings = settings
            .replace("FOLDER", folder)
            .replace("LISTEN", &addr.to_string())
            .replace("NODE", node)
            .replace("CERTIFICATE", certificate)
            .replace("KEY", key);
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, settings)?;
        let mut command = Command::new("nginx");
        command
            .arg("-p")
            .arg(dir.path())
            .args(["-e", "stderr", "-c"])
            .arg(&file);
        let process = Process::start("nginx", command, &Output::Logged(dir.path().to_owned()))
            .context("nginx is missing, or not on the PATH: .ci/run tools installs it")?;
        let mut proxy = Self {
            url: format!("https://{addr}"),
            certificates,
            process,
            dir,
        };
        eventually("nginx", || async { Ok(TcpStream::connect(addr).await.ok()) }).await?;
        proxy.process.must_run()?;
        Ok(proxy)
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Certificate of the authority that vouches for it.
    #[must_use]
    pub fn authority(&self) -> &Path {
        &self.certificates.authority
    }

    /// Its log: a line per request, with method, status and coding of the answer.
    #[must_use]
    pub fn access_log(&self) -> PathBuf {
        self.dir.path().join("access.log")
    }
}
