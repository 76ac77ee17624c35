//! Making a proof from leaves, and refusing to send one that the chain would refuse.
//!
//! A wrong proof costs stake, so each is checked here with everything that the chain checks of it: the closest leaf by both rules, the
//! challenged path, the relay's shape, headers, difficulty, ring signature and supplier signature.

use portico_protocol::relay;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::service::Relay;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{PublicKey, difficulty};
use portico_smst::{CompactClosestProof, GobError, Path, ProofError, ProveError, Rule, Sum, SumDigest};
use prost::Message;

use crate::leaf_log::{LeafLog, LeafLogError};
use crate::session::record::SessionRecord;
use crate::session::tree::SessionTree;

/// Why there is no proof to send.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProofFault {
    /// The session has no seal.
    #[error("the session is not sealed")]
    NotSealed,
    /// The leaves do not give the sealed root.
    #[error("the leaves on disk do not give the sealed root")]
    RootMismatch,
    /// A leaf cannot be read now.
    #[error("a leaf cannot be read")]
    Read(#[source] LeafLogError),
    /// The trie cannot prove the path.
    #[error("the trie gives no proof")]
    Prove(#[from] ProveError),
    /// The proof's bytes are not a proof.
    #[error("the proof does not decode")]
    Decode(#[from] GobError),
    /// The chain's trie check fails.
    #[error("the proof does not verify against the claimed root")]
    Trie(#[from] ProofError),
    /// The proven relay is not one that the chain accepts.
    #[error("the proven relay is not acceptable: {0}")]
    Relay(String),
}

impl ProofFault {
    /// Whether the next block may bring a proof.
    pub(crate) const fn is_retryable(&self) -> bool {
        matches!(self, Self::Read(_))
    }
}

/// Proof bytes for the leaf of `tree` closest to `path`, from the leaves on disk.
pub(crate) fn build(
    tree: &SessionTree,
    record: &SessionRecord,
    log: &dyn LeafLog,
    path: &Path,
) -> Result<Vec<u8>, ProofFault> {
    let seal = record.seal.as_ref().ok_or(ProofFault::NotSealed)?;
    let mut leaves = tree.leaves();
    if leaves.set.root().as_ref() != seal.root {
        return Err(ProofFault::RootMismatch);
    }
    let mut failed = None;
    let proof = leaves.set.prove_closest(path, |leaf| {
        log.relay(tree.index, leaf.seq).unwrap_or_else(|error| {
            failed = Some(error);
            None
        })
    });
    if let Some(error) = failed {
        return Err(ProofFault::Read(error));
    }
    Ok(proof?.compact::<Sum>()?.to_gob())
}

/// Checks proof bytes as the chain will, against the sealed root of `record`.
pub(crate) fn verify(
    bytes: &[u8],
    record: &SessionRecord,
    path: &Path,
    application: &Application,
    supplier: &PublicKey,
) -> Result<(), ProofFault> {
    let seal = record.seal.as_ref().ok_or(ProofFault::NotSealed)?;
    let proof = CompactClosestProof::from_gob(bytes)?;
    let root = SumDigest::try_from(&seal.root[..]).map_err(|_| ProofFault::RootMismatch)?;
    proof.verify::<Sum>(Rule::Network, &root, path)?;
    let full = proof.verify::<Sum>(Rule::Strict, &root, path)?;
    let value = full
        .value::<Sum>()?
        .ok_or_else(|| ProofFault::Relay("the trie is empty".to_owned()))?;
    if *path_of_leaf(value).as_ref() != full.closest_path {
        return Err(ProofFault::Relay("its hash is not at the proven path".to_owned()));
    }
    if full.weight::<Sum>() != Some(record.compute_units_per_relay) {
        return Err(ProofFault::Relay("its weight is not the session's".to_owned()));
    }
    verify_relay(value, record, application, supplier).map_err(ProofFault::Relay)
}

fn verify_relay(
    value: &[u8],
    record: &SessionRecord,
    application: &Application,
    supplier: &PublicKey,
) -> Result<(), String> {
    let text = |error: relay::RelayError| error.to_string();
    let relay = Relay::decode(value).map_err(|error| error.to_string())?;
    Named::by(record).check(&relay)?;
    let request = relay.req.ok_or("it has no request")?;
    let response = relay.res.ok_or("it has no response")?;
    relay::validate_request_basic(&request).map_err(text)?;
    relay::validate_response_basic(&response).map_err(text)?;
    if !difficulty::is_applicable(&relay_hash(value), &record.target_hash) {
        return Err("it misses the difficulty".to_owned());
    }
    let ring = relay::ring_addresses(application, record.end);
    relay::verify_request_signature(&request, &ring).map_err(text)?;
    relay::verify_response_signature(&response, supplier).map_err(text)
}

/// What every relay of a session and supplier names.
#[derive(Debug)]
pub(super) struct Named {
    supplier: String,
    header: SessionHeader,
}

impl Named {
    /// What relays of this session name.
    pub(super) fn by(record: &SessionRecord) -> Self {
        Self {
            supplier: record.supplier.to_string(),
            header: record.header(),
        }
    }

    /// Checks that request and response are of this session and supplier.
    pub(super) fn check(&self, relay: &Relay) -> Result<(), String> {
        let asked = relay.req.as_ref().and_then(|request| request.meta.as_ref());
        let asked = asked.ok_or("its request has no metadata")?;
        if asked.supplier_operator_address != self.supplier {
            return Err("it is another supplier's".to_owned());
        }
        let answered = relay.res.as_ref().and_then(|response| response.meta.as_ref());
        let answered = answered.and_then(|meta| meta.session_header.as_ref());
        for header in [asked.session_header.as_ref(), answered] {
            let header = header.ok_or("it has no session header")?;
            if let Some(field) = relay::header_difference(header, &self.header) {
                return Err(format!("its session header differs in {field}"));
            }
        }
        Ok(())
    }
}

/// SHA-256 of a leaf's value: its key.
pub(super) fn relay_hash(value: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(value).into()
}

fn path_of_leaf(value: &[u8]) -> Path {
    Path::of_key(&relay_hash(value))
}
