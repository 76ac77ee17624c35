//! Waiting for what has no event to wait for.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// Asks `probe` every `interval` until it gives a value; errs with `what` and the probe's last error when `patience` ends.
pub async fn eventually<T, F>(
    what: &str,
    patience: Duration,
    interval: Duration,
    mut probe: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + patience;
    loop {
        let last = match probe().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() > deadline {
            let error = last.map(|error| format!(" ({error:#})")).unwrap_or_default();
            bail!("{what}: not within {} s{error}", patience.as_secs());
        }
        sleep(interval).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::anyhow;

    use super::eventually;

    #[tokio::test(start_paused = true)]
    async fn the_last_error_is_told_when_patience_ends() {
        let second = Duration::from_secs(1);
        let waited = eventually("the node answers", 5 * second, second, || async {
            Err::<Option<()>, _>(anyhow!("refused"))
        });
        let error = waited.await.unwrap_err().to_string();
        assert_eq!(error, "the node answers: not within 5 s (refused)");
    }
}
