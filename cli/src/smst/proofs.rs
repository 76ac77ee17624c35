//! `portico smst prove` and `verify`: proofs as files.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use portico_smst::{ClosestProof, CompactClosestProof, CompactProof, Plain, Proof, Rule, Spec, Sum};
use serde::{Deserialize, Serialize};

use super::source::{Found, SourceArgs, Trie, bytes, path_of};
use super::{PathArgs, write_out};

/// Longest proof that is read: what the decoder takes, in hex, and some JSON around it.
const MAX_PROOF_LEN: u64 = 2 * portico_smst::gob::MAX_STREAM_LEN as u64 + (1 << 20);

#[derive(Args)]
pub(super) struct ProveArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    path: PathArgs,
    /// Prove that the path has its leaf, or none, instead of which leaf is closest to it
    #[arg(long)]
    membership: bool,
    /// json: the proof, what it proves, and its bytes; hex: the bytes that go on chain; gob: those bytes themselves
    #[arg(long, value_enum, default_value_t = ProofFormat::Json)]
    format: ProofFormat,
    /// Write to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ProofFormat {
    Json,
    Hex,
    Gob,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// The proof: a file that `prove` wrote in any format, or - for standard input
    proof: PathBuf,
    /// Root that was claimed, in hex: 48 bytes of a sum trie, 32 of a plain one; a JSON file's own by default
    #[arg(long, value_name = "HEX")]
    root: Option<String>,
    /// Path that was asked for, in hex; a JSON file's own by default
    #[arg(long, value_name = "HEX")]
    path: Option<String>,
    /// network: what the live network accepts; strict: only the true closest leaf, in canonical form
    #[arg(long, value_enum, default_value_t = RuleName::Strict)]
    rule: RuleName,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RuleName {
    Network,
    Strict,
}

/// A proof with what it proves.
#[derive(Serialize, Deserialize)]
struct ProofFile {
    kind: Kind,
    /// Root of the trie in hex.
    root: String,
    /// Sum and count of the root, decimal; none in a plain trie.
    sum: Option<String>,
    count: Option<String>,
    /// The path that was asked for.
    path: String,
    /// The leaf that is proved: none when the path has none.
    leaf: Option<ProvedLeaf>,
    depth: usize,
    /// Depths at which the asked side was empty.
    flipped_bits: Vec<i64>,
    /// Digests beside the way, leaf to root; empty subtrees are zeros.
    side_nodes: Vec<String>,
    sibling_data: Option<String>,
    /// The compact proof as it goes on chain, in hex.
    gob: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Closest,
    Membership,
}

#[derive(Serialize, Deserialize)]
struct ProvedLeaf {
    path: String,
    value: String,
    weight: Option<String>,
}

impl ProveArgs {
    pub(super) async fn run(self) -> Result<()> {
        let found = self.source.find().await?;
        let path = self.path.path(&found)?;
        let path = path.context("say which path to prove: --path, --key or --block-hash")?;
        let file = match (&found.trie, self.membership) {
            (Trie::Sum(trie), false) => closest(trie, &path)?,
            (Trie::Plain(trie), false) => closest(trie, &path)?,
            (Trie::Sum(trie), true) => membership(trie, &path)?,
            (Trie::Plain(trie), true) => membership(trie, &path)?,
        };
        self.write(&file)
    }

    fn write(&self, file: &ProofFile) -> Result<()> {
        let written = match self.format {
            ProofFormat::Json => format!("{}\n", serde_json::to_string_pretty(file)?).into_bytes(),
            ProofFormat::Hex => format!("{}\n", file.gob).into_bytes(),
            ProofFormat::Gob => hex::decode(&file.gob)?,
        };
        let raw = self.format == ProofFormat::Gob && self.out.is_none();
        ensure!(
            !raw || !std::io::stdout().is_terminal(),
            "a gob proof is binary: give --out FILE, or --format hex"
        );
        write_out(self.out.as_deref(), &written)
    }
}

fn closest<S: Spec>(trie: &portico_smst::Trie<S>, path: &portico_smst::Path) -> Result<ProofFile> {
    ensure!(!trie.is_empty(), "there are no leaves, so none is closest");
    let proof = trie.prove_closest(path)?;
    let compact = proof.compact::<S>()?;
    let inner = proof.closest_proof.clone().unwrap_or_default();
    let leaf = ProvedLeaf {
        path: hex::encode(&proof.closest_path),
        value: hex::encode(proof.value::<S>()?.unwrap_or_default()),
        weight: proof.weight::<S>().map(|weight| weight.to_string()),
    };
    let file = ProofFile::new::<S>(Kind::Closest, trie, path, &inner, Some(leaf), compact.to_gob());
    Ok(ProofFile {
        flipped_bits: proof.flipped_bits,
        ..file
    })
}

fn membership<S: Spec>(trie: &portico_smst::Trie<S>, path: &portico_smst::Path) -> Result<ProofFile> {
    let proof = trie.prove(path)?;
    let leaf = trie.get(path).map(|leaf| ProvedLeaf {
        path: path.to_string(),
        value: hex::encode(leaf.value().unwrap_or_default()),
        weight: S::totals(leaf.digest()).map(|(weight, _)| weight.to_string()),
    });
    let gob = proof.compact::<S>()?.to_gob();
    Ok(ProofFile::new::<S>(
        Kind::Membership,
        trie,
        path,
        &proof,
        leaf,
        gob,
    ))
}

impl ProofFile {
    fn new<S: Spec>(
        kind: Kind,
        trie: &portico_smst::Trie<S>,
        path: &portico_smst::Path,
        proof: &Proof,
        leaf: Option<ProvedLeaf>,
        gob: Vec<u8>,
    ) -> Self {
        let (root, totals) = (trie.root(), S::totals(&trie.root()));
        Self {
            kind,
            root: root.to_string(),
            sum: totals.map(|(sum, _)| sum.to_string()),
            count: totals.map(|(_, count)| count.to_string()),
            path: path.to_string(),
            leaf,
            depth: proof.side_nodes.len(),
            flipped_bits: Vec::new(),
            side_nodes: proof.side_nodes.iter().map(hex::encode).collect(),
            sibling_data: proof.sibling_data.as_ref().map(hex::encode),
            gob: hex::encode(gob),
        }
    }
}

/// What `verify` was given: the proof's bytes, and what a JSON file says of it.
struct Given {
    gob: Vec<u8>,
    file: Option<ProofFile>,
}

impl VerifyArgs {
    /// 0: the proof holds; 1: it does not; 2: that could not be found out.
    pub(super) fn run(&self) -> ExitCode {
        match self.verify() {
            Ok(Ok(words)) => {
                println!("{words}");
                ExitCode::SUCCESS
            }
            Ok(Err(reason)) => {
                eprintln!("portico: the proof does not hold: {reason}");
                ExitCode::FAILURE
            }
            Err(trouble) => {
                crate::report::failure(&trouble, false);
                ExitCode::from(2)
            }
        }
    }

    /// What the proof proves, or why it proves nothing.
    fn verify(&self) -> Result<Result<String, String>> {
        let given = read(&self.proof)?;
        let file = given.file.as_ref();
        let root = self.root.as_ref().or(file.map(|file| &file.root));
        let root = bytes(
            "--root",
            root.context("a proof in this format needs the claimed --root")?,
        )?;
        let path = self.path.as_ref().or(file.map(|file| &file.path));
        let path = path_of(path.context("a proof in this format needs the asked --path")?)?;
        let membership = file.filter(|file| file.kind == Kind::Membership);
        Ok(match (root.len(), membership) {
            (48, None) => self.closest::<Sum>(&given.gob, digest(&root)?, &path),
            (32, None) => self.closest::<Plain>(&given.gob, digest(&root)?, &path),
            (48, Some(file)) => is_member::<Sum>(&given.gob, file, &root, &path)?,
            (32, Some(file)) => is_member::<Plain>(&given.gob, file, &root, &path)?,
            (other, _) => bail!("a root has 48 bytes (sum trie) or 32 (plain trie), not {other}"),
        })
    }

    fn closest<S: Spec>(
        &self,
        gob: &[u8],
        root: S::Digest,
        path: &portico_smst::Path,
    ) -> Result<String, String> {
        let (rule, name) = match self.rule {
            RuleName::Network => (Rule::Network, "network's"),
            RuleName::Strict => (Rule::Strict, "strict"),
        };
        let compact = CompactClosestProof::from_gob(gob).map_err(|error| error.to_string())?;
        let proof = compact
            .verify::<S>(rule, &root, path)
            .map_err(|error| error.to_string())?;
        Ok(format!(
            "the proof holds by the {name} rule\n{}",
            described::<S>(&proof, &root)
        ))
    }
}

fn described<S: Spec>(proof: &ClosestProof, root: &S::Digest) -> String {
    let value = proof.value::<S>().ok().flatten();
    let leaf = value.map_or_else(
        || "none, the trie is empty".to_owned(),
        |value| {
            let weight = proof.weight::<S>().map(|weight| format!(", weight {weight}"));
            format!(
                "{}\nvalue     {} bytes{}",
                hex::encode(&proof.closest_path),
                value.len(),
                weight.unwrap_or_default()
            )
        },
    );
    let totals = S::totals(root).map(|(sum, count)| format!("\nclaimed   {count} leaves, sum {sum}"));
    format!(
        "closest   {leaf}\ndepth     {}{}",
        proof.depth,
        totals.unwrap_or_default()
    )
}

fn is_member<S: Spec>(
    gob: &[u8],
    file: &ProofFile,
    root: &[u8],
    path: &portico_smst::Path,
) -> Result<Result<String, String>> {
    let mut data = Vec::new();
    if let Some(leaf) = &file.leaf {
        data = bytes("value", &leaf.value)?;
        if S::META_LEN > 0 {
            let weight = leaf.weight.as_deref().unwrap_or_default();
            let weight = weight
                .parse()
                .with_context(|| format!("the leaf's weight is no number: {weight:?}"))?;
            data = portico_smst::sum_leaf_data(&data, weight);
        }
    }
    let proof = CompactProof::from_gob(gob).map_err(|error| error.to_string());
    let verified = proof.and_then(|proof| {
        proof
            .verify::<S>(root, path, &data)
            .map_err(|error| error.to_string())
    });
    let words = if file.leaf.is_some() {
        "the proof holds: the path has this leaf"
    } else {
        "the proof holds: the path has no leaf"
    };
    Ok(verified.map(|()| words.to_owned()))
}

fn digest<D: for<'a> TryFrom<&'a [u8]>>(root: &[u8]) -> Result<D> {
    D::try_from(root).map_err(|_| anyhow::anyhow!("the root has a wrong length"))
}

/// Reads JSON, hex or gob, whichever it is.
fn read(file: &Path) -> Result<Given> {
    let name = || format!("cannot read a proof from {}", file.display());
    let mut input: Box<dyn std::io::Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(file).with_context(name)?),
    };
    let mut given = Vec::new();
    let len = input
        .by_ref()
        .take(MAX_PROOF_LEN + 1)
        .read_to_end(&mut given)
        .with_context(name)?;
    ensure!(
        len as u64 <= MAX_PROOF_LEN,
        "{}: more than {MAX_PROOF_LEN} bytes",
        name()
    );
    ensure!(len > 0, "{}: it is empty", name());
    let text = given.trim_ascii();
    if text.first() == Some(&b'{') {
        let read: ProofFile = serde_json::from_slice(text).with_context(name)?;
        return Ok(Given {
            gob: bytes("\"gob\"", &read.gob)?,
            file: Some(read),
        });
    }
    let gob = hex::decode(text).unwrap_or(given);
    Ok(Given { gob, file: None })
}

/// Writes bytes to standard output; a reader that went away is no failure.
pub(super) fn print(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => Ok(done?),
    }
}

impl Found {
    /// Root of the trie in hex.
    pub(super) fn root(&self) -> String {
        match &self.trie {
            Trie::Sum(trie) => trie.root().to_string(),
            Trie::Plain(trie) => trie.root().to_string(),
        }
    }
}
