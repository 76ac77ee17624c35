//! Sessions: timing, identity, selection of suppliers.

use sha3::{Digest, Sha3_256};

use crate::types::{Address, BlockHash, Height, ServiceId};
use crate::wire::pocket::session::SessionHeader;
use crate::wire::pocket::shared::Params as SharedParams;

/// Geometry and windows of sessions under one set of shared params (`x/shared/types/session.go`). Below height 1 start, end and
/// number are 0, and the windows count from there.
#[derive(Clone, Debug)]
pub struct Timing<'a> {
    params: &'a SharedParams,
}

impl<'a> Timing<'a> {
    /// Timing under `params`.
    #[must_use]
    pub const fn new(params: &'a SharedParams) -> Self {
        Self { params }
    }

    fn num_blocks(&self) -> i64 {
        offset(self.params.num_blocks_per_session).max(1)
    }

    /// Height and session number that the grid counts from, for `height`.
    fn anchor(&self, height: i64) -> (i64, i64) {
        let anchor = offset(self.params.session_grid_anchor_height);
        let (anchor, number) = if anchor <= 0 || anchor > height {
            (1, 1)
        } else {
            (anchor, offset(self.params.session_number_at_anchor))
        };
        (anchor, number.max(1))
    }

    /// First block of the session that contains `height`.
    #[must_use]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "the anchor is between 1 and the height, and a session has a block"
    )]
    pub fn start(&self, height: Height) -> Height {
        if height.0 <= 0 {
            return Height(0);
        }
        let (anchor, _) = self.anchor(height.0);
        Height(anchor + (height.0 - anchor) / self.num_blocks() * self.num_blocks())
    }

    /// Last block of the session that contains `height`.
    #[must_use]
    #[expect(clippy::arithmetic_side_effects, reason = "a session has a block")]
    pub fn end(&self, height: Height) -> Height {
        if height.0 <= 0 {
            return Height(0);
        }
        later(self.start(height), self.num_blocks() - 1)
    }

    /// Number of the session that contains `height`.
    #[must_use]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "the anchor is between 1 and the height, and a session has a block"
    )]
    pub fn number(&self, height: Height) -> i64 {
        if height.0 <= 0 {
            return 0;
        }
        let (anchor, number) = self.anchor(height.0);
        number.saturating_add((height.0 - anchor) / self.num_blocks())
    }

    /// Last height at which a relay of the session that contains `height` is accepted.
    #[must_use]
    pub fn grace_end(&self, height: Height) -> Height {
        later(
            self.end(height),
            offset(self.params.grace_period_end_offset_blocks),
        )
    }

    /// First block of the claim window of the session that contains `height`.
    ///
    /// One block more than the offset, so that relays of the session's last block still reach the claim.
    #[must_use]
    pub fn claim_open(&self, height: Height) -> Height {
        later(
            self.end(height),
            offset(self.params.claim_window_open_offset_blocks).saturating_add(1),
        )
    }

    /// Last block of the claim window.
    #[must_use]
    pub fn claim_close(&self, height: Height) -> Height {
        later(
            self.claim_open(height),
            offset(self.params.claim_window_close_offset_blocks),
        )
    }

    /// First block of the proof window; the proof's seed is the hash of the block before it.
    #[must_use]
    pub fn proof_open(&self, height: Height) -> Height {
        later(
            self.claim_close(height),
            offset(self.params.proof_window_open_offset_blocks),
        )
    }

    /// Last block of the proof window; claims settle at the end of this block.
    #[must_use]
    pub fn proof_close(&self, height: Height) -> Height {
        later(
            self.proof_open(height),
            offset(self.params.proof_window_close_offset_blocks),
        )
    }

    /// First height at which the supplier's claim is accepted; the block hash and address are the protocol's, unused today.
    #[must_use]
    pub fn earliest_claim(&self, height: Height, _claim_open_hash: &[u8], _supplier: &str) -> Height {
        self.claim_open(height)
    }

    /// First height at which the supplier's proof is accepted.
    #[must_use]
    pub fn earliest_proof(&self, height: Height, _proof_open_hash: &[u8], _supplier: &str) -> Height {
        self.proof_open(height)
    }

    /// Blocks between a session's end and its proof window's close.
    #[must_use]
    pub fn end_to_proof_close_blocks(&self) -> i64 {
        let p = self.params;
        [
            p.claim_window_open_offset_blocks,
            p.claim_window_close_offset_blocks,
            p.proof_window_open_offset_blocks,
            p.proof_window_close_offset_blocks,
        ]
        .into_iter()
        .fold(0, |sum: i64, blocks| sum.saturating_add(offset(blocks)))
    }

    /// Sessions that can be unsettled at the same time.
    #[must_use]
    pub fn num_pending_sessions(&self) -> u64 {
        u64::try_from(self.end_to_proof_close_blocks())
            .unwrap_or(0)
            .div_ceil(self.params.num_blocks_per_session.max(1))
    }
}

/// A number of blocks as a height difference; params far beyond any chain's life saturate.
fn offset(blocks: u64) -> i64 {
    i64::try_from(blocks).unwrap_or(i64::MAX / 8)
}

/// `blocks` after `height`.
const fn later(height: Height, blocks: i64) -> Height {
    Height(height.0.saturating_add(blocks))
}

/// The bytes that are hashed to a session id: block hash . service . application . LE64(start).
#[must_use]
pub fn session_id_preimage(block_hash: &[u8], service: &str, application: &str, start: Height) -> Vec<u8> {
    [
        block_hash,
        service.as_bytes(),
        application.as_bytes(),
        &start.0.to_le_bytes(),
    ]
    .join(&b'.')
}

/// Lower-case hex of SHA3-256 of the preimage.
#[must_use]
pub fn session_id(preimage: &[u8]) -> String {
    hex::encode(Sha3_256::digest(preimage))
}

/// Weight by which a candidate is ordered: the first 8 bytes of SHA3-256(preimage . operator), as a *signed* number.
#[must_use]
pub fn supplier_weight(preimage: &[u8], operator: &str) -> i64 {
    let digest = Sha3_256::digest([preimage, operator.as_bytes()].join(&b'.'));
    i64::from_be_bytes(*digest.first_chunk().expect("32 bytes hold 8"))
}

/// The session's suppliers out of `candidates` (operator addresses in index order), in session order.
#[must_use]
pub fn select_suppliers(preimage: &[u8], candidates: &[String], num_suppliers: u64) -> Vec<String> {
    let drawn = select_candidates(preimage, candidates, num_suppliers);
    drawn
        .into_iter()
        .filter_map(|index| candidates.get(index).cloned())
        .collect()
}

/// As [`select_suppliers`], by position: a supplier can be a candidate twice, with two configs.
#[must_use]
pub fn select_candidates(preimage: &[u8], candidates: &[String], num_suppliers: u64) -> Vec<usize> {
    let wanted = usize::try_from(num_suppliers).unwrap_or(usize::MAX);
    if candidates.len() < wanted {
        return (0..candidates.len()).collect();
    }
    let weight = |(index, operator)| (supplier_weight(preimage, operator), operator, index);
    let candidates = candidates.iter().map(String::as_str);
    let mut weighed: Vec<(i64, &str, usize)> = candidates.enumerate().map(weight).collect();
    weighed.sort_unstable();
    let drawn = weighed.into_iter().take(wanted);
    drawn.map(|(_, _, index)| index).collect()
}

/// Why a session header is malformed (`SessionHeader.ValidateBasic`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid session header: {0}")]
pub struct HeaderError(pub String);

/// Stateless checks of a session header.
pub fn validate_header(header: &SessionHeader) -> Result<(), HeaderError> {
    header
        .application_address
        .parse::<Address>()
        .map_err(|error| HeaderError(error.to_string()))?;
    if header.session_id.is_empty() {
        return Err(HeaderError("missing session id".into()));
    }
    ServiceId::new(&header.service_id).map_err(|error| HeaderError(error.to_string()))?;
    if header.session_start_block_height <= 0 {
        return Err(HeaderError("session start block height must be positive".into()));
    }
    if header.session_end_block_height <= header.session_start_block_height {
        return Err(HeaderError(
            "session end block height must be after its start".into(),
        ));
    }
    Ok(())
}

/// Header of the session of (application, service) that starts at `start` under `params`.
#[must_use]
pub fn header(
    application: &Address,
    service: &ServiceId,
    start: Height,
    start_hash: &BlockHash,
    params: &SharedParams,
) -> SessionHeader {
    let application = application.to_string();
    let preimage = session_id_preimage(start_hash, service.as_str(), &application, start);
    SessionHeader {
        session_id: session_id(&preimage),
        application_address: application,
        service_id: service.to_string(),
        session_start_block_height: start.0,
        session_end_block_height: Timing::new(params).end(start).0,
    }
}
