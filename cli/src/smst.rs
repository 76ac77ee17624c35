//! `portico smst`: the trie of a session, shown, drawn, proved and verified.

mod proofs;
mod source;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand, ValueEnum};
use portico_protocol::proof::proof_path;
use portico_smst::render::{MAX_NODES, Picture, View};

use self::proofs::{ProveArgs, VerifyArgs};
use self::source::{Found, SourceArgs, Trie, bytes, path_of};

#[derive(Args)]
pub(crate) struct SmstArgs {
    #[command(subcommand)]
    command: SmstCommand,
}

#[derive(Subcommand)]
enum SmstCommand {
    /// Show the trie of a session: every relay is a leaf, the root is what is claimed
    Show(ShowArgs),
    /// Draw the trie as text, for Graphviz, as a picture, or as a page whose nodes fold
    Render(RenderArgs),
    /// Write the proof that a leaf is the closest one to a path, or that a path has its leaf
    Prove(ProveArgs),
    /// Check a proof against a claimed root
    #[command(after_help = "Exit codes: 0 the proof holds, 1 it does not, 2 that could not be found out.")]
    Verify(VerifyArgs),
}

#[derive(Args)]
struct ShowArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    path: PathArgs,
    /// Levels of the trie to show; what is below is folded
    #[arg(long, default_value_t = 6)]
    levels: usize,
}

#[derive(Args)]
struct RenderArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    path: PathArgs,
    /// text; dot for Graphviz; svg, a picture; html, a page that opens offline
    #[arg(long, value_enum)]
    format: Format,
    /// Levels to draw; what is below is folded
    #[arg(long)]
    levels: Option<usize>,
    /// Nodes to draw at most; a trie of up to 1000 leaves is drawn whole by default, of a larger one the upper part
    #[arg(long)]
    nodes: Option<usize>,
    /// Write to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Dot,
    Svg,
    Html,
}

/// The path of a proof, said in one of three ways.
#[derive(Args)]
#[group(multiple = false)]
struct PathArgs {
    /// Path whose closest leaf is proved, 32 bytes in hex
    #[arg(long, value_name = "HEX")]
    path: Option<String>,
    /// Key of a leaf, in hex; its path is the SHA-256 of it. The key of a relay is its hash
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
    /// Hash of the block that asks for the session's proof, in hex; the chain makes the path of it
    #[arg(long, value_name = "HEX")]
    block_hash: Option<String>,
}

/// Most levels: below are more lines than anybody reads.
const MAX_LEVELS: usize = 256;

impl SmstArgs {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self.command {
            SmstCommand::Show(args) => args.run().await?,
            SmstCommand::Render(args) => args.run().await?,
            SmstCommand::Prove(args) => args.run().await?,
            SmstCommand::Verify(args) => return Ok(args.run()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl PathArgs {
    fn path(&self, found: &Found) -> Result<Option<portico_smst::Path>> {
        if let Some(path) = &self.path {
            return path_of(path).map(Some);
        }
        if let Some(key) = &self.key {
            return Ok(Some(portico_smst::Path::of_key(&bytes("--key", key)?)));
        }
        let Some(hash) = &self.block_hash else {
            return Ok(None);
        };
        let session = found.session.as_deref();
        let session = session.context("--block-hash needs a session; of a file of leaves give --path")?;
        let hash = bytes("--block-hash", hash)?;
        ensure!(
            hash.len() == 32,
            "a block hash has 32 bytes (64 hex digits), not {}",
            hash.len()
        );
        let path = proof_path(&hash, session);
        Ok(Some(portico_smst::Path::new(path)))
    }
}

impl ShowArgs {
    async fn run(self) -> Result<()> {
        ensure!(self.levels <= MAX_LEVELS, "--levels is at most {MAX_LEVELS}");
        let found = self.source.find().await?;
        let path = self.path.path(&found)?;
        proofs::print(show(&found, path, self.levels).as_bytes())
    }
}

fn show(found: &Found, path: Option<portico_smst::Path>, levels: usize) -> String {
    let view = View {
        levels: Some(levels),
        nodes: Some(MAX_NODES),
        path,
        ..View::default()
    };
    let facts: String = found
        .facts
        .iter()
        .map(|(name, value)| format!("{name:<8}  {value}\n"))
        .collect();
    format!(
        "{facts}root      {}\n\n{}",
        found.root(),
        picture(found, &view).text()
    )
}

impl RenderArgs {
    async fn run(self) -> Result<()> {
        let most = self.nodes.unwrap_or(1);
        ensure!(
            (1..=MAX_NODES).contains(&most),
            "--nodes is between 1 and {MAX_NODES}"
        );
        let found = self.source.find().await?;
        let name = found
            .session
            .as_ref()
            .map(|session| format!("Session {:.12}", session));
        let view = View {
            levels: self.levels,
            nodes: self.nodes,
            path: self.path.path(&found)?,
            title: Some(name.unwrap_or_else(|| "Sparse Merkle trie".to_owned())),
            facts: found.facts.clone(),
        };
        let picture = picture(&found, &view);
        let drawn = match self.format {
            Format::Text => picture.text(),
            Format::Dot => picture.dot(),
            Format::Svg => picture.svg(),
            Format::Html => picture.html(),
        };
        write_out(self.out.as_deref(), drawn.as_bytes())
    }
}

fn picture(found: &Found, view: &View) -> Picture {
    match &found.trie {
        Trie::Sum(trie) => Picture::of_trie(trie, view),
        Trie::Plain(trie) => Picture::of_trie(trie, view),
    }
}

/// Writes to a file, or to standard output.
fn write_out(file: Option<&Path>, bytes: &[u8]) -> Result<()> {
    let Some(file) = file else {
        return proofs::print(bytes);
    };
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("{} bytes in {}", bytes.len(), file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use portico_protocol::Address;

    use super::{Found, show};

    #[test]
    fn the_trie_is_shown_with_its_root_and_sum() {
        let leaves = [([1; 32], [1]), ([2; 32], [2])];
        let leaves = leaves.iter().map(|(key, relay)| (key, relay.as_slice(), 10));
        let found = Found::of_session("aa11".to_owned(), Address::new([7; 20]), leaves);
        insta::assert_snapshot!(show(&found, None, 4));
    }
}
