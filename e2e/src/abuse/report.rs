//! The outcomes of attacks as text.

use std::fmt;
use std::time::Duration;

use super::{Normal, Outcome};

/// Normal traffic alone, and the outcome of each attack.
#[derive(Debug)]
pub struct Report {
    /// Without an attack.
    pub alone: Normal,
    /// In the order of the attacks.
    pub outcomes: Vec<Outcome>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alone = self.alone.p99();
        writeln!(
            f,
            "normal traffic alone: {} calls, p99 {:.1} ms, {} failed\n",
            self.alone.times.len(),
            millis(alone),
            self.alone.failures.len()
        )?;
        writeln!(
            f,
            "{:<13} {:<8} {:>6}  {:>7} {:>8} {:>6} {:>6}  peaks so far, MiB",
            "attack", "target", "count", "calls", "p99 ms", "ratio", "failed"
        )?;
        for outcome in &self.outcomes {
            self.line(outcome, f)?;
        }
        Ok(())
    }
}

impl Report {
    fn line(&self, outcome: &Outcome, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (attack, normal) = (outcome.attack, &outcome.normal);
        let ratio = normal.p99().as_secs_f64() / self.alone.p99().as_secs_f64().max(f64::MIN_POSITIVE);
        write!(
            f,
            "{:<13} {:<8} {:>6}  {:>7} {:>8.1} {ratio:>6.2} {:>6} ",
            attack.kind.name(),
            attack.target.name(),
            attack.count,
            normal.times.len(),
            millis(normal.p99()),
            normal.failures.len(),
        )?;
        for (role, peak) in &outcome.peaks {
            write!(f, " {} {}", role.name(), peak >> 20)?;
        }
        writeln!(f, "\n              {}", seen(outcome))?;
        for failure in normal.failures.iter().take(1) {
            writeln!(f, "              a call failed: {failure}")?;
        }
        Ok(())
    }
}

fn seen(outcome: &Outcome) -> String {
    let seen = &outcome.seen;
    let statuses: String = seen
        .answered
        .iter()
        .map(|(status, count)| format!(", {count} × HTTP {status}"))
        .collect();
    format!(
        "{} connections opened, {} closed by the other side{statuses}, {} unanswered, {} streams refused",
        seen.opened, seen.closed, seen.unanswered, seen.refused_streams
    )
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
