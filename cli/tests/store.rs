//! `portico servicer store` over the data of the first release.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DATA: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../testdata/servicer-data-1/leaves.redb"
);

fn store(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    command
        .args(["servicer", "store"])
        .args(args)
        .current_dir(folder)
        .env_remove("RUST_LOG");
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr]
        .map(String::from_utf8_lossy)
        .concat()
}

fn with_data() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data/leaves.redb");
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::copy(DATA, &file).unwrap();
    (folder, file)
}

#[test]
fn data_that_were_cut_short_are_found_and_repaired() {
    let (folder, file) = with_data();
    let before = std::fs::read(&file).unwrap();
    let sound = store(folder.path(), &["check", "--data-dir", "data"]);
    assert!(sound.status.success(), "{}", said(&sound));
    assert!(
        said(&sound).starts_with("3 sessions, 10 leaves, "),
        "{}",
        said(&sound)
    );
    assert_eq!(std::fs::read(&file).unwrap(), before, "a check changes nothing");

    std::fs::write(&file, &before[..before.len() - 1]).unwrap();
    let found = store(folder.path(), &["check", "--data-dir", "data"]);
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    assert!(said(&found).contains("store repair"), "{}", said(&found));
    let repaired = store(folder.path(), &["repair", "--data-dir", "data"]);
    assert!(repaired.status.success(), "{}", said(&repaired));
    assert!(
        said(&repaired).contains("3 sessions and 10 leaves"),
        "{}",
        said(&repaired)
    );
    assert_eq!(
        std::fs::read(folder.path().join("data/leaves.redb.damaged-1")).unwrap(),
        before[..before.len() - 1]
    );
    assert!(
        store(folder.path(), &["check", "--data-dir", "data"])
            .status
            .success()
    );
}

#[test]
fn a_backup_of_a_stopped_servicer_is_a_data_folder() {
    let (folder, _) = with_data();
    let copied = store(folder.path(), &["backup", "--data-dir", "data", "--to", "copy"]);
    assert!(copied.status.success(), "{}", said(&copied));
    let json = store(folder.path(), &["check", "--data-dir", "copy", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&report["leaves"], &report["faults"]),
        (&10.into(), &serde_json::json!([]))
    );
    let again = store(folder.path(), &["backup", "--data-dir", "data", "--to", "copy"]);
    assert!(
        !again.status.success() && said(&again).contains("exists already"),
        "{}",
        said(&again)
    );
    let compacted = store(folder.path(), &["compact", "--data-dir", "copy"]);
    assert!(
        compacted.status.success() && said(&compacted).contains("bytes"),
        "{}",
        said(&compacted)
    );
}

#[test]
fn where_nothing_is_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["check", "repair", "compact"] {
        let output = store(folder.path(), &[command, "--data-dir", "nowhere"]);
        assert!(
            !output.status.success() && said(&output).contains("nowhere"),
            "{command}: {}",
            said(&output)
        );
        assert!(!folder.path().join("nowhere").exists(), "{command} makes nothing");
    }
    let silent = store(
        folder.path(),
        &["backup", "--servicer", "http://127.0.0.1:1", "--to", "copy"],
    );
    assert!(
        !silent.status.success() && said(&silent).contains("no servicer answers"),
        "{}",
        said(&silent)
    );
    assert!(!folder.path().join("copy/leaves.redb").exists());
}
