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
