//! Logs and traces of all roles.
//!
//! ```text
//! dApp ── traceparent, X-Request-Id ──► gateway ──► servicer ──► backend      Origin: read, and sent on where configured
//!                                          │            │
//!                               Origin::root: sampled? ─┴─► spans of this relay ─► queue (bounded) ─► exporter ─► collector
//!
//! start ─► logs to standard error, filtered by directives that `PUT /log-level` replaces
//! ```
//! - A relay that is not sampled has no spans; in a process without `traces.otlp_url` a span costs the look at one atomic.
//! - Spans carry names, ids, addresses and outcomes; never keys, headers, bodies, or the text of an error.
//! - Spans that nobody takes are dropped and counted (`portico_trace_spans_total`); nothing of a relay waits for them.
//!
//! Start reading at [`Origin`]; [`span!`] makes a span below a relay's.

mod export;
mod filter;
mod level;
mod origin;
mod sampling;
mod start;

pub use export::{ExportError, Exporter};
pub use level::{FilterError, filter, router, set_filter};
pub use origin::{Origin, REQUEST_ID};
pub use start::{Format, export, start};

/// Target of the spans that begin a relay in a process.
pub const ROOT: &str = "portico::relay";
/// Target of the spans below them.
pub const STEP: &str = "portico::step";

/// A span below the current one, which there is only while its relay is traced: `span!("sign")`, `span!("attempt", supplier = …)`.
#[macro_export]
macro_rules! span {
    ($($parts:tt)+) => {
        $crate::__tracing::trace_span!(target: $crate::STEP, $($parts)+)
    };
}

/// The span of a relay, for [`Origin::root`].
#[macro_export]
macro_rules! root {
    ($($parts:tt)+) => {
        $crate::__tracing::trace_span!(target: $crate::ROOT, parent: None, $($parts)+)
    };
}

#[doc(hidden)]
pub use tracing as __tracing;
