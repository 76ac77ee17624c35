//! settlement.feature

use anyhow::{Context as _, Result, ensure};
use cucumber::{then, when};

use super::World;

#[when(regex = r"^the dApp makes (\d+) calls within one session$")]
async fn calls_within_one_session(world: &mut World, calls: usize) -> Result<()> {
    let (session, answers) = world.network().await?.call_within_one_session(calls).await?;
    world.session = Some(session);
    world.answers = answers;
    Ok(())
}

#[then("the servicer's check finds nothing that keeps it from earning")]
async fn the_check_is_content(world: &mut World) -> Result<()> {
    let faults = world.network().await?.check_servicer(|config| config).await?;
    ensure!(faults.is_empty(), "{faults:?}");
    Ok(())
}

#[then("the check of a configuration without the staked service says so")]
async fn the_check_finds_a_fault(world: &mut World) -> Result<()> {
    let faults = world
        .network()
        .await?
        .check_servicer(|config| config.replace("anvil:", "nowhere:"))
        .await?;
    let told = faults.join("\n");
    ensure!(faults.len() == 2, "{told}");
    ensure!(told.contains("service anvil, which is not configured"), "{told}");
    ensure!(told.contains("service nowhere does not exist on chain"), "{told}");
    Ok(())
}

#[then(regex = r"^the supplier claims (\d+) relays of (\d+) compute units each$")]
async fn the_supplier_claims(world: &mut World, relays: u64, compute_units: u64) -> Result<()> {
    let session = world.session.clone().context("no session was used")?;
    let claim = world.network().await?.claimed(&session).await?;
    ensure!(claim.num_relays == relays, "{} relays claimed", claim.num_relays);
    ensure!(
        claim.compute_units == relays * compute_units,
        "{} compute units claimed",
        claim.compute_units
    );
    Ok(())
}

#[then(regex = r"^the claim is proved and settles (\d+) upokt$")]
async fn proved_and_settled(world: &mut World, upokt: u128) -> Result<()> {
    let session = world.session.clone().context("no session was used")?;
    let settled = world.network().await?.settled(&session).await?;
    ensure!(settled.proved, "the claim settled without a proof");
    ensure!(settled.upokt == upokt, "{} upokt settled", settled.upokt);
    Ok(())
}

#[then(regex = r"^the claim settles (\d+) upokt without a proof$")]
async fn settled_without_proof(world: &mut World, upokt: u128) -> Result<()> {
    let session = world.session.clone().context("no session was used")?;
    let settled = world.network().await?.settled(&session).await?;
    ensure!(!settled.proved, "a proof was submitted");
    ensure!(settled.upokt == upokt, "{} upokt settled", settled.upokt);
    Ok(())
}

#[then("every balance moved as the default distribution says")]
async fn balances_moved(world: &mut World) -> Result<()> {
    world.network().await?.check_default_distribution(84_000).await
}

#[then("the supply is what was minted and burned")]
async fn supply_adds_up(world: &mut World) -> Result<()> {
    world.network().await?.check_supply().await
}

#[then("the servicer's ledger agrees with events and balances, while it runs and when it is stopped")]
async fn ledger_agrees(world: &mut World) -> Result<()> {
    let session = world.session.clone().context("no session was used")?;
    let network = world.network().await?;
    let running = network.check_ledger(&session).await?;
    network.stop_servicer().await?;
    let stopped = network.check_ledger(&session).await?;
    ensure!(
        running == stopped,
        "the ledger is {running} while it runs, {stopped} when it is stopped"
    );
    Ok(())
}
