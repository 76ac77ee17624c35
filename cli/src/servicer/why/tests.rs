use portico_protocol::Upokt;

use super::super::tests::{expired, open, rows, settled};
use super::*;

#[test]
fn a_session_is_told_step_by_step() {
    insta::assert_snapshot!(session(&settled()));
    insta::assert_snapshot!(session(&expired()));
}

#[test]
fn a_summary_begins_with_what_costs_most() {
    let rows = rows();
    let rows: Vec<&LedgerRow> = rows.iter().collect();
    insta::assert_snapshot!(summary(&rows));
}

#[test]
fn a_hash_above_the_target_is_known_without_any_record() {
    let mut row = open();
    row.target_hash = format!("0f{}", "ff".repeat(31));
    let said = unknown("aa", &[0xaa; 32], &[&row, &settled()]);
    assert!(said.contains("in 1 of the 2 sessions"), "{said}");
    let said = unknown("00", &[0; 32], &[&row]);
    assert!(!said.contains("difficulty"), "{said}");
}

#[test]
fn csv_and_json_tell_the_same_gaps() {
    let rows = rows();
    let answer = Answer::Sessions(rows.iter().collect());
    let lines = answer.csv().lines().count() - 1;
    let json = answer.json();
    let gaps = |session: &Value| session["gaps"].as_array().unwrap().len();
    assert_eq!(
        json["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(gaps)
            .sum::<usize>(),
        lines
    );
    assert!(lines > 3, "{lines}");
}

#[test]
fn every_reason_has_its_own_name_and_says_something() {
    let rows = rows();
    let mut names = std::collections::BTreeSet::new();
    for reason in by_reason(&rows.iter().collect::<Vec<_>>()).into_keys() {
        assert!(names.insert(reason.name()), "{}", reason.name());
        assert!(reason.explanation().len() > 20);
    }
}

#[test]
fn what_was_burned_of_a_stake_is_told() {
    let mut row = expired();
    row.slashed_upokt = Upokt(320);
    assert!(
        session(&row).contains("of the supplier's stake"),
        "{}",
        session(&row)
    );
    assert!(summary(&[&row]).contains("320 upokt were burned"));
}

/// A row of a servicer to which this happened (`servicer/src/tests/why.rs`).
#[derive(serde::Deserialize)]
struct Case {
    what_happened: String,
    reason: String,
    relays: u64,
    upokt: u128,
    row: LedgerRow,
}

/// Whoever reads the answer learns the reason, how many relays it was, and what they were worth.
#[test]
fn each_way_not_to_be_paid_is_told_in_words_and_amounts() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("cases.json")).unwrap();
    assert!(cases.len() >= 10);
    let mut told = String::new();
    for case in &cases {
        let text = session(&case.row);
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(&case.reason));
        let line = line.unwrap_or_else(|| panic!("{}:\n{text}", case.what_happened));
        assert!(line.contains(&format!("-{}", case.relays)), "{line}");
        assert!(
            case.upokt == 0 || line.contains(&format!("-{}", grouped(case.upokt))),
            "{line}"
        );
        assert!(
            text.contains(&format!("\n{}: ", case.reason)),
            "in words:\n{text}"
        );
        assert!(!text.contains("do not add up"), "{text}");
        told += &format!("## {}\n\n{text}\n", case.what_happened);
    }
    insta::assert_snapshot!(told);
    let rows: Vec<&LedgerRow> = cases.iter().map(|case| &case.row).collect();
    insta::assert_snapshot!(summary(&rows));
}
