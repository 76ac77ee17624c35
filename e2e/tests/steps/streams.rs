//! streams.feature

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cucumber::{given, then, when};
use futures::stream::{self, StreamExt as _};
use portico_e2e::NodeServer;
use portico_net::tls::ClientTls;

use super::World;
use super::ecosystem::{run, script};

/// Long enough that a whole script fits into a session.
const BLOCK_TIME: Duration = Duration::from_secs(1);
/// Time between blocks for the many streams: their grace period is one block, and all that began before has to end in it.
const BLOCK_TIME_OF_MANY: Duration = Duration::from_secs(3);
/// Streams that are read at a time.
const AT_ONCE: usize = 16;
/// Most lines of a stream; each may be a message that is signed and verified.
const MOST_LINES: u64 = 100;

#[given("a network whose backend is an event server")]
async fn a_network_over_an_event_server(world: &mut World) -> Result<()> {
    world.spec.suppliers = 1;
    world.spec.event_server = Some(NodeServer::start("event-server.mjs").await?);
    Ok(())
}

#[when("a dApp reads events, lines of JSON and tokens within one session")]
async fn reads_streams(world: &mut World) -> Result<()> {
    world.spec.block_time = Some(BLOCK_TIME);
    let network = world.network().await?;
    let session = network.await_fresh_session().await?;
    let url = network.service_url();
    let server = world.spec.event_server.as_ref().context("there is a server")?;
    let mut command = script("streams.mjs");
    command.arg(url).arg(server.url());
    let said = run(command).await;
    let said = match said {
        Ok(said) => said,
        Err(error) => anyhow::bail!("{error:#}\n{}", world.network().await?.logs()),
    };
    (world.session, world.relay_error) = (Some(session), Some(said));
    Ok(())
}

#[when(regex = r"^(\d+) streams of lines are read over (\d+) rollovers$")]
async fn streams_over_rollovers(world: &mut World, streams: u64, rollovers: usize) -> Result<()> {
    world.spec.block_time = Some(BLOCK_TIME_OF_MANY);
    let network = world.network().await?;
    network.await_fresh_session().await?;
    let (url, client) = (network.service_url(), ClientTls::public_http());
    let server = world
        .spec
        .event_server
        .as_ref()
        .context("there is a server")?
        .url();
    let one = |number: u64| {
        let (url, client) = (&url, &client);
        async move {
            let path = format!("/lines?count={}", number * 7 % MOST_LINES);
            let response = client.get(format!("{url}{path}")).send().await?;
            if response.status() != 200 {
                let (status, reason) = (response.status(), response.text().await?);
                anyhow::bail!("stream {number}: HTTP {status}, {reason}");
            }
            let session = response
                .headers()
                .get("x-session-id")
                .context("no session")?
                .to_str()?
                .to_owned();
            // A slow machine may not be done with it within the grace period.
            let Ok(relayed) = response.bytes().await else {
                return Ok(None);
            };
            let itself = client
                .get(format!("{server}{path}"))
                .send()
                .await?
                .bytes()
                .await?;
            ensure!(
                relayed == itself,
                "stream {number}: {} bytes of {}",
                relayed.len(),
                itself.len()
            );
            Ok(Some(session))
        }
    };
    let (mut read, mut broken, mut sessions) = (0, 0, BTreeSet::new());
    while read < streams || sessions.len() <= rollovers {
        let round = stream::iter(read..read + AT_ONCE as u64)
            .map(one)
            .buffer_unordered(AT_ONCE);
        let outcomes: Vec<Result<Option<String>>> = round.collect().await;
        for outcome in outcomes {
            match outcome? {
                Some(session) => _ = (read += 1, sessions.insert(session)),
                None => broken += 1,
            }
        }
        ensure!(broken * 20 <= read + 100, "{broken} of {read} streams broke off");
    }
    (world.streams, world.broken_streams) = (read, broken);
    Ok(())
}

#[then("each stream's bytes are the server's, and each is a leaf")]
async fn each_is_a_leaf(world: &mut World) -> Result<()> {
    let (streams, broken) = (world.streams, world.broken_streams);
    ensure!(streams >= 1_000, "{streams} streams");
    let leaves = world.network().await?.leaves_of_all_sessions().await?;
    // One that broke off is paid for if a byte of it had come.
    ensure!(
        (streams..=streams + broken).contains(&leaves),
        "{leaves} leaves of {streams} streams, and of {broken} that broke off"
    );
    Ok(())
}
