//! Quantities and identifiers that must not be mixed up.

use std::fmt;
use std::str::FromStr;

use bech32::{Bech32, Hrp};
use ripemd::Ripemd160;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Base denomination of the network's token; 10^6 upokt are one POKT.
pub const DENOM: &str = "upokt";

/// Bech32 prefix of account addresses.
pub const ADDRESS_PREFIX: &str = "pokt";

/// Bech32 prefix of the operators of validators.
const OPERATOR_PREFIX: &str = "poktvaloper";

/// Longest service id, in bytes (`x/shared/types/service.go`).
pub const MAX_SERVICE_ID_LEN: usize = 42;

/// Height of a block; the first block has height 1, 0 means "none" or "latest" where a query says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Height(pub i64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Compute units: the weight of a relay, what a claim adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ComputeUnits(pub u64);

impl fmt::Display for ComputeUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An amount of tokens in upokt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Upokt(pub u128);

impl fmt::Display for Upokt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{DENOM}", self.0)
    }
}

impl From<Upokt> for crate::wire::cosmos::base::v1beta1::Coin {
    fn from(amount: Upokt) -> Self {
        Self {
            denom: DENOM.to_owned(),
            amount: amount.0.to_string(),
        }
    }
}

impl TryFrom<&crate::wire::cosmos::base::v1beta1::Coin> for Upokt {
    type Error = TypeError;

    /// Reads a coin; errs when its denomination is not upokt or its amount is not a decimal below 2^128.
    fn try_from(coin: &crate::wire::cosmos::base::v1beta1::Coin) -> Result<Self, TypeError> {
        if coin.denom != DENOM {
            return Err(TypeError::Denom(coin.denom.clone()));
        }
        coin.amount
            .parse()
            .map(Self)
            .map_err(|_| TypeError::Amount(coin.amount.clone()))
    }
}

/// Why a text or byte string is not a value of these types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// Not a bech32 account address of this network.
    #[error("{text:?} is not a {ADDRESS_PREFIX}1… address: {reason}")]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Not 1 to 42 characters of `a-z A-Z 0-9 _ -`.
    #[error("{0:?} is not a service id: 1 to 42 characters of a-z, A-Z, 0-9, _ and -")]
    ServiceId(String),
    /// A coin of another denomination.
    #[error("denomination {0:?} is not {DENOM}")]
    Denom(String),
    /// Not a decimal number of upokt.
    #[error("{0:?} is not an amount of {DENOM}")]
    Amount(String),
}

/// An account address: RIPEMD-160 of SHA-256 of the compressed public key, 20 bytes; shown as bech32 `pokt1…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 20]);

impl Address {
    /// The address with these 20 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The address of a compressed public key; whether it is a point is not looked at.
    #[must_use]
    pub fn of_key(key: &[u8; 33]) -> Self {
        Self(Ripemd160::digest(Sha256::digest(key)).into())
    }

    /// The 20 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The same bytes as the address of a validator's operator: `poktvaloper1…`.
    #[must_use]
    pub fn to_operator_string(&self) -> String {
        let hrp = Hrp::parse(OPERATOR_PREFIX).expect("a constant of lower-case letters");
        bech32::encode::<Bech32>(hrp, &self.0).expect("20 bytes are below bech32's limit")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hrp = Hrp::parse(ADDRESS_PREFIX).map_err(|_| fmt::Error)?;
        bech32::encode_to_fmt::<Bech32, _>(f, hrp, &self.0).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        let fault = |reason: String| TypeError::Address {
            text: text.to_owned(),
            reason,
        };
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32>(text)
            .map_err(|error| fault(error.to_string()))?;
        // Bech32 may be written in upper case throughout; so may its prefix.
        if !checked.hrp().lowercase_char_iter().eq(ADDRESS_PREFIX.chars()) {
            return Err(fault(format!("its prefix is {:?}", checked.hrp().as_str())));
        }
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let len = bytes.len();
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| fault(format!("it holds {len} bytes, not 20")))
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Id of a service, as in `SessionHeader.service_id`: 1 to 42 characters of `a-z A-Z 0-9 _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(std::sync::Arc<str>);

impl ServiceId {
    /// Checks and takes `text` (`x/shared/types/service.go`, `IsValidServiceId`).
    pub fn new(text: &str) -> Result<Self, TypeError> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
        if text.is_empty() || text.len() > MAX_SERVICE_ID_LEN || !text.bytes().all(allowed) {
            return Err(TypeError::ServiceId(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServiceId {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        Self::new(text)
    }
}

impl Serialize for ServiceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ServiceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Hash of a block: the Merkle hash of its header, 32 bytes.
pub type BlockHash = [u8; 32];
