//! What was looked at, how bad it is, and what to do.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// It is as it should be.
    Good,
    /// It may cost money.
    Warning,
    /// It keeps a role from working, a supplier or a service from earning.
    Fault,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// What was found.
    pub(crate) what: String,
    /// What to do; empty when nothing is to be done.
    pub(crate) mend: String,
}

impl Level {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Fault => "FAULT",
        }
    }
}

/// Collects findings.
#[derive(Default)]
pub(crate) struct Found(Vec<Finding>);

impl Found {
    /// As it should be.
    pub(crate) fn good(&mut self, what: impl Into<String>) {
        self.add(Level::Good, what, "");
    }

    /// It may cost money.
    pub(crate) fn warning(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Warning, what, mend);
    }

    /// It keeps a role from working.
    pub(crate) fn fault(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Fault, what, mend);
    }

    /// What was found, in the order in which it was looked at.
    pub(crate) fn all(self) -> Vec<Finding> {
        self.0
    }

    fn add(&mut self, level: Level, what: impl Into<String>, mend: impl Into<String>) {
        self.0.push(Finding {
            level,
            what: what.into(),
            mend: mend.into(),
        });
    }
}

/// Findings for people, and how many are bad.
pub(crate) fn text(found: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let mut line = format!("{:<8} {}\n", finding.level.name(), finding.what);
        if !finding.mend.is_empty() {
            line += &format!("         {}\n", finding.mend);
        }
        line
    };
    let count = |level: Level| found.iter().filter(|finding| finding.level == level).count();
    let lines: String = found.iter().map(line).collect();
    format!(
        "{lines}{} faults, {} warnings\n",
        count(Level::Fault),
        count(Level::Warning)
    )
}
