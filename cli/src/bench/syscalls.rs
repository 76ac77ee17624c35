//! Counting the system calls of processes, with the tool that is there.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};

/// Time that a tool is given to attach to all threads: neither tells when it has.
const ATTACH: Duration = Duration::from_secs(1);
/// Longest wait for a tool to write its count.
const WRITE: Duration = Duration::from_secs(20);

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// A tracepoint of the kernel, at next to no cost.
    Perf,
    /// Stops the process at each call: counts are right, everything takes longer.
    Strace,
}

impl Tool {
    /// The one that works here.
    pub(super) async fn find() -> Option<Self> {
        if works("perf", &["stat", "-e", EVENT, "true"]).await {
            return Some(Self::Perf);
        }
        works("strace", &["-c", "-f", "true"])
            .await
            .then_some(Self::Strace)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Perf => "perf",
            Self::Strace => "strace",
        }
    }

    /// Begins to count in each of `pids`; the tool's reports go to `folder`.
    pub(super) async fn attach(self, pids: &[u32], folder: &Path) -> Result<Counters> {
        let mut counters = Counters {
            tool: self,
            running: Vec::new(),
        };
        for pid in pids {
            let file = folder.join(format!("syscalls-{pid}"));
            let mut command = Command::new(self.name());
            match self {
                Self::Perf => command.args(["stat", "-x,", "-e", EVENT]),
                Self::Strace => command.args(["-c", "-f"]),
            };
            let child = command
                .arg("-o")
                .arg(&file)
                .args(["-p", &pid.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn();
            let child = child.with_context(|| format!("{} does not start", self.name()))?;
            counters.running.push((child, file));
        }
        tokio::time::sleep(ATTACH).await;
        Ok(counters)
    }

    /// The number of calls in a report.
    fn read(self, report: &str) -> Option<u64> {
        match self {
            Self::Perf => report
                .lines()
                .find(|line| line.contains(EVENT))?
                .split(',')
                .next()?
                .parse()
                .ok(),
            Self::Strace => {
                let total = report.lines().rfind(|line| line.trim_end().ends_with(" total"))?;
                total.split_whitespace().nth(3)?.parse().ok()
            }
        }
    }
}

/// The kernel's event of a system call.
const EVENT: &str = "raw_syscalls:sys_enter";

async fn works(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

/// Running tools, one per process.
pub(super) struct Counters {
    tool: Tool,
    running: Vec<(Child, PathBuf)>,
}

impl Counters {
    /// Ends counting; the number of calls of each process.
    pub(super) async fn finish(self) -> Result<Vec<u64>> {
        let mut counts = Vec::new();
        for (mut child, file) in self.running {
            let pid = child
                .id()
                .with_context(|| format!("{} has ended", self.tool.name()))?;
            let asked = Command::new("kill")
                .args(["-INT", &pid.to_string()])
                .status()
                .await?;
            ensure!(asked.success(), "{} cannot be stopped", self.tool.name());
            tokio::time::timeout(WRITE, child.wait())
                .await
                .with_context(|| format!("{} does not end", self.tool.name()))??;
            let report = std::fs::read_to_string(&file)
                .with_context(|| format!("{} wrote no report", self.tool.name()))?;
            let count = self.tool.read(&report);
            counts.push(count.with_context(|| format!("{} reports no count: {report}", self.tool.name()))?);
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::Tool;

    #[test]
    fn both_tools_reports_are_read() {
        let perf = "# started on Sat Nov 28 22:02:00 2026\n\n5021,,raw_syscalls:sys_enter,1001,100.00,,\n";
        assert_eq!(Tool::Perf.read(perf), Some(5021));
        let strace = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
             60.00    0.000600           3       200           sendto\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.001000           3       312        12 total\n";
        assert_eq!(Tool::Strace.read(strace), Some(312));
        assert_eq!(Tool::Perf.read("<not counted>,,raw_syscalls:sys_enter"), None);
    }
}
