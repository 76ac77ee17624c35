//! Sessions: timing, identity, selection of suppliers.

use crate::types::{Address, BlockHash, Height, ServiceId};
use crate::wire::pocket::session::SessionHeader;
use crate::wire::pocket::shared::Params as SharedParams;

/// Geometry and windows of sessions under one set of shared params (`x/shared/types/session.go`). All return 0 for a height ≤ 0.
#[derive(Clone, Debug)]
pub struct Timing<'a> {
    params: &'a SharedParams,
}

impl<'a> Timing<'a> {
    /// Timing under `params`.
    #[must_use]
    pub fn new(params: &'a SharedParams) -> Self {
        Self { params }
    }

    /// First block of the session that contains `height`.
    #[must_use]
    pub fn start(&self, _height: Height) -> Height {
        unimplemented!("{:?}", self.params)
    }

    /// Last block of the session that contains `height`.
    #[must_use]
    pub fn end(&self, _height: Height) -> Height {
        unimplemented!()
    }

    /// Number of the session that contains `height`.
    #[must_use]
    pub fn number(&self, _height: Height) -> i64 {
        unimplemented!()
    }

    /// Last height at which a relay of the session that contains `height` is accepted.
    #[must_use]
    pub fn grace_end(&self, _height: Height) -> Height {
        unimplemented!()
    }

    /// First block of the claim window of the session that contains `height`.
    #[must_use]
    pub fn claim_open(&self, _height: Height) -> Height {
        unimplemented!()
    }

    /// Last block of the claim window.
    #[must_use]
    pub fn claim_close(&self, _height: Height) -> Height {
        unimplemented!()
    }

    /// First block of the proof window; the proof's seed is the hash of the block before it.
    #[must_use]
    pub fn proof_open(&self, _height: Height) -> Height {
        unimplemented!()
    }

    /// Last block of the proof window; claims settle at the end of this block.
    #[must_use]
    pub fn proof_close(&self, _height: Height) -> Height {
        unimplemented!()
    }

    /// First height at which the supplier's claim is accepted; the block hash and address are the protocol's, unused today.
    #[must_use]
    pub fn earliest_claim(&self, _height: Height, _claim_open_hash: &[u8], _supplier: &str) -> Height {
        unimplemented!()
    }

    /// First height at which the supplier's proof is accepted.
    #[must_use]
    pub fn earliest_proof(&self, _height: Height, _proof_open_hash: &[u8], _supplier: &str) -> Height {
        unimplemented!()
    }

    /// Blocks between a session's end and its proof window's close.
    #[must_use]
    pub fn end_to_proof_close_blocks(&self) -> i64 {
        unimplemented!()
    }

    /// Sessions that can be unsettled at the same time.
    #[must_use]
    pub fn num_pending_sessions(&self) -> u64 {
        unimplemented!()
    }
}

/// The bytes that are hashed to a session id: block hash . service . application . LE64(start).
#[must_use]
pub fn session_id_preimage(
    _block_hash: &[u8],
    _service: &str,
    _application: &str,
    _start: Height,
) -> Vec<u8> {
    unimplemented!()
}

/// Lower-case hex of SHA3-256 of the preimage.
#[must_use]
pub fn session_id(_preimage: &[u8]) -> String {
    unimplemented!()
}

/// The session's suppliers out of `candidates` (operator addresses in index order), in session order.
#[must_use]
pub fn select_suppliers(_preimage: &[u8], _candidates: &[String], _num_suppliers: u64) -> Vec<String> {
    unimplemented!()
}

/// Why a session header is malformed (`SessionHeader.ValidateBasic`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid session header: {0}")]
pub struct HeaderError(pub String);

/// Stateless checks of a session header.
pub fn validate_header(_header: &SessionHeader) -> Result<(), HeaderError> {
    unimplemented!()
}

/// Header of the session of (application, service) that starts at `start` under `params`.
#[must_use]
pub fn header(
    _application: &Address,
    _service: &ServiceId,
    _start: Height,
    _start_hash: &BlockHash,
    _params: &SharedParams,
) -> SessionHeader {
    unimplemented!()
}
