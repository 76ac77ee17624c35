//! `portico node init`: chains of their own, from stake files and from the network's exported state.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;
use std::process::{Command, Output};

use portico_chain::genesis::Genesis;

const OWNER: &str = "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4";

fn portico(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    command.args(args).current_dir(folder).env_remove("RUST_LOG");
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn genesis(folder: &Path) -> Genesis {
    serde_json::from_str(&std::fs::read_to_string(folder.join("net/genesis.json")).unwrap()).unwrap()
}

#[test]
fn makes_a_chain_of_many_validators_with_every_kind_of_actor() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let endpoint =
        |kind: &str| format!("      - {{publicly_exposed_url: \"https://a.example\", rpc_type: {kind}}}\n");
    let endpoints: String = ["grpc", "websocket", "json_rpc", "rest", "comet_bft"]
        .map(endpoint)
        .concat();
    write(
        "supplier.yaml",
        &format!(
            "owner_address: {OWNER}\nstake_amount: 60000000000upokt\nservices:\n  - service_id: eth\n    endpoints:\n{endpoints}"
        ),
    );
    write("app.yaml", "stake_amount: 1000000000upokt\nservice_ids: [eth]\n");
    write(
        "params.yaml",
        "shared: {num_blocks_per_session: 20}\nsupplier_min_stake: 5\n",
    );
    let made = portico(
        folder.path(),
        &[
            "node",
            "init",
            "net",
            "--chain-id",
            "mine-1",
            "--validators",
            "100",
            "--params",
            "params.yaml",
            "--service",
            "eth=42",
            "--gateway",
            &format!("{OWNER}=5000"),
            "--supplier",
            "supplier.yaml",
            "--application",
            &format!("{OWNER}=app.yaml"),
            "--account",
            &format!("{OWNER}=77"),
            "--authority",
            OWNER,
        ],
    );
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(
        text(&made.stdout).contains("chain mine-1 with 100 validators"),
        "{}",
        text(&made.stdout)
    );
    let genesis = genesis(folder.path());
    assert_eq!(
        (genesis.validators.len(), genesis.chain_id.as_str()),
        (100, "mine-1")
    );
    assert_eq!(genesis.params.shared.num_blocks_per_session, 20);
    assert_eq!(
        genesis
            .params
            .authority
            .map(|address| address.to_string())
            .as_deref(),
        Some(OWNER)
    );
    assert_eq!(genesis.suppliers[0].services[0].endpoints.len(), 5);
    portico_chain::block::init(&genesis).unwrap();

    let checked = portico(folder.path(), &["config", "check", "net/node.yaml"]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let file = "net/keys/validator-100-consensus.hex";
    let shown = portico(folder.path(), &["keys", "show", "--consensus", file, "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let key = &genesis.validators[99].consensus_public_key;
    assert_eq!(shown["public_key"], key.as_str());
    let secret = std::fs::read_to_string(folder.path().join(file)).unwrap();
    assert!(!shown.to_string().contains(secret.trim()));

    let again = portico(folder.path(), &["node", "init", "net"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        text(&again.stderr).contains("exists already"),
        "{}",
        text(&again.stderr)
    );
}

#[test]
fn says_what_is_wrong_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("app.yaml"),
        "stake_amount: 1upokt\nservice_ids: [eth]\n",
    )
    .unwrap();
    for (args, reason) in [
        (vec!["--validators", "0"], "1 to 100 validators"),
        (vec!["--validators", "101"], "1 to 100 validators"),
        (vec!["--chain-id", "no spaces allowed"], "chain id"),
        (vec!["--params", "absent.yaml"], "absent.yaml"),
        (
            vec!["--service", "eth", "--application", &format!("{OWNER}=app.yaml")],
            "must stake at least",
        ),
        (vec!["--from-genesis", "app.yaml"], "is not JSON"),
    ] {
        let args = [vec!["node", "init", "net"], args].concat();
        let output = portico(folder.path(), &args);
        assert_ne!(output.status.code(), Some(0), "{args:?}");
        assert!(
            text(&output.stderr).contains(reason),
            "{args:?}: {}",
            text(&output.stderr)
        );
        assert!(!folder.path().join("net").exists(), "{args:?}");
    }
}

#[test]
fn begins_with_what_the_network_s_program_exported() {
    let folder = tempfile::tempdir().unwrap();
    let exports = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/go-poktroll-0.1.35/chain/chain"
    );
    let export = format!("{exports}/export.height70.json");
    let made = portico(
        folder.path(),
        &[
            "node",
            "init",
            "net",
            "--chain-id",
            "pocket-2",
            "--validators",
            "4",
            "--from-genesis",
            &export,
        ],
    );
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(text(&made.stderr).contains("note: numbers and sequences of accounts begin anew"));
    let genesis = genesis(folder.path());
    assert_eq!(
        (genesis.chain_id.as_str(), genesis.validators.len()),
        ("pocket-2", 4)
    );
    assert!(genesis.suppliers.len() > 1 && genesis.applications.len() > 1);
    let migration = std::fs::read_to_string(folder.path().join("net/migration.json")).unwrap();
    assert!(migration.contains("morseClaimableAccountList"));
}
