//! Serving TLS from PEM files that may change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portico_config::tls::ServerTls as Files;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Stamp, TlsError, add_authorities, certificates, private_key, provider};

/// Time between two looks at the files.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// Protocols that a listener speaks, by preference.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its key, read again when the files change.
///
/// A connection keeps what it was begun with. Files that cannot be used, because one was written and the other not yet, are said in the log
/// and looked at again; until then the old ones serve.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: Files,
    current: Mutex<(Stamp, Arc<ServerConfig>)>,
}

impl ServerTls {
    /// Reads the files; errs when they cannot be used. Blocks.
    pub fn open(files: &Files) -> Result<Self, TlsError> {
        let read = (stamp(files), Arc::new(config(files)?));
        Ok(Self(Arc::new(Inner {
            files: files.clone(),
            current: Mutex::new(read),
        })))
    }

    /// For the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.lock().1))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Stamp, Arc<ServerConfig>)> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files again if they changed; whether that gave something new. Blocks.
    fn reload(&self) -> Result<bool, TlsError> {
        let now = stamp(&self.0.files);
        if self.lock().0 == now {
            return Ok(false);
        }
        let read = Arc::new(config(&self.0.files)?);
        *self.lock() = (now, read);
        Ok(true)
    }

    /// Follows the files until `stop`.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            let tls = self.clone();
            let file = self.0.files.cert_file.display();
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Ok(true)) => tracing::info!(%file, "the TLS certificate was read again"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%file, error, "the changed TLS certificate cannot be used; the old one is");
                }
                Err(error) => tracing::warn!(%error, "the TLS certificate was not looked at"),
            }
        }
    }
}

fn stamp(files: &Files) -> Stamp {
    let own = [&*files.cert_file, &*files.key_file];
    Stamp::of(own.into_iter().chain(files.client_ca_file.as_deref()))
}

fn config(files: &Files) -> Result<ServerConfig, TlsError> {
    let unusable = |source| TlsError::of_pair(&files.cert_file, &files.key_file, source);
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &files.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            add_authorities(&mut roots, path)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let (chain, key) = (certificates(&files.cert_file)?, private_key(&files.key_file)?);
    let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

#[cfg(test)]
mod tests;
