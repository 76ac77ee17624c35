//! The validator's key: ed25519, one file of 64 hexadecimal characters, mode 0600.

use std::fmt;
use std::path::{Path, PathBuf};

use bech32::{Bech32, Hrp};
use ed25519_dalek::{Signer as _, SigningKey};
use portico_config::Secret;
use portico_config::secret::{SecretError, write_secret_file};
use sha2::{Digest as _, Sha256};

/// First part of the address of a validator's consensus key.
const CONSENSUS_PREFIX: Hrp = Hrp::parse_unchecked("poktvalcons");

/// Why a validator's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written, or is open to everybody.
    #[error(transparent)]
    File(#[from] SecretError),
    /// Not a key.
    #[error("{}: 64 hexadecimal characters expected, the seed of an ed25519 key", .path.display())]
    Malformed {
        /// Where it was read.
        path: PathBuf,
    },
}

/// The validator's key. `Debug` shows its public key only; memory is wiped on drop.
#[derive(Clone)]
pub struct ValidatorKey(SigningKey);

impl fmt::Debug for ValidatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValidatorKey({})", self.public_key_hex())
    }
}

impl ValidatorKey {
    /// The key with this seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The key whose seed `secret` holds as 64 hexadecimal characters.
    pub fn from_secret(secret: &Secret) -> Result<Self, KeyFileError> {
        Self::parse(secret, Path::new("validator_key"))
    }

    /// Reads the key file at `path`; draws a key and writes it (mode 0600) when there is none.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        if !path.exists() {
            Self::generate().write(path)?;
        }
        Self::read(path)
    }

    /// A new key from the machine's randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_seed(&rand::random())
    }

    /// Reads the key file at `path`.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        Self::parse(&Secret::read(path)?, path)
    }

    /// Writes the key into the new file at `path`, mode 0600.
    pub fn write(&self, path: &Path) -> Result<(), KeyFileError> {
        let seed = Secret::new(hex::encode(self.0.to_bytes()));
        Ok(write_secret_file(path, &seed)?)
    }

    fn parse(secret: &Secret, path: &Path) -> Result<Self, KeyFileError> {
        let mut seed = [0; 32];
        hex::decode_to_slice(secret.reveal(), &mut seed).map_err(|_| KeyFileError::Malformed {
            path: path.to_owned(),
        })?;
        Ok(Self::from_seed(&seed))
    }

    /// The 32 bytes of the public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The public key as a genesis names it: 64 hexadecimal characters.
    #[must_use]
    pub fn public_key_hex(&self) -> String {
        hex::encode(self.public_key())
    }

    /// Address of the validator: the first 20 bytes of SHA-256 of the public key.
    #[must_use]
    pub fn address(&self) -> [u8; 20] {
        consensus_address(&self.public_key())
    }

    /// The address as the SDK writes it: `poktvalcons1…`.
    #[must_use]
    pub fn consensus_address(&self) -> String {
        consensus_name(&self.address()).expect("20 bytes are short enough")
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// Address of a consensus key as the SDK writes it: `poktvalcons1…`.
pub(crate) fn consensus_name(address: &[u8]) -> Result<String, bech32::EncodeError> {
    bech32::encode::<Bech32>(CONSENSUS_PREFIX, address)
}

/// Address of the validator with this ed25519 public key.
pub(crate) fn consensus_address(public_key: &[u8; 32]) -> [u8; 20] {
    *Sha256::digest(public_key)
        .first_chunk()
        .expect("32 bytes hold 20")
}

#[cfg(test)]
mod tests {
    use super::{KeyFileError, ValidatorKey};

    #[test]
    fn makes_the_key_once_and_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("validator.hex");
        let key = ValidatorKey::open(&path).expect("made");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            ValidatorKey::open(&path).expect("read").public_key(),
            key.public_key()
        );
        std::fs::write(&path, "no key").expect("written");
        assert!(matches!(
            ValidatorKey::open(&path),
            Err(KeyFileError::Malformed { .. })
        ));
    }

    #[test]
    fn debug_does_not_show_the_seed() {
        let text = format!("{:?}", ValidatorKey::from_seed(&[7; 32]));
        assert!(!text.contains("07070707"), "{text}");
    }
}
