//! The data folder is its owner's: leaves hold what clients asked.

use std::io;
use std::path::Path;

/// Makes the data folder for its owner alone, or closes an older one to everybody else: one that has something else in it, or another owner,
/// is left as it is, with a warning.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    #[cfg(unix)]
    unix::close_folder(path)?;
    Ok(())
}

/// Makes the file, or closes an older one to everybody but its owner.
pub(super) fn file(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    unix::close_file(path)?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(unix)]
mod unix {
    use std::fs::{OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    use std::path::Path;

    use crate::leaf_log::{FILE_NAME, RESERVE_NAME, TRIAL_NAME};

    /// Bits of a mode that are for others than the owner.
    const OTHERS: u32 = 0o077;

    pub(super) fn close_file(path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        let mode = file.metadata()?.permissions().mode();
        if mode & OTHERS != 0 {
            file.set_permissions(Permissions::from_mode(mode & !OTHERS))?;
        }
        Ok(())
    }

    pub(super) fn close_folder(path: &Path) -> io::Result<()> {
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & OTHERS == 0 {
            return Ok(());
        }
        let closed = match is_ours(path)? {
            true => std::fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)),
            false => Err(io::Error::other("it has other files in it")),
        };
        if let Err(error) = closed {
            let (folder, mode) = (path.display(), mode & 0o777);
            tracing::warn!(%error, "others may look into the data folder {folder} (mode {mode:o}): give the servicer one of its own, mode 700");
        }
        Ok(())
    }

    /// Whether nothing is in the folder but what a servicer puts there, or the file system itself.
    fn is_ours(path: &Path) -> io::Result<bool> {
        for entry in std::fs::read_dir(path)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let ours = [FILE_NAME, RESERVE_NAME, TRIAL_NAME]
                .iter()
                .any(|ours| name.starts_with(ours));
            if !ours && name != "lost+found" {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
