//! Where things are kept, and how a key or an address is named on the command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use portico_config::secret::read_key_file;
use portico_protocol::{Address, SigningKey};

/// Folder of the local network: `$PORTICO_DATA_DIR`, or a folder in the user's data folder.
pub(crate) fn localnet_data_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("PORTICO_DATA_DIR") {
        return Ok(dir.into());
    }
    let data = user_data_dir().context("no home folder is known; name a folder with --data-dir")?;
    Ok(data.join("portico").join("localnet"))
}

/// The user's data folder: `$XDG_DATA_HOME`, or what the platform uses instead.
fn user_data_dir() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let home = || variable("HOME");
    variable("XDG_DATA_HOME").or_else(|| match std::env::consts::OS {
        "macos" => Some(home()?.join("Library/Application Support")),
        "windows" => variable("LOCALAPPDATA"),
        _ => Some(home()?.join(".local/share")),
    })
}

/// Reads a private key: `text` is a key file, or the name of an actor of the local network (`application`, `gateway`, `faucet`, …).
pub(crate) fn key(text: &str) -> Result<SigningKey> {
    Ok(read_key_file(&key_file(text)?)?)
}

fn key_file(text: &str) -> Result<PathBuf> {
    let path = Path::new(text);
    if path.exists() {
        return Ok(path.to_owned());
    }
    if let Some(path) = actor_key_file(text) {
        return Ok(path);
    }
    bail!(
        "there is no key {text:?}: name a key file (portico keys generate FILE makes one) or an actor of the local network{}",
        actors()
    );
}

fn actor_key_file(name: &str) -> Option<PathBuf> {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let path = portico_localnet::key_file(&localnet_data_dir().ok()?, name);
    (plain && path.exists()).then_some(path)
}

/// `: a, b, c` for the actors of the local network, or nothing when there is none.
fn actors() -> String {
    let Ok(entries) = localnet_data_dir().and_then(|dir| Ok(std::fs::read_dir(dir.join("keys"))?)) else {
        return String::new();
    };
    let name = |entry: std::fs::DirEntry| Some(entry.path().file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = entries.flatten().filter_map(name).collect();
    names.sort();
    format!(": {}", names.join(", "))
}

/// An address, from `pokt1…`, from the name of an actor of the local network, or from a key file.
pub(crate) fn address(text: &str) -> Result<Address> {
    if text.starts_with(portico_protocol::types::ADDRESS_PREFIX) && !Path::new(text).exists() {
        return Ok(text.parse::<Address>()?);
    }
    key(text)
        .map(|key| key.address())
        .with_context(|| format!("{text:?} is not an address"))
}
