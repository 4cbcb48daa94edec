//! Files and directories that only their owner may read.

use std::fs;
use std::io::Write;
use std::path::Path;

/// The ending of a file while it is destroyed.
pub(crate) const DOOMED: &str = "destroyed";
/// The ending of a file before it takes the place of the present one.
pub(crate) const FRESH: &str = "new";

/// Makes a directory that only its owner may enter. One that is there already is whoever made it's business: the
/// files in it are private anyway.
///
/// # Errors
/// What the file system says.
pub fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Writes a new file for its owner alone, durably; a file of that name is an error.
pub(crate) fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut handle = options.open(file)?;
    handle.write_all(bytes)?;
    handle.sync_all()?;
    sync_dir_of(file)
}

/// Puts a file for its owner alone in the place of the present one: at any moment there is the old or the
/// new one, whole, also after a power cut.
pub(crate) fn replace_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let fresh = file.with_extension(FRESH);
    // What an interrupted attempt left.
    drop(fs::remove_file(&fresh));
    write_private(&fresh, bytes)?;
    fs::rename(&fresh, file)?;
    sync_dir_of(file)
}

/// Deletes a file for good, as far as its file system lets that be: it is overwritten before its name goes. Whatever
/// interrupts it, a file of this name is whole or not there; one that can't be overwritten keeps its name.
pub(crate) fn destroy(file: &Path) -> std::io::Result<()> {
    let mut handle = fs::OpenOptions::new().write(true).open(file)?;
    let doomed = file.with_extension(DOOMED);
    if file != doomed {
        fs::rename(file, &doomed)?;
    }
    let length = usize::try_from(handle.metadata()?.len()).unwrap_or_default();
    handle.write_all(&vec![0; length])?;
    handle.sync_all()?;
    fs::remove_file(&doomed)?;
    sync_dir_of(file)
}

/// Makes the name of a file, or that it has gone, outlast a power cut.
fn sync_dir_of(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        // A bare name lies in the present directory.
        Some(dir) if dir.as_os_str().is_empty() => fs::File::open(".")?.sync_all(),
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
