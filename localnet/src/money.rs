//! What relays cost, to the last token: what the chain says happened, beside what arithmetic says should have.
//!
//! ```text
//! load     relays through the gateway, counted per session and supplier
//! watch    claims, proofs and settlements, from the chain's events         supply   asked another way than balances
//! pots     stakes and balances, all at one height                          expected what relays should cost and bring
//! settle   waits until all is paid ─► figures: everything beside what it should be
//! ```

mod expected;
mod figures;
mod load;
mod pots;
mod settle;
mod supply;
mod watch;

pub use figures::{Disagreement, PotLine, SessionLine, Verdict, leaves};
pub use load::{Served, Tally, send};
pub use pots::{Pots, Snapshot};
pub use settle::{Before, Moved, follow};
pub use supply::Supply;
pub use watch::Settlement;
