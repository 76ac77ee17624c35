//! Tries as pictures: the root at the left, one row per leaf or folded subtree.

use std::fmt::Write as _;

use super::Picture;
use super::picture::{Role, Shape};
use super::words::{details, escaped, lines, role, shortened};

/// Pixels from one level to the next, and from one row to the next.
const COLUMN: usize = 216;
const ROW: usize = 46;
/// Size of a node's box.
const WIDTH: usize = 154;
const HEIGHT: usize = 36;
/// Letters that fit into the second line of a box.
const LETTERS: usize = 24;
/// Free space around the picture.
const MARGIN: usize = 20;
/// Height of the title and of the legend.
const LINE: usize = 30;
/// What the legend needs.
const LEGEND_WIDTH: usize = 520;
/// Style that follows the reader's light or dark scheme.
const STYLE: &str = include_str!("picture.css");

impl Picture {
    /// A picture that stands alone: no fonts, scripts or files from elsewhere, readable on light and dark screens.
    #[must_use]
    pub fn svg(&self) -> String {
        let title = escaped(self.view.title.as_deref().unwrap_or_default());
        let shown = self.shown();
        let (places, rows) = shown.places();
        let deepest = shown.nodes.iter().map(|node| node.level).max().unwrap_or(0);
        let (legend, least) = self.view.path.map_or((0, 0), |_| (LINE, LEGEND_WIDTH));
        let width = (2 * MARGIN + deepest * COLUMN + WIDTH).max(least);
        let height = self.top() + rows.max(1) * ROW + legend + MARGIN;
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"trie\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Trie. {title}\">\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"10\"/>\n"
        );
        if !title.is_empty() {
            let _ = writeln!(
                out,
                "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{title}</text>",
                MARGIN + 12
            );
        }
        if self.is_empty() {
            let _ = writeln!(
                out,
                "<text x=\"{MARGIN}\" y=\"{}\">no leaves</text>",
                self.top() + 24
            );
        }
        shown.edges(&mut out, &places);
        shown.boxes(&mut out, &places);
        if legend > 0 {
            self::legend(&mut out, height - MARGIN - 8);
        }
        out.push_str("</svg>\n");
        out
    }

    /// Where the first row begins.
    fn top(&self) -> usize {
        MARGIN + if self.view.title.is_some() { LINE } else { 0 }
    }

    /// Left edge and vertical middle of each node's box, and the number of rows.
    fn places(&self) -> (Vec<(usize, usize)>, usize) {
        let mut places = vec![(0, 0); self.nodes.len()];
        let mut rows = 0;
        self.place(0, &mut places, &mut rows);
        (places, rows)
    }

    fn place(&self, number: usize, places: &mut [(usize, usize)], rows: &mut usize) {
        let Some(node) = self.nodes.get(number) else {
            return;
        };
        let y = if let Shape::Branch(left, right) = node.shape {
            self.place(left, places, rows);
            self.place(right, places, rows);
            places[left].1.midpoint(places[right].1)
        } else {
            *rows += 1;
            self.top() + *rows * ROW - ROW / 2
        };
        places[number] = (MARGIN + node.level * COLUMN, y);
    }

    fn edges(&self, out: &mut String, places: &[(usize, usize)]) {
        // Those of the proof last, so that they lie above the others.
        let mut edges: Vec<(usize, usize)> = Vec::new();
        for (number, node) in self.nodes.iter().enumerate() {
            if let Shape::Branch(left, right) = node.shape {
                edges.extend([(number, left), (number, right)]);
            }
        }
        edges.sort_by_key(|(_, child)| matches!(self.nodes[*child].role, Role::Way | Role::Closest));
        for (parent, child) in edges {
            let ((from, start), (to, end)) = (places[parent], places[child]);
            let (node, from) = (&self.nodes[child], from + WIDTH);
            let bend = from + 18;
            let class = role(node.role).unwrap_or("plain");
            let _ = writeln!(
                out,
                "<path class=\"edge {class}\" d=\"M{from} {start}H{} Q{bend} {start} {bend} {}V{} Q{bend} {end} {} {end}H{to}\"/>",
                bend - 6,
                near(start, end),
                near(end, start),
                bend + 6,
            );
            let bits = shortened(&node.bits());
            let _ = writeln!(
                out,
                "<text class=\"bits\" x=\"{}\" y=\"{}\">{bits}</text>",
                bend + 8,
                end - 5
            );
        }
    }

    fn boxes(&self, out: &mut String, places: &[(usize, usize)]) {
        for (node, (x, y)) in self.nodes.iter().zip(places) {
            let shape = match node.shape {
                Shape::Leaf => "leaf",
                Shape::Branch(..) => "branch",
                Shape::Folded => "folded",
            };
            let (top, corner) = (
                y - HEIGHT / 2,
                if node.shape == Shape::Leaf { HEIGHT / 2 } else { 6 },
            );
            let _ = write!(
                out,
                "<g class=\"node {shape} {}\"><title>{}</title>",
                role(node.role).unwrap_or("plain"),
                escaped(&details(node)),
            );
            if node.shape == Shape::Folded {
                for behind in [6, 3] {
                    let _ = write!(
                        out,
                        "<rect x=\"{}\" y=\"{}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>",
                        x + behind,
                        top + behind,
                    );
                }
            }
            let [first, mut second] = lines(node);
            if second.chars().count() > LETTERS
                && let Some((leaves, _digest)) = second.split_once(" · ")
            {
                second = leaves.to_owned();
            }
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"{corner}\"/>\
                 <text x=\"{middle}\" y=\"{}\">{first}</text><text class=\"small\" x=\"{middle}\" y=\"{}\">{second}</text></g>",
                top + 15,
                top + 29,
                middle = x + WIDTH / 2,
            );
        }
    }
}

/// Six pixels from `at` toward `other`, or `at` itself when they are nearer.
fn near(at: usize, other: usize) -> usize {
    let step = at.abs_diff(other).min(6);
    if other > at { at + step } else { at - step }
}

fn legend(out: &mut String, y: usize) {
    let mut x = MARGIN;
    for (class, words, width) in [
        ("way", "the way from the root", 176),
        ("closest", "the closest leaf", 142),
        ("beside", "in the proof: its digest", 0),
    ] {
        let _ = writeln!(
            out,
            "<g class=\"node {class}\"><rect x=\"{x}\" y=\"{}\" width=\"14\" height=\"14\" rx=\"4\"/>\
             <text class=\"key\" x=\"{}\" y=\"{y}\">{words}</text></g>",
            y - 11,
            x + 20,
        );
        x += width;
    }
}
