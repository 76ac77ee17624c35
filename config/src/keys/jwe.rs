//! Decrypting what a password encrypted: JWE in compact form, `PBES2-HS256+A128KW` and `A256GCM` (RFC 7516, RFC 7518 §4.8 and §5.3).

use std::num::NonZeroU32;

use aes_kw::{KeyInit as _, KwAes128};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::{aead, pbkdf2};
use serde::Deserialize;
use zeroize::Zeroizing;

const KEY_WRAP: &str = "PBES2-HS256+A128KW";
const CONTENT: &str = "A256GCM";
/// Most rounds of the password's hash: those of a keyring are 8,192.
const MAX_ROUNDS: u32 = 10_000_000;
/// Bytes of the key that encrypts the content, and of that key when it is wrapped.
const KEY_BYTES: usize = 32;
const WRAPPED_BYTES: usize = KEY_BYTES + 8;

/// Why there is no plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JweError {
    #[error("it is no JWE with five parts: no file of a keyring")]
    Shape,
    #[error("it is encrypted in another way than PBES2-HS256+A128KW with A256GCM")]
    Algorithm,
    #[error("the password does not fit")]
    Password,
    #[error("what it holds was changed: its seal does not fit")]
    Seal,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    /// Rounds.
    p2c: u32,
    /// Salt, in base64 for URLs.
    p2s: String,
}

/// The plaintext of `token`.
pub(super) fn decrypt(token: &str, password: &str) -> Result<Zeroizing<Vec<u8>>, JweError> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, wrapped, iv, ciphertext, tag] = parts[..] else {
        return Err(JweError::Shape);
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JweError::Shape);
    let read: Header = serde_json::from_slice(&decode(header)?).map_err(|_| JweError::Algorithm)?;
    let rounds = NonZeroU32::new(read.p2c).filter(|rounds| rounds.get() <= MAX_ROUNDS);
    let (true, true, Some(rounds)) = (read.alg == KEY_WRAP, read.enc == CONTENT, rounds) else {
        return Err(JweError::Algorithm);
    };
    let salt = [KEY_WRAP.as_bytes(), &[0], &decode(&read.p2s)?].concat();
    let mut kek = Zeroizing::new([0; 16]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        &salt,
        password.as_bytes(),
        kek.as_mut_slice(),
    );
    let wrapped: [u8; WRAPPED_BYTES] = decode(wrapped)?.try_into().map_err(|_| JweError::Shape)?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    KwAes128::new(&(*kek).into())
        .unwrap_key(&wrapped, key.as_mut_slice())
        .map_err(|_| JweError::Password)?;
    let nonce = aead::Nonce::try_assume_unique_for_key(&decode(iv)?).map_err(|_| JweError::Shape)?;
    let key = aead::UnboundKey::new(&aead::AES_256_GCM, key.as_slice()).map_err(|_| JweError::Shape)?;
    let mut sealed = Zeroizing::new([decode(ciphertext)?, decode(tag)?].concat());
    let plain = aead::LessSafeKey::new(key)
        .open_in_place(nonce, aead::Aad::from(header.as_bytes()), &mut sealed)
        .map_err(|_| JweError::Seal)?;
    Ok(Zeroizing::new(plain.to_vec()))
}

/// Bytes of base64 as JSON of Go has them.
pub(super) fn standard_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_none_is_told() {
        assert_eq!(decrypt("a.b", "test"), Err(JweError::Shape));
        let other = URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A256GCM","p2c":1,"p2s":""}"#);
        assert_eq!(decrypt(&format!("{other}...."), "test"), Err(JweError::Algorithm));
        let slow = format!(r#"{{"alg":"{KEY_WRAP}","enc":"{CONTENT}","p2c":4294967295,"p2s":""}}"#);
        let slow = URL_SAFE_NO_PAD.encode(slow);
        assert_eq!(decrypt(&format!("{slow}...."), "test"), Err(JweError::Algorithm));
    }
}
