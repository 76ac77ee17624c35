//! `portico node`: a node of a chain, and what its operator does with the data.

mod init;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use portico_config::load;
use portico_config::node::NodeConfig;
use portico_node::{Node, Upkeep, ask_for_snapshot, restore_snapshot, verify_snapshot};
use portico_store::Manifest;

use crate::open_files;
use crate::parts::{Parts, signals};
use crate::roles::read_genesis;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct NodeArgs {
    /// Configuration file; `portico config schema` describes it
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<NodeCommand>,
}

#[derive(Subcommand)]
enum NodeCommand {
    /// Make a new chain: its genesis, its validators' keys, and a node's configuration
    Init(Box<init::InitArgs>),
    /// Compare everything in a stopped node's data with everything else
    Check {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Undo a stopped node's newest blocks
    ///
    /// State, roots, blocks and indexes become what they were, in one transaction. What gateways and servicers keep is not touched: a
    /// servicer's leaves stay, and it claims again what was claimed in an undone block. All validators of a chain must do it together.
    Rollback {
        /// How many blocks
        #[arg(long, value_name = "N")]
        blocks: u32,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Copy a chain's data while the node runs, check a copy, or begin from one
    Snapshot {
        #[command(subcommand)]
        command: SnapshotCommand,
    },
}

#[derive(Subcommand)]
enum SnapshotCommand {
    /// Write a snapshot into a new folder; blocks go on meanwhile
    Create {
        /// The new folder
        folder: PathBuf,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Check the hash of each chunk, and the root of the state
    Verify {
        /// The snapshot's folder
        folder: PathBuf,
    },
    /// Make a node's data of a snapshot, where there are none, and check them
    Restore {
        /// The snapshot's folder
        folder: PathBuf,
        #[command(flatten)]
        data: DataArgs,
    },
}

/// Whose data.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct DataArgs {
    /// The node's configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The node's data folder
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataArgs {
    fn folder(&self) -> Result<PathBuf> {
        match (&self.data_dir, &self.config) {
            (Some(folder), _) => Ok(folder.clone()),
            (None, Some(file)) => Ok(load::<NodeConfig>(file)?.data_dir),
            (None, None) => bail!("name the node's data with --config or --data-dir"),
        }
    }

    fn open(&self) -> Result<Upkeep> {
        Upkeep::open(&self.folder()?)
            .context("the chain's data cannot be opened; a node that runs has to be stopped first")
    }
}

impl NodeArgs {
    pub(crate) async fn run(self) -> Result<()> {
        match (self.command, self.config) {
            (Some(command), _) => tokio::task::block_in_place(|| command.run()),
            (None, Some(config)) => run(&config).await,
            (None, None) => bail!("name the configuration file with --config"),
        }
    }

    /// Whether this is a process for people on a terminal, not one that runs for days.
    pub(crate) const fn is_tool(&self) -> bool {
        self.command.is_some()
    }
}

async fn run(file: &Path) -> Result<()> {
    let config: NodeConfig = load(file)?;
    open_files::raise(config.listener.max_connections);
    let genesis = read_genesis(&config.genesis)?;
    let registry = crate::metrics::registry()?;
    let open = || Node::open(config, genesis, &registry);
    let node = tokio::task::block_in_place(open).context("the node does not start")?;
    tracing::info!(rpc = %node.rpc_addr(), grpc = %node.grpc_addr(), "node listens");
    if let Some(admin) = node.admin_addr() {
        tracing::info!(%admin, "node serves operators");
    }
    let mut parts = Parts::new();
    parts.start("node", node.run(parts.stop()));
    parts.start("signal handler", signals(parts.stop()));
    parts.finish().await
}

impl NodeCommand {
    fn run(self) -> Result<()> {
        match self {
            Self::Init(args) => args.run(),
            Self::Check { data } => check(&data),
            Self::Rollback { blocks, data } => rollback(blocks, &data),
            Self::Snapshot { command } => command.run(),
        }
    }
}

fn check(data: &DataArgs) -> Result<()> {
    let report = data.open()?.check(progress("height"))?;
    done();
    let height = report.tip.map_or(0, |tip| tip.height);
    println!(
        "height {height}, state of {} to {height}: {} keys, {} pages of tries, {} older values, {} transactions",
        report.oldest, report.keys, report.pages, report.history, report.txs
    );
    if report.faults.is_empty() {
        println!("everything agrees");
        return Ok(());
    }
    for fault in &report.faults {
        println!("  {fault}");
    }
    bail!("the data are damaged; restore them from a snapshot, or begin anew")
}

fn rollback(blocks: u32, data: &DataArgs) -> Result<()> {
    let done_by = data.open()?.rollback(blocks, progress("undone"))?;
    done();
    for (word, tip) in [("was", done_by.from), ("is", done_by.to)] {
        println!(
            "height {word} {}, app hash {}",
            tip.height,
            hex::encode_upper(tip.app_hash)
        );
    }
    Ok(())
}

impl SnapshotCommand {
    fn run(self) -> Result<()> {
        match self {
            Self::Create { folder, data } => {
                let from = data.folder()?;
                let asked = ask_for_snapshot(&from, &folder, progress("chunk"))?;
                let manifest = match asked {
                    Some(manifest) => manifest,
                    None => data.open()?.write_snapshot(&folder, progress("chunk"))?,
                };
                tell("written", &manifest)
            }
            Self::Verify { folder } => tell("right", &verify_snapshot(&folder, progress("chunk"))?),
            Self::Restore { folder, data } => tell(
                "restored",
                &restore_snapshot(&folder, &data.folder()?, progress("chunk"))?,
            ),
        }
    }
}

fn tell(word: &str, manifest: &Manifest) -> Result<()> {
    done();
    println!(
        "{word}: {} at height {}, app hash {}, {} rows in {} chunks, {} bytes",
        manifest.chain_id,
        manifest.height,
        manifest.app_hash,
        manifest.rows,
        manifest.chunks.len(),
        manifest.bytes
    );
    Ok(())
}

/// Tells numbers on one line of standard error, every so often; nothing where a line cannot be rewritten.
fn progress<T: std::fmt::Display>(word: &'static str) -> impl FnMut(T) {
    let (mut told, terminal) = (0_u32, std::io::stderr().is_terminal());
    move |number| {
        if terminal && told.is_multiple_of(64) {
            eprint!("\r{word} {number}  ");
            let _ = std::io::stderr().flush();
        }
        told = told.wrapping_add(1);
    }
}

fn done() {
    if !std::io::stderr().is_terminal() {
        return;
    }
    eprint!("\r                              \r");
}
