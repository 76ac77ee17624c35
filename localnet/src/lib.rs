//! Starts whole networks, in this process or as processes of the `portico` binary, and adds up their money.
//!
//! ```text
//! Spec ─► Plan::open   folder: keys/, genesis.json, node.yaml, servicer.yaml, gateway.yaml
//!           ├─► in_process::start     node ─► servicer ─► gateway as parts of this process
//!           └─► Processes::start      the same three as children, which can be killed and started again
//!                      └─► Network    chain and ledger, wherever they run
//! money: relays ─► claims, proofs, settlements ─► figures beside expected ones
//! ```
//! Used by `portico localnet`, `portico bench` and the end-to-end suite. Both ways of starting read the same configuration files.
//!
//! Start reading at [`Spec`] and [`Plan`].

mod actors;
mod files;
pub mod forgery;
mod genesis;
mod http;
pub mod in_process;
pub mod money;
mod network;
mod open;
mod plan;
pub mod ports;
mod process;
mod processes;
mod spec;
mod tls;
mod wait;

pub use actors::{Actors, application_name, key_file};
pub use http::ready;
pub use network::{Ledger, Network, Part};
pub use plan::Plan;
pub use ports::{Ports, free_ports, local};
pub use process::{Output, Process};
pub use processes::{Processes, Program};
pub use spec::{CHAIN_SERVICE, ProofPolicy, Role, Settings, Spec, SupplierSpec, chain_service};
pub use tls::Certificates;
pub use wait::eventually;
