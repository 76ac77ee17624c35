//! Versioned state with an authenticated root on redb; one transaction per block.
