//! The program as the person who runs it meets it: the real binary, its files, its words.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use copydesk::config::Config;
use copydesk::server;
use copydesk::state::Clock;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use serde_json::{Value, json};
use tempfile::TempDir;
use totp_rs::{Builder, Secret};

use crate::sign_in::header_of;

/// No other test listens here, so that nobody else is given a port that was free a moment ago.
const ONLY_HERE: Ipv4Addr = if cfg!(target_os = "linux") { Ipv4Addr::new(127, 0, 0, 2) } else { Ipv4Addr::LOCALHOST };

pub(crate) const PASSWORD: &str = "a long and secret phrase";

/// The program in a directory of its own, without any setting of this environment.
pub(crate) fn copydesk(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_copydesk"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COPYDESK_") || name == "DATABASE_URL") {
        command.env_remove(name);
    }
    command.current_dir(dir).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn run(dir: &Path, arguments: &[&str]) -> Output {
    copydesk(dir, arguments).output().unwrap()
}

pub(crate) fn run_with_input(dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = copydesk(dir, arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

pub(crate) fn create_user(dir: &Path, email: &str) -> Output {
    create_account(dir, email, "editor")
}

pub(crate) fn create_account(dir: &Path, email: &str, role: &str) -> Output {
    let arguments = ["user", "create", "--email", email, "--name", "Ada", "--role", role, "--password-stdin"];
    run_with_input(dir, &arguments, &format!("{PASSWORD}\n"))
}

pub(crate) fn words(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What a command that must succeed has printed.
pub(crate) fn printed(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", words(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A serving program, killed when dropped.
pub(crate) struct Server {
    child: Child,
    errors: BufReader<ChildStderr>,
    greeting: String,
    pub(crate) address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    /// Starts it and reads its greeting, which ends with how to stop it.
    pub(crate) fn start(dir: &Path, arguments: &[&str]) -> Self {
        let all = [&["serve", "--listen", "127.0.0.1:0", "--workers", "1"], arguments].concat();
        let mut child = copydesk(dir, &all).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Stop it with") {
            assert_ne!(errors.read_line(&mut greeting).unwrap(), 0, "it stopped: {greeting}");
        }
        let address = greeting.split("serves on http://").nth(1).unwrap().lines().next().unwrap().to_owned();
        Self { child, errors, greeting, address }
    }

    /// The id of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        self.request_with("", method, path, body)
    }

    /// Sends further headers, each with the end of its line.
    pub(crate) fn request_with(&self, headers: &str, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        answer(stream)
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.request("GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Who calls with a token, where it is taken.
    fn me(&self, token: &str) -> u16 {
        self.request_with(&authorization(token), "GET", "/api/v1/auth/me", None).0
    }

    fn post_as(&self, token: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.request_with(&authorization(token), "POST", path, Some(body));
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    fn log_in(&self, email: &str, password: &str) -> u16 {
        let body = json!({ "email": email, "password": password });
        self.request("POST", "/api/v1/auth/login", Some(&body)).0
    }

    /// An access token of a new sign-in.
    pub(crate) fn token(&self, email: &str, password: &str) -> String {
        let body = json!({ "email": email, "password": password });
        let (status, answer) = self.request("POST", "/api/v1/auth/login", Some(&body));
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()["access_token"].as_str().unwrap().to_owned()
    }

    /// An own API key with the role editor.
    pub(crate) fn own_api_key(&self, email: &str) -> String {
        let body = json!({ "name": "A program", "role": "editor", "current_password": PASSWORD });
        let token = authorization(&self.token(email, PASSWORD));
        let (status, answer) = self.request_with(&token, "POST", "/api/v1/auth/me/api-keys", Some(&body));
        assert_eq!(status, 201, "{answer}");
        serde_json::from_str::<Value>(&answer).unwrap()["key"].as_str().unwrap().to_owned()
    }

    fn redeem(&self, link: &str, password: &str) -> u16 {
        let token = link.trim().split_once('#').unwrap().1;
        let body = json!({ "token": token, "password": password });
        self.request("POST", "/api/v1/auth/redeem", Some(&body)).0
    }

    /// The ids of the keys that it publishes, the one that signs first.
    fn key_ids(&self) -> Vec<String> {
        let keys = self.get("/.well-known/jwks.json")["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.process().to_string()]).status().unwrap();
        assert!(killed.success());
    }
}

fn authorization(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn answer(mut stream: TcpStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn it_serves_without_any_configuration_and_keeps_its_files_to_itself() {
    let dir = directory();
    let server = Server::start(dir.path(), &[]);
    let data = dir.path().join("data");
    for (file, expected) in [
        ("", 0o700),
        ("copydesk.db", 0o600),
        ("copydesk.db-wal", 0o600),
        ("keys", 0o700),
        ("keys/access-token.pem", 0o600),
    ] {
        assert_eq!(mode(&data.join(file)), expected, "{file}");
    }
    for part in ["/api/v1/articles", "/docs/", "data/copydesk.db", "copydesk user create"] {
        assert!(server.greeting.contains(part), "{part} is not in {}", server.greeting);
    }
    assert_eq!(server.get("/readyz")["status"], "ok");
    assert_eq!(server.get("/api/v1/articles")["items"], json!([]));
}

#[test]
fn a_database_of_a_newer_program_is_left_alone() {
    let dir = directory();
    printed(dir.path(), &["migrate"]);
    let mut conn = SqliteConnection::establish(dir.path().join("data/copydesk.db").to_str().unwrap()).unwrap();
    conn.batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000099')").unwrap();
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["check"], &["user", "list"]] {
        let refused = run(dir.path(), arguments);
        assert!(!refused.status.success(), "{arguments:?}");
        assert!(words(&refused).contains("a newer copydesk has migrated this database"), "{}", words(&refused));
    }
}

#[test]
fn a_data_directory_has_one_server_and_the_others_say_which() {
    let dir = directory();
    let server = Server::start(dir.path(), &[]);
    for arguments in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate"], &["generate", "--articles", "1"]] {
        let refused = run(dir.path(), arguments);
        assert!(!refused.status.success());
        let words = words(&refused);
        assert!(words.contains(&format!("process {}", server.child.id())) && words.lines().count() == 1, "{words}");
    }
}

#[test]
fn accounts_are_managed_before_the_first_start_and_beside_the_server() {
    let dir = directory();
    let created = create_user(dir.path(), "first@example.org");
    assert!(created.status.success(), "{}", words(&created));
    let server = Server::start(dir.path(), &[]);
    assert!(create_user(dir.path(), "second@example.org").status.success());
    for email in ["first@example.org", "second@example.org"] {
        assert_eq!(server.log_in(email, PASSWORD), 200);
    }
    let again = create_user(dir.path(), "Second@example.org");
    assert!(!again.status.success() && words(&again).contains("already"), "{}", words(&again));
    let another = "another long and secret phrase";
    let set = run_with_input(
        dir.path(),
        &["user", "set-password", "--email", "first@example.org", "--password-stdin"],
        another,
    );
    assert!(set.status.success(), "{}", words(&set));
    assert_eq!((server.log_in("first@example.org", PASSWORD), server.log_in("first@example.org", another)), (401, 200));
    assert!(run(dir.path(), &["user", "disable", "--email", "second@example.org"]).status.success());
    assert_eq!(server.log_in("second@example.org", PASSWORD), 401);
    let list = String::from_utf8(run(dir.path(), &["user", "list"]).stdout).unwrap();
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["EMAIL", "NAME", "ROLE", "STATE"]);
    assert_eq!(rows[1], ["first@example.org", "Ada", "editor", "enabled"]);
    assert_eq!(rows[2], ["second@example.org", "Ada", "editor", "disabled"]);
}

#[test]
fn a_bad_account_is_refused_in_words() {
    let dir = directory();
    let short = ["user", "create", "--email", "a@example.org", "--name", "A", "--role", "editor", "--password-stdin"];
    let refused = run_with_input(dir.path(), &short, "short\n");
    assert!(!refused.status.success() && words(&refused).contains("15"), "{}", words(&refused));
    let role = ["user", "create", "--email", "a@example.org", "--name", "A", "--role", "owner", "--password-stdin"];
    let refused = run_with_input(dir.path(), &role, PASSWORD);
    assert!(!refused.status.success() && words(&refused).contains("contributor"), "{}", words(&refused));
    let nobody = run(dir.path(), &["user", "disable", "--email", "nobody@example.org"]);
    assert!(!nobody.status.success() && words(&nobody).contains("No account"), "{}", words(&nobody));
}

#[test]
fn a_bad_name_is_refused_with_and_without_a_password() {
    let dir = directory();
    for name in ["", " ", "two\nlines", &"x".repeat(201)] {
        let arguments = ["user", "create", "--email", "a@example.org", "--role", "editor", "--name", name];
        let without = run(dir.path(), &arguments);
        let with = run_with_input(dir.path(), &[&arguments[..], &["--password-stdin"]].concat(), PASSWORD);
        for refused in [without, with] {
            assert!(!refused.status.success() && refused.stdout.is_empty(), "{name:?}");
            assert!(words(&refused).contains("name") && words(&refused).lines().count() == 1, "{}", words(&refused));
        }
    }
    assert_eq!(printed(dir.path(), &["user", "list"]).lines().count(), 1);
}

#[test]
fn an_account_without_a_password_comes_with_a_link_on_standard_output() {
    let dir = directory();
    let create =
        |email: &str| printed(dir.path(), &["user", "create", "--email", email, "--name", "Ada", "--role", "author"]);
    let before = create("before@example.org");
    let server = Server::start(dir.path(), &[]);
    let beside = create("beside@example.org");
    for (link, email) in [(before, "before@example.org"), (beside, "beside@example.org")] {
        assert!(link.starts_with("http://127.0.0.1:8080/redeem#cdl_") && link.lines().count() == 1, "{link}");
        assert_eq!((server.redeem(&link, PASSWORD), server.redeem(&link, PASSWORD)), (204, 422));
        assert_eq!(server.log_in(email, PASSWORD), 200);
    }
}

#[test]
fn a_link_that_resets_a_password_is_printed_beside_the_server() {
    let dir = directory();
    assert!(create_user(dir.path(), "ada@example.org").status.success());
    let server = Server::start(dir.path(), &["--public-url", "https://cms.example.org"]);
    let token = server.token("ada@example.org", PASSWORD);
    let reset = ["user", "reset-link", "--email", "Ada@example.org"];
    let first = printed(dir.path(), &reset);
    let second = printed(dir.path(), &[&reset[..], &["--public-url", "https://cms.example.org"]].concat());
    assert!(second.starts_with("https://cms.example.org/redeem#cdl_"), "{second}");
    assert_eq!((server.redeem(&first, PASSWORD), server.me(&token)), (422, 200), "the second has voided it");
    let another = "another long and secret phrase";
    assert_eq!((server.redeem(&second, another), server.me(&token)), (204, 401));
    assert_eq!((server.log_in("ada@example.org", PASSWORD), server.log_in("ada@example.org", another)), (401, 200));
}

#[test]
fn no_link_is_made_for_who_can_not_sign_in() {
    let dir = directory();
    assert!(create_user(dir.path(), "ada@example.org").status.success());
    assert!(run(dir.path(), &["user", "disable", "--email", "ada@example.org"]).status.success());
    for (email, reason) in [("ada@example.org", "disabled"), ("nobody@example.org", "No account")] {
        let refused = run(dir.path(), &["user", "reset-link", "--email", email]);
        assert!(!refused.status.success() && refused.stdout.is_empty());
        assert!(words(&refused).contains(reason), "{}", words(&refused));
    }
}

#[test]
fn a_lost_second_factor_is_reset_beside_the_server() {
    let dir = directory();
    let reset = ["user", "reset-second-factor", "--email", "ada@example.org"];
    assert!(create_user(dir.path(), "ada@example.org").status.success());
    let refused = run(dir.path(), &reset);
    assert!(!refused.status.success() && words(&refused).contains("no second factor"), "{}", words(&refused));
    let server = Server::start(dir.path(), &[]);
    let token = server.token("ada@example.org", PASSWORD);
    let begin = json!({ "current_password": PASSWORD });
    let setup = server.post_as(&token, "/api/v1/auth/me/second-factor", &begin);
    let secret = Secret::try_from_base32(setup["secret"].as_str().unwrap()).unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let code = Builder::new().with_secret(secret).build().unwrap().generate(now).to_string();
    server.post_as(&token, "/api/v1/auth/me/second-factor/confirm", &json!({ "code": code }));
    assert_eq!(server.log_in("ada@example.org", PASSWORD), 401);
    printed(dir.path(), &reset);
    assert_eq!(server.me(&token), 401, "its sign-ins have ended");
    assert_eq!(server.log_in("ada@example.org", PASSWORD), 200);
}

#[test]
fn keys_are_rotated_beside_the_server_and_former_tokens_stay_good() {
    let dir = directory();
    assert!(create_user(dir.path(), "ada@example.org").status.success());
    let server = Server::start(dir.path(), &[]);
    let kid = |token: &str| header_of(token)["kid"].as_str().unwrap().to_owned();
    let former = server.token("ada@example.org", PASSWORD);
    assert_eq!(server.key_ids(), [kid(&former)]);
    let rotated = run(dir.path(), &["keys", "rotate"]);
    assert!(rotated.status.success(), "{}", words(&rotated));
    let fresh = server.token("ada@example.org", PASSWORD);
    assert_ne!(kid(&former), kid(&fresh));
    assert!(words(&rotated).contains(&kid(&fresh)), "{}", words(&rotated));
    assert_eq!((server.me(&former), server.me(&fresh)), (200, 200));
    assert_eq!(server.key_ids(), [kid(&fresh), kid(&former)]);
    let list = printed(dir.path(), &["keys", "list"]);
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert_eq!(lines[0], format!("{}  signs", kid(&fresh)));
    assert!(lines[1].starts_with(&format!("{}  verifies until ", kid(&former))), "{list}");
    for file in fs::read_dir(dir.path().join("data/keys")).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[test]
fn a_key_is_made_by_whichever_command_needs_it_first() {
    let dir = directory();
    let list = printed(dir.path(), &["keys", "list"]);
    let server = Server::start(dir.path(), &[]);
    assert_eq!(list, format!("{}  signs\n", server.key_ids()[0]));
}

#[test]
fn the_document_is_printed_as_it_is_committed() {
    let dir = directory();
    let printed = run(dir.path(), &["openapi"]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), include_str!("../../openapi/openapi.json"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "printing makes no data directory");
}

#[test]
fn generated_articles_are_the_same_on_any_machine() {
    let shown = || {
        let dir = directory();
        let generated = run(dir.path(), &["generate", "--articles", "30"]);
        assert!(generated.status.success(), "{}", words(&generated));
        let server = Server::start(dir.path(), &["--public-url", "https://cms.example.org"]);
        let mut article = server.get("/api/v1/articles/generated-7?include=sections,body_markdown");
        article.as_object_mut().unwrap().remove("updated_at");
        for related in article["related"].as_array_mut().unwrap() {
            related.as_object_mut().unwrap().remove("updated_at");
        }
        assert_eq!(server.get("/api/v1/articles?page=1")["page"]["total_items"], 30);
        article
    };
    assert_eq!(shown(), shown());
}

#[test]
fn the_sample_content_is_added_once() {
    let dir = directory();
    let server = Server::start(dir.path(), &["--demo"]);
    let password = server.greeting.split("the password ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(server.log_in("demo@example.org", &password), 200);
    let articles = server.get("/api/v1/articles?language=*&limit=100");
    let articles = articles["items"].as_array().unwrap();
    assert!(articles.len() >= 12);
    for article in articles {
        let number = article["word_count"].as_i64().unwrap();
        assert!((600..=1200).contains(&number), "{}: {number} words", article["slug"]);
    }
    let authors = server.get("/api/v1/authors");
    assert_eq!(authors["items"].as_array().unwrap().len(), 4);
    assert!(authors["items"].as_array().unwrap().iter().all(|author| author["credentials"].is_string()));
    let categories = server.get("/api/v1/categories");
    let names: Vec<_> =
        categories["items"].as_array().unwrap().iter().map(|category| category["name"].as_str().unwrap()).collect();
    assert!(names.len() == 8 && names.contains(&"Abused Substances"), "{names:?}");
    assert!(server.get("/api/v1/site")["name"].as_str().is_some_and(|name| !name.is_empty()));
    let number = articles.len();
    // Invented messages, and somebody who reads them.
    assert!(server.greeting.contains("intake@example.org"), "{}", server.greeting);
    let token = authorization(&server.token("intake@example.org", &password));
    for (query, expected) in [("", 3), ("?status=spam", 1)] {
        let path = format!("/api/v1/manage/contact-submissions{query}");
        let (status, answer) = server.request_with(&token, "GET", &path, None);
        let list: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, list["items"].as_array().unwrap().len()), (200, expected), "{answer}");
    }
    drop(server);
    let again = Server::start(dir.path(), &["--demo"]);
    assert!(again.greeting.contains("already"), "{}", again.greeting);
    assert_eq!(again.get("/api/v1/articles?language=*&page=1")["page"]["total_items"], number);
}

#[test]
fn a_check_says_that_all_is_well_or_what_is_wrong() {
    let dir = directory();
    let told = printed(dir.path(), &["check"]);
    assert_eq!(told.lines().filter(|line| line.contains(" ok")).count(), 5, "an empty directory: {told}");
    let server = Server::start(dir.path(), &["--demo"]);
    let told = printed(dir.path(), &["check"]);
    assert!(told.contains("database file    ok") && told.contains("articles         ok"), "{told}");
    drop(server);
    let database = dir.path().join("data/copydesk.db");
    let mut connection = SqliteConnection::establish(database.to_str().unwrap()).unwrap();
    for (sql, part) in [
        (
            "UPDATE published_articles SET slug = 'other' WHERE slug = (SELECT min(slug) FROM published_articles)",
            "articles",
        ),
        ("UPDATE published_counts SET articles = articles + 1 WHERE kind = 'all'", "the count of all"),
        ("UPDATE content_version SET version = version + 1", "content version  WRONG"),
        ("DELETE FROM revisions WHERE article_id = (SELECT max(id) FROM articles)", "is not there"),
        ("DELETE FROM audit_events WHERE position = 2", "event 3 was altered"),
    ] {
        connection.batch_execute(sql).unwrap();
        let output = run(dir.path(), &["check"]);
        let told = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(!output.status.success() && told.contains(part), "{sql}: {told}{}", words(&output));
        assert!(words(&output).contains("must be"), "{}", words(&output));
    }
}

#[test]
fn a_wrong_setting_stops_the_start_with_one_line() {
    let dir = directory();
    let by_variable = copydesk(dir.path(), &["serve"]).env("COPYDESK_LISTEN", "somewhere").output().unwrap();
    let by_flag =
        copydesk(dir.path(), &["serve", "--listen", "nowhere"]).env("COPYDESK_LISTEN", "127.0.0.1:0").output().unwrap();
    fs::write(dir.path().join(".env"), "COPYDESK_WORKERS=none\n").unwrap();
    let by_file = run(dir.path(), &["serve"]);
    for (output, variable, value, allowed) in [
        (by_variable, "COPYDESK_LISTEN", "somewhere", "an IP address and a port"),
        (by_flag, "COPYDESK_LISTEN", "nowhere", "an IP address and a port"),
        (by_file, "COPYDESK_WORKERS", "none", "a number from 1 to 64"),
    ] {
        let words = words(&output);
        assert!(!output.status.success() && words.lines().count() == 1, "{words}");
        assert!(words.contains(variable) && words.contains(value) && words.contains(allowed), "{words}");
    }
    assert!(!dir.path().join("data").exists());
}

#[test]
fn a_misspelt_setting_is_named() {
    let dir = directory();
    let output = copydesk(dir.path(), &["user", "list"]).env("COPYDESK_LISTN", "x").output().unwrap();
    assert!(words(&output).contains("COPYDESK_LISTN; did you mean COPYDESK_LISTEN?"), "{}", words(&output));
}

#[test]
fn sigterm_lets_a_request_in_flight_finish() {
    let dir = directory();
    let mut server = Server::start(dir.path(), &[]);
    let body = json!({ "email": "nobody@example.org", "password": PASSWORD }).to_string();
    let (first, rest) = body.split_at(10);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The interim answer says that the handler waits for the body: the request is in flight.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&interim));
    stream.write_all(first.as_bytes()).unwrap();
    server.terminate();
    let mut line = String::new();
    while !line.contains("Stopping") {
        assert_ne!(server.errors.read_line(&mut line).unwrap(), 0);
    }
    stream.write_all(rest.as_bytes()).unwrap();
    assert_eq!(answer(stream).0, 401);
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn each_command_explains_itself_with_an_example() {
    let dir = directory();
    for command in [
        &["serve"][..],
        &["user", "create"],
        &["user", "list"],
        &["user", "set-password"],
        &["user", "disable"],
        &["user", "reset-link"],
        &["user", "reset-second-factor"],
        &["keys", "rotate"],
        &["keys", "list"],
        &["migrate"],
        &["openapi"],
        &["generate"],
    ] {
        let help = run(dir.path(), &[command, &["--help"]].concat());
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(text.contains("Example") && text.contains("COPYDESK_LISTEN"), "{command:?}: {text}");
    }
}

#[test]
fn a_port_is_taken_at_once_and_opened_when_the_program_can_answer() {
    actix_web::rt::System::new().block_on(async {
        let (socket, address) = server::bind((ONLY_HERE, 0).into()).unwrap();
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(server::bind(address).unwrap_err().contains(&format!("{address} can't be listened on: ")));
        // The same where the port was set and not found.
        drop(socket);
        let (socket, _) = server::bind(address).unwrap();
        assert!(server::bind(address).unwrap_err().contains(&format!("{address} can't be listened on: ")));
        let dir = directory();
        let data = dir.path().to_str().unwrap().to_owned();
        let mut config = Config::load(move |name| (name == "COPYDESK_DATA_DIR").then(|| data.clone())).unwrap();
        config.listens_on(address);
        assert!(config.public_url.ends_with(&format!(":{}", address.port())), "{}", config.public_url);
        let running = server::start(server::open(config, Clock::default()).unwrap(), socket).unwrap();
        assert_eq!(running.address, address);
        TcpStream::connect(address).unwrap();
        assert!(server::bind(address).is_err());
    });
}

/// What the program has closed itself still holds the port for a minute, as after every restart under load.
#[test]
fn a_port_that_only_closed_connections_hold_is_free_for_one() {
    actix_web::rt::System::new().block_on(async {
        let (socket, address) = server::bind((ONLY_HERE, 0).into()).unwrap();
        let listener = tokio::net::TcpListener::from_std(server::listen(socket).unwrap()).unwrap();
        let (client, accepted) = tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
        // The side that closes first waits.
        drop(accepted.unwrap());
        let mut rest = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut client.unwrap(), &mut rest).await.unwrap();
        drop(listener);
        let (socket, _) = server::bind(address).expect("the next run can have it at once");
        assert!(server::bind(address).is_err(), "and nobody else beside it");
        server::listen(socket).unwrap();
    });
}

#[test]
fn a_taken_port_is_told_before_keys_or_a_database_are_made() {
    let dir = directory();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = run(dir.path(), &["serve", "--demo", "--listen", &address]);
    let words = words(&refused);
    assert_eq!(refused.status.code(), Some(1), "{words}");
    assert!(words.contains(&format!("{address} can't be listened on: Address already in use")), "{words}");
    let made: Vec<_> = fs::read_dir(dir.path().join("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(made, ["copydesk.db.lock"], "neither keys nor a database");
}
