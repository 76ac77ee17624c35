//! What operators ask a node.

mod common;

use common::{CHAIN_ID, Running, config, genesis};

async fn get(url: &str) -> (u16, String) {
    let response = portico_net::tls::ClientTls::public_http()
        .get(url)
        .send()
        .await
        .expect("answered");
    (response.status().as_u16(), response.text().await.expect("a body"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rpc_answers_metrics_on_a_loopback_address() {
    let node = Running::new().await;
    let (status, text) = get(&format!("{}/metrics", node.rpc)).await;
    assert_eq!(status, 200);
    assert!(text.contains("\nportico_chain_height 1\n"), "{text}");
    node.stop().await.expect("no error");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_with_an_address_of_their_own_ask_only_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(folder.path());
    config.admin_listen = Some("127.0.0.1:0".parse().expect("an address"));
    let node = Running::at(config, genesis(CHAIN_ID)).await;
    let admin = node.admin.clone().expect("an address");
    let (status, text) = get(&format!("{admin}/metrics")).await;
    assert_eq!(status, 200);
    assert!(text.contains("\nportico_chain_height 1\n"), "{text}");
    assert_eq!(get(&format!("{admin}/health")).await.0, 200);
    assert_eq!(get(&format!("{}/metrics", node.rpc)).await.0, 404);
    node.stop().await.expect("no error");
}
