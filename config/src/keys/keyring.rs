//! Keyrings of the Cosmos SDK, as `pocketd keys add` makes them: the backends `test` and `file`.
//!
//! ```text
//! HOME/keyring-test/NAME.info     a JWE, by the password "test"
//! HOME/keyring-file/NAME.info     a JWE, by the operator's password
//!   └► JSON: Key, Data (base64) ─► protobuf: name, public key, and the private key where it is kept here
//! ```
//! Sources: `crypto/keyring` of cosmos-sdk v0.50, `file.go` of github.com/99designs/keyring. What keys hold in the system's store, or a Ledger, is
//! not here.

use std::path::{Path, PathBuf};

use portico_protocol::SigningKey;
use prost::Message;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{FoundKey, MAX_KEYS, content, jwe};
use crate::secret::{Secret, SecretError};

/// Largest file of a keyring, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// Password of the backend `test`.
const TEST_PASSWORD: &str = "test";
/// Private keys of this kind are those of accounts.
const PRIVATE_KEY: &str = "/cosmos.crypto.secp256k1.PrivKey";
const UNREADABLE: &str =
    "its record is none of Cosmos SDK 0.46 or later: `pocketd keys list` brings an older keyring up to date";

/// A backend of the Cosmos SDK that keeps its keys in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Backend {
    /// Encrypted with a password that everybody knows.
    #[default]
    Test,
    /// Encrypted with the operator's password.
    File,
}

impl Backend {
    /// Name of its folder below the home of `pocketd`.
    const fn folder(self) -> &'static str {
        match self {
            Self::Test => "keyring-test",
            Self::File => "keyring-file",
        }
    }
}

/// What a file decrypts to.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    data: Secret,
}

/// `cosmos.crypto.keyring.v1.Record`
#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "3")]
    local: Option<Local>,
}

/// `cosmos.crypto.keyring.v1.Record.Local`
#[derive(Clone, PartialEq, Message)]
struct Local {
    #[prost(message, optional, tag = "1")]
    key: Option<Any>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(message, optional, tag = "2")]
    key: Option<PrivateKey>,
}

/// `cosmos.crypto.secp256k1.PrivKey`
#[derive(Clone, PartialEq, Message)]
struct PrivateKey {
    #[prost(bytes = "vec", tag = "1")]
    bytes: Vec<u8>,
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.bytes);
    }
}

/// The keys of these `names` in the keyring below `home`, or all that are kept in it.
///
/// # Errors
/// [`SecretError`], naming the file; never with a part of a key or the password.
pub(super) fn read(
    home: &Path,
    backend: Backend,
    password: Option<&Secret>,
    names: &[String],
) -> Result<Vec<FoundKey>, SecretError> {
    let folder = home.join(backend.folder());
    let test = Secret::new(TEST_PASSWORD.to_owned());
    let password = match (backend, password) {
        (Backend::Test, None) => &test,
        (Backend::File, Some(password)) => password,
        (Backend::Test, Some(_)) => return Err(content(&folder, "the backend `test` takes no password")),
        (Backend::File, None) => return Err(content(&folder, "the backend `file` needs its `password`")),
    };
    let all = files(&folder)?;
    if names.is_empty() {
        let found = all.iter().filter_map(|file| local(file, password).transpose());
        return found.collect();
    }
    let named = |name: &String| {
        let file = folder.join(format!("{}.info", name.replace('/', "%2F")));
        if !all.contains(&file) {
            let known = all.iter().filter_map(|file| file.file_stem()?.to_str());
            let known = known.collect::<Vec<_>>().join(", ");
            return Err(content(&folder, &format!("it has no key {name:?}, but: {known}")));
        }
        let missing = || {
            content(
                &file,
                "its private key is not in the keyring: it is of a Ledger, offline or a multisig",
            )
        };
        local(&file, password)?.ok_or_else(missing)
    };
    names.iter().map(named).collect()
}

/// Files of keys, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, SecretError> {
    let unreadable = |source| SecretError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|end| end == "info") {
            files.push(file);
        }
        if files.len() > MAX_KEYS {
            return Err(content(folder, &format!("it holds more than {MAX_KEYS} keys")));
        }
    }
    files.sort();
    Ok(files)
}

/// The key in a file; `None` when only its public part is there.
fn local(file: &Path, password: &Secret) -> Result<Option<FoundKey>, SecretError> {
    let text = Secret::read_up_to(file, MAX_FILE_BYTES)?;
    let item =
        jwe::decrypt(text.reveal(), password.reveal()).map_err(|what| content(file, &what.to_string()))?;
    let unreadable = || content(file, UNREADABLE);
    let item = std::str::from_utf8(&item).map_err(|_| unreadable())?;
    let item: Item = serde_json::from_str(item).map_err(|_| unreadable())?;
    let data = Zeroizing::new(jwe::standard_base64(item.data.reveal()).ok_or_else(unreadable)?);
    let record = Record::decode(data.as_slice()).map_err(|_| unreadable())?;
    if record.name.is_empty() {
        return Err(unreadable());
    }
    let Some(local) = record.local else {
        return Ok(None);
    };
    let key = local.key.ok_or_else(unreadable)?;
    if key.kind != PRIVATE_KEY {
        return Err(content(
            file,
            &format!(
                "its key is a {}, and accounts of the network have {PRIVATE_KEY}",
                key.kind
            ),
        ));
    }
    let key = key.key.ok_or_else(unreadable)?;
    let bytes: Zeroizing<[u8; 32]> =
        Zeroizing::new(key.bytes.as_slice().try_into().map_err(|_| unreadable())?);
    let key = SigningKey::from_bytes(&bytes).map_err(|source| SecretError::Key {
        path: file.to_owned(),
        source,
    })?;
    Ok(Some(FoundKey {
        key,
        file: file.to_owned(),
    }))
}
