//! Every knob, its default, unit and validation.
//!
//! ```text
//! gateway.yaml ──load──► shape: unknown keys, wrong types      file:line of the first one
//!                  │
//!                  ├───► environment: PORTICO_… replaces secrets
//!                  └───► meaning: Config::validate             file:line of all of them
//! ```
//! The types are plain: no field knows where it stood in the file. [`load`](load::load) keeps a second reading of the file that maps
//! paths such as `services[1].url` to lines, and [`Faults`] are reported by path.
//!
//! Start reading at [`load::Config`]; one module per role holds its keys. `examples/` has a commented file per role.

pub mod chain;
pub mod gateway;
pub mod keys;
pub mod listener;
pub mod load;
pub mod locate;
pub mod node;
pub mod secret;
pub mod servicer;
pub mod stake;
pub mod tls;
pub mod traces;
mod usable;

pub use load::{Config, ConfigError, Environment, Fault, Faults, load};
pub use secret::{Secret, SecretError};
