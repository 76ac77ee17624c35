//! What listeners count.

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Connections of all listeners of a process, by the listener's name.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    connections: IntGaugeVec,
    refused: IntCounterVec,
}

/// Those of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) connections: IntGauge,
    refused: IntCounterVec,
    listener: &'static str,
}

impl ListenerMetrics {
    /// Registers `portico_listener_connections` and `portico_listener_refused_total`; errs when `registry` has them already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let connections = IntGaugeVec::new(
            Opts::new(
                "portico_listener_connections",
                "Connections of clients, by listener.",
            ),
            &["listener"],
        )?;
        let refused = IntCounterVec::new(
            Opts::new(
                "portico_listener_refused_total",
                "Connections and requests that the listener refused or cut off, by listener and reason.",
            ),
            &["listener", "reason"],
        )?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self { connections, refused })
    }

    pub(crate) fn counts(&self, listener: &'static str) -> Counts {
        Counts {
            connections: self.connections.with_label_values(&[listener]),
            refused: self.refused.clone(),
            listener,
        }
    }
}

impl Counts {
    pub(crate) fn failed_handshake(&self, peer: std::net::SocketAddr, error: &std::io::Error) {
        self.refused("tls");
        let reason = crate::tls::explain(error).unwrap_or_else(|| error.to_string());
        tracing::debug!(%peer, reason, "no TLS handshake");
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[self.listener, reason]).inc();
    }
}
