//! `portico health`: one question to a running role, for images without a shell.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

/// Longest wait for an answer: what checks health asks again soon.
const TIMEOUT: Duration = Duration::from_secs(4);

#[derive(Args)]
pub(crate) struct HealthArgs {
    /// Page that is asked: /health, or /ready for whether it can serve; best at admin_listen
    #[arg(
        value_name = "URL",
        env = "PORTICO_HEALTH",
        hide_env_values = true,
        default_value = "http://127.0.0.1:3069/health"
    )]
    url: String,
}

impl HealthArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let asked = crate::http::client()?
            .get(&self.url)
            .timeout(TIMEOUT)
            .send()
            .await;
        let answer = asked.with_context(|| format!("{} does not answer", self.url))?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        ensure!(status.is_success(), "{} says {status}: {}", self.url, text.trim());
        println!("{}", text.trim());
        Ok(())
    }
}
