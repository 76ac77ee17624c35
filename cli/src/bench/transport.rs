//! What is measured of a transport, and in which unit.

use clap::ValueEnum;
use serde::Serialize;

/// How clients call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Transport {
    /// JSON-RPC by POST; a figure is one relay's
    Http,
    /// JSON-RPC over WebSockets; a figure is one message's of the backend, with its share of the call
    Ws,
    /// Event streams; a figure is one chunk's, with its share of the call
    Sse,
    /// Unary gRPC over HTTP/2; a figure is one call's
    Grpc,
}

impl Transport {
    /// What is counted, in the singular.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Http | Self::Grpc => "call",
            Self::Ws => "message",
            Self::Sse => "chunk",
        }
    }

    /// What it is called in a report.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Ws => "WebSockets",
            Self::Sse => "event streams",
            Self::Grpc => "gRPC",
        }
    }

    /// What the backend says per call where nothing else is asked for: a WebSocket's call is answered, a stream has many chunks.
    pub(super) const fn per_call(self) -> u16 {
        match self {
            Self::Http | Self::Ws | Self::Grpc => 1,
            Self::Sse => 100,
        }
    }

    /// Whether a call may be answered by more than one message.
    pub(super) const fn has_many(self) -> bool {
        matches!(self, Self::Ws | Self::Sse)
    }
}
