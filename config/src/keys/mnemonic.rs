//! Keys from a mnemonic: BIP-39 words, BIP-32 derivation, as `pocketd keys add --recover` does it.

use bip39::{Language, Mnemonic};
use k256::elliptic_curve::PrimeField;
use portico_protocol::SigningKey;
use ring::hmac;
use zeroize::Zeroizing;

/// Path of the first account, as the Cosmos SDK has it: coin type 118.
pub const FIRST_ACCOUNT: &str = "m/44'/118'/0'/0/0";
/// Steps of a path, at most.
const MAX_STEPS: usize = 16;
/// Steps from here on are hardened.
const HARDENED: u32 = 1 << 31;

/// Why there is no key; never with a word of the mnemonic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MnemonicError {
    #[error(
        "the mnemonic is none: 12, 15, 18, 21 or 24 words of the English list are expected, and the last one has to fit"
    )]
    Words,
    #[error("a passphrase has ASCII characters only")]
    Passphrase,
    #[error("the path {0:?} is none, such as {FIRST_ACCOUNT}")]
    Path(String),
    /// Happens once in 2^127.
    #[error("the path leads to no key")]
    NoKey,
}

/// The key at `path` below the seed of the words and the passphrase.
pub(super) fn derive(words: &str, passphrase: &str, path: &str) -> Result<SigningKey, MnemonicError> {
    let words = Zeroizing::new(words.split_whitespace().collect::<Vec<_>>().join(" "));
    let mnemonic =
        Mnemonic::parse_in_normalized(Language::English, &words).map_err(|_| MnemonicError::Words)?;
    // Others would have to be normalized by Unicode's tables.
    if !passphrase.is_ascii() {
        return Err(MnemonicError::Passphrase);
    }
    let seed = Zeroizing::new(mnemonic.to_seed_normalized(passphrase));
    let steps = steps(path).ok_or_else(|| MnemonicError::Path(path.to_owned()))?;
    let mut node = Node::of(b"Bitcoin seed", seed.as_slice());
    for step in steps {
        node = node.child(step).ok_or(MnemonicError::NoKey)?;
    }
    node.key().ok_or(MnemonicError::NoKey)
}

/// The numbers of a path: `m/44'/118'/0'/0/0`.
fn steps(path: &str) -> Option<Vec<u32>> {
    let rest = path.strip_prefix("m/")?;
    let steps: Option<Vec<u32>> = rest
        .split('/')
        .map(|step| {
            let (number, offset) = match step.strip_suffix(['\'', 'h']) {
                Some(number) => (number, HARDENED),
                None => (step, 0),
            };
            let number: u32 = number.parse().ok()?;
            (number < HARDENED).then_some(number + offset)
        })
        .collect();
    steps.filter(|steps| steps.len() <= MAX_STEPS)
}

/// A private key of the tree, with what its children are made with.
struct Node {
    key: Zeroizing<[u8; 32]>,
    chain: Zeroizing<[u8; 32]>,
}

impl Node {
    fn of(key: &[u8], data: &[u8]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, key), data);
        let (left, right) = tag.as_ref().split_at(32);
        let part = |bytes: &[u8]| Zeroizing::new(bytes.try_into().expect("half of 64 bytes"));
        Self {
            key: part(left),
            chain: part(right),
        }
    }

    fn key(&self) -> Option<SigningKey> {
        SigningKey::from_bytes(&self.key).ok()
    }

    /// The child at `step` (BIP-32, CKDpriv).
    fn child(&self, step: u32) -> Option<Self> {
        let number = step.to_be_bytes();
        let data = Zeroizing::new(match step >= HARDENED {
            true => [&[0], self.key.as_slice(), &number].concat(),
            false => [self.key()?.public_key().as_bytes().as_slice(), &number].concat(),
        });
        let mut child = Self::of(self.chain.as_slice(), &data);
        let scalar = |bytes: [u8; 32]| Option::<k256::Scalar>::from(k256::Scalar::from_repr(bytes.into()));
        let sum = scalar(*child.key)? + scalar(*self.key)?;
        child.key = Zeroizing::new(sum.to_repr().into());
        Some(child)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test vector 1 of BIP-32: hardened and other steps.
    #[test]
    fn derives_what_bip_32_says() {
        let seed = hex::decode("000102030405060708090a0b0c0d0e0f").unwrap();
        for (path, key) in [
            (
                "m/0'",
                "edb2e14f9ee77d26dd93b4ecede8d16ed408ce149b6cd80b0715a2d911a0afea",
            ),
            (
                "m/0'/1",
                "3c6cb8d0f6a264c91ea8b5030fadaa8e538b020f0a387421a12de9319dc93368",
            ),
            (
                "m/0'/1/2'",
                "cbce0d719ecf7431d88e6a89fa1483e02e35092af60c042b1df2ff59fa424dca",
            ),
        ] {
            let mut node = Node::of(b"Bitcoin seed", &seed);
            for step in steps(path).unwrap() {
                node = node.child(step).unwrap();
            }
            assert_eq!(node.key().unwrap().to_hex(), key, "{path}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_a_word_of_it() {
        let words = "abandon ".repeat(11) + "about";
        assert!(derive(&words, "", FIRST_ACCOUNT).is_ok());
        assert_ne!(
            derive(&words, "", FIRST_ACCOUNT).unwrap().address(),
            derive(&words, "more", FIRST_ACCOUNT).unwrap().address()
        );
        for wrong in [
            "abandon",
            &"abandon ".repeat(12),
            &words.replace("about", "pocket"),
        ] {
            let error = derive(wrong, "", FIRST_ACCOUNT).unwrap_err();
            assert_eq!(error, MnemonicError::Words);
            assert!(!error.to_string().contains("abandon"));
        }
        assert_eq!(
            derive(&words, "é", FIRST_ACCOUNT).unwrap_err(),
            MnemonicError::Passphrase
        );
        for path in ["", "44'/118'", "m/", "m/x", "m/2147483648", "m/0''"] {
            assert_eq!(
                derive(&words, "", path).unwrap_err(),
                MnemonicError::Path(path.to_owned())
            );
        }
    }
}
