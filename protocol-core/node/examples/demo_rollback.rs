//! Commit, failure, recovery, rollback, replay, with a real node and its real store: `just demo-rollback`. Takes some seconds.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it tells a story on a terminal"
)]

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use portico_chain::genesis::{Genesis, GenesisAccount, GenesisParams, GenesisValidator};
use portico_config::Secret;
use portico_config::node::NodeConfig;
use portico_node::{Node, Upkeep, ValidatorKey};
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::{SigningKey, Upokt};
use tokio_util::sync::CancellationToken;

/// The chain's id.
const CHAIN_ID: &str = "portico-demo";
/// Seed of the validator's key.
const SEED: [u8; 32] = [7; 32];
/// Blocks before the failure.
const BLOCKS: usize = 25;
/// Blocks that are rolled back.
const UNDONE: u32 = 5;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    match std::env::args().nth(1) {
        Some(folder) => tokio::runtime::Runtime::new()?.block_on(run_node(Path::new(&folder))),
        None => tell(),
    }
}

fn tell() -> Result<(), Failure> {
    let started = SystemTime::now();
    let folder = std::env::temp_dir().join(format!("portico-demo-{}", std::process::id()));
    let told = story(&folder);
    let _ = std::fs::remove_dir_all(&folder);
    told?;
    println!(
        "\nAll of it held. It took {:.1} s.",
        started.elapsed()?.as_secs_f64()
    );
    Ok(())
}

fn story(folder: &Path) -> Result<(), Failure> {
    println!("1. COMMIT. A node in a process of its own makes a block every 20 ms, each with a transfer.");
    println!("   Blocks, state, tries and indexes of a block are written in one transaction.\n");
    let told = crash(folder)?;
    println!(
        "\n2. FAILURE. `kill -9` hit the node after it told height {told}, in the middle of whatever it did."
    );
    println!(
        "\n3. RECOVERY. What is on disk is the last block that was told, or the next one, and nothing in between:\n"
    );
    let upkeep = Upkeep::open(folder)?;
    let report = upkeep.check(|_| ())?;
    let tip = report.tip.ok_or("there is no block")?;
    println!("   height {}, app hash {}", tip.height, short(&tip.app_hash));
    println!(
        "   checked: {} keys hashed anew, {} pages of tries, {} older values, every block and signature: {} faults",
        report.keys,
        report.pages,
        report.history,
        report.faults.len()
    );
    ensure(
        report.faults.is_empty() && (told..=told + 1).contains(&tip.height),
        "the recovery",
    )?;
    let blocks = upkeep.blocks(1)?;
    println!(
        "\n4. ROLLBACK. The newest {UNDONE} blocks are undone in one transaction (`portico node rollback --blocks {UNDONE}`).\n"
    );
    let started = SystemTime::now();
    let rolled = upkeep.rollback(UNDONE, |height| println!("   undone {height}"))?;
    println!(
        "   height {}, app hash {}, in {:.1} ms",
        rolled.to.height,
        short(&rolled.to.app_hash),
        started.elapsed()?.as_secs_f64() * 1e3
    );
    let at = usize::try_from(rolled.to.height)?;
    ensure(
        upkeep.check(|_| ())?.faults.is_empty(),
        "the state after the rollback",
    )?;
    match upkeep.rollback(1_000_000, |_| ()) {
        Err(error) => println!(
            "   further than is retained is refused: {}",
            portico_protocol::causes(&error)
        ),
        Ok(_) => return Err("a rollback beyond the genesis was not refused".into()),
    }
    println!("\n5. REPLAY. The same blocks are judged, executed and committed again.\n");
    let mut last = None;
    let upkeep = upkeep.replay(&blocks[at..], |tip| {
        println!("   height {}, app hash {}", tip.height, short(&tip.app_hash));
        last = Some(*tip);
    })?;
    ensure(last == Some(tip), "the replay: it ends at another block or root")?;
    ensure(
        upkeep.check(|_| ())?.faults.is_empty(),
        "the state after the replay",
    )?;
    println!("\n   The root is that of step 3, and everything agrees.");
    Ok(())
}

fn ensure(holds: bool, what: &str) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(format!("this did not hold: {what}").into())
    }
}

fn short(hash: &[u8; 32]) -> String {
    hash[..8]
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<String>()
        + "…"
}

/// Runs a node until it told so many blocks, kills it, and returns the last height that it told.
fn crash(folder: &Path) -> Result<i64, Failure> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let height = |line: &str| line.split([' ', ',']).nth(1)?.parse::<i64>().ok();
    let mut told = 0;
    for line in lines.by_ref().take(BLOCKS) {
        let line = line?;
        told = height(&line).ok_or("a line without a height")?;
        if told <= 3 || told % 10 == 0 {
            println!("   {line}");
        }
    }
    std::thread::sleep(Duration::from_millis(7));
    child.kill()?;
    child.wait()?;
    // It may have told more before it died.
    let more = lines.filter_map(|line| height(&line.ok()?)).last();
    Ok(more.unwrap_or(told))
}

async fn run_node(folder: &Path) -> Result<(), Failure> {
    let key = SigningKey::from_bytes(&[1; 32])?;
    let config = NodeConfig {
        data_dir: folder.to_owned(),
        rpc_listen: "127.0.0.1:0".parse()?,
        grpc_listen: "127.0.0.1:0".parse()?,
        block_time_ms: 20,
        validator_key: Some(Secret::new(
            SEED.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        )),
        ..NodeConfig::default()
    };
    let node = Node::open(config, genesis(&key), &prometheus::Registry::new())?;
    let chain = node.chain();
    let run = tokio::spawn(node.run(CancellationToken::new()));
    let mut head = chain.head();
    let account = chain.account(&key.address()).await?;
    for sequence in account.sequence.. {
        let _ = chain
            .broadcast(transfer(&key, account.number, sequence).into())
            .await?;
        head.changed().await?;
        let at = head.borrow_and_update().clone();
        println!("height {}, block {}", at.height, short(&at.hash));
    }
    Ok(run.await??)
}

fn genesis(key: &SigningKey) -> Genesis {
    Genesis {
        chain_id: CHAIN_ID.into(),
        genesis_time_ms: 1_700_000_000_000,
        params: GenesisParams::default(),
        validators: vec![GenesisValidator {
            consensus_public_key: ValidatorKey::from_seed(&SEED).public_key_hex(),
            account: key.address(),
            tokens: Upokt(1_000_000),
        }],
        accounts: vec![GenesisAccount::new(&key.public_key(), Upokt(1_000_000_000))],
        services: Vec::new(),
        gateways: Vec::new(),
        applications: Vec::new(),
        suppliers: Vec::new(),
    }
}

fn transfer(key: &SigningKey, account_number: u64, sequence: u64) -> Vec<u8> {
    let message = MsgSend {
        from_address: key.address().to_string(),
        to_address: key.address().to_string(),
        amount: vec![Upokt(1).into()],
    };
    let options = TxOptions {
        gas_limit: 1_000_000,
        ..TxOptions::default()
    };
    let context = SignerContext {
        chain_id: CHAIN_ID.into(),
        account_number,
        sequence,
    };
    sign_tx(vec![pack(&message)], &options, &context, key)
}
