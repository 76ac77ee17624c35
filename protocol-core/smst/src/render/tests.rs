//! What is drawn of which trie, and that it stands alone.

use super::picture::{Role, Shape};
use super::{FOLDED_NODES, MAX_NODES, Picture, View};
use crate::leaf_set::LeafSet;
use crate::path::Path;
use crate::trie::{PlainTrie, SumTrie};

/// The tries of the network's vectors: weights 10, 11, …
fn relays(count: u64) -> SumTrie {
    let mut trie = SumTrie::new();
    for i in 0..count {
        let value = format!("value-{i}").into_bytes();
        trie.insert(Path::of_key(Path::of_key(&value).as_ref()), value, 10 + i);
    }
    trie
}

fn asked() -> Path {
    Path::new([0xb0; 32])
}

fn proving(path: Path) -> View {
    View {
        path: Some(path),
        title: Some("Five relays".to_owned()),
        ..View::default()
    }
}

#[test]
fn text_shows_each_leaf_with_its_weight_and_each_branch_with_its_totals() {
    insta::assert_snapshot!(Picture::of_trie(&relays(5), &View::default()).text());
}

#[test]
fn text_marks_what_a_closest_proof_needs() {
    insta::assert_snapshot!(Picture::of_trie(&relays(5), &proving(asked())).text());
}

#[test]
fn text_folds_what_is_below_the_asked_levels() {
    let view = View {
        levels: Some(1),
        ..View::default()
    };
    insta::assert_snapshot!(Picture::of_trie(&relays(5), &view).text());
}

#[test]
fn a_graph_names_its_nodes_and_marks_the_proof() {
    insta::assert_snapshot!(Picture::of_trie(&relays(5), &proving(asked())).dot());
}

#[test]
fn a_plain_trie_shows_counts_and_an_extension_shows_as_bits() {
    let mut trie = PlainTrie::new();
    let mut other = [0; 32];
    other[2] = 1;
    for path in [[0; 32], other] {
        trie.insert(Path::new(path), path);
    }
    insta::assert_snapshot!(Picture::of_trie(&trie, &View::default()).text());
    assert_eq!(
        Picture::of_trie(&PlainTrie::new(), &View::default()).text(),
        "no leaves\n"
    );
}

#[test]
fn a_leaf_set_looks_like_its_trie() {
    let (mut set, mut trie) = (LeafSet::new(3), SumTrie::new());
    for i in 0..100u64 {
        let (path, value) = (Path::of_key(&i.to_be_bytes()), i.to_be_bytes());
        trie.insert(path, value, 3);
        set.insert(path, LeafSet::hash_leaf(&path, &value, 3), i);
    }
    let view = proving(asked());
    let (of_set, of_trie) = (
        Picture::of_leaf_set(&mut set, &view),
        Picture::of_trie(&trie, &view),
    );
    assert_eq!(of_set.html(), of_trie.html());
    assert_eq!(of_set.len(), 199);
}

#[test]
fn the_marked_leaf_is_the_one_that_is_proved() {
    let trie = relays(300);
    for i in 0..100u64 {
        let asked = Path::of_key(&i.to_be_bytes());
        let picture = Picture::of_trie(&trie, &proving(asked));
        let marked = picture.nodes.iter().filter(|node| node.role == Role::Closest);
        let marked: Vec<_> = marked.map(|node| node.path).collect();
        assert_eq!(marked, [trie.closest(&asked).unwrap()]);
        let proof = trie.prove_closest(&asked).unwrap();
        let way = picture
            .nodes
            .iter()
            .filter(|node| node.role != Role::None && node.role != Role::Beside);
        let flips: Vec<_> = way
            .flat_map(|node| node.flips(&asked))
            .map(|depth| i64::try_from(depth).unwrap())
            .collect();
        assert_eq!(flips, proof.flipped_bits);
    }
}

#[test]
fn however_large_a_trie_is_the_picture_is_bounded_and_counts_every_leaf() {
    let trie = relays(20_000);
    let whole = Picture::of_trie(&trie, &proving(asked()));
    for (picture, most) in [(whole.clone(), MAX_NODES), (whole.shown(), FOLDED_NODES)] {
        assert!(picture.len() <= most, "{}", picture.len());
        let ends = picture
            .nodes
            .iter()
            .filter(|node| !matches!(node.shape, Shape::Branch(..)));
        let (leaves, sum) = ends.fold((0, 0), |(leaves, sum), node| {
            (leaves + node.leaves, sum + node.sum.unwrap())
        });
        assert_eq!((leaves, sum), (20_000, trie.sum()));
        assert!(picture.nodes.iter().any(|node| node.role == Role::Closest));
    }
    assert!(whole.html().len() < 1 << 20);
}

#[test]
fn pictures_and_pages_load_nothing_and_show_names_as_they_are() {
    let name = "<script>alert(\"&\")</script> \\";
    for count in [0, 1, 7, 2000] {
        let view = View {
            title: Some(name.to_owned()),
            facts: vec![(name.to_owned(), name.to_owned())],
            ..proving(asked())
        };
        let picture = Picture::of_trie(&relays(count), &view);
        let (svg, html) = (picture.svg(), picture.html());
        let parsed = roxmltree::Document::parse(&svg).unwrap();
        let texts = parsed
            .descendants()
            .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")));
        assert_eq!(texts.clone().next().unwrap().text(), Some(name));
        for text in [&svg, &html] {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for forbidden in ["<script", "http", "url(", "@import", "src=", "href="] {
                assert!(!text.contains(forbidden), "{forbidden}");
            }
        }
        assert_eq!(
            html.matches("<details").count(),
            html.matches("</details>").count()
        );
        assert!(picture.dot().contains("<script>alert(\\\"&\\\")</script> \\\\"));
    }
}
