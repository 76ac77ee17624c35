//! Tries in the language of Graphviz.

use std::fmt::Write as _;

use super::Picture;
use super::picture::{Node, Role, Shape};
use super::words::{lines, shortened};

impl Picture {
    /// A graph for Graphviz: `dot -Tsvg`, `dot -Tpdf`, …
    #[must_use]
    pub fn dot(&self) -> String {
        let mut out = String::from(
            "digraph trie {\n  node [shape=box, style=\"rounded,filled\", fillcolor=white, color=\"#8a93a1\", \
             fontname=\"Helvetica\", fontsize=11];\n  edge [color=\"#8a93a1\", fontname=\"Helvetica\", fontsize=10, \
             arrowhead=none];\n",
        );
        if let Some(title) = &self.view.title {
            let _ = writeln!(out, "  label=\"{}\";\n  labelloc=t;", quoted(title));
        }
        if self.is_empty() {
            out.push_str("  n0 [label=\"no leaves\"];\n");
        }
        let shown = self.shown();
        for (number, node) in shown.nodes.iter().enumerate() {
            let _ = writeln!(
                out,
                "  n{number} [label=\"{}\"{}];",
                lines(node).join("\\n"),
                look(node)
            );
            if let Shape::Branch(left, right) = node.shape {
                for child in [left, right] {
                    let below = &shown.nodes[child];
                    let bits = shortened(&below.bits());
                    let _ = writeln!(
                        out,
                        "  n{number} -> n{child} [label=\"{bits}\"{}];",
                        line(below.role)
                    );
                }
            }
        }
        out.push_str("}\n");
        out
    }
}

fn look(node: &Node) -> String {
    let fill = match (node.role, node.shape) {
        (Role::Way | Role::Closest, _) => ", fillcolor=\"#ffe8d1\", color=\"#c2410c\", penwidth=2",
        (Role::Beside, _) => ", fillcolor=\"#dcecfb\", color=\"#1864ab\"",
        (Role::None, Shape::Leaf) => ", fillcolor=\"#eaf5ea\"",
        (Role::None, _) => "",
    };
    let folded = if node.shape == Shape::Folded {
        ", peripheries=2"
    } else {
        ""
    };
    format!("{fill}{folded}")
}

fn line(role: Role) -> &'static str {
    match role {
        Role::Way | Role::Closest => ", color=\"#c2410c\", penwidth=2",
        Role::Beside => ", color=\"#1864ab\"",
        Role::None => "",
    }
}

/// `text` as it may stand between double quotes.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace(char::is_control, " ")
}
