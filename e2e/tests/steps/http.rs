//! http.feature

use anyhow::{Context as _, Result, ensure};
use cucumber::{given, then, when};
use reqwest::Method;
use serde_json::{Value, json};

use super::World;

/// A page that stays the same.
const FIRST_BLOCK: &str = "/block?height=1";

#[given("the node's own RPC is the backend")]
fn the_node_is_the_backend(world: &mut World) {
    world.spec.node_as_backend = true;
}

#[when("the dApp asks for the node's first block by URI, as REST and by POST, within one session")]
async fn asks_for_the_first_block(world: &mut World) -> Result<()> {
    let network = world.network().await?;
    let (session, dapp) = (network.await_fresh_session().await?, network.dapp());
    let answers = vec![
        dapp.ask(Method::GET, FIRST_BLOCK, &[]).await?,
        dapp.ask(Method::GET, FIRST_BLOCK, &[("RPC-Type", "rest")])
            .await?,
        dapp.send(&json!({"jsonrpc": "2.0", "id": -1, "method": "block", "params": {"height": "1"}}))
            .await?,
    ];
    for answer in &answers {
        let named = answer.header("x-session-id");
        ensure!(
            named == Some(&session),
            "an answer of the session {named:?}: {answer:?}"
        );
    }
    (world.session, world.answers) = (Some(session), answers);
    Ok(())
}

#[then("each answer is what the node says itself")]
async fn each_answer_is_the_nodes(world: &mut World) -> Result<()> {
    let url = format!("{}{FIRST_BLOCK}", world.network().await?.rpc_url());
    let response = portico_net::tls::ClientTls::public_http().get(url).send().await?;
    let itself: Value = response.json().await?;
    ensure!(
        itself["result"]["block_id"]["hash"].is_string(),
        "no block: {itself}"
    );
    for answer in &world.answers {
        ensure!(answer.status == 200, "HTTP {}: {}", answer.status, answer.body);
        ensure!(answer.body == itself, "{} is not {itself}", answer.body);
    }
    Ok(())
}

#[when(regex = r#"^the dApp asks for "(.+)" with the method "(.+)"$"#)]
async fn asks_with_a_method(world: &mut World, path: String, method: String) -> Result<()> {
    let (method, network) = (method.parse().context("no method")?, world.network().await?);
    let client = portico_net::tls::ClientTls::public_http();
    let itself = client.request(Method::clone(&method), format!("{}{path}", network.rpc_url()));
    let itself = itself.send().await?;
    let itself = (itself.status().as_u16(), itself.text().await?);
    let relayed = client.request(
        method,
        format!("{}/{}{path}", network.dapp().url(), portico_e2e::network::SERVICE),
    );
    let relayed = relayed.send().await?;
    ensure!(
        relayed.headers().contains_key("x-supplier-address"),
        "it was not relayed: {relayed:?}"
    );
    let relayed = (relayed.status().as_u16(), relayed.text().await?);
    world.pages = vec![itself, relayed];
    Ok(())
}

#[then("it gets the status and the body that the node gives")]
fn it_gets_what_the_node_gives(world: &mut World) -> Result<()> {
    let [itself, relayed] = &world.pages[..] else {
        anyhow::bail!("two pages were asked for");
    };
    ensure!(itself.0 >= 400, "the node has that page: {itself:?}");
    ensure!(itself == relayed, "{relayed:?} is not {itself:?}");
    Ok(())
}
