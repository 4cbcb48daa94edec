//! One server for one data directory: a lock file that the system releases with its process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// The lock, held until it is dropped.
pub(super) struct Lock {
    _file: File,
}

/// Takes the lock of a data directory.
///
/// # Errors
/// A sentence that says which process holds it.
pub(super) fn take(data_dir: &Path) -> Result<Lock, String> {
    let path = data_dir.join("copydesk.lock");
    let describe = |error: std::io::Error| format!("{} can't be locked: {error}", path.display());
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(describe)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(describe)?;
            return Err(format!(
                "{} is in use by the copydesk process {}; stop it first, or give another --data-dir",
                data_dir.display(),
                holder.trim()
            ));
        }
        Err(TryLockError::Error(error)) => return Err(describe(error)),
    }
    file.set_len(0).map_err(describe)?;
    file.rewind().map_err(describe)?;
    writeln!(file, "{}", std::process::id()).map_err(describe)?;
    Ok(Lock { _file: file })
}
