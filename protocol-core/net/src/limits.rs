//! Bounds of a listener, as durations and counts.

use std::time::Duration;

use portico_config::listener::ListenerConfig;

/// Bytes that a connection may send while no request is in progress: several heads, or the tail of a refused HTTP/2 body. More is a flood
/// of pings or settings.
pub(crate) const MAX_QUIET_BYTES: usize = 1 << 20;
/// Requests in a row that a client may give up before their answer; more is a flood of resets.
pub(crate) const MAX_GIVEN_UP: u32 = 256;
/// Bytes of an answer that a client has to take within each write time-out while more of them wait; who takes less takes nothing, so that a
/// byte now and then does not keep an answer for ever.
pub(crate) const MIN_WRITTEN: usize = 16 << 10;
/// Bytes of an HTTP/2 connection that a client may send before they are read; of one stream, a quarter.
pub(crate) const HTTP2_WINDOW: u32 = 1 << 20;

/// See [`ListenerConfig`].
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_ip: usize,
    pub(crate) first_byte: Duration,
    pub(crate) head: Duration,
    pub(crate) body: Duration,
    pub(crate) write: Duration,
    pub(crate) idle: Duration,
    pub(crate) ping: Duration,
    pub(crate) max_head_bytes: usize,
    pub(crate) max_streams: u32,
    pub(crate) max_bytes_in_flight: u64,
    pub(crate) max_discarded_bytes: u64,
    pub(crate) discard: Duration,
}

impl Limits {
    pub(crate) fn new(config: &ListenerConfig) -> Self {
        Self {
            max_connections: config.max_connections.max(1),
            max_connections_per_ip: config.max_connections_per_ip.max(1),
            first_byte: Duration::from_millis(config.first_byte_timeout_ms),
            head: Duration::from_millis(config.head_timeout_ms),
            body: Duration::from_millis(config.body_timeout_ms),
            write: Duration::from_millis(config.write_timeout_ms),
            idle: Duration::from_millis(config.idle_timeout_ms),
            ping: Duration::from_millis(config.ping_interval_ms),
            max_head_bytes: config.max_head_bytes,
            max_streams: config.max_streams,
            max_bytes_in_flight: config.max_bytes_in_flight,
            max_discarded_bytes: config.max_discarded_bytes,
            discard: Duration::from_millis(config.discard_timeout_ms),
        }
    }

    /// Time between two looks at a connection's deadline: a deadline that comes nearer meanwhile is seen at most this much later.
    pub(crate) fn tick(&self) -> Duration {
        let shortest = [self.first_byte, self.head, self.write, self.idle]
            .into_iter()
            .min();
        (shortest.unwrap_or_default() / 4).max(Duration::from_millis(1))
    }
}
