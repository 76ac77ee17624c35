//! `portico relay`: one relay, through a gateway or with a key of one's own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use http::{HeaderMap, Uri};
use portico_config::gateway::{ApplicationConfig, GatewayConfig};
use portico_gateway::{FailedAttempt, OneCall, OneError, Relayed, relay_once};
use portico_net::tls::ClientTls;
use portico_net::websocket::{self, Close, ConnectError, Incoming, Kind, Limits, Message};
use portico_net::{dial_websocket, websocket_url};
use portico_protocol::receipt;
use portico_protocol::wire::pocket::service::{RelayRequest, RelayRequestMetadata, RelayResponse};
use portico_protocol::{Address, PublicKey, ServiceId, SigningKey};

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
    /// Ask the supplier for a receipt, its signature that this answer is the one to this call, and verify it here
    #[arg(long)]
    receipt: bool,
    /// How the gateway is called: by a POST, or over a WebSocket
    #[arg(long, value_enum, default_value_t = Transport::Http, conflicts_with_all = ["key", "receipt"])]
    transport: Transport,
    /// Print what follows the answer too, such as the messages of a subscription, until Ctrl-C or the end of the WebSocket
    #[arg(long, conflicts_with_all = ["key", "receipt"])]
    follow: bool,
    #[command(flatten)]
    chain: ChainArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How the gateway is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    Http,
    Ws,
}

impl RelayArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let body = self.body()?;
        if self.transport == Transport::Ws {
            return over_websocket(&self.gateway, &self.service, body, self.follow).await;
        }
        ensure!(!self.follow, "--follow needs --transport ws");
        let view = match &self.key {
            Some(key) => self.own(folders::key(key)?, body).await?,
            None => through_gateway(&self.gateway, &self.service, body, self.receipt).await?,
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

/// Largest message that is printed, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Time for the gateway to take 64 KiB of the call.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Headers of the gateway's answer that say how it came about, and how they are shown.
const HEADERS: [(&str, &str); 5] = [
    ("x-supplier-address", "supplier"),
    ("x-session-id", "session"),
    ("x-app-address", "application"),
    ("x-attempts", "attempts"),
    ("x-relay-id", "relay"),
];

async fn through_gateway(
    gateway: &str,
    service: &ServiceId,
    body: Bytes,
    wants_receipt: bool,
) -> Result<View> {
    let url = format!("{}/v1/{service}", gateway.trim_end_matches('/'));
    let mut request = crate::http::client()?
        .post(&url)
        .header("content-type", "application/json")
        .body(body);
    if wants_receipt {
        request = request.header(receipt::REQUEST_HEADER, "true");
    }
    let response = request.send().await.map_err(|error| {
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
    let headers = response.headers().clone();
    let answer = response.text().await.context("the gateway's answer broke off")?;
    if !status.is_success() {
        bail!("the gateway answered HTTP {status}: {answer}");
    }
    let mut fields = vec![("answer", View::from(answer))];
    for (_, name) in HEADERS {
        fields.extend(told.get(name).map(|value| (name, View::from(value.as_str()))));
    }
    if wants_receipt {
        fields.push(("receipt", receipt_through_gateway(&headers)?.into()));
    }
    fields.push((
        "verified",
        "by the gateway: session, payload hash and supplier signature (verify here yourself with --key)"
            .into(),
    ));
    Ok(View::Fields(fields))
}

/// Sends the call over a WebSocket and prints its answer, and all that comes after it if that is wanted.
async fn over_websocket(gateway: &str, service: &ServiceId, body: Bytes, follow: bool) -> Result<()> {
    let url = format!("{}/v1/{service}", websocket_url(gateway.trim_end_matches('/')));
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
    let limits = Limits {
        max_message_bytes: MAX_MESSAGE_BYTES,
        write_timeout: WRITE_TIMEOUT,
        budgets: None,
    };
    let no_gateway = || {
        format!(
            "no WebSocket at {url}; start a gateway with `portico localnet`, or name another with --gateway"
        )
    };
    let socket = dial_websocket(&uri, &ClientTls::public())
        .await
        .with_context(no_gateway)?;
    let opened = websocket::connect(socket, &uri, HeaderMap::new(), limits).await;
    let (mut receiver, sender) = match opened {
        Err(ConnectError::Refused { status, text }) => {
            bail!(
                "the gateway answered HTTP {status}: {}",
                String::from_utf8_lossy(&text)
            );
        }
        opened => opened.with_context(no_gateway)?,
    };
    let kind = Kind::Text;
    sender.send(Message { kind, bytes: body }).await?;
    let told = async {
        loop {
            match receiver.next().await? {
                Incoming::Message(message) => println!("{}", String::from_utf8_lossy(&message.bytes)),
                Incoming::Close(close) => bail!("closed: {} {}", close.code.unwrap_or(1005), close.reason),
            }
            if !follow {
                return Ok(());
            }
        }
    };
    let ended = tokio::select! {
        told = told => told,
        Err(error) = sender.keep() => Err(error.into()),
        _ = tokio::signal::ctrl_c(), if follow => Ok(()),
    };
    sender.close(Close::new(1000, "")).await;
    ended
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
