//! Events as the SDK emits them.
//!
//! A typed event's type is the message's full proto name; each field is one attribute, sorted by name, whose value is the field's JSON:
//! strings and 64-bit numbers quoted, 32-bit numbers bare, absent messages `null`.

use std::collections::BTreeMap;

use portico_protocol::wire::tendermint::abci::{Event, EventAttribute};

/// A typed event under construction.
pub(crate) struct TypedEvent {
    kind: &'static str,
    attributes: BTreeMap<&'static str, String>,
}

impl TypedEvent {
    pub(crate) const fn new(kind: &'static str) -> Self {
        Self {
            kind,
            attributes: BTreeMap::new(),
        }
    }

    /// A field whose JSON is given.
    pub(crate) fn json(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.insert(name, value.into());
        self
    }

    pub(crate) fn text(self, name: &'static str, value: &str) -> Self {
        let value = quote(value);
        self.json(name, value)
    }

    /// A 64-bit number: quoted.
    pub(crate) fn long(self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.json(name, format!("\"{value}\""))
    }

    /// A 32-bit number: bare.
    pub(crate) fn int(self, name: &'static str, value: i32) -> Self {
        self.json(name, value.to_string())
    }

    pub(crate) fn build(self) -> Event {
        plain(self.kind, self.attributes)
    }
}

/// JSON text of a string.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An event with these attributes in this order.
pub(crate) fn plain(
    kind: &str,
    attributes: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
) -> Event {
    let attributes = attributes
        .into_iter()
        .map(|(key, value)| EventAttribute {
            key: key.into(),
            value: value.into(),
            index: true,
        })
        .collect();
    Event {
        r#type: kind.to_owned(),
        attributes,
    }
}

/// Adds one more attribute to each event: `mode` of block events, `msg_index` of a message's.
pub(crate) fn tag(events: &mut [Event], key: &str, value: &str) {
    for event in events {
        event.attributes.push(EventAttribute {
            key: key.to_owned(),
            value: value.to_owned(),
            index: true,
        });
    }
}
