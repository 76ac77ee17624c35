//! abuse.feature

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use cucumber::{given, then, when};
use portico_e2e::abuse::{Attack, Outcome};
use portico_localnet::Role;
use serde_json::json;

use super::World;

/// The hostile client's program.
const PROGRAM: &str = env!("CARGO_BIN_EXE_abuse");

#[given(regex = r"^listeners with time-outs of (\d+) seconds$")]
fn short_time_outs(world: &mut World, seconds: u64) {
    let ms = seconds * 1_000;
    let listener = json!({"listener": {
        "first_byte_timeout_ms": ms, "head_timeout_ms": ms, "body_timeout_ms": ms, "write_timeout_ms": ms,
    }});
    world.spec.listeners = listener;
}

#[when(regex = r"^(\d+) hostile clients? attacks? the (\w+) with ([a-z-]+) for (\d+) seconds$")]
async fn attack(world: &mut World, count: u32, role: String, kind: String, seconds: u64) -> Result<()> {
    let target = Role::ALL.into_iter().find(|target| target.name() == role);
    let attack = Attack::new(kind.parse()?, target.context("no such role")?, count, seconds);
    let network = world.network().await?;
    network.await_an_answer().await?;
    world.first_block = network.head().await?.height.0;
    let network = world.network().await?;
    let outcome = network.attack(attack, Path::new(PROGRAM)).await?;
    world.failures.clone_from(&outcome.normal.failures);
    ensure!(!outcome.normal.times.is_empty(), "no normal call was answered");
    world.attack = Some(outcome);
    Ok(())
}

fn outcome(world: &World) -> Result<&Outcome> {
    world.attack.as_ref().context("there was no attack")
}

#[then("the hostile clients were closed")]
fn closed(world: &mut World) -> Result<()> {
    let Outcome { attack, seen, .. } = outcome(world)?;
    ensure!(seen.closed >= u64::from(attack.count), "{seen:?}");
    Ok(())
}

#[then(regex = r"^no role used more than (\d+) MiB$")]
fn bounded_memory(world: &mut World, most: u64) -> Result<()> {
    for (role, peak) in &outcome(world)?.peaks {
        let mib = peak >> 20;
        ensure!(mib <= most, "the {} used {mib} MiB", role.name());
    }
    Ok(())
}

#[then(regex = r"^the (\w+) used no more than (\d+) MiB$")]
fn bounded_memory_of(world: &mut World, name: String, most: u64) -> Result<()> {
    let peaks = &outcome(world)?.peaks;
    let found = peaks.iter().find(|(role, _)| role.name() == name);
    let (_, peak) = found.with_context(|| format!("there is no role {name}"))?;
    ensure!(peak >> 20 <= most, "the {name} used {} MiB", peak >> 20);
    Ok(())
}

#[then(regex = r"^every hostile request was answered with HTTP (\d+)$")]
fn answered_with(world: &mut World, status: u16) -> Result<()> {
    let seen = &outcome(world)?.seen;
    let only = seen.answered.keys().eq([&status]);
    ensure!(seen.unanswered == 0 && only, "{seen:?}");
    Ok(())
}

#[then("every hostile request was refused")]
fn refused(world: &mut World) -> Result<()> {
    let seen = &outcome(world)?.seen;
    let refused = seen.answered.keys().all(|status| *status >= 400);
    ensure!(
        seen.unanswered == 0 && refused && !seen.answered.is_empty(),
        "{seen:?}"
    );
    Ok(())
}

#[then("hostile streams were refused")]
fn streams_refused(world: &mut World) -> Result<()> {
    let seen = &outcome(world)?.seen;
    ensure!(seen.refused_streams > 0, "{seen:?}");
    Ok(())
}

#[then(regex = r"^each of (\d+) invented applications was looked up at most once per block$")]
async fn looked_up_once_per_block(world: &mut World, applications: u64) -> Result<()> {
    let first = world.first_block;
    let network = world.network().await?;
    let blocks = u64::try_from(network.head().await?.height.0 - first + 1)?;
    let lookups = network.servicer_lookups().await?;
    // Each new session of the honest application costs one too.
    ensure!(
        lookups <= (applications + 1) * blocks,
        "{lookups} look-ups for {applications} applications in {blocks} blocks"
    );
    Ok(())
}
