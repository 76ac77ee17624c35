//! `portico log-level`: what a running role logs.

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

/// Shows what a running gateway or servicer logs, or changes it until it stops. What is given is a filter such as `debug`, or
/// `info,portico_servicer=debug`: a level, and levels of single modules.
#[derive(Args)]
pub(crate) struct LogLevelArgs {
    /// Where the role answers its operator: `admin_listen`, or `listen` where that is a loopback address, e.g. http://127.0.0.1:8081
    url: String,
    /// The filter from now on
    #[arg(conflicts_with = "reset")]
    filter: Option<String>,
    /// Go back to the filter of the start
    #[arg(long)]
    reset: bool,
}

impl LogLevelArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let url = format!("{}/log-level", self.url.trim_end_matches('/'));
        let client = crate::http::client()?;
        let request = match (self.filter, self.reset) {
            (None, false) => client.get(&url),
            (filter, _) => client.put(&url).json(&json!({ "filter": filter })),
        };
        let response = request
            .send()
            .await
            .with_context(|| format!("{url} cannot be asked"))?;
        let status = response.status();
        let answer: Option<Value> = response.json().await.ok();
        let text = |key: &str| answer.as_ref().and_then(|answer| answer[key].as_str());
        match (status.is_success(), text("filter"), text("error")) {
            (true, Some(filter), _) => println!("{filter}"),
            (_, _, Some(error)) => bail!("the role refuses: {error}"),
            _ => bail!(
                "{url} has no log level (HTTP status {}); ask where operators are served",
                status.as_u16()
            ),
        }
        Ok(())
    }
}
