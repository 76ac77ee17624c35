//! What people see who run the binary: answers, one-line errors, exit codes.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use portico_config::Secret;
use portico_config::secret::write_secret_file;

fn portico(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    command
        .args(args)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .env("PORTICO_DATA_DIR", folder.join("localnet"));
    command.output().unwrap()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn answer(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_generated_key_is_private_and_shows_the_same_address_again() {
    let folder = folder();
    let made = portico(folder.path(), &["keys", "generate", "a.hex"]);
    let shown = portico(folder.path(), &["keys", "show", "a.hex"]);
    assert!(
        made.status.success() && shown.status.success(),
        "{}{}",
        error(&made),
        error(&shown)
    );
    assert_eq!(answer(&made), answer(&shown));
    assert!(answer(&made).contains("pokt1"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("a.hex"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_key_file_is_never_overwritten() {
    let folder = folder();
    assert!(
        portico(folder.path(), &["keys", "generate", "a.hex"])
            .status
            .success()
    );
    let again = portico(folder.path(), &["keys", "generate", "a.hex"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        error(&again).contains("a.hex cannot be written"),
        "{}",
        error(&again)
    );
}

#[test]
fn a_wrong_configuration_is_told_with_file_and_line() {
    let folder = folder();
    std::fs::write(
        folder.path().join("gateway.yaml"),
        "max_attempts: 0\nmax_atempts: 1\n",
    )
    .unwrap();
    let output = portico(folder.path(), &["config", "check", "gateway.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error(&output).starts_with("portico: gateway.yaml:2: unknown field `max_atempts`"),
        "{}",
        error(&output)
    );
}

#[test]
fn all_errors_of_meaning_are_told_at_once() {
    let folder = folder();
    std::fs::write(
        folder.path().join("gateway.yaml"),
        "max_attempts: 0\nmax_batch: 0\n",
    )
    .unwrap();
    let told = error(&portico(folder.path(), &["config", "check", "gateway.yaml"]));
    assert!(
        told.contains("gateway.yaml:1: max_attempts:") && told.contains("gateway.yaml:2: max_batch:"),
        "{told}"
    );
    assert!(told.contains("applications:"), "{told}");
}

#[test]
fn a_key_that_is_not_its_certificates_is_told() {
    let folder = folder();
    for name in ["one", "other"] {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join(format!("{name}.pem")), made.cert.pem()).unwrap();
        let key = Secret::new(made.signing_key.serialize_pem());
        write_secret_file(&folder.path().join(format!("{name}.key")), &key).unwrap();
    }
    let check = |certificate: &str| {
        let tls = format!("tls:\n  cert_file: {certificate}\n  key_file: one.key\n");
        let client = tls.replace("tls:", "supplier_tls:").replace("  ", "  client_");
        let keys = "gateway_key: \"1111111111111111111111111111111111111111111111111111111111111111\"\n\
                    applications: [{address: pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4, service_id: eth}]\n";
        std::fs::write(folder.path().join("gateway.yaml"), format!("{keys}{tls}{client}")).unwrap();
        portico(folder.path(), &["config", "check", "gateway.yaml"])
    };
    let right = check("one.pem");
    assert!(right.status.success(), "{}", error(&right));
    let wrong = error(&check("other.pem"));
    for said in [
        "gateway.yaml:3: tls: one.key is not the key of other.pem",
        "gateway.yaml:6: supplier_tls: one.key is not the key of other.pem",
    ] {
        assert!(wrong.contains(said), "{wrong}");
    }
}

/// What operators have; see `testdata/config-1/README.md`.
#[test]
fn configurations_of_the_first_release_are_taken() {
    let folder = folder();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/config-1");
    std::fs::create_dir(folder.path().join("keys")).unwrap();
    for key in ["gateway", "application", "supplier", "validator"] {
        let made = portico(folder.path(), &["keys", "generate", &format!("keys/{key}.hex")]);
        assert!(made.status.success(), "{}", error(&made));
    }
    for role in ["gateway", "servicer", "node"] {
        let file = format!("{role}.yaml");
        std::fs::copy(Path::new(data).join(&file), folder.path().join(&file)).unwrap();
        let checked = portico(folder.path(), &["config", "check", &file]);
        assert!(checked.status.success(), "{file}: {}", error(&checked));
    }
}

#[test]
fn the_schema_of_each_role_is_json() {
    for role in ["gateway", "servicer", "node"] {
        let output = portico(folder().path(), &["config", "schema", role]);
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(schema["type"], "object", "{role}");
    }
}

#[test]
fn a_silent_chain_is_told_in_one_line_with_the_way_out() {
    let output = portico(
        folder().path(),
        &[
            "query",
            "status",
            "--chain-rpc",
            "http://127.0.0.1:1",
            "--chain-grpc",
            "http://127.0.0.1:1",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let told = error(&output);
    assert!(
        told.contains("no chain answers at http://127.0.0.1:1") && told.contains("portico localnet"),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn a_silent_gateway_is_told_with_the_way_out() {
    let output = portico(
        folder().path(),
        &["relay", "status", "--gateway", "http://127.0.0.1:1"],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains("portico localnet"), "{}", error(&output));
}

#[test]
fn a_taken_port_names_the_flag_that_chooses_another() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = portico(
        folder().path(),
        &[
            "localnet",
            "--rpc-port",
            &port,
            "--gateway-port",
            "0",
            "--grpc-port",
            "0",
            "--servicer-port",
            "0",
        ],
    );
    assert_eq!(output.status.code(), Some(1));
    let told = error(&output);
    assert!(
        told.contains(&format!("port {port} is taken")) && told.contains("--rpc-port"),
        "{told}"
    );
}

#[test]
fn an_unknown_actor_is_told_with_what_can_be_named() {
    let output = portico(folder().path(), &["keys", "show", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error(&output).contains("there is no key \"nobody\""),
        "{}",
        error(&output)
    );
}

#[test]
fn wrong_usage_exits_with_2() {
    assert_eq!(
        portico(folder().path(), &["localnet", "--until-settled"])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(portico(folder().path(), &["dance"]).status.code(), Some(2));
}

#[test]
fn health_is_told_by_the_exit_code() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        for status in ["200 OK", "503 Service Unavailable"] {
            let (mut client, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            assert!(client.read(&mut head).unwrap() > 0);
            write!(
                client,
                "HTTP/1.1 {status}\r\ncontent-length: 4\r\nconnection: close\r\n\r\nword"
            )
            .unwrap();
        }
    });
    let folder = folder();
    let ask = || portico(folder.path(), &["health", &format!("http://{address}/health")]);
    let well = ask();
    assert!(well.status.success(), "{}", error(&well));
    assert_eq!(answer(&well), "word\n");
    let ill = ask();
    assert_eq!(ill.status.code(), Some(1));
    assert!(error(&ill).contains("503"), "{}", error(&ill));
    server.join().unwrap();
    assert_eq!(ask().status.code(), Some(1));
}
