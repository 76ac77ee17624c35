//! `portico doctor`: a network that works is in order, and what is broken is found, each with what to do.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;
use std::time::Duration;

use portico_localnet::{Output, Plan, Processes, Program, Role, Spec, chain_service, free_ports};
use serde_json::Value;
use tokio::process::Command;

/// Exit code and findings.
async fn doctor(args: &[&str]) -> (Option<i32>, Vec<Value>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    command.args(["doctor", "--output", "json"]).args(args);
    for name in [
        "PORTICO_CHAIN_RPC",
        "PORTICO_CHAIN_GRPC",
        "PORTICO_GATEWAY_KEY",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    let done = command.output().await.unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let found = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&done.stderr)));
    (done.status.code(), found)
}

/// What is at fault.
fn faults(found: &[Value]) -> Vec<&str> {
    let faults = found.iter().filter(|finding| finding["level"] == "fault");
    let faults = faults.inspect(|finding| assert_ne!(finding["mend"], "", "{finding}"));
    faults.map(|finding| finding["what"].as_str().unwrap()).collect()
}

fn plan(folder: &Path) -> Plan {
    let mut spec = Spec::new([(chain_service(), None)].into());
    spec.block_time = Duration::from_millis(250);
    Plan::open(folder, free_ports().unwrap(), spec, &mut rand::rng()).unwrap()
}

fn file(plan: &Plan, role: Role) -> String {
    plan.config_file(role).to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_network_that_works_is_in_order_and_one_of_another_key_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path());
    let program = Program {
        path: env!("CARGO_BIN_EXE_portico").into(),
        output: Output::Logged(folder.path().to_owned()),
        log_level: None,
    };
    let (_, mut processes) = Processes::start(&plan, program).await.unwrap();
    processes.ready(&plan).await.unwrap();
    let [node, servicer, gateway] = Role::ALL.map(|role| file(&plan, role));
    let (code, found) = doctor(&["--config", &node, "--config", &servicer, "--config", &gateway]).await;
    assert_eq!((code, faults(&found)), (Some(0), Vec::new()), "{found:#?}");
    let whats: Vec<&str> = found
        .iter()
        .map(|finding| finding["what"].as_str().unwrap())
        .collect();
    for wanted in [
        "is served, by a role that answers",
        "a write is on the disk after",
        "files may be open",
        "has a stake of",
        "service pocket: a stake of",
        "chain: chain ",
        "processors",
    ] {
        assert!(
            whats.iter().any(|what| what.contains(wanted)),
            "{wanted}: {whats:#?}"
        );
    }

    // The same gateway with a key that nobody staked nor delegated to, on the port of a stranger.
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = std::fs::read_to_string(&gateway).unwrap();
    let key = folder.path().join("stranger.hex");
    portico_config::secret::write_secret_file(&key, &portico_config::Secret::new("07".repeat(32))).unwrap();
    let own = folder.path().join("keys/gateway.hex");
    let text = text
        .replace(own.to_str().unwrap(), key.to_str().unwrap())
        .replace(
            &format!("127.0.0.1:{}", plan.ports.gateway),
            &stranger.local_addr().unwrap().to_string(),
        );
    let other = folder.path().join("gateway-of-a-stranger.yaml");
    std::fs::write(&other, text).unwrap();
    let (code, found) = doctor(&["--config", other.to_str().unwrap()]).await;
    let faults = faults(&found);
    assert_eq!(code, Some(1));
    assert_eq!(faults.len(), 3, "{faults:#?}");
    for (fault, wanted) in faults
        .iter()
        .zip(["is taken by a process", "is not staked", "has not delegated"])
    {
        assert!(fault.contains(wanted), "{wanted}: {faults:#?}");
    }
}

#[tokio::test]
async fn a_chain_that_is_not_there_and_a_file_with_a_mistake_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path());
    let gateway = file(&plan, Role::Gateway);
    let (code, found) = doctor(&["--config", &gateway]).await;
    let silent = faults(&found);
    assert_eq!(code, Some(1));
    assert!(
        silent.len() == 1 && silent[0].contains("chain: its RPC does not answer"),
        "{silent:?}"
    );
    let (code, found) = doctor(&["--config", &gateway, "--offline"]).await;
    assert_eq!((code, faults(&found)), (Some(0), Vec::new()));

    let mistaken = folder.path().join("servicer-x.yaml");
    std::fs::write(&mistaken, "listen: 127.0.0.1:1\nlisten_twice: 1\n").unwrap();
    let (code, found) = doctor(&[
        "--config",
        mistaken.to_str().unwrap(),
        "--config",
        &gateway,
        "--offline",
    ])
    .await;
    let mistakes = faults(&found);
    assert_eq!(code, Some(1));
    assert!(
        mistakes.len() == 1 && mistakes[0].contains("servicer-x.yaml:2"),
        "{mistakes:?}"
    );
    assert!(found.len() > 3, "the other file is looked at all the same");
}
