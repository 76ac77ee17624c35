//! The HTTP/JSON-RPC front door for dApps.
