//! What is `SQLite`'s own: how its file is opened, which pragmas hold, and the migrations.

use std::fmt;
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationSource;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, Error};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Opens a connection. `synchronous=FULL` is not negotiable: with `NORMAL`, a power cut loses
/// acknowledged writes of a WAL database. With `secure_delete`, what is deleted is overwritten, and nothing goes to
/// temporary files. `mmap_size` stays 0: `SQLite` unmaps the whole file in a connection's first read after each commit,
/// which took readers 7 ms each where 150 MB were mapped; that a mapped page is read 5 % sooner does not make up for it.
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
             PRAGMA secure_delete = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;
             PRAGMA cache_size = -8000;"
        }
        Access::Read => {
            "PRAGMA busy_timeout = 5000;
             PRAGMA query_only = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;
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

/// The file that was opened: whoever moves or deletes it under the program loses what is written from then on.
pub(super) struct OpenFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl OpenFile {
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        let identity = identity(path).map_err(|error| Error::Open(format!("{} is gone: {error}", path.display())))?;
        Ok(Self { path: path.to_owned(), identity })
    }

    /// Whether it is still there.
    pub(super) fn check(&self) -> Result<(), Error> {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            return Ok(());
        }
        Err(Error::Open(
            "the database file was moved, deleted or replaced; stop the program and put it back".to_owned(),
        ))
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> std::io::Result<Option<(u64, u64)>> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|metadata| Some((metadata.dev(), metadata.ino())))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> std::io::Result<Option<(u64, u64)>> {
    std::fs::metadata(path).map(|_| None)
}

#[derive(QueryableByName)]
struct Checkpoint {
    #[diesel(sql_type = BigInt)]
    busy: i64,
}

/// Brings all of the WAL into the file and empties it, so that neither holds what was deleted; whether that could be
/// done, which a reader keeps from for as long as it reads an older state.
pub(super) fn empty_wal(conn: &mut Conn) -> Result<bool, Error> {
    // Writers wait behind it: better to be told at once and to try again.
    conn.batch_execute("PRAGMA busy_timeout = 20;")?;
    let outcome = diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result::<Checkpoint>(conn);
    conn.batch_execute("PRAGMA busy_timeout = 5000;")?;
    Ok(outcome?.busy == 0)
}

#[derive(QueryableByName)]
struct Finding {
    #[diesel(sql_type = Text)]
    integrity_check: String,
}

#[derive(QueryableByName)]
struct Dangling {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    parent: String,
}

/// What `SQLite` itself finds wrong with the file, and rows that refer to what is not there.
pub(super) fn check_file(conn: &mut Conn) -> Result<Vec<String>, Error> {
    let findings: Vec<Finding> = diesel::sql_query("PRAGMA integrity_check").load(conn)?;
    let dangling: Vec<Dangling> = diesel::sql_query("PRAGMA foreign_key_check").load(conn)?;
    let findings = findings.into_iter().map(|one| one.integrity_check).filter(|text| text != "ok");
    let dangling = dangling.into_iter().map(|one| format!("a row of {} refers to no row of {}", one.table, one.parent));
    Ok(findings.chain(dangling).collect())
}

/// Refuses a database that a newer program has migrated: this one would not know what it must keep true.
fn refuse_newer(conn: &mut Conn) -> Result<(), Error> {
    let unreadable = |error: &dyn fmt::Display| Error::Open(format!("the migrations can't be read: {error}"));
    let known = MigrationSource::<Sqlite>::migrations(&MIGRATIONS).map_err(|error| unreadable(&error))?;
    let known: Vec<String> = known.iter().map(|one| one.name().version().to_string()).collect();
    let applied = conn.applied_migrations().map_err(|error| unreadable(&error))?;
    match applied.iter().map(ToString::to_string).find(|version| !known.contains(version)) {
        None => Ok(()),
        Some(version) => Err(Error::Open(format!(
            "a newer copydesk has migrated this database (to {version}), which this one does not know; use that one, or a \
             backup from before"
        ))),
    }
}

/// How many migrations are due.
pub(super) fn pending(conn: &mut Conn) -> Result<usize, Error> {
    let pending = conn.pending_migrations(MIGRATIONS).map(|all| all.len());
    pending.map_err(|error| Error::Open(format!("the migrations can't be read: {error}")))
}

/// Runs the migrations that are due. One that writes a table anew leaves a WAL as large as that, which would make every
/// read slow, and the next start too: it is emptied at once.
pub(super) fn migrate(conn: &mut Conn) -> Result<Vec<String>, Error> {
    refuse_newer(conn)?;
    let done: Vec<String> = conn
        .run_pending_migrations(MIGRATIONS)
        .map(|versions| versions.iter().map(ToString::to_string).collect())
        .map_err(|error| Error::Open(format!("a migration failed: {error}")))?;
    if !done.is_empty() {
        empty_wal(conn)?;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::Clock;
    use crate::db::{Db, Timestamp};
    use crate::generate::generate;

    #[derive(QueryableByName, Debug)]
    struct Column {
        #[diesel(sql_type = Text)]
        resource: String,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = BigInt)]
        not_null: i64,
    }

    /// Each column of the migrated database, as `schema.rs` should declare it.
    fn migrated() -> BTreeMap<String, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let mut conn = open(&dir.path().join("test.db"), Access::Write).unwrap();
        migrate(&mut conn).unwrap();
        let sql = "SELECT m.name AS resource, c.name AS name, c.type AS kind, c.\"notnull\" AS not_null \
                   FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c \
                   WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE '\\_\\_%' ESCAPE '\\' \
                   ORDER BY m.name, c.cid";
        let mut tables = BTreeMap::<String, Vec<String>>::new();
        for column in diesel::sql_query(sql).load::<Column>(&mut conn).unwrap() {
            let kind = match column.kind.as_str() {
                "BLOB" => "Binary",
                "TEXT" => "Text",
                _ => "BigInt",
            };
            let kind = if column.not_null == 1 { kind.to_owned() } else { format!("Nullable<{kind}>") };
            tables.entry(column.resource).or_default().push(format!("{}: {kind}", column.name));
        }
        tables
    }

    #[test]
    fn migrations_leave_no_wal_behind() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("test.db");
        let mut conn = open(&file, Access::Write).unwrap();
        assert!(!migrate(&mut conn).unwrap().is_empty());
        assert_eq!(std::fs::metadata(dir.path().join("test.db-wal")).unwrap().len(), 0);
        assert!(std::fs::metadata(&file).unwrap().len() > 0);
    }

    /// What `schema.rs` declares; whole numbers and truth values are `INTEGER` all.
    fn declared() -> BTreeMap<String, Vec<String>> {
        let source = include_str!("../schema.rs");
        let tables = source.split("table! {").skip(1).filter_map(|block| {
            let block = block.split("\n}\n").next()?;
            let name = block.trim_start().split(' ').next()?.to_owned();
            let columns = block.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" -> "));
            let whole = |kind: &str| kind.replace("Integer", "BigInt").replace("Bool", "BigInt");
            Some((name, columns.map(|(column, kind)| format!("{column}: {}", whole(kind))).collect()))
        });
        tables.collect()
    }

    #[test]
    fn the_declared_tables_are_the_migrated_ones() {
        assert_eq!(declared(), migrated());
    }

    #[derive(QueryableByName, Debug, PartialEq, Eq)]
    struct Line {
        #[diesel(sql_type = Text)]
        line: String,
    }

    /// What the tables hold that the migrations of large rows and of body columns write anew, as it was before both.
    fn large_rows(conn: &mut Conn) -> Vec<Line> {
        let sql = "SELECT concat_ws('|', hex(article_id), renderer_version, document) AS line FROM published_bodies
                   UNION ALL SELECT concat_ws('|', hex(article_id), number, saved_at, ifnull(hex(saved_by), '-'),
                       ifnull(name, '-'), row_version, based_on, autosave, retired_at, content) FROM revisions
                   UNION ALL SELECT concat_ws('|', hex(hash), hex(fingerprint), hex(caller_id), role, created_at, location,
                       status, headers, hex(body)) FROM idempotency_keys
                   ORDER BY 1";
        diesel::sql_query(sql).load(conn).unwrap()
    }

    /// What the columns of bodies hold.
    fn bodies(conn: &mut Conn) -> Vec<Line> {
        let sql = "SELECT concat_ws('|', hex(article_id), renderer_version, linked_articles, table_of_contents, seo, citations,
                       extra, body_html, sections, body_markdown) AS line FROM published_bodies ORDER BY 1";
        diesel::sql_query(sql).load(conn).unwrap()
    }

    fn first_document(conn: &mut Conn) -> Line {
        diesel::sql_query("SELECT document AS line FROM published_bodies WHERE rowid = 1").get_result(conn).unwrap()
    }

    /// Takes migrations back until no table has this column.
    fn revert_until_none(conn: &mut Conn, table_and_column: (&str, &str)) {
        let (table, column) = table_and_column;
        while conn.batch_execute(&format!("SELECT {column} FROM {table}")).is_ok() {
            conn.revert_last_migration(MIGRATIONS).unwrap();
        }
    }

    #[tokio::test]
    async fn large_rows_are_kept_when_they_are_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("test.db");
        let db = Db::open(&file, Clock::default()).unwrap();
        generate(&db, "en", 20, Timestamp::from_unix_millis(1_800_000_000_000), |_| ()).await.unwrap();
        drop(db);
        let mut conn = open(&file, Access::Write).unwrap();
        conn.batch_execute(
            r#"UPDATE revisions SET name = 'named', saved_by = x'0102', based_on = 1, autosave = 1, retired_at = 5
                   WHERE rowid % 2 = 0;
               INSERT INTO idempotency_keys VALUES
                   (zeroblob(32), zeroblob(32), x'01', 'editor', 7, '/there', 201, '[]', x'7B7D'),
                   (CAST(x'FF' || zeroblob(31) AS BLOB), zeroblob(32), x'01', 'editor', 7, NULL, NULL, NULL, NULL);
               UPDATE published_bodies SET linked_articles = '["0170c2d0-5c80-72ac-8894-e0c8513900b5"]',
                   table_of_contents = '[]', seo = '{}', citations = '[]', extra = '{"a":[1.50,"\n"]}',
                   body_html = '"<p>\"Für\\n \u0007</p>🌍<h2>Zwei</h2>"', body_markdown = '"\"Für\" 🌍"',
                   sections = '[{"id":null,"level":null,"heading":null,"html_bytes":27},
                       {"id":"zwei","level":2,"heading":"Zwei","html_bytes":13}]' WHERE rowid = 1;
               UPDATE published_bodies SET sections = '[]', body_html = '""', body_markdown = '""' WHERE rowid = 2;
               UPDATE published_bodies SET sections = (SELECT json_group_array(json(value) ORDER BY key) FROM json_each(sections));"#,
        )
        .unwrap();
        let parted = bodies(&mut conn);
        revert_until_none(&mut conn, ("published_bodies", "body_html"));
        assert_eq!(
            first_document(&mut conn).line,
            r#"{"body_markdown":"\"Für\" 🌍","sections":[{"id":null,"level":null,"heading":null,"html":"<p>\"Für\\n \u0007</p>🌍"},{"id":"zwei","level":2,"heading":"Zwei","html":"<h2>Zwei</h2>"}],"linked_articles":["0170c2d0-5c80-72ac-8894-e0c8513900b5"],"table_of_contents":[],"seo":{},"citations":[],"extra":{"a":[1.50,"\n"]}}"#
        );
        let before = large_rows(&mut conn);
        assert_eq!(before.len(), 42);
        revert_until_none(&mut conn, ("revisions", "rowid"));
        assert_eq!(large_rows(&mut conn), before);
        migrate(&mut conn).unwrap();
        assert_eq!(bodies(&mut conn), parted);
        assert!(check_file(&mut conn).unwrap().is_empty());
        revert_until_none(&mut conn, ("published_bodies", "body_html"));
        assert_eq!(large_rows(&mut conn), before);
    }

    #[test]
    fn every_migration_can_be_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut conn = open(&dir.path().join("test.db"), Access::Write).unwrap();
        let all = pending(&mut conn).unwrap();
        assert!(all > 0);
        migrate(&mut conn).unwrap();
        assert_eq!(pending(&mut conn).unwrap(), 0);
        conn.revert_all_migrations(MIGRATIONS).unwrap();
        assert_eq!(pending(&mut conn).unwrap(), all);
        migrate(&mut conn).unwrap();
    }
}
