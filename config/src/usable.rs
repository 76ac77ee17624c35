//! Whether what a configuration names can be used on this machine: keys that are keys, folders that can be written.

use std::collections::BTreeMap;
use std::path::Path;

use crate::load::Faults;
use crate::secret::Secret;

/// Reports each of `secrets` that is no private key, and each that is there twice; `key` names the list.
pub(crate) fn keys(key: &str, secrets: &[Secret], faults: &mut Faults) {
    let mut seen = BTreeMap::new();
    for (index, secret) in secrets.iter().enumerate() {
        let name = format!("{key}[{index}]");
        match secret.signing_key() {
            Err(error) => faults.add(&name, format!("is no private key: {error}")),
            Ok(read) => {
                let address = read.address();
                if let Some(first) = seen.insert(address, index) {
                    faults.add(
                        &name,
                        format!("is the same key as {key}[{first}], that of {address}"),
                    );
                }
            }
        }
    }
}

/// Reports `path` when it is no folder or cannot be written. One that is not there yet may be made by whoever starts the process: of it only
/// what is above is looked at.
pub(crate) fn folder(key: &str, path: &Path, faults: &mut Faults) {
    let Some(nearest) = path.ancestors().find(|folder| folder.exists()) else {
        return;
    };
    let shown = nearest.display();
    if !nearest.is_dir() {
        return faults.add(key, format!("{shown} is there and is no folder"));
    }
    if nearest != path {
        return;
    }
    let probe = nearest.join(format!(".portico-probe-{}", std::process::id()));
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&probe);
    if let Err(error) = made.and_then(|file| drop_file(file, &probe)) {
        faults.add(key, format!("no file can be made in {shown}: {error}"));
    }
}

fn drop_file(file: std::fs::File, path: &Path) -> std::io::Result<()> {
    drop(file);
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(check: impl FnOnce(&mut Faults)) -> Vec<String> {
        let mut faults = Faults::default();
        check(&mut faults);
        faults
            .found()
            .iter()
            .map(|fault| format!("{}: {}", fault.key, fault.message))
            .collect()
    }

    #[test]
    fn a_malformed_key_and_one_given_twice_are_told_by_their_place() {
        let secrets = ["11".repeat(32), "c0ffee".to_owned(), "11".repeat(32)].map(Secret::new);
        let told = told(|faults| keys("suppliers", &secrets, faults));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("suppliers[1]: is no private key"), "{told:?}");
        assert!(
            told[1].starts_with("suppliers[2]: is the same key as suppliers[0]"),
            "{told:?}"
        );
        assert!(!told.concat().contains("c0ffee"), "{told:?}");
    }

    #[test]
    fn a_folder_is_usable_when_it_can_be_made() {
        let base = tempfile::tempdir().unwrap();
        let of = |path: &Path| told(|faults| folder("data_dir", path, faults));
        assert!(of(base.path()).is_empty());
        assert!(of(&base.path().join("a/b/c")).is_empty());
        assert!(of(Path::new("not-there-yet")).is_empty());
        std::fs::write(base.path().join("file"), "").unwrap();
        assert!(of(&base.path().join("file"))[0].contains("is no folder"));
        assert!(of(&base.path().join("file/below"))[0].contains("is no folder"));
        let left: Vec<_> = std::fs::read_dir(base.path())
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(left, ["file"], "the check leaves nothing behind");
        #[cfg(target_os = "linux")]
        assert!(of(Path::new("/proc"))[0].contains("no file can be made"));
    }
}
