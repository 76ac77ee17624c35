//! Who takes part in a local network: a key each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use portico_config::secret::{read_key_file, write_key_file};
use portico_node::ValidatorKey;
use portico_protocol::{ServiceId, SigningKey};

use crate::folders::localnet_key;

/// The actors' keys.
pub(crate) struct Actors {
    /// One per service: an application is staked for exactly one.
    pub(crate) applications: BTreeMap<ServiceId, SigningKey>,
    /// Signs relays for the applications.
    pub(crate) gateway: SigningKey,
    /// Owner and operator of the servicer's supplier.
    pub(crate) supplier: SigningKey,
    /// Owner of all services.
    pub(crate) service_owner: SigningKey,
    /// Account of the validator.
    pub(crate) validator: SigningKey,
    /// Signs blocks: the validator's ed25519 key.
    pub(crate) consensus: ValidatorKey,
    /// Receives the DAO's share.
    pub(crate) dao: SigningKey,
    /// Has tokens to give away.
    pub(crate) faucet: SigningKey,
}

impl Actors {
    /// Reads the keys of a network with these services from its folder; makes and writes the ones that are missing.
    pub(crate) fn open<'a>(data_dir: &Path, services: impl Iterator<Item = &'a ServiceId>) -> Result<Self> {
        let key = |name: &str| {
            let path = localnet_key(data_dir, name);
            if !path.exists() {
                write_key_file(&path, &crate::keys::generate())?;
            }
            anyhow::Ok(read_key_file(&path)?)
        };
        let application = |service: &ServiceId| Ok((service.clone(), key(&application_name(service))?));
        Ok(Self {
            applications: services.map(application).collect::<Result<_>>()?,
            gateway: key("gateway")?,
            supplier: key("supplier")?,
            service_owner: key("service-owner")?,
            validator: key("validator")?,
            consensus: ValidatorKey::open(&consensus_key(data_dir))?,
            dao: key("dao")?,
            faucet: key("faucet")?,
        })
    }

    /// Name and key of everybody, applications first.
    pub(crate) fn all(&self) -> Vec<(String, &SigningKey)> {
        let applications = self
            .applications
            .iter()
            .map(|(service, key)| (application_name(service), key));
        let others = [
            ("gateway", &self.gateway),
            ("supplier", &self.supplier),
            ("service-owner", &self.service_owner),
            ("validator", &self.validator),
            ("dao", &self.dao),
            ("faucet", &self.faucet),
        ];
        applications
            .chain(others.map(|(name, key)| (name.to_owned(), key)))
            .collect()
    }
}

/// File of the validator's ed25519 key.
pub(crate) fn consensus_key(data_dir: &Path) -> PathBuf {
    localnet_key(data_dir, "validator-consensus")
}

/// Name of the application of a service.
pub(crate) fn application_name(service: &ServiceId) -> String {
    format!("application-{service}")
}
