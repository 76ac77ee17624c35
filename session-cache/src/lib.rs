//! Sessions of (application, service), for both ends of a relay: single flight, prefetch, rollover, expiry by height, refusals.
//!
//! ```text
//!  height   … 9  10 │ 11  12 …            one question to the chain per rollover
//!  session  ── k ───┤── k+1 ──
//!  callers  k k k k │ k (k+1) (k+1)       k serves on, in its grace period, until k+1 was read
//!                   └ block 11 is committed: the cache's task asks for k+1
//! ```
//! - What a role keeps of a session is its own: a [`Cache`] is over a [`Reader`]. The gateway's, [`SessionCache`], keeps everything that
//!   relaying needs (the header, the ring that signs, the suppliers with endpoints and public keys); the servicer's adds up what relays earn.
//! - Nothing expires by the clock; only [`Blocks::head`](portico_client::Blocks::head) moves sessions on. Who is told of a block before the
//!   followed head is asks [`Head`]; which heights can be a session's says [`Grid`], before the chain is asked for it.
//! - What the chain refuses is refused to callers for one block; what it could not answer, for a moment.
//! - Everything is bounded: pairs, three sessions each, refusals, look-ups at a time and in wait, public keys. An invention (a pair that the
//!   chain does not know) costs one look-up a block, takes no room of a pair with sessions, and waits in a lane of its own.
//!
//! Start reading at [`Cache::current`].

mod cache;
mod error;
mod flights;
mod grid;
mod head;
mod metrics;
mod read;
mod reader;
mod refusals;
mod slot;
#[cfg(test)]
mod tests;
mod view;

pub use cache::Cache;
pub use error::SessionError;
pub use grid::Grid;
pub use head::Head;
pub use read::{MAX_ENTRIES, SessionCache, ViewReader};
pub use reader::{Bounds, Held, Question, Reader, WhenFull};
pub use view::{Endpoint, SessionView, SupplierView};
