//! Tries as lines of text.

use std::fmt::Write as _;

use super::Picture;
use super::picture::{Node, Role, Shape};
use super::words::{short, shortened};

impl Picture {
    /// One line per node, children indented below their parents. Each line ends with a line feed.
    ///
    /// In front of a node are the bits that lead to it from the one above: an extension shows as several at once.
    /// With a path in the view, an arrow tells what a proof of the closest leaf has to do with a node.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        if self.is_empty() {
            return "no leaves\n".to_owned();
        }
        self.shown().text_of(&mut out, 0, "");
        out
    }

    fn text_of(&self, out: &mut String, number: usize, indent: &str) {
        let node = &self.nodes[number];
        let bits = shortened(&node.bits());
        let space = if bits.is_empty() { "" } else { " " };
        let _ = writeln!(out, "{bits}{space}{}{}", words(node), arrow(node.role));
        let Shape::Branch(left, right) = node.shape else {
            return;
        };
        let _ = write!(out, "{indent}├─ ");
        self.text_of(out, left, &format!("{indent}│  "));
        let _ = write!(out, "{indent}└─ ");
        self.text_of(out, right, &format!("{indent}   "));
    }
}

fn words(node: &Node) -> String {
    let digest = short(&node.digest);
    let folded = if node.shape == Shape::Folded {
        ", folded"
    } else {
        ""
    };
    match (node.shape, node.sum) {
        (Shape::Leaf, Some(weight)) => format!("leaf {}, weight {weight}", short(node.path.as_ref())),
        (Shape::Leaf, None) => format!("leaf {}, {digest}", short(node.path.as_ref())),
        (_, Some(sum)) => format!("{} leaves, sum {sum}, {digest}{folded}", node.leaves),
        (_, None) => format!("{} leaves, {digest}{folded}", node.leaves),
    }
}

fn arrow(role: Role) -> &'static str {
    match role {
        Role::None => "",
        Role::Way => "  ◄ on the way",
        Role::Beside => "  ◄ its digest is in the proof",
        Role::Closest => "  ◄ the closest leaf",
    }
}
