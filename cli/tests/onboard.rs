//! `portico onboard`: shows everything and sends nothing, then sends it, relays, and is paid for; and finds everything done afterwards.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;
use std::time::Duration;

use portico_localnet::{Output, Plan, Processes, Program, Spec, chain_service, free_ports};
use serde_json::Value;
use tokio::process::Command;

fn command(plan: &Plan, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    command
        .args([
            "onboard",
            "--output",
            "json",
            "--chain-rpc",
            &plan.rpc_url(),
            "--chain-grpc",
            &plan.grpc_url(),
        ])
        .arg("--keys")
        .arg(folder)
        .args(args)
        .env("PORTICO_DATA_DIR", &plan.folder)
        .env_remove("RUST_LOG");
    command
}

/// Exit code, and the steps.
async fn onboard(plan: &Plan, folder: &Path, args: &[&str]) -> (Option<i32>, Vec<Value>) {
    let done = command(plan, folder, args).output().await.unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {}", String::from_utf8_lossy(&done.stderr)));
    (done.status.code(), report["steps"].as_array().unwrap().clone())
}

fn names(steps: &[Value]) -> String {
    let one = |step: &Value| {
        format!(
            "{} {}",
            step["name"].as_str().unwrap(),
            step["state"].as_str().unwrap()
        )
    };
    steps.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn from_nothing_to_a_relay_that_is_paid_for() {
    let home = tempfile::tempdir().unwrap();
    let mut spec = Spec::new([(chain_service(), None)].into());
    spec.block_time = Duration::from_millis(250);
    let plan = Plan::open(home.path(), free_ports().unwrap(), spec, &mut rand::rng()).unwrap();
    let program = Program {
        path: env!("CARGO_BIN_EXE_portico").into(),
        output: Output::Logged(home.path().to_owned()),
        log_level: None,
    };
    let (network, mut processes) = Processes::start(&plan, program).await.unwrap();
    processes.ready(&plan).await.unwrap();
    let keys = home.path().join("new");
    let faucet = plan.actors.faucet.address();
    let before = network.chain.balance(&faucet).await.unwrap();

    // This chain says the main network's name: who wants the test network does not mean it.
    let refused = command(&plan, &keys, &["--network", "beta", "--spend"])
        .output()
        .await
        .unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && told.contains("is not the network"),
        "{told}"
    );
    let (code, steps) = onboard(&plan, &keys, &["--network", "local", "--service", "none"]).await;
    assert_eq!(
        (code, names(&steps).as_str()),
        (Some(1), "keys done, service missing")
    );

    let local = ["--network", "local"];
    let (code, steps) = onboard(&plan, &keys, &local).await;
    let planned = "keys done, funds to_do, funds to_do, stake to_do, gateway to_do, delegate to_do";
    assert_eq!((code, names(&steps).as_str()), (Some(0), planned), "{steps:#?}");
    for step in &steps[1..] {
        let transaction = &step["transaction"];
        assert!(transaction["kind"].as_str().unwrap().contains("Msg"), "{step}");
        assert!(!transaction["fields"].as_array().unwrap().is_empty(), "{step}");
        assert!(transaction["hash"].is_null(), "nothing is sent: {step}");
    }
    assert_eq!(
        network.chain.balance(&faucet).await.unwrap(),
        before,
        "nothing is spent unasked"
    );

    let spend = [&local[..], &["--spend"]].concat();
    let (code, steps) = onboard(&plan, &keys, &spend).await;
    let all =
        "keys done, funds done, funds done, stake done, gateway done, delegate done, relay done, paid done";
    assert_eq!((code, names(&steps).as_str()), (Some(0), all), "{steps:#?}");
    assert!(
        steps[1..6]
            .iter()
            .all(|step| step["transaction"]["hash"].is_string()),
        "{steps:#?}"
    );
    assert!(network.chain.balance(&faucet).await.unwrap() < before);

    let (code, steps) = onboard(&plan, &keys, &local).await;
    let done = "keys done, funds done, funds done, stake done, gateway done, delegate done";
    assert_eq!((code, names(&steps).as_str()), (Some(0), done), "{steps:#?}");
    assert!(
        steps.iter().all(|step| step["transaction"].is_null()),
        "{steps:#?}"
    );
}
