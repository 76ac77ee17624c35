//! Bounds of a listener: what clients of the gateway, the servicer and the node may hold, and for how long.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::load::Faults;

/// Most connections that may be allowed.
const MAX_CONNECTIONS: usize = 1_000_000;
/// Longest time that may be set, in milliseconds: one hour.
const MAX_TIME_MS: u64 = 3_600_000;
/// Smallest and largest head that may be allowed, in bytes.
const HEAD_BYTES: std::ops::RangeInclusive<usize> = (8 << 10)..=(1 << 20);
/// Most HTTP/2 streams that may be allowed on one connection.
const MAX_STREAMS: u32 = 10_000;
/// Most bytes of bodies that may be allowed: 64 GiB.
const MAX_BYTES: u64 = 64 << 30;

/// Time-outs and bounds of the connections that clients open. The defaults suit a public endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerConfig {
    /// Connections held at the same time. Beyond it the longest idle ones are closed; when none is idle, new ones wait in the system's
    /// queue. Default 10000.
    pub max_connections: usize,
    /// Connections of one IP address (IPv6: of one /64 network) held at the same time. Beyond it the longest idle ones of that address are
    /// closed; when none is idle, new ones are closed at once. Raise it behind a proxy, where all clients share one address.
    /// Default 1024.
    pub max_connections_per_ip: usize,
    /// Time for a new connection to send its first byte, and for a TLS handshake, in milliseconds. Default 10000.
    pub first_byte_timeout_ms: u64,
    /// Time for the whole head of a request, from its first byte, in milliseconds. Default 10000.
    pub head_timeout_ms: u64,
    /// Longest pause between two pieces of a request's body, in milliseconds. Default 10000.
    pub body_timeout_ms: u64,
    /// Longest time for which a client may take nothing of an answer, or less than 16 KiB of what waits, in milliseconds; then the connection
    /// is cut off. Default 20000.
    pub write_timeout_ms: u64,
    /// Longest time without a request: HTTP/1 keep-alive, HTTP/2 without streams. In milliseconds. Default 75000, more than the network's
    /// gateways keep a connection.
    pub idle_timeout_ms: u64,
    /// Silence after which an HTTP/2 client is asked for a sign of life, and time for that sign, in milliseconds. Default 20000.
    pub ping_interval_ms: u64,
    /// Largest head of a request (request line and headers), in bytes. Default 32768.
    pub max_head_bytes: usize,
    /// HTTP/2 streams at the same time on one connection. Default 128.
    pub max_streams: u32,
    /// Bytes of request bodies held at the same time, over all connections, from their arrival until the answer begins. Beyond it requests
    /// are refused with 503. Default 67108864 (64 MiB).
    pub max_bytes_in_flight: u64,
    /// Bytes of a body that are read and discarded after an early refusal, so that the client sees the answer. Default 134217728 (128 MiB).
    pub max_discarded_bytes: u64,
    /// Longest time for discarding them, in milliseconds. Default 10000.
    pub discard_timeout_ms: u64,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_ip: 1_024,
            first_byte_timeout_ms: 10_000,
            head_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            write_timeout_ms: 20_000,
            idle_timeout_ms: 75_000,
            ping_interval_ms: 20_000,
            max_head_bytes: 32 << 10,
            max_streams: 128,
            max_bytes_in_flight: 64 << 20,
            max_discarded_bytes: 128 << 20,
            discard_timeout_ms: 10_000,
        }
    }
}

impl ListenerConfig {
    /// Reports what is out of range, below the key `listener`.
    pub(crate) fn validate(&self, faults: &mut Faults) {
        faults.within("listener", |faults| self.validate_within(faults));
    }

    fn validate_within(&self, faults: &mut Faults) {
        for (key, value) in [
            ("max_connections", self.max_connections),
            ("max_connections_per_ip", self.max_connections_per_ip),
        ] {
            let holds = (1..=MAX_CONNECTIONS).contains(&value);
            faults.expect(holds, key, format!("must be 1 to {MAX_CONNECTIONS}"));
        }
        for (key, value) in [
            ("first_byte_timeout_ms", self.first_byte_timeout_ms),
            ("head_timeout_ms", self.head_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
            ("ping_interval_ms", self.ping_interval_ms),
            ("discard_timeout_ms", self.discard_timeout_ms),
        ] {
            let holds = (1..=MAX_TIME_MS).contains(&value);
            faults.expect(holds, key, format!("must be 1 to {MAX_TIME_MS}"));
        }
        faults.expect(
            HEAD_BYTES.contains(&self.max_head_bytes),
            "max_head_bytes",
            format!("must be {} to {}", HEAD_BYTES.start(), HEAD_BYTES.end()),
        );
        faults.expect(
            (1..=MAX_STREAMS).contains(&self.max_streams),
            "max_streams",
            format!("must be 1 to {MAX_STREAMS}"),
        );
        faults.expect(
            (1..=MAX_BYTES).contains(&self.max_bytes_in_flight),
            "max_bytes_in_flight",
            format!("must be 1 to {MAX_BYTES}"),
        );
        faults.expect(
            self.max_discarded_bytes <= MAX_BYTES,
            "max_discarded_bytes",
            format!("must be at most {MAX_BYTES}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::ListenerConfig;
    use crate::load::Faults;

    fn faults(config: &ListenerConfig) -> Vec<String> {
        let mut faults = Faults::default();
        config.validate(&mut faults);
        faults.found().iter().map(|fault| fault.key.clone()).collect()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert!(faults(&ListenerConfig::default()).is_empty());
    }

    #[test]
    fn names_every_key_out_of_range() {
        let config = ListenerConfig {
            max_connections_per_ip: 0,
            idle_timeout_ms: 0,
            max_head_bytes: 100,
            max_streams: 0,
            max_bytes_in_flight: 0,
            ..ListenerConfig::default()
        };
        let expected = [
            "listener.max_connections_per_ip",
            "listener.idle_timeout_ms",
            "listener.max_head_bytes",
            "listener.max_streams",
            "listener.max_bytes_in_flight",
        ];
        assert_eq!(faults(&config), expected);
    }
}
