//! The table of expected rows, in Markdown.
//!
//! Sections are headed by a condition's name, rows begin with a transport's. A row whose client column begins with `—` says why the cell is not
//! tried.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};

use super::{Condition, Key, Seen, Transport};

/// Mark of a cell that makes no sense, before the reason.
const NOT_TRIED: char = '—';

/// The expected rows.
#[derive(Debug)]
pub struct Table {
    text: String,
    rows: BTreeMap<Key, Row>,
}

#[derive(Debug)]
struct Row {
    /// The whole line.
    line: String,
    expected: Seen,
}

impl Table {
    /// Reads the table; every cell has to be in it, and nothing else.
    ///
    /// # Errors
    /// Names the line that cannot be read, or the cells that are missing.
    pub fn read(text: &str) -> Result<Self> {
        let (mut rows, mut condition) = (BTreeMap::new(), None);
        for line in text.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                let found = Condition::all().into_iter().find(|known| known.name() == heading);
                condition = Some(found.with_context(|| format!("there is no condition {heading:?}"))?);
            }
            // What stands before the first section is its introduction.
            let Some(condition) = condition else { continue };
            let Some(row) = row(line)? else { continue };
            let transport = Transport::ALL.into_iter().find(|known| known.name() == row.0);
            let key = Key {
                condition,
                transport: transport.with_context(|| format!("there is no transport {:?}", row.0))?,
            };
            ensure!(rows.insert(key, row.1).is_none(), "{key} is in the table twice");
        }
        let missing: Vec<String> = Key::all()
            .iter()
            .filter(|key| !rows.contains_key(key))
            .map(Key::to_string)
            .collect();
        ensure!(missing.is_empty(), "not in the table: {}", missing.join("; "));
        ensure!(
            rows.len() == Key::all().len(),
            "the table has cells that nobody tries"
        );
        Ok(Self {
            text: text.to_owned(),
            rows,
        })
    }

    /// The cells that are tried.
    #[must_use]
    pub fn tried(&self) -> Vec<Key> {
        let rows = self.rows.iter();
        let tried = rows.filter(|(_, row)| !row.expected.client.starts_with(NOT_TRIED));
        tried.map(|(key, _)| *key).collect()
    }

    /// What differs from what was seen, in words; empty when nothing does.
    #[must_use]
    pub fn differences(&self, seen: &[(Key, Seen)]) -> String {
        let mut text = String::new();
        for (key, seen) in seen {
            let expected = self.rows.get(key).map(|row| &row.expected);
            if expected != Some(seen) {
                let line = self.rows.get(key).map_or("nothing", |row| &row.line);
                let _ = writeln!(
                    text,
                    "{key}\n  expected {line}\n  seen     {}",
                    line_of(*key, seen)
                );
            }
        }
        text
    }

    /// The table with the rows that were seen.
    #[must_use]
    pub fn accept(&self, seen: &[(Key, Seen)]) -> String {
        let mut lines: Vec<String> = Vec::new();
        let mut condition = None;
        for line in self.text.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                condition = Some(heading.to_owned());
            }
            let of_line = seen.iter().find(|(key, _)| {
                Some(key.condition.name()) == condition.as_deref()
                    && line.starts_with(&format!("| {} |", key.transport.name()))
            });
            lines.push(of_line.map_or_else(|| line.to_owned(), |(key, seen)| line_of(*key, seen)));
        }
        lines.join("\n") + "\n"
    }
}

fn line_of(key: Key, seen: &Seen) -> String {
    format!(
        "| {} | {} | {} | {} | {} |",
        key.transport.name(),
        seen.client,
        seen.hits,
        seen.leaves,
        seen.settled
    )
}

/// First column and the rest of a line, if it is a row.
fn row(line: &str) -> Result<Option<(String, Row)>> {
    let Some(inner) = line.strip_prefix("| ").and_then(|rest| rest.strip_suffix('|')) else {
        return Ok(None);
    };
    let columns: Vec<&str> = inner.split('|').map(str::trim).collect();
    let [transport, client, hits, leaves, settled] = columns[..] else {
        anyhow::bail!("five columns are a row: {line}");
    };
    if transport == "transport" {
        return Ok(None);
    }
    let expected = Seen {
        client: client.to_owned(),
        hits: hits.to_owned(),
        leaves: leaves.to_owned(),
        settled: settled.to_owned(),
    };
    let line = line.to_owned();
    Ok(Some((transport.to_owned(), Row { line, expected })))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("../../matrix.md");

    #[test]
    fn has_every_cell_once() {
        let table = Table::read(TABLE).unwrap();
        assert!(table.tried().len() > 80);
        let row = "| JSON-RPC | 200 answer | 1 | 1 | 4200 |\n";
        let error = Table::read(&TABLE.replacen(row, "", 1)).unwrap_err();
        assert_eq!(error.to_string(), "not in the table: JSON-RPC, answered");
        let error = Table::read(&TABLE.replacen(row, &row.repeat(2), 1)).unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
    }

    #[test]
    fn says_what_differs_and_takes_it_over() {
        let table = Table::read(TABLE).unwrap();
        let key = Key {
            condition: Condition::Answered,
            transport: Transport::JsonRpc,
        };
        let mut seen = table.rows[&key].expected.clone();
        assert_eq!(table.differences(&[(key, seen.clone())]), "");
        seen.hits = "7".to_owned();
        let seen = [(key, seen)];
        assert!(
            table
                .differences(&seen)
                .contains("seen     | JSON-RPC | 200 answer | 7 | 1 | 4200 |")
        );
        let accepted = Table::read(&table.accept(&seen)).unwrap();
        assert_eq!(accepted.differences(&seen), "");
    }
}
