//! The HTTP client of the tools.

use std::time::Duration;

use portico_net::tls::ClientTls;

/// Longest wait for an answer: longer than a relay may take.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A client that does not wait for ever.
pub(crate) fn client() -> reqwest::Result<reqwest::Client> {
    ClientTls::public().http_client().timeout(TIMEOUT).build()
}

/// A client for answers of any length, that does not wait for ever for a part of one.
pub(crate) fn patient_client() -> reqwest::Result<reqwest::Client> {
    ClientTls::public().http_client().read_timeout(TIMEOUT).build()
}
