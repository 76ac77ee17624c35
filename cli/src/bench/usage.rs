//! What a process has used so far: CPU time and context switches of all its threads, and the memory that it holds, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Ticks per second in `/proc/<pid>/stat`; the same on every Linux that people run.
const TICKS_PER_SECOND: u64 = 100;

/// What a process has used until a moment, by thread.
#[derive(Clone, Debug)]
pub(super) struct Usage(BTreeMap<u32, Thread>);

/// What one thread has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Thread {
    cpu_ns: u64,
    /// It waited for something.
    voluntary: u64,
    /// Its time was up.
    involuntary: u64,
}

/// What a process used between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    /// CPU time.
    pub(super) cpu: Duration,
    /// Context switches because a thread waited for something.
    pub(super) voluntary: u64,
    /// Context switches because its time was up.
    pub(super) involuntary: u64,
}

/// Bytes of memory that the process `pid` holds and shares with no file; needs Linux.
pub(super) fn memory(pid: u32) -> Result<u64> {
    let file = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&file).with_context(|| format!("{file} cannot be read"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = kib.and_then(|kib| kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let bytes = kib.and_then(|kib| kib.checked_mul(1024));
    bytes.with_context(|| format!("{file} does not tell the process' memory"))
}

impl Usage {
    /// Usage of the process `pid` so far; needs Linux.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let tasks = format!("/proc/{pid}/task");
        let entries = fs::read_dir(&tasks).with_context(|| {
            format!("{tasks} cannot be read; usage is only known on Linux, while the process runs")
        })?;
        let thread = |entry: fs::DirEntry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            Some((id, Thread::read(&entry.path())?)) // a thread may end between listing and reading
        };
        let threads: BTreeMap<_, _> = entries.flatten().filter_map(thread).collect();
        ensure!(!threads.is_empty(), "{tasks} tells of no thread");
        Ok(Self(threads))
    }

    /// What was used since `earlier`; without what threads used that have ended meanwhile.
    pub(super) fn since(&self, earlier: &Self) -> Spent {
        let mut spent = Spent::default();
        for (id, now) in &self.0 {
            let before = earlier.0.get(id).copied().unwrap_or_default();
            spent.cpu += Duration::from_nanos(now.cpu_ns.saturating_sub(before.cpu_ns));
            spent.voluntary += now.voluntary.saturating_sub(before.voluntary);
            spent.involuntary += now.involuntary.saturating_sub(before.involuntary);
        }
        spent
    }
}

impl Thread {
    fn read(task: &Path) -> Option<Self> {
        let text = |name| fs::read_to_string(task.join(name)).ok();
        let exact = text("schedstat").and_then(|text| exact_cpu_ns(&text));
        let status = text("status")?;
        Some(Self {
            cpu_ns: exact.or_else(|| ticked_cpu_ns(&text("stat")?))?,
            voluntary: field(&status, "voluntary_ctxt_switches:")?,
            involuntary: field(&status, "nonvoluntary_ctxt_switches:")?,
        })
    }
}

/// The first number: nanoseconds on a CPU. All are 0 in kernels that do not count.
fn exact_cpu_ns(schedstat: &str) -> Option<u64> {
    let first = schedstat.split_whitespace().next()?.parse().ok()?;
    (first > 0).then_some(first)
}

/// `utime` and `stime` are the 14th and 15th field; the 2nd, the name, may contain spaces and ends with the last `)`.
fn ticked_cpu_ns(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)?
        .checked_mul(1_000_000_000 / TICKS_PER_SECOND)
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Spent, Thread, Usage, exact_cpu_ns, field, memory, ticked_cpu_ns};

    #[test]
    fn cpu_time_is_read_exactly_or_in_ticks() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 1234 66 0 0 20 0 3 0 100 0 0";
        assert_eq!(ticked_cpu_ns(stat), Some(13_000_000_000));
        assert_eq!(exact_cpu_ns("236427750 1808548755 1012"), Some(236_427_750));
        assert_eq!(exact_cpu_ns("0 0 0"), None);
    }

    #[test]
    fn the_two_kinds_of_context_switches_are_not_confused() {
        let status = "voluntary_ctxt_switches:\t25\nnonvoluntary_ctxt_switches:\t990\n";
        assert_eq!(field(status, "voluntary_ctxt_switches:"), Some(25));
        assert_eq!(field(status, "nonvoluntary_ctxt_switches:"), Some(990));
    }

    #[test]
    fn new_threads_count_in_full_and_ended_ones_not_at_all() {
        let thread = |cpu_ns| Thread {
            cpu_ns,
            voluntary: 1,
            involuntary: 0,
        };
        let earlier = Usage(BTreeMap::from([(1, thread(100)), (2, thread(100))]));
        let now = Usage(BTreeMap::from([(1, thread(150)), (3, thread(7))]));
        let expected = Spent {
            cpu: Duration::from_nanos(57),
            voluntary: 1,
            involuntary: 0,
        };
        assert_eq!(now.since(&earlier), expected);
    }

    #[test]
    fn memory_that_is_used_is_seen() {
        let before = memory(std::process::id()).unwrap();
        let used = vec![1_u8; 32 << 20];
        let after = memory(std::process::id()).unwrap();
        assert!(after >= before + (30 << 20), "{before} {after} {}", used.len());
    }

    #[test]
    fn this_process_has_used_something() {
        let before = Usage::of(std::process::id()).unwrap();
        let sum = (0..20_000_000_u64).fold(0, |sum, number| std::hint::black_box(sum ^ number));
        let spent = Usage::of(std::process::id()).unwrap().since(&before);
        assert!(spent.cpu > Duration::ZERO, "{sum}");
    }
}
