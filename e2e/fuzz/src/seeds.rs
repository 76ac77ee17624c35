//! The corpora that fuzzing starts from: the vectors' bytes, and transactions of the actors that [`crate::chain`] knows.

use std::path::Path;

use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket::application::{
    MsgDelegateToGateway, MsgStakeApplication, MsgTransferApplication, MsgUndelegateFromGateway,
    MsgUnstakeApplication,
};
use portico_protocol::wire::pocket::gateway::{MsgStakeGateway, MsgUnstakeGateway};
use portico_protocol::wire::pocket::service::MsgAddService;
use portico_protocol::wire::pocket::shared::{ApplicationServiceConfig, Service};
use portico_protocol::wire::pocket::supplier::MsgUnstakeSupplier;
use prost::Message;
use prost::Name;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::chain::{QUERIES, key};

/// Where a target's inputs lie in the vectors: file, section, and the fields whose bytes are put one after the other. A `*` after a field
/// cuts its bytes to 32.
const VECTORS: &[(&str, &str, &str, &[&str])] = &[
    ("relay_request", "relay.json", "relays", &["request_bytes"]),
    (
        "relay_response",
        "relay.json",
        "relays",
        &["response_bytes_sent_to_client"],
    ),
    (
        "relay_response",
        "relay.json",
        "relays",
        &["response_bytes_in_mined_relay"],
    ),
    ("mined_relay", "relay.json", "relays", &["relay_bytes"]),
    ("mined_relay", "relay.json", "negative", &["relay_bytes"]),
    ("http_payload", "relay.json", "pokt_http_request", &["bytes"]),
    ("http_payload", "relay.json", "pokt_http_response", &["bytes"]),
    ("ring", "ring.json", "signatures", &["message", "signature"]),
    ("ring", "ring.json", "tampered", &["message", "signature"]),
    ("proof", "smst.json", "closest", &["root", "path*", "proof_gob"]),
    (
        "proof",
        "smst.json",
        "closest",
        &["root", "path*", "compact_proof_gob"],
    ),
    (
        "proof",
        "smst.json",
        "membership",
        &["root", "root*", "proof_gob"],
    ),
    (
        "proof",
        "smst.json",
        "membership",
        &["root", "root*", "compact_proof_gob"],
    ),
    (
        "proof",
        "smst.json",
        "compact_closest_tampered",
        &["root", "root*", "compact_proof_gob"],
    ),
    ("proof", "smst.json", "gob_decode", &["root", "root*", "bytes"]),
    ("transaction", "tx.json", "transactions", &["tx_raw"]),
    ("claim_and_proof", "proof.json", "messages", &["value"]),
    (
        "claim_and_proof",
        "proof.json",
        "messages_validate_basic",
        &["value"],
    ),
    ("claim_and_proof", "proof.json", "message_server", &["msg"]),
    (
        "claim_and_proof",
        "proof.json",
        "claim_sampling",
        &["claim_bytes"],
    ),
];

/// Bytes seen on a live network: target, and how the names of its files begin and end.
const CAPTURED: &[(&str, &str, &str)] = &[
    ("relay_request", "path-", ".request.bin"),
    ("relay_request", "pocketap-", ".request.bin"),
    ("relay_response", "path-", ".response.bin"),
    ("relay_response", "pocketap-", ".response.bin"),
    ("transaction", "tx.", ".bin"),
];

/// Calls, URIs and queries over events, as clients of the RPC write them.
const RPC: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{}}"#,
    r#"{"jsonrpc":"2.0","id":"a","method":"block","params":{"height":"7"}}"#,
    r#"{"jsonrpc":"2.0","id":-1,"method":"tx","params":{"hash":"q6ur","prove":true}}"#,
    r#"{"jsonrpc":"2.0","id":2,"method":"broadcast_tx_sync","params":["q6ur"]}"#,
    r#"{"jsonrpc":"2.0","id":3,"method":"abci_query","params":{"path":"/store/bank/key","data":"abcd","height":"2","prove":true}}"#,
    r#"[{"jsonrpc":"2.0","id":4,"method":"subscribe","params":{"query":"tm.event='Tx' AND tx.height>5"}},{"method":"health"}]"#,
    "height=7&prove=true&page=2&per_page=30",
    "hash=0x2FA5&tx=%22a%20b%22&query=%22tx.height=2%22",
    "tm.event = 'Tx' AND message.action CONTAINS 'stake' AND tx.height >= 5 AND coin.amount < 7.5",
    "tx.hash='ABCD' AND transfer.recipient EXISTS AND block.time > TIME 2026-01-02T03:04:05Z AND d = DATE 2026-01-02",
];

/// Writes the corpora of all targets below `corpus`, from the `vectors` folder; returns how many inputs there are.
///
/// # Errors
/// When a file cannot be read or written, or holds something else than vectors.
pub fn write(vectors: &Path, corpus: &Path) -> Result<usize, String> {
    let mut inputs = Vec::new();
    for (target, file, section, fields) in VECTORS {
        let text = read(&vectors.join(file))?;
        let value: Value = serde_json::from_slice(&text).map_err(|error| format!("{file}: {error}"))?;
        let cases = value[section]
            .as_array()
            .ok_or_else(|| format!("{file} has no {section}"))?;
        inputs.extend(
            cases
                .iter()
                .filter_map(|case| Some((*target, bytes_of(case, fields)?))),
        );
    }
    for entry in std::fs::read_dir(vectors.join("wire")).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for (target, start, end) in CAPTURED {
            if name.starts_with(start) && name.ends_with(end) {
                inputs.push((*target, read(&path)?));
            }
        }
    }
    inputs.extend(transactions().into_iter().map(|tx| ("transaction", tx)));
    inputs.extend(
        (0..=255)
            .take(QUERIES.len())
            .map(|method| ("chain_query", vec![method])),
    );
    for look in 0..4 {
        let leaves = (0..10).flat_map(|leaf| [leaf << 4, leaf ^ 0x55]);
        inputs.push(("trie", [9, 9, look].into_iter().chain(leaves).collect()));
    }
    inputs.extend(RPC.iter().map(|text| ("node_rpc", text.as_bytes().to_vec())));
    for (target, input) in &inputs {
        let folder = corpus.join(target);
        let name = hex::encode(&Sha256::digest(input)[..8]);
        let written =
            std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(name), input));
        written.map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(inputs.len())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// `None` where a case has no such field: some lack it.
fn bytes_of(case: &Value, fields: &[&str]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for field in fields {
        let part = hex::decode(case.get(field.trim_end_matches('*'))?.as_str()?).ok()?;
        let len = if field.ends_with('*') {
            part.len().min(32)
        } else {
            part.len()
        };
        bytes.extend_from_slice(&part[..len]);
    }
    Some(bytes)
}

/// One transaction of most kinds, by actors that exist.
fn transactions() -> Vec<Vec<u8>> {
    let of = |name: &str| key(name).address().to_string();
    let upokt = |amount: &str| {
        Some(Coin {
            denom: "upokt".to_owned(),
            amount: amount.to_owned(),
        })
    };
    let eth = ApplicationServiceConfig {
        service_id: "eth".to_owned(),
    };
    let (application, gateway) = (of("application"), of("gateway"));
    vec![
        signed(
            "other",
            &MsgSend {
                from_address: of("other"),
                to_address: of("owner"),
                amount: upokt("7").into_iter().collect(),
            },
        ),
        signed(
            "other",
            &MsgStakeApplication {
                address: of("other"),
                stake: upokt("1000000000"),
                services: vec![eth],
                ..Default::default()
            },
        ),
        signed(
            "application",
            &MsgUnstakeApplication {
                address: application.clone(),
            },
        ),
        signed(
            "application",
            &MsgDelegateToGateway {
                app_address: application.clone(),
                gateway_address: gateway.clone(),
            },
        ),
        signed(
            "application",
            &MsgUndelegateFromGateway {
                app_address: application.clone(),
                gateway_address: gateway.clone(),
            },
        ),
        signed(
            "application",
            &MsgTransferApplication {
                source_address: application,
                destination_address: of("other"),
            },
        ),
        signed(
            "gateway",
            &MsgStakeGateway {
                address: gateway.clone(),
                stake: upokt("2000000"),
            },
        ),
        signed("gateway", &MsgUnstakeGateway { address: gateway }),
        signed(
            "owner",
            &MsgUnstakeSupplier {
                signer: of("owner"),
                operator_address: of("supplier"),
            },
        ),
        signed(
            "other",
            &MsgAddService {
                owner_address: of("other"),
                service: Some(Service {
                    id: "base".to_owned(),
                    name: "Base".to_owned(),
                    compute_units_per_relay: 3,
                    owner_address: of("other"),
                    ..Default::default()
                }),
            },
        ),
    ]
}

fn signed<M: Message + Name>(signer: &str, message: &M) -> Vec<u8> {
    let context = SignerContext {
        chain_id: "portico-fuzz".to_owned(),
        account_number: 0,
        sequence: 0,
    };
    sign_tx(vec![pack(message)], &TxOptions::default(), &context, &key(signer))
}
