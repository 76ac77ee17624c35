//! Screens as CBOR (RFC 8949, deterministic): `{1: [screen, …]}`, a screen being a map without what is empty.

/// Major types of CBOR that occur.
const NUMBER: u8 = 0;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TRUE: u8 = 0xf5;

/// A line that is shown.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Screen {
    /// What it is called; may be empty.
    pub(super) title: String,
    /// What it is.
    pub(super) content: String,
    /// Depth, 0 at the top.
    pub(super) indent: u64,
    /// Whether it is shown only to those who ask.
    pub(super) expert: bool,
}

pub(super) fn encode(screens: &[Screen]) -> Vec<u8> {
    let mut out = Vec::new();
    head(MAP, 1, &mut out);
    head(NUMBER, 1, &mut out);
    head(ARRAY, screens.len() as u64, &mut out);
    for screen in screens {
        write(screen, &mut out);
    }
    out
}

fn write(screen: &Screen, out: &mut Vec<u8>) {
    let there = [
        !screen.title.is_empty(),
        !screen.content.is_empty(),
        screen.indent > 0,
        screen.expert,
    ];
    let entries = there.into_iter().filter(|there| *there).count();
    head(MAP, entries as u64, out);
    for (key, value) in [(1, &screen.title), (2, &screen.content)] {
        if !value.is_empty() {
            head(NUMBER, key, out);
            head(TEXT, value.len() as u64, out);
            out.extend_from_slice(value.as_bytes());
        }
    }
    if screen.indent > 0 {
        head(NUMBER, 3, out);
        head(NUMBER, screen.indent, out);
    }
    if screen.expert {
        head(NUMBER, 4, out);
        out.push(TRUE);
    }
}

/// The head of an item: its type, and its value or length in the fewest bytes.
fn head(major: u8, value: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    let bytes = value.to_be_bytes();
    let [.., last] = bytes;
    match value {
        0..24 => out.push(major | last),
        24..=0xff => out.extend_from_slice(&[major | 24, last]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&bytes);
        }
    }
}
