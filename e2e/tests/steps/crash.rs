//! crash.feature

use anyhow::{Context as _, Result, ensure};
use cucumber::{then, when};

use super::World;

#[when(regex = r"^(\d+) clients call while the servicer is killed and started again (\d+) times$")]
async fn killed_under_load(world: &mut World, clients: usize, kills: usize) -> Result<()> {
    let (session, answers) = world
        .network()
        .await?
        .kill_servicer_under_load(clients, kills)
        .await?;
    ensure!(!answers.is_empty(), "no call was answered between the kills");
    world.session = Some(session);
    world.answers = answers;
    Ok(())
}

#[when("the node is killed after their claim, rolled back to before it, and started again")]
async fn rolled_back(world: &mut World) -> Result<()> {
    let session = world.session.clone().context("no session was used")?;
    let network = world.network().await?;
    network.claimed(&session).await?;
    network.roll_back_claim(&session).await
}

#[then("every answer that a client holds is a leaf of the rebuilt trie")]
async fn every_answer_is_a_leaf(world: &mut World) -> Result<()> {
    let session = world.session.clone().context("no session was used")?;
    let leaves = world.network().await?.leaves(&session).await?;
    for answer in &world.answers {
        let relay = answer
            .header("x-relay-id")
            .context("an answer without X-Relay-Id")?;
        ensure!(
            leaves.contains(relay),
            "relay {relay} was answered, but is none of the {} leaves",
            leaves.len()
        );
    }
    Ok(())
}

#[then("the claim counts every leaf and settles")]
async fn the_claim_counts_them(world: &mut World) -> Result<()> {
    let session = world.session.clone().context("no session was used")?;
    let network = world.network().await?;
    let leaves = network.leaves(&session).await?.len() as u64;
    let claim = network.claimed(&session).await?;
    ensure!(
        claim.num_relays == leaves,
        "{} relays claimed, {leaves} leaves recorded",
        claim.num_relays
    );
    let settled = network.settled(&session).await?;
    ensure!(
        settled.upokt == u128::from(leaves) * 4200,
        "{} upokt settled for {leaves} leaves",
        settled.upokt
    );
    Ok(())
}
