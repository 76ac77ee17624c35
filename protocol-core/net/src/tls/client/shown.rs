//! The certificate that is shown to who asks for one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use tokio::time::Instant;

use crate::tls::{Stamp, TlsError, certificates, private_key, provider};

/// Time between two looks at the files.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A certificate with its key, read again when the files change.
///
/// They are looked at in a handshake in which the server asks for a certificate: two questions to the file system every ten seconds, so that no
/// task has to run wherever something is dialled. Files that cannot be used, because one was written and the other not yet, are said in the
/// log and looked at again; until then the old ones are shown.
#[derive(Debug)]
pub(super) struct Shown {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    read: Arc<CertifiedKey>,
    stamp: Stamp,
    looked: Instant,
}

impl Shown {
    /// Reads the files; errs when they cannot be used. Blocks.
    pub(super) fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let stamp = Stamp::of([certificate, key]);
        let current = Current {
            read: Arc::new(read(certificate, key)?),
            stamp,
            looked: Instant::now(),
        };
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: Mutex::new(current),
        })
    }

    /// What the files hold now, or held when they could be used last.
    fn current(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.duration_since(current.looked) >= LOOK_AGAIN {
            current.looked = now;
            self.look(&mut current);
        }
        Arc::clone(&current.read)
    }

    fn look(&self, current: &mut Current) {
        let stamp = Stamp::of([self.certificate.as_path(), &self.key]);
        if stamp == current.stamp {
            return;
        }
        let file = self.certificate.display();
        match read(&self.certificate, &self.key) {
            Ok(read) => {
                (current.read, current.stamp) = (Arc::new(read), stamp);
                tracing::info!(%file, "the TLS certificate that is shown to servers was read again");
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%file, error, "the changed TLS certificate cannot be used; the old one is shown");
            }
        }
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let current = self.current();
        current.key.choose_scheme(schemes).is_some().then_some(current)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A certificate and the key that belongs to it.
fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let (chain, private) = (certificates(certificate)?, private_key(key)?);
    let pair = CertifiedKey::from_der(chain, private, &provider());
    pair.map_err(|source| TlsError::of_pair(certificate, key, source))
}
