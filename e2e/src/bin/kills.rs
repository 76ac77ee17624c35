//! Kills the servicer's process at random moments under load: `kills [KILLS] [SEED]`, 100 kills unless said otherwise.

use anyhow::Result;
use portico_e2e::{Network, kills};

/// Callers without pause.
const CLIENTS: usize = 8;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let kills: usize = args.next().map_or(Ok(100), |text| text.parse())?;
    let seed: u64 = args
        .next()
        .map_or_else(|| Ok(rand::random()), |text| text.parse())?;
    println!("seed {seed}");
    let mut network = Network::start(&kills::spec()).await?;
    network.await_an_answer().await?;
    print!("{}", kills::run(&mut network, CLIENTS, kills, seed).await?);
    Ok(())
}
