//! A YAML file of which only some keys are known beforehand.

use anyhow::Result;
use serde_json::Value;

/// A read file, or a part of one.
#[derive(Clone, Debug)]
pub(super) struct Tree(Value);

impl Tree {
    /// Reads `text`; the `config` around all that some charts add is taken away.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut value: Value = serde_saphyr::from_str(text)?;
        if let Value::Object(fields) = &mut value
            && fields.len() == 1
            && let Some(inner) = fields.remove("config")
        {
            value = inner;
        }
        Ok(Self(value))
    }

    /// The value at `path` (`a.b.c`), unless it is absent or null.
    pub(super) fn get(&self, path: &str) -> Option<Self> {
        let mut value = &self.0;
        for key in path.split('.') {
            value = value.get(key)?;
        }
        (!value.is_null()).then(|| Self(value.clone()))
    }

    /// A text, or a number or flag as text.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.get(path)?.as_text()
    }

    /// This value as text.
    pub(super) fn as_text(&self) -> Option<String> {
        match &self.0 {
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
        match self.get(path) {
            Some(Self(Value::Array(items))) => items.into_iter().map(Self).collect(),
            _ => Vec::new(),
        }
    }

    /// Entries of the map at `path`; none when it is no map.
    pub(super) fn entries(&self, path: &str) -> Vec<(String, Self)> {
        match self.get(path) {
            Some(Self(Value::Object(fields))) => fields
                .into_iter()
                .map(|(key, value)| (key, Self(value)))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Paths of all values that are neither map nor list; items of lists are `[]`.
    pub(super) fn leaves(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.0, String::new(), &mut found);
        found.dedup();
        found
    }
}

fn walk(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                walk(value, format!("{path}{dot}{key}"), found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                walk(item, format!("{path}[]"), found);
            }
        }
        _ => {
            if !found.contains(&path) {
                found.push(path);
            }
        }
    }
}
