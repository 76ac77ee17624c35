//! Asking the roles over HTTP.

use std::time::Duration;

use anyhow::Result;
use portico_net::tls::ClientTls;

use crate::wait::eventually;

/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(40);
/// Longest wait for a role to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two looks at a role's readiness.
const READY_INTERVAL: Duration = Duration::from_millis(20);

/// A client that trusts whom `tls` says and does not wait for ever.
pub(crate) fn client(tls: &ClientTls) -> Result<reqwest::Client> {
    Ok(tls.http_client().timeout(TIMEOUT).build()?)
}

/// Waits until `url`, of a role that `client` trusts, answers with success.
pub async fn ready(client: &reqwest::Client, url: &str) -> Result<()> {
    let what = format!("{url} says ready");
    eventually(&what, READY_TIMEOUT, READY_INTERVAL, || async {
        let answer = client.get(url).send().await?;
        Ok(answer.status().is_success().then_some(()))
    })
    .await
}
