//! The log is its owner's: leaves hold what clients asked.

use std::io;
use std::path::Path;

/// Makes the data folder.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
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
}
