//! Sessions of (application, service): single flight, prefetch, rollover, expiry by height.
