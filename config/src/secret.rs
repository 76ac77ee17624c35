//! Text that must not be printed.

use std::fmt;

use portico_protocol::SigningKey;
use portico_protocol::keys::KeyError;
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

/// A text that `Debug` does not show, and whose memory is wiped on drop.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(with = "String")]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself: for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The text as a private key of 64 hexadecimal characters.
    pub fn signing_key(&self) -> Result<SigningKey, KeyError> {
        SigningKey::from_hex(self.reveal())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}
