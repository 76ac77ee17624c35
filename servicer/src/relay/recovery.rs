//! What memory holds of sessions, rebuilt from the leaf log at start.

use std::sync::Arc;

use portico_protocol::Height;

use crate::leaf_log::{LeafLog, LeafLogError};
use crate::session::record::SessionRecord;
use crate::session::stage::ExpiredReason;
use crate::session::tree::{SessionTree, SessionTrees};

/// Rebuilds what memory holds from the log. A sealed session whose leaves do not give the sealed root is loud, and never proved.
pub(crate) fn restore(log: &dyn LeafLog) -> Result<Arc<SessionTrees>, LeafLogError> {
    let trees = SessionTrees::default();
    for (index, record) in log.sessions()? {
        let needs_leaves = !record.stage.is_final();
        let tree = SessionTree::new(index, record);
        if needs_leaves {
            tree.load_leaves(|visit| log.scan(index, visit))?;
        }
        let mut record = tree.record();
        if !record.stage.is_final() && !root_matches(&tree, &record) {
            tracing::error!(session = record.session_id, supplier = %record.supplier, "leaves do not give the sealed root");
            let height = record.seal.map_or(Height(0), |seal| seal.height);
            record.expire(ExpiredReason::RootMismatch, height);
            log.put(&[(index, record.clone())], None)?;
            tree.set_record(record);
        }
        trees.insert(Arc::new(tree));
    }
    Ok(Arc::new(trees))
}

fn root_matches(tree: &SessionTree, record: &SessionRecord) -> bool {
    record
        .seal
        .is_none_or(|seal| tree.leaves().set.root().as_ref() == seal.root)
}
