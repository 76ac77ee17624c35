//! backends.feature

use anyhow::{Context as _, Result, ensure};
use cucumber::{given, then, when};
use portico_e2e::EvmNode;
use portico_e2e::network::service;
use portico_e2e::process::eventually;

use super::World;

/// Names of the nodes, in their order.
const NAMES: [&str; 3] = ["a", "b", "c"];

#[given(regex = r"^a network over 3 real EVM nodes that are checked$")]
async fn a_network_over_nodes(world: &mut World) -> Result<()> {
    world.spec.suppliers = 1;
    for name in NAMES {
        world.spec.evm_nodes.push((name, EvmNode::start().await?));
    }
    world.network().await?;
    Ok(())
}

#[when(regex = r#"^nodes "(.)" and "(.)" go (\d+) blocks ahead$"#)]
async fn nodes_go_ahead(world: &mut World, first: String, second: String, blocks: u64) -> Result<()> {
    for name in [first, second] {
        node(world, &name)?.mine(blocks).await?;
    }
    Ok(())
}

#[when(regex = r#"^node "(.)" catches up$"#)]
async fn a_node_catches_up(world: &mut World, name: String) -> Result<()> {
    node(world, &name)?.mine(50).await
}

#[when(regex = r#"^node "(.)" is killed$"#)]
async fn a_node_is_killed(world: &mut World, name: String) -> Result<()> {
    node(world, &name)?.kill().await
}

#[then(regex = r#"^node "(.)" is "(.+)", node "(.)" is "(.+)" and node "(.)" is "(.+)"$"#)]
async fn nodes_are(
    world: &mut World,
    a: String,
    a_is: String,
    b: String,
    b_is: String,
    c: String,
    c_is: String,
) -> Result<()> {
    let expected = [(a, a_is), (b, b_is), (c, c_is)];
    let network = world.network().await?;
    let url = format!("{}/ready/{}", network.servicer_url(), service());
    let http = portico_net::tls::ClientTls::public_http();
    let told = eventually("the nodes are as expected", || async {
        let answer: serde_json::Value = http.get(&url).send().await?.json().await?;
        let endpoints = answer["backends"]["endpoints"]
            .as_array()
            .context("no endpoints")?;
        let told: Vec<(String, String)> = endpoints
            .iter()
            .map(|node| {
                let text = |key: &str| node[key].as_str().unwrap_or("healthy").to_owned();
                (text("name"), text("reason"))
            })
            .collect();
        Ok((told == expected).then_some(()))
    });
    told.await
}

#[then(regex = r#"^every call is answered by node "(.)", which is (\d+) blocks ahead$"#)]
fn answered_by_the_node_ahead(world: &mut World, _name: String, blocks: u64) -> Result<()> {
    for answer in &world.answers {
        ensure!(
            answer.body["result"] == format!("{blocks:#x}"),
            "not the head of the node that is left: {answer:?}"
        );
    }
    Ok(())
}

fn node<'w>(world: &'w mut World, name: &str) -> Result<&'w mut EvmNode> {
    let mut nodes = world.spec.evm_nodes.iter_mut();
    let found = nodes.find(|(known, _)| *known == name);
    found.map(|(_, node)| node).context("no such node")
}
