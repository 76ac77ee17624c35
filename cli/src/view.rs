//! What a query answers, once: printed as aligned text or as JSON.

use serde::ser::{Serialize, SerializeMap, Serializer};

/// A value to show; fields keep their order.
pub(crate) enum View {
    /// A text, shown as it is.
    Text(String),
    /// A whole number; a text in JSON, as in the network's own JSON, since it may exceed 2^53.
    Number(i128),
    /// True or false.
    Flag(bool),
    /// A list.
    List(Vec<View>),
    /// Named values.
    Fields(Vec<(&'static str, View)>),
}

impl From<&str> for View {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for View {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

macro_rules! numbers {
    ($($kind:ty),*) => {
        $(impl From<$kind> for View {
            fn from(number: $kind) -> Self {
                Self::Number(number.into())
            }
        })*
    };
}
numbers!(u32, i32, u64, i64);

impl From<bool> for View {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<T: Into<View>> FromIterator<T> for View {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl View {
    /// Prints it to standard output.
    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        match json {
            true => println!("{}", serde_json::to_string_pretty(self)?),
            false => print!("{}", self.text()),
        }
        Ok(())
    }

    /// Lines of `name  value`, names as wide as the widest of their group, nested groups indented.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, indent: usize) {
        match self {
            Self::Fields(fields) => {
                let wide = fields.iter().filter(|(_, value)| value.inline().is_some());
                let wide = wide.map(|(name, _)| name.len()).max().unwrap_or(0);
                for (name, value) in fields {
                    let pad = " ".repeat(indent);
                    match value.inline() {
                        Some(text) => *out += format!("{pad}{name:wide$}  {text}").trim_end(),
                        None => *out += &format!("{pad}{name}"),
                    }
                    out.push('\n');
                    if value.inline().is_none() {
                        value.write(out, indent + 2);
                    }
                }
            }
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let grouped = matches!(item, Self::Fields(_));
                    if grouped && index > 0 {
                        out.push('\n');
                    }
                    item.write(out, indent);
                }
            }
            other => *out += &format!("{}{}\n", " ".repeat(indent), other.inline().unwrap_or_default()),
        }
    }

    /// The value when it fits behind its name.
    fn inline(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            Self::Flag(flag) => Some(if *flag { "yes" } else { "no" }.to_owned()),
            Self::List(items) if items.is_empty() => Some("none".to_owned()),
            Self::List(_) | Self::Fields(_) => None,
        }
    }
}

impl Serialize for View {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.collect_str(number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::List(items) => serializer.collect_seq(items),
            Self::Fields(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::View;

    fn sample() -> View {
        View::Fields(vec![
            ("address", "pokt1a".into()),
            ("stake_upokt", 12_u64.into()),
            ("services", ["eth", "pocket"].into_iter().collect()),
            ("none", View::List(Vec::new())),
        ])
    }

    #[test]
    fn text_is_aligned_and_nested() {
        assert_eq!(
            sample().text(),
            "address      pokt1a\nstake_upokt  12\nservices\n  eth\n  pocket\nnone         none\n"
        );
    }

    #[test]
    fn json_keeps_the_order_and_writes_numbers_as_texts() {
        let json = serde_json::to_string(&sample()).unwrap();
        let expected = r#"{"address":"pokt1a","stake_upokt":"12","services":["eth","pocket"],"none":[]}"#;
        assert_eq!(json, expected);
    }
}
