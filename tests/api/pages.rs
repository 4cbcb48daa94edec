//! Pages for people: where things are, the guides, and the example site.

use std::fs;

use serde_json::Value;

use crate::command_line::{self, Server};
use crate::harness::TestServer;

#[test]
fn the_root_says_where_things_are() {
    let server = TestServer::start();
    let places = server.anonymous().get("/").expect(200).json();
    for name in ["articles", "documentation", "openapi", "guides", "health"] {
        let url = places[name].as_str().unwrap();
        let path = url.strip_prefix(&server.app.config.public_url).unwrap();
        server.anonymous().get(path).expect(200);
    }
    server.anonymous().request("GET", "/nowhere").header("accept", "text/html").send().refused(404, "not-found");
}

#[test]
fn the_guides_are_pages_with_a_strict_policy() {
    let server = TestServer::start();
    let client = server.anonymous();
    assert_eq!(client.get("/guides").expect(302).header("location"), "/guides/");
    for name in ["", "front-end", "writing", "integrating", "contact-form", "operating", "editing", "changelog"] {
        let page = client.get(&format!("/guides/{name}")).expect(200);
        assert!(page.header("content-type").starts_with("text/html"), "{name}");
        assert!(page.text().contains("<h1"), "{name}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let again = client.request("GET", &format!("/guides/{name}")).header("if-none-match", page.etag());
        again.send().expect(304);
    }
    assert!(client.get("/guides/env.example").expect(200).header("content-type").starts_with("text/plain"));
    client.get("/guides/nothing").refused(404, "not-found");
}

#[test]
fn the_sample_content_comes_with_a_site() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let get = |path: &str, accept: &str| server.request_with(&format!("Accept: {accept}\r\n"), "GET", path, None);
    for path in
        ["/", "/articles/naloxone-at-home", "/categories/treatment", "/authors/maren-oyelaran", "/preview?token=x"]
    {
        let (status, page) = get(path, "text/html");
        assert!(status == 200 && page.starts_with("<!doctype html>"), "{path}: {status}");
    }
    let (status, page) = get("/a-former-address", "text/html,*/*");
    assert!(status == 404 && page.starts_with("<!doctype html>"), "{status}: {page}");
    for (path, accept) in [
        ("/a-former-address", "*/*"),
        ("/api/v1/nothing", "text/html"),
        ("/ap%69/v1/nothing", "text/html"),
        ("/%64ocs/nothing", "text/html"),
    ] {
        let (status, problem) = get(path, accept);
        assert!(status == 404 && problem.contains("/problems/not-found"), "{status}: {problem}");
    }
    let (_, list) = get("/api/v1/articles?limit=100", "*/*");
    let list: Value = serde_json::from_str(&list).unwrap();
    for article in list["items"].as_array().unwrap() {
        let path = article["hero_image"]["url"].as_str().unwrap();
        assert_eq!(get(path, "image/*").0, 200, "{path}");
        let url = article["url"].as_str().unwrap();
        assert!(url.starts_with(&format!("http://{}/articles/", server.address)), "the port that was found: {url}");
    }
    let (_, authors) = get("/api/v1/authors", "*/*");
    let authors: Value = serde_json::from_str(&authors).unwrap();
    for author in authors["items"].as_array().unwrap().iter().filter(|author| author["avatar"].is_object()) {
        assert_eq!(get(author["avatar"]["url"].as_str().unwrap(), "image/*").0, 200);
    }
}

#[test]
fn a_former_address_of_the_site_is_a_page_for_who_looks_for_one_and_never_kept_as_something_else() {
    let server = TestServer::start_with(|config| config.shows_site = true);
    let client = server.anonymous();
    let asked = |method: &str, accept: &str| {
        let head = format!(
            "{method} /former HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nIf-None-Match: *\r\nConnection: close\r\n\r\n"
        );
        String::from_utf8(client.raw(head.as_bytes())).unwrap().to_lowercase()
    };
    for method in ["GET", "HEAD"] {
        for (accept, content_type) in
            [("text/html,*/*", "text/html; charset=utf-8"), ("*/*", "application/problem+json")]
        {
            let answer = asked(method, accept);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("http/1.1 404"), "nothing that a client could have: {head}");
            assert!(head.contains(&format!("content-type: {content_type}")) && !head.contains("\netag:"), "{head}");
            assert!(head.contains("vary: accept") && head.contains("cache-control: no-store"), "{head}");
            assert_eq!(body.is_empty(), method == "HEAD");
        }
    }
    client.post("/former", &Value::Null).refused(404, "not-found");
}

#[test]
fn every_file_of_the_example_site_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--demo"]);
    let site = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/site");
    let files = |folder: &str| fs::read_dir(site.join(folder)).unwrap().map(|file| file.unwrap()).collect::<Vec<_>>();
    for (folder, prefix) in [("", "/"), ("images", "/images/")] {
        for file in files(folder) {
            let name = file.file_name().into_string().unwrap();
            if file.path().is_dir() || name == "README.md" || name == "index.html" {
                continue;
            }
            let (status, body) = server.request_with("", "GET", &format!("{prefix}{name}"), None);
            assert_eq!((status, body), (200, fs::read_to_string(file.path()).unwrap()), "{name}");
        }
    }
}

#[test]
fn the_document_can_be_had_as_yaml() {
    let dir = tempfile::tempdir().unwrap();
    let [json, yaml] =
        ["json", "yaml"].map(|format| command_line::printed(dir.path(), &["openapi", "--format", format]));
    assert_eq!(json, command_line::printed(dir.path(), &["openapi"]));
    assert!(yaml.starts_with("openapi: "), "{}", &yaml[..100]);
    let refused = command_line::run(dir.path(), &["openapi", "--format", "toml"]);
    assert!(!refused.status.success() && command_line::words(&refused).contains("[possible values: json, yaml]"));
}

#[test]
fn every_example_can_be_had_as_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let examples: Vec<Value> = serde_json::from_str(include_str!("../../openapi/examples.json")).unwrap();
    command_line::printed(dir.path(), &["fixtures", "--out", "a/b"]);
    let read = |file: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(dir.path().join("a/b").join(file)).unwrap()).unwrap()
    };
    let index = read("index.json");
    let index = index.as_array().unwrap();
    assert_eq!(index.len(), examples.len());
    for (entry, example) in index.iter().zip(&examples) {
        assert_eq!(read(entry["file"].as_str().unwrap()), *example);
        assert_eq!(
            (&entry["operation_id"], &entry["status"]),
            (&example["operation_id"], &example["response"]["status"])
        );
    }
    fs::write(dir.path().join("file"), "").unwrap();
    let refused = command_line::run(dir.path(), &["fixtures", "--out", "file"]);
    assert!(!refused.status.success() && command_line::words(&refused).contains("can't be written"));
}
