//! CometBFT's query language over events: `tm.event='Tx' AND tx.height > 5 AND transfer.sender CONTAINS 'pokt'`.
//!
//! Conditions joined by `AND`; operators `=`, `<`, `<=`, `>`, `>=`, `CONTAINS`, `EXISTS`; operands are texts in single quotes, numbers,
//! `TIME 2023-05-03T14:45:00Z` and `DATE 2023-05-03`. A condition holds when one of the values of its key does; a number is compared with
//! the first number in a value, so that `coin_spent.amount > 100` finds `500upokt`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use tendermint::Time;

/// Longest query, in bytes; CometBFT's bound.
pub(crate) const MAX_QUERY_BYTES: usize = 512;

/// Values by composite key, `type.attribute`.
pub(crate) type Events = BTreeMap<String, Vec<String>>;

/// A text that is not a query.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum QueryFault {
    #[error("maximum query length exceeded")]
    TooLong,
    #[error("failed to parse query: offset {at}: {wanted} expected")]
    Syntax { at: usize, wanted: &'static str },
}

/// A query. Shown as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query(Vec<Condition>);

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Exists,
    Contains(String),
    Text(String),
    Number(Compare, Decimal),
    Time(Compare, Time),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    const fn holds(self, found: Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

/// A number without a sign, of any size: whole digits without leading zeros, then those after the point without trailing ones.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Decimal {
    whole: String,
    fraction: String,
}

impl Decimal {
    /// The first number in `text`.
    fn find(text: &str) -> Option<Self> {
        let from = text.find(|c: char| c.is_ascii_digit())?;
        let text = &text[from..];
        let digits = |text: &str| {
            let end = text.find(|c: char| !c.is_ascii_digit());
            end.unwrap_or(text.len())
        };
        let (whole, rest) = text.split_at(digits(text));
        let rest = rest.strip_prefix('.').unwrap_or_default();
        Some(Self {
            whole: whole.trim_start_matches('0').to_owned(),
            fraction: rest[..digits(rest)].trim_end_matches('0').to_owned(),
        })
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let whole = self.whole.len().cmp(&other.whole.len());
        let whole = whole.then_with(|| self.whole.cmp(&other.whole));
        whole.then_with(|| self.fraction.cmp(&other.fraction))
    }

    fn height(&self) -> Option<i64> {
        match (self.whole.as_str(), self.fraction.as_str()) {
            ("", "") => Some(0),
            (whole, "") => whole.parse().ok(),
            _ => None,
        }
    }
}

impl Query {
    /// Reads a query.
    pub(crate) fn parse(text: &str) -> Result<Self, QueryFault> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(QueryFault::TooLong);
        }
        let mut words = Words { text, at: 0 };
        let mut conditions = vec![words.condition()?];
        while !words.done() {
            words.keyword("AND", "AND")?;
            conditions.push(words.condition()?);
        }
        Ok(Self(conditions))
    }

    /// Whether these events fulfil every condition.
    pub(crate) fn matches(&self, events: &Events) -> bool {
        self.0.iter().all(|condition| condition.holds(events))
    }

    /// The conditions that are left when the keys that are `implied` have just these values; one that fails among those stays for good.
    pub(super) fn open(&self, implied: &[(&str, &str)]) -> Vec<Open<'_>> {
        let open = self.0.iter().filter_map(|condition| {
            let known = implied.iter().find(|(key, _)| condition.key == *key);
            match known {
                Some((_, value)) if condition.test.holds(value) => None,
                known => Some(Open {
                    condition,
                    failed: known.is_some(),
                }),
            }
        });
        open.collect()
    }

    /// The heights from which to which `key` (`tx.height`, `block.height`) lets the query match, within `newest`.
    pub(crate) fn heights(&self, key: &str, newest: i64) -> (i64, i64) {
        let (mut from, mut to) = (1_i64, newest);
        for condition in self.0.iter().filter(|condition| condition.key == key) {
            let (compare, height) = match &condition.test {
                Test::Number(compare, number) => (*compare, number.height()),
                Test::Text(text) => (Compare::Equal, text.parse().ok()),
                _ => continue,
            };
            let Some(height) = height else { continue };
            match compare {
                Compare::Equal => (from, to) = (from.max(height), to.min(height)),
                Compare::Less => to = to.min(height.saturating_sub(1)),
                Compare::LessOrEqual => to = to.min(height),
                Compare::Greater => from = from.max(height.saturating_add(1)),
                Compare::GreaterOrEqual => from = from.max(height),
            }
        }
        (from, to)
    }

    /// The hash in a condition `tx.hash='…'`.
    pub(crate) fn tx_hash(&self) -> Option<&str> {
        self.0.iter().find_map(|condition| match &condition.test {
            Test::Text(text) if condition.key == "tx.hash" => Some(text.as_str()),
            _ => None,
        })
    }
}

impl Condition {
    fn holds(&self, events: &Events) -> bool {
        let Some(values) = events.get(&self.key) else {
            return false;
        };
        values.iter().any(|value| self.test.holds(value))
    }
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::Contains(text) => value.contains(text.as_str()),
            Self::Text(text) => value == text,
            Self::Number(compare, number) => {
                Decimal::find(value).is_some_and(|found| compare.holds(found.cmp(number)))
            }
            Self::Time(compare, time) => moment(value).is_some_and(|found| compare.holds(found.cmp(time))),
        }
    }
}

/// A condition that no value has met yet.
pub(super) struct Open<'a> {
    condition: &'a Condition,
    failed: bool,
}

impl Open<'_> {
    /// Whether attributes of an event of this type may meet it.
    pub(super) fn may_be_of(&self, kind: &str) -> bool {
        !self.failed && self.attribute(kind).is_some()
    }

    /// Whether this value of an attribute meets it.
    pub(super) fn is_met_by(&self, kind: &str, key: &str, value: &str) -> bool {
        !self.failed && self.attribute(kind) == Some(key) && self.condition.test.holds(value)
    }

    /// What is behind the type in its key.
    fn attribute(&self, kind: &str) -> Option<&str> {
        self.condition.key.strip_prefix(kind)?.strip_prefix('.')
    }
}

/// A moment or a day.
fn moment(text: &str) -> Option<Time> {
    let time = Time::parse_from_rfc3339(text);
    time.or_else(|_| Time::parse_from_rfc3339(&format!("{text}T00:00:00Z")))
        .ok()
}

/// What is left to read.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

const fn fault<T>(at: usize, wanted: &'static str) -> Result<T, QueryFault> {
    Err(QueryFault::Syntax { at, wanted })
}

impl<'a> Words<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at = self.at.saturating_add(rest.len() - trimmed.len());
        trimmed
    }

    fn done(&mut self) -> bool {
        self.rest().is_empty()
    }

    fn take(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn keyword(&mut self, word: &str, wanted: &'static str) -> Result<(), QueryFault> {
        let rest = self.rest();
        let ends = |rest: &str| !rest.starts_with(is_key);
        match rest.strip_prefix(word) {
            Some(after) if ends(after) => {
                self.take(word.len());
                Ok(())
            }
            _ => fault(self.at, wanted),
        }
    }

    fn condition(&mut self) -> Result<Condition, QueryFault> {
        let key = self.key()?;
        let test = self.test()?;
        let test = match test {
            Test::Text(hash) if key == "tx.hash" => Test::Text(hash.to_ascii_uppercase()),
            test => test,
        };
        Ok(Condition { key, test })
    }

    fn key(&mut self) -> Result<String, QueryFault> {
        let rest = self.rest();
        let end = rest.find(|c| !is_key(c)).unwrap_or(rest.len());
        let key = &rest[..end];
        if key.is_empty() || ["AND", "CONTAINS", "EXISTS"].contains(&key) {
            return fault(self.at, "a key");
        }
        self.take(end);
        Ok(key.to_owned())
    }

    fn test(&mut self) -> Result<Test, QueryFault> {
        const OPERATOR: &str = "<=, >=, <, >, =, CONTAINS or EXISTS";
        if self.keyword("EXISTS", OPERATOR).is_ok() {
            return Ok(Test::Exists);
        }
        if self.keyword("CONTAINS", OPERATOR).is_ok() {
            return self.text().map(Test::Contains);
        }
        let signs = [
            ("<=", Compare::LessOrEqual),
            (">=", Compare::GreaterOrEqual),
            ("<", Compare::Less),
            (">", Compare::Greater),
            ("=", Compare::Equal),
        ];
        let rest = self.rest();
        let Some((sign, compare)) = signs.iter().find(|(sign, _)| rest.starts_with(sign)) else {
            return fault(self.at, OPERATOR);
        };
        self.take(sign.len());
        if *compare == Compare::Equal && self.rest().starts_with('\'') {
            return self.text().map(Test::Text);
        }
        self.operand(*compare)
    }

    fn text(&mut self) -> Result<String, QueryFault> {
        const WANTED: &str = "a text in single quotes";
        let Some(rest) = self.rest().strip_prefix('\'') else {
            return fault(self.at, WANTED);
        };
        let Some(end) = rest.find('\'') else {
            return fault(self.at, WANTED);
        };
        self.take(end.saturating_add(2));
        Ok(rest[..end].to_owned())
    }

    fn operand(&mut self, compare: Compare) -> Result<Test, QueryFault> {
        for word in ["TIME", "DATE"] {
            if self.keyword(word, word).is_ok() {
                let text = self.word();
                let Some(time) = moment(text) else {
                    return fault(
                        self.at,
                        "a moment as 2023-05-03T14:45:00Z, or a day as 2023-05-03",
                    );
                };
                self.take(text.len());
                return Ok(Test::Time(compare, time));
            }
        }
        let text = self.word();
        let number = text.chars().all(|c| c.is_ascii_digit() || c == '.') && text.matches('.').count() <= 1;
        match Decimal::find(text) {
            Some(found) if number && text.starts_with(|c: char| c.is_ascii_digit()) => {
                self.take(text.len());
                Ok(Test::Number(compare, found))
            }
            _ => fault(self.at, "a text in single quotes, a number, TIME or DATE"),
        }
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        &rest[..end]
    }
}

/// Characters of keys.
fn is_key(c: char) -> bool {
    !c.is_whitespace() && !"'\"()=<>".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Events, Query, QueryFault};

    fn events() -> Events {
        let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        [
            ("tm.event", values(&["Tx"])),
            ("tx.hash", values(&["AB12"])),
            ("tx.height", values(&["5"])),
            ("transfer.amount", values(&["1upokt", "500upokt"])),
            ("transfer.sender", values(&["pokt1abc"])),
            ("time.at", values(&["2023-05-03T14:45:00Z"])),
        ]
        .map(|(key, values)| (key.to_owned(), values))
        .into()
    }

    #[track_caller]
    fn check(text: &str, expected: bool) {
        let query = Query::parse(text).expect(text);
        assert_eq!(query.matches(&events()), expected, "{text}");
    }

    #[test]
    fn conditions_hold_when_one_value_does() {
        check("tm.event='Tx'", true);
        check("tm.event = 'NewBlock'", false);
        check("tm.event='Tx' AND tx.hash='ab12'", true);
        check("tm.event='Tx' AND tx.hash='AB13'", false);
        check("tx.height=5", true);
        check("tx.height='5'", true);
        check("tx.height > 4 AND tx.height<6", true);
        check("tx.height >= 5.0 AND tx.height<= 5", true);
        check("tx.height < 5", false);
        check("tx.height > 50000000000000000000000000000", false);
        check("transfer.amount > 499", true);
        check("transfer.amount > 500", false);
        check("transfer.amount = 1", true);
        check("transfer.sender CONTAINS 't1a'", true);
        check("transfer.sender CONTAINS 'x'", false);
        check("transfer.sender EXISTS", true);
        check("transfer.recipient EXISTS", false);
        check(
            "time.at > DATE 2023-05-03 AND time.at <= TIME 2023-05-03T14:45:00Z",
            true,
        );
        check("time.at < DATE 2023-05-03", false);
    }

    #[test]
    fn what_is_no_query_is_refused_where_it_fails() {
        for (text, at) in [
            ("", 0),
            ("tm.event", 8),
            ("tm.event 'Tx'", 9),
            ("tm.event='Tx", 9),
            ("tm.event='Tx' OR a=1", 14),
            ("tm.event='Tx' AND", 17),
            ("a > 'text'", 4),
            ("a = b", 4),
            ("a = 1.2.3", 4),
            ("a = -1", 4),
            ("a > TIME yesterday", 9),
            ("AND = 1", 0),
            ("a EXISTSb", 2),
        ] {
            match Query::parse(text) {
                Err(QueryFault::Syntax { at: found, .. }) => assert_eq!(found, at, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        let long = format!("a='{}'", "x".repeat(512));
        assert_eq!(Query::parse(&long), Err(QueryFault::TooLong));
    }

    #[test]
    fn heights_narrow_a_search() {
        let heights = |text: &str| Query::parse(text).expect(text).heights("tx.height", 100);
        assert_eq!(heights("a EXISTS"), (1, 100));
        assert_eq!(heights("tx.height=7"), (7, 7));
        assert_eq!(heights("tx.height='7'"), (7, 7));
        assert_eq!(heights("tx.height>7 AND tx.height<=9"), (8, 9));
        assert_eq!(heights("tx.height>=7 AND tx.height<9"), (7, 8));
        assert_eq!(heights("tx.height>200"), (201, 100));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            if let Ok(query) = Query::parse(&text) {
                query.matches(&events());
            }
        }

        #[test]
        fn words_of_the_language_in_any_order_are_read_or_refused(
            words in proptest::collection::vec(
                prop::sample::select(vec!["tm.event", "=", "'Tx'", " ", "AND", "<", ">=", "5", "5.", "DATE", "TIME",
                    "2023-05-03", "EXISTS", "CONTAINS", "'", "é", "."]), 0..12))
        {
            if let Ok(query) = Query::parse(&words.concat()) {
                query.matches(&events());
                query.heights("tm.event", i64::MAX);
            }
        }
    }
}
