//! Who takes part in a network: a key each, in a file each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use portico_config::secret::{read_key_file, write_key_file};
use portico_node::ValidatorKey;
use portico_protocol::{Address, ServiceId, SigningKey};
use rand::CryptoRng;

use crate::spec::Spec;

/// The actors' keys.
#[derive(Debug)]
pub struct Actors {
    /// One per service: an application is staked for exactly one.
    pub applications: BTreeMap<ServiceId, SigningKey>,
    /// Signs relays for the applications.
    pub gateway: SigningKey,
    /// Owners and operators, in the order of [`Spec::suppliers`].
    pub suppliers: Vec<SigningKey>,
    /// Owner of all services.
    pub service_owner: SigningKey,
    /// Account of the validator.
    pub validator: SigningKey,
    /// Signs blocks: the validator's ed25519 key.
    pub consensus: ValidatorKey,
    /// Receives the DAO's share.
    pub dao: SigningKey,
    /// Has tokens to give away.
    pub faucet: SigningKey,
}

impl Actors {
    /// Reads the keys of a network of this kind from its folder; draws and writes the ones that are missing.
    pub(crate) fn open(folder: &Path, spec: &Spec, rng: &mut impl CryptoRng) -> Result<Self> {
        let keys = folder.join("keys");
        std::fs::create_dir_all(&keys).with_context(|| format!("{} cannot be made", keys.display()))?;
        let mut key = |name: &str| {
            let path = key_file(folder, name);
            if !path.exists() {
                write_key_file(&path, &SigningKey::generate(rng))?;
            }
            anyhow::Ok(read_key_file(&path)?)
        };
        let mut applications = BTreeMap::new();
        for service in &spec.applications {
            applications.insert(service.clone(), key(&application_name(service))?);
        }
        Ok(Self {
            applications,
            gateway: key("gateway")?,
            suppliers: (0..spec.suppliers.len())
                .map(|index| key(&supplier_name(index)))
                .collect::<Result<_>>()?,
            service_owner: key("service-owner")?,
            validator: key("validator")?,
            consensus: ValidatorKey::open(&consensus_key_file(folder))?,
            dao: key("dao")?,
            faucet: key("faucet")?,
        })
    }

    /// Name and key of everybody, applications first.
    #[must_use]
    pub fn all(&self) -> Vec<(String, &SigningKey)> {
        let applications = self
            .applications
            .iter()
            .map(|(service, key)| (application_name(service), key));
        let suppliers = self
            .suppliers
            .iter()
            .enumerate()
            .map(|(index, key)| (supplier_name(index), key));
        let others = [
            ("service-owner", &self.service_owner),
            ("validator", &self.validator),
            ("dao", &self.dao),
            ("faucet", &self.faucet),
        ];
        applications
            .chain([("gateway".to_owned(), &self.gateway)])
            .chain(suppliers)
            .chain(others.map(|(name, key)| (name.to_owned(), key)))
            .collect()
    }

    /// Address of a service's application.
    pub fn application(&self, service: &ServiceId) -> Result<Address> {
        let key = self.applications.get(service);
        Ok(key
            .with_context(|| format!("no application is staked for {service}"))?
            .address())
    }
}

/// File of the key `name` in a network's folder.
#[must_use]
pub fn key_file(folder: &Path, name: &str) -> PathBuf {
    folder.join("keys").join(format!("{name}.hex"))
}

/// File of the validator's ed25519 key.
pub(crate) fn consensus_key_file(folder: &Path) -> PathBuf {
    key_file(folder, "validator-consensus")
}

/// Name of the application of a service.
#[must_use]
pub fn application_name(service: &ServiceId) -> String {
    format!("application-{service}")
}

/// Name of the supplier at `index` of [`Spec::suppliers`]: `supplier`, `supplier-2`, …
#[must_use]
pub(crate) fn supplier_name(index: usize) -> String {
    match index {
        0 => "supplier".to_owned(),
        _ => format!("supplier-{}", index.saturating_add(1)),
    }
}
