//! One server for one database: a lock file beside it, which the system releases with its process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// The lock, held until it is dropped.
pub(super) struct Lock {
    _file: File,
}

/// Takes the lock of the database.
///
/// # Errors
/// A sentence that says which process holds it.
pub(super) fn take(database: &Path) -> Result<Lock, String> {
    match try_take(database)? {
        Ok(lock) => Ok(lock),
        Err(holder) => Err(format!(
            "{} is in use by the copydesk process {holder}; stop it first, or give another --data-dir",
            database.display()
        )),
    }
}

/// Takes the lock of the database, or gives the process that holds it.
///
/// # Errors
/// A sentence that says why the lock file can't be used.
pub(super) fn try_take(database: &Path) -> Result<Result<Lock, String>, String> {
    let path = database.with_added_extension("lock");
    let describe = |error: std::io::Error| format!("{} can't be locked: {error}", path.display());
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(describe)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(describe)?;
            return Ok(Err(holder.trim().to_owned()));
        }
        Err(TryLockError::Error(error)) => return Err(describe(error)),
    }
    file.set_len(0).map_err(describe)?;
    file.rewind().map_err(describe)?;
    writeln!(file, "{}", std::process::id()).map_err(describe)?;
    Ok(Ok(Lock { _file: file }))
}
