//! Who may sign for an application.

use std::collections::BTreeSet;

use crate::keys::PublicKey;
use crate::types::{Address, Height};
use crate::wire::pocket::application::Application;

/// Addresses that may sign for `application` in the session ending at `session_end`: itself, its gateways, and gateways whose
/// undelegation takes effect at or after that height; plus the placeholder's address when there is no gateway at all.
#[must_use]
pub fn ring_addresses(application: &Application, session_end: Height) -> BTreeSet<Address> {
    let gateways = ring_gateways(application, session_end);
    let mut addresses: BTreeSet<Address> = application.address.parse().into_iter().collect();
    if gateways.is_empty() {
        addresses.insert(placeholder_key().address());
    }
    addresses.extend(gateways);
    addresses
}

/// Gateway addresses that sign for `application` at `session_end`, in signing order (delegatees first, unsorted).
#[must_use]
pub fn ring_gateways(application: &Application, session_end: Height) -> Vec<Address> {
    let end = u64::try_from(session_end.0).unwrap_or(0);
    let pending = application
        .pending_undelegations
        .range(end..)
        .flat_map(|(_, list)| &list.gateway_addresses);
    let mut gateways: Vec<Address> = Vec::new();
    for gateway in application.delegatee_gateway_addresses.iter().chain(pending) {
        if let Ok(gateway) = gateway.parse()
            && !gateways.contains(&gateway)
        {
            gateways.push(gateway);
        }
    }
    gateways
}

/// The fixed key that the verifier adds for applications without gateways (`pkg/crypto/rings`).
///
/// # Panics
/// Never: the constant is a point.
#[must_use]
pub fn placeholder_key() -> PublicKey {
    const KEY: [u8; 33] = [
        0x02, 0x10, 0x66, 0xf2, 0x93, 0x70, 0x93, 0x56, 0xa3, 0x3e, 0x9c, 0x13, 0x01, 0x78, 0x67, 0x58, 0x6b,
        0xaf, 0x52, 0x51, 0x3e, 0x84, 0x5b, 0xc4, 0x33, 0x52, 0x33, 0xa1, 0x5e, 0xd1, 0xe0, 0x0b, 0xaf,
    ];
    PublicKey::from_slice(&KEY).expect("a point of the curve")
}
