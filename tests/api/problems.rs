//! Errors: whatever is wrong with a request, the answer is a complete problem with the right status.

use std::collections::BTreeSet;

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::{Client, Problem};
use crate::harness::TestServer;

const ARTICLES: &str = "/api/v1/manage/articles";
const LOGIN: &str = "/api/v1/auth/login";

/// A value that must not come back.
const MARKER: &str = "xyzzy-marker-8417";

fn post_login(client: &Client, body: impl Into<Vec<u8>>) -> crate::client::Response {
    client.request("POST", LOGIN).body("application/json", body).send()
}

/// The document's paths without parameters, each with its methods.
fn plain_paths(client: &Client) -> Vec<(String, BTreeSet<String>)> {
    let document = client.get("/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .filter(|(path, _)| !path.contains('{'))
        .map(|(path, item)| (path.clone(), item.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect()))
        .collect()
}

fn is_private(path: &str) -> bool {
    ["/api/v1/manage/", "/api/v1/auth/"].iter().any(|prefix| path.starts_with(prefix))
}

#[test]
fn text_that_is_not_json_is_refused_with_the_place_of_the_fault() {
    let server = TestServer::start();
    let client = server.anonymous();
    for body in
        ["", "{", "{\"email\": ", "nul", "{} {}", "{\"email\": 1,}", "{'email': 1}", "\"\\ud800\"", "{\"a\": 1e999999}"]
    {
        let problem = post_login(&client, body).refused(400, "invalid-json");
        assert!(problem.detail().contains("line 1"), "{}", problem.detail());
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    let server = TestServer::start();
    post_login(&server.anonymous(), b"{\"email\": \"\xff\xfe\"}".to_vec()).refused(400, "invalid-json");
}

#[test]
fn nul_is_refused_in_values_and_names() {
    let server = TestServer::start();
    let client = server.anonymous();
    for (body, pointer) in [
        (r#"{"email": "a\u0000b"}"#, "/email"),
        (r#"{"a\u0000b": 1}"#, "/a\0b"),
        (r#"{"deep": [{"er": "\u0000"}]}"#, "/deep/0/er"),
    ] {
        let problem = post_login(&client, body).refused(422, "invalid-body");
        assert_eq!(problem.fault(pointer).code, "control_character");
    }
}

#[test]
fn json_that_is_nested_ten_thousand_deep_is_refused() {
    let server = TestServer::start();
    let client = server.anonymous();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        // Signing in takes no more than 16 KiB, management much more.
        for (caller, path, depth) in [(&client, LOGIN, 2_000), (&server.signed_in(Role::Editor), ARTICLES, 10_000)] {
            let body = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let answer = caller.request("POST", path).body("application/json", body).send();
            answer.refused(400, "invalid-json");
        }
    }
    post_login(&client, "[".repeat(10_000)).refused(400, "invalid-json");
}

#[test]
fn another_media_type_is_refused_and_the_right_one_named() {
    let server = TestServer::start();
    let client = server.anonymous();
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/json; charset=latin-1",
        "",
    ] {
        let answer = client.request("POST", LOGIN).body(media_type, "{}").send();
        let problem = answer.refused(415, "unsupported-media-type");
        assert!(problem.detail().contains("application/json"), "{}", problem.detail());
    }
    client.request("POST", LOGIN).bare_body("{}").send().refused(415, "unsupported-media-type");
}

#[test]
fn the_media_type_is_compared_as_http_says() {
    let server = TestServer::start();
    for media_type in ["APPLICATION/JSON", "application/json; charset=utf-8", "application/json;charset=\"UTF-8\""] {
        server.anonymous().request("POST", LOGIN).body(media_type, "{}").send().refused(422, "invalid-body");
    }
}

#[test]
fn all_faults_of_a_body_are_reported_at_once() {
    let server = TestServer::start();
    let body = json!({ "emial": "a@example.org", "email": 5, "password": "x".repeat(129) });
    let problem = server.anonymous().post(LOGIN, &body).refused(422, "invalid-body");
    assert_eq!(problem.fault("/email").code, "type");
    assert_eq!(problem.fault("/password").code, "too_long");
    let unknown = problem.fault("/emial");
    assert_eq!(unknown.code, "unknown_field");
    assert!(unknown.message.contains("`email`"), "{}", unknown.message);
    assert_eq!(problem.faults().len(), 3);
}

#[test]
fn missing_members_are_named() {
    let server = TestServer::start();
    let problem = server.anonymous().post(LOGIN, &json!({})).refused(422, "invalid-body");
    assert_eq!(problem.fault("/email").code, "required");
    assert_eq!(problem.fault("/password").code, "required");
}

#[test]
fn a_body_of_another_json_type_is_a_fault_of_the_whole() {
    let server = TestServer::start();
    for body in [json!([]), json!("text"), json!(null), json!(7), json!(true)] {
        let problem = server.anonymous().post(LOGIN, &body).refused(422, "invalid-body");
        assert_eq!(problem.fault("").code, "type", "{body}");
    }
}

#[test]
fn empty_and_over_long_texts_are_faults() {
    let server = TestServer::start();
    let body = json!({ "email": "", "password": "" });
    let problem = server.anonymous().post(LOGIN, &body).refused(422, "invalid-body");
    assert_eq!(problem.fault("/email").code, "blank");
    let body = json!({ "email": "a".repeat(255), "password": "a".repeat(10_000) });
    let problem = server.anonymous().post(LOGIN, &body).refused(422, "invalid-body");
    assert_eq!(problem.fault("/email").code, "too_long");
    assert!(problem.fault("/email").message.contains("254"));
    assert_eq!(problem.fault("/password").code, "too_long");
}

#[test]
fn control_characters_in_credentials_are_never_the_servers_fault() {
    let server = TestServer::start();
    let body = json!({ "email": "a\u{1}\u{7f}\u{202e}@example.org", "password": "\r\n\t\u{85}" });
    let status = server.anonymous().post(LOGIN, &body).status;
    assert!(matches!(status, 401 | 422), "{status}");
}

#[test]
fn at_most_a_hundred_faults_are_listed_and_the_rest_is_admitted() {
    let server = TestServer::start();
    let many = |count: usize| -> Value {
        let mut members: serde_json::Map<_, _> = (0..count).map(|n| (format!("unknown_{n}"), json!(n))).collect();
        members.insert("email".to_owned(), json!("a@example.org"));
        members.insert("password".to_owned(), json!("a long enough password"));
        Value::Object(members)
    };
    let hundred = server.anonymous().post(LOGIN, &many(100)).refused(422, "invalid-body");
    assert_eq!((hundred.faults().len(), &hundred.document["truncated"]), (100, &json!(false)));
    let more = server.anonymous().post(LOGIN, &many(150)).refused(422, "invalid-body");
    assert_eq!((more.faults().len(), &more.document["truncated"]), (100, &json!(true)));
}

#[test]
fn a_pointer_escapes_what_rfc_6901_says() {
    let server = TestServer::start();
    let body = json!({ "a/b~c": 1 });
    let problem = server.anonymous().post(LOGIN, &body).refused(422, "invalid-body");
    assert_eq!(problem.fault("/a~1b~0c").code, "unknown_field");
}

#[test]
fn a_very_long_unknown_name_is_cut() {
    let server = TestServer::start();
    let body = json!({ "n".repeat(10_000): 1 });
    let problem = server.anonymous().post(LOGIN, &body).refused(422, "invalid-body");
    assert!(problem.document.to_string().len() < 2_000);
}

#[test]
fn a_problem_never_repeats_the_value_that_was_sent() {
    let server = TestServer::start();
    let client = server.anonymous();
    let long = MARKER.repeat(40);
    let bodies = [
        json!({ "email": long, "password": long }).to_string(),
        json!({ "email": [MARKER], "password": { "inner": MARKER } }).to_string(),
        json!({ "email": MARKER, "password": MARKER, "unknown": MARKER }).to_string(),
        json!({ "email": MARKER, "password": MARKER }).to_string(),
        json!([MARKER]).to_string(),
        json!(MARKER).to_string(),
        format!("{{\"email\": {MARKER}}}"),
        format!("{{\"email\": \"{MARKER}"),
        MARKER.to_owned(),
    ];
    for body in bodies {
        let answer = post_login(&client, body.clone());
        assert!(answer.status >= 400 && !answer.text().contains(MARKER), "{body}: {}", answer.text());
    }
    for query in [format!("unknown={MARKER}"), format!("limit={MARKER}"), format!("cursor={MARKER}&page={MARKER}")] {
        let answer = client.get(&format!("/healthz?{query}")).expect(400);
        assert!(!answer.text().contains(MARKER), "{query}: {}", answer.text());
    }
    for (name, value) in [
        ("content-type", MARKER),
        ("if-match", MARKER),
        ("authorization", MARKER),
        ("x-request-id", "xyzzy-marker-8417 x"),
    ] {
        let answer = client.request("POST", LOGIN).header(name, value).bare_body("{").send();
        assert!(!answer.text().contains(MARKER), "{name}: {}", answer.text());
    }
}

#[test]
fn a_body_of_ten_megabytes_is_refused_before_it_is_read() {
    let server = TestServer::start();
    let head = format!(
        "POST {LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10485760\r\nConnection: close\r\n\r\n"
    );
    // Nothing of the body is sent: the announced length is enough.
    let (status, text) = server.anonymous().raw_answer(head.as_bytes());
    assert_eq!(status, 413, "{text}");
    assert!(text.contains("/problems/payload-too-large") && text.contains("16384"), "{text}");
    let whole = [head.as_bytes(), &vec![b' '; 10 * 1024 * 1024]].concat();
    assert_eq!(server.anonymous().raw_answer(&whole).0, 413);
    server.anonymous().get("/healthz").expect(200);
}

#[test]
fn a_chunked_body_of_ten_megabytes_is_refused() {
    let server = TestServer::start();
    let mut request = format!(
        "POST {LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..160 {
        request.extend_from_slice(b"10000\r\n");
        request.extend_from_slice(&vec![b' '; 65_536]);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let (status, text) = server.anonymous().raw_answer(&request);
    assert_eq!(status, 413, "{text}");
    server.anonymous().get("/healthz").expect(200);
}

#[test]
fn a_body_within_the_limit_is_read() {
    let server = TestServer::start();
    for (caller, path, most) in
        [(server.anonymous(), LOGIN, 16 * 1024), (server.signed_in(Role::Editor), ARTICLES, 4 * 1024 * 1024)]
    {
        let post = |bytes: usize| {
            caller.request("POST", path).body("application/json", format!("{{{}}}", " ".repeat(bytes - 2))).send()
        };
        post(most).refused(422, "invalid-body");
        post(most + 1).refused(413, "payload-too-large");
    }
}

#[test]
fn a_body_with_a_content_coding_is_refused() {
    let server = TestServer::start();
    let request = server.anonymous().request("POST", LOGIN).header("content-encoding", "gzip");
    request.body("application/json", "{}").send().refused(415, "unsupported-media-type");
}

#[test]
fn a_whole_number_may_be_written_with_a_fraction_of_nothing() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let draft = r#"{ "name": "Sleep", "position": 7.0 }"#;
    let made = editor.request("POST", "/api/v1/manage/categories").body("application/json", draft).send();
    assert_eq!(made.expect(201).json()["position"], 7);
    let draft = r#"{ "name": "Rest", "position": 7.5 }"#;
    let refused = editor.request("POST", "/api/v1/manage/categories").body("application/json", draft).send();
    assert_eq!(refused.refused(422, "invalid-body").fault("/position").code, "type");
}

#[test]
fn faults_deep_in_a_body_are_named_with_what_was_meant_there() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let body = json!({
        "title": "A", "published_at": 5, "translation_of": 5, "hero_image": "x",
        "seo": { "descripton": "x", "titel": "y" }, "citations": [{ "text": "a", "ur": "b" }],
    });
    let problem = editor.post(ARTICLES, &body).refused(422, "invalid-body");
    for (pointer, meant) in [("/seo/descripton", "description"), ("/seo/titel", "title"), ("/citations/0/ur", "url")] {
        assert!(problem.fault(pointer).message.contains(&format!("`{meant}`")), "{}", problem.document);
    }
    for pointer in ["/published_at", "/translation_of"] {
        let fault = problem.fault(pointer);
        assert_eq!(fault.code, "type");
        assert!(fault.message.contains("string"), "{}", fault.message);
    }
    assert!(problem.fault("/hero_image").message.contains("object"));
}

#[test]
fn hundreds_of_faults_are_cut_at_a_hundred_whatever_their_kind() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let citation = json!({ "text": "", "url": "javascript:x", "foo": 1 });
    let body = json!({ "title": "A", "citations": vec![citation; 150] });
    let problem = editor.post(ARTICLES, &body).refused(422, "invalid-body");
    assert_eq!((problem.faults().len(), &problem.document["truncated"]), (100, &json!(true)));
    assert!(problem.detail().starts_with("More than 100"), "{}", problem.detail());
}

#[test]
fn a_broken_cursor_is_told_with_the_other_faults() {
    let server = TestServer::start();
    for path in ["/api/v1/articles?cursor=abc&category=nope&limit=0", "/api/v1/authors?cursor=abc&limit=0&x=1"] {
        let problem = server.anonymous().get(path).refused(400, "invalid-query");
        problem.parameter_fault("cursor");
        problem.parameter_fault("limit");
    }
    let problem = server.anonymous().get("/api/v1/articles?category=").refused(400, "invalid-query");
    assert_eq!(problem.parameter_fault("category").code, "blank");
}

#[test]
fn what_is_public_is_open_to_pages_whoever_asked_first() {
    let server = TestServer::start();
    for path in [
        "/api/v1/articles",
        "/api/v1/articles/nothing",
        "/api/v1/authors",
        "/api/v1/authors/nobody",
        "/api/v1/categories",
        "/api/v1/tags",
        "/api/v1/site",
        "/api/v1/nowhere",
        "/healthz",
        "/openapi.json",
    ] {
        let without = server.anonymous().get(path);
        let with = server.anonymous().request("GET", path).header("origin", "https://site.example").send();
        for answer in [&without, &with] {
            assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
            assert!(answer.header("access-control-expose-headers").contains("content-version"), "{path}");
        }
    }
    for path in ["/api/v1/manage/articles", "/api/v1/manage/authors", "/api/v1/auth/me"] {
        let private = server.anonymous().request("GET", path).header("origin", "https://site.example").send();
        assert_eq!(private.find_header("access-control-allow-origin"), None, "{path}");
    }
}

#[test]
fn a_body_that_breaks_off_is_not_taken() {
    let server = TestServer::start();
    let request = format!(
        "POST {LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{\"email\":"
    );
    drop(server.anonymous().raw(request.as_bytes()));
    let chunked = format!(
        "POST {LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{{}}"
    );
    drop(server.anonymous().raw(chunked.as_bytes()));
    server.anonymous().get("/healthz").expect(200);
}

#[test]
fn an_unknown_query_parameter_is_refused_everywhere() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    for (path, methods) in plain_paths(&admin) {
        if methods.contains("GET") {
            let problem = whoever_may_read(&server, &path)
                .get(&format!("{path}?no_such_parameter=1"))
                .refused(400, "invalid-query");
            assert_eq!(problem.parameter_fault("no_such_parameter").code, "unknown_parameter", "{path}");
        }
    }
    let answer = admin.post(&format!("{LOGIN}?verbose=1"), &json!({ "email": "a", "password": "b" }));
    assert_eq!(answer.refused(400, "invalid-query").parameter_fault("verbose").code, "unknown_parameter");
}

/// Somebody whose role reads what is at a path.
fn whoever_may_read(server: &TestServer, path: &str) -> Client {
    let is_intakes = ["/contact-submissions", "/contact-announcements"].iter().any(|part| path.contains(part));
    server.signed_in(if is_intakes { Role::Intake } else { Role::Admin })
}

/// The lists of the document: the paths whose `GET` takes a `cursor`.
fn lists(client: &Client) -> Vec<String> {
    let document = client.get("/openapi.json").json();
    let takes_cursor = |item: &Value| {
        let parameters = item["get"]["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "cursor"))
    };
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .filter(|(path, item)| !path.contains('{') && takes_cursor(item))
        .map(|(path, _)| path.clone())
        .collect()
}

#[test]
fn a_parameter_that_is_nearly_right_is_followed_by_the_one_meant() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    for path in lists(&admin) {
        let fault = whoever_may_read(&server, &path)
            .get(&format!("{path}?limt=5"))
            .refused(400, "invalid-query")
            .parameter_fault("limt");
        assert!(fault.message.contains("`limit`"), "{path}: {}", fault.message);
    }
}

#[test]
fn a_parameter_with_one_value_may_not_be_repeated() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    for path in lists(&admin) {
        let problem =
            whoever_may_read(&server, &path).get(&format!("{path}?limit=5&limit=6")).refused(400, "invalid-query");
        assert_eq!(problem.parameter_fault("limit").code, "repeated", "{path}");
    }
}

#[test]
fn all_faults_of_a_query_are_reported_at_once() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    for path in lists(&admin) {
        let query = "limit=0&page=x&nonsense=1&cursor=";
        let problem: Problem =
            whoever_may_read(&server, &path).get(&format!("{path}?{query}")).refused(400, "invalid-query");
        for parameter in ["limit", "page", "nonsense", "cursor"] {
            problem.parameter_fault(parameter);
        }
        for limit in ["101", "-1", "1.5", "1e1", "99999999999999999999", "+5", ""] {
            whoever_may_read(&server, &path)
                .get(&format!("{path}?limit={limit}"))
                .refused(400, "invalid-query")
                .parameter_fault("limit");
        }
        let both =
            whoever_may_read(&server, &path).get(&format!("{path}?page=1&cursor=abc")).refused(400, "invalid-query");
        assert_eq!(both.parameter_fault("page").code, "conflict", "{path}");
        let foreign = whoever_may_read(&server, &path).get(&format!("{path}?cursor=abc")).refused(400, "invalid-query");
        assert_eq!(foreign.parameter_fault("cursor").code, "format", "{path}");
    }
}

#[test]
fn a_query_that_is_not_percent_encoded_utf_8_is_refused() {
    let server = TestServer::start();
    for query in ["%ff=1", "a=%c3%28", "%00=1"] {
        server.anonymous().get(&format!("/healthz?{query}")).refused(400, "invalid-query");
    }
}

#[test]
fn a_query_that_is_too_long_is_refused() {
    let server = TestServer::start();
    let query = "a".repeat(20_000);
    server.anonymous().get(&format!("/healthz?{query}")).refused(414, "uri-too-long");
}

#[test]
fn an_unknown_path_is_not_found() {
    let server = TestServer::start();
    let paths = [
        "/nothing",
        "/api",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/articles",
        "/api/v1/articles/",
        "/api/v1/manage/articles/by-external-id",
        "/api/v1/manage/articles/bulk/archive",
        "/healthz/",
        "/healthz/nothing",
        "//healthz",
        "/problems/nothing",
        "/docs/nothing.js",
        "/api/v1/auth/../auth/me",
    ];
    for path in paths {
        for client in [server.anonymous(), server.signed_in(Role::Admin)] {
            client.get(path).refused(404, "not-found");
        }
        // The pages for people are found by their pattern; a wrong method on one of them is a 405.
        if !path.starts_with("/problems/") && !path.starts_with("/docs/") {
            server.anonymous().post(path, &json!({})).refused(404, "not-found");
        }
    }
}

#[test]
fn a_path_of_strange_characters_is_not_found() {
    let server = TestServer::start();
    for path in [
        "/%00",
        "/%ff",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/docs/../../../etc/passwd",
        "/docs/%2e%2e%2fCargo.toml",
        "/problems/%00",
        "/a%0d%0aX-Injected:1",
    ] {
        let answer = server.anonymous().get(path).expect(404);
        assert!(answer.find_header("x-injected").is_none());
    }
}

#[test]
fn the_instance_of_a_problem_is_a_uri_reference_whatever_the_path_was() {
    let server = TestServer::start();
    for (path, instance) in [
        ("/nothing{a}|b^c", "/nothing%7Ba%7D%7Cb%5Ec"),
        ("/100%", "/100%25"),
        ("/%zz%2", "/%25zz%252"),
        ("/%41%c3%a9", "/%41%c3%a9"),
        ("/a;b=c:d@e!$&'()*+,~-._", "/a;b=c:d@e!$&'()*+,~-._"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let (status, answer) = server.anonymous().raw_answer(request.as_bytes());
        assert_eq!(status, 404, "{path}: {answer}");
        assert!(answer.contains(&format!("\"instance\":\"{instance}\"")), "{path}: {answer}");
    }
}

#[test]
fn a_wrong_method_is_refused_with_allow() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    for (path, methods) in plain_paths(&admin) {
        let mut allowed = methods.clone();
        allowed.insert("OPTIONS".to_owned());
        if methods.contains("GET") {
            allowed.insert("HEAD".to_owned());
        }
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "BREW"] {
            if allowed.contains(method) {
                continue;
            }
            let answer = admin.request(method, &path).send().expect(405);
            let allow: BTreeSet<String> = answer.header("allow").split(", ").map(str::to_owned).collect();
            assert_eq!(allow, allowed, "{method} {path}");
            if method != "HEAD" {
                answer.refused(405, "method-not-allowed");
            }
        }
    }
}

#[test]
fn a_wrong_method_on_a_page_is_refused_with_allow() {
    let server = TestServer::start();
    for path in ["/docs", "/docs/", "/docs/index.html", "/problems", "/problems/not-found"] {
        let answer = server.anonymous().post(path, &json!({}));
        answer.refused(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS", "{path}");
    }
}

#[test]
fn head_answers_as_get_does_without_a_body() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let pages = ["/docs", "/docs/", "/problems", "/problems/not-found", "/nothing"].map(str::to_owned);
    let gets = plain_paths(&admin).into_iter().filter(|(_, methods)| methods.contains("GET")).map(|(path, _)| path);
    for path in gets.chain(pages) {
        let (get, head) = (admin.get(&path), admin.head(&path));
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        let shown = |response: &crate::client::Response| {
            let changing = ["date", "x-request-id"];
            let kept = response.headers.iter().filter(|(name, _)| !changing.contains(&name.as_str()));
            kept.map(|(name, value)| format!("{name}: {value:?}")).collect::<BTreeSet<_>>()
        };
        let without_length = |mut headers: BTreeSet<String>| {
            // A problem's length changes with its request id's.
            headers.retain(|header| !header.starts_with("content-length") || get.status < 400);
            headers
        };
        assert_eq!(without_length(shown(&head)), without_length(shown(&get)), "{path}");
    }
}

#[test]
fn options_answers_the_methods_of_an_address() {
    let server = TestServer::start();
    for (path, methods) in plain_paths(&server.anonymous()) {
        let answer = server.anonymous().request("OPTIONS", &path).send().expect(204);
        let allow: BTreeSet<&str> = answer.header("allow").split(", ").collect();
        assert!(
            allow.contains("OPTIONS") && methods.iter().all(|method| allow.contains(method.as_str())),
            "{path}: {allow:?}"
        );
        assert_eq!(allow.contains("HEAD"), methods.contains("GET"), "{path}");
    }
}

fn preflight(client: &Client, path: &str, origin: &str, method: &str) -> crate::client::Response {
    client
        .request("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization,content-type,if-match")
        .send()
}

#[test]
fn a_page_of_any_origin_may_read_what_is_public() {
    let server = TestServer::start();
    let client = server.anonymous();
    for (path, methods) in plain_paths(&client).into_iter().filter(|(path, _)| !is_private(path)) {
        let method = methods.first().unwrap();
        let answer = preflight(&client, &path, "https://front.example", method);
        assert!(answer.status == 200 || answer.status == 204, "{path}: {}", answer.status);
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert!(answer.header("access-control-allow-methods").contains(method.as_str()), "{path}");
        let allowed = answer.header("access-control-allow-headers").to_lowercase();
        assert!(allowed == "*" || allowed.contains("if-match"), "{path}: {allowed}");
        let read = client.request("GET", &path).header("origin", "https://front.example").send();
        assert_eq!(read.header("access-control-allow-origin"), "*", "{path}");
        assert!(read.find_header("access-control-allow-credentials").is_none(), "{path}");
        let exposed = read.header("access-control-expose-headers").to_lowercase();
        for name in [
            "etag",
            "link",
            "location",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "x-request-id",
            "content-version",
            "deprecation",
            "sunset",
        ] {
            assert!(exposed.split(',').any(|one| one.trim() == name), "{path}: {name} is not in {exposed}");
        }
    }
}

#[test]
fn a_public_answer_does_not_vary_with_the_origin() {
    let server = TestServer::start();
    let client = server.anonymous();
    for (path, _) in plain_paths(&client).into_iter().filter(|(path, _)| !is_private(path)) {
        for request in
            [client.request("GET", &path), client.request("GET", &path).header("origin", "https://a.example")]
        {
            let vary = request.send().find_header("vary").unwrap_or_default().to_lowercase();
            assert!(!vary.contains("origin"), "{path}: {vary}");
        }
    }
}

#[test]
fn a_refusal_of_what_is_public_can_be_read_by_any_origin() {
    let server = TestServer::start();
    let request = server.anonymous().request("GET", "/healthz?unknown=1").header("origin", "https://front.example");
    let answer = request.send().expect(400);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

#[test]
fn sign_in_and_management_answer_no_foreign_origin() {
    let server = TestServer::start();
    let client = server.anonymous();
    for (path, methods) in plain_paths(&client).into_iter().filter(|(path, _)| is_private(path)) {
        let answer = preflight(&client, &path, "https://evil.example", methods.first().unwrap());
        assert!(answer.find_header("access-control-allow-origin").is_none(), "{path}");
        let method = methods.first().unwrap();
        let answer = client.request(method, &path).header("origin", "https://evil.example").send();
        assert!(answer.find_header("access-control-allow-origin").is_none(), "{path}");
    }
}

#[test]
fn an_address_that_is_spelled_otherwise_is_as_private() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    for path in ["/api/v1/manag%65/articles", "/api/v1/%6Danage/articles", "/%61pi/v1/auth/me", "/api/v1/auth%2Fme"] {
        let answer = editor.request("GET", path).header("origin", "https://evil.example").send();
        let is_public = answer.find_header("access-control-allow-origin").is_some();
        assert!(!is_public || answer.status == 404, "{path}: {}", answer.status);
    }
    assert_eq!(editor.get("/api/v1/manag%65/articles").status, 200);
}

#[test]
fn conditions_that_are_too_long_are_refused_over_several_lines_too_and_a_page_may_read_why() {
    let ours = "https://admin.example.org";
    let server = TestServer::start_with(|config| config.cors_origins = vec![ours.to_owned()]);
    let editor = server.signed_in(Role::Editor);
    let path = "/api/v1/manage/articles";
    let tags = format!("\"{}\"", "a".repeat(5000));
    assert_eq!(editor.request("GET", path).header("if-none-match", &tags).send().status, 200);
    for (path, shown_to) in [(path, ours), ("/api/v1/articles", "*"), ("/api/v1/articles", "*")] {
        let request = editor.request("GET", path).header("origin", ours);
        let refused = request.header("if-none-match", &tags).header("if-none-match", &tags).send();
        let problem = refused.expect(400);
        assert_eq!(problem.header("access-control-allow-origin"), shown_to, "{path}");
        assert!(problem.json()["detail"].as_str().unwrap().contains("if-none-match"));
        assert_eq!(editor.get("/api/v1/articles").status, 200, "and what is kept is kept");
    }
}

#[test]
fn a_problem_repeats_as_much_of_an_address_as_a_problem_may() {
    let server = TestServer::start();
    for path in [format!("/nothing/{}", "a".repeat(40_000)), format!("/{}", "%C3%A9".repeat(10_000))] {
        let instance = server.anonymous().get(&path).expect(404).json()["instance"].clone();
        let instance = instance.as_str().unwrap();
        assert!(instance.len() <= 16_384 && path.starts_with(&instance[..4000]), "{}", instance.len());
    }
}

#[test]
fn sign_in_and_management_answer_the_origins_of_the_setting() {
    let ours = "https://admin.example.org";
    let server = TestServer::start_with(|config| {
        config.cors_origins = vec![ours.to_owned(), "http://localhost:3000".to_owned()];
    });
    let admin = server.signed_in(Role::Admin);
    for (path, methods) in plain_paths(&admin).into_iter().filter(|(path, _)| is_private(path)) {
        let method = methods.first().unwrap();
        for origin in [ours, "http://localhost:3000"] {
            assert_eq!(
                preflight(&admin, &path, origin, method).header("access-control-allow-origin"),
                origin,
                "{path}"
            );
            let answer = admin.request(method, &path).header("origin", origin).send();
            assert_eq!(answer.header("access-control-allow-origin"), origin, "{path}");
            assert!(answer.header("vary").to_lowercase().contains("origin"), "{path}");
        }
        for origin in
            ["https://evil.example", "https://admin.example.org.evil.example", "https://admin.example.org:444", "null"]
        {
            let answer = preflight(&admin, &path, origin, method);
            assert!(answer.find_header("access-control-allow-origin").is_none(), "{origin} {path}");
        }
    }
}

#[test]
fn a_preflight_from_a_foreign_origin_is_refused_as_a_problem() {
    let server = TestServer::start();
    let answer = preflight(&server.anonymous(), LOGIN, "https://evil.example", "POST");
    if answer.status >= 400 {
        answer.assert_problem();
    }
}

#[test]
fn a_sane_request_id_is_echoed_and_another_one_replaced() {
    let server = TestServer::start();
    let sent = |id: &str| server.anonymous().request("GET", "/healthz").header("x-request-id", id).send();
    for id in ["0123456789abcdef", "trace-1_2.3-ABC", "12345678", &"a".repeat(64)] {
        assert_eq!(sent(id).header("x-request-id"), id);
    }
    for id in
        ["short", &"a".repeat(65), "with spaces in it", "<script>alert(1)</script>", "quote\"quote", "a,b,c,d,e,f"]
    {
        let made = sent(id).header("x-request-id").to_owned();
        assert!(made != id && made.len() == 32 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{id}: {made}");
    }
    let first = server.anonymous().get("/healthz").header("x-request-id").to_owned();
    let second = server.anonymous().get("/healthz").header("x-request-id").to_owned();
    assert_ne!(first, second);
}

#[test]
fn a_problem_has_the_id_of_its_request() {
    let server = TestServer::start();
    let answer = server.anonymous().request("GET", "/nothing").header("x-request-id", "my-own-request-1").send();
    assert_eq!(answer.refused(404, "not-found").document["request_id"], "my-own-request-1");
}

#[test]
fn every_kind_of_problem_has_its_page() {
    let server = TestServer::start();
    let index = server.anonymous().get("/problems").expect(200);
    for kind in copydesk::http::problem::KINDS {
        assert!(
            index.text().contains(&format!("href=\"/problems/{}\"", kind.name)),
            "{} is not in the index",
            kind.name
        );
        let page = server.anonymous().get(&format!("/problems/{}", kind.name)).expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(page.text().contains(kind.title) && page.text().contains(kind.status.as_str()), "{}", kind.name);
        assert!(page.header("content-security-policy").contains("default-src 'none'"), "{}", kind.name);
    }
}

#[test]
fn headers_that_are_too_large_are_refused_and_the_server_goes_on() {
    let server = TestServer::start();
    let client = server.anonymous();
    let large = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Filler: {}\r\n\r\n", "a".repeat(300_000));
    assert_eq!(client.raw_answer(large.as_bytes()).0, 431);
    let many = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Filler: a\r\n".repeat(1_000));
    let status = client.raw_answer(many.as_bytes()).0;
    assert!((400..500).contains(&status), "{status}");
    client.get("/healthz").expect(200);
}

#[test]
fn garbage_instead_of_http_does_not_stop_the_server() {
    let server = TestServer::start();
    let client = server.anonymous();
    let garbage: [&[u8]; 9] = [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Bad: a\x00b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for bytes in garbage {
        let answer = client.raw(bytes);
        let text = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || text.starts_with("HTTP/1.1 4") || text.starts_with("HTTP/1.0 4"),
            "{bytes:?}: {text}"
        );
        client.get("/healthz").expect(200);
    }
}

#[test]
fn an_answer_is_never_sniffed() {
    let server = TestServer::start();
    for path in ["/healthz", "/nothing", "/docs/", "/problems"] {
        assert_eq!(server.anonymous().get(path).header("x-content-type-options"), "nosniff", "{path}");
    }
}

#[test]
fn a_change_must_say_which_version_it_means() {
    let server = TestServer::start();
    let editor = server.signed_in(Role::Editor);
    let made = editor.post("/api/v1/manage/authors", &json!({ "name": "Maya Lindqvist" })).expect(201);
    let (path, tag) = (made.header("location").to_owned(), made.etag().to_owned());
    let change = json!({ "name": "Maya L." });
    editor.request("PATCH", &path).json(&change).send().refused(428, "precondition-required");
    editor.request("DELETE", &path).send().refused(428, "precondition-required");
    for malformed in ["", "v1", "\"v1", "1, 2"] {
        editor.patch(&path, malformed, &change).refused(400, "bad-request");
    }
    for stale in ["\"v0\"", "W/\"v1\"", "\"v99\", \"other\"", "\"*\""] {
        let answer = editor.patch(&path, stale, &change);
        answer.refused(412, "precondition-failed");
        assert_eq!(answer.etag(), tag, "{stale}");
        editor.delete(&path, stale).refused(412, "precondition-failed");
    }
    let saved = editor.patch(&path, &format!("\"other\", {tag}"), &change).expect(200);
    assert_ne!(saved.etag(), tag);
    assert_eq!(editor.get(&path).expect(200).etag(), saved.etag());
    editor.delete(&path, &tag).refused(412, "precondition-failed");
    editor.delete(&path, "*").expect(204);
    editor.get(&path).refused(404, "not-found");
}

#[test]
fn a_header_that_is_compared_has_a_limit() {
    let server = TestServer::start();
    let anyone = server.anonymous();
    let list = "/api/v1/articles";
    // Kept and not yet kept.
    for _ in 0..2 {
        for name in ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since"] {
            let long = anyone.request("GET", list).header(name, &"a".repeat(8193)).send();
            assert!(long.refused(400, "bad-request").detail().contains("8192"));
            let answer = anyone.request("GET", list).header(name, &"a".repeat(8192)).send();
            answer.expect(if name == "if-match" { 412 } else { 200 });
        }
    }
}
