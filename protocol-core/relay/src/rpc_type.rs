//! Kinds of call that a service may offer, with their number on the wire and every name that programs of the network give them.

use portico_protocol::wire::pocket::shared::RpcType as Wire;

/// A kind of call (`pocket.shared.RPCType` without its unknown value).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RpcType {
    /// gRPC and gRPC-Web.
    Grpc,
    /// Frames over a WebSocket.
    WebSocket,
    /// JSON-RPC over HTTP POST.
    JsonRpc,
    /// Plain HTTP.
    Rest,
    /// CometBFT's RPC: JSON-RPC by POST, or GET by path.
    CometBft,
}

impl RpcType {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Grpc,
        Self::WebSocket,
        Self::JsonRpc,
        Self::Rest,
        Self::CometBft,
    ];

    /// Number on the wire, 1 to 5: what a gateway sends to a supplier in `Rpc-Type`.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.wire() as i32
    }

    /// [`Self::number`] in decimal.
    #[must_use]
    pub const fn digits(self) -> &'static str {
        match self {
            Self::Grpc => "1",
            Self::WebSocket => "2",
            Self::JsonRpc => "3",
            Self::Rest => "4",
            Self::CometBft => "5",
        }
    }

    /// The name in stake files and configurations, e.g. `json_rpc`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::WebSocket => "websocket",
            Self::JsonRpc => "json_rpc",
            Self::Rest => "rest",
            Self::CometBft => "comet_bft",
        }
    }

    /// The kind with this number; `None` for 0 (unknown) and numbers that the network does not know.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind that `text` names, as any program of the network writes it: a number in decimal, the name, the HA miner's name without an
    /// underscore, or the proto name; in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.into_iter().find(|kind| {
            let without = |name: &str| kind.miner_name().eq_ignore_ascii_case(name);
            kind.digits() == text || kind.name().eq_ignore_ascii_case(text) || without(text)
        })
    }

    /// The HA miner's name: `jsonrpc` and `cometbft`, otherwise [`Self::name`].
    const fn miner_name(self) -> &'static str {
        match self {
            Self::JsonRpc => "jsonrpc",
            Self::CometBft => "cometbft",
            other => other.name(),
        }
    }

    /// The enum of the protocol's messages.
    #[must_use]
    pub const fn wire(self) -> Wire {
        match self {
            Self::Grpc => Wire::Grpc,
            Self::WebSocket => Wire::Websocket,
            Self::JsonRpc => Wire::JsonRpc,
            Self::Rest => Wire::Rest,
            Self::CometBft => Wire::CometBft,
        }
    }
}

impl std::fmt::Display for RpcType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_the_networks() {
        for kind in RpcType::ALL {
            assert_eq!(kind.number().to_string(), kind.digits());
            assert_eq!(RpcType::from_number(kind.number()), Some(kind));
            let proto = kind.wire().as_str_name();
            for name in [kind.digits(), kind.name(), kind.miner_name(), proto] {
                assert_eq!(RpcType::parse(name), Some(kind), "{name}");
            }
        }
        assert_eq!(RpcType::parse(" JSON_RPC "), Some(RpcType::JsonRpc));
    }

    #[test]
    fn unknown_numbers_and_names_are_none() {
        for text in ["", "0", "6", "03", "json-rpc", "UNKNOWN_RPC"] {
            assert_eq!(RpcType::parse(text), None, "{text}");
        }
        assert_eq!(RpcType::from_number(0), None);
    }
}
