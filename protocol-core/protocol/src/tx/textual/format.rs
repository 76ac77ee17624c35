//! How values are written on a screen.

use prost_types::Duration;
use sha2::{Digest as _, Sha256};

use super::malformed;
use crate::tx::TxError;
use crate::wire::cosmos::base::v1beta1::Coin;

/// Most bytes that are shown; of more only the hash is.
const MAX_BYTES_SHOWN: usize = 35;
/// Longest duration that protobuf knows, seconds.
const MAX_DURATION_S: u64 = 315_576_000_000;

/// A field's name as a title: `fee_payer` is `Fee payer`.
pub(super) fn sentence_case(name: &str) -> String {
    let mut chars = name.chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    format!(
        "{}{}",
        first.to_ascii_uppercase(),
        chars.as_str().replace('_', " ")
    )
}

/// A whole number with a mark between thousands: `1'000'000`. Of digits only, with a sign or without.
pub(super) fn int_text(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number),
    };
    let digits = match digits.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let mut text = sign.to_owned();
    for (index, digit) in digits.char_indices() {
        if index > 0 && digits.len().saturating_sub(index) % 3 == 0 {
            text.push('\'');
        }
        text.push(digit);
    }
    text
}

/// Bytes as groups of four hexadecimal digits; of many their hash.
pub(super) fn bytes_text(bytes: &[u8]) -> String {
    if bytes.len() > MAX_BYTES_SHOWN {
        return format!("SHA-256={}", groups(&Sha256::digest(bytes)));
    }
    groups(bytes)
}

fn groups(bytes: &[u8]) -> String {
    let pairs = bytes.chunks(2).map(hex::encode_upper);
    pairs.collect::<Vec<_>>().join(" ")
}

/// Coins, by denomination. Errs for an amount that is no number, and for a denomination with a comma or blank.
pub(super) fn coins_text(coins: &[Coin]) -> Result<String, TxError> {
    let mut shown = Vec::new();
    for coin in coins {
        let is_number = !coin.amount.is_empty() && coin.amount.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || coin.denom.contains([',', ' ']) {
            return Err(malformed("such a coin"));
        }
        shown.push((&coin.denom, format!("{} {}", int_text(&coin.amount), coin.denom)));
    }
    shown.sort_by_key(|(denom, _)| *denom);
    let texts: Vec<String> = shown.into_iter().map(|(_, text)| text).collect();
    Ok(match texts.is_empty() {
        true => "zero".to_owned(),
        false => texts.join(", "),
    })
}

/// A duration as days, hours, minutes and seconds; `None` for one that cannot be.
pub(super) fn duration_text(duration: &Duration) -> Option<String> {
    let (seconds, nanos) = (duration.seconds.unsigned_abs(), duration.nanos.unsigned_abs());
    let signs = [duration.seconds.signum(), i64::from(duration.nanos.signum())];
    if seconds > MAX_DURATION_S || nanos >= 1_000_000_000 || signs.contains(&1) && signs.contains(&-1) {
        return None;
    }
    let rest = seconds % 60;
    let fraction = match nanos {
        0 => String::new(),
        _ => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    let units = [
        (seconds / 86_400, "day"),
        (seconds / 3_600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
    ];
    let mut parts = Vec::new();
    for (index, (count, unit)) in units.iter().enumerate() {
        // A zero is said between others only.
        let lower = units.iter().skip(index).any(|(count, _)| *count > 0) || rest > 0 || nanos > 0;
        if *count > 0 || !parts.is_empty() && lower {
            parts.push(format!("{count} {unit}{}", plural(*count)));
        }
    }
    if rest > 0 || nanos > 0 {
        let one = rest == 1 && nanos == 0;
        parts.push(format!("{rest}{fraction} second{}", if one { "" } else { "s" }));
    }
    if parts.is_empty() {
        return Some("0 seconds".to_owned());
    }
    let sign = if signs.contains(&-1) { "-" } else { "" };
    Some(format!("{sign}{}", parts.join(", ")))
}
