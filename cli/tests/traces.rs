//! One relay, followed through all roles: spans at a collector, one request id in the logs of both ends, levels that change while they run, and
//! nothing of keys or payloads in any of it.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use portico_localnet::{Output, Plan, Processes, Program, Role, Spec, eventually, free_ports};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// The caller's trace and span.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const REQUEST_ID: &str = "request-of-the-test";

/// What must be found nowhere.
const OF_COLLECTOR: &str = "canary-of-the-collector";
const OF_BACKEND: &str = "canary-of-the-backend";
const OF_CALLER: &str = "canary-of-the-caller";
const OF_BODY: &str = "canary-of-the-body";
const OF_ANSWER: &str = "canary-of-the-answer";
const CANARIES: [&str; 5] = [OF_COLLECTOR, OF_BACKEND, OF_CALLER, OF_BODY, OF_ANSWER];

/// Serves `router` on a free port; its address.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// A collector: whoever sends spans, and what it sent.
#[derive(Clone, Debug, Default)]
struct Collector(Arc<Mutex<Vec<(HeaderMap, Bytes)>>>);

impl Collector {
    async fn serve(&self) -> String {
        async fn take(State(it): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
            it.0.lock().unwrap().push((headers, body));
            StatusCode::OK
        }
        let router = Router::new().route("/v1/traces", axum::routing::post(take));
        format!("{}/v1/traces", serve(router.with_state(self.clone())).await)
    }

    /// All spans, each with its service.
    fn spans(&self) -> Vec<(String, Span)> {
        let sent = self.0.lock().unwrap();
        let requests = sent
            .iter()
            .map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        let of_resource = |of: opentelemetry_proto::tonic::trace::v1::ResourceSpans| {
            let attributes = of.resource.unwrap_or_default().attributes;
            let name = attributes
                .iter()
                .find(|attribute| attribute.key == "service.name");
            let name = format!("{:?}", name.and_then(|name| name.value.clone()));
            let service = ["portico-gateway", "portico-servicer"]
                .into_iter()
                .find(|service| name.contains(service));
            let service = service.unwrap_or("another").to_owned();
            let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.map(move |span| (service.clone(), span)).collect::<Vec<_>>()
        };
        requests
            .flat_map(|request| request.resource_spans)
            .flat_map(of_resource)
            .collect()
    }
}

/// A node that keeps what it is sent, and answers 500 with what it was asked, or a result.
#[derive(Clone, Debug, Default)]
struct Backend(Arc<Mutex<Vec<HeaderMap>>>);

impl Backend {
    async fn serve(&self) -> String {
        async fn answer(State(it): State<Backend>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
            it.0.lock().unwrap().push(headers);
            let text = String::from_utf8_lossy(&body).into_owned();
            match text.contains("fails") {
                true => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    format!("{OF_ANSWER} to {text}"),
                ),
                false => {
                    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": OF_ANSWER});
                    (StatusCode::OK, answer.to_string())
                }
            }
        }
        serve(Router::new().fallback(answer).with_state(self.clone())).await
    }
}

fn client() -> reqwest::Client {
    portico_net::tls::ClientTls::public()
        .http_client()
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

async fn call(plan: &Plan, method: &str, sampled: &str) -> (u16, String) {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": [OF_BODY]});
    let asked = client()
        .post(format!("{}/v1/eth", plan.gateway_url()))
        .header("traceparent", format!("00-{TRACE}-{CALLER}-{sampled}"))
        .header("x-request-id", REQUEST_ID)
        .header("authorization", format!("Bearer {OF_CALLER}"));
    let answer = asked.json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// A running network of processes, and whom it tells.
struct Traced {
    plan: Plan,
    processes: Processes,
    collector: Collector,
    backend: Backend,
}

impl Traced {
    async fn start(folder: &Path) -> Self {
        let (collector, backend) = (Collector::default(), Backend::default());
        let url = format!("{}/v3/{OF_BACKEND}", backend.serve().await);
        let mut spec = Spec::new([("eth".parse().unwrap(), Some(url))].into());
        spec.block_time = Duration::from_millis(250);
        // Only those of callers who trace.
        let traces = json!({"traces": {
            "otlp_url": collector.serve().await,
            "headers": {"Authorization": format!("Bearer {OF_COLLECTOR}")},
            "sample_ratio": 0.0,
            "propagate": true,
        }});
        spec.settings.gateway = traces.clone();
        spec.settings.servicer = traces;
        let plan = Plan::open(folder, free_ports().unwrap(), spec, &mut rand::rng()).unwrap();
        let program = Program {
            path: env!("CARGO_BIN_EXE_portico").into(),
            output: Output::Logged(folder.to_owned()),
            log_level: Some("info,portico=trace".to_owned()),
        };
        let (_, mut processes) = Processes::start(&plan, program).await.unwrap();
        processes.ready(&plan).await.unwrap();
        Self {
            plan,
            processes,
            collector,
            backend,
        }
    }

    fn log(&self, role: Role) -> String {
        let file = self.plan.folder.join(role.name()).with_extension("log");
        std::fs::read_to_string(file).unwrap()
    }

    /// Waits until the collector has as many spans of this name.
    async fn spans(&self, name: &str, count: usize) -> Vec<(String, Span)> {
        let what = format!("{count} spans {name}");
        let arrived = eventually(&what, PATIENCE, PAUSE, || async {
            let spans = self.collector.spans();
            let found = spans.iter().filter(|(_, span)| span.name == name).count();
            Ok((found >= count).then_some(spans))
        });
        arrived.await.unwrap()
    }
}

/// Names of the spans from `span` up to the caller's.
fn ancestors(spans: &BTreeMap<Vec<u8>, (String, Span)>, span: &Span) -> Vec<String> {
    let mut names = vec![span.name.clone()];
    let mut parent = span.parent_span_id.clone();
    while let Some((service, span)) = spans.get(&parent) {
        names.push(format!("{service} {}", span.name));
        parent.clone_from(&span.parent_span_id);
    }
    names.push(hex::encode(parent));
    names
}

#[tokio::test]
async fn one_trace_shows_one_relay_through_all_roles_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let network = Traced::start(folder.path()).await;

    let (status, text) = call(&network.plan, "eth_chainId", "01").await;
    assert_eq!(status, 200, "{text}");
    network.spans("call", 1).await;
    let spans: BTreeMap<Vec<u8>, (String, Span)> = network
        .spans("served relay", 1)
        .await
        .into_iter()
        .map(|(service, span)| (span.span_id.clone(), (service, span)))
        .collect();
    for (_, span) in spans.values() {
        assert_eq!(hex::encode(&span.trace_id), TRACE, "{}", span.name);
    }
    let of = |service: &str| {
        let of = spans.values().filter(|(of, _)| of == service);
        let names: BTreeSet<&str> = of.map(|(_, span)| span.name.as_str()).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    };
    // Its session was read for `/ready`; the servicer has to ask for it.
    assert_eq!(
        of("portico-gateway"),
        "attempt, call, relay, session, sign, supplier round trip, verify"
    );
    assert_eq!(
        of("portico-servicer"),
        "backend, chain query, check signature, meter, record, served relay, session, sign"
    );

    // The node's parent is the span of the servicer that asked it, whose ancestors lead to the caller's.
    let asked = network.backend.0.lock().unwrap().pop().unwrap();
    assert_eq!(asked["x-request-id"], REQUEST_ID);
    let parent = asked["traceparent"].to_str().unwrap().to_owned();
    let backend = spans.values().find(|(_, span)| span.name == "backend").unwrap();
    assert_eq!(
        parent,
        format!("00-{TRACE}-{}-01", hex::encode(&backend.1.span_id))
    );
    assert_eq!(
        ancestors(&spans, &backend.1),
        [
            "backend",
            "portico-servicer served relay",
            "portico-gateway supplier round trip",
            "portico-gateway attempt",
            "portico-gateway relay",
            "portico-gateway call",
            CALLER,
        ]
    );
    for role in [Role::Gateway, Role::Servicer] {
        let log = network.log(role);
        let ends = ["call answered", "relay served"];
        let line = log.lines().find(|line| ends.iter().any(|end| line.contains(end)));
        let line = line.unwrap_or_else(|| panic!("{role:?} does not tell the relay:\n{log}"));
        assert!(line.contains(REQUEST_ID), "{line}");
    }

    // A caller who does not trace is not traced, and its place in its own trace is passed on.
    let (status, text) = call(&network.plan, "eth_blockNumber", "00").await;
    assert_eq!(status, 200, "{text}");
    let asked = network.backend.0.lock().unwrap().pop().unwrap();
    assert_eq!(asked["traceparent"], format!("00-{TRACE}-{CALLER}-00"));

    // A node that repeats in its error what it was asked.
    let (status, text) = call(&network.plan, "fails", "01").await;
    assert!(status >= 400 || text.contains("error"), "{status} {text}");
    let spans = network.spans("call", 2).await;
    let whole = network.spans("served relay", 2).await;
    let calls = whole.iter().chain(&spans).filter(|(_, span)| span.name == "call");
    let calls: BTreeSet<&[u8]> = calls.map(|(_, span)| &*span.span_id).collect();
    assert_eq!(calls.len(), 2, "the one between is not traced");
    nothing_secret(&network);
}

/// Looks for canaries and private keys in logs and spans.
fn nothing_secret(network: &Traced) {
    let keys = std::fs::read_dir(network.plan.folder.join("keys")).unwrap();
    let mut secrets: Vec<String> = keys
        .map(|file| {
            std::fs::read_to_string(file.unwrap().path())
                .unwrap()
                .trim()
                .to_owned()
        })
        .collect();
    assert!(secrets.len() > 3, "there are keys to look for");
    secrets.extend(CANARIES.map(str::to_owned));
    let mut told: Vec<(String, Vec<u8>)> = Role::ALL
        .map(|role| {
            (
                format!("log of the {}", role.name()),
                network.log(role).into_bytes(),
            )
        })
        .into();
    let sent = network.collector.0.lock().unwrap();
    told.extend(sent.iter().map(|(_, body)| ("export".to_owned(), body.to_vec())));
    assert!(
        sent.iter()
            .all(|(headers, _)| headers["authorization"] == format!("Bearer {OF_COLLECTOR}"))
    );
    for (what, text) in &told {
        let text = String::from_utf8_lossy(text);
        for secret in &secrets {
            if let Some(at) = text.find(secret.as_str()) {
                let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
                let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
                panic!("the {what} has {secret}: {}", &text[line..end]);
            }
        }
    }
}

async fn metric(url: &str, name: &str) -> f64 {
    let text = client().get(format!("{url}/metrics")).send().await.unwrap();
    let text = text.text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_spans_that_are_counted_and_no_relay() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend::default();
    let mut spec = Spec::new([("eth".parse().unwrap(), Some(backend.serve().await))].into());
    spec.block_time = Duration::from_millis(250);
    // Takes connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", silent.local_addr().unwrap());
    spec.settings.gateway = json!({"traces": {"otlp_url": url, "max_queued_spans": 4}});
    let plan = Plan::open(folder.path(), free_ports().unwrap(), spec, &mut rand::rng()).unwrap();
    let program = Program {
        path: env!("CARGO_BIN_EXE_portico").into(),
        output: Output::Logged(folder.path().to_owned()),
        log_level: None,
    };
    let (_, mut processes) = Processes::start(&plan, program).await.unwrap();
    processes.ready(&plan).await.unwrap();
    let dropped = r#"portico_trace_spans_total{outcome="dropped_queue_full"}"#;
    let counted = eventually("spans are dropped", PATIENCE, PAUSE, || async {
        let (status, text) = call(&plan, "eth_chainId", "01").await;
        anyhow::ensure!(status == 200, "{status} {text}");
        Ok((metric(&plan.gateway_url(), dropped).await > 0.0).then_some(()))
    });
    counted.await.unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(15), processes.of(Role::Gateway).stop());
    stopped
        .await
        .expect("it does not wait for the collector")
        .unwrap();
}

#[tokio::test]
async fn log_levels_change_while_a_role_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = Traced::start(folder.path()).await;
    let (gateway, servicer) = (network.plan.gateway_url(), network.plan.servicer_url());
    let level = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
        command
            .arg("log-level")
            .args(args)
            .env_remove("RUST_LOG")
            .kill_on_drop(true);
        async move {
            let done = command.output().await.unwrap();
            let text = [done.stdout, done.stderr].concat();
            (
                done.status.success(),
                String::from_utf8(text).unwrap().trim().to_owned(),
            )
        }
    };
    for url in [&gateway, &servicer] {
        assert_eq!(level(&[url]).await, (true, "info,portico=trace".to_owned()));
        assert_eq!(level(&[url, "warn"]).await, (true, "warn".to_owned()));
    }
    let told = |network: &Traced| {
        let lines = |role| {
            network
                .log(role)
                .lines()
                .filter(|line| line.contains(REQUEST_ID))
                .count()
        };
        (lines(Role::Gateway), lines(Role::Servicer))
    };
    let before = told(&network);
    assert_eq!(call(&network.plan, "eth_chainId", "00").await.0, 200);
    assert_eq!(told(&network), before, "nothing is said at warn");
    for url in [&gateway, &servicer] {
        let (done, text) = level(&[url, "portico=loud"]).await;
        assert!(!done && text.contains("the filter cannot be read"), "{text}");
        assert_eq!(
            level(&[url]).await,
            (true, "warn".to_owned()),
            "a refused filter changes nothing"
        );
        assert_eq!(
            level(&[url, "--reset"]).await,
            (true, "info,portico=trace".to_owned())
        );
    }
    assert_eq!(call(&network.plan, "eth_chainId", "00").await.0, 200);
    let after = told(&network);
    assert!(after.0 > before.0 && after.1 > before.1, "{before:?} {after:?}");

    // A page in a browser of the operator's machine reaches what only that machine reaches.
    let page = client()
        .put(format!("{servicer}/log-level"))
        .header("origin", "https://evil.example");
    let answer = page.json(&json!({"filter": "trace"})).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 403);
    let answer: Value = answer.json().await.unwrap();
    assert!(answer["error"].as_str().is_some(), "{answer}");
    network.processes.of(Role::Gateway).must_run().unwrap();
}
