//! TLS by rustls, at both ends.
//!
//! The one provider of cryptography is *ring*: it needs nothing but a C compiler (aws-lc-rs wants CMake, and takes minutes of a clean
//! build), and its throughput is not what limits a relay. It is named wherever a configuration is built, never installed for the process.
//!
//! Trusted are the public authorities that Mozilla lists (`webpki-roots`, a part of the binary, so that it works in an empty container and
//! trusts the same everywhere), and what the operator adds; `ca_file: /etc/ssl/certs/ca-certificates.crt` adds the system's.

mod client;
mod fault;
mod server;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use portico_config::{Secret, SecretError};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, RootCertStore, pki_types};

pub use client::ClientTls;
pub use fault::explain;
pub use server::ServerTls;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key's file cannot be read, or is open to everybody.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Not a PEM file of what is expected.
    #[error("{} holds no PEM {what}", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is expected.
        what: &'static str,
        /// Why.
        #[source]
        source: pki_types::pem::Error,
    },
    /// Certificate and key do not belong together.
    #[error("{} is not the key of {}", .key.display(), .certificate.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// Certificate or key cannot be used.
    #[error("{} cannot be used", .path.display())]
    Unusable {
        /// The file of the certificate.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// An authority's certificate cannot be trusted.
    #[error("{} holds a certificate that is no authority's", .path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The check of clients' certificates cannot be set up.
    #[error("clients' certificates cannot be checked")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

impl TlsError {
    /// What is wrong with a certificate and its key.
    fn of_pair(certificate: &Path, key: &Path, source: rustls::Error) -> Self {
        match source {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Self::Mismatch {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            },
            source => Self::Unusable {
                path: certificate.to_owned(),
                source,
            },
        }
    }
}

/// When files were changed last, and their lengths; nothing of those that cannot be looked at.
#[derive(Debug, PartialEq, Eq)]
struct Stamp(Vec<Option<(SystemTime, u64)>>);

impl Stamp {
    /// Blocks.
    fn of<'p>(files: impl IntoIterator<Item = &'p Path>) -> Self {
        let look = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self(files.into_iter().map(look).collect())
    }
}

/// See the module's page.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })?;
    let pem = |source| TlsError::Pem {
        path: path.to_owned(),
        what: "certificate",
        source,
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let read = read.map_err(pem)?;
    match read.is_empty() {
        true => Err(pem(pki_types::pem::Error::NoItemsFound)),
        false => Ok(read),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let secret = Secret::read(path)?;
    PrivateKeyDer::from_pem_slice(secret.reveal().as_bytes()).map_err(|source| TlsError::Pem {
        path: path.to_owned(),
        what: "private key",
        source,
    })
}

/// Adds the authorities of the file at `path`.
fn add_authorities(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|source| TlsError::Authority {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(())
}
