//! Errors of modules, with the codespace and code that transactions report.

mod codes;
mod status;

use crate::state::StateError;
use codes::description;

/// Why a step failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Fault {
    /// A rule refused: the transaction fails, the block goes on.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// State cannot be read: the block cannot be executed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A rule's refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct ModuleError {
    pub(crate) codespace: &'static str,
    pub(crate) code: u32,
    pub(crate) text: String,
    /// Whether it is reported as a gRPC status.
    is_status: bool,
}

impl ModuleError {
    /// The refusal by the handler of messages of type `url`, as the SDK reports a gRPC status.
    pub(crate) fn into_status(self, url: &str) -> Self {
        let status = status::of(url, self.codespace, self.code);
        Self {
            is_status: true,
            text: format!("rpc error: code = {status} desc = {}", self.text),
            ..self
        }
    }

    /// Codespace and code as a transaction reports them: of a gRPC status the SDK keeps the text alone.
    pub(crate) const fn reported(&self) -> (&'static str, u32) {
        match self.is_status {
            true => ("undefined", 1),
            false => (self.codespace, self.code),
        }
    }
}

/// A refusal of the module `codespace`; the network's description of the code follows the text.
pub(crate) fn refuse(codespace: &'static str, code: u32, text: impl Into<String>) -> Fault {
    let mut text = text.into();
    if let Some(description) = description(codespace, code) {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(description);
    }
    Fault::Module(ModuleError {
        codespace,
        code,
        text,
        is_status: false,
    })
}

/// A refusal of a genesis, which has no codes.
pub(crate) fn refuse_genesis(text: impl Into<String>) -> Fault {
    refuse("genesis", 1, text)
}

/// Codes of the SDK itself (`cosmos-sdk:types/errors`).
pub(crate) mod sdk {
    use super::{Fault, refuse};

    pub(crate) fn tx_decode(text: impl Into<String>) -> Fault {
        refuse("sdk", 2, format!("{}: tx parse error", text.into()))
    }

    pub(crate) fn unauthorized(text: impl Into<String>) -> Fault {
        refuse("sdk", 4, format!("{}: unauthorized", text.into()))
    }

    pub(crate) fn insufficient_funds(text: impl Into<String>) -> Fault {
        refuse("sdk", 5, format!("{}: insufficient funds", text.into()))
    }

    pub(crate) fn invalid_address(text: impl Into<String>) -> Fault {
        refuse("sdk", 7, format!("{}: invalid address", text.into()))
    }

    pub(crate) fn unknown_address(text: impl Into<String>) -> Fault {
        refuse("sdk", 9, format!("{}: unknown address", text.into()))
    }

    pub(crate) fn invalid_coins(text: impl Into<String>) -> Fault {
        refuse("sdk", 10, format!("{}: invalid coins", text.into()))
    }

    pub(crate) fn out_of_gas(text: impl Into<String>) -> Fault {
        refuse("sdk", 11, format!("{}: out of gas", text.into()))
    }

    pub(crate) fn invalid_request(text: impl Into<String>) -> Fault {
        refuse("sdk", 18, format!("{}: invalid request", text.into()))
    }

    pub(crate) fn invalid_pubkey(text: impl Into<String>) -> Fault {
        refuse("sdk", 8, format!("{}: invalid pubkey", text.into()))
    }

    pub(crate) fn memo_too_large(text: impl Into<String>) -> Fault {
        refuse("sdk", 12, format!("{}: memo too large", text.into()))
    }

    pub(crate) fn insufficient_fee(text: impl Into<String>) -> Fault {
        refuse("sdk", 13, format!("{}: insufficient fee", text.into()))
    }

    pub(crate) fn too_many_signatures(text: impl Into<String>) -> Fault {
        refuse(
            "sdk",
            14,
            format!("{}: maximum number of signatures exceeded", text.into()),
        )
    }

    pub(crate) fn invalid_type(text: impl Into<String>) -> Fault {
        refuse("sdk", 29, format!("{}: invalid type", text.into()))
    }

    pub(crate) fn not_found(text: impl Into<String>) -> Fault {
        refuse("sdk", 38, format!("{}: not found", text.into()))
    }

    pub(crate) fn no_signatures() -> Fault {
        refuse("sdk", 15, "no signatures supplied")
    }

    pub(crate) fn timeout_height(text: impl Into<String>) -> Fault {
        refuse("sdk", 30, format!("{}: tx timeout height", text.into()))
    }

    pub(crate) fn wrong_sequence(text: impl Into<String>) -> Fault {
        refuse("sdk", 32, format!("{}: incorrect account sequence", text.into()))
    }

    pub(crate) fn timeout(text: impl Into<String>) -> Fault {
        refuse("sdk", 42, format!("{}: tx timeout", text.into()))
    }
}
