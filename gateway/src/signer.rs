//! Who signs for which application.

use std::collections::BTreeMap;
use std::sync::Arc;

use portico_config::gateway::{ApplicationConfig, GatewayConfig};
use portico_protocol::{Address, PublicKey, ServiceId, SigningKey};
use portico_session_cache::SessionView;

use crate::GatewayError;
use crate::presign::Presigner;

/// An application and the key that signs its relays.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    pub(crate) application: Address,
    /// The application's own key, or the gateway's.
    pub(crate) key: SigningKey,
    pub(crate) public_key: PublicKey,
    /// Signatures made ahead.
    pub(crate) presigner: Arc<Presigner>,
}

impl Signer {
    /// Whether the key is in the session's ring: the application's own, or that of a gateway it delegated to.
    pub(crate) fn may_sign(&self, session: &SessionView) -> bool {
        session.ring.keys().contains(self.public_key.as_bytes())
    }
}

/// The applications of each service.
#[derive(Clone, Debug)]
pub(crate) struct Signers(BTreeMap<ServiceId, Vec<Signer>>);

impl Signers {
    pub(crate) fn new(config: &GatewayConfig) -> Result<Self, GatewayError> {
        let gateway_key = match &config.gateway_key {
            Some(secret) => {
                let key = secret
                    .signing_key()
                    .map_err(|error| GatewayError::Key("gateway_key".into(), error))?;
                Some(key)
            }
            None => None,
        };
        let mut services: BTreeMap<ServiceId, Vec<Signer>> = BTreeMap::new();
        for (index, application) in config.applications.iter().enumerate() {
            let signer = signer(index, application, gateway_key.as_ref())?;
            services
                .entry(application.service_id.clone())
                .or_default()
                .push(signer);
        }
        if services.is_empty() {
            return Err(GatewayError::Config(
                "applications must name at least one application".to_owned(),
            ));
        }
        Ok(Self(services))
    }

    /// The applications of `service`; none when it is not served.
    pub(crate) fn of(&self, service: &ServiceId) -> &[Signer] {
        self.0.get(service).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn services(&self) -> impl ExactSizeIterator<Item = &ServiceId> {
        self.0.keys()
    }
}

fn signer(
    index: usize,
    config: &ApplicationConfig,
    gateway_key: Option<&SigningKey>,
) -> Result<Signer, GatewayError> {
    let at = format!("applications[{index}]");
    let own = match &config.key {
        Some(secret) => Some(
            secret
                .signing_key()
                .map_err(|error| GatewayError::Key(format!("{at}.key"), error))?,
        ),
        None => None,
    };
    let application = config.address.or_else(|| own.as_ref().map(SigningKey::address));
    let application =
        application.ok_or_else(|| GatewayError::Config(format!("{at} must have an address or a key")))?;
    if own.as_ref().is_some_and(|key| key.address() != application) {
        return Err(GatewayError::Config(format!(
            "{at}.address is not the address of {at}.key"
        )));
    }
    let key = own.or_else(|| gateway_key.cloned());
    let key =
        key.ok_or_else(|| GatewayError::Config(format!("{at} must have a key, or gateway_key must be set")))?;
    Ok(Signer {
        application,
        public_key: key.public_key(),
        key,
        presigner: Arc::default(),
    })
}
