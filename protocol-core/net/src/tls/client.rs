//! Speaking TLS to others.

mod shown;

use std::sync::Arc;

use portico_config::tls::ClientTls as Files;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use self::shown::Shown;
use super::{TlsError, add_authorities, provider};

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// Whom is trusted, and which certificate is shown to who asks; that one is read again when its files change. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// Reads the files; errs when they cannot be used. Blocks.
    pub fn open(files: &Files) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(path) = &files.ca_file {
            add_authorities(&mut roots, path)?;
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .expect("ring has cipher suites for both versions")
            .with_root_certificates(roots);
        let (Some(certificate), Some(key)) = (&files.client_cert_file, &files.client_key_file) else {
            return Ok(Self(Arc::new(builder.with_no_client_auth())));
        };
        let shown = Shown::open(certificate, key)?;
        Ok(Self(Arc::new(builder.with_client_cert_resolver(Arc::new(shown)))))
    }

    /// Trusts the public authorities only.
    #[must_use]
    pub fn public() -> Self {
        Self::open(&Files::default()).expect("nothing is read")
    }

    /// A builder of HTTP clients. They speak HTTP/1.1 also where the server would speak HTTP/2: each request has a connection of a pool to
    /// itself, so that a slow answer holds up no other. A `reqwest` client that is built in another way has no TLS in this workspace.
    pub fn http_client(&self) -> reqwest::ClientBuilder {
        #[expect(clippy::disallowed_methods, reason = "the one place that gives it TLS")]
        let builder = reqwest::Client::builder();
        builder.tls_backend_preconfigured(self.with_alpn(&[HTTP1]))
    }

    /// A client of the defaults, which trusts the public authorities.
    #[must_use]
    pub fn public_http() -> reqwest::Client {
        let built = Self::public().http_client().build();
        built.expect("nothing that can fail was configured")
    }

    /// For gRPC, which is HTTP/2.
    pub(crate) fn grpc(&self) -> TlsConnector {
        TlsConnector::from(Arc::new(self.with_alpn(&[HTTP2])))
    }

    /// For WebSockets, which begin as HTTP/1.1.
    pub(crate) fn websocket(&self) -> TlsConnector {
        TlsConnector::from(Arc::new(self.with_alpn(&[HTTP1])))
    }

    fn with_alpn(&self, protocols: &[&[u8]]) -> ClientConfig {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }
}
