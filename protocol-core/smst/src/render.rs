//! Tries for people: as text, for Graphviz, as a picture, as a page. Text out, no I/O.
//!
//! ```text
//! 5 leaves, sum 60, 8fc91f29…  ◄ on the way
//! ├─ 0 4 leaves, sum 47, 657ca253…  ◄ its digest is in the proof
//! │  ├─ 00 3 leaves, sum 35, 70458262…
//! │  │  ├─ 0 leaf 0e144616…, weight 11
//! │  │  └─ 1 2 leaves, sum 24, 7802c4f4…, folded
//! │  └─ 1 leaf 58204561…, weight 12
//! └─ 1 leaf b6e26a92…, weight 13  ◄ the closest leaf
//! ```
//! Bits before a node are the way to it from the one above; an extension shows as several bits at once.
//! A trie of up to [`WHOLE_LEAVES`] leaves is drawn whole. Of a larger one the upper part is, with all that is on
//! the way of a proof; what is below is folded into one node that says how many leaves and which sum it holds.
//!
//! ```
//! use portico_smst::{Path, SumTrie, render::{Picture, View}};
//!
//! let mut trie = SumTrie::new();
//! for relay in ["relay 0", "relay 1", "relay 2"] {
//!     trie.insert(Path::of_key(relay.as_bytes()), relay.as_bytes(), 20);
//! }
//! let asked = Path::of_key(b"hash of a later block");
//! let picture = Picture::of_trie(&trie, &View { path: Some(asked), ..View::default() });
//! assert!(picture.text().starts_with("3 leaves, sum 60, "));
//! assert!(picture.svg().starts_with("<svg "));
//! assert!(picture.html().contains("the closest leaf"));
//! assert!(picture.dot().starts_with("digraph "));
//! ```

#![allow(
    clippy::arithmetic_side_effects,
    reason = "depths, rows and pixels of at most a few thousand nodes"
)]

mod dot;
mod html;
mod picture;
mod svg;
mod text;
mod words;

pub use picture::Picture;

use crate::path::Path;

/// Tries of up to so many leaves are drawn whole, unless a view says otherwise.
pub const WHOLE_LEAVES: usize = 1000;
/// Nodes that are drawn of larger ones, unless a view says otherwise.
pub const FOLDED_NODES: usize = 63;
/// Most nodes of any picture.
pub const MAX_NODES: usize = 4095;

/// What is on a picture.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Levels of branches that are unfolded; all by default.
    pub levels: Option<usize>,
    /// Nodes that are drawn, at most [`MAX_NODES`]; by default as many as the size of the trie suggests.
    pub nodes: Option<usize>,
    /// The path of a closest proof: the way to its leaf is unfolded and marked, with all that the proof contains.
    pub path: Option<Path>,
    /// What the picture is called.
    pub title: Option<String>,
    /// Names and values that a page shows below the title, such as the session.
    pub facts: Vec<(String, String)>,
}

#[cfg(test)]
mod tests;
