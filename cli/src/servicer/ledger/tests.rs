use super::super::tests::{expired, open, rows, settled};
use super::*;

fn found(by: By) -> (Vec<Line>, Line) {
    let rows = rows();
    let rows: Vec<&LedgerRow> = rows.iter().collect();
    (lines(&rows, by), Line::of(Vec::new(), &rows))
}

#[test]
fn a_table_has_a_line_for_each_session_and_their_sum() {
    let (lines, all) = found(By::Session);
    insta::assert_snapshot!(text(&lines, &all, By::Session));
}

#[test]
fn csv_has_all_figures_of_a_group() {
    let (lines, _) = found(By::Service);
    insta::assert_snapshot!(csv(&lines, By::Service).replace("\r\n", "\n"));
}

#[test]
fn json_adds_up_to_its_totals() {
    let (lines, all) = found(By::Day);
    let json = as_json(&lines, &all, By::Day);
    assert_eq!(json["closes"], true);
    for figure in FIGURES {
        let of = |value: &Value| value[figure].as_str().unwrap().parse::<i128>().unwrap();
        let sum: i128 = json["lines"].as_array().unwrap().iter().map(of).sum();
        assert_eq!(sum, of(&json["totals"]), "{figure}");
    }
    assert_eq!(json["lines"][0]["day"], "2026-11-29");
}

#[test]
fn a_filter_leaves_out_what_is_not_asked_for() {
    let filter = Filter {
        supplier: None,
        service: Some("eth".parse().unwrap()),
        from_height: Some(11),
        to_height: None,
    };
    assert!(!filter.takes(&settled()), "begins at 1");
    assert!(filter.takes(&expired()));
    assert!(!filter.takes(&open()), "of another service");
}

#[test]
fn days_are_those_of_the_calendar() {
    let at = |seconds: u64| day(seconds * 1_000);
    assert_eq!(day(0), "unknown");
    assert_eq!(at(1), "1970-01-01");
    assert_eq!(at(951_782_399), "2000-02-28");
    assert_eq!(at(951_782_400), "2000-02-29");
    assert_eq!(at(951_868_800), "2000-03-01");
    assert_eq!(at(1_767_225_599), "2025-12-31");
    assert_eq!(at(1_767_225_600), "2026-01-01");
}

#[test]
fn a_cell_of_csv_is_quoted_where_it_must_be() {
    assert_eq!(
        [quoted("a"), quoted("a,b"), quoted("say \"x\"")],
        ["a", "\"a,b\"", "\"say \"\"x\"\"\""]
    );
}
