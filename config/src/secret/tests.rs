use std::path::Path;

use serde::Deserialize;

use super::{Secret, with_folder};

#[derive(Debug, Deserialize)]
struct Holder {
    key: Secret,
}

fn read(folder: &Path, text: &str) -> Result<Holder, String> {
    with_folder(folder, || serde_saphyr::from_str(text))
        .map_err(|error: serde_saphyr::Error| error.without_snippet().to_string())
}

#[test]
fn neither_debug_nor_display_shows_it() {
    let secret = Secret::new("hunter2".to_owned());
    assert_eq!(
        format!("{secret} {secret:?} {:?}", Some(&secret)),
        "<secret> <secret> Some(<secret>)"
    );
}

#[test]
fn a_text_is_taken_as_it_is() {
    assert_eq!(
        read(Path::new(""), "key: hunter2").unwrap().key.reveal(),
        "hunter2"
    );
}

#[test]
fn a_number_is_refused_without_being_shown() {
    let message = read(Path::new(""), "key: 123456").unwrap_err();
    assert!(!message.contains("123456"), "{message}");
}

#[test]
fn another_key_than_file_is_refused() {
    let message = read(Path::new(""), "key: {path: a}").unwrap_err();
    assert!(message.contains("file"), "{message}");
}

#[cfg(unix)]
mod files {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::secret::{SecretError, write_secret_file};

    fn file(folder: &Path, name: &str, text: &str, mode: u32) {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_is_read_relative_to_the_configuration_and_trimmed() {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), "key.hex", " hunter2\n", 0o600);
        assert_eq!(
            read(folder.path(), "key: {file: key.hex}").unwrap().key.reveal(),
            "hunter2"
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_closes_it() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o644, 0o640, 0o620, 0o604] {
            file(folder.path(), "key.hex", "hunter2", mode);
            let message = read(folder.path(), "key: {file: key.hex}").unwrap_err();
            let path = folder.path().join("key.hex");
            let advice = format!("(mode {mode:04o}); run: chmod 600 {}", path.display());
            assert!(message.contains(&advice), "{message}");
            assert!(!message.contains("hunter2"));
        }
    }

    #[test]
    fn a_group_may_read_what_systemd_hands_over_and_nothing_else() {
        let folder = std::ffi::OsStr::new("/run/credentials/portico-gateway.service");
        let credential = Path::new(folder).join("gateway.hex");
        assert_eq!(super::super::others(&credential, Some(folder)), 0o037);
        assert_eq!(super::super::others(&credential, None), 0o077);
        for path in [
            "/etc/portico/gateway.hex",
            "/run/credentials/portico-gateway.service/../gateway.hex",
        ] {
            assert_eq!(
                super::super::others(Path::new(path), Some(folder)),
                0o077,
                "{path}"
            );
        }
        assert_eq!(
            super::super::others(Path::new("gateway.hex"), Some("".as_ref())),
            0o077
        );
    }

    #[test]
    fn a_secret_file_is_written_for_its_owner_only_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.hex");
        let secret = Secret::new("hunter2".to_owned());
        write_secret_file(&path, &secret).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(Secret::read(&path).unwrap(), secret);
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        file(folder.path(), "a.hex", "precious", 0o600);
        let path = folder.path().join("a.hex");
        let written = write_secret_file(&path, &Secret::new("new".to_owned()));
        assert!(matches!(written, Err(SecretError::Write { .. })));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "precious");
    }
}
