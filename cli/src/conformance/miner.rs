//! What a relay miner has to refuse, and, for who can sign, what it has to serve.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::StatusCode;
use portico_client::RelayChain;
use portico_localnet::forgery::{Forgery, Signing};
use portico_protocol::wire::pocket::service::{RelayRequest, RelayRequestMetadata, RelayResponse};
use portico_protocol::{PublicKey, SigningKey};
use portico_relay::{Call, message};
use portico_session_cache::{SessionCache, SessionView, SupplierView};
use prost::Message as _;

use super::{ConformanceArgs, Row, Verdict, beginning};
use crate::folders;
use crate::query::only_application;

/// Relay requests that PATH and pocket-ap sent to a relay miner on a network that is no more (`testdata/go-poktroll-0.1.35/wire`).
const CAPTURED: [(&str, &[u8]); 2] = [
    (
        "a request of PATH on another network",
        include_bytes!("../../../testdata/go-poktroll-0.1.35/wire/path-svc1-01.request.bin"),
    ),
    (
        "a request of pocket-ap on another network",
        include_bytes!("../../../testdata/go-poktroll-0.1.35/wire/pocketap-svc1-01.request.bin"),
    ),
];
const REFUSED: &str = "refused, unsigned";

/// What came of a request.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// Passes if nothing was served, and the miner did not fail itself.
    fn refused(&self) -> Result<String, String> {
        let response = RelayResponse::decode(self.body.clone()).ok();
        let signed = response.as_ref().and_then(|response| response.meta.as_ref());
        let is_signed = signed.is_some_and(|meta| !meta.supplier_operator_signature.is_empty());
        let is_answered = response
            .as_ref()
            .is_some_and(|response| !response.payload.is_empty());
        if is_signed && is_answered {
            return Err(format!("{}, served and signed", self.status));
        }
        let told = response.and_then(|response| response.relay_miner_error);
        match (self.status, told) {
            (status, _) if status.is_client_error() => Ok(self.said()),
            // As the HA relay miner says that another one has to be asked.
            (StatusCode::SERVICE_UNAVAILABLE, _) => Ok(self.said()),
            (StatusCode::OK, Some(error)) => {
                Ok(format!("relay miner error {}/{}", error.codespace, error.code))
            }
            _ => Err(self.said()),
        }
    }

    fn said(&self) -> String {
        format!(
            "{}: {}",
            self.status.as_u16(),
            beginning(&String::from_utf8_lossy(&self.body))
        )
    }
}

/// Who signs, in which session, for which supplier.
struct Signer {
    key: SigningKey,
    session: Arc<SessionView>,
    supplier: SupplierView,
}

/// Tries a relay miner.
pub(super) async fn rows(args: &ConformanceArgs) -> Result<Vec<Row>> {
    let url = args.url.trim_end_matches('/');
    let client = crate::http::client()?;
    let post = async |body: Bytes| -> Result<Answer, String> {
        let request = client
            .post(url)
            .header("Content-Type", "application/json") // as the network's gateways declare relay bytes
            .header("Rpc-Type", "3")
            .body(body);
        let plain = |error: reqwest::Error| portico_protocol::causes(&error.without_url());
        let answer = request.send().await.map_err(plain)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(plain)?;
        Ok(Answer { status, body })
    };
    let mut rows = Vec::new();
    let [path, _] = CAPTURED;
    let without_header = RelayRequest {
        meta: Some(RelayRequestMetadata::default()),
        payload: Bytes::from_static(b"payload"),
    };
    let mut refused = vec![
        ("an empty body", Bytes::new()),
        ("bytes that are no relay request", Bytes::from_static(&[0xff; 64])),
        (
            "half of a relay request",
            Bytes::from_static(&path.1[..path.1.len() / 2]),
        ),
        (
            "a request without a session",
            without_header.encode_to_vec().into(),
        ),
    ];
    refused.extend(CAPTURED.map(|(sent, bytes)| (sent, Bytes::from_static(bytes))));
    for (sent, body) in refused {
        let came = post(body).await.and_then(|answer| answer.refused());
        rows.push(Row::of(sent, REFUSED, came));
    }

    let signer = signer(args, url).await?;
    let payload = Call::json_rpc(String::new(), call(&args.method)).payload(url);
    let genuine = "a relay of the current session";
    let served = "served: header, hash and signature hold";
    let Some(signer) = signer else {
        rows.push(Row::skipped(genuine, served));
        rows.extend(Forgery::ALL.map(|forgery| Row::skipped(sent(forgery), REFUSED)));
        return Ok(rows);
    };
    let signing = signer.signing()?;
    for forgery in Forgery::ALL {
        if forgery == Forgery::Replay {
            // First as it is, then again.
            let request: Bytes = signing.request(payload.clone(), forgery)?.encode_to_vec().into();
            let first = post(request.clone()).await;
            rows.push(Row::of(
                genuine,
                served,
                first.and_then(|answer| signer.verified(&answer)),
            ));
            let again = post(request).await.and_then(|answer| answer.refused());
            let mut row = Row::of(sent(forgery), REFUSED, again);
            if row.verdict == Verdict::Fail && row.came.contains("served and signed") {
                row.verdict = Verdict::Differs; // it is one leaf all the same, and paid once
            }
            rows.push(row);
            continue;
        }
        let request = signing.request(payload.clone(), forgery)?.encode_to_vec();
        let came = post(request.into()).await.and_then(|answer| answer.refused());
        rows.push(Row::of(sent(forgery), REFUSED, came));
    }
    Ok(rows)
}

const fn sent(forgery: Forgery) -> &'static str {
    match forgery {
        Forgery::StrangersRing => "a relay in a stranger's ring",
        Forgery::OtherSession => "a relay of a session that there is not",
        Forgery::ForeignSupplier => "a relay for a supplier that is not served here",
        Forgery::ChangedPayload => "a relay whose payload was changed",
        Forgery::ChangedSignature => "a relay whose signature was changed",
        Forgery::Replay => "the same relay again",
    }
}

fn call(method: &str) -> Bytes {
    let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": []});
    call.to_string().into()
}

/// Who signs; `None` without a key.
async fn signer(args: &ConformanceArgs, url: &str) -> Result<Option<Signer>> {
    let Some(key) = &args.key else {
        return Ok(None);
    };
    let key = folders::key(key)?;
    let chain = args.chain.connect().await?;
    let application = match &args.application {
        Some(actor) => folders::address(actor)?,
        None => only_application(&*chain, &args.service).await?,
    };
    let chain: Arc<dyn RelayChain> = chain;
    let sessions = SessionCache::new(chain, "conformance", &prometheus::Registry::new())?;
    let session = sessions.current(&application, &args.service).await?;
    if !session.ring.keys().contains(key.public_key().as_bytes()) {
        bail!(
            "the key signs for no application of {}: neither is it the application's, nor did that delegate to it",
            args.service
        );
    }
    let wanted = args.supplier.as_deref().map(folders::address).transpose()?;
    let is_it = |supplier: &&SupplierView| match wanted {
        Some(wanted) => supplier.operator == wanted,
        None => supplier
            .endpoints
            .iter()
            .any(|endpoint| endpoint.url.trim_end_matches('/') == url),
    };
    let supplier = session.suppliers.iter().find(is_it).cloned();
    let supplier =
        supplier.context("no supplier of the current session has this URL: name one with --supplier")?;
    Ok(Some(Signer {
        key,
        session,
        supplier,
    }))
}

impl Signer {
    fn signing(&self) -> Result<Signing<'_>> {
        let ring = self.session.ring.keys().iter();
        let ring: Result<Vec<PublicKey>, _> = ring.map(|key| PublicKey::from_slice(key)).collect();
        // Nobody's: a key that was made for this run.
        let foreign = SigningKey::generate(&mut rand::rng()).address();
        Ok(Signing {
            header: self.session.header.clone(),
            supplier: self.supplier.operator,
            foreign: Some(foreign),
            ring: ring?,
            key: &self.key,
        })
    }

    /// Passes if it is a response of the supplier's to a request of the session.
    fn verified(&self, answer: &Answer) -> Result<String, String> {
        let opened = message::open(
            answer.body.clone(),
            &self.session.header,
            &self.supplier.public_key,
        );
        match opened {
            Ok(response) => Ok(format!(
                "{}, {} bytes",
                answer.status.as_u16(),
                response.payload.len()
            )),
            Err(fault) => Err(format!("{}: {fault}", answer.said())),
        }
    }
}
