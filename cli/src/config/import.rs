//! `portico config import`: a servicer's configuration from the files of another relay miner.
//!
//! ```text
//! file ─► Tree (any YAML) ─► reference | ha: what has a counterpart ─► Draft ─► servicer.yaml
//!                   └──────► keys: every other key is named, with what becomes of it
//! ```

mod draft;
mod ha;
mod keys;
mod reference;
mod tree;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use draft::{Draft, Keyring};
use tree::Tree;

/// Largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

#[derive(Args)]
pub(super) struct ImportArgs {
    /// The relay miner's file; for the HA relay miner, those of relayer and miner together; of a chart, its values, the most general first
    #[arg(required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Whose files; told from their keys when left out
    #[arg(long, value_enum)]
    of: Option<Kind>,
    /// Folder of the suppliers' keys that the file knows by their names in a keyring: NAME.hex each
    #[arg(long, value_name = "FOLDER", default_value = "keys")]
    keys: PathBuf,
    /// Home of pocketd, or of the HA relay miner's keyring: the keys are read from its keyring in place of exported files
    #[arg(long, value_name = "FOLDER", conflicts_with = "keys")]
    keyring: Option<String>,
    /// Backend of that keyring
    #[arg(long, value_name = "BACKEND", value_parser = ["test", "file"], default_value = "test", requires = "keyring")]
    keyring_backend: String,
    /// File to create; an existing one is never overwritten. Standard output when left out
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Whose files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// poktroll's relay miner (pocketd relayminer)
    Reference,
    /// The HA relay miner (pocket-relay-miner)
    Ha,
}

/// What became of a file.
#[derive(Debug)]
struct Imported {
    yaml: String,
    /// What is to be done, or is different here; one line each.
    notes: Vec<String>,
}

impl ImportArgs {
    pub(super) fn run(self) -> Result<()> {
        let texts = self
            .files
            .iter()
            .map(|file| read(file))
            .collect::<Result<Vec<_>>>()?;
        let keyring = self
            .keyring
            .as_deref()
            .zip(Keyring::backend(&self.keyring_backend));
        let imported = import(&texts, self.of, &self.keys, keyring)?;
        match &self.output {
            Some(file) => {
                write_new(file, &imported.yaml)
                    .with_context(|| format!("{} cannot be written", file.display()))?;
                eprintln!(
                    "{} is written; next: portico config check --role servicer {}",
                    file.display(),
                    file.display()
                );
            }
            None => print!("{}", imported.yaml),
        }
        for note in &imported.notes {
            eprintln!("{note}");
        }
        Ok(())
    }
}

fn read(file: &Path) -> Result<Tree> {
    let name = || format!("{} cannot be read", file.display());
    let length = std::fs::metadata(file).with_context(name)?.len();
    ensure!(
        length <= MAX_FILE_BYTES,
        "{} is larger than {MAX_FILE_BYTES} bytes",
        file.display()
    );
    let text = std::fs::read_to_string(file).with_context(name)?;
    Tree::read(&file.display().to_string(), &text).with_context(|| format!("{} is no YAML", file.display()))
}

/// Backends' passwords may be in it: for its owner only.
fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())
}

fn import(
    files: &[Tree],
    of: Option<Kind>,
    keys_folder: &Path,
    keyring: Option<(&str, &'static str)>,
) -> Result<Imported> {
    let of = match of {
        Some(kind) => kind,
        None => {
            kind(files).context("these are files of no relay miner that is known; say whose with --of")?
        }
    };
    let mut draft = Draft::new(keys_folder);
    match of {
        Kind::Reference => {
            let key = "default_signing_key_names";
            let names = files.iter().rev().map(|file| reference::names(file, key));
            let names = names
                .into_iter()
                .find(|names| !names.is_empty())
                .unwrap_or_default();
            for file in files {
                reference::read(file, &names, &mut draft);
                keys::name_the_rest(file, of, &mut draft);
            }
        }
        Kind::Ha => {
            draft.is_standalone = files.iter().any(ha::is_standalone);
            for part in files.iter().flat_map(ha::parts) {
                ha::read(&part, &mut draft);
                keys::name_the_rest(&part, of, &mut draft);
            }
        }
    }
    if let Some((home, backend)) = keyring
        && !draft.key_names.is_empty()
    {
        draft.keyrings.push(Keyring {
            home: home.to_owned(),
            backend,
            names: std::mem::take(&mut draft.key_names),
        });
    }
    draft.finish()
}

fn kind(files: &[Tree]) -> Option<Kind> {
    let has = |key: &str| files.iter().any(|file| file.get(key).is_some());
    if has("suppliers") && (has("pocket_node") || has("default_signing_key_names")) {
        Some(Kind::Reference)
    } else if has("relayer") || has("redis") || has("listen_addr") || has("default_validation_mode") {
        Some(Kind::Ha)
    } else {
        None
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
