//! What memory holds of sessions, rebuilt from the leaf log at start.

use std::sync::Arc;

use crate::leaf_log::{LeafLog, LeafLogError};
use crate::session::stage::Stage;
use crate::session::tree::{SessionTree, SessionTrees};

/// Rebuilds what memory holds from the log. A sealed session whose leaves do not give the sealed root is loud, never proved, and its claim is not sent
/// again; one whose claim was not sent is sealed anew, without the leaves that are damaged.
pub(crate) fn restore(log: &dyn LeafLog) -> Result<Arc<SessionTrees>, LeafLogError> {
    let trees = SessionTrees::default();
    for (index, record) in log.sessions()? {
        let needs_leaves = !record.stage.is_final();
        let tree = SessionTree::new(index, record);
        if needs_leaves {
            tree.load_leaves(|visit| log.scan(index, visit))?;
        }
        let mut record = tree.record();
        let may_need_proof = !matches!(record.stage, Stage::ProofNotRequired | Stage::ProofOnChain);
        let in_doubt = !record.stage.is_final() && may_need_proof && !tree.gives_sealed_root();
        if in_doubt && record.stage == Stage::Sealed && record.claim.attempts == 0 {
            tracing::error!(session = record.session_id, supplier = %record.supplier, "leaves do not give the sealed root: it is sealed anew");
            record.seal = None;
            record.stage = Stage::Draining;
            log.put(&[(index, record.clone())], None)?;
            tree.set_record(record);
        } else if in_doubt {
            // The claim may be on chain: whether it has to be proved, and what comes of it, is seen there.
            tracing::error!(
                session = record.session_id, supplier = %record.supplier,
                "leaves on disk do not give the claimed root: if a proof is asked for, there is none, and stake is lost"
            );
        }
        trees.insert(Arc::new(tree));
    }
    Ok(Arc::new(trees))
}
