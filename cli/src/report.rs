//! How a failure is told: one line that says what was being done, why it failed, and what to do.

use std::process::ExitCode;

/// Prints `error`; all its causes, one per line, when `verbose`.
pub(crate) fn failure(error: &anyhow::Error, verbose: bool) -> ExitCode {
    let line = if verbose { lines(error) } else { one_line(error) };
    eprintln!("portico: {line}");
    ExitCode::FAILURE
}

/// The chain of causes in one line. A cause that its parent already tells is left out, and so are the layers of the HTTP client: of
/// those only the last one says something ("Connection refused").
fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    let mut http = error.is::<reqwest::Error>();
    let mut causes = error.chain().skip(1).peekable();
    while let Some(cause) = causes.next() {
        http |= cause.is::<reqwest::Error>();
        let text = cause.to_string();
        if !line.contains(&text) && (!http || causes.peek().is_none()) {
            line = format!("{line}: {text}");
        }
    }
    line
}

fn lines(error: &anyhow::Error) -> String {
    let causes = error.chain().skip(1).map(|cause| format!("\n  because: {cause}"));
    std::iter::once(error.to_string()).chain(causes).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::{lines, one_line};

    #[test]
    fn one_line_leaves_out_what_was_said_already() {
        let error = anyhow!("port 1 is taken")
            .context("bind failed: port 1 is taken")
            .context("cannot start");
        assert_eq!(one_line(&error), "cannot start: bind failed: port 1 is taken");
    }

    #[test]
    fn every_cause_has_its_line_when_asked() {
        let error = anyhow!("port 1 is taken").context("cannot start");
        assert_eq!(lines(&error), "cannot start\n  because: port 1 is taken");
    }
}
