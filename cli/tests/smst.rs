//! `portico smst` on a file of leaves: drawn, proved, verified.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Seven relays as a servicer's `/leaves` answers them: the key of each is its number.
fn leaves() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let leaf = |seq: u8| {
        format!(
            r#"{{"seq": {seq}, "key": "{seq:064x}", "relay": "{seq:08x}", "weight": {}}}"#,
            10 + seq
        )
    };
    let list: Vec<_> = (0..7).map(leaf).collect();
    std::fs::write(
        folder.path().join("leaves.json"),
        format!("[{}]", list.join(",\n")),
    )
    .unwrap();
    folder
}

fn smst(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    command
        .arg("smst")
        .args(args)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

fn answer(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Exit code and the last line of what was said.
fn refusal(output: &Output) -> (i32, String) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (
        output.status.code().unwrap(),
        said.lines().last().unwrap_or_default().to_owned(),
    )
}

const PATH: &str = "b643f44c50230392e5f66a909b213fbedbf6dd354865cb5747bc24e3620ceb3b";
const FROM_FILE: [&str; 4] = ["--leaves", "leaves.json", "--path", PATH];

#[test]
fn a_proof_is_written_in_three_forms_and_holds_in_each() {
    let folder = leaves();
    let prove = ["prove", "--out", "proof.json"];
    assert_eq!(
        answer(&smst(folder.path(), &[&prove[..], &FROM_FILE].concat())),
        ""
    );
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("proof.json")).unwrap()).unwrap();
    let (root, sum) = (json["root"].as_str().unwrap(), json["sum"].as_str().unwrap());
    assert_eq!((sum, json["count"].as_str().unwrap()), ("91", "7"));
    for format in ["hex", "gob"] {
        let prove = ["prove", "--format", format, "--out", format];
        answer(&smst(folder.path(), &[&prove[..], &FROM_FILE].concat()));
    }
    for rule in ["network", "strict"] {
        let said = answer(&smst(folder.path(), &["verify", "proof.json", "--rule", rule]));
        assert!(said.contains(rule) && said.contains("7 leaves, sum 91"), "{said}");
        for file in ["hex", "gob"] {
            let verify = ["verify", file, "--root", root, "--path", PATH, "--rule", rule];
            assert_eq!(answer(&smst(folder.path(), &verify)), said);
        }
    }
}

#[test]
fn a_proof_that_does_not_hold_is_told_from_one_that_cannot_be_checked() {
    let folder = leaves();
    let hex = answer(&smst(
        folder.path(),
        &[&["prove", "--format", "hex"][..], &FROM_FILE].concat(),
    ));
    std::fs::write(folder.path().join("proof.hex"), &hex).unwrap();
    let root = answer(&smst(folder.path(), &["show", "--leaves", "leaves.json"]));
    let root = root
        .lines()
        .find_map(|line| line.strip_prefix("root"))
        .unwrap()
        .trim()
        .to_owned();
    let verify = |root: &str, path: &str| {
        refusal(&smst(
            folder.path(),
            &["verify", "proof.hex", "--root", root, "--path", path],
        ))
    };

    let other_root = root.replace(&root[..8], "00000000");
    let (code, said) = verify(&other_root, PATH);
    assert_eq!(
        (code, &*said),
        (
            1,
            "portico: the proof does not hold: the proof leads to another root"
        )
    );
    let (code, said) = verify(&root, &PATH.replace('b', "a"));
    assert_eq!((code, said.contains("another path")), (1, true), "{said}");

    let (code, said) = verify("abcd", PATH);
    assert_eq!((code, said.contains("48 bytes")), (2, true), "{said}");
    let (code, said) = refusal(&smst(folder.path(), &["verify", "proof.hex", "--path", PATH]));
    assert_eq!((code, said.contains("--root")), (2, true), "{said}");
    let (code, said) = refusal(&smst(folder.path(), &["verify", "missing"]));
    assert_eq!((code, said.contains("missing")), (2, true), "{said}");
}

#[test]
fn presence_and_absence_are_proved_too() {
    let folder = leaves();
    for (key, said) in [
        (format!("{:064x}", 3), "this leaf"),
        (format!("{:064x}", 99), "no leaf"),
    ] {
        let prove = [
            "prove",
            "--leaves",
            "leaves.json",
            "--membership",
            "--key",
            &key,
            "--out",
            "proof.json",
        ];
        answer(&smst(folder.path(), &prove));
        let verified = answer(&smst(folder.path(), &["verify", "proof.json"]));
        assert!(verified.contains(said), "{verified}");
        let proof = std::fs::read_to_string(folder.path().join("proof.json")).unwrap();
        std::fs::write(
            folder.path().join("proof.json"),
            proof.replace("\"13\"", "\"14\""),
        )
        .unwrap();
        let altered = smst(folder.path(), &["verify", "proof.json"]);
        assert_eq!(altered.status.code().unwrap(), i32::from(said == "this leaf"));
    }
}

#[test]
fn a_trie_is_drawn_in_each_format_with_the_proof_on_it() {
    let folder = leaves();
    for (format, begins, marks) in [
        ("text", "7 leaves, sum 91, ", "◄ the closest leaf"),
        ("dot", "digraph trie {", "penwidth=2"),
        ("svg", "<svg ", "node leaf closest"),
        ("html", "<!doctype html>", "Proof of the closest leaf"),
    ] {
        let drawn = answer(&smst(
            folder.path(),
            &[&["render", "--format", format][..], &FROM_FILE].concat(),
        ));
        assert!(drawn.starts_with(begins) && drawn.contains(marks), "{drawn}");
        let plain = answer(&smst(
            folder.path(),
            &["render", "--format", format, "--leaves", "leaves.json"],
        ));
        assert!(plain.starts_with(begins) && !plain.contains(marks));
        let folded = [
            "render",
            "--format",
            format,
            "--leaves",
            "leaves.json",
            "--nodes",
            "3",
        ];
        assert!(answer(&smst(folder.path(), &folded)).len() < plain.len());
    }
}

#[test]
fn what_is_wrong_with_a_list_of_leaves_is_said_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (list, place) in [
        (
            "[{\"key\": \"00\", \"value\": \"aa\"}]",
            "leaf 0 of the list: it has no \"weight\"; give --plain",
        ),
        (
            "[{\"key\": \"00\", \"value\": \"a\", \"weight\": 1}]",
            "value is not hex",
        ),
        (
            "[{\"value\": \"aa\", \"weight\": 1}]",
            "either a \"key\" or a \"path\"",
        ),
        (
            "[{\"path\": \"00\", \"value\": \"aa\", \"weight\": 1}]",
            "32 bytes (64 hex digits), not 1",
        ),
        (
            "[{\"key\": \"00\", \"value\": \"aa\", \"weight\": 1}, {\"key\": \"00\", \"value\": \"bb\", \"weight\": 1}]",
            "leaf 1 of the list: another leaf of the list has the same path",
        ),
        ("[{\"key\": \"00\", \"weigth\": 1}]", "unknown field `weigth`"),
    ] {
        std::fs::write(folder.path().join("leaves.json"), list).unwrap();
        let (code, said) = refusal(&smst(folder.path(), &["show", "--leaves", "leaves.json"]));
        assert_eq!(code, 1);
        assert!(said.contains(place), "{said}");
    }
    let block = ["prove", "--leaves", "leaves.json", "--block-hash", "00"];
    std::fs::write(folder.path().join("leaves.json"), "[]").unwrap();
    let (code, said) = refusal(&smst(folder.path(), &block));
    assert_eq!((code, said.contains("needs a session")), (1, true), "{said}");
    let plain = ["render", "--format", "text", "--plain", "--leaves", "leaves.json"];
    std::fs::write(
        folder.path().join("leaves.json"),
        "{\"leaves\": [{\"key\": \"00\", \"value\": \"aa\"}]}",
    )
    .unwrap();
    assert!(answer(&smst(folder.path(), &plain)).starts_with("leaf 6e340b9c…"));
}
