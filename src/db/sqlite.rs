//! What is `SQLite`'s own: how its file is opened, which pragmas hold, and the migrations.

use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, Error};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Opens a connection. `synchronous=FULL` is not negotiable: with `NORMAL`, a power cut loses
/// acknowledged writes of a WAL database.
pub(super) fn open(file: &Path, access: Access) -> Result<Conn, Error> {
    let path = file.to_str().ok_or_else(|| Error::Open(format!("the path {} is not UTF-8", file.display())))?;
    let describe = |reason: String| Error::Open(format!("{path} can't be opened: {reason}"));
    make_private_file(file).map_err(|error| describe(error.to_string()))?;
    let mut conn = Conn::establish(path).map_err(|error| describe(error.to_string()))?;
    let pragmas = match access {
        Access::Write => {
            "PRAGMA busy_timeout = 5000;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA cache_size = -8000;"
        }
        Access::Read => {
            "PRAGMA busy_timeout = 5000;
             PRAGMA query_only = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA mmap_size = 268435456;
             PRAGMA cache_size = -2000;"
        }
    };
    conn.batch_execute(pragmas).map_err(|error| describe(error.to_string()))?;
    Ok(conn)
}

/// Makes the file, where there is none, for its owner only; `SQLite` gives its WAL the same mode.
fn make_private_file(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Runs the migrations that are due.
pub(super) fn migrate(conn: &mut Conn) -> Result<Vec<String>, Error> {
    conn.run_pending_migrations(MIGRATIONS)
        .map(|versions| versions.iter().map(ToString::to_string).collect())
        .map_err(|error| Error::Open(format!("a migration failed: {error}")))
}
