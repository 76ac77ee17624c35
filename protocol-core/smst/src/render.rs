//! Tries as text, for people.
//!
//! ```text
//! 5 leaves, sum 60, 8fc91f29…
//! ├─ 0 4 leaves, sum 47, 657ca253…
//! │  ├─ 00 3 leaves, sum 35, 70458262…
//! │  │  ├─ 0 leaf 0e144616…, weight 11
//! │  │  └─ 1 2 leaves, sum 24, 7802c4f4…, folded
//! │  └─ 1 leaf 58204561…, weight 12
//! └─ 1 leaf b6e26a92…, weight 13
//! ```
//! Bits before a node are the way to it from the one above; an extension shows as several bits at once.

use std::fmt::Write as _;

use crate::leaf_set::LeafSet;
use crate::spec::Spec;
use crate::trie::Trie;
use crate::walk::{Cursor, LeafOf, stored_fork};

/// Bits of an extension that are written out; of a longer one the rest is counted.
const MAX_BITS: usize = 12;

/// The trie with its upper `levels` of branches; what is below them is folded into one line each, so that
/// there are at most 2^(levels + 1) lines. Each line ends with a line feed.
#[must_use]
pub fn text<S: Spec>(trie: &Trie<S>, levels: usize) -> String {
    render(trie.cursor(), levels)
}

/// As [`text`], of a leaf set.
#[must_use]
pub fn leaf_set_text(set: &mut LeafSet, levels: usize) -> String {
    render(set.cursor(), levels)
}

fn render<C: Cursor>(root: C, levels: usize) -> String {
    let mut out = String::new();
    if root.is_empty() {
        return "no leaves\n".to_owned();
    }
    node(&mut out, root, 0, levels, String::new(), "");
    out
}

/// Writes the line of the subtree at `depth`, whose way from the line above starts with `bits`, and its children's.
fn node<C: Cursor>(out: &mut String, subtree: C, depth: usize, levels: usize, bits: String, indent: &str) {
    if let Some(leaf) = subtree.leaf() {
        line(out, &bits, &leaf_text::<C>(&leaf));
        return;
    }
    let (fork, below) = forked(subtree, depth);
    let way = subtree.some_path().map_or_else(String::new, |path| {
        (depth..fork)
            .map(|at| if path.bit(at) { '1' } else { '0' })
            .collect()
    });
    let folded = if levels == 0 { ", folded" } else { "" };
    let digest = subtree.digest(depth);
    let totals = totals::<C>(subtree, depth, &digest);
    line(
        out,
        &shortened(bits + &way),
        &format!("{totals}, {}{folded}", short(digest.as_ref())),
    );
    if levels == 0 {
        return;
    }
    let (left, right) = below.children(fork);
    let _ = write!(out, "{indent}├─ ");
    node(
        out,
        left,
        fork + 1,
        levels - 1,
        "0".to_owned(),
        &format!("{indent}│  "),
    );
    let _ = write!(out, "{indent}└─ ");
    node(
        out,
        right,
        fork + 1,
        levels - 1,
        "1".to_owned(),
        &format!("{indent}   "),
    );
}

fn line(out: &mut String, bits: &str, text: &str) {
    let space = if bits.is_empty() { "" } else { " " };
    let _ = writeln!(out, "{bits}{space}{text}");
}

/// The subtree where it first has two children, and that depth.
fn forked<C: Cursor>(subtree: C, depth: usize) -> (usize, C) {
    let fork = stored_fork(subtree, depth);
    let below = (depth..fork).fold(subtree, |at, depth| {
        let (left, right) = at.children(depth);
        if left.is_empty() { right } else { left }
    });
    (fork, below)
}

fn leaf_text<C: Cursor>(leaf: &LeafOf<C>) -> String {
    let path = short(leaf.path.as_ref());
    match C::Spec::totals(&leaf.digest) {
        Some((weight, _)) => format!("leaf {path}, weight {weight}"),
        None => format!("leaf {path}, {}", short(leaf.digest.as_ref())),
    }
}

fn totals<C: Cursor>(subtree: C, depth: usize, digest: &<C::Spec as Spec>::Digest) -> String {
    match C::Spec::totals(digest) {
        Some((sum, count)) => format!("{count} leaves, sum {sum}"),
        None => format!("{} leaves", count(subtree, depth)),
    }
}

fn count<C: Cursor>(subtree: C, depth: usize) -> usize {
    if subtree.is_empty() {
        return 0;
    }
    if subtree.leaf().is_some() {
        return 1;
    }
    let (left, right) = subtree.children(depth);
    count(left, depth + 1) + count(right, depth + 1)
}

/// The first four bytes in hex.
fn short(bytes: &[u8]) -> String {
    let mut text: String = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    text.push('…');
    text
}

fn shortened(bits: String) -> String {
    if bits.len() <= MAX_BITS {
        return bits;
    }
    format!("{}…(+{})", &bits[..MAX_BITS], bits.len() - MAX_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Path;
    use crate::spec::SumDigest;
    use crate::trie::{PlainTrie, SumTrie};

    fn five() -> SumTrie {
        let mut trie = SumTrie::new();
        for i in 0..5u64 {
            let value = format!("value-{i}").into_bytes();
            trie.insert(Path::of_key(Path::of_key(&value).as_ref()), value, 10 + i);
        }
        trie
    }

    #[test]
    fn shows_each_leaf_with_its_weight_and_each_branch_with_its_totals() {
        let shown = text(&five(), 8);
        assert_eq!(
            shown.lines().collect::<Vec<_>>(),
            [
                "5 leaves, sum 60, 8fc91f29…",
                "├─ 0 4 leaves, sum 47, 657ca253…",
                "│  ├─ 00 3 leaves, sum 35, 70458262…",
                "│  │  ├─ 0 leaf 0e144616…, weight 11",
                "│  │  └─ 1 2 leaves, sum 24, 7802c4f4…",
                "│  │     ├─ 0 leaf 172e9c5f…, weight 10",
                "│  │     └─ 1 leaf 1cc980c0…, weight 14",
                "│  └─ 1 leaf 58204561…, weight 12",
                "└─ 1 leaf b6e26a92…, weight 13",
            ]
        );
    }

    #[test]
    fn folds_what_is_below_the_asked_levels() {
        let shown = text(&five(), 1);
        assert_eq!(
            shown,
            "5 leaves, sum 60, 8fc91f29…\n├─ 0 4 leaves, sum 47, 657ca253…, folded\n\
             └─ 1 leaf b6e26a92…, weight 13\n"
        );
    }

    #[test]
    fn counts_the_leaves_of_a_plain_trie_and_shows_an_extension_as_bits() {
        let mut trie = PlainTrie::new();
        trie.insert(Path::new([0; 32]), *b"a");
        trie.insert(Path::new([0; 32]).prefix(0), *b"b");
        let mut other = [0; 32];
        other[2] = 1;
        trie.insert(Path::new(other), *b"c");
        let shown = text(&trie, 1);
        assert!(shown.starts_with("000000000000…(+11) 2 leaves, "), "{shown}");
        assert_eq!(text(&PlainTrie::new(), 3), "no leaves\n");
    }

    #[test]
    fn a_leaf_set_looks_like_its_trie() {
        let (mut set, mut trie) = (LeafSet::new(3), SumTrie::new());
        for i in 0..100u64 {
            let (path, value) = (Path::of_key(&i.to_be_bytes()), i.to_be_bytes());
            trie.insert(path, value, 3);
            set.insert(path, SumDigest::of_leaf(&path, &value, 3).hash(), i);
        }
        assert_eq!(leaf_set_text(&mut set, 9), text(&trie, 9));
    }
}
