//! TLS: files for serving and for dialling.

use std::borrow::Cow;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::load::Faults;
use crate::secret::{Secret, from_folder};

/// What a PEM file has to hold.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";
const PRIVATE_KEY: &str = "PRIVATE KEY-----";
/// Largest file of certificates, in bytes: a whole system's trusted authorities are a quarter of it.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// Path of a file; a relative one starts at the folder of the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePath(PathBuf);

impl From<PathBuf> for FilePath {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Deref for FilePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(from_folder(&PathBuf::deserialize(deserializer)?)))
    }
}

impl JsonSchema for FilePath {
    fn schema_name() -> Cow<'static, str> {
        "FilePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Path of a file; a relative one starts at the folder of this file.",
            "type": "string"
        })
    }
}

/// How a listener speaks TLS. The files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// PEM file of the certificate, followed by those that lead to a trusted authority.
    pub cert_file: FilePath,
    /// PEM file of its private key (PKCS#8, PKCS#1 or SEC1), not accessible to every user.
    pub key_file: FilePath,
    /// PEM file of the authorities that sign clients' certificates. With it, only clients with such a certificate are served.
    pub client_ca_file: Option<FilePath>,
}

/// How TLS is spoken to others. Without it, the public authorities are trusted and no certificate is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTls {
    /// PEM file of authorities that are trusted besides the public ones.
    pub ca_file: Option<FilePath>,
    /// PEM file of a certificate to show to servers that ask for one, with those that lead to its authority.
    pub client_cert_file: Option<FilePath>,
    /// PEM file of its private key, not accessible to every user.
    pub client_key_file: Option<FilePath>,
}

impl ServerTls {
    /// Reports files that cannot be used, below `key`.
    pub(crate) fn validate(&self, key: &str, faults: &mut Faults) {
        faults.within(key, |faults| {
            certificates("cert_file", &self.cert_file, faults);
            private_key("key_file", &self.key_file, faults);
            if let Some(path) = &self.client_ca_file {
                certificates("client_ca_file", path, faults);
            }
        });
    }
}

impl ClientTls {
    /// Reports files that cannot be used, below `key`.
    pub(crate) fn validate(&self, key: &str, faults: &mut Faults) {
        faults.within(key, |faults| {
            if let Some(path) = &self.ca_file {
                certificates("ca_file", path, faults);
            }
            match (&self.client_cert_file, &self.client_key_file) {
                (Some(certificate), Some(key)) => {
                    certificates("client_cert_file", certificate, faults);
                    private_key("client_key_file", key, faults);
                }
                (Some(_), None) => faults.add("client_key_file", "must be set with client_cert_file"),
                (None, Some(_)) => faults.add("client_cert_file", "must be set with client_key_file"),
                (None, None) => {}
            }
        });
    }
}

fn certificates(key: &str, path: &Path, faults: &mut Faults) {
    let length = std::fs::metadata(path).map(|metadata| metadata.len());
    let text = length.and_then(|length| match length {
        0..=MAX_PEM_BYTES => std::fs::read_to_string(path),
        _ => Err(std::io::Error::other(format!(
            "larger than {MAX_PEM_BYTES} bytes"
        ))),
    });
    match text {
        Err(error) => faults.add(key, format!("{} cannot be read: {error}", path.display())),
        Ok(text) => faults.expect(
            text.contains(CERTIFICATE),
            key,
            format!("{} holds no PEM certificate", path.display()),
        ),
    }
}

fn private_key(key: &str, path: &Path, faults: &mut Faults) {
    match Secret::read(path) {
        Err(error) => faults.add(key, error.to_string()),
        Ok(secret) => faults.expect(
            secret.reveal().contains(PRIVATE_KEY),
            key,
            format!("{} holds no PEM private key", path.display()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::write_secret_file;

    fn faults(tls: &ServerTls) -> Vec<String> {
        let mut faults = Faults::default();
        tls.validate("tls", &mut faults);
        let line = |fault: &crate::Fault| format!("{}: {}", fault.key, fault.message);
        faults.found().iter().map(line).collect()
    }

    #[test]
    fn says_which_file_cannot_be_used_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| FilePath(folder.path().join(name));
        std::fs::write(&*path("cert.pem"), format!("{CERTIFICATE}\n")).unwrap();
        write_secret_file(
            &path("key.pem"),
            &Secret::new("-----BEGIN PRIVATE KEY-----".into()),
        )
        .unwrap();
        let mut tls = ServerTls {
            cert_file: path("cert.pem"),
            key_file: path("key.pem"),
            client_ca_file: None,
        };
        assert!(faults(&tls).is_empty());
        tls.cert_file = path("key.pem");
        tls.key_file = path("cert.pem");
        tls.client_ca_file = Some(path("none.pem"));
        let found = faults(&tls);
        assert!(found[0].starts_with("tls.cert_file: ") && found[0].ends_with("holds no PEM certificate"));
        assert!(
            found[1].contains("is open to other users of this machine"),
            "{found:?}"
        );
        assert!(found[2].starts_with("tls.client_ca_file: ") && found[2].contains("cannot be read"));
    }

    #[test]
    fn a_client_certificate_comes_with_its_key() {
        let tls = ClientTls {
            client_cert_file: Some(FilePath::default()),
            ..ClientTls::default()
        };
        let mut faults = Faults::default();
        tls.validate("chain.tls", &mut faults);
        assert_eq!(faults.found()[0].key, "chain.tls.client_key_file");
    }
}
