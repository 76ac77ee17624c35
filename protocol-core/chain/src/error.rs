//! Errors of modules, with the codespace and code that transactions report.

mod codes;

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

    pub(crate) fn unknown_request(text: impl Into<String>) -> Fault {
        refuse("sdk", 6, format!("{}: unknown request", text.into()))
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
