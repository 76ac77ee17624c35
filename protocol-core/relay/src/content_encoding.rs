//! HTTP content encodings, undone: what callers, suppliers and backends compressed, within a bound.

use std::io::{self, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// What can be undone, as a value of `Accept-Encoding`.
pub const SUPPORTED: &str = "gzip, deflate, br, zstd";

/// Encodings that may lie over each other; more serve nobody but who wants work done.
const MAX_LAYERS: usize = 2;
/// Largest window of zstd, as a power of two: 8 MiB, the most that HTTP allows (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;
/// Buffer of a decoder, in bytes.
const BUFFER: usize = 16 << 10;

/// Why an encoded body cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It names an encoding that is not one of [`SUPPORTED`], or too many of them.
    #[error("its content encoding is not one of gzip, deflate, br and zstd")]
    Unsupported,
    /// The bytes are not what it names.
    #[error("it is not encoded as its Content-Encoding says, or cut short")]
    Malformed,
    /// Decoded, it is larger than allowed.
    #[error("decoded, it is larger than allowed")]
    TooLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    fn parse(name: &str) -> Result<Self, DecodeError> {
        let known = [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ];
        let mut known = known.into_iter();
        known
            .find(|(spelling, _)| spelling.eq_ignore_ascii_case(name))
            .map(|(_, encoding)| encoding)
            .ok_or(DecodeError::Unsupported)
    }

    fn decode(self, body: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecodeError> {
        match self {
            Self::Gzip => bounded(MultiGzDecoder::new(body), max_bytes),
            // By the RFC deflate means zlib; some servers send it bare, and clients take both.
            Self::Deflate if is_zlib(body) => bounded(ZlibDecoder::new(body), max_bytes),
            Self::Deflate => bounded(DeflateDecoder::new(body), max_bytes),
            Self::Brotli => brotli(body, max_bytes),
            Self::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(body).map_err(|_| DecodeError::Malformed)?;
                let window = decoder.window_log_max(ZSTD_WINDOW_LOG);
                window.map_err(|_| DecodeError::Malformed)?;
                bounded(decoder, max_bytes)
            }
        }
    }
}

/// Whether a body with these `Content-Encoding` values is encoded at all.
#[must_use]
pub fn is_encoded<'v>(values: impl IntoIterator<Item = &'v str>) -> bool {
    names(values).next().is_some()
}

/// Undoes all encodings that the `Content-Encoding` values name, the last first. `max_bytes` bounds what comes out, of each.
///
/// Work and memory are bounded by the sizes of `body` and `max_bytes`. That may be much: some milliseconds for a megabyte.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode<'v>(
    values: impl IntoIterator<Item = &'v str>,
    body: Bytes,
    max_bytes: usize,
) -> Result<Bytes, DecodeError> {
    let layers: Vec<&str> = names(values).take(MAX_LAYERS.saturating_add(1)).collect();
    if layers.len() > MAX_LAYERS {
        return Err(DecodeError::Unsupported);
    }
    let layers: Result<Vec<_>, _> = layers.into_iter().map(Encoding::parse).collect();
    let mut body = body;
    for layer in layers?.into_iter().rev() {
        body = layer.decode(&body, max_bytes)?.into();
    }
    Ok(body)
}

/// The encodings named, in the order in which they were applied.
fn names<'v>(values: impl IntoIterator<Item = &'v str>) -> impl Iterator<Item = &'v str> {
    let names = values.into_iter().flat_map(|value| value.split(','));
    let names = names.map(str::trim);
    names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
}

/// Whether `body` begins as zlib does: method 8, and a check sum over the first two bytes.
fn is_zlib(body: &[u8]) -> bool {
    match body {
        [method, flags, ..] => method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31),
        _ => false,
    }
}

/// Undoes brotli as HTTP has it, without large windows: those may ask for a gigabyte of memory.
fn brotli(body: &[u8], max_bytes: usize) -> Result<Vec<u8>, DecodeError> {
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut available, mut offset, mut total) = (body.len(), 0, 0);
    let (mut decoded, mut buffer) = (Vec::new(), [0; BUFFER]);
    loop {
        let (mut room, mut written) = (buffer.len(), 0);
        let result = BrotliDecompressStream(
            &mut available,
            &mut offset,
            body,
            &mut room,
            &mut written,
            &mut buffer,
            &mut total,
            &mut state,
        );
        decoded.extend_from_slice(&buffer[..written]);
        match result {
            _ if decoded.len() > max_bytes => return Err(DecodeError::TooLarge),
            BrotliResult::ResultSuccess => return Ok(decoded),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => return Err(DecodeError::Malformed),
        }
    }
}

/// All that `decoder` yields, if it is no more than `max_bytes`.
fn bounded(decoder: impl Read, max_bytes: usize) -> Result<Vec<u8>, DecodeError> {
    let mut decoded = Vec::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let read: io::Result<usize> = decoder.take(limit).read_to_end(&mut decoded);
    match read {
        _ if decoded.len() > max_bytes => Err(DecodeError::TooLarge),
        Ok(_) => Ok(decoded),
        Err(_) => Err(DecodeError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x1\"}";
    /// `TEXT` by brotli 1.1 (Node.js 20).
    const BROTLI: &str =
        "0b13807b226a736f6e727063223a22322e30222c226964223a312c22726573756c74223a22307831227d03";
    /// 8 MiB of zeros.
    const BROTLI_ZEROS: &str = "9bffff7ff82700e2b14020f7fe0f";
    /// 3 MiB of zeros with a window of 1 GiB.
    const BROTLI_LARGE_WINDOW: &str = "115efeffbfe09f0088c70201b9f72f";

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn bare_deflate(body: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(body: &[u8]) -> Vec<u8> {
        ::zstd::encode_all(body, 1).unwrap()
    }

    fn decoded(value: &str, body: Vec<u8>) -> Result<Bytes, DecodeError> {
        decode([value], body.into(), 1 << 20)
    }

    #[test]
    fn undoes_every_supported_encoding() {
        let encoded = [
            ("gzip", gzip(TEXT)),
            ("X-GZIP", gzip(TEXT)),
            ("deflate", zlib(TEXT)),
            ("deflate", bare_deflate(TEXT)),
            ("br", hex::decode(BROTLI).unwrap()),
            ("zstd", zstd(TEXT)),
            ("identity", TEXT.to_vec()),
            ("", TEXT.to_vec()),
            ("gzip, zstd", zstd(&gzip(TEXT))),
        ];
        for (value, body) in encoded {
            assert_eq!(decoded(value, body).unwrap(), TEXT, "{value}");
        }
        let two_fields = decode(["gzip", "zstd"], zstd(&gzip(TEXT)).into(), 1 << 20);
        assert_eq!(two_fields.unwrap(), TEXT);
        assert!(is_encoded(["identity", "br"]) && !is_encoded(["identity", " , "]));
    }

    #[test]
    fn a_decompression_bomb_ends_at_the_bound() {
        let zeros = vec![0; 8 << 20];
        let bombs = [
            ("gzip", gzip(&zeros)),
            ("deflate", zlib(&zeros)),
            ("br", hex::decode(BROTLI_ZEROS).unwrap()),
            ("zstd", zstd(&zeros)),
        ];
        for (value, bomb) in bombs {
            assert!(bomb.len() < 1 << 17, "{value}");
            assert_eq!(decoded(value, bomb), Err(DecodeError::TooLarge), "{value}");
        }
        let layered = gzip(&gzip(&zeros));
        assert_eq!(
            decode(["gzip, gzip"], layered.into(), 1 << 10),
            Err(DecodeError::TooLarge)
        );
    }

    #[test]
    fn the_bound_itself_is_allowed() {
        let at = |max| decode(["gzip"], gzip(TEXT).into(), max);
        assert_eq!(at(TEXT.len()).unwrap(), TEXT);
        assert_eq!(at(TEXT.len() - 1), Err(DecodeError::TooLarge));
    }

    #[test]
    fn what_is_cut_short_or_something_else_is_malformed() {
        let whole = [
            ("gzip", gzip(TEXT)),
            ("deflate", zlib(TEXT)),
            ("br", hex::decode(BROTLI).unwrap()),
            ("zstd", zstd(TEXT)),
        ];
        for (value, body) in whole {
            for length in 1..body.len() {
                let cut = decoded(value, body[..length].to_vec());
                assert_eq!(cut, Err(DecodeError::Malformed), "{value} {length}");
            }
            assert_eq!(
                decoded(value, TEXT.to_vec()),
                Err(DecodeError::Malformed),
                "{value}"
            );
        }
    }

    #[test]
    fn a_brotli_window_of_a_gigabyte_is_refused() {
        let large = hex::decode(BROTLI_LARGE_WINDOW).unwrap();
        assert_eq!(decode(["br"], large.into(), 4 << 20), Err(DecodeError::Malformed));
    }

    #[test]
    fn other_encodings_and_many_layers_are_unsupported() {
        for value in ["compress", "gzip, aws-chunked", "gzip;q=1", "gzip, gzip, gzip"] {
            assert_eq!(
                decoded(value, gzip(TEXT)),
                Err(DecodeError::Unsupported),
                "{value}"
            );
        }
    }
}
