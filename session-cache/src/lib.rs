//! Sessions of (application, service): single flight, prefetch, rollover, expiry by height.
//!
//! ```text
//!  height   … 9  10 │ 11  12 …            one question to the chain per rollover
//!  session  ── k ───┤── k+1 ──
//!  callers  k k k k │ k (k+1) (k+1)       k serves on, in its grace period, until k+1 was read
//!                   └ block 11 is committed: the cache's task asks for k+1
//! ```
//! - A caller gets everything that relaying needs: the header, the ring that signs, and the suppliers with endpoints and public keys.
//! - Nothing expires by the clock; only [`Blocks::head`](portico_client::Blocks::head) moves sessions on.
//! - What the chain refuses is refused to callers for one block; what it could not answer, for half a second.
//! - Everything is bounded: [`MAX_ENTRIES`] pairs, three sessions each, public keys.
//!
//! Start reading at [`SessionCache::current`].

mod cache;
mod error;
mod metrics;
mod read;
mod slot;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
#[cfg(test)]
mod tests;
mod view;

pub use cache::{MAX_ENTRIES, SessionCache};
pub use error::SessionError;
pub use view::{Endpoint, SessionView, SupplierView};
