//! What was measured, as medians of the rounds; as tables or JSON.

use serde::Serialize;

use super::lane::{Lane, Round};
use super::transport::Transport;
use crate::table::{Table, grouped};

/// The whole measurement.
#[derive(Serialize)]
pub(super) struct Report {
    /// How clients call.
    pub(super) transport: Transport,
    /// Messages or chunks of a call, each of which counts as a call in the figures.
    pub(super) per_call: u16,
    /// WebSockets that were left idle.
    pub(super) idle_sockets: u32,
    /// Connections at a time, each with one call.
    pub(super) connections: u16,
    /// Size of the backend's answers.
    pub(super) answer_bytes: usize,
    /// Whether every hop but the backend's is TLS.
    pub(super) tls: bool,
    /// Suppliers of the session's service.
    pub(super) suppliers: u16,
    /// What an answer waits for.
    pub(super) durability: &'static str,
    /// Rounds; each figure is the median of theirs.
    pub(super) rounds: usize,
    /// What counted system calls.
    pub(super) syscalls_by: Option<&'static str>,
    /// The networks, and the plain proxy last.
    pub(super) lanes: Vec<LaneReport>,
}

/// One network or the proxy.
#[derive(Serialize)]
pub(super) struct LaneReport {
    pub(super) name: String,
    /// Calls in all rounds.
    pub(super) calls: u64,
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) processes: Vec<ProcessReport>,
}

/// What one call costs in one process.
#[derive(Serialize)]
pub(super) struct ProcessReport {
    pub(super) name: &'static str,
    pub(super) cpu_us: f64,
    /// Switches because a thread waited.
    pub(super) voluntary_switches: f64,
    /// Switches because its time was up.
    pub(super) involuntary_switches: f64,
    pub(super) syscalls: Option<f64>,
    pub(super) allocations: Option<f64>,
    /// Bytes of memory of an idle WebSocket.
    pub(super) idle_socket_bytes: Option<f64>,
    /// CPU beside the proxy's for a request: median of the rounds' ratios.
    pub(super) cpu_to_proxy: Option<f64>,
    /// CPU beside the same process of the other binary: median of the rounds' ratios.
    pub(super) cpu_to_versus: Option<f64>,
}

/// A lane with its rounds.
pub(super) struct Measurements {
    pub(super) lane: Lane,
    pub(super) rounds: Vec<Round>,
    pub(super) syscalls: std::collections::BTreeMap<&'static str, f64>,
    /// Bytes of memory of an idle WebSocket, by process.
    pub(super) idle: std::collections::BTreeMap<&'static str, f64>,
}

impl Measurements {
    /// Microseconds of CPU per call of a process, in each round.
    fn cpu_us(&self, process: &str) -> Vec<f64> {
        let per_call = |round: &Round| {
            let (_, spent) = round.spent.iter().find(|(name, _)| *name == process)?;
            Some(spent.cpu.as_secs_f64() * 1e6 / round.measured.calls() as f64)
        };
        self.rounds.iter().filter_map(per_call).collect()
    }

    /// Median over the rounds of what `figure` gives.
    fn median(&self, figure: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        median(self.rounds.iter().filter_map(figure).collect())
    }

    /// The report, with ratios to the processes of others.
    pub(super) fn report(&self, proxy: &Self, versus: Option<&Self>) -> LaneReport {
        let of =
            |figure: &dyn Fn(&Round) -> f64| self.median(|round| Some(figure(round))).unwrap_or_default();
        let millis = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        let process = |name| self.process(name, proxy, versus);
        LaneReport {
            name: self.lane.name.clone(),
            calls: self.rounds.iter().map(|round| round.measured.calls()).sum(),
            per_second: of(&|round| round.measured.per_second()),
            p50_ms: of(&|round| millis(round.measured.percentile(50))),
            p99_ms: of(&|round| millis(round.measured.percentile(99))),
            processes: self.lane.process_names().map(process).collect(),
        }
    }

    fn process(&self, name: &'static str, proxy: &Self, versus: Option<&Self>) -> ProcessReport {
        let per_call = |figure: &dyn Fn(&Round) -> Option<u64>| {
            self.median(|round| Some(figure(round)? as f64 / round.measured.calls() as f64))
        };
        let spent = |round: &Round| {
            let found = round.spent.iter().find(|(process, _)| *process == name);
            found.map(|(_, spent)| *spent)
        };
        let cpu = self.cpu_us(name);
        ProcessReport {
            name,
            voluntary_switches: per_call(&|round| Some(spent(round)?.voluntary)).unwrap_or_default(),
            involuntary_switches: per_call(&|round| Some(spent(round)?.involuntary)).unwrap_or_default(),
            syscalls: self.syscalls.get(name).copied(),
            allocations: per_call(&|round| round.allocations.get(name).copied()),
            idle_socket_bytes: self.idle.get(name).copied(),
            cpu_to_proxy: median_ratio(&cpu, &proxy.cpu_us("proxy")),
            cpu_to_versus: versus.and_then(|versus| median_ratio(&cpu, &versus.cpu_us(name))),
            cpu_us: median(cpu).unwrap_or_default(),
        }
    }
}

/// The middle value; of an even number, the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some((values[low] + values[high]) / 2.0)
}

/// Median of the rounds' ratios: what disturbs a whole round disturbs both sides of it.
fn median_ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let pairs = ours.iter().zip(theirs).filter(|(_, theirs)| **theirs > 0.0);
    median(pairs.map(|(ours, theirs)| ours / theirs).collect())
}

impl Report {
    /// The report for people.
    pub(super) fn text(&self) -> String {
        let unit = self.transport.unit();
        let (units, rate) = (format!(">{unit}s"), format!(">{unit}s/s"));
        let mut lanes = Table::new(&["", &units, &rate, ">p50 ms", ">p99 ms"]);
        for lane in &self.lanes {
            lanes.row([
                lane.name.clone(),
                grouped(lane.calls),
                grouped(format!("{:.0}", lane.per_second)),
                format!("{:.2}", lane.p50_ms),
                format!("{:.2}", lane.p99_ms),
            ]);
        }
        let (answers, suppliers) = (grouped(self.answer_bytes), self.suppliers);
        let tls = if self.tls { ", TLS" } else { "" };
        let many = match self.per_call {
            1 => String::new(),
            many => format!(" of {many} {unit}s a call"),
        };
        let mut text = format!(
            "{}, {} connections{tls}, answers{many} of {answers} bytes, suppliers: {suppliers}, durability: {}; medians of {} rounds\n\n{}",
            self.transport.name(),
            self.connections,
            self.durability,
            self.rounds,
            lanes.text(0)
        );
        for lane in &self.lanes {
            text += &format!("\n{}, per {unit}:\n{}", lane.name, lane.text());
        }
        if self.idle_sockets > 0 {
            text += &self.idle_text();
        }
        if self.syscalls_by.is_none() {
            text += "\nSystem calls were not measured: install perf or strace, and allow them to look at processes.\n";
        }
        let counted = |lane: &LaneReport| lane.processes.iter().any(|process| process.allocations.is_some());
        if let Some(lane) = self
            .lanes
            .iter()
            .find(|lane| lane.processes.len() > 1 && !counted(lane))
        {
            text += &format!(
                "\nAllocations of {} were not measured: that binary does not count them.\n",
                lane.name
            );
        }
        text
    }
}

impl Report {
    /// Memory of idle WebSockets, of those processes that hold them.
    fn idle_text(&self) -> String {
        let mut table = Table::new(&["", "process", ">KiB"]);
        for lane in &self.lanes {
            let held = lane.processes.iter().filter(|process| process.name != "node");
            for process in held {
                if let Some(bytes) = process.idle_socket_bytes {
                    table.row([
                        lane.name.clone(),
                        process.name.to_owned(),
                        format!("{:.1}", bytes / 1024.0),
                    ]);
                }
            }
        }
        let sockets = grouped(u64::from(self.idle_sockets));
        format!("\nMemory of one of {sockets} idle WebSockets:\n{}", table.text(2))
    }
}

impl LaneReport {
    fn text(&self) -> String {
        let versus = self
            .processes
            .iter()
            .any(|process| process.cpu_to_versus.is_some());
        let last = if versus { ">CPU / other binary" } else { "" };
        let mut table = Table::new(&[
            "process",
            ">CPU µs",
            ">CPU / proxy",
            ">syscalls",
            ">waits",
            ">preemptions",
            ">allocations",
            last,
        ]);
        for process in &self.processes {
            let ratio =
                |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            let count =
                |count: Option<f64>| count.map_or_else(|| "-".to_owned(), |count| format!("{count:.1}"));
            table.row([
                process.name.to_owned(),
                format!("{:.1}", process.cpu_us),
                ratio(process.cpu_to_proxy),
                count(process.syscalls),
                format!("{:.2}", process.voluntary_switches),
                format!("{:.2}", process.involuntary_switches),
                count(process.allocations),
                if versus {
                    ratio(process.cpu_to_versus)
                } else {
                    String::new()
                },
            ]);
        }
        table.text(2)
    }
}

#[cfg(test)]
mod tests {
    use super::{LaneReport, ProcessReport, Report, Transport, median, median_ratio};

    #[test]
    fn a_median_is_the_middle_value() {
        assert_eq!(median(vec![3.0, 1.0, 100.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn a_slow_round_of_both_sides_does_not_move_their_ratio() {
        assert_eq!(
            median_ratio(&[10.0, 100.0, 11.0], &[10.0, 100.0, 10.0]),
            Some(1.0)
        );
        assert_eq!(median_ratio(&[1.0], &[0.0]), None);
    }

    fn process(name: &'static str, cpu_to_versus: Option<f64>) -> ProcessReport {
        ProcessReport {
            name,
            cpu_us: 110.04,
            voluntary_switches: 1.5,
            involuntary_switches: 0.01,
            syscalls: Some(12.34),
            allocations: cpu_to_versus.is_some().then_some(321.0),
            idle_socket_bytes: None,
            cpu_to_proxy: Some(5.5),
            cpu_to_versus,
        }
    }

    fn lane(name: &str, processes: Vec<ProcessReport>) -> LaneReport {
        LaneReport {
            name: name.to_owned(),
            calls: 20_000,
            per_second: 6_299.6,
            p50_ms: 4.9,
            p99_ms: 12.0,
            processes,
        }
    }

    #[test]
    fn the_tables_tell_what_was_measured_and_what_was_not() {
        let report = Report {
            transport: Transport::Http,
            per_call: 1,
            idle_sockets: 0,
            connections: 32,
            answer_bytes: 1024,
            tls: false,
            suppliers: 50,
            durability: "strict",
            rounds: 5,
            syscalls_by: None,
            lanes: vec![
                lane(
                    "this binary",
                    vec![process("gateway", Some(0.98)), process("servicer", Some(1.02))],
                ),
                lane(
                    "/old/portico",
                    vec![process("gateway", None), process("servicer", None)],
                ),
                lane("nginx", vec![process("proxy", None)]),
            ],
        };
        insta::assert_snapshot!(report.text());
    }

    #[test]
    fn the_tables_of_websockets_tell_the_memory_of_an_idle_one() {
        let held = |name, bytes| ProcessReport {
            idle_socket_bytes: Some(bytes),
            ..process(name, None)
        };
        let report = Report {
            transport: Transport::Ws,
            per_call: 100,
            idle_sockets: 5_000,
            connections: 32,
            answer_bytes: 1024,
            tls: false,
            suppliers: 1,
            durability: "strict",
            rounds: 5,
            syscalls_by: Some("perf"),
            lanes: vec![
                lane(
                    "this binary",
                    vec![
                        held("gateway", 30_000.0),
                        held("servicer", 20_480.0),
                        held("node", 3.0),
                    ],
                ),
                lane("a minimal hyper proxy", vec![held("proxy", 10_240.0)]),
            ],
        };
        insta::assert_snapshot!(report.text());
    }
}
