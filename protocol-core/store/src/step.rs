//! Moments at which crashes are tested.

/// A moment at which a crash is tested: the first three of a commit, the others of moving blocks from the log to the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is written yet.
    Begun,
    /// The record is in the log, and nobody was told.
    Appended,
    /// The block is committed.
    Committed,
    /// The state is written, with what it replaced.
    State,
    /// The pages of the tries are written, and their root is that of the block.
    Tree,
    /// Block, results and certificate are written.
    Block,
    /// Ids and transactions are written.
    Index,
    /// What is no longer retained is gone.
    Forgotten,
    /// The tip is written: all but the transaction's commit.
    Tip,
    /// The transaction is committed, and the log is not yet empty.
    Moved,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Begun,
        Self::Appended,
        Self::Committed,
        Self::State,
        Self::Tree,
        Self::Block,
        Self::Index,
        Self::Forgotten,
        Self::Tip,
        Self::Moved,
    ];
}
