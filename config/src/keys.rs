//! Private keys in the files that operators have: one key as hexadecimal text, the HA relay miner's key files, folders of either.
//!
//! | content | format |
//! |---|---|
//! | `0f3c…` (64 hexadecimal characters) | what `portico keys generate` and `pocketd keys export --unarmored-hex` write |
//! | `keys: ["0f3c…", …]` | the HA relay miner's `keys_file` |
//! | `operator_address: pokt1…`, `private_key_hex: "0f3c…"` | a file of the HA relay miner's `keys_dir`, YAML or JSON |
//!
//! A folder gives the keys of its files that end in `.hex`, `.key`, `.yaml`, `.yml` or `.json`, in the order of their names. Every file must be
//! accessible to its owner only.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use portico_protocol::{Address, SigningKey};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::secret::{Secret, SecretError, from_folder};

/// Most files of a folder, and most keys of a file, that are read.
pub const MAX_KEYS: usize = 10_000;
/// Ends of the names of key files in a folder.
const EXTENSIONS: [&str; 5] = ["hex", "key", "yaml", "yml", "json"];

/// A key and the file that it comes from.
#[derive(Clone)]
pub struct FoundKey {
    /// The key.
    pub key: SigningKey,
    /// Its file.
    pub file: PathBuf,
}

impl std::fmt::Debug for FoundKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FoundKey")
            .field("address", &self.key.address())
            .field("file", &self.file)
            .finish()
    }
}

/// A path of a configuration, with the keys that were read from it.
#[derive(Clone, Debug, Default)]
pub struct KeyFile {
    keys: Vec<Secret>,
}

impl KeyFile {
    /// The keys, once.
    pub(crate) fn take(&mut self) -> Vec<Secret> {
        std::mem::take(&mut self.keys)
    }
}

impl<'de> Deserialize<'de> for KeyFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        let found = read_keys(&from_folder(&path)).map_err(D::Error::custom)?;
        Ok(Self {
            keys: found.iter().map(|found| Secret::from(&found.key)).collect(),
        })
    }
}

impl JsonSchema for KeyFile {
    fn schema_name() -> Cow<'static, str> {
        "KeyFile".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "Path of a key file or of a folder of them; accessible to its owner only." })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    keys: Option<Vec<Secret>>,
    operator_address: Option<Address>,
    private_key_hex: Option<Secret>,
}

/// The keys of the file or folder at `path`; a folder without key files, and a file without keys, are errors.
///
/// # Errors
/// [`SecretError`], naming the file; never with a part of a key.
pub fn read_keys(path: &Path) -> Result<Vec<FoundKey>, SecretError> {
    let found = match path.is_dir() {
        true => folder(path)?,
        false => file(path)?,
    };
    match found.is_empty() {
        true => Err(content(path, "it holds no key")),
        false => Ok(found),
    }
}

fn folder(path: &Path) -> Result<Vec<FoundKey>, SecretError> {
    let unreadable = |source| SecretError::Read {
        path: path.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let extension = file.extension().and_then(|end| end.to_str()).unwrap_or_default();
        if file.is_file() && EXTENSIONS.contains(&extension) {
            files.push(file);
        }
        if files.len() > MAX_KEYS {
            return Err(content(path, &format!("it holds more than {MAX_KEYS} key files")));
        }
    }
    files.sort();
    let keys = files
        .iter()
        .map(|path| file(path))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(keys.into_iter().flatten().collect())
}

fn file(path: &Path) -> Result<Vec<FoundKey>, SecretError> {
    let text = Secret::read_up_to(path, MAX_FILE_BYTES)?;
    let found = |secret: &Secret| {
        let key = SigningKey::from_hex(secret.reveal().trim_start_matches("0x"));
        let key = key.map_err(|source| SecretError::Key {
            path: path.to_owned(),
            source,
        })?;
        Ok(FoundKey {
            key,
            file: path.to_owned(),
        })
    };
    if !text.reveal().contains(':') {
        return Ok(vec![found(&text)?]);
    }
    // The error may repeat the text, which is secret: only what was expected is told.
    let read = serde_saphyr::from_str::<Content>(text.reveal());
    let file = read.map_err(|_| {
        content(
            path,
            "expected `keys: [\"…\"]`, or `operator_address` and `private_key_hex`",
        )
    })?;
    match (file.keys, file.private_key_hex) {
        (Some(keys), None) if keys.len() <= MAX_KEYS => keys.iter().map(found).collect(),
        (None, Some(secret)) => {
            let found = found(&secret)?;
            let address = found.key.address();
            match file.operator_address {
                Some(stated) if stated != address => Err(content(
                    path,
                    &format!("its key is that of {address}, not of {stated} as it says"),
                )),
                _ => Ok(vec![found]),
            }
        }
        _ => Err(content(path, "expected either `keys` or `private_key_hex`")),
    }
}

/// Largest key file, in bytes: a list of [`MAX_KEYS`].
const MAX_FILE_BYTES: u64 = 1 << 20;

fn content(path: &Path, what: &str) -> SecretError {
    SecretError::Content {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    fn addresses(path: &Path) -> Vec<Address> {
        read_keys(path)
            .unwrap()
            .iter()
            .map(|found| found.key.address())
            .collect()
    }

    #[test]
    fn every_kind_of_file_gives_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = [key(1), key(2)];
        let hex = write(folder.path(), "a.hex", &format!("{}\n", one.to_hex()));
        assert_eq!(addresses(&hex), [one.address()]);
        let list = format!("keys:\n  - \"{}\"\n  - \"0x{}\"\n", one.to_hex(), two.to_hex());
        let list = write(folder.path(), "list.txt", &list);
        assert_eq!(addresses(&list), [one.address(), two.address()]);
        let json = format!(
            "{{\"operator_address\": \"{}\", \"private_key_hex\": \"{}\"}}",
            two.address(),
            two.to_hex()
        );
        let single = write(folder.path(), "b.json", &json);
        assert_eq!(addresses(&single), [two.address()]);
        assert_eq!(
            addresses(folder.path()),
            [one.address(), two.address()],
            "in the order of names, list.txt is no key file"
        );
    }

    #[test]
    fn what_is_wrong_is_told_without_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let secret = key(3).to_hex();
        let other = key(4).address();
        for (text, told) in [
            (
                format!("operator_address: {other}\nprivate_key_hex: \"{secret}\"\n"),
                "not of",
            ),
            (format!("keys: [\"{secret}\"]\nname: x\n"), "expected"),
            (format!("keys: [\"{secret}ff\"]\n"), "key file"),
            (format!("private_key: {secret}\n"), "expected"),
            ("keys: []\n".to_owned(), "no key"),
        ] {
            let error = read_keys(&write(folder.path(), "k.yaml", &text))
                .unwrap_err()
                .to_string();
            assert!(error.contains(told) && error.contains("k.yaml"), "{error}");
            assert!(!error.contains(&secret[..16]), "{error}");
        }
        std::fs::remove_file(folder.path().join("k.yaml")).unwrap();
        assert!(
            read_keys(folder.path())
                .unwrap_err()
                .to_string()
                .contains("no key")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "a.hex", &key(5).to_hex());
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        assert!(
            read_keys(folder.path())
                .unwrap_err()
                .to_string()
                .contains("chmod 600")
        );
    }
}
