//! `portico relay`: one relay, through a gateway or with a key of one's own.

mod events;
mod grpc;
mod websocket;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::HeaderMap;
use portico_config::gateway::{ApplicationConfig, GatewayConfig};
use portico_gateway::{FailedAttempt, OneCall, OneError, Relayed, relay_once};
use portico_protocol::receipt;
use portico_protocol::wire::pocket::service::{RelayRequest, RelayRequestMetadata, RelayResponse};
use portico_protocol::{Address, PublicKey, ServiceId, SigningKey};

use crate::chain::ChainArgs;
use crate::folders;
use crate::output::OutputArgs;
use crate::query::only_application;
use crate::view::View;

/// Sends a call through the gateway of the local network, or, with --key, straight to a supplier of the session.
#[derive(Args)]
pub(crate) struct RelayArgs {
    /// JSON-RPC method, e.g. status or eth_blockNumber; or a whole JSON-RPC request. For sse also a path that events are read at, e.g.
    /// /v1/events?topics=head; for grpc a method, e.g. /cosmos.base.tendermint.v1beta1.Service/GetLatestBlock
    call: String,
    /// Params of the method, as JSON; for grpc its message, serialized, as hex [default: {}, for grpc an empty message]
    params: Option<String>,
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
    /// Ask the supplier for a receipt, its signature that this answer is the one to this call, and verify it here
    #[arg(long)]
    receipt: bool,
    /// How the gateway is called
    #[arg(long, value_enum, default_value_t = Transport::Http, conflicts_with_all = ["key", "receipt"])]
    transport: Transport,
    /// Print what follows the first answer too, such as the messages of a subscription or more events, until Ctrl-C or the end (ws, sse)
    #[arg(long, conflicts_with_all = ["key", "receipt"])]
    follow: bool,
    #[command(flatten)]
    chain: ChainArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// How the gateway is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// By a POST
    Http,
    /// Over a WebSocket
    Ws,
    /// For an event stream, by a POST of JSON-RPC or a GET of a path
    Sse,
    /// By gRPC
    Grpc,
}

impl RelayArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let (gateway, service) = (self.gateway.trim_end_matches('/'), &self.service);
        match self.transport {
            Transport::Http => ensure!(!self.follow, "--follow needs --transport ws or sse"),
            Transport::Ws => return websocket::call(gateway, service, self.body()?, self.follow).await,
            Transport::Sse => {
                let url = format!("{gateway}/v1/{service}");
                let request = match self.call.starts_with('/') {
                    true => events::get(&(url + &self.call))?,
                    false => events::post(&url, self.body()?)?,
                };
                return events::call(request, self.follow).await;
            }
            Transport::Grpc => {
                ensure!(!self.follow, "--follow needs --transport ws or sse");
                let message = grpc::message(self.params.as_deref().unwrap_or_default())?;
                let answer = grpc::call(gateway, service, &self.call, message).await?;
                return grpc::view(&answer).print(self.output.is_json());
            }
        }
        let body = self.body()?;
        let view = match &self.key {
            Some(key) => self.own(folders::key(key)?, body).await?,
            None => through_gateway(gateway, service, body, self.receipt).await?,
        };
        view.print(self.output.is_json())
    }

    fn body(&self) -> Result<Bytes> {
        if self.call.trim_start().starts_with(['{', '[']) {
            serde_json::from_str::<serde_json::Value>(&self.call).context("the call is not JSON")?;
            return Ok(self.call.clone().into());
        }
        let params = self.params.as_deref().unwrap_or("{}");
        let params: serde_json::Value =
            serde_json::from_str(params).with_context(|| format!("params {params:?} are not JSON"))?;
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
            wants_receipt: self.receipt,
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
pub(crate) fn config_for(key: &SigningKey, application: Address, service_id: ServiceId) -> GatewayConfig {
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
    let mut fields = vec![
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
    ];
    if let Some(status) = relayed.receipt.name() {
        let verified = relayed.receipt.verified();
        let shown = verified.map_or_else(|| no_receipt(status), |receipt| receipt.receipt.clone());
        fields.push(("receipt", shown.into()));
    }
    View::Fields(fields)
}

/// Why there is no receipt, by the gateway's word for it.
fn no_receipt(status: &str) -> String {
    match status {
        "missing" => "none: the supplier gave none, as versions without receipts do".to_owned(),
        "invalid" => "none: the supplier's does not verify".to_owned(),
        other => format!("none: {other}"),
    }
}

/// Headers of the gateway's answer that say how it came about, and how they are shown.
const HEADERS: [(&str, &str); 5] = [
    ("x-supplier-address", "supplier"),
    ("x-session-id", "session"),
    ("x-app-address", "application"),
    ("x-attempts", "attempts"),
    ("x-relay-id", "relay"),
];

/// That nobody answers, and what to do about it.
fn no_gateway(error: reqwest::Error, url: &str) -> anyhow::Error {
    anyhow!(error).context(format!(
        "no gateway answers at {url}; start one with `portico localnet`, or name another with --gateway"
    ))
}

/// What the gateway's headers say of how its answer came about, by the name that it is shown under.
fn told(headers: &HeaderMap) -> Vec<(&'static str, View)> {
    let shown = |(header, name): (&str, &'static str)| {
        let value = headers.get(header)?.to_str().ok()?;
        Some((name, View::from(value)))
    };
    HEADERS.into_iter().filter_map(shown).collect()
}

/// Who verified an answer that came through a gateway.
const VERIFIED: &str =
    "by the gateway: session, payload hash and supplier signature (verify here yourself with --key)";

async fn through_gateway(
    gateway: &str,
    service: &ServiceId,
    body: Bytes,
    wants_receipt: bool,
) -> Result<View> {
    let url = format!("{gateway}/v1/{service}");
    let mut request = crate::http::client()?
        .post(&url)
        .header("content-type", "application/json")
        .body(body);
    if wants_receipt {
        request = request.header(receipt::REQUEST_HEADER, "true");
    }
    let response = request.send().await.map_err(|error| no_gateway(error, &url))?;
    let status = response.status();
    let headers = response.headers().clone();
    let answer = response.text().await.context("the gateway's answer broke off")?;
    if !status.is_success() {
        bail!("the gateway answered HTTP {status}: {answer}");
    }
    let mut fields = vec![("answer", View::from(answer))];
    fields.extend(told(&headers));
    if wants_receipt {
        fields.push(("receipt", receipt_through_gateway(&headers)?.into()));
    }
    fields.push(("verified", VERIFIED.into()));
    Ok(View::Fields(fields))
}

/// The receipt among the headers of a gateway's answer, verified here; or why there is none.
fn receipt_through_gateway(headers: &HeaderMap) -> Result<String> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(receipt) = header(receipt::HEADER) else {
        return Ok(no_receipt(
            header("x-receipt-status").unwrap_or("the gateway knows no receipts"),
        ));
    };
    let bytes = |name| header(name).and_then(|text| hex::decode(text).ok());
    let (Some(signature), Some(payload_hash), Some(key)) = (
        bytes("x-request-signature"),
        bytes("x-payload-hash"),
        bytes("x-supplier-public-key"),
    ) else {
        bail!(
            "the gateway gives a receipt without request signature, payload hash and supplier key to check it by"
        );
    };
    let key = PublicKey::from_slice(&key).context("the supplier key beside the receipt is none")?;
    let supplier = key.address().to_string();
    if header("x-supplier-address") != Some(supplier.as_str()) {
        bail!(
            "the key beside the receipt is that of {supplier}, which is not the supplier that the gateway names"
        );
    }
    let meta = RelayRequestMetadata {
        signature,
        ..Default::default()
    };
    let request = RelayRequest {
        meta: Some(meta),
        ..Default::default()
    };
    let response = RelayResponse {
        payload_hash,
        ..Default::default()
    };
    receipt::verify(receipt, &request, &response, &key).context("the receipt is refused")?;
    Ok(format!(
        "{receipt} (✓ verified here: signed by {supplier} for this request and answer)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers of a gateway's answer with the receipt of a supplier with the key 7.
    fn answered() -> HeaderMap {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let meta = RelayRequestMetadata {
            signature: vec![1; 199],
            ..Default::default()
        };
        let request = RelayRequest {
            meta: Some(meta),
            ..Default::default()
        };
        let response = RelayResponse {
            payload_hash: vec![2; 32],
            ..Default::default()
        };
        let fields = [
            (receipt::HEADER, receipt::sign(&request, &response, &key).unwrap()),
            ("x-receipt-status", "verified".to_owned()),
            ("x-request-signature", hex::encode([1; 199])),
            ("x-payload-hash", hex::encode([2; 32])),
            ("x-supplier-public-key", hex::encode(key.public_key().as_bytes())),
            ("x-supplier-address", key.address().to_string()),
        ];
        let fields = fields.into_iter();
        fields
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_gateways_receipt_is_verified_here() {
        let shown = receipt_through_gateway(&answered()).unwrap();
        assert!(
            shown.starts_with("v1.") && shown.contains("verified here"),
            "{shown}"
        );
    }

    #[test]
    fn a_receipt_beside_other_data_is_refused() {
        let stranger = SigningKey::from_bytes(&[8; 32]).unwrap();
        let others = [
            ("x-request-signature", hex::encode([3; 199])),
            ("x-payload-hash", hex::encode([3; 32])),
            ("x-payload-hash", "nothing".to_owned()),
            (
                "x-supplier-public-key",
                hex::encode(stranger.public_key().as_bytes()),
            ),
            ("x-supplier-address", stranger.address().to_string()),
        ];
        for (name, value) in others {
            let mut headers = answered();
            headers.insert(name, value.parse().unwrap());
            assert!(receipt_through_gateway(&headers).is_err(), "{name}");
        }
    }

    #[test]
    fn why_there_is_no_receipt_is_told() {
        for (status, told) in [
            ("missing", "gave none"),
            ("invalid", "does not verify"),
            ("batch", "batch"),
        ] {
            let mut headers = answered();
            headers.remove(receipt::HEADER);
            headers.insert("x-receipt-status", status.parse().unwrap());
            assert!(
                receipt_through_gateway(&headers).unwrap().contains(told),
                "{status}"
            );
        }
    }
}
