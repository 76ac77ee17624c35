//! A child process, with its output kept or shown.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Longest wait for a process that was asked to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for the end of a process that is dropped.
const DROP_TIMEOUT: Duration = Duration::from_secs(2);
/// Lines that [`Process::tail`] gives.
const TAIL_LINES: usize = 30;

/// What becomes of a process's output.
#[derive(Clone, Debug)]
pub enum Output {
    /// Shown on standard error, the process's name before each line.
    Shown,
    /// Appended to `<folder>/<name>.log`.
    Logged(PathBuf),
}

/// A child process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: Option<PathBuf>,
    shown: JoinSet<()>,
}

impl Process {
    /// Starts `command`.
    pub fn start(name: &str, mut command: Command, output: &Output) -> Result<Self> {
        let (mut log, mut shown) = (None, JoinSet::new());
        match output {
            Output::Shown => command.stdout(Stdio::piped()).stderr(Stdio::piped()),
            Output::Logged(folder) => {
                let path = log.insert(folder.join(format!("{name}.log")));
                let file = File::options().create(true).append(true).open(path)?;
                command.stdout(file.try_clone()?).stderr(file)
            }
        };
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
        let mut child = child.with_context(|| format!("the {name} does not start"))?;
        if let Some(out) = child.stdout.take() {
            shown.spawn(show(name.to_owned(), out));
        }
        if let Some(err) = child.stderr.take() {
            shown.spawn(show(name.to_owned(), err));
        }
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
            shown,
        })
    }

    /// Its id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Errs with the last lines of its log when it has ended.
    pub fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => self
                .verdict(status)
                .and_then(|()| bail!("the {} ended", self.name)),
        }
    }

    /// Kills without warning (SIGKILL) and waits for the end.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// Asks it to end (SIGTERM), as an operator does, and waits; kills it when it does not.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(pid) = self.child.id() {
            let asked = Command::new("kill").arg(pid.to_string()).status().await;
            asked.context("the kill command does not start")?;
        }
        let ended = match tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(status) => self.verdict(status?),
            Err(_) => {
                self.child.kill().await?;
                bail!(
                    "the {} did not stop within {} s and was killed",
                    self.name,
                    STOP_TIMEOUT.as_secs()
                )
            }
        };
        self.drain().await;
        ended
    }

    /// Waits until it ends, or stops it when `stop` is cancelled; errs unless it ended well.
    pub async fn run(mut self, stop: CancellationToken) -> Result<()> {
        tokio::select! {
            status = self.child.wait() => {
                self.drain().await;
                self.verdict(status?)
            }
            () = stop.cancelled() => self.stop().await,
        }
    }

    /// Waits until all of its output was shown.
    pub(crate) async fn drain(&mut self) {
        while self.shown.join_next().await.is_some() {}
    }

    fn verdict(&self, status: ExitStatus) -> Result<()> {
        match (status.success(), &self.log) {
            (true, _) => Ok(()),
            (false, None) => bail!("it ended with {status}; its last lines are above"),
            (false, Some(_)) => bail!("the {} ended with {status}:\n{}", self.name, self.tail()),
        }
    }

    /// What it wrote into its log so far; nothing when its output is shown.
    #[must_use]
    pub fn output(&self) -> String {
        let read = |log: &PathBuf| std::fs::read_to_string(log).unwrap_or_default();
        self.log.as_ref().map(read).unwrap_or_default()
    }

    /// The last lines of that.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.output();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Process {
    /// Kills it and waits for the end: what it holds (its folder, its ports) is free afterwards.
    #[expect(clippy::disallowed_methods, reason = "a destructor cannot await the end")]
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        let begun = Instant::now();
        while self.is_running() && begun.elapsed() < DROP_TIMEOUT {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Prints lines with the process's name before them.
async fn show(name: String, output: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(output).lines();
    // Whoever cannot be read any more has ended, and that is told elsewhere.
    while let Ok(Some(line)) = lines.next_line().await {
        if !line.is_empty() {
            eprintln!("{name:>8} | {line}");
        }
    }
}

/// The program that runs now, for children of the same build.
pub(crate) fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("this program cannot be found")
}

/// `program` without the variables of this environment that would overrule configuration files, such as `PORTICO_CHAIN_RPC`.
pub(crate) fn without_our_variables(program: &Path) -> Command {
    const OURS: &str = "PORTICO_";
    let mut command = Command::new(program);
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with(OURS) {
            command.env_remove(variable);
        }
    }
    command
}
