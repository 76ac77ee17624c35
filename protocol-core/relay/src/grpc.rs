//! gRPC as HTTP carries it: content types, messages in frames, status and trailers. What both ends of a relay read and write of it; no I/O.
//!
//! A gRPC call is relayed as the HTTP request that it is: `POST /package.Service/Method`, whose body is one message in a frame. The node's answer is
//! an HTTP response, its trailers among the headers, since a relay's payload has no place for trailers (as the HA relay miner has it).

use std::time::Duration;

use bytes::Bytes;

/// Status of a call, from 0 to 16.
pub const STATUS: &str = "grpc-status";
/// Text of the status, percent-encoded.
pub const MESSAGE: &str = "grpc-message";
/// More of it, in base64.
pub const DETAILS: &str = "grpc-status-details-bin";
/// Time that a caller gives.
pub const TIMEOUT: &str = "grpc-timeout";
/// Where a relay is sent by gRPC itself, as pocket-ap sends it.
pub const SEND_RELAY: &str = "/pocket.service.RelayService/SendRelay";
/// Bytes before a message: whether it is compressed, and its length.
pub const PREFIX: usize = 5;
/// Flag of the frame that has the trailers of gRPC-Web.
const TRAILERS: u8 = 0x80;

/// Statuses that are chosen here.
pub const OK: u8 = 0;
/// Nobody knows what went wrong.
pub const UNKNOWN: u8 = 2;
/// The call makes no sense.
pub const INVALID_ARGUMENT: u8 = 3;
/// Time was up.
pub const DEADLINE_EXCEEDED: u8 = 4;
/// As much was taken as there is, or may be.
pub const RESOURCE_EXHAUSTED: u8 = 8;
/// No such method, or it is not served so.
pub const UNIMPLEMENTED: u8 = 12;
/// It does not answer now; another time it may.
pub const UNAVAILABLE: u8 = 14;

/// How the bytes of a call travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/2 with trailers.
    Native,
    /// gRPC-Web: any HTTP, the trailers in a last frame of the body.
    Web,
    /// The same in base64.
    WebText,
}

impl Wire {
    /// The wire of a request or response with this `Content-Type`; `None` of one that is no gRPC.
    #[must_use]
    pub fn of(content_type: &[u8]) -> Option<Self> {
        let is = |prefix: &[u8]| {
            let beginning = content_type.get(..prefix.len());
            let next = content_type.get(prefix.len());
            beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix))
                && next.is_none_or(|next| b"+; ".contains(next))
        };
        match () {
            () if is(b"application/grpc") => Some(Self::Native),
            () if is(b"application/grpc-web") => Some(Self::Web),
            () if is(b"application/grpc-web-text") => Some(Self::WebText),
            () => None,
        }
    }

    /// `Content-Type` of what is answered.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Native => "application/grpc",
            Self::Web => "application/grpc-web+proto",
            Self::WebText => "application/grpc-web-text+proto",
        }
    }
}

/// What stands before a message of this length.
#[must_use]
pub fn prefix(length: usize) -> [u8; PREFIX] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [0, a, b, c, d]
}

/// How many messages a body consists of; `None` when it is no sequence of whole messages.
#[must_use]
pub fn count(mut body: &[u8]) -> Option<usize> {
    let mut messages = 0_usize;
    while !body.is_empty() {
        body = body.get(length(body)?..)?;
        messages = messages.checked_add(1)?;
    }
    Some(messages)
}

/// Bytes of the first message of a body with what stands before it, of which not all need be there; `None` when not even its length is.
#[must_use]
pub fn length(body: &[u8]) -> Option<usize> {
    let [_, a, b, c, d] = *body.first_chunk::<PREFIX>()?;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    length.checked_add(PREFIX)
}

/// The messages of a body, as they are; `None` when it is no sequence of whole messages.
#[must_use]
pub fn messages(body: &Bytes) -> Option<Vec<Bytes>> {
    let (mut rest, mut messages) = (body.clone(), Vec::new());
    while !rest.is_empty() {
        let length = length(&rest).filter(|length| *length <= rest.len())?;
        messages.push(rest.split_to(length).slice(PREFIX..));
    }
    Some(messages)
}

/// The only message of a body, uncompressed; `None` of any other body.
#[must_use]
pub fn only(body: &Bytes) -> Option<Bytes> {
    let is_plain = body.first() == Some(&0) && count(body) == Some(1);
    is_plain.then(|| body.slice(PREFIX..))
}

/// The frame of gRPC-Web that has the trailers.
#[must_use]
pub fn web_trailers<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Bytes {
    let text: String = fields
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let mut frame = prefix(text.len()).to_vec();
    frame[0] = TRAILERS;
    frame.extend_from_slice(text.as_bytes());
    frame.into()
}

/// A text as `grpc-message` has it.
#[must_use]
pub fn message(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | ..=0x1f | 0x7f.. => _ = write!(encoded, "%{byte:02X}"),
            plain => encoded.push(char::from(plain)),
        }
    }
    encoded
}

/// The time that `grpc-timeout` gives: up to eight digits and a unit.
#[must_use]
pub fn timeout(value: &str) -> Option<Duration> {
    let unit = value.chars().last()?;
    let digits = value.strip_suffix(unit)?;
    let amount: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    Some(match unit {
        'H' => Duration::from_secs(amount.checked_mul(3_600)?),
        'M' => Duration::from_secs(amount.checked_mul(60)?),
        'S' => Duration::from_secs(amount),
        'm' => Duration::from_millis(amount),
        'u' => Duration::from_micros(amount),
        'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// The status of an answer that has none but HTTP's, as gRPC's specification has it.
#[must_use]
pub const fn of_node(http: u16) -> u8 {
    match http {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// The status that says what an error of ours says by this status of HTTP.
#[must_use]
pub const fn of_error(http: u16) -> u8 {
    match http {
        400 | 415 => INVALID_ARGUMENT,
        401 => 16,
        403 => 7,
        404 => 5,
        405 | 501 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        413 | 429 => RESOURCE_EXHAUSTED,
        502 | 503 => UNAVAILABLE,
        _ => 13,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_tell_the_wire() {
        for (text, wire) in [
            ("application/grpc", Some(Wire::Native)),
            ("application/grpc+proto", Some(Wire::Native)),
            ("application/grpc+pocket-ap-raw-bytes", Some(Wire::Native)),
            ("application/grpc-web", Some(Wire::Web)),
            ("Application/gRPC-Web+proto; charset=x", Some(Wire::Web)),
            ("application/grpc-web-text", Some(Wire::WebText)),
            ("application/grpcx", None),
            ("application/json", None),
            ("", None),
        ] {
            assert_eq!(Wire::of(text.as_bytes()), wire, "{text}");
        }
    }

    #[test]
    fn messages_are_counted_and_none_is_read_beyond_its_bytes() {
        let frame = |message: &[u8]| [&prefix(message.len())[..], message].concat();
        let one = Bytes::from(frame(b"abc"));
        assert_eq!(only(&one).unwrap(), "abc");
        let two = Bytes::from([frame(b""), frame(b"xy")].concat());
        assert_eq!(count(&two), Some(2));
        assert_eq!(messages(&two).unwrap(), [&b""[..], b"xy"]);
        assert_eq!(only(&two), None);
        for broken in [&b"\0"[..], b"\0\0\0\0\x01", b"\0\xff\xff\xff\xff1"] {
            assert_eq!(count(broken), None);
            assert_eq!(messages(&Bytes::from_static(broken)), None);
        }
        assert_eq!(only(&Bytes::from_static(b"\x01\0\0\0\0")), None, "compressed");
        assert_eq!(only(&Bytes::new()), None);
    }

    #[test]
    fn texts_and_times_are_written_as_specified() {
        assert_eq!(message("not found: 5 % \n\u{e9}"), "not found: 5 %25 %0A%C3%A9");
        for (text, time) in [
            ("5S", Some(Duration::from_secs(5))),
            ("250m", Some(Duration::from_millis(250))),
            ("2H", Some(Duration::from_secs(7_200))),
            ("123456789S", None),
            ("5", None),
            ("5\u{20ac}", None),
            ("", None),
        ] {
            assert_eq!(timeout(text), time, "{text}");
        }
        let trailers = web_trailers([("grpc-status", "0")].into_iter());
        assert_eq!(&trailers[..], b"\x80\0\0\0\x10grpc-status: 0\r\n");
    }
}
