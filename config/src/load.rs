//! Reading a file: shape, environment, meaning.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::locate::Lines;
use crate::secret::{self, Secret};

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// The keys of one role.
pub trait Config: DeserializeOwned + JsonSchema {
    /// Reports everything that is well-formed but wrong: ranges, contradictions, what is missing.
    fn validate(&self, faults: &mut Faults);

    /// Takes secrets from the environment; what is set there replaces what the file says.
    fn take_secrets(&mut self, _environment: &Environment<'_>) {}
}

/// Environment variables, read through a function so that tests bring their own.
pub struct Environment<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
}

impl Environment<'_> {
    /// The secret in the variable `name` (`PORTICO_…`), without surrounding white space as from a file, if it is set and not empty.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Secret> {
        let value = Zeroizing::new((self.read)(name)?);
        let value = value.trim();
        (!value.is_empty()).then(|| Secret::new(value.to_owned()))
    }

    /// The comma-separated secrets in the variable `name`, if it is set and not empty.
    #[must_use]
    pub fn secrets(&self, name: &str) -> Option<Vec<Secret>> {
        let list = self.secret(name)?;
        Some(
            list.reveal()
                .split(',')
                .map(|part| Secret::new(part.trim().to_owned()))
                .collect(),
        )
    }
}

/// Something that is wrong in meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Path of the key, e.g. `services[1].url`; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what is expected.
    pub message: String,
    /// Line of the key, or of the nearest parent that the file has; 0 when nothing of it is in the file.
    pub line: u64,
}

/// Collects what [`Config::validate`] finds.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    prefix: String,
    found: Vec<Fault>,
}

impl Faults {
    /// Reports that the value at `key` (relative to the current prefix) is wrong.
    pub fn add(&mut self, key: &str, message: impl Into<String>) {
        let key = self.path(key);
        self.found.push(Fault {
            key,
            message: message.into(),
            line: 0,
        });
    }

    /// Reports `message` unless `holds`.
    pub fn expect(&mut self, holds: bool, key: &str, message: impl Into<String>) {
        if !holds {
            self.add(key, message);
        }
    }

    /// Runs `check` with `key` (e.g. `services[1]`) in front of all keys that it reports.
    pub fn within(&mut self, key: &str, check: impl FnOnce(&mut Self)) {
        let inner = self.path(key);
        let outer = std::mem::replace(&mut self.prefix, inner);
        check(self);
        self.prefix = outer;
    }

    /// What was found so far.
    #[must_use]
    pub fn found(&self) -> &[Fault] {
        &self.found
    }

    /// The `config` of the file at `path`, whose text is `text`, unless something was found.
    fn verdict<T>(self, config: T, path: &Path, text: &str) -> Result<T, ConfigError> {
        match self.found {
            found if found.is_empty() => Ok(config),
            found => Err(ConfigError::Meaning {
                path: path.to_owned(),
                faults: placed(found, text),
            }),
        }
    }

    fn path(&self, key: &str) -> String {
        match (self.prefix.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (_, true) => self.prefix.clone(),
            _ => format!("{}.{key}", self.prefix),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("{} is larger than {MAX_FILE_BYTES} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not YAML, an unknown key, or a value of another type.
    #[error("{}:{line}: {message}", .path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Line of the value, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// Well-formed, but wrong: all that was found, one per line.
    #[error("{}", meaning(.path, .faults))]
    Meaning {
        /// The file.
        path: PathBuf,
        /// What was found, in the order of the file's lines.
        faults: Vec<Fault>,
    },
}

fn meaning(path: &Path, faults: &[Fault]) -> String {
    let line = |fault: &Fault| {
        let place = match fault.line {
            0 => path.display().to_string(),
            line => format!("{}:{line}", path.display()),
        };
        match fault.key.as_str() {
            "" => format!("{place}: {}", fault.message),
            key => format!("{place}: {key}: {}", fault.message),
        }
    };
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Reads, completes and validates the file at `path`; environment variables replace secrets.
pub fn load<T: Config>(path: &Path) -> Result<T, ConfigError> {
    load_with(path, &|name| std::env::var(name).ok())
}

/// As [`load`]; of a file in which nothing wrong was found, `check` reports what takes more to see than this crate has.
pub fn load_checked<T: Config>(path: &Path, check: impl FnOnce(&T, &mut Faults)) -> Result<T, ConfigError> {
    let text = read(path)?;
    let config = parse(path, &text, &|name| std::env::var(name).ok())?;
    let mut faults = Faults::default();
    check(&config, &mut faults);
    faults.verdict(config, path, &text)
}

/// As [`load`], with the environment as an argument.
pub fn load_with<T: Config>(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<T, ConfigError> {
    parse(path, &read(path)?, environment)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
        });
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// As [`load_with`], from the `text` of the file at `path`; relative paths in it start at the folder of `path`.
pub fn parse<T: Config>(
    path: &Path,
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<T, ConfigError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let read = secret::with_folder(folder, || serde_saphyr::from_str::<T>(text));
    let mut config = read.map_err(|error| shape(path, text, &error))?;
    config.take_secrets(&Environment { read: environment });
    let mut faults = Faults::default();
    config.validate(&mut faults);
    faults.verdict(config, path, text)
}

fn shape(path: &Path, text: &str, error: &serde_saphyr::Error) -> ConfigError {
    use serde_saphyr::MessageFormatter;
    let said = serde_saphyr::UserMessageFormatter.format_message(error.without_snippet());
    let line = error.location().map_or(1, |location| location.line());
    let named = said.contains(" field ");
    let message = match Lines::of(text).key_at(line).filter(|_| !named) {
        Some(key) => format!("{key}: {said}"),
        None => said.into_owned(),
    };
    ConfigError::Shape {
        path: path.to_owned(),
        line,
        message: message.replace('\n', " "),
    }
}

fn placed(mut faults: Vec<Fault>, text: &str) -> Vec<Fault> {
    let lines = Lines::of(text);
    for fault in &mut faults {
        fault.line = lines.nearest(&fault.key);
    }
    faults.sort_by_key(|fault| fault.line);
    faults
}

/// JSON schema of `T`'s files, for editors.
#[must_use]
pub fn schema<T: Config>() -> schemars::Schema {
    schemars::schema_for!(T)
}

#[cfg(test)]
mod tests;
