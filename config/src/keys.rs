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
//!
//! In place of a path stands what else keys come from:
//!
//! ```yaml
//! key_files:
//!   - {keyring: /home/pocket/.pocket, names: [operator-1]}                          # pocketd's keyring-test
//!   - {keyring: /home/pocket/.pocket, backend: file, password: {file: password}}    # keyring-file, all of its keys
//!   - {mnemonic: {file: words}, path: "m/44'/118'/0'/0/1"}
//! ```

mod jwe;
mod keyring;
mod mnemonic;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use portico_protocol::{Address, SigningKey};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use self::keyring::Backend;
use crate::secret::{Secret, SecretError, from_folder};

pub use self::mnemonic::FIRST_ACCOUNT;

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
        deserializer.deserialize_any(SourceVisitor)
    }
}

/// What keys come from that are in no key file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    keyring: Option<PathBuf>,
    backend: Option<Backend>,
    password: Option<Secret>,
    #[serde(default)]
    names: Vec<String>,
    mnemonic: Option<Secret>,
    path: Option<String>,
    passphrase: Option<Secret>,
}

impl Source {
    fn read(self) -> Result<Vec<Secret>, String> {
        let of_keyring = self.backend.is_some() || self.password.is_some() || !self.names.is_empty();
        let of_mnemonic = self.path.is_some() || self.passphrase.is_some();
        match (self.keyring, self.mnemonic) {
            (Some(home), None) if !of_mnemonic => {
                let backend = self.backend.unwrap_or_default();
                let home = from_folder(&home);
                let found = keyring::read(&home, backend, self.password.as_ref(), &self.names);
                let found = found.map_err(|error| error.to_string())?;
                match found.is_empty() {
                    true => Err(format!("the keyring below {} holds no private key", home.display())),
                    false => Ok(found.iter().map(|found| Secret::from(&found.key)).collect()),
                }
            }
            (None, Some(words)) if !of_keyring => {
                let passphrase = self.passphrase.unwrap_or_default();
                let path = self.path.as_deref().unwrap_or(FIRST_ACCOUNT);
                let key = mnemonic::derive(words.reveal(), passphrase.reveal(), path);
                Ok(vec![Secret::from(&key.map_err(|error| error.to_string())?)])
            }
            _ => Err(
                "expected a path; or `keyring` with `backend`, `password` and `names`; or `mnemonic` with `path` and `passphrase`"
                    .to_owned(),
            ),
        }
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = KeyFile;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the path of a key file or folder, {keyring: …} or {mnemonic: …}")
    }

    fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<KeyFile, E> {
        let found = read_keys(&from_folder(Path::new(path))).map_err(E::custom)?;
        Ok(KeyFile {
            keys: found.iter().map(|found| Secret::from(&found.key)).collect(),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<KeyFile, A::Error> {
        let source = Source::deserialize(MapAccessDeserializer::new(access))?;
        let keys = source.read().map_err(A::Error::custom)?;
        Ok(KeyFile { keys })
    }
}

impl JsonSchema for KeyFile {
    fn schema_name() -> Cow<'static, str> {
        "KeyFile".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = generator.subschema_for::<Secret>();
        json_schema!({
            "description": "Where keys come from: a key file or a folder of them, accessible to its owner only; a keyring of the Cosmos SDK; a mnemonic.",
            "oneOf": [
                { "type": "string", "description": "Path of a key file or of a folder of them." },
                {
                    "type": "object",
                    "properties": {
                        "keyring": { "type": "string", "description": "Home of pocketd, below which the folder `keyring-test` or `keyring-file` is." },
                        "backend": { "enum": ["test", "file"], "description": "Default `test`." },
                        "password": secret.clone(),
                        "names": { "type": "array", "items": { "type": "string" }, "description": "Default: all keys that are kept in it." }
                    },
                    "required": ["keyring"],
                    "additionalProperties": false
                },
                {
                    "type": "object",
                    "properties": {
                        "mnemonic": secret.clone(),
                        "path": { "type": "string", "description": "BIP-32 path. Default `m/44'/118'/0'/0/0`." },
                        "passphrase": secret
                    },
                    "required": ["mnemonic"],
                    "additionalProperties": false
                }
            ]
        })
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

    /// Keyrings that the Cosmos SDK itself wrote, with what it says of their keys.
    const KEYRINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/cosmos-keyring-0.50");

    /// A copy of the keyrings, for its owner only as pocketd leaves them.
    fn keyrings() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for backend in ["keyring-test", "keyring-file"] {
            std::fs::create_dir(home.path().join(backend)).unwrap();
            for entry in std::fs::read_dir(Path::new(KEYRINGS).join(backend)).unwrap() {
                let from = entry.unwrap().path();
                let name = from.file_name().unwrap().to_str().unwrap();
                write(
                    &home.path().join(backend),
                    name,
                    &std::fs::read_to_string(&from).unwrap(),
                );
            }
        }
        home
    }

    /// Lines of `keys.txt`: backend, name, address, key, between tabs.
    fn expected(backend: &str, name: Option<&str>) -> Vec<String> {
        let text = std::fs::read_to_string(Path::new(KEYRINGS).join("keys.txt")).unwrap();
        let lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        lines
            .filter(|line| line[0] == backend && name.is_none_or(|name| line[1] == name))
            .map(|line| line[3].to_owned())
            .collect()
    }

    fn from_yaml(home: &Path, yaml: &str) -> Result<Vec<String>, String> {
        let read = || serde_saphyr::from_str::<Vec<KeyFile>>(yaml).map_err(|error| error.to_string());
        let files = crate::secret::with_folder(home, read)?;
        let keys = files.into_iter().flat_map(|mut file| file.take());
        let mut keys: Vec<String> = keys.map(|key| key.reveal().to_owned()).collect();
        keys.sort();
        Ok(keys)
    }

    #[test]
    fn keyrings_of_the_cosmos_sdk_give_the_keys_that_it_exports() {
        let home = keyrings();
        write(home.path(), "password", "correct horse\n");
        for (backend, yaml) in [
            ("test", "keyring: ."),
            (
                "file",
                "keyring: .\n  backend: file\n  password: {file: password}",
            ),
        ] {
            let mut all = expected(backend, None);
            all.sort();
            assert_eq!(all.len(), 2);
            assert_eq!(
                from_yaml(home.path(), &format!("- {yaml}\n")).unwrap(),
                all,
                "{backend}"
            );
            for name in ["operator-1", "operator 2"] {
                let one = from_yaml(home.path(), &format!("- {yaml}\n  names: [\"{name}\"]\n"));
                assert_eq!(one.unwrap(), expected(backend, Some(name)), "{backend} {name}");
            }
        }
    }

    #[test]
    fn a_mnemonic_gives_the_keys_that_the_cosmos_sdk_derives() {
        let home = tempfile::tempdir().unwrap();
        write(home.path(), "words", &("abandon ".repeat(11) + "about\n"));
        let first = from_yaml(home.path(), "- mnemonic: {file: words}\n").unwrap();
        assert_eq!(first, expected("test", Some("operator-1")));
        let second = from_yaml(
            home.path(),
            "- mnemonic: {file: words}\n  path: \"m/44'/118'/1'/0/0\"\n",
        );
        assert_eq!(second.unwrap(), expected("test", Some("operator 2")));
    }

    #[test]
    fn what_is_wrong_with_a_source_is_told() {
        let home = keyrings();
        write(home.path(), "password", "wrong horse");
        let file = home.path().join("keyring-test/operator-1.info");
        let sealed = std::fs::read_to_string(&file).unwrap();
        let (start, tag) = sealed.trim().rsplit_once('.').unwrap();
        let flipped = if tag.starts_with('A') { "B" } else { "A" };
        write(
            &home.path().join("keyring-test"),
            "changed.info",
            &format!("{start}.{flipped}{}", &tag[1..]),
        );
        write(&home.path().join("keyring-test"), "none.info", "none");
        for (yaml, told) in [
            (
                "{keyring: ., backend: file, password: {file: password}}",
                "the password does not fit",
            ),
            ("{keyring: ., backend: file}", "needs its `password`"),
            ("{keyring: ., password: test}", "takes no password"),
            (
                "{keyring: ., names: [operator-3]}",
                "it has no key \"operator-3\", but: changed, none, only-public, operator 2, operator-1",
            ),
            ("{keyring: ., names: [only-public]}", "offline"),
            ("{keyring: ., names: [changed]}", "its seal does not fit"),
            ("{keyring: ., names: [none]}", "no JWE"),
            ("{keyring: nowhere}", "nowhere"),
            ("{mnemonic: abandon abandon}", "12, 15, 18, 21 or 24 words"),
            ("{keyring: ., mnemonic: x}", "expected a path; or `keyring`"),
            ("{keyring: ., path: x}", "expected a path; or `keyring`"),
            ("{backend: test}", "expected a path; or `keyring`"),
            ("{keyrings: .}", "keyrings"),
        ] {
            let error = from_yaml(home.path(), &format!("- {yaml}\n")).unwrap_err();
            assert!(error.contains(told), "{yaml}: {error}");
        }
    }

    /// The files of a keyring are as secret as key files: `pocketd` makes them so.
    #[cfg(unix)]
    #[test]
    fn a_keyring_that_others_can_read_is_refused() {
        let home = keyrings();
        let file = home.path().join("keyring-test/operator-1.info");
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let error = from_yaml(home.path(), "- keyring: .\n").unwrap_err();
        assert!(error.contains("chmod 600"), "{error}");
    }
}
