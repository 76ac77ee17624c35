//! Gateway and servicer start while there is no chain: they say so, and go on when it comes.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use portico_localnet::{Plan, Role, Spec, chain_service, eventually, free_ports};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// Longest wait for a process to answer, or to become ready.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    for name in [
        "PORTICO_CHAIN_RPC",
        "PORTICO_CHAIN_GRPC",
        "PORTICO_GATEWAY_KEY",
        "PORTICO_SUPPLIER_KEYS",
    ] {
        command.env_remove(name);
    }
    command.args(args).env("RUST_LOG", "warn").kill_on_drop(true);
    command
}

fn start(plan: &Plan, role: Role) -> Child {
    let file = plan.config_file(role);
    let mut command = command(&[role.name(), "--config", file.to_str().unwrap()]);
    command
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// A network with a short block time, of which nothing runs.
fn network(folder: &Path, gateway: Value) -> Plan {
    let mut spec = Spec::new([(chain_service(), None)].into());
    spec.block_time = Duration::from_millis(250);
    spec.settings.gateway = gateway;
    Plan::open(folder, free_ports().unwrap(), spec, &mut rand::rng()).unwrap()
}

fn client() -> reqwest::Client {
    portico_net::tls::ClientTls::public()
        .http_client()
        .build()
        .unwrap()
}

async fn ask(url: &str) -> anyhow::Result<(u16, String)> {
    let answer = client().get(url).timeout(Duration::from_secs(5)).send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

async fn answer(url: &str) -> (u16, String) {
    let what = format!("{url} answers");
    eventually(&what, PATIENCE, PAUSE, || async { Ok(Some(ask(url).await?)) })
        .await
        .unwrap()
}

async fn ready(url: &str) {
    let what = format!("{url}/ready says 200");
    let ready = eventually(&what, PATIENCE, PAUSE, || async {
        let (status, text) = ask(&format!("{url}/ready")).await?;
        anyhow::ensure!(status == 200, "{status} {text}");
        Ok(Some(()))
    });
    ready.await.unwrap();
}

async fn call(gateway: &str) -> (u16, String) {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "health", "params": {}});
    let asked = client()
        .post(format!("{gateway}/v1/{}", chain_service()))
        .json(&body);
    let answer = asked.timeout(Duration::from_secs(20)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn roles_that_start_before_their_chain_serve_probes_and_go_on_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let plan = network(folder.path(), Value::Null);
    let (gateway, servicer) = (plan.gateway_url(), plan.servicer_url());
    let mut roles = [start(&plan, Role::Servicer), start(&plan, Role::Gateway)];
    for url in [&servicer, &gateway] {
        let (status, text) = answer(&format!("{url}/health")).await;
        assert_eq!(status, 200, "{url} {text}");
        let (status, text) = answer(&format!("{url}/ready")).await;
        assert_eq!(status, 503, "{url} {text}");
        assert!(text.contains("the chain is unreachable: "), "{text}");
        assert!(
            !text.contains(&plan.rpc_url()),
            "addresses of nodes hold keys: {text}"
        );
    }
    let (status, text) = call(&gateway).await;
    assert_eq!(status, 503, "{text}");
    let posted = client().post(&servicer).body("no relay").send().await.unwrap();
    assert_eq!(posted.status(), 400, "relays are judged as ever");

    let _node = start(&plan, Role::Node);
    ready(&servicer).await;
    ready(&gateway).await;
    let called = eventually("a relay is answered", PATIENCE, PAUSE, || async {
        let (status, text) = call(&gateway).await;
        anyhow::ensure!(status == 200, "{status} {text}");
        Ok(Some(text))
    });
    let text = called.await.unwrap();
    assert!(text.contains("result"), "{text}");
    for role in &mut roles {
        assert!(role.try_wait().unwrap().is_none(), "it runs on");
    }
}

#[tokio::test]
async fn a_chain_of_another_name_ends_the_process_and_both_names_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let plan = network(folder.path(), json!({"chain": {"chain_id": "another-chain"}}));
    let file = plan.config_file(Role::Gateway);
    let gateway = command(&["gateway", "--config", file.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    answer(&format!("{}/health", plan.gateway_url())).await;
    let _node = start(&plan, Role::Node);
    let ended = tokio::time::timeout(PATIENCE, gateway.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    for name in [
        "\"another-chain\"",
        &format!("{:?}", plan.genesis.chain_id),
        "chain.chain_id",
    ] {
        assert!(told.contains(name), "{name}: {told}");
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_told_without_a_chain() {
    let folder = tempfile::tempdir().unwrap();
    let plan = network(folder.path(), Value::Null);
    let file = plan.config_file(Role::Gateway);
    let said = async |args: &[&str], file: &Path| {
        let args = [&["gateway", "--config", file.to_str().unwrap()], args].concat();
        let ended = tokio::time::timeout(PATIENCE, command(&args).output())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(ended.status.code(), Some(1));
        String::from_utf8(ended.stderr).unwrap()
    };
    for url in ["ws://127.0.0.1:1", "http://", "127.0.0.1:26657"] {
        let told = said(&["--chain-rpc", url], &file).await;
        assert!(
            told.contains("an http:// or https:// URL with a host is expected"),
            "{told}"
        );
    }
    let wrong = folder.path().join("wrong.yaml");
    std::fs::write(&wrong, "gateway_key: {file: none.hex}\nchain: {chain_id: \"\"}\n").unwrap();
    let told = said(&[], &wrong).await;
    assert!(told.contains("none.hex"), "{told}");
    std::fs::write(
        &wrong,
        format!(
            "gateway_key: \"{}\"\nchain: {{chain_id: \"\"}}\n",
            "11".repeat(32)
        ),
    )
    .unwrap();
    let told = said(&[], &wrong).await;
    assert!(told.contains("chain.chain_id: must be 1 to 50"), "{told}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn as_many_files_may_be_open_as_the_system_allows() {
    let folder = tempfile::tempdir().unwrap();
    let plan = network(folder.path(), Value::Null);
    let file = plan.config_file(Role::Gateway);
    let limited = |limit: &str| {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                &format!("ulimit {limit}; exec \"$0\" gateway --config \"$1\""),
            ])
            .args([env!("CARGO_BIN_EXE_portico"), file.to_str().unwrap()])
            .env("RUST_LOG", "warn")
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().unwrap()
    };
    let health = format!("{}/health", plan.gateway_url());

    let mut low = limited("-Sn 200");
    answer(&health).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", low.id().unwrap())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let [soft, hard] = [3, 4].map(|column| files.split_whitespace().nth(column).unwrap());
    assert_eq!(soft, hard, "{files}");
    low.kill().await.unwrap();

    let mut lower = limited("-n 600");
    answer(&health).await;
    lower.start_kill().unwrap();
    let told = lower.wait_with_output().await.unwrap().stderr;
    let told = String::from_utf8(told).unwrap();
    assert!(
        told.contains("LimitNOFILE=") && told.contains("limit=600") && told.contains("max_connections=10000"),
        "{told}"
    );
}
