//! Answers compressed, for callers that ask for it.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, VARY,
};
use http::{HeaderMap, HeaderValue};
use http_body::{Body as HttpBody, Frame};

/// Smaller answers travel as they are: they fit into one packet either way.
const MIN_BYTES: u64 = 1_400;
/// Bytes of an answer that are compressed before other calls get their turn: well below a millisecond.
const STEP: usize = 64 << 10;
/// The fastest levels: JSON shrinks to a third or less with them, and what higher ones save costs several times the CPU.
const GZIP_LEVEL: Compression = Compression::fast();
const ZSTD_LEVEL: i32 = 1;

/// What an answer can be compressed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    /// Half the CPU of gzip for smaller answers, and so preferred where the caller takes both.
    Zstd,
}

/// Compresses `response` by the coding that the caller takes, if it is worth it.
pub(crate) fn compress(coding: Option<Coding>, mut response: Response) -> Response {
    if !may_change(response.headers()) {
        return response;
    }
    let Some(size) = response
        .body()
        .size_hint()
        .exact()
        .filter(|size| *size >= MIN_BYTES)
    else {
        return response;
    };
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("accept-encoding"));
    let Some(coding) = coding else { return response };
    let Ok(encoder) = Encoder::new(coding, size) else {
        return response; // no memory for a zstd context: as it is, then
    };
    let name = match coding {
        Coding::Gzip => "gzip",
        Coding::Zstd => "zstd",
    };
    response.headers_mut().remove(CONTENT_LENGTH);
    weaken(response.headers_mut());
    response
        .headers_mut()
        .insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    response.map(|body| {
        Body::new(Compressed {
            inner: body,
            part: Bytes::new(),
            encoder: Some(encoder),
        })
    })
}

/// Whether an answer's bytes may be others than the backend's: not those of a part of something, nor where the backend forbids it.
fn may_change(headers: &HeaderMap) -> bool {
    let forbids = |value: &HeaderValue| {
        let mut directives = value.as_bytes().split(|byte| *byte == b',');
        directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
    };
    !headers.contains_key(CONTENT_RANGE) && !headers.get_all(CACHE_CONTROL).iter().any(forbids)
}

/// Makes an entity tag a weak one: the bytes are not those that it names any more, but they mean the same.
fn weaken(headers: &mut HeaderMap) {
    let strong = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""));
    let weak = strong.and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
    if let Some(weak) = weak {
        headers.insert(ETAG, weak);
    }
}

/// The coding that the caller, whose headers these are, likes best; `None` if it takes neither, or likes plain answers better.
pub(crate) fn chosen(caller: &HeaderMap) -> Option<Coding> {
    let (mut zstd, mut gzip, mut identity, mut others) = (None, None, None, None);
    let values = caller.get_all(ACCEPT_ENCODING).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let place = match name.trim().to_ascii_lowercase().as_str() {
            "zstd" => &mut zstd,
            "gzip" | "x-gzip" => &mut gzip,
            "identity" => &mut identity,
            "*" => &mut others,
            _ => continue,
        };
        *place = Some(quality(parameters));
    }
    // Who takes anything gets what everybody knows.
    let (zstd, gzip) = (zstd.unwrap_or(0.0), gzip.or(others).unwrap_or(0.0));
    let (coding, quality) = match zstd >= gzip {
        true => (Coding::Zstd, zstd),
        false => (Coding::Gzip, gzip),
    };
    (quality > 0.0 && quality >= identity.unwrap_or(0.0)).then_some(coding)
}

/// The weight among an item's parameters: 1 unless it is given, 0 if it is none.
fn quality(parameters: &str) -> f32 {
    let mut parameters = parameters.split(';').map(str::trim);
    let weight = parameters.find_map(|parameter| {
        let (name, weight) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("q").then_some(weight)
    });
    match weight.map(str::parse::<f32>) {
        None => 1.0,
        Some(Ok(weight)) if (0.0..=1.0).contains(&weight) => weight,
        Some(_) => 0.0,
    }
}

/// A compressor that yields what it has ready.
enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// One for a body of `size` bytes, which saves zstd the tables of a larger one.
    fn new(coding: Coding, size: u64) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), GZIP_LEVEL)),
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.set_pledged_src_size(Some(size))?;
                Self::Zstd(encoder)
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => {
                encoder.write_all(bytes)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
            Self::Zstd(encoder) => {
                encoder.write_all(bytes)?;
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// A body, compressed as it is sent: no more than [`STEP`] bytes ahead, so that the answer is not held twice.
struct Compressed {
    inner: Body,
    /// What is left of the part under way.
    part: Bytes,
    /// Taken when everything is written.
    encoder: Option<Encoder>,
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        while let Some(mut encoder) = this.encoder.take() {
            let compressed = if this.part.is_empty() {
                match Pin::new(&mut this.inner).poll_frame(cx) {
                    Poll::Pending => {
                        this.encoder = Some(encoder);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(Some(Ok(frame))) => {
                        this.part = frame.into_data().unwrap_or_default();
                        this.encoder = Some(encoder);
                        continue;
                    }
                    Poll::Ready(None) => encoder.finish(),
                }
            } else {
                let step = this.part.split_to(this.part.len().min(STEP));
                let compressed = encoder.write(&step);
                this.encoder = Some(encoder);
                compressed
            };
            match compressed {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes.into())))),
                Err(error) => {
                    this.encoder = None;
                    return Poll::Ready(Some(Err(axum::Error::new(error))));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen_for(accepted: &str) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, accepted.parse().unwrap());
        chosen(&headers)
    }

    #[test]
    fn real_clients_get_what_they_take() {
        let clients = [
            ("gzip, deflate", Some(Coding::Gzip)),           // requests, Node.js
            ("br, gzip, deflate", Some(Coding::Gzip)),       // Node.js fetch
            ("deflate, gzip, br, zstd", Some(Coding::Zstd)), // curl --compressed
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)), // browsers
            ("gzip", Some(Coding::Gzip)),                    // Go
            ("br", None),
            ("identity", None),
            ("", None),
            ("*", Some(Coding::Gzip)),
        ];
        for (accepted, coding) in clients {
            assert_eq!(chosen_for(accepted), coding, "{accepted}");
        }
        assert_eq!(chosen(&HeaderMap::new()), None);
    }

    #[test]
    fn parts_and_what_a_backend_forbids_stay_as_they_are_and_tags_are_weakened() {
        let compressed = |fields: &[(&'static str, &'static str)]| {
            let mut response = Response::new(Body::from("x".repeat(2_000)));
            for (name, value) in fields {
                response
                    .headers_mut()
                    .insert(*name, HeaderValue::from_static(value));
            }
            compress(Some(Coding::Gzip), response).into_parts().0.headers
        };
        for fields in [
            ("content-range", "bytes 0-1999/3000"),
            ("cache-control", "public, No-Transform"),
        ] {
            assert!(
                !compressed(&[fields]).contains_key(CONTENT_ENCODING),
                "{fields:?}"
            );
        }
        assert_eq!(compressed(&[("etag", "\"1\"")])[ETAG], "W/\"1\"");
        assert_eq!(compressed(&[("etag", "W/\"1\"")])[ETAG], "W/\"1\"");
    }

    #[test]
    fn weights_decide() {
        let weighed = [
            ("zstd;q=0.5, gzip", Some(Coding::Gzip)),
            ("zstd;q=0, gzip;q=0", None),
            ("GZIP ; Q=0.2", Some(Coding::Gzip)),
            ("gzip;q=0.5, identity", None),
            ("gzip, identity;q=0.5", Some(Coding::Gzip)),
            ("gzip;q=0, *", None),
            ("gzip;q=2", None),
            ("gzip;q=NaN", None),
            ("gzip;level=9;q=1", Some(Coding::Gzip)),
        ];
        for (accepted, coding) in weighed {
            assert_eq!(chosen_for(accepted), coding, "{accepted}");
        }
    }
}
