//! Real processes of the real binary, with their output kept for the reader of a failing case.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a step may take before its scenario fails; a bound, not a pace: steps await events.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The `portico` binary: `PORTICO_BIN`, or the one that cargo built beside this test (built now if it is missing).
pub fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = BINARY.get() {
        return Ok(path);
    }
    let path = match std::env::var_os("PORTICO_BIN") {
        Some(path) => PathBuf::from(path),
        None => built_beside_this_test()?,
    };
    Ok(BINARY.get_or_init(|| path))
}

fn built_beside_this_test() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let profile_dir = test
        .parent()
        .and_then(Path::parent)
        .context("tests run from <target>/<profile>/deps")?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build
        .args(["build", "-q", "-p", "portico-cli"])
        .current_dir(workspace());
    if profile_dir.ends_with("release") {
        build.arg("--release");
    }
    build.env(
        "CARGO_TARGET_DIR",
        profile_dir
            .parent()
            .context("a profile folder is inside the target folder")?,
    );
    if !build.status()?.success() {
        bail!("the portico binary does not build");
    }
    Ok(profile_dir.join("portico"))
}

/// Root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A loopback address that was free a moment ago.
pub fn free_addr() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A child process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, its output appended to `<dir>/<name>.log`.
    pub fn spawn(name: &str, dir: &Path, mut command: Command) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// Starts `portico` with `args`.
    pub fn portico<I: AsRef<std::ffi::OsStr>>(
        name: &str,
        dir: &Path,
        args: impl IntoIterator<Item = I>,
    ) -> Result<Self> {
        let mut command = Command::new(binary()?);
        command.args(args).env(
            "RUST_LOG",
            std::env::var("PORTICO_E2E_LOG").unwrap_or_else(|_| "info".into()),
        );
        Self::spawn(name, dir, command)
    }

    /// Kills without warning (SIGKILL) and waits for the end.
    pub fn kill_dash_nine(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Errs with the last lines of its log when it has ended.
    pub fn must_run(&mut self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        bail!("{} ended:\n{}", self.name, self.tail());
    }

    /// What it printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of its output.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.output();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Awaits `probe` to give a value, asking again every 20 ms; errs with `what` when [`PATIENCE`] ends.
pub async fn eventually<T, F>(what: &str, mut probe: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let last = match probe().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if tokio::time::Instant::now() > deadline {
            bail!(
                "{what}: not within {} s{}",
                PATIENCE.as_secs(),
                last.map(|e| format!(" ({e:#})")).unwrap_or_default()
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
