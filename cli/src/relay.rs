//! `portico relay`: one relay, through a gateway or with a key of one's own.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use portico_config::gateway::{ApplicationConfig, GatewayConfig};
use portico_gateway::{FailedAttempt, OneCall, OneError, Relayed, relay_once};
use portico_protocol::{Address, ServiceId, SigningKey};

use crate::chain::ChainArgs;
use crate::folders;
use crate::query::only_application;
use crate::view::View;

/// Sends a JSON-RPC call through the gateway of the local network, or, with --key, straight to a supplier of the session.
#[derive(Args)]
pub(crate) struct RelayArgs {
    /// JSON-RPC method, e.g. status or eth_blockNumber; or a whole JSON-RPC request
    call: String,
    /// Params of the method, as JSON
    #[arg(default_value = "{}")]
    params: String,
    /// Service that is called
    #[arg(long, value_name = "ID", default_value = "pocket")]
    service: ServiceId,
    /// Front door of the gateway that relays the call
    #[arg(
        long,
        value_name = "URL",
        env = "PORTICO_GATEWAY",
        hide_env_values = true,
        default_value = "http://127.0.0.1:3069",
        conflicts_with = "key"
    )]
    gateway: String,
    /// Sign the relay with this key and verify the answer here: a key file, or an actor of the local network (e.g. gateway).
    /// It must be the application's, or that of a gateway to which the application delegated
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Application that pays; not needed when one application is staked for the service
    #[arg(long, value_name = "ACTOR", requires = "key")]
    application: Option<String>,
    #[command(flatten)]
    chain: ChainArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl RelayArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let body = self.body()?;
        let view = match &self.key {
            Some(key) => self.own(folders::key(key)?, body).await?,
            None => through_gateway(&self.gateway, &self.service, body).await?,
        };
        view.print(self.json)
    }

    fn body(&self) -> Result<Bytes> {
        if self.call.trim_start().starts_with(['{', '[']) {
            serde_json::from_str::<serde_json::Value>(&self.call).context("the call is not JSON")?;
            return Ok(self.call.clone().into());
        }
        let params: serde_json::Value = serde_json::from_str(&self.params)
            .with_context(|| format!("params {:?} are not JSON", self.params))?;
        let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": self.call, "params": params});
        Ok(call.to_string().into())
    }

    async fn own(&self, key: SigningKey, body: Bytes) -> Result<View> {
        let chain = self.chain.connect().await?;
        let application = match &self.application {
            Some(actor) => folders::address(actor)?,
            None => only_application(&*chain, &self.service).await?,
        };
        let config = config_for(&key, application, self.service.clone());
        let call = OneCall {
            service: self.service.clone(),
            path: String::new(),
            body,
        };
        match relay_once(&config, chain, call).await {
            Ok(relayed) => Ok(relayed_view(&relayed)),
            Err(OneError::Setup(error)) => Err(error.into()),
            Err(OneError::Relay {
                reason,
                message,
                failed_attempts,
            }) => {
                let tried = failed_attempts
                    .iter()
                    .map(|failed| format!("; {}", attempt(failed)))
                    .collect::<String>();
                bail!("the relay failed ({reason}): {message}{tried}")
            }
        }
    }
}

/// A gateway that signs with `key` for one application.
fn config_for(key: &SigningKey, application: Address, service_id: ServiceId) -> GatewayConfig {
    let own = key.address() == application;
    GatewayConfig {
        gateway_key: (!own).then(|| key.into()),
        applications: vec![ApplicationConfig {
            address: Some(application),
            service_id,
            key: own.then(|| key.into()),
        }],
        ..GatewayConfig::default()
    }
}

fn attempt(failed: &FailedAttempt) -> String {
    format!("{} after {} ms: {}", failed.supplier, failed.ms, failed.message)
}

fn relayed_view(relayed: &Relayed) -> View {
    let check = |check: &portico_gateway::Check| format!("✓ {}: {}", check.name, check.detail);
    View::Fields(vec![
        (
            "answer",
            String::from_utf8_lossy(&relayed.answer).into_owned().into(),
        ),
        ("supplier", relayed.supplier.to_string().into()),
        ("endpoint", relayed.endpoint.as_str().into()),
        ("session", relayed.session.id().into()),
        (
            "blocks",
            format!("{} to {}", relayed.session.start, relayed.session.end).into(),
        ),
        ("relay", hex::encode(relayed.relay_hash).into()),
        ("time_ms", relayed.ms.into()),
        (
            "failed_attempts",
            relayed.failed_attempts.iter().map(attempt).collect(),
        ),
        ("verified", relayed.checks.iter().map(check).collect()),
    ])
}

/// Headers of the gateway's answer that say how it came about, and how they are shown.
const HEADERS: [(&str, &str); 5] = [
    ("x-supplier-address", "supplier"),
    ("x-session-id", "session"),
    ("x-app-address", "application"),
    ("x-attempts", "attempts"),
    ("x-relay-id", "relay"),
];

async fn through_gateway(gateway: &str, service: &ServiceId, body: Bytes) -> Result<View> {
    let url = format!("{}/v1/{service}", gateway.trim_end_matches('/'));
    let sent = crate::http::client()?
        .post(&url)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await;
    let response = sent.map_err(|error| {
        anyhow!(error).context(format!(
            "no gateway answers at {url}; start one with `portico localnet`, or name another with --gateway"
        ))
    })?;
    let status = response.status();
    let told: BTreeMap<&str, String> = HEADERS
        .iter()
        .filter_map(|(header, name)| {
            Some((*name, response.headers().get(*header)?.to_str().ok()?.to_owned()))
        })
        .collect();
    let answer = response.text().await.context("the gateway's answer broke off")?;
    if !status.is_success() {
        bail!("the gateway answered HTTP {status}: {answer}");
    }
    let mut fields = vec![("answer", View::from(answer))];
    for (_, name) in HEADERS {
        fields.extend(told.get(name).map(|value| (name, View::from(value.as_str()))));
    }
    fields.push((
        "verified",
        "by the gateway: session, payload hash and supplier signature (verify here yourself with --key)"
            .into(),
    ));
    Ok(View::Fields(fields))
}
