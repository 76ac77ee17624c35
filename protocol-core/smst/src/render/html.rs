//! Tries as a page: facts, what a proof says, the picture, and an outline whose nodes fold.

use std::fmt::Write as _;

use super::Picture;
use super::picture::{Node, Role, Shape};
use super::words::{details, escaped, grouped, hex, lines, role, short, shortened};

/// Nodes up to which a page shows the whole picture; of a larger one it shows the upper part.
const WHOLE_PICTURE: usize = 63;
/// Nodes of that upper part; more when a proof has more.
const UPPER_PICTURE: usize = 31;
/// Most nodes of the outline, about 0.7 MB of text.
const OUTLINED: usize = 2047;
/// Levels of the outline that are open at first.
const OPEN_LEVELS: usize = 3;
const STYLE: &str = include_str!("page.css");

impl Picture {
    /// A page that opens offline: style and picture are in it, nothing is loaded, no script runs.
    ///
    /// The outline folds and unfolds on a click; what a proof needs is open. Of a large trie the
    /// picture shows the upper part, and the outline some levels more.
    #[must_use]
    pub fn html(&self) -> String {
        let title = escaped(self.view.title.as_deref().unwrap_or("Sparse Merkle trie"));
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             </head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        );
        self.facts(&mut out);
        self.proof(&mut out);
        let most = match self.len() {
            whole @ ..=WHOLE_PICTURE => whole,
            _ => UPPER_PICTURE,
        };
        let mut upper = self.upper(most);
        upper.view.title = None;
        let _ = writeln!(
            out,
            "<section>\n<h2>Picture</h2>\n<p class=\"quiet\">The root is at the left; bit 0 goes up, bit 1 down.{}</p>\n\
             <div class=\"scroll\">\n{}</div>\n</section>",
            if upper.folds() {
                " Stacked boxes stand for all that is below."
            } else {
                ""
            },
            upper.svg(),
        );
        let outlined = self.upper(OUTLINED);
        if matches!(outlined.nodes.first(), Some(root) if root.shape != Shape::Leaf) {
            out.push_str(
                "<section>\n<h2>Nodes</h2>\n<p class=\"quiet\">Select a branch to fold or unfold it.",
            );
            out.push_str(if outlined.folds() {
                " What is not in this page is counted.</p>\n"
            } else {
                "</p>\n"
            });
            outlined.outline(&mut out, 0);
            out.push_str("</section>\n");
        }
        out.push_str("</main>\n</body>\n</html>\n");
        out
    }

    /// Whether there are branches whose children are not drawn.
    fn folds(&self) -> bool {
        self.nodes.iter().any(|node| node.shape == Shape::Folded)
    }

    fn facts(&self, out: &mut String) {
        let mut facts = self.view.facts.clone();
        if let Some(root) = self.nodes.first() {
            facts.push(("root".to_owned(), hex(&root.digest)));
            if let Some(sum) = root.sum {
                facts.push(("sum".to_owned(), grouped(sum)));
            }
            facts.push(("leaves".to_owned(), grouped(root.leaves)));
        } else {
            facts.push(("leaves".to_owned(), "none".to_owned()));
        }
        out.push_str("<dl class=\"facts\">\n");
        for (name, value) in facts {
            let _ = writeln!(
                out,
                "<div><dt>{}</dt><dd>{}</dd></div>",
                escaped(&name),
                escaped(&value)
            );
        }
        out.push_str("</dl>\n");
    }

    /// What the proof of the closest leaf consists of, from the leaf up.
    fn proof(&self, out: &mut String) {
        let (Some(asked), Some(leaf)) = (
            self.view.path,
            self.nodes.iter().position(|node| node.role == Role::Closest),
        ) else {
            return;
        };
        let closest = &self.nodes[leaf];
        let _ = writeln!(
            out,
            "<section>\n<h2>Proof of the closest leaf</h2>\n<dl class=\"facts\">\n<div><dt>asked for</dt><dd>{asked}</dd></div>\n\
             <div><dt>closest</dt><dd>{}</dd></div>\n<div><dt>at depth</dt><dd>{}</dd></div>\n</dl>",
            closest.path, closest.entry,
        );
        let flips: Vec<String> = self
            .nodes
            .iter()
            .filter(|node| matches!(node.role, Role::Way | Role::Closest))
            .flat_map(|node| node.flips(&asked))
            .map(|depth| depth.to_string())
            .collect();
        if !flips.is_empty() {
            let _ = writeln!(
                out,
                "<p>Where the asked side was empty, the way took the other one: at depth {}.</p>",
                flips.join(", ")
            );
        }
        self.steps(out, leaf);
        out.push_str("</section>\n");
    }

    /// The sum at the leaf, and how it grows on the way up.
    fn steps(&self, out: &mut String, leaf: usize) {
        let amount = |node: &Node| node.sum.unwrap_or(node.leaves);
        let unit = match self.nodes[leaf].sum {
            Some(_) => "sum",
            None => "leaves",
        };
        let _ = writeln!(
            out,
            "<div class=\"scroll\"><table>\n<tr><th>step</th><th>depth</th><th>digest</th><th>{unit}</th><th>so far</th></tr>"
        );
        let (mut at, mut so_far) = (leaf, amount(&self.nodes[leaf]));
        let first = &self.nodes[leaf];
        let _ = writeln!(
            out,
            "<tr class=\"closest\"><td>the leaf</td><td>{}</td><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            first.entry,
            short(&first.digest),
            grouped(so_far),
            grouped(so_far),
        );
        while let Some((parent, beside)) = self.above(at) {
            let node = &self.nodes[beside];
            so_far = so_far.wrapping_add(amount(node));
            let side = if beside < at { "left" } else { "right" };
            let _ = writeln!(
                out,
                "<tr class=\"beside\"><td>beside it, {side}</td><td>{}</td><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
                node.entry,
                short(&node.digest),
                grouped(amount(node)),
                grouped(so_far),
            );
            at = parent;
        }
        let root = &self.nodes[at];
        let _ = writeln!(
            out,
            "<tr class=\"way\"><td>the root</td><td>0</td><td><code>{}</code></td><td></td><td>{}</td></tr>\n</table></div>",
            short(&root.digest),
            grouped(amount(root)),
        );
    }

    /// Parent and sibling of a node.
    fn above(&self, child: usize) -> Option<(usize, usize)> {
        self.nodes
            .iter()
            .enumerate()
            .find_map(|(number, node)| match node.shape {
                Shape::Branch(left, right) if left == child => Some((number, right)),
                Shape::Branch(left, right) if right == child => Some((number, left)),
                _ => None,
            })
    }

    fn outline(&self, out: &mut String, number: usize) {
        let node = &self.nodes[number];
        let class = role(node.role).unwrap_or("plain");
        let Shape::Branch(left, right) = node.shape else {
            let shape = if node.shape == Shape::Leaf {
                "leaf"
            } else {
                "folded"
            };
            let _ = writeln!(out, "<div class=\"row {shape} {class}\"{}</div>", row(node));
            return;
        };
        let open = if node.level < OPEN_LEVELS || node.role == Role::Way {
            " open"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "<details{open}><summary class=\"row branch {class}\"{}</summary>\n<div class=\"below\">",
            row(node)
        );
        self.outline(out, left);
        self.outline(out, right);
        out.push_str("</div></details>\n");
    }
}

/// What an outline says of a node; continues the tag of its line.
fn row(node: &Node) -> String {
    let [first, second] = lines(node);
    let bits = match shortened(&node.bits()) {
        bits if bits.is_empty() => "root".to_owned(),
        bits => bits,
    };
    format!(
        " style=\"--share:{}.{}%\" title=\"{}\"><span class=\"bits\">{bits}</span> <b>{first}</b> <span class=\"quiet\">{second}</span>",
        node.share / 10,
        node.share % 10,
        escaped(&details(node)),
    )
}
