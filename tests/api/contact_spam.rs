//! Spam and floods: what is suspected, what becomes of it, and that nobody is dropped.

use std::thread;

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::contact::{MANAGED, SUBMISSIONS, ids, message, message_with, read, send};
use crate::contact_forms::change_default;
use crate::harness::{MARKER, TestServer};
use crate::steps::{at_once, audit_events, eventually, pass};

fn token(server: &TestServer) -> String {
    let answer = server.anonymous().get("/api/v1/contact-forms/default/token").expect(200).json();
    answer["form_token"].as_str().unwrap().to_owned()
}

/// Another text each time, so that none is a repetition.
fn text(number: usize) -> String {
    format!("Message number {number}, long enough to be told from the others. {MARKER}")
}

#[test]
fn what_fills_the_honeypot_looks_accepted_and_is_kept_apart() {
    let server = TestServer::start();
    let intake = server.signed_in(Role::Intake);
    let good = server.anonymous().post(SUBMISSIONS, &message()).expect(202);
    let filled = message_with(&json!({ "website": format!("https://{MARKER}.example"), "message": text(1) }));
    let spam = server.anonymous().post(SUBMISSIONS, &filled).expect(202);
    let shape = |answer: &Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(shape(&good.json()), shape(&spam.json()));
    for name in ["cache-control", "ratelimit-policy", "content-type"] {
        assert_eq!(good.header(name), spam.header(name));
    }
    let id = spam.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(ids(&intake, "").len(), 1);
    assert_eq!(ids(&intake, "&status=spam"), [id.as_str()]);
    let read = read(&intake, &id);
    assert_eq!((&read["status"], &read["spam_score"]), (&json!("spam"), &json!(100)));
    assert_eq!(read["spam_reasons"], json!(["honeypot"]));
    intake.patch(&format!("{MANAGED}/{id}"), "*", &json!({ "status": "new" })).expect(200);
    assert_eq!(ids(&intake, "").len(), 2);
}

#[test]
fn what_was_written_too_fast_or_too_long_ago_is_suspected() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    let intake = server.signed_in(Role::Intake);
    let reasons = |token: &str, number: usize| {
        let id = send(&server, &message_with(&json!({ "form_token": token, "message": text(number) })));
        read(&intake, &id)["spam_reasons"].clone()
    };
    let fresh = token(&server);
    assert_eq!(reasons(&fresh, 0), json!(["too_fast"]));
    pass(&server, 4);
    assert_eq!(reasons(&fresh, 1), json!([]));
    assert_eq!(reasons("cdf_forged", 2), json!(["unknown_token"]));
    pass(&server, 24 * 3600);
    let intake = server.signed_in(Role::Intake);
    let id = send(&server, &message_with(&json!({ "form_token": fresh, "message": text(3) })));
    assert_eq!(read(&intake, &id)["spam_reasons"], json!(["too_old"]));
}

#[test]
fn a_plain_form_without_a_token_is_suspected_only_where_the_form_asks_for_one() {
    let server = TestServer::start();
    let intake = server.signed_in(Role::Intake);
    assert_eq!(read(&intake, &send(&server, &message()))["status"], "new");
    change_default(&server, &json!({ "requires_token": true, "least_seconds": 0 }));
    let id = send(&server, &message_with(&json!({ "message": text(1) })));
    assert_eq!(read(&intake, &id)["spam_reasons"], json!(["no_token"]));
    let with_one = message_with(&json!({ "message": text(2), "form_token": token(&server) }));
    assert_eq!(read(&intake, &send(&server, &with_one))["status"], "new");
}

#[test]
fn of_the_same_text_many_times_at_once_all_but_two_are_suspected() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    let same = message_with(&json!({ "message": text(1) }));
    let taken = at_once(12, |_| server.anonymous().post(SUBMISSIONS, &same).status);
    assert_eq!(taken, [202; 12]);
    let intake = server.signed_in(Role::Intake);
    assert_eq!((ids(&intake, "").len(), ids(&intake, "&status=spam").len()), (2, 10));
}

#[test]
fn the_same_text_again_and_again_is_suspected_and_twice_is_not() {
    let server = TestServer::start();
    let intake = server.signed_in(Role::Intake);
    let statuses: Vec<_> = (0..3).map(|_| read(&intake, &send(&server, &message()))["status"].clone()).collect();
    assert_eq!(statuses, ["new", "new", "spam"]);
}

#[test]
fn many_from_one_address_are_taken_and_suspected_and_far_too_many_refused() {
    let server = TestServer::start();
    change_default(&server, &json!({ "fallback_text": "Please call us on 555 0100, day and night." }));
    let answers: Vec<_> = (0..31)
        .map(|number| server.anonymous().post(SUBMISSIONS, &message_with(&json!({ "message": text(number) }))))
        .collect();
    assert!(answers[..30].iter().all(|answer| answer.status == 202));
    let refused = answers[30].refused(429, "too-many-requests");
    assert_eq!(refused.document["fallback_text"], "Please call us on 555 0100, day and night.");
    assert!(refused.detail().contains("Please call us on 555 0100"), "{}", refused.detail());
    assert!(answers[30].header("retry-after").parse::<u64>().unwrap() > 0);
    assert_eq!(answers[30].header("ratelimit-policy"), "\"contact\";q=30;w=60");
    let intake = server.signed_in(Role::Intake);
    assert_eq!((ids(&intake, "").len(), ids(&intake, "&status=spam").len()), (5, 25));
    let id = ids(&intake, "&status=spam")[0].clone();
    assert_eq!(read(&intake, &id)["spam_reasons"], json!(["too_many"]));
    pass(&server, 60);
    send(&server, &message_with(&json!({ "message": text(99) })));
    pass(&server, 60);
    let events = eventually("the refusals are counted", || {
        Some(audit_events(&server, "contact_submission.throttle")).filter(|events| !events.is_empty())
    });
    assert_eq!((&events[0]["actor"]["kind"], &events[0]["count"]), (&json!("anonymous"), &json!(1)));
}

#[test]
fn nobody_is_suspected_for_a_slip_of_the_pen() {
    let server = TestServer::start();
    for _ in 0..10 {
        let wrong = message_with(&json!({ "email": MARKER }));
        server.anonymous().post(SUBMISSIONS, &wrong).refused(422, "invalid-body");
    }
    let id = send(&server, &message());
    assert_eq!(read(&server.signed_in(Role::Intake), &id)["spam_reasons"], json!([]));
}

#[test]
fn delivery_and_editors_go_on_during_a_flood() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    let editor = server.signed_in(Role::Editor);
    let (taken, refused) = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            at_once(16, |thread| {
                let send = |number: usize| {
                    let body = message_with(&json!({ "message": text(thread * 1000 + number) }));
                    server.anonymous().post(SUBMISSIONS, &body).status
                };
                (0..40).map(send).collect::<Vec<_>>()
            })
        });
        for number in 0..20 {
            server.anonymous().get("/api/v1/articles").expect(200);
            editor.post("/api/v1/manage/articles", &json!({ "title": format!("Article {number}") })).expect(201);
        }
        let statuses: Vec<u16> = flood.join().unwrap().into_iter().flatten().collect();
        statuses.into_iter().partition::<Vec<_>, _>(|status| *status == 202)
    });
    assert!(refused.iter().all(|status| *status == 503), "{refused:?}");
    let list = server.signed_in(Role::Intake).get(&format!("{MANAGED}?page=1&status=new,spam")).expect(200).json();
    assert_eq!(list["page"]["total_items"], taken.len());
}
