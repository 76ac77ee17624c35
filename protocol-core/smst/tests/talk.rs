//! The pictures of `docs/` are those that the renderer draws.
//!
//! `PORTICO_PICTURES=write cargo test -p portico-smst --test talk` draws them anew. The code on those pages runs as
//! documentation tests of the crate.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps nothing fails, as it should"
)]

use std::path::PathBuf;

use portico_smst::render::{Picture, View};
use portico_smst::{Path, SumTrie};

/// The trie that the pages speak of.
fn relays(count: u64) -> SumTrie {
    let mut trie = SumTrie::new();
    for i in 0..count {
        let relay = format!("value-{i}").into_bytes();
        trie.insert(Path::of_key(Path::of_key(&relay).as_ref()), relay, 10 + i);
    }
    trie
}

fn pictures() -> Vec<(&'static str, Picture)> {
    let of = |count, path: Option<[u8; 32]>, nodes| {
        let view = View {
            path: path.map(Path::new),
            nodes,
            ..View::default()
        };
        Picture::of_trie(&relays(count), &view)
    };
    let member = Path::of_key(Path::of_key(b"value-2").as_ref());
    vec![
        ("five", of(5, None, None)),
        ("seven", of(7, None, None)),
        ("proof", of(7, Some(*member.as_bytes()), None)),
        ("closest", of(7, Some([0x2e; 32]), None)),
        ("thousand", of(1000, None, Some(7))),
    ]
}

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs")
}

#[test]
fn each_picture_is_what_the_renderer_draws() {
    let write = std::env::var_os("PORTICO_PICTURES").is_some_and(|value| value == "write");
    for (name, picture) in pictures() {
        let (file, drawn) = (docs().join(format!("pictures/{name}.svg")), picture.svg());
        if write {
            std::fs::write(&file, &drawn).unwrap();
        }
        assert!(
            std::fs::read_to_string(&file).unwrap_or_default() == drawn,
            "{} is out of date",
            file.display()
        );
    }
}

#[test]
fn each_page_is_linked_and_shows_only_pictures_that_are_drawn() {
    let index = std::fs::read_to_string(docs().join("README.md")).unwrap();
    let drawn: Vec<_> = pictures()
        .iter()
        .map(|(name, _)| format!("pictures/{name}.svg"))
        .collect();
    let mut shown = Vec::new();
    for entry in std::fs::read_dir(docs()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some("md") = path.extension().and_then(|extension| extension.to_str()) else {
            continue;
        };
        assert!(
            name == "README.md" || index.contains(&format!("({name})")),
            "{name} is in no list"
        );
        let page = std::fs::read_to_string(&path).unwrap();
        shown.extend(
            page.split("](")
                .skip(1)
                .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())),
        );
    }
    for link in &shown {
        assert!(docs().join(link).exists(), "{link} leads nowhere");
    }
    assert!(drawn.iter().all(|picture| shown.contains(picture)));
}
