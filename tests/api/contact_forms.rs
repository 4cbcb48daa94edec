//! Contact forms: what an admin sets, and what visitors see of it.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::Client;
use crate::contact::{SUBMISSIONS, message, message_with, read, send};
use crate::harness::{MARKER, TestServer};
use crate::steps::{audit_events, pass};

pub(crate) const FORMS: &str = "/api/v1/manage/contact-forms";

/// The path of the form that is always there.
#[track_caller]
pub(crate) fn default_form(admin: &Client) -> String {
    let list = admin.get(FORMS).expect(200).json();
    let form = list["items"].as_array().unwrap().iter().find(|form| form["name"] == "default").unwrap().clone();
    format!("{FORMS}/{}", form["id"].as_str().unwrap())
}

/// Changes the form that is always there.
#[track_caller]
pub(crate) fn change_default(server: &TestServer, patch: &Value) {
    let admin = server.signed_in(Role::Admin);
    admin.patch(&default_form(&admin), "*", patch).expect(200);
}

fn sidebar() -> Value {
    json!({
        "name": "sidebar",
        "consent_version": "2026-11",
        "consent_texts": [
            { "version": "2026-11", "language": "en", "text": "I agree." },
            { "version": "2026-11", "language": "es", "text": "Acepto." },
        ],
        "fields": [
            { "name": "insurance", "label": "Insurance", "required": true,
              "choices": [{ "value": "private", "label": "Private" }, { "value": "none", "label": "None" }] },
        ],
        "recipients": ["desk@example.org"],
    })
}

#[test]
fn visitors_see_fields_and_consent_and_nothing_else() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    admin.post(FORMS, &sidebar()).expect(201);
    let shown = server.anonymous().get("/api/v1/contact-forms/sidebar").expect(200);
    assert_eq!(
        shown.json(),
        json!({
            "name": "sidebar",
            "fields": [{ "name": "insurance", "label": "Insurance", "required": true,
                         "choices": [{ "value": "private", "label": "Private" }, { "value": "none", "label": "None" }] }],
            "consent": { "version": "2026-11", "language": "en", "text": "I agree." },
        })
    );
    for (language, expected) in [("es", "Acepto."), ("es-MX", "Acepto."), ("fr", "I agree.")] {
        let path = format!("/api/v1/contact-forms/sidebar?language={language}");
        assert_eq!(server.anonymous().get(&path).expect(200).json()["consent"]["text"], expected);
    }
    let again =
        server.anonymous().request("GET", "/api/v1/contact-forms/sidebar").header("if-none-match", shown.etag());
    again.send().expect(304);
    server.anonymous().get("/api/v1/contact-forms/default").expect(200);
    server.anonymous().get("/api/v1/contact-forms/none").refused(404, "not-found");
    server.anonymous().get("/api/v1/contact-forms/none/token").refused(404, "not-found");
}

#[test]
fn what_a_form_asks_for_is_asked_for_and_what_it_does_not_know_is_kept() {
    let server = TestServer::start();
    server.signed_in(Role::Admin).post(FORMS, &sidebar()).expect(201);
    let with_fields =
        |fields: Value| message_with(&json!({ "form": "sidebar", "consent_version": null, "fields": fields }));
    for (fields, code) in [
        (json!({}), "required"),
        (json!({ "insurance": "  " }), "required"),
        (json!({ "insurance": "gold" }), "not_allowed"),
    ] {
        let refused = server.anonymous().post(SUBMISSIONS, &with_fields(fields)).refused(422, "invalid-body");
        assert_eq!(refused.fault("/fields/insurance").code, code);
    }
    let id = send(&server, &with_fields(json!({ "insurance": "private", "else": MARKER })));
    let read = read(&server.signed_in(Role::Intake), &id);
    assert_eq!(read["fields"], json!({ "insurance": "private", "else": MARKER }));
    assert_eq!((&read["form"], &read["named_form"]), (&json!("sidebar"), &Value::Null));
    assert_eq!(read["consent_version"], "2026-11", "the present one, where none was sent");
}

#[test]
fn a_consent_text_that_was_shown_stays_as_it_was() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let made = admin.post(FORMS, &sidebar()).expect(201);
    let path = made.header("location").to_owned();
    let en = json!({ "version": "2026-11", "language": "en", "text": "I agree." });
    let es = json!({ "version": "2026-11", "language": "es", "text": "Acepto." });
    let altered = json!({ "version": "2026-11", "language": "en", "text": "I agree to more." });
    for texts in [json!([altered, es]), json!([en]), json!([])] {
        let refused = admin.patch(&path, "*", &json!({ "consent_texts": texts }));
        refused.refused(422, "invalid-body").fault("/consent_texts");
    }
    let next = json!({ "version": "2027-01", "language": "en", "text": "I agree to more." });
    let unknown = admin.patch(&path, "*", &json!({ "consent_version": "2028" })).refused(422, "invalid-body");
    assert_eq!(unknown.fault("/consent_version").code, "not_found");
    admin.patch(&path, "*", &json!({ "consent_texts": [en, es, next], "consent_version": "2027-01" })).expect(200);
    // A page that still shows the former text is believed.
    let fields = json!({ "insurance": "none" });
    let former = message_with(&json!({ "form": "sidebar", "consent_version": "2026-11", "fields": fields }));
    let id = send(&server, &former);
    assert_eq!(read(&server.signed_in(Role::Intake), &id)["consent_version"], "2026-11");
}

#[test]
fn forms_have_names_of_their_own_and_one_is_always_there() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let path = admin.post(FORMS, &sidebar()).expect(201).header("location").to_owned();
    let holder = admin.post(FORMS, &sidebar()).refused(409, "conflict").document["holder"].clone();
    assert_eq!(holder["kind"], "contact_form");
    let default = default_form(&admin);
    admin.delete(&default, "*").refused(409, "conflict");
    let renamed = admin.patch(&default, "*", &json!({ "name": "other" })).refused(422, "invalid-body");
    assert_eq!(renamed.fault("/name").code, "read_only");
    let read_back = admin.get(&path).expect(200);
    admin.patch(&path, read_back.etag(), &read_back.json()).expect(200);
    let id = send(
        &server,
        &message_with(&json!({ "form": "sidebar", "consent_version": null, "fields": { "insurance": "none" } })),
    );
    admin.delete(&path, "*").refused(409, "conflict");
    let intake = server.signed_in(Role::Intake);
    intake.delete(&format!("/api/v1/manage/contact-submissions/{id}"), "*").expect(204);
    admin.delete(&path, "*").expect(204);
    server.anonymous().get("/api/v1/contact-forms/sidebar").refused(404, "not-found");
    for action in ["contact_form.create", "contact_form.update", "contact_form.delete"] {
        assert_eq!(audit_events(&server, action).is_empty(), action == "contact_form.update", "{action}");
    }
}

#[test]
fn a_form_says_what_is_wrong_with_it() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let mut wrong = sidebar();
    wrong["recipients"] = json!(["nobody", "a@b.c\r\nBcc: x@y.z"]);
    wrong["redirect_origins"] = json!(["https://a.example/path", "javascript:alert(1)", "*"]);
    wrong["retention_days"] = json!(0);
    wrong["fields"] =
        json!([{ "name": "a b", "label": "" }, { "name": "x", "label": "X" }, { "name": "x", "label": "Y" }]);
    let refused = admin.post(FORMS, &wrong).refused(422, "invalid-body");
    for pointer in [
        "/recipients/0",
        "/recipients/1",
        "/redirect_origins/0",
        "/redirect_origins/1",
        "/redirect_origins/2",
        "/retention_days",
        "/fields/0/name",
        "/fields/0/label",
    ] {
        refused.fault(pointer);
    }
    wrong["recipients"] = json!(["desk@localhost"]);
    wrong["redirect_origins"] = json!([]);
    wrong["retention_days"] = json!(30);
    wrong["fields"] = json!([{ "name": "x", "label": "X" }, { "name": "x", "label": "Y" }]);
    wrong["consent_texts"] =
        json!([{ "version": "1", "language": "en", "text": "a" }, { "version": "1", "language": "EN", "text": "b" }]);
    let refused = admin.post(FORMS, &wrong).refused(422, "invalid-body");
    for pointer in ["/recipients/0", "/fields/1/name", "/consent_texts/1", "/consent_version"] {
        refused.fault(pointer);
    }
}

#[test]
fn what_visitors_see_of_a_form_is_a_public_change_and_the_rest_is_not() {
    let server = TestServer::start();
    let version = || server.app.db.present().number;
    let before = version();
    change_default(&server, &json!({ "recipients": ["a@example.org"], "retention_days": 30 }));
    assert_eq!(version(), before);
    change_default(&server, &json!({ "fields": [{ "name": "age", "label": "Age" }] }));
    assert_eq!(version(), before + 1);
}

#[test]
fn a_form_token_is_no_state_and_is_never_cached() {
    let server = TestServer::start();
    let answer = server.anonymous().get("/api/v1/contact-forms/default/token").expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let token = answer.json()["form_token"].as_str().unwrap().to_owned();
    pass(&server, 60);
    let id = send(&server, &message_with(&json!({ "form_token": token })));
    let intake = server.signed_in(Role::Intake);
    assert_eq!(read(&intake, &id)["spam_reasons"], json!([]));
    assert!(read(&intake, &send(&server, &message()))["spam_score"].as_i64().unwrap() < 50);
}
