//! What intake does with messages: finding, reading, noting, assigning, handing out, erasing; and the trail of it.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::Client;
use crate::contact::{MANAGED, ids, message, message_with, read, send};
use crate::contact_forms::{FORMS, change_default};
use crate::harness::{Account, MARKED_PHONE, MARKER, TestServer};
use crate::steps::{audit_events, by_account, eventually, pass};

fn path(id: &str) -> String {
    format!("{MANAGED}/{id}")
}

/// Another message each time.
fn another(number: usize) -> Value {
    message_with(&json!({
        "email": format!("person{number}.{MARKER}@example.org"), "phone": null, "message": format!("{MARKER} {number}"),
    }))
}

fn unlimited() -> TestServer {
    TestServer::start_with(|config| config.rate_limits = false)
}

/// What `action` was done to, by whom.
fn subjects(server: &TestServer, action: &str) -> Vec<String> {
    let events = audit_events(server, action);
    events.iter().map(|event| event["subject"]["id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_list_shows_nothing_of_what_was_written() {
    let server = TestServer::start();
    let id = send(&server, &message());
    let list = server.signed_in(Role::Intake).get(MANAGED).expect(200);
    assert!(!list.text().contains(MARKER) && !list.text().contains(MARKED_PHONE), "{}", list.text());
    let item = &list.json()["items"][0];
    assert_eq!((&item["id"], &item["form"], &item["status"]), (&json!(id), &json!("default"), &json!("new")));
    assert_eq!((&item["assignee"], &item["ends_soon"]), (&Value::Null, &json!(false)));
}

#[test]
fn filters_find_what_is_asked_for() {
    let server = unlimited();
    let admin = server.signed_in(Role::Admin);
    let sidebar = json!({ "name": "sidebar", "consent_version": "1", "consent_texts": [{ "version": "1", "language": "en", "text": "Yes." }] });
    admin.post(FORMS, &sidebar).expect(201);
    change_default(&server, &json!({ "urgent_phrases": ["overdose"] }));
    let account = server.account(Role::Intake);
    let intake = server.sign_in(&account);
    let first = send(&server, &another(1));
    pass(&server, 10);
    let middle = server.app.clock.now();
    let urgent = send(&server, &message_with(&json!({ "message": format!("An OVERDOSE. {MARKER}") })));
    let other = send(&server, &message_with(&json!({ "form": "sidebar", "message": format!("{MARKER} three") })));
    let spam = send(&server, &message_with(&json!({ "website": "x", "message": format!("{MARKER} four") })));
    intake.patch(&path(&first), "*", &json!({ "status": "in_progress", "assignee": account.id })).expect(200);
    for (query, expected) in [
        ("", vec![&other, &urgent, &first]),
        ("&status=spam", vec![&spam]),
        ("&status=spam,in_progress", vec![&spam, &first]),
        ("&form=sidebar", vec![&other]),
        ("&urgent=true", vec![&urgent]),
        ("&urgent=false&status=new", vec![&other]),
        (&format!("&assignee={}", account.id), vec![&first]),
        (&format!("&received_after={middle}"), vec![&other, &urgent]),
        (&format!("&received_before={middle}"), vec![&first]),
        ("&ends_soon=true", vec![]),
        ("&ends_soon=false", vec![&other, &urgent, &first]),
    ] {
        assert_eq!(ids(&intake, query).iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let unknown = intake.get(&format!("{MANAGED}?form=none")).refused(400, "invalid-query");
    assert_eq!(unknown.parameter_fault("form").code, "not_found");
    let page = intake.get(&format!("{MANAGED}?page=1&limit=2")).expect(200).json();
    assert_eq!((&page["page"]["total_items"], &page["page"]["total_pages"]), (&json!(3), &json!(2)));
    let walk = intake.get(&format!("{MANAGED}?limit=2")).expect(200).json();
    let cursor = walk["page"]["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&intake, &format!("&cursor={cursor}")).len(), 1);
}

#[test]
fn every_reading_is_in_the_trail_and_what_was_read_is_not() {
    let server = TestServer::start();
    let id = send(&server, &message());
    let account = server.account(Role::Intake);
    let intake = server.sign_in(&account);
    read(&intake, &id);
    read(&intake, &id);
    intake.get(&path(&uuid::Uuid::now_v7().to_string())).refused(404, "not-found");
    // Whatever shows it is a reading: also a change that changes nothing, or is only tried out.
    intake.patch(&path(&id), "*", &json!({})).expect(200);
    let tried = intake.request("PATCH", &format!("{}?validate_only=true", path(&id))).header("if-match", "*");
    tried.json(&json!({ "status": "closed" })).send().expect(200);
    let events = audit_events(&server, "contact_submission.read");
    assert_eq!(events.len(), 4);
    for event in events {
        assert_eq!(event["actor"], by_account(&account));
        assert_eq!(event["subject"], json!({ "kind": "contact_submission", "id": id }));
    }
}

#[test]
fn an_admin_reads_nothing_and_every_attempt_is_told() {
    let server = TestServer::start();
    let id = send(&server, &message());
    for role in [Role::Admin, Role::Editor, Role::Author, Role::Contributor] {
        let account = server.account(role);
        let client = server.sign_in(&account);
        client.get(&path(&id)).refused(403, "forbidden");
        client.delete(&path(&id), "*").refused(403, "forbidden");
        let newest = audit_events(&server, "contact_submission.refuse");
        assert_eq!(newest[0]["actor"], by_account(&account));
        assert_eq!(newest[0]["subject"], json!({ "kind": "contact_submission", "id": id }));
        assert_eq!(newest[1]["subject"]["id"], id);
    }
    for client in [server.anonymous(), server.with_token("garbage")] {
        client.get(&path(&id)).refused(401, "unauthenticated");
        client.get(MANAGED).refused(401, "unauthenticated");
    }
    pass(&server, 60);
    let counted = eventually("anonymous attempts are counted", || {
        let events = audit_events(&server, "contact_submission.refuse");
        events.into_iter().find(|event| event["actor"]["kind"] == "anonymous")
    });
    assert_eq!(counted["count"], 4);
    // Somebody who tries again and again fills no disk.
    let account = server.account(Role::Editor);
    let client = server.sign_in(&account);
    for _ in 0..80 {
        client.get(&path(&id)).refused(403, "forbidden");
    }
    pass(&server, 60);
    let told = eventually("many attempts are counted", || {
        let events = audit_events(&server, "contact_submission.refuse");
        let own: Vec<_> = events.into_iter().filter(|event| event["actor"] == by_account(&account)).collect();
        let total: i64 = own.iter().map(|event| event["count"].as_i64().unwrap()).sum();
        (total == 80).then_some(own)
    });
    assert!(told.len() < 80, "{}", told.len());
}

#[test]
fn work_on_a_message_is_versioned_and_its_note_is_sealed() {
    let server = TestServer::start();
    let id = send(&server, &message());
    let account = server.account(Role::Intake);
    let intake = server.sign_in(&account);
    let seen = intake.get(&path(&id)).expect(200);
    let note = format!("Called back, no answer. {MARKER}");
    let patch = json!({ "status": "in_progress", "assignee": account.id, "note": note });
    let changed = intake.patch(&path(&id), seen.etag(), &patch).expect(200);
    assert_eq!(changed.json()["note"], note);
    intake.patch(&path(&id), seen.etag(), &json!({ "status": "closed" })).refused(412, "precondition-failed");
    intake
        .request("PATCH", &path(&id))
        .json(&json!({ "status": "closed" }))
        .send()
        .refused(428, "precondition-required");
    let read_back = intake.get(&path(&id)).expect(200);
    assert_eq!(read_back.json()["note"], note);
    let same = intake.patch(&path(&id), read_back.etag(), &read_back.json()).expect(200);
    assert_eq!(same.etag(), read_back.etag(), "what was read can be sent back and changes nothing");
    let tried = intake.request("PATCH", &format!("{}?validate_only=true", path(&id))).header("if-match", "*");
    assert_eq!(tried.json(&json!({ "status": "closed" })).send().expect(200).json()["status"], "closed");
    assert_eq!(read(&intake, &id)["status"], "in_progress");
    let emptied = intake.patch(&path(&id), "*", &json!({ "note": null, "assignee": null })).expect(200).json();
    assert_eq!((&emptied["note"], &emptied["assignee"]), (&Value::Null, &Value::Null));
    assert_eq!(subjects(&server, "contact_submission.update"), [id.clone(), id.clone()]);
    for wrong in [json!({ "assignee": server.account(Role::Admin).id }), json!({ "assignee": uuid::Uuid::now_v7() })] {
        let refused = intake.patch(&path(&id), "*", &wrong).refused(422, "invalid-body");
        assert_eq!(refused.fault("/assignee").code, "not_found");
    }
    let refused =
        intake.patch(&path(&id), "*", &json!({ "message": "other", "state": "x" })).refused(422, "invalid-body");
    assert_eq!(refused.fault("/message").code, "read_only");
    assert_eq!(refused.fault("/state").code, "unknown_field");
    let people = intake.get(&format!("{MANAGED}/assignees")).expect(200).json();
    let people: Vec<_> = people["items"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(people, [json!(account.id)]);
}

#[test]
fn what_is_erased_is_gone_and_the_trail_says_so() {
    let server = TestServer::start();
    let (gone, kept) = (send(&server, &another(1)), send(&server, &another(2)));
    let intake = server.signed_in(Role::Intake);
    let tried = intake.request("DELETE", &format!("{}?validate_only=true", path(&gone))).header("if-match", "*").send();
    assert_eq!(tried.expect(200).json()["id"], gone);
    let etag = intake.get(&path(&gone)).expect(200).etag().to_owned();
    intake.delete(&path(&gone), &etag).expect(204);
    intake.get(&path(&gone)).refused(404, "not-found");
    assert_eq!(ids(&intake, ""), [kept]);
    assert_eq!(subjects(&server, "contact_submission.erase"), [gone]);
}

fn csv(intake: &Client, query: &str) -> Vec<Vec<String>> {
    let answer = intake.get(&format!("{MANAGED}/export.csv{query}")).expect(200);
    assert_eq!(answer.header("content-disposition"), "attachment; filename=\"contact-submissions.csv\"");
    assert_eq!(answer.header("cache-control"), "no-store");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(answer.body.as_slice());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn a_spreadsheet_gets_every_message_and_no_formula() {
    let server = unlimited();
    let mut sent: Vec<String> = (0..120).map(|number| send(&server, &another(number))).collect();
    let evil = message_with(&json!({
        "name": format!("=HYPERLINK(\"http://evil.example\",\"{MARKER}\")"),
        "message": format!("@SUM(1+1)*cmd|' /C calc'!A0 {MARKER}\n\"quoted\", and, commas"),
        "fields": { "x": format!("=1+1 {MARKER}") },
    }));
    sent.push(send(&server, &evil));
    let intake = server.signed_in(Role::Intake);
    let rows = csv(&intake, "");
    assert_eq!(rows.len(), 1 + sent.len());
    let column = |name: &str| rows[0].iter().position(|column| column == name).unwrap();
    let listed: Vec<_> = rows[1..].iter().map(|row| row[column("id")].clone()).collect();
    assert_eq!(listed, sent.iter().rev().cloned().collect::<Vec<_>>(), "the newest first, each once");
    let row = &rows[1];
    assert_eq!(row[column("name")], format!("'=HYPERLINK(\"http://evil.example\",\"{MARKER}\")"));
    assert!(row[column("message")].starts_with("'@SUM") && row[column("message")].ends_with("\"quoted\", and, commas"));
    assert_eq!(row[column("phone")], format!("'+1{MARKED_PHONE}"), "a plus is a formula, too");
    let cells = rows[1..].iter().flatten();
    assert!(cells.clone().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])));
    let mut audited = Vec::new();
    let mut query = String::new();
    loop {
        let path = format!("/api/v1/manage/audit-events?limit=100&action=contact_submission.export{query}");
        let list = server.signed_in(Role::Admin).get(&path).expect(200).json();
        audited.extend(
            list["items"].as_array().unwrap().iter().map(|event| event["subject"]["id"].as_str().unwrap().to_owned()),
        );
        match list["page"]["next_cursor"].as_str() {
            Some(cursor) => query = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(audited.len(), sent.len());
    assert_eq!(csv(&intake, "?status=spam").len(), 1, "the filters are those of the list");
    intake.get(&format!("{MANAGED}/export.csv?status=none")).refused(400, "invalid-query");
    intake.head(&format!("{MANAGED}/export.csv")).expect(200);
    assert_eq!(audit_events(&server, "contact_submission.export").len(), 100, "nothing is opened for its head");
}

fn person() -> Value {
    json!({ "email": format!("SAM.{MARKER}@Example.org") })
}

fn phone() -> Value {
    json!({ "phone": format!("1-{MARKED_PHONE}") })
}

/// By email or phone.
fn by_either() -> Value {
    json!({ "email": person()["email"], "phone": phone()["phone"] })
}

/// Messages of one person in two months, and one of somebody else.
struct Person {
    server: TestServer,
    intake: Client,
    account: Account,
    by_both: String,
    by_email: String,
    by_phone: String,
    other: String,
}

impl Person {
    fn new() -> Self {
        let server = unlimited();
        let account = server.account(Role::Intake);
        let by_both = send(&server, &message());
        pass(&server, 40 * 24 * 3600);
        let words = |number| format!("{MARKER} {number}");
        // As spam, too.
        let email = json!({ "phone": null, "website": "x", "message": words(2) });
        let by_email = send(&server, &message_with(&email));
        let (area, rest) = MARKED_PHONE.split_at(3);
        let phone = json!({ "email": null, "phone": format!("({area}) {rest}"), "message": words(3) });
        let by_phone = send(&server, &message_with(&phone));
        let other = send(&server, &another(9));
        let intake = server.sign_in(&account);
        Self { server, intake, account, by_both, by_email, by_phone, other }
    }

    fn found(&self, body: &Value) -> Vec<String> {
        let list = self.intake.post(&format!("{MANAGED}/search"), body).expect(200).json();
        let ids = list["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
        let ids: Vec<String> = ids.collect();
        assert_eq!(list["total"], ids.len());
        ids
    }
}

#[test]
fn a_person_is_found_by_email_or_phone_in_whatever_notation() {
    let case = Person::new();
    assert_eq!(case.found(&person()), [case.by_email.clone(), case.by_both.clone()]);
    assert_eq!(case.found(&phone()), [case.by_phone.clone(), case.by_both.clone()]);
    assert_eq!(case.found(&json!({ "email": "nobody@example.org" })), Vec::<String>::new());
    assert_eq!(case.found(&by_either()).len(), 3);
    let events = audit_events(&case.server, "contact_submission.search");
    assert!(events.len() == 4 && events.iter().all(|event| event["subject"]["id"].is_null()));
    for (body, pointer) in
        [(json!({}), "/email"), (json!({ "email": "x" }), "/email"), (json!({ "phone": "x" }), "/phone")]
    {
        for name in ["search", "export", "erase"] {
            case.intake.post(&format!("{MANAGED}/{name}"), &body).refused(422, "invalid-body").fault(pointer);
        }
    }
}

#[test]
fn everything_about_a_person_is_handed_out() {
    let case = Person::new();
    let export = case.intake.post(&format!("{MANAGED}/export"), &by_either()).expect(200).json();
    let exported: Vec<_> = export["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(exported, [&case.by_both, &case.by_email, &case.by_phone], "the oldest first");
    assert_eq!(export["items"][0]["message"], message()["message"]);
    assert_eq!(subjects(&case.server, "contact_submission.export").len(), 3);
}

#[test]
fn everything_about_a_person_is_erased_with_a_certificate() {
    let case = Person::new();
    let erase = format!("{MANAGED}/erase");
    let tried = case.intake.post(&format!("{erase}?validate_only=true"), &by_either()).expect(200).json();
    assert_eq!(tried["erased"].as_array().unwrap().len(), 3);
    assert_eq!(audit_events(&case.server, "contact_submission.search").len(), 1, "it tells what is there");
    assert_eq!(case.found(&by_either()).len(), 3);
    let certificate = case.intake.post(&erase, &by_either()).expect(200).json();
    assert_eq!(certificate["erased"].as_array().unwrap().len(), 3);
    assert_eq!((&certificate["erased_by"], &certificate["log_emptied"]), (&json!(case.account.id), &json!(true)));
    assert_eq!(certificate["destroyed_keys"].as_array().unwrap().len(), 1, "that of the first month");
    assert!(certificate["backups_readable_until"].is_string(), "the other message of the second month remains");
    assert_eq!(case.found(&by_either()), Vec::<String>::new());
    assert_eq!(ids(&case.intake, ""), [case.other.as_str()]);
    assert_eq!(subjects(&case.server, "contact_submission.erase").len(), 3);
    assert_eq!(subjects(&case.server, "contact_submission.certify"), [certificate["id"].as_str().unwrap()]);
    let nothing = case.intake.post(&erase, &by_either()).expect(200).json();
    assert_eq!((&nothing["erased"], &nothing["backups_readable_until"]), (&json!([]), &Value::Null));
}

#[test]
fn a_person_of_many_messages_is_exported_and_erased_as_a_whole() {
    let server = unlimited();
    let sent: Vec<String> = (0..450)
        .map(|number| send(&server, &message_with(&json!({ "message": format!("{MARKER} {number}") }))))
        .collect();
    let intake = server.signed_in(Role::Intake);
    let export = intake.post(&format!("{MANAGED}/export"), &person()).expect(200).json();
    let exported: Vec<_> = export["items"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(exported, sent);
    let certificate = intake.post(&format!("{MANAGED}/erase"), &person()).expect(200).json();
    assert_eq!(certificate["erased"].as_array().unwrap().len(), 450);
    assert_eq!(
        (&certificate["destroyed_keys"].as_array().unwrap().len(), &certificate["backups_readable_until"]),
        (&1, &Value::Null)
    );
}

#[test]
fn no_idempotency_key_keeps_words() {
    let server = TestServer::start();
    send(&server, &message());
    let intake = server.signed_in(Role::Intake);
    for name in ["search", "export"] {
        let path = format!("{MANAGED}/{name}");
        let once =
            || intake.request("POST", &path).header("idempotency-key", &format!("key-{name}")).json(&person()).send();
        assert_eq!(once().expect(200).json()["items"].as_array().unwrap().len(), 1);
        // It writes nothing, so it is done again.
        assert_eq!(once().expect(200).json()["items"].as_array().unwrap().len(), 1);
    }
    assert_eq!(audit_events(&server, "contact_submission.export").len(), 2, "each is in the trail");
    let erase = || {
        intake.request("POST", &format!("{MANAGED}/erase")).header("idempotency-key", "erase").json(&person()).send()
    };
    let (first, second) = (erase().expect(200).json(), erase().expect(200).json());
    assert_eq!(first, second, "a certificate names nobody, so it is kept");
}

#[test]
fn retention_erases_what_is_due_and_spam_sooner() {
    let server = unlimited();
    change_default(&server, &json!({ "retention_days": 40, "spam_retention_days": 4 }));
    let intake = |server: &TestServer| server.signed_in(Role::Intake);
    let message = |number| send(&server, &another(number));
    let (closed, open) = (message(1), message(2));
    let spam = send(&server, &message_with(&json!({ "website": "x" })));
    intake(&server).patch(&path(&closed), "*", &json!({ "status": "closed" })).expect(200);
    let ends_at = |id: &str| read(&intake(&server), id)["erase_at"].as_str().unwrap().to_owned();
    assert!(ends_at(&spam) < ends_at(&open));
    pass(&server, 4 * 24 * 3600);
    eventually("spam is erased", || ids(&intake(&server), "&status=spam").is_empty().then_some(()));
    assert_eq!(ids(&intake(&server), "").len(), 2);
    assert_eq!(ids(&intake(&server), "&ends_soon=true"), Vec::<String>::new());
    pass(&server, 30 * 24 * 3600);
    assert_eq!(ids(&intake(&server), "&ends_soon=true"), [open.as_str()], "closed ones worry nobody");
    assert_eq!(read(&intake(&server), &open)["ends_soon"], true);
    pass(&server, 6 * 24 * 3600);
    eventually("the others are erased", || ids(&intake(&server), "").is_empty().then_some(()));
    let events = audit_events(&server, "contact_submission.expire");
    let kinds: Vec<_> = events.iter().map(|event| event["actor"]["kind"].clone()).collect();
    assert_eq!(kinds, ["system", "system", "system"]);
    let mut expired = subjects(&server, "contact_submission.expire");
    expired.sort();
    let mut all = vec![closed, open, spam];
    all.sort();
    assert_eq!(expired, all);
    eventually("the keys are destroyed", || server.app.vault.names().is_empty().then_some(()));
}

#[test]
fn a_shorter_retention_holds_for_what_is_there() {
    let server = TestServer::start();
    send(&server, &message());
    pass(&server, 20 * 24 * 3600);
    change_default(&server, &json!({ "retention_days": 10 }));
    pass(&server, 61);
    eventually("it is erased", || ids(&server.signed_in(Role::Intake), "").is_empty().then_some(()));
}
