//! That what is personal stays personal: on the disk, in every log, after its end, and for who has the wrong role.

use std::path::Path;

use copydesk::auth::Role;
use copydesk::config::Config;
use copydesk::server;
use copydesk::state::Clock;
use diesel::sql_types::{BigInt, Binary};
use diesel::{QueryableByName, RunQueryDsl};
use serde_json::{Value, json};

use crate::contact::{MANAGED, ids, message, message_with, read, send};
use crate::contact_forms::change_default;
use crate::harness::{Account, MARKER, PASSWORD, TestServer, block_on, is_personal, personal_files};
use crate::steps::{audit_events, eventually, is_in_database, pass};

#[derive(QueryableByName)]
struct SealedRow {
    #[diesel(sql_type = Binary)]
    wrapped_key: Vec<u8>,
    #[diesel(sql_type = Binary)]
    sealed: Vec<u8>,
}

fn sealed_rows(server: &TestServer) -> Vec<SealedRow> {
    block_on(server.app.db.read(|conn| {
        let rows = diesel::sql_query("SELECT wrapped_key, sealed FROM contact_submissions").load(conn);
        rows.map_err(copydesk::http::Problem::from)
    }))
    .unwrap()
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn count(server: &TestServer, table: &str) -> i64 {
    let sql = format!("SELECT count(*) AS count FROM {table}");
    let rows: Vec<Count> = block_on(
        server.app.db.read(move |conn| diesel::sql_query(sql).load(conn).map_err(copydesk::http::Problem::from)),
    )
    .unwrap();
    rows[0].count
}

#[test]
fn the_watch_would_see_what_is_personal() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x"), format!("a {} b", MARKER.to_uppercase())).unwrap();
    assert_eq!(personal_files(dir.path()).len(), 1);
    assert!(is_personal(b"tel 4155550199") && !is_personal(b"nothing"));
}

#[test]
fn what_was_erased_is_in_neither_file_nor_log_of_the_database() {
    let server = TestServer::start();
    let id = send(&server, &message());
    let intake = server.signed_in(Role::Intake);
    let note = json!({ "note": format!("{MARKER} {}", "x".repeat(5_000)) });
    intake.patch(&format!("{MANAGED}/{id}"), "*", &note).expect(200);
    let rows = sealed_rows(&server);
    let is_there = |bytes: &[u8]| is_in_database(&server, bytes);
    assert!(is_there(&rows[0].wrapped_key) && is_there(&rows[0].sealed[..64]));
    intake.delete(&format!("{MANAGED}/{id}"), "*").expect(204);
    assert!(!is_there(&rows[0].wrapped_key), "its key is gone");
    for part in rows[0].sealed.chunks_exact(32) {
        assert!(!is_there(part), "its words are overwritten");
    }
    assert_eq!(count(&server, "contact_lookups"), 0);
    let wal = server.app.config.database.with_extension("db-wal");
    assert_eq!(std::fs::metadata(wal).unwrap().len(), 0, "the log of the database is empty");
}

#[test]
fn a_reader_that_keeps_from_emptying_the_log_is_waited_for_by_the_clock() {
    let server = TestServer::start();
    let id = send(&server, &message());
    let intake = server.signed_in(Role::Intake);
    let wal = server.app.config.database.with_extension("db-wal");
    let mut other = SqliteReader::open(&server.app.config.database);
    other.hold();
    let answer = intake.delete(&format!("{MANAGED}/{id}"), "*").expect(204);
    drop(answer);
    assert!(server.app.db.has_erased());
    other.release();
    eventually("the log is emptied", || {
        (!server.app.db.has_erased() && std::fs::metadata(&wal).unwrap().len() == 0).then_some(())
    });
}

/// A connection of another program that reads an old state.
struct SqliteReader(diesel::SqliteConnection);

impl SqliteReader {
    fn open(database: &Path) -> Self {
        Self(diesel::Connection::establish(database.to_str().unwrap()).unwrap())
    }

    fn run(&mut self, sql: &str) {
        diesel::connection::SimpleConnection::batch_execute(&mut self.0, sql).unwrap();
    }

    fn hold(&mut self) {
        self.run("BEGIN; SELECT count(*) FROM contact_submissions;");
    }

    fn release(&mut self) {
        self.run("COMMIT;");
    }
}

#[test]
fn a_month_key_goes_with_the_last_message_of_its_month_and_old_copies_are_void() {
    let server = TestServer::start();
    let first = send(&server, &message());
    let backup = tempfile::tempdir().unwrap();
    let copy = backup.path().join("copydesk.db");
    block_on(server.app.db.empty_wal()).unwrap();
    std::fs::copy(&server.app.config.database, &copy).unwrap();
    let old = server.app.vault.names()[0].clone();
    let mut of_backup = server.app.config.clone();
    of_backup.database = copy;
    let open = |config: &Config| server::open(config.clone(), Clock::default()).map(drop);
    assert!(open(&of_backup).is_ok(), "the keys are there, so the copy can be read");
    let intake = server.signed_in(Role::Intake);
    intake.delete(&format!("{MANAGED}/{first}"), "*").expect(204);
    assert_eq!(server.app.vault.names(), Vec::<String>::new());
    assert!(!server.app.config.key_dir.join(format!("contact-{old}.key")).exists());
    let refused = open(&of_backup).unwrap_err();
    assert!(refused.contains(&old) && refused.contains("not in the key directory"), "{refused}");
    let destroyed = audit_events(&server, "contact_key.destroy");
    assert_eq!((destroyed.len(), &destroyed[0]["actor"]["kind"]), (1, &json!("system")));
    // Another one takes its place, also within the month.
    read(&intake, &send(&server, &message()));
    assert_ne!(server.app.vault.names(), [old]);
}

#[test]
fn another_database_with_the_same_keys_destroys_none_of_them() {
    let server = TestServer::start();
    let id = send(&server, &message());
    let mut config = server.app.config.clone();
    config.database = config.data_dir.join("another.db");
    let other = TestServer::start_in(tempfile::tempdir().unwrap(), config);
    let own = send(&other, &message());
    other.sign_in(&other.account(Role::Intake)).delete(&format!("{MANAGED}/{own}"), "*").expect(204);
    eventually("the erasure is finished", || (!other.app.db.has_erased() && !other.app.vault.is_late()).then_some(()));
    other.stop();
    let config = server.app.config.clone();
    let again = TestServer::start_in(server.keep(), config);
    assert_eq!(read(&again.sign_in(&again.account(Role::Intake)), &id)["message"], message()["message"]);
}

#[test]
fn a_database_that_knows_nothing_of_a_key_leaves_it_alone() {
    let server = TestServer::start();
    let id = send(&server, &message());
    let config = server.app.config.clone();
    let directory = server.keep();
    let mut empty = config.clone();
    empty.database = config.data_dir.join("empty.db");
    let other = TestServer::start_in(tempfile::tempdir().unwrap(), empty);
    eventually("it has looked for what is left to do", || (!other.app.db.has_erased()).then_some(()));
    assert_eq!(other.app.vault.names().len(), 1);
    other.stop();
    let again = TestServer::start_in(directory, config);
    assert_eq!(read(&again.sign_in(&again.account(Role::Intake)), &id)["message"], message()["message"]);
}

#[test]
fn a_key_that_somebody_holds_is_destroyed_as_soon_as_nobody_does() {
    let server = TestServer::start();
    let id = send(&server, &message());
    let held = server.app.vault.all();
    server.signed_in(Role::Intake).delete(&format!("{MANAGED}/{id}"), "*").expect(204);
    assert_eq!(server.app.vault.names().len(), 1);
    drop(held);
    eventually("the key is destroyed", || server.app.vault.names().is_empty().then_some(()));
}

#[test]
fn a_key_that_comes_back_from_somewhere_is_destroyed_again() {
    let server = TestServer::start();
    let id = send(&server, &message());
    let file = server.app.config.key_dir.join(format!("contact-{}.key", server.app.vault.names()[0]));
    let kept = std::fs::read(&file).unwrap();
    let intake = server.signed_in(Role::Intake);
    intake.delete(&format!("{MANAGED}/{id}"), "*").expect(204);
    assert!(!file.exists());
    std::fs::write(&file, kept).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let other = send(&server, &message());
    intake.delete(&format!("{MANAGED}/{other}"), "*").expect(204);
    assert!(!file.exists());
}

#[test]
fn keys_that_others_can_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let server = TestServer::start();
    send(&server, &message());
    let config = server.app.config.clone();
    let directory = server.keep();
    let file = std::fs::read_dir(&config.key_dir).unwrap().map(|entry| entry.unwrap().path());
    let file = file.into_iter().find(|path| path.to_string_lossy().contains("contact-2")).unwrap();
    for (path, loose, tight) in [(&file, 0o644, 0o600), (&config.key_dir, 0o777, 0o700)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(loose)).unwrap();
        let refused = server::open(config.clone(), Clock::default()).map(drop).unwrap_err();
        assert!(refused.contains(path.to_str().unwrap()) && refused.contains("chmod"), "{refused}");
        std::fs::set_permissions(path, PermissionsExt::from_mode(tight)).unwrap();
    }
    drop(TestServer::start_in(directory, config));
}

#[test]
fn a_row_that_was_moved_or_altered_is_an_opaque_error() {
    let server = TestServer::start();
    let (one, two) =
        (send(&server, &message()), send(&server, &message_with(&json!({ "name": format!("Other {MARKER}") }))));
    let intake = server.signed_in(Role::Intake);
    server.write(|conn| {
        diesel::sql_query(
            "UPDATE contact_submissions SET sealed = (SELECT sealed FROM contact_submissions ORDER BY received_at DESC LIMIT 1)",
        )
        .execute(conn)
    });
    let outcomes = [one, two].map(|id| intake.get(&format!("{MANAGED}/{id}")).status);
    assert!(outcomes.contains(&500), "{outcomes:?}");
    server.write(|conn| diesel::sql_query("UPDATE contact_submissions SET sealed = zeroblob(100)").execute(conn));
    let id = ids(&intake, "").remove(0);
    let answer = intake.get(&format!("{MANAGED}/{id}"));
    answer.refused(500, "internal");
    assert!(!answer.text().contains("key"), "{}", answer.text());
}

#[test]
fn each_message_is_sealed_for_itself() {
    let server = TestServer::start();
    send(&server, &message());
    send(&server, &message());
    let rows = sealed_rows(&server);
    assert_ne!(rows[0].wrapped_key, rows[1].wrapped_key);
    assert_ne!(rows[0].sealed[24..], rows[1].sealed[24..]);
}

#[test]
fn messages_outlive_a_restart() {
    let server = TestServer::start();
    let id = send(&server, &message());
    let config = server.app.config.clone();
    let again = TestServer::start_in(server.keep(), config);
    assert_eq!(read(&again.sign_in(&again.account(Role::Intake)), &id)["message"], message()["message"]);
}

/// What was announced of a subject, in order.
fn announced(server: &TestServer, watcher: &Account, subject: &Value) -> Vec<String> {
    let list = server.sign_in(watcher).get("/api/v1/manage/contact-announcements?limit=100").expect(200).json();
    let items = list["items"].as_array().unwrap().iter().rev().filter(|one| one["subject"] == *subject);
    items.map(|one| one["action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn whatever_gives_access_to_an_intake_account_is_announced() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let watcher = server.account(Role::Intake);
    let draft = json!({ "email": "new@example.org", "name": "New", "role": "intake" });
    let made = admin.post("/api/v1/manage/users", &draft).expect(201).json();
    let path = format!("/api/v1/manage/users/{}", made["id"].as_str().unwrap());
    for patch in [
        json!({ "email": "renamed@example.org" }),
        json!({ "password": "a long and secret phrase" }),
        json!({ "disabled": true }),
        json!({ "disabled": false }),
        json!({ "role": "editor" }),
        json!({ "role": "intake" }),
        json!({ "name": "Nothing to announce" }),
    ] {
        admin.patch(&path, "*", &patch).expect(200);
    }
    admin.request("POST", &format!("{path}/password-links")).send().expect(200);
    admin.delete(&path, "*").expect(204);
    assert_eq!(
        announced(&server, &watcher, &made["id"]),
        [
            "user.create",
            "user.invite",
            "user.change_email",
            "user.set_password",
            "user.disable",
            "user.enable",
            "user.change_role",
            "user.change_role",
            "user.make_reset_link",
            "user.delete",
        ]
    );
    admin.get("/api/v1/manage/contact-announcements").refused(403, "forbidden");
}

#[test]
fn a_former_address_is_told_for_a_month_and_renewed_by_nothing() {
    const FORMER: &str = "announcement_recipients WHERE left_at IS NOT NULL";
    let server = TestServer::start();
    let (watcher, leaver) = (server.account(Role::Intake), server.account(Role::Intake));
    let admin = server.signed_in(Role::Admin);
    let path = format!("/api/v1/manage/users/{}", leaver.id);
    admin.patch(&path, "*", &json!({ "role": "editor" })).expect(200);
    assert_eq!((count(&server, FORMER), count(&server, "announcement_recipients")), (1, 2));
    pass(&server, 20 * 24 * 3600);
    let admin = server.signed_in(Role::Admin);
    admin.patch(&path, "*", &json!({ "password": "a long and secret phrase" })).expect(200);
    assert!(announced(&server, &watcher, &json!(leaver.id)).contains(&"user.set_password".to_owned()));
    assert_eq!(count(&server, FORMER), 1);
    pass(&server, 11 * 24 * 3600);
    eventually("the former address is forgotten", || (count(&server, FORMER) == 0).then_some(()));
    assert_eq!(count(&server, "announcement_recipients"), 1);
}

#[test]
fn a_change_of_a_form_is_announced() {
    let server = TestServer::start();
    let watcher = server.account(Role::Intake);
    change_default(&server, &json!({ "urgent_phrases": ["cocaine"], "retention_days": 1 }));
    let list = server.sign_in(&watcher).get("/api/v1/manage/contact-announcements").expect(200).json();
    let item = &list["items"][0];
    assert_eq!(
        (&item["action"], &item["subject_kind"], &item["subject_name"], &item["actor_kind"]),
        (&json!("contact_form.update"), &json!("contact_form"), &json!("default"), &json!("user"))
    );
}

#[test]
fn an_own_change_of_password_is_announced_and_one_of_another_role_is_not() {
    let server = TestServer::start();
    let (one, two, editor) = (server.account(Role::Intake), server.account(Role::Intake), server.account(Role::Editor));
    let change = json!({ "password": "a long and secret phrase", "current_password": PASSWORD });
    for account in [&one, &editor] {
        server.sign_in(account).patch("/api/v1/auth/me", "*", &change).expect(200);
    }
    assert!(announced(&server, &two, &json!(one.id)).contains(&"user.set_password".to_owned()));
    assert_eq!(announced(&server, &two, &json!(editor.id)), Vec::<String>::new());
}
