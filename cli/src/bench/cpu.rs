//! CPU time of processes, from the system.

use std::time::Duration;

use anyhow::{Context, Result};

/// Ticks per second in `/proc/<pid>/stat`; the same on every Linux that people run.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of a process since its start: user and system, all threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuTime {
    ticks: u64,
}

impl CpuTime {
    /// CPU time of the process `pid` so far; needs Linux.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let stat = std::fs::read_to_string(&path).with_context(|| {
            format!("{path} cannot be read; CPU time is only known on Linux, while the process runs")
        })?;
        Self::parse(&stat).with_context(|| format!("{path} has no CPU time"))
    }

    /// `utime` and `stime` are the 14th and 15th field; the 2nd, the name, may contain spaces and ends with the last `)`.
    fn parse(stat: &str) -> Option<Self> {
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Self {
            ticks: user.checked_add(system)?,
        })
    }

    /// Time since `earlier`.
    pub(super) fn since(self, earlier: Self) -> Duration {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        Duration::from_millis(ticks.saturating_mul(1000) / TICKS_PER_SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::CpuTime;

    #[test]
    fn user_and_system_time_are_added_whatever_the_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 1234 66 0 0 20 0 3 0 100 0 0";
        assert_eq!(CpuTime::parse(stat), Some(CpuTime { ticks: 1300 }));
    }
}
