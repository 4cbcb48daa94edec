//! Telling people that something has come: a link and a count, once, also after a mail server was down.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::contact::{MANAGED, SUBMISSIONS, message, message_with, read, send};
use crate::contact_forms::change_default;
use crate::harness::{MARKER, TestServer, is_personal};
use crate::mailbox::{Mailbox, mailing_to};
use crate::steps::{eventually, pass};

const RECIPIENT: &str = "desk@example.org";

fn mailing_server(mailbox: &Mailbox) -> TestServer {
    let server = TestServer::start_with(mailing_to(mailbox.port));
    change_default(&server, &json!({ "recipients": [RECIPIENT] }));
    server
}

fn text(number: usize) -> Value {
    message_with(&json!({ "message": format!("{MARKER} {number}") }))
}

#[test]
fn a_message_is_told_of_by_a_link_and_a_count() {
    let mailbox = Mailbox::open();
    let server = mailing_server(&mailbox);
    send(&server, &message());
    let mail = mailbox.mail();
    for line in
        [&format!("RCPT TO:<{RECIPIENT}>"), "1 message has come by the form \"default\"", &server.app.config.inbox_url]
    {
        assert!(mail.contains(line), "{line} is not in {mail}");
    }
    assert!(!is_personal(mail.as_bytes()), "{mail}");
    // What comes soon after is told of together.
    for number in 0..3 {
        send(&server, &text(number));
    }
    pass(&server, 61);
    assert!(mailbox.mail().contains("3 messages have come"));
}

#[test]
fn spam_is_told_of_when_it_turns_out_to_be_none() {
    let mailbox = Mailbox::open();
    let server = mailing_server(&mailbox);
    let id = send(&server, &message_with(&json!({ "website": "x" })));
    let intake = server.signed_in(Role::Intake);
    assert_eq!(read(&intake, &id)["status"], "spam");
    let path = format!("{MANAGED}/{id}");
    intake.patch(&path, "*", &json!({ "note": format!("{MARKER}: looks real") })).expect(200);
    intake.patch(&path, "*", &json!({ "status": "new" })).expect(200);
    assert!(mailbox.mail().contains("1 message has come"));
    intake.patch(&path, "*", &json!({ "status": "spam" })).expect(200);
    intake.patch(&path, "*", &json!({ "status": "closed" })).expect(200);
    pass(&server, 120);
    send(&server, &text(1));
    assert!(mailbox.mail().contains("1 message has come"), "nothing is told twice");
}

#[test]
fn what_is_urgent_is_said_so_with_the_words_that_made_it_so() {
    let mailbox = Mailbox::open();
    let server = mailing_server(&mailbox);
    let words = json!({ "message": format!("I don’t want to go on, I took an Overdose {MARKER}") });
    let usual = server.anonymous().post(SUBMISSIONS, &message_with(&words)).expect(202).json();
    assert_eq!(usual["crisis_text"], Value::Null, "it is off by default");
    assert!(mailbox.mail().contains("The contact form has something"));
    let crisis = "Call 988 now: somebody answers day and night.";
    change_default(&server, &json!({ "urgent_phrases": ["overdose", "kill myself"], "crisis_text": crisis }));
    let urgent = server.anonymous().post(SUBMISSIONS, &message_with(&words)).expect(202).json();
    assert_eq!(urgent["crisis_text"], crisis);
    let mail = mailbox.mail();
    assert!(mail.contains("Subject: Urgent") && !is_personal(mail.as_bytes()) && !mail.contains("verdose"), "{mail}");
    let read = read(&server.signed_in(Role::Intake), urgent["id"].as_str().unwrap());
    assert_eq!((&read["urgent"], &read["urgent_phrases"]), (&json!(true), &json!(["overdose"])));
    let calm = server.anonymous().post(SUBMISSIONS, &text(1)).expect(202).json();
    assert_eq!(calm["crisis_text"], Value::Null);
}

#[test]
fn a_dead_mail_server_costs_nobody_anything_and_nothing_is_lost() {
    let port = Mailbox::open().close();
    let server = TestServer::start_with(mailing_to(port));
    change_default(&server, &json!({ "recipients": [RECIPIENT] }));
    for number in 0..3 {
        send(&server, &text(number));
    }
    // Also over a restart.
    let config = server.app.config.clone();
    let server = TestServer::start_in(server.keep(), config);
    let mailbox = Mailbox::open_at(port);
    let mail = eventually("the mail is tried again", || {
        pass(&server, 60);
        (!mailbox.is_empty()).then(|| mailbox.mail())
    });
    assert!(mail.contains("3 messages have come"), "{mail}");
}

#[test]
fn a_mail_server_that_never_answers_slows_no_intake() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = TestServer::start_with(mailing_to(silent.local_addr().unwrap().port()));
    change_default(&server, &json!({ "recipients": [RECIPIENT] }));
    send(&server, &text(0));
    // The mail hangs by now, and its patience is longer than all that follows may take.
    let _held = silent.accept().unwrap();
    let begun = Instant::now();
    for number in 1..4 {
        send(&server, &text(number));
    }
    server.anonymous().get("/healthz").expect(200);
    assert!(begun.elapsed() < Duration::from_secs(8));
}

#[test]
fn an_announcement_is_mailed_to_the_other_intake_accounts() {
    let mailbox = Mailbox::open();
    let server = TestServer::start_with(mailing_to(mailbox.port));
    let watcher = server.account(Role::Intake);
    let admin = server.signed_in(Role::Admin);
    let draft = json!({ "email": "new@example.org", "name": "New Person", "role": "intake", "password": "a long and secret phrase" });
    admin.post("/api/v1/manage/users", &draft).expect(201);
    let mail = mailbox.mail();
    for line in [&format!("RCPT TO:<{}>", watcher.email), "Access to an intake account", "New Person", "Look at this"] {
        assert!(mail.contains(line), "{line} is not in {mail}");
    }
}

#[test]
fn who_silences_the_others_first_is_told_of_by_that_very_act() {
    let mailbox = Mailbox::open();
    let server = TestServer::start_with(mailing_to(mailbox.port));
    let watcher = server.account(Role::Intake);
    let admin = server.signed_in(Role::Admin);
    let path = format!("/api/v1/manage/users/{}", watcher.id);
    admin.patch(&path, "*", &json!({ "role": "editor" })).expect(200);
    assert!(mailbox.mail().contains(&format!("RCPT TO:<{}>", watcher.email)));
    pass(&server, 10);
    let draft =
        json!({ "email": "new@example.org", "name": "New", "role": "intake", "password": "a long and secret phrase" });
    admin.post("/api/v1/manage/users", &draft).expect(201);
    let mail = mailbox.mail();
    assert!(mail.contains(&format!("RCPT TO:<{}>", watcher.email)) && mail.contains("New"), "{mail}");
}

#[test]
fn an_emergency_among_too_many_is_told_of_and_a_page_can_say_so() {
    let mailbox = Mailbox::open();
    let server = mailing_server(&mailbox);
    let patch = json!({ "urgent_phrases": ["overdose"], "redirect_origins": ["https://www.example.org"] });
    change_default(&server, &patch);
    for number in 0..5 {
        send(&server, &text(number));
    }
    assert!(mailbox.mail().contains("come by the form"));
    let redirect = "https://www.example.org/thanks";
    let urgent = json!({ "message": format!("An overdose {MARKER}"), "redirect_to": redirect, "form": null });
    let led = server.anonymous().post(SUBMISSIONS, &message_with(&urgent)).expect(303);
    assert_eq!(led.header("location"), format!("{redirect}#urgent"));
    let mail = eventually("the urgent mail comes", || {
        (!mailbox.is_empty()).then(|| mailbox.mail()).filter(|mail| mail.contains("Subject: Urgent"))
    });
    assert!(mail.contains("1 message has come"), "{mail}");
    assert_eq!(
        server.signed_in(Role::Intake).get(&format!("{MANAGED}?status=spam")).expect(200).json()["items"][0]["urgent"],
        true
    );
}
