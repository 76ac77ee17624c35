//! The relay model that gateway and servicer share, free of any transport.
//!
//! ```text
//!  gateway                                                    servicer
//!  Call ── payload ──► RelayRequest ═══ any transport ═══► payload ── Call ──► backend
//!                      ◄══ Exchange: one or many signed messages ══
//!                      ◄══ or a refusal: Reason here, RefusalKind there
//! ```
//! - An HTTP answer, a WebSocket frame, an event of a stream and a gRPC message are all a [`message`]: signed and verified alone.
//! - Nothing here opens a socket, reads a clock or allocates per transport; the shells at both ends do.
//!
//! Start reading at `call.rs`.

pub mod call;
pub mod content_encoding;
pub mod exchange;
pub mod fault;
pub mod grpc;
pub mod headers;
pub mod message;
pub mod refusal;
pub mod rpc_type;
pub mod stream;
pub mod target;

pub use call::Call;
pub use exchange::Exchange;
pub use fault::RefusalKind;
pub use message::MessageFault;
pub use rpc_type::RpcType;
