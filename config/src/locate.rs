//! Where the keys of a file stand.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Line of each key of a YAML text, by path (`services[1].url`).
#[derive(Debug, Default)]
pub struct Lines(BTreeMap<String, u64>);

impl Lines {
    /// Reads `text` again for places only; empty when it is not YAML.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut lines = BTreeMap::new();
        if let Ok(root) = serde_saphyr::from_str::<Tree>(text) {
            root.walk("", &mut lines);
        }
        Self(lines)
    }

    /// Line of `path` or of its nearest parent that is in the text; 0 when there is none.
    #[must_use]
    pub fn nearest(&self, path: &str) -> u64 {
        let mut path = path;
        loop {
            if let Some(line) = self.0.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(cut) => path = &path[..cut],
                None => return 0,
            }
        }
    }

    /// The innermost key that stands on `line`.
    pub(crate) fn key_at(&self, line: u64) -> Option<&str> {
        let here = self
            .0
            .iter()
            .filter(|(_, at)| **at == line)
            .map(|(key, _)| key.as_str());
        here.max_by_key(|key| key.len())
    }
}

enum Tree {
    Leaf,
    Map(Vec<(Spanned<String>, Tree)>),
    List(Vec<Spanned<Tree>>),
}

impl Tree {
    fn walk(&self, path: &str, lines: &mut BTreeMap<String, u64>) {
        match self {
            Self::Leaf => {}
            Self::Map(entries) => {
                for (key, tree) in entries {
                    let dot = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{dot}{}", key.value);
                    tree.walk(&path, lines);
                    lines.insert(path, key.referenced.line());
                }
            }
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    item.value.walk(&path, lines);
                    lines.insert(path, item.referenced.line());
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

/// Scalars of any kind are leaves.
macro_rules! leaves {
    ($($method:ident: $kind:ty),*) => {
        $(fn $method<E>(self, _: $kind) -> Result<Tree, E> { Ok(Tree::Leaf) })*
    };
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    leaves!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}
