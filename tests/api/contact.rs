//! Taking a contact message in: what is taken, what is refused, and that nothing is lost.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::{MARKED_PHONE, MARKER, TestServer};

pub(crate) const SUBMISSIONS: &str = "/api/v1/contact-submissions";
pub(crate) const MANAGED: &str = "/api/v1/manage/contact-submissions";
const FORM: &str = "application/x-www-form-urlencoded";

/// A message with something in every member that may have something.
pub(crate) fn message() -> Value {
    json!({
        "name": format!("Sam {MARKER}"),
        "email": format!("sam.{MARKER}@example.org"),
        "phone": format!("+1 {MARKED_PHONE}"),
        "message": format!("I would like to talk to somebody about my brother. {MARKER}"),
        "form": format!("{MARKER}-form"),
        "page_url": format!("https://www.example.org/contact?from={MARKER}"),
        "consent": true,
        "consent_version": "1",
        "fields": { format!("{MARKER}-field"): format!("a {MARKER}") },
    })
}

/// The message with other members; null takes one away.
pub(crate) fn message_with(members: &Value) -> Value {
    let mut message = message();
    for (name, value) in members.as_object().unwrap() {
        message[name] = value.clone();
    }
    message
}

/// Sends a message that must be taken; gives its id.
#[track_caller]
pub(crate) fn send(server: &TestServer, message: &Value) -> String {
    let receipt = server.anonymous().post(SUBMISSIONS, message).expect(202).json();
    receipt["id"].as_str().unwrap().to_owned()
}

/// A message as intake reads it.
#[track_caller]
pub(crate) fn read(intake: &Client, id: &str) -> Value {
    intake.get(&format!("{MANAGED}/{id}")).expect(200).json()
}

/// The ids of a list of messages.
#[track_caller]
pub(crate) fn ids(intake: &Client, query: &str) -> Vec<String> {
    let list = intake.get(&format!("{MANAGED}?limit=100{query}")).expect(200).json();
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn send_form(server: &TestServer, form: &str) -> Response {
    server.anonymous().request("POST", SUBMISSIONS).body(FORM, form).send()
}

#[test]
fn a_message_comes_to_intake_as_it_was_written() {
    let server = TestServer::start();
    let receipt = server.anonymous().post(SUBMISSIONS, &message()).expect(202);
    assert_eq!(receipt.header("cache-control"), "no-store");
    let receipt = receipt.json();
    assert_eq!(receipt["crisis_text"], Value::Null);
    let read = read(&server.signed_in(Role::Intake), receipt["id"].as_str().unwrap());
    let sent = message();
    for member in ["name", "email", "message", "page_url", "consent_version", "fields"] {
        assert_eq!(read[member], sent[member], "{member}");
    }
    assert_eq!(read["phone"], format!("+1{MARKED_PHONE}"));
    assert_eq!((&read["form"], &read["named_form"]), (&json!("default"), &sent["form"]));
    assert_eq!((&read["status"], &read["spam_score"], &read["urgent"]), (&json!("new"), &json!(0), &json!(false)));
    assert_eq!(read["received_at"], receipt["received_at"]);
}

#[test]
fn a_plain_html_form_works() {
    let server = TestServer::start();
    let form = format!(
        "name=Sam+{MARKER}&email=&phone=%2B1+{MARKED_PHONE}&message=Line+one%0D%0A{MARKER}+%F0%9F%99%82&consent=on\
         &fields%5Bdiagnosis%5D={MARKER}+%26+more&website="
    );
    let id = send_form(&server, &form).expect(202).json()["id"].as_str().unwrap().to_owned();
    let read = read(&server.signed_in(Role::Intake), &id);
    assert_eq!(read["message"], format!("Line one\n{MARKER} 🙂"));
    assert_eq!(read["fields"], json!({ "diagnosis": format!("{MARKER} & more") }));
    assert_eq!((&read["email"], &read["status"]), (&Value::Null, &json!("new")));
    let without = send_form(&server, &format!("name={MARKER}&phone=%2B1{MARKED_PHONE}&message={MARKER}"));
    assert_eq!(without.refused(422, "invalid-body").fault("/consent").code, "required");
}

#[test]
fn a_visitor_is_led_to_a_page_of_an_allowed_origin_and_to_no_other() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let forms = admin.get("/api/v1/manage/contact-forms").expect(200).json();
    let path = format!("/api/v1/manage/contact-forms/{}", forms["items"][0]["id"].as_str().unwrap());
    admin.patch(&path, "*", &json!({ "redirect_origins": ["https://www.example.org"] })).expect(200);
    let form = |to: &str| {
        format!("name={MARKER}&email=a.{MARKER}%40example.org&message={MARKER}&consent=true&redirect_to={to}")
    };
    let thanks = send_form(&server, &form("https%3A%2F%2Fwww.example.org%2Fthanks%3Fa%3D1")).expect(303);
    assert_eq!(thanks.header("location"), "https://www.example.org/thanks?a=1");
    for elsewhere in
        ["https%3A%2F%2Fevil.example%2F", "%2F%2Fevil.example", "https%3A%2F%2Fwww.example.org.evil.example"]
    {
        let refused = send_form(&server, &form(elsewhere)).refused(422, "invalid-body");
        assert_eq!(refused.fault("/redirect_to").code, "not_allowed");
    }
    let spam = form("https%3A%2F%2Fwww.example.org%2Fthanks") + "&website=x";
    assert_eq!(send_form(&server, &spam).expect(303).header("location"), "https://www.example.org/thanks");
    assert_eq!(ids(&server.signed_in(Role::Intake), "").len(), 1, "what was refused is not there");
}

#[test]
fn all_that_is_wrong_is_told_at_once_and_never_repeated() {
    let server = TestServer::start();
    let wrong = json!({
        "name": " ", "email": MARKER, "phone": MARKER, "message": "", "consent": false, "consent_version": MARKER,
        "redirect_to": format!("https://{MARKER}.example"), "fields": { "a": 1 }, "emial": MARKER, "form": 7,
    });
    let answer = server.anonymous().post(SUBMISSIONS, &wrong);
    let problem = answer.refused(422, "invalid-body");
    for (pointer, code) in [
        ("/name", "blank"),
        ("/email", "format"),
        ("/phone", "format"),
        ("/message", "blank"),
        ("/consent", "required"),
        ("/consent_version", "not_found"),
        ("/redirect_to", "not_allowed"),
        ("/fields/a", "type"),
        ("/emial", "unknown_field"),
        ("/form", "type"),
    ] {
        assert_eq!(problem.fault(pointer).code, code, "{pointer}");
    }
    assert!(problem.fault("/emial").message.contains("email"));
    assert!(!answer.text().contains(MARKER), "{}", answer.text());
    let neither = message_with(&json!({ "email": null, "phone": "" }));
    let refused = server.anonymous().post(SUBMISSIONS, &neither).refused(422, "invalid-body");
    assert_eq!(refused.fault("/email").code, "required");
    let missing = server.anonymous().post(SUBMISSIONS, &json!({})).refused(422, "invalid-body");
    for pointer in ["/name", "/message", "/consent"] {
        assert_eq!(missing.fault(pointer).code, "required");
    }
}

#[test]
fn what_breaks_headers_logs_or_types_is_refused_in_every_member() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    // Every member with what breaks headers, logs, C strings and terminals.
    for member in
        ["name", "email", "phone", "message", "form", "form_token", "page_url", "consent_version", "redirect_to"]
    {
        let pointer = format!("/{member}");
        for text in ["a\u{0}b", "a\u{1b}[31mb"] {
            let text = format!("{MARKER}{text}");
            let refused = server.anonymous().post(SUBMISSIONS, &message_with(&json!({ member: text })));
            refused.refused(422, "invalid-body").fault(&pointer);
            assert!(!refused.text().contains(MARKER));
        }
        if member != "message" {
            let text = format!("{MARKER}\r\nBcc: {MARKER}@example.org");
            let refused = server.anonymous().post(SUBMISSIONS, &message_with(&json!({ member: text })));
            refused.refused(422, "invalid-body").fault(&pointer);
        }
        for value in [json!(1), json!([]), json!({}), json!(true)] {
            let refused = server.anonymous().post(SUBMISSIONS, &message_with(&json!({ member: value })));
            assert_eq!(refused.refused(422, "invalid-body").fault(&pointer).code, "type", "{member}");
        }
        let long = message_with(&json!({ member: "x".repeat(10_001) }));
        server.anonymous().post(SUBMISSIONS, &long).refused(422, "invalid-body").fault(&pointer);
    }
}

#[test]
fn further_fields_have_their_limits() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    for fields in [
        json!({ "a\u{0}": "b" }),
        json!({ "a\r\nb": "c" }),
        json!({ "": "c" }),
        json!({ "x".repeat(61): "c" }),
        json!({ "a": "x".repeat(501) }),
        json!({ "a": "b\u{7}" }),
        json!((0..21).map(|number| (format!("n{number}"), json!("x"))).collect::<serde_json::Map<_, _>>()),
        json!([]),
    ] {
        let refused = server.anonymous().post(SUBMISSIONS, &message_with(&json!({ "fields": fields })));
        refused.refused(422, "invalid-body");
    }
}

#[test]
fn a_body_that_is_none_is_refused() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    for body in ["", "{", "[]", "null", "{\"name\":\"\\ud800\"}"] {
        let answer = server.anonymous().request("POST", SUBMISSIONS).body("application/json", body).send();
        assert!([400, 422].contains(&answer.status), "{}", answer.shown());
        answer.assert_problem();
    }
    server
        .anonymous()
        .request("POST", SUBMISSIONS)
        .body("text/plain", "x")
        .send()
        .refused(415, "unsupported-media-type");
    let huge = server.anonymous().request("POST", SUBMISSIONS).body("application/json", vec![b' '; 300 * 1024]).send();
    huge.refused(413, "payload-too-large");
    send_form(&server, "name=%FF&name=a&name=b").refused(422, "invalid-body").fault("/name");
    assert_eq!(ids(&server.signed_in(Role::Intake), "").len(), 0);
}

#[test]
fn what_people_write_in_any_script_is_kept_to_the_letter() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    let intake = server.signed_in(Role::Intake);
    for text in [
        "🙂👩‍👩‍👧‍👦",
        "مرحبا \u{202e}بالعالم",
        "日本語\tテスト\n\nzwei",
        "e\u{301}",
        "<script>alert(1)</script>",
        "'; DROP TABLE users; --",
    ] {
        let words = format!("{text} {MARKER}");
        let one_line = words.replace(['\n', '\t'], " ");
        let sent = message_with(&json!({ "message": words, "name": one_line, "fields": { "x": words } }));
        let read = read(&intake, &send(&server, &sent));
        assert_eq!((&read["message"], &read["fields"]["x"]), (&json!(words), &json!(words)));
        assert_eq!(read["name"], one_line);
    }
    // The longest that is allowed, in the widest script, escaped.
    let widest = format!("{}{MARKER}", "🙂".repeat(10_000 - MARKER.len()));
    let escaped = widest.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
    let body = format!(
        "{{\"name\":\"{MARKER}\",\"email\":\"a.{MARKER}@example.org\",\"consent\":true,\"message\":\"{escaped}\"}}"
    );
    let receipt =
        server.anonymous().request("POST", SUBMISSIONS).body("application/json", body).send().expect(202).json();
    assert_eq!(read(&intake, receipt["id"].as_str().unwrap())["message"], widest);
}

#[test]
fn any_origin_may_send_and_nobody_is_asked_who_they_are() {
    let server = TestServer::start();
    let preflight = server
        .anonymous()
        .request("OPTIONS", SUBMISSIONS)
        .header("origin", "https://www.example.org")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
        .send();
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    server.anonymous().get(SUBMISSIONS).refused(405, "method-not-allowed");
    server.with_token("garbage").post(SUBMISSIONS, &message()).expect(202);
}
