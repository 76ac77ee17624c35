//! The first state of a local network.

use anyhow::Result;
use portico_chain::genesis::Genesis;

use super::actors::Actors;
use super::home::Home;

/// Reads the genesis of an existing network, or writes that of a new one.
pub(super) fn open(_home: &Home, _actors: &Actors) -> Result<Genesis> {
    anyhow::bail!("the embedded chain is not there yet")
}
