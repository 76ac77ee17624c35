//! Why a call has no answer.

use portico_protocol::Address;
use portico_protocol::relay as protocol;
use portico_session_cache::SessionError;

use crate::core::attempt::Failed;
use crate::core::fault::{Fault, Kind};
use crate::core::pick::Filtered;

/// Why an application has no session for us.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("application {application} has not delegated to gateway {gateway}, whose key would sign for it")]
    NotDelegated { application: Address, gateway: Address },
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("as many relays as allowed are under way")]
    Overloaded,
    #[error("as many bytes of answers as allowed are held")]
    NoRoom { attempts: Vec<Failed> },
    #[error("there is no session to relay in")]
    Session(#[source] Closed),
    #[error("the application's stake does not pay for another relay in this session")]
    StakeExhausted { attempts: Vec<Failed> },
    #[error("no supplier of the session can be used")]
    NoSupplier {
        filtered: Filtered,
        attempts: Vec<Failed>,
    },
    #[error("no supplier of the session serves this kind of call")]
    RpcTypeUnsupported,
    #[error("no supplier answered")]
    SuppliersFailed { attempts: Vec<Failed> },
    #[error("no supplier's answer could be verified")]
    SignatureInvalid { attempts: Vec<Failed> },
    #[error("no supplier's answer was an answer to the call")]
    BadPayload { attempts: Vec<Failed> },
    #[error("the answer is larger than this gateway takes")]
    ResponseTooLarge { attempts: Vec<Failed> },
    #[error("no answer in time")]
    Deadline {
        phase: &'static str,
        attempts: Vec<Failed>,
    },
    #[error("the relay request cannot be signed")]
    Sign(#[source] protocol::RelayError),
}

impl RelayError {
    /// What is said where the last try alone says why there is no answer.
    pub(crate) fn of_last(failed: Failed) -> Self {
        let (kind, settles) = (failed.fault.kind(), failed.fault.settles());
        let is_no_room = matches!(failed.fault, Fault::NoRoom);
        let attempts = vec![failed];
        match kind {
            _ if is_no_room => Self::NoRoom { attempts },
            _ if settles => Self::ResponseTooLarge { attempts },
            Kind::OverServiced => Self::StakeExhausted { attempts },
            Kind::Unverified => Self::SignatureInvalid { attempts },
            Kind::BadPayload => Self::BadPayload { attempts },
            Kind::Other => Self::SuppliersFailed { attempts },
        }
    }
}
