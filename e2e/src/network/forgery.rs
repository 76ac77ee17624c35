//! Requests that a servicer must refuse, sent straight to its endpoint.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use portico_protocol::SigningKey;
use portico_protocol::http_payload;
use portico_protocol::relay::sign_request;
use portico_protocol::ring::Ring;
use portico_protocol::wire::pocket::service::RelayRequest;
use prost::Message;
use rand::SeedableRng;

use super::Network;

/// What is wrong with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// One byte of the payload was changed after signing.
    ChangedPayload,
    /// Signed in a ring of a stranger's key.
    StrangersRing,
    /// Well signed, but for a supplier that is not in the session.
    ForeignSupplier,
}

/// Sends the forgery and returns the text of the refusal; errs when it is answered.
pub(super) async fn send(network: &Network, forgery: Forgery) -> Result<String> {
    let request = build(network, forgery).await?;
    let response = network
        .http
        .post(network.plan.servicer_url())
        .header("Content-Type", "application/json")
        .header("Rpc-Type", "3")
        .body(request.encode_to_vec())
        .send()
        .await?;
    let status = response.status();
    let body = response.bytes().await?;
    if status.is_success() {
        bail!("the forged request was answered");
    }
    let refusal: serde_json::Value = serde_json::from_slice(&body).context("a refusal is JSON")?;
    let error = refusal["error"].as_str().context("a refusal has an error")?;
    Ok(format!("{}: {error}", status.as_u16()))
}

pub(super) async fn build(network: &Network, forgery: Forgery) -> Result<RelayRequest> {
    let head = network.head().await?.height;
    let session = network.session(head).await?;
    let header = session.header.context("a session has a header")?;
    let gateway = &network.actors().gateway;
    let application = &network.actors().applications[&super::service()];
    let supplier = match forgery {
        Forgery::ForeignSupplier => network.foreign_suppliers().first(),
        _ => network.suppliers().first(),
    }
    .context("the network has no such supplier")?;
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let key = match forgery {
        Forgery::StrangersRing => SigningKey::generate(&mut rng),
        _ => gateway.clone(),
    };
    let ring = match forgery {
        Forgery::StrangersRing => Ring::new(vec![key.public_key(), key.public_key()])?,
        _ => Ring::new(vec![application.public_key(), gateway.public_key()])?,
    };
    let call = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#);
    let url = format!("{}/", network.plan.servicer_url());
    let payload =
        http_payload::encode_http_request("POST", &url, [("Content-Type", "application/json")], call);
    let mut request = sign_request(
        &header,
        &supplier.address().to_string(),
        payload,
        &ring,
        &key,
        &mut rng,
    )?;
    if forgery == Forgery::ChangedPayload {
        let mut changed = request.payload.to_vec();
        *changed.last_mut().context("a payload has bytes")? ^= 1;
        request.payload = changed.into();
    }
    Ok(request)
}
