//! A YAML file of which only some keys are known beforehand, and where they stand.

use std::sync::Arc;

use anyhow::Result;
use portico_config::locate::Lines;
use serde_json::Value;

/// A read file, or a part of one.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    value: Value,
    /// Of this part in its file (`suppliers[1].service_config`); empty for all of it.
    path: String,
    file: Arc<File>,
}

#[derive(Debug)]
struct File {
    name: String,
    lines: Lines,
}

/// A value that is neither map nor list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Its path in this tree, without numbers of list items (`suppliers[].url`).
    pub(super) path: String,
    /// Its path in the file.
    pub(super) in_file: String,
}

impl Tree {
    /// Reads `text`, of the file `name`; the `config` around all that charts add is passed over.
    pub(super) fn read(name: &str, text: &str) -> Result<Self> {
        let tree = Self {
            value: serde_saphyr::from_str(text)?,
            path: String::new(),
            file: Arc::new(File {
                name: name.to_owned(),
                lines: Lines::of(text),
            }),
        };
        Ok(match (tree.get("config"), &tree.value) {
            (Some(inner), Value::Object(_)) if inner.value.is_object() => inner,
            _ => tree,
        })
    }

    /// File and line of `path` in this part, or of what is nearest to it.
    pub(super) fn place(&self, path: &str) -> String {
        self.place_in_file(&joined(&self.path, path))
    }

    /// As [`Self::place`], by a path in the file.
    pub(super) fn place_in_file(&self, path: &str) -> String {
        format!("{}:{}", self.file.name, self.file.lines.nearest(path))
    }

    fn part(&self, value: &Value, path: String) -> Self {
        Self {
            value: value.clone(),
            path,
            file: Arc::clone(&self.file),
        }
    }

    /// The value at `path` (`a.b.c`), unless it is absent or null.
    pub(super) fn get(&self, path: &str) -> Option<Self> {
        let mut value = &self.value;
        for key in path.split('.') {
            value = value.get(key)?;
        }
        (!value.is_null()).then(|| self.part(value, joined(&self.path, path)))
    }

    /// All but these keys of a map.
    pub(super) fn without(&self, keys: &[&str]) -> Self {
        let mut rest = self.clone();
        if let Value::Object(fields) = &mut rest.value {
            fields.retain(|key, _| !keys.contains(&key.as_str()));
        }
        rest
    }

    /// A text, or a number or flag as text.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.get(path)?.as_text()
    }

    /// This value as text.
    pub(super) fn as_text(&self) -> Option<String> {
        match &self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    pub(super) fn flag(&self, path: &str) -> Option<bool> {
        self.text(path)?.parse().ok()
    }

    /// Items of the list at `path`; none when it is no list.
    pub(super) fn items(&self, path: &str) -> Vec<Self> {
        let Some(list) = self.get(path) else {
            return Vec::new();
        };
        let items = list.value.as_array().into_iter().flatten().enumerate();
        items
            .map(|(index, item)| self.part(item, format!("{}[{index}]", list.path)))
            .collect()
    }

    /// Entries of the map at `path`; none when it is no map.
    pub(super) fn entries(&self, path: &str) -> Vec<(String, Self)> {
        let Some(map) = self.get(path) else {
            return Vec::new();
        };
        let entries = map.value.as_object().into_iter().flatten();
        entries
            .map(|(key, value)| (key.clone(), self.part(value, joined(&map.path, key))))
            .collect()
    }

    /// All values that are neither map nor list, each path once: the first of the items that have it.
    pub(super) fn leaves(&self) -> Vec<Leaf> {
        let mut found = Vec::new();
        let leaf = Leaf {
            path: String::new(),
            in_file: self.path.clone(),
        };
        walk(&self.value, leaf, &mut found);
        found
    }
}

fn joined(path: &str, key: &str) -> String {
    match (path, key) {
        (path, "") => path.to_owned(),
        ("", key) => key.to_owned(),
        (path, key) => format!("{path}.{key}"),
    }
}

fn walk(value: &Value, at: Leaf, found: &mut Vec<Leaf>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let leaf = Leaf {
                    path: joined(&at.path, key),
                    in_file: joined(&at.in_file, key),
                };
                walk(value, leaf, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                let leaf = Leaf {
                    path: format!("{}[]", at.path),
                    in_file: format!("{}[{index}]", at.in_file),
                };
                walk(item, leaf, found);
            }
        }
        _ => {
            if found.iter().all(|known| known.path != at.path) {
                found.push(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_knows_where_it_stands() {
        let text = "config:\n  a: 1\n  list:\n    - b: 2\n      c: {d: 3}\n    - b: 4\n";
        let tree = Tree::read("f.yaml", text).unwrap();
        assert_eq!(tree.place("a"), "f.yaml:2");
        let items = tree.items("list");
        assert_eq!(items[1].place("b"), "f.yaml:6");
        assert_eq!(items[0].get("c").unwrap().place("d"), "f.yaml:5");
        let leaves = tree.leaves();
        let told: Vec<_> = leaves
            .iter()
            .map(|leaf| (leaf.path.as_str(), tree.place_in_file(&leaf.in_file)))
            .collect();
        let place = |line: u32| format!("f.yaml:{line}");
        assert_eq!(
            told,
            [("a", place(2)), ("list[].b", place(4)), ("list[].c.d", place(5))]
        );
    }
}
