//! One line that says how far things are.

use std::io::{IsTerminal, Write};

use portico_protocol::Height;

/// A line on standard error: rewritten in place on a terminal, repeated elsewhere when it changes.
pub(super) struct Progress {
    terminal: bool,
    last: String,
}

impl Progress {
    /// Nothing said yet.
    pub(super) fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            last: String::new(),
        }
    }

    /// Says `what` happens at `height`; only `what` counts as news where lines cannot be rewritten.
    pub(super) fn say(&mut self, height: Height, what: String) {
        if what == self.last && !self.terminal {
            return;
        }
        let line = format!("height {height}: {what}");
        match self.terminal {
            true => eprint!("\r\x1b[2K{line}"),
            false => eprintln!("{line}"),
        }
        let _ = std::io::stderr().flush();
        self.last = what;
    }

    /// Takes the line away from a terminal.
    pub(super) fn clear(&mut self) {
        if self.terminal && !self.last.is_empty() {
            eprint!("\r\x1b[2K");
            let _ = std::io::stderr().flush();
        }
        self.last.clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
