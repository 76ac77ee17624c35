//! What every process that listens or dials shares: one bounded listener, TLS, and a budget of the bytes that are held.
//!
//! ```text
//! accept ─► gate ─► first byte, TLS ─► hyper (HTTP/1.1 or HTTP/2) ─► service ─► the role's router
//!           connections                  │                              │
//!           in all, per IP               io: bytes in and out           body: pauses, bytes in flight
//!                                        └──────► activity ◄────────────┘
//!                                                 one deadline per connection: first byte, head, idle, write
//! ```
//! Invariants:
//! - Every connection has a deadline: none can be held open by doing nothing, by half a head, half an HTTP/2 preface, pings, or by not
//!   reading the answer.
//! - What a client may make a process hold is bounded: connections in all and per IP, streams per connection, head, bytes of bodies.
//! - A refusal reaches a client that is still sending: what is left of the body is discarded, within bounds, before the socket is closed.
//! - No global state: each [`Listener`] belongs to the runtime that runs it, and a process may have several.
//!
//! Deliberately absent: rate limits by key or address (a role's own), PROXY protocol.
//! WebSockets leave hyper by an upgrade; what is bounded of them then is said in [`websocket`].
//! Start reading at [`Listener::serve`], then `activity.rs`; for dialling at [`tls::ClientTls`] and [`Connections`].

mod activity;
mod answer;
mod body;
pub mod budget;
mod dial;
mod gate;
mod head;
mod io;
pub mod large;
mod limits;
mod linger;
mod listener;
mod metrics;
mod parts;
mod reuse;
mod service;
mod socket;
pub mod tls;
pub mod websocket;

pub use dial::{DialError, GrpcConnector, dial_grpc, dial_websocket, dial_websocket_to, websocket_url};
pub use listener::Listener;
pub use metrics::ListenerMetrics;
pub use parts::Parts;
pub use reuse::Connections;
pub use service::{AsIs, ErrorBody, PeerAddr};
pub use socket::Socket;
