//! What operators and integrators need: health, the document, its page; starting, and stopping in order.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use copydesk::auth::Role;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

use crate::harness::TestServer;

#[test]
fn a_running_program_is_alive_and_ready() {
    let server = TestServer::start();
    for path in ["/healthz", "/readyz"] {
        let answer = server.anonymous().get(path).expect(200);
        assert_eq!(answer.json()["status"], "ok");
        assert_eq!(answer.json()["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

fn drop_table(server: &TestServer, table: &str) {
    let file = server.app.config.database.to_str().unwrap().to_owned();
    SqliteConnection::establish(&file).unwrap().batch_execute(&format!("DROP TABLE {table}")).unwrap();
}

#[test]
fn a_program_without_its_database_is_alive_and_not_ready() {
    let server = TestServer::start();
    drop_table(&server, "content_version");
    server.anonymous().get("/healthz").expect(200);
    let answer = server.anonymous().get("/readyz");
    answer.refused(503, "overloaded");
    assert_eq!(answer.header("retry-after"), "1");
}

#[test]
fn a_fault_of_the_server_shows_nothing_of_its_inside() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    drop_table(&server, "sign_ins");
    let answer = editor.get("/api/v1/auth/me");
    answer.refused(500, "internal");
    for word in ["sign_ins", "table", "SQL", "sqlite", "diesel", "src/"] {
        assert!(!answer.text().contains(word), "{}", answer.text());
    }
}

#[test]
fn health_ignores_a_token() {
    let server = TestServer::start();
    server.with_token("garbage").get("/healthz").expect(200);
}

#[test]
fn the_document_is_served_with_a_tag_that_saves_the_second_transfer() {
    let server = TestServer::start();
    let client = server.anonymous();
    let first = client.get("/openapi.json").expect(200);
    assert_eq!(first.json()["openapi"], "3.1.0");
    let tag = first.etag().to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let again = client.request("GET", "/openapi.json").header("if-none-match", &known).send().expect(304);
        assert_eq!(again.etag(), tag, "{known}");
        assert!(again.body.is_empty());
    }
    client.request("GET", "/openapi.json").header("if-none-match", "\"other\"").send().expect(200);
}

#[test]
fn the_document_is_sent_in_the_coding_that_a_client_likes() {
    let server = TestServer::start();
    let client = server.anonymous();
    let get = |accepted: &str| client.request("GET", "/openapi.json").header("accept-encoding", accepted).send();
    let plain = get("identity").expect(200);
    assert!(plain.find_header("content-encoding").is_none());
    let mut tags = vec![plain.etag().to_owned()];
    for (accepted, coding) in [("gzip", "gzip"), ("gzip, br", "br"), ("br;q=0.5, gzip", "gzip")] {
        let coded = get(accepted).expect(200);
        assert_eq!((coded.header("content-encoding"), coded.header("vary")), (coding, "Accept-Encoding"));
        assert!(coded.body.len() * 8 < plain.body.len(), "{} of {}", coded.body.len(), plain.body.len());
        let mut unpacked = Vec::new();
        match coding {
            "br" => drop(brotli::Decompressor::new(&*coded.body, 4096).read_to_end(&mut unpacked).unwrap()),
            _ => drop(flate2::read::GzDecoder::new(&*coded.body).read_to_end(&mut unpacked).unwrap()),
        }
        assert_eq!(unpacked, plain.body, "{accepted}");
        tags.push(coded.etag().to_owned());
        let known = client.request("GET", "/openapi.json").header("accept-encoding", accepted);
        let again = known.header("if-none-match", coded.etag()).send().expect(304);
        assert_eq!((again.find_header("content-encoding"), again.header("vary")), (None, "Accept-Encoding"));
    }
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), 3, "one for each coding");
    let with = |method: &str, tag: &str| {
        client.request(method, "/openapi.json").header("accept-encoding", "br").header("if-none-match", tag).send()
    };
    let other = get("gzip").expect(200).etag().to_owned();
    assert_eq!(with("GET", &other).expect(200).header("content-encoding"), "br", "the tag of another coding");
    let head = with("HEAD", &other).expect(200);
    assert_eq!((head.header("content-encoding"), head.body.len()), ("br", 0));
}

#[test]
fn the_served_document_is_the_one_that_the_program_prints() {
    let server = TestServer::start();
    let printed: serde_json::Value = serde_json::from_str(&copydesk::server::openapi_json().unwrap()).unwrap();
    assert_eq!(server.anonymous().get("/openapi.json").json(), printed);
}

/// The values of an attribute in HTML.
fn attribute_values<'h>(html: &'h str, attribute: &str) -> Vec<&'h str> {
    html.split(&format!("{attribute}=\"")).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn the_documentation_is_served_by_the_program_itself() {
    let server = TestServer::start();
    let client = server.anonymous();
    let page = client.get("/docs/").expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'") && !policy.contains("http"), "{policy}");
    let html = page.text();
    let assets: Vec<_> = ["href", "src"].iter().flat_map(|name| attribute_values(&html, name)).collect();
    assert!(assets.len() >= 4, "{assets:?}");
    for asset in assets {
        assert!(!asset.contains("//"), "{asset} is elsewhere");
        let path = format!("/docs/{}", asset.trim_start_matches("./"));
        let answer = client.get(&path).expect(200);
        assert!(!answer.body.is_empty(), "{path}");
        let wanted = match path.rsplit('.').next() {
            Some("css") => "text/css",
            Some("js") => "javascript",
            _ => "image/png",
        };
        assert!(answer.header("content-type").contains(wanted), "{path}: {}", answer.header("content-type"));
    }
    let initializer = client.get("/docs/swagger-initializer.js").expect(200).text();
    assert!(initializer.contains("/openapi.json"), "{initializer}");
    for text in [&html, &initializer] {
        assert!(!text.contains("http://") && !text.contains("https://"), "something comes from elsewhere: {text}");
    }
}

#[test]
fn the_documentation_is_compressed_for_who_takes_that() {
    let server = TestServer::start();
    let client = server.anonymous();
    let file = |encoding: &str| {
        let request = client.request("GET", "/docs/swagger-ui.css").header("accept-encoding", encoding);
        request.send().expect(200)
    };
    let (plain, gzipped) = (file("identity"), file("gzip, br"));
    assert_eq!(plain.find_header("content-encoding"), None);
    assert_eq!(gzipped.header("content-encoding"), "gzip");
    assert!(plain.text().contains(".swagger-ui"), "{}", plain.text());
    assert!(gzipped.body.starts_with(&[0x1f, 0x8b]) && gzipped.body.len() * 4 < plain.body.len());
    for answer in [plain, gzipped, file("br"), file("gzip;q=0")] {
        assert_eq!(answer.header("vary").to_lowercase(), "accept-encoding");
    }
}

#[test]
fn docs_without_its_slash_leads_there() {
    let server = TestServer::start();
    assert_eq!(server.anonymous().get("/docs").expect(302).header("location"), "/docs/");
}

#[test]
fn eight_callers_are_answered_at_the_same_time() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    thread::scope(|scope| {
        for number in 0..8 {
            let (editor, server) = (&editor, &server);
            scope.spawn(move || {
                for round in 0..10 {
                    let id = format!("caller-{number}-round-{round}");
                    let answer =
                        editor.request("GET", "/api/v1/auth/me").header("x-request-id", &id).send().expect(200);
                    assert_eq!(answer.header("x-request-id"), id);
                    assert_eq!(answer.json()["role"], "editor");
                    server.anonymous().get("/readyz").expect(200);
                }
            });
        }
    });
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let server = TestServer::start();
    let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = server.anonymous().raw(format!("{request}{last}").as_bytes());
    assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1 200 OK").count(), 3);
}

/// Reads until the text has come.
fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.contains(wanted) {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the connection ended before {wanted:?}: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    text
}

#[test]
fn a_request_in_flight_is_answered_when_the_program_is_told_to_stop() {
    let server = TestServer::start();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let body = r#"{"email":"nobody@example.org","password":"no such password"}"#;
    let head = format!(
        "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server has begun with the request when it asks for the body.
    read_until(&mut stream, "100 Continue");
    let stopping = server.begin_stop();
    let patience = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(server.address).is_ok() {
        assert!(Instant::now() < patience, "a stopping server still takes connections");
        thread::yield_now();
    }
    stream.write_all(body.as_bytes()).unwrap();
    let answer = read_until(&mut stream, "/problems/invalid-credentials");
    assert!(answer.contains("HTTP/1.1 401"), "{answer}");
    drop(stream);
    stopping.join().unwrap();
    server.stop();
}

#[test]
fn a_stopped_program_leaves_all_that_it_acknowledged() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let (config, directory) = (server.app.config.clone(), server.keep());
    let again = TestServer::start_in(directory, config);
    again.sign_in(&account).get("/api/v1/auth/me").expect(200);
}

#[test]
fn a_token_outlives_a_restart() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let token = server.sign_in(&account).token().to_owned();
    let (config, directory) = (server.app.config.clone(), server.keep());
    TestServer::start_in(directory, config).with_token(&token).get("/api/v1/auth/me").expect(200);
}

#[cfg(target_os = "linux")]
#[test]
fn no_huge_pages_are_taken_whatever_the_system_gives() {
    let dir = tempfile::TempDir::new().unwrap();
    let server = crate::command_line::Server::start(dir.path(), &[]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process())).unwrap();
    let given = status.lines().find_map(|line| line.strip_prefix("THP_enabled:")).map(str::trim);
    assert_ne!(given, Some("1"), "was it built with other flags than those of .cargo/config.toml?");
}

#[cfg(unix)]
#[test]
fn the_data_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = TestServer::start();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&server.app.config.data_dir), 0o700);
    assert_eq!(mode(&server.app.config.key_dir), 0o700);
    assert_eq!(mode(&server.app.config.key_dir.join("access-token.pem")), 0o600);
}

#[cfg(unix)]
#[test]
fn a_program_whose_database_file_was_taken_away_is_not_ready() {
    let server = TestServer::start();
    server.anonymous().get("/readyz").expect(200);
    let file = server.app.config.database.clone();
    std::fs::rename(&file, file.with_extension("moved")).unwrap();
    server.anonymous().get("/readyz").refused(503, "overloaded");
    std::fs::rename(file.with_extension("moved"), &file).unwrap();
    server.anonymous().get("/readyz").expect(200);
}

/// A body may arrive long after who sends it was looked at.
#[test]
fn who_was_disabled_while_the_body_arrived_writes_nothing() {
    let server = TestServer::start();
    let (admin, watcher) = (server.account(Role::Admin), server.signed_in(Role::Admin));
    let token = server.sign_in(&admin).token().to_owned();
    let body = r#"{"email":"late@example.org","name":"Late","role":"admin"}"#;
    let (first, rest) = body.split_at(20);
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "POST /api/v1/manage/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server asks for the body once it has looked at who is calling.
    read_until(&mut stream, "100 Continue");
    stream.write_all(first.as_bytes()).unwrap();
    server.disable(&admin);
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let users = watcher.get("/api/v1/manage/users?page=1").expect(200).json();
    assert!(!users.to_string().contains("late@example.org"));
}
