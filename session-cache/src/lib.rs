//! Sessions of (application, service): single flight, prefetch, rollover, expiry by height.

mod view;

pub use view::{Endpoint, SessionView, SupplierView};
