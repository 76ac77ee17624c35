//! The relay miner of a supplier: validates, meters, asks the backend, signs, records, claims, proves.
//!
//! ```text
//!  RelayRequest ─► front ─► relay: served ─► session ─► budget ─► ring signature ─► backend ─► sign ─► recorder ─► RelayResponse
//!                                              │                                                        │
//!                                            Chain                                          session trees, leaf log
//!                                              │                                                        │
//!                        blocks ─► lifecycle: driver ─── next (pure) ─► seal ─► claim ─► draw ─► prove ─► settle ─► ledger
//! ```
//! | folder | owns | knows |
//! |---|---|---|
//! | `session` | look-up, record, stage, tree and budget of a session of a supplier | the chain |
//! | `leaf_log` | storage of leaves and records | `session` |
//! | `backend` | the nodes behind a service, one module for each transport | |
//! | `relay` | the line above, refusals, recording of each signed message | `session`, `leaf_log`, `backend` |
//! | `lifecycle` | from claim to settlement | `session`, `leaf_log`, the writer of `relay` |
//! | `fees` | transactions of sessions, and what the chain took for them | the chain, `session`, `leaf_log` |
//! | `standing` | stakes and accounts of the suppliers, and what follows | `session`, costs of `lifecycle` |
//! | `front` | the relay endpoint and the admin endpoints | `relay`, the servicer's handle |
//!
//! What holds, whatever happens:
//! 1. A relay whose signed answer left the process (service `strict`) is a leaf after a restart, also after `kill -9`.
//! 2. No backend is asked before every check passed and a place in the leaf writer's queue is reserved. What a backend sends over a WebSocket
//!    waits for its place in that queue before it is passed on.
//! 3. Root, sum and count are on disk before a claim is broadcast; no later leaf counts.
//! 4. No proof is sent that this process did not verify with the chain's own rules, and none before its claim.
//! 5. Leaves are deleted only after the claim was settled or expired, or its windows are long over.
//!
//! Deliberately absent: stored trie nodes (they follow from the leaves), asking a second node for what is no read (`backend`), answers that
//! are served first and checked later.
//!
//! Start reading at `relay/serve.rs`, then `lifecycle/next.rs` and `lifecycle/plan.rs`.

mod backend;
mod configured;
mod error;
mod fees;
mod front;
mod handle;
pub mod leaf_log;
mod lifecycle;
mod metrics;
mod readiness;
mod relay;
mod reload;
mod servicer;
mod session;
mod standing;

pub use error::ServicerError;
pub use handle::{FoundRelay, ServicerHandle};
pub use lifecycle::settlement::{ChainSettlement, settlements, settlements_of};
pub use readiness::Readiness;
pub use reload::{Change, ConfigSource, ReloadAction, ReloadError, ReloadPlan};
pub use servicer::Servicer;
pub use session::failed::FailedBy;
pub use session::gaps::{Gap, Gaps, Reason, Step};
pub use session::ledger::{LedgerRow, LedgerTotals};
pub use session::stage::{ExpiredReason, Stage};
pub use session::unpaid::{Unpaid, UnpaidBy, UnpaidRelay};

#[cfg(test)]
mod tests;
