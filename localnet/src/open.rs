//! A network's plan, read from its folder or made there: keys, first state, and a configuration file per role.

use std::path::Path;

use anyhow::{Context, Result};
use portico_chain::genesis::Genesis;
use rand::CryptoRng;

use crate::actors::Actors;
use crate::files;
use crate::genesis::genesis;
use crate::plan::{Plan, genesis_file, url};
use crate::ports::Ports;
use crate::spec::{Role, Spec};
use crate::tls::Certificates;

impl Plan {
    /// Reads keys and genesis of the network in `folder`, or makes them, keys drawn from `rng`; then writes the configuration files.
    pub fn open(folder: &Path, ports: Ports, spec: Spec, rng: &mut impl CryptoRng) -> Result<Self> {
        let actors = Actors::open(folder, &spec, rng)?;
        let genesis = open_genesis(folder, ports, &spec, &actors)?;
        let certificates = spec.tls.then(|| Certificates::make(folder)).transpose()?;
        let plan = Self {
            certificates,
            folder: folder.to_owned(),
            ports,
            spec,
            actors,
            genesis,
        };
        for role in Role::ALL {
            files::write(&plan, role)?;
        }
        Ok(plan)
    }
}

fn open_genesis(folder: &Path, ports: Ports, spec: &Spec, actors: &Actors) -> Result<Genesis> {
    let path = genesis_file(folder);
    if !path.exists() {
        let genesis = genesis(spec, actors, &url(spec, ports.servicer))?;
        let text = serde_json::to_string_pretty(&genesis)?;
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        return Ok(genesis);
    }
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let genesis = serde_json::from_str(&text);
    genesis.with_context(|| {
        format!(
            "{} is damaged or of another version; start over with --reset",
            path.display()
        )
    })
}
