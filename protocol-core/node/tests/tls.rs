//! A node that speaks TLS, followed over RPC, gRPC and its WebSocket.

mod common;

use common::{CHAIN_ID, Running, config, genesis, soon};
use portico_client::{Blocks, RemoteChain, RemoteConfig};
use portico_config::Secret;
use portico_config::secret::write_secret_file;
use portico_config::tls::{ClientTls as ClientFiles, ServerTls};
use portico_net::tls::ClientTls;
use portico_protocol::Height;

/// A node with a certificate for `host` that is its own authority; a client that trusts it.
async fn serving(folder: &std::path::Path, host: &str) -> (Running, RemoteConfig) {
    let signed = rcgen::generate_simple_self_signed([host.to_owned()]).expect("signed");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, signed.cert.pem()).expect("written");
    write_secret_file(&key, &Secret::new(signed.signing_key.serialize_pem())).expect("written");
    let mut config = config(folder);
    config.tls = Some(ServerTls {
        cert_file: cert.clone().into(),
        key_file: key.into(),
        client_ca_file: None,
    });
    let node = Running::at(config, genesis(CHAIN_ID)).await;
    let trusted = ClientFiles {
        ca_file: Some(cert.into()),
        ..ClientFiles::default()
    };
    let (rpc, grpc) = (
        node.rpc.replace("http:", "https:"),
        node.grpc.replace("http:", "https:"),
    );
    let remote = RemoteConfig {
        poll_interval_ms: 3_600_000, // blocks are told, or the test waits in vain
        tls: ClientTls::open(&trusted).expect("read"),
        ..RemoteConfig::new(&rpc, &grpc)
    };
    (node, remote)
}

#[tokio::test]
async fn blocks_are_told_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let (node, config) = serving(folder.path(), "127.0.0.1").await;
    let chain = RemoteChain::open(&config).await.expect("it answers");
    let mut head = Blocks::head(&chain);
    let sent = node.chain.broadcast(node.transfer(1, 1).await).await;
    assert_eq!(sent.expect("taken").code, 0);
    soon(head.wait_for(|head| head.height >= Height(2)))
        .await
        .expect("followed");
    node.stop().await.expect("in order");
}

#[tokio::test]
async fn a_wrong_certificate_is_said_in_plain_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let (node, config) = serving(folder.path(), "other.example").await;
    let said = RemoteChain::open(&config)
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(
        said.contains("the server's certificate is not for 127.0.0.1, but for"),
        "{said}"
    );
    let public = RemoteConfig {
        tls: ClientTls::public(),
        ..config
    };
    let said = RemoteChain::open(&public)
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(said.contains("signed by nobody who is trusted"), "{said}");
    node.stop().await.expect("in order");
}
