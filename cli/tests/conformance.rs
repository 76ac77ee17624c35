//! `portico conformance` against a gateway and a servicer of ours, where no row fails, and against broken ones, where the right rows do.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use portico_localnet::{Output, Plan, Processes, Program, Spec, chain_service, free_ports};
use serde_json::Value;
use tokio::process::Command;

/// Exit code, and the verdict of each row by what was sent.
async fn conformance(args: &[&str]) -> (Option<i32>, BTreeMap<String, String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    command
        .args(["conformance", "--output", "json"])
        .args(args)
        .env_remove("RUST_LOG");
    let done = command.output().await.unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&done.stderr)));
    let of = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let rows = rows.iter().map(|row| {
        (
            of(row, "sent"),
            format!("{} {}", of(row, "verdict"), of(row, "came")),
        )
    });
    (done.status.code(), rows.collect())
}

/// What was sent in the rows with this verdict.
fn with<'a>(rows: &'a BTreeMap<String, String>, verdict: &str) -> Vec<&'a str> {
    let rows = rows
        .iter()
        .filter(|(_, came)| came.split(' ').next() == Some(verdict));
    rows.map(|(sent, _)| sent.as_str()).collect()
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// A miner that checks nothing of a relay request but its first byte: it hands the first that its servicer serves on, and repeats that answer.
#[derive(Clone)]
struct Careless {
    servicer: String,
    served: Arc<Mutex<Option<Bytes>>>,
}

impl Careless {
    async fn answer(State(it): State<Self>, headers: HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
        let kept = it.served.lock().unwrap().clone();
        if let Some(kept) = kept.filter(|_| body.first() == Some(&0x0a)) {
            return (StatusCode::OK, kept);
        }
        let client = portico_net::tls::ClientTls::public()
            .http_client()
            .build()
            .unwrap();
        let asked = client
            .post(&it.servicer)
            .header("rpc-type", headers["rpc-type"].clone())
            .body(body);
        let answer = asked.send().await.unwrap();
        let (status, body) = (answer.status(), answer.bytes().await.unwrap());
        if status == StatusCode::OK {
            *it.served.lock().unwrap() = Some(body.clone());
        }
        (status, body)
    }
}

const FORGED: [&str; 5] = [
    "a relay for a supplier that is not served here",
    "a relay in a stranger's ring",
    "a relay of a session that there is not",
    "a relay whose payload was changed",
    "a relay whose signature was changed",
];
const CAPTURED: [&str; 2] = [
    "a request of PATH on another network",
    "a request of pocket-ap on another network",
];

#[tokio::test]
async fn ours_conform_and_broken_ones_fail_the_rows_that_are_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = Spec::new([(chain_service(), None)].into());
    spec.block_time = Duration::from_millis(500);
    let plan = Plan::open(folder.path(), free_ports().unwrap(), spec, &mut rand::rng()).unwrap();
    let program = Program {
        path: env!("CARGO_BIN_EXE_portico").into(),
        output: Output::Logged(folder.path().to_owned()),
        log_level: None,
    };
    let (_, mut processes) = Processes::start(&plan, program).await.unwrap();
    processes.ready(&plan).await.unwrap();

    for front in ["/v1", "/v1/pocket"] {
        let (code, rows) = conformance(&[&(plan.gateway_url() + front)]).await;
        assert_eq!((code, with(&rows, "fail")), (Some(0), Vec::new()), "{rows:#?}");
        assert_eq!(with(&rows, "pass").len(), 11, "{rows:#?}");
    }

    let servicer = plan.servicer_url();
    let (code, rows) = conformance(&[&servicer, "--kind", "miner"]).await;
    assert_eq!((code, with(&rows, "fail")), (Some(0), Vec::new()), "{rows:#?}");
    assert_eq!(
        (with(&rows, "pass").len(), with(&rows, "skipped").len()),
        (6, 7),
        "{rows:#?}"
    );

    let key = folder.path().join("keys/gateway.hex");
    let (rpc, grpc) = (plan.rpc_url(), plan.grpc_url());
    let signed = [
        "--kind",
        "miner",
        "--key",
        key.to_str().unwrap(),
        "--chain-rpc",
        &rpc,
        "--chain-grpc",
        &grpc,
    ];
    let (code, rows) = conformance(&[&[servicer.as_str()], &signed[..]].concat()).await;
    assert_eq!((code, with(&rows, "fail")), (Some(0), Vec::new()), "{rows:#?}");
    assert_eq!(with(&rows, "pass").len(), 13, "{rows:#?}");

    let careless = Careless {
        servicer: servicer.clone(),
        served: Arc::default(),
    };
    let router = Router::new()
        .fallback(Careless::answer)
        .with_state(careless.clone());
    let url = serve(router).await;
    let supplier = portico_config::secret::read_key_file(&folder.path().join("keys/supplier.hex"));
    let supplier = supplier.map(|key| key.address().to_string()).unwrap();
    let args = [&[url.as_str()], &signed[..], &["--supplier", &supplier]].concat();
    let (code, rows) = conformance(&args).await;
    assert_eq!(
        code,
        Some(0),
        "until it has served one it is as good as its servicer: {rows:#?}"
    );
    assert_eq!(with(&rows, "differs"), ["the same relay again"]);
    let (code, rows) = conformance(&args).await;
    assert_eq!(code, Some(1));
    let mut wanted = [&FORGED[..], &CAPTURED[..]].concat();
    wanted.extend(["a request without a session", "half of a relay request"]);
    wanted.sort_unstable();
    assert_eq!(with(&rows, "fail"), wanted, "{rows:#?}");
}

#[tokio::test]
async fn a_gateway_that_says_the_same_to_everybody_fails() {
    let same = || async { r#"{"jsonrpc":"2.0","id":7,"result":{}}"# };
    let url = serve(Router::new().fallback(same)).await;
    let (code, rows) = conformance(&[&url]).await;
    assert_eq!(code, Some(1));
    assert_eq!(with(&rows, "pass"), ["a call with a number as id"], "{rows:#?}");

    let (code, rows) = conformance(&["http://127.0.0.1:1"]).await;
    assert_eq!((code, with(&rows, "pass").len()), (Some(1), 0), "{rows:#?}");
}
