//! The program as the person who runs it meets it: the real binary, its files, its words.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const PASSWORD: &str = "a long and secret phrase";

/// The program in a directory of its own, without any setting of this environment.
fn copydesk(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_copydesk"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COPYDESK_") || name == "DATABASE_URL") {
        command.env_remove(name);
    }
    command.current_dir(dir).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    copydesk(dir, arguments).output().unwrap()
}

fn run_with_input(dir: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = copydesk(dir, arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn create_user(dir: &Path, email: &str) -> Output {
    let arguments = ["user", "create", "--email", email, "--name", "Ada", "--role", "editor", "--password-stdin"];
    run_with_input(dir, &arguments, &format!("{PASSWORD}\n"))
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A serving program, killed when dropped.
struct Server {
    child: Child,
    errors: BufReader<ChildStderr>,
    greeting: String,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    /// Starts it and reads its greeting, which ends with how to stop it.
    fn start(dir: &Path, arguments: &[&str]) -> Self {
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

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
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

    fn log_in(&self, email: &str, password: &str) -> u16 {
        let body = json!({ "email": email, "password": password });
        self.request("POST", "/api/v1/auth/login", Some(&body)).0
    }

    fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }
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
    drop(server);
    let again = Server::start(dir.path(), &["--demo"]);
    assert!(again.greeting.contains("already"), "{}", again.greeting);
    assert_eq!(again.get("/api/v1/articles?language=*&page=1")["page"]["total_items"], number);
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
        &["migrate"],
        &["openapi"],
        &["generate"],
    ] {
        let help = run(dir.path(), &[command, &["--help"]].concat());
        let text = String::from_utf8(help.stdout).unwrap();
        assert!(text.contains("Example") && text.contains("COPYDESK_LISTEN"), "{command:?}: {text}");
    }
}
