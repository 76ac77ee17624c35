//! Long-lived parts of a process: the first one to end, well or not, stops all.

use std::future::Future;

use anyhow::{Context, Result};
use portico_telemetry::Exporter;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The parts that run, and the token that stops them.
pub(crate) struct Parts {
    tasks: JoinSet<(&'static str, Result<()>)>,
    stop: CancellationToken,
}

impl Parts {
    /// No parts yet.
    pub(crate) fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            stop: CancellationToken::new(),
        }
    }

    /// The token that every part watches.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a part; `name` is said when it fails.
    pub(crate) fn start<E>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = std::result::Result<(), E>> + Send + 'static,
    ) where
        E: Into<anyhow::Error>,
    {
        self.tasks
            .spawn(async move { (name, part.await.map_err(Into::into)) });
    }

    /// Exports spans, if there is an exporter.
    pub(crate) fn export(&mut self, exporter: Option<Exporter>) {
        if let Some(exporter) = exporter {
            let stop = self.stop();
            self.start("export of traces", async move {
                exporter.run(stop).await;
                Ok::<(), anyhow::Error>(())
            });
        }
    }

    /// Waits until a part ends, stops the others, waits for them to drain; errs with the first failure.
    /// Ctrl-C while they drain ends the process at once.
    pub(crate) async fn finish(mut self) -> Result<()> {
        let mut outcome = Ok(());
        loop {
            let ended = tokio::select! {
                ended = self.tasks.join_next() => ended,
                _ = tokio::signal::ctrl_c(), if self.stop.is_cancelled() => std::process::exit(INTERRUPTED),
            };
            let Some(ended) = ended else { return outcome };
            let (name, result) = ended.unwrap_or_else(|panic| ("a part", Err(panic.into())));
            tracing::debug!(part = name, ok = result.is_ok(), "ended");
            self.stop.cancel();
            outcome = outcome.and(result.with_context(|| format!("the {name} failed")));
        }
    }
}

/// Exit code of a process that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Ends on Ctrl-C or SIGTERM, or when `stop` is cancelled.
pub(crate) async fn signals(stop: CancellationToken) -> Result<()> {
    tokio::select! {
        signal = signal() => signal.context("signals cannot be received")?,
        () = stop.cancelled() => return Ok(()),
    }
    eprintln!("\nportico: stopping (Ctrl-C again ends at once)");
    stop.cancel();
    Ok(())
}

#[cfg(unix)]
async fn signal() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

#[cfg(test)]
mod tests {
    use anyhow::{Result, anyhow};

    use super::Parts;

    #[tokio::test]
    async fn the_first_part_to_fail_stops_the_others_and_is_named() {
        let mut parts = Parts::new();
        let stop = parts.stop();
        parts.start("servicer", async move {
            stop.cancelled().await;
            Ok::<(), anyhow::Error>(())
        });
        parts.start("gateway", async { Err::<(), _>(anyhow!("no port")) });
        assert_eq!(
            format!("{:#}", parts.finish().await.unwrap_err()),
            "the gateway failed: no port"
        );
    }

    #[tokio::test]
    async fn a_part_that_ends_well_stops_the_others_too() {
        let mut parts = Parts::new();
        let stop = parts.stop();
        parts.start("servicer", async move {
            stop.cancelled().await;
            Ok::<(), anyhow::Error>(())
        });
        parts.start("gateway", async { Result::<()>::Ok(()) });
        parts.finish().await.unwrap();
    }
}
