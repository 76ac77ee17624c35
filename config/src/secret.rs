//! Values that never reach a log, and the files they come from.
//!
//! In YAML a secret is a text, or better `{file: path}` (relative to the file that says so). Key files hold one line and must not be
//! accessible to their group or to everybody; systemd's credentials may be readable to a group, since it lets the service at them by a list
//! of access rights, which shows as the group's.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use portico_protocol::SigningKey;
use portico_protocol::keys::KeyError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use zeroize::Zeroizing;

/// Largest secret file, in bytes.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// Why a secret cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("key file {} cannot be read: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("key file {} cannot be written: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file's permissions let its group, or every user of the machine, at it.
    #[error(
        "key file {} is open to other users of this machine (mode {mode:04o}); run: chmod 600 {}",
        .path.display(),
        .path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Larger than a secret.
    #[error("key file {} is too large", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not what a key file holds.
    #[error("key file {}: {what}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Not a private key.
    #[error("key file {}: {source}", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
}

/// A text that `Debug` and `Display` do not show, and whose memory is wiped on drop. Empty by default.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Reads the file at `path` without surrounding white space; refuses one that its group or every user of the machine can access.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        Self::read_up_to(path, MAX_SECRET_BYTES)
    }

    /// As [`Self::read`], for files of up to `max_bytes`.
    pub(crate) fn read_up_to(path: &Path, max_bytes: u64) -> Result<Self, SecretError> {
        let unreadable = |source| SecretError::Read {
            path: path.to_owned(),
            source,
        };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        check_mode(path, &metadata)?;
        if metadata.len() > max_bytes {
            return Err(SecretError::TooLarge {
                path: path.to_owned(),
            });
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?);
        Ok(Self::new(text.trim().to_owned()))
    }

    /// The text itself: for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text as a private key of 64 hexadecimal characters.
    pub fn signing_key(&self) -> Result<SigningKey, KeyError> {
        SigningKey::from_hex(self.reveal())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&SigningKey> for Secret {
    fn from(key: &SigningKey) -> Self {
        Self::new(key.to_hex())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Reads a private key from a file of 64 hexadecimal characters.
pub fn read_key_file(path: &Path) -> Result<SigningKey, SecretError> {
    Secret::read(path)?
        .signing_key()
        .map_err(|source| SecretError::Key {
            path: path.to_owned(),
            source,
        })
}

/// Writes a private key to a new file with mode 0600; errs when the file exists.
pub fn write_key_file(path: &Path, key: &SigningKey) -> Result<(), SecretError> {
    write_secret_file(path, &key.into())
}

/// Writes a secret and a line end to a new file with mode 0600; errs when the file exists.
pub fn write_secret_file(path: &Path, secret: &Secret) -> Result<(), SecretError> {
    let unwritable = |source| SecretError::Write {
        path: path.to_owned(),
        source,
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(unwritable)?;
    let line = Zeroizing::new(format!("{}\n", secret.reveal()));
    file.write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(unwritable)
}

#[cfg(unix)]
fn check_mode(path: &Path, metadata: &std::fs::Metadata) -> Result<(), SecretError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o7777;
    match mode & others(path, std::env::var_os("CREDENTIALS_DIRECTORY").as_deref()) {
        0 => Ok(()),
        _ => Err(SecretError::Open {
            path: path.to_owned(),
            mode,
        }),
    }
}

/// Bits of a key file's mode that must not be set. In the folder of systemd's credentials, whose mode keeps everybody else out, the group
/// may read: the mask of the list of access rights stands there.
#[cfg(unix)]
fn others(path: &Path, credentials: Option<&std::ffi::OsStr>) -> u32 {
    match credentials.filter(|folder| !folder.is_empty()) {
        Some(folder) if path.parent() == Some(Path::new(folder)) => 0o037,
        _ => 0o077,
    }
}

#[cfg(not(unix))]
fn check_mode(_: &Path, _: &std::fs::Metadata) -> Result<(), SecretError> {
    Ok(())
}

thread_local! {
    /// Folder of the file that this thread is reading: serde gives a value no other way to know it.
    static FOLDER: RefCell<PathBuf> = const { RefCell::new(PathBuf::new()) };
}

/// Runs `read` with relative paths of secrets and certificates starting at `folder`.
pub(crate) fn with_folder<T>(folder: &Path, read: impl FnOnce() -> T) -> T {
    let outer = FOLDER.replace(folder.to_owned());
    let result = read();
    FOLDER.set(outer);
    result
}

/// `path`, from the folder of the file that this thread is reading when it is relative.
pub(crate) fn from_folder(path: &Path) -> PathBuf {
    FOLDER.with_borrow(|folder| folder.join(path))
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

/// Numbers and the like: YAML has lost how they were written, and the usual message would show them.
macro_rules! refused {
    ($($method:ident: $kind:ty),*) => {
        $(fn $method<E: serde::de::Error>(self, _: $kind) -> Result<Secret, E> {
            Err(E::custom("a secret that reads as a number or a word of YAML must be quoted"))
        })*
    };
}

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quoted text, or {file: path}")
    }

    refused!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64);

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::new(text.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Secret, A::Error> {
        let mut path: Option<PathBuf> = None;
        while let Some(key) = access.next_key::<String>()? {
            match key.as_str() {
                "file" if path.is_none() => path = Some(access.next_value()?),
                "file" => return Err(A::Error::duplicate_field("file")),
                other => return Err(A::Error::unknown_field(other, &["file"])),
            }
        }
        let path = path.ok_or_else(|| A::Error::missing_field("file"))?;
        Secret::read(&from_folder(&path)).map_err(A::Error::custom)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret: the text itself, or better the file that holds it.",
            "oneOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "file": { "type": "string", "description": "Path; accessible to its owner only." } },
                    "required": ["file"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

#[cfg(test)]
mod tests;
