//! The relay miner of a supplier: validates, meters, asks the backend, signs, records, claims, proves.

mod error;
pub mod leaf_log;
mod ledger;
mod lifecycle;
mod servicer;

pub use error::ServicerError;
pub use ledger::{LedgerRow, LedgerTotals};
pub use lifecycle::{ExpiredReason, Stage};
pub use servicer::{Servicer, ServicerHandle};
