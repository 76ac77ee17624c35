//! grpc.feature

use std::time::Duration;

use anyhow::Result;
use cucumber::{given, when};
use portico_e2e::NodeServer;

use super::World;
use super::ecosystem::{run, script};

/// Long enough that a whole script fits into a session.
const BLOCK_TIME: Duration = Duration::from_secs(1);

#[given("a network whose backend is a gRPC server")]
async fn a_network_over_a_grpc_server(world: &mut World) -> Result<()> {
    world.spec.suppliers = 1;
    world.spec.block_time = Some(BLOCK_TIME);
    world.spec.grpc_server = Some(NodeServer::start("grpc-server.mjs").await?);
    Ok(())
}

#[when("a dApp calls over gRPC and gRPC-Web within one session")]
async fn calls_over_grpc(world: &mut World) -> Result<()> {
    let network = world.network().await?;
    let session = network.await_fresh_session().await?;
    let mut command = script("grpc.mjs");
    command.arg(network.gateway_url().replace("http://", ""));
    let said = match run(command).await {
        Ok(said) => said,
        Err(error) => anyhow::bail!("{error:#}\n{}", world.network().await?.logs()),
    };
    (world.session, world.relay_error) = (Some(session), Some(said));
    Ok(())
}
