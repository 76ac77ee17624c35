//! How numbers, digests and names are written in every form.

use super::picture::{Node, Role, Shape};

/// Bits of an extension that are written out; of a longer one the rest is counted.
const MAX_BITS: usize = 12;

/// The first four bytes in hex.
pub(super) fn short(bytes: &[u8]) -> String {
    let mut text = hex(&bytes[..bytes.len().min(4)]);
    text.push('…');
    text
}

/// All bytes in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first bits, and how many more there are.
pub(super) fn shortened(bits: &str) -> String {
    match bits.get(..MAX_BITS) {
        Some(first) if bits.len() > MAX_BITS => format!("{first}…(+{})", bits.len() - MAX_BITS),
        _ => bits.to_owned(),
    }
}

/// The number with a comma after each three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The two lines of a node's box.
pub(super) fn lines(node: &Node) -> [String; 2] {
    let leaves = match node.leaves {
        1 => "1 leaf".to_owned(),
        more => format!("{} leaves", grouped(more)),
    };
    let (path, digest) = (short(node.path.as_ref()), short(&node.digest));
    match (node.shape, node.sum) {
        (Shape::Leaf, Some(weight)) => [format!("weight {}", grouped(weight)), path],
        (Shape::Leaf, None) => [format!("leaf {path}"), digest],
        (Shape::Folded, Some(sum)) => [leaves, format!("sum {}", grouped(sum))],
        (_, Some(sum)) => [format!("sum {}", grouped(sum)), format!("{leaves} · {digest}")],
        (_, None) => [leaves, digest],
    }
}

/// Everything about a node, for those who point at it.
pub(super) fn details(node: &Node) -> String {
    let what = match node.shape {
        Shape::Leaf => format!("leaf at depth {}\npath {}", node.entry, node.path),
        Shape::Branch(..) | Shape::Folded => format!("branch at depth {}", node.end),
    };
    format!("{what}\ndigest {}", hex(&node.digest))
}

/// Name of a role: a class in pictures, a word in text.
pub(super) fn role(role: Role) -> Option<&'static str> {
    match role {
        Role::None => None,
        Role::Way => Some("way"),
        Role::Beside => Some("beside"),
        Role::Closest => Some("closest"),
    }
}

/// `text` as it may stand in XML and HTML, also in attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter if letter.is_control() && letter != '\n' => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}
