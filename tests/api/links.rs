//! Invitations and resets: links that set a password once, the page that they open, and mailing them.

use std::net::TcpListener;

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::{Account, PASSWORD, TestServer};
use crate::mailbox::{Mailbox, mailing_to};
use crate::steps::{
    ME, SignIn, USERS, at_once, audit_events, by_account, is_in_database, last_audit_event, log_in, pass,
};

const CHOSEN: &str = "a long and secret phrase";
const ANOTHER: &str = "another long and secret phrase";
const HOUR: i64 = 3600;
const WEEK: i64 = 7 * 24 * HOUR;

/// Makes an account without a password.
fn invite(admin: &Client, email: &str) -> Value {
    admin.post(USERS, &json!({ "email": email, "name": "Ada", "role": "author" })).expect(201).json()
}

fn user_path(id: &Value) -> String {
    format!("{USERS}/{}", id.as_str().unwrap())
}

fn make_link(admin: &Client, id: &Value) -> Value {
    admin.request("POST", &format!("{}/password-links", user_path(id))).send().expect(200).json()
}

fn reset_link(server: &TestServer, account: &Account) -> Value {
    make_link(&server.signed_in(Role::Admin), &json!(account.id))
}

/// What stands behind `#` in a link.
fn token_of(link: &Value) -> String {
    token_in(link["url"].as_str().expect("a link that is shown"))
}

fn token_in(url: &str) -> String {
    url.split_once('#').unwrap().1.to_owned()
}

fn redeem(server: &TestServer, token: &str, password: &str) -> Response {
    server.anonymous().post("/api/v1/auth/redeem", &json!({ "token": token, "password": password }))
}

#[track_caller]
fn assert_not_good(answer: &Response) {
    let problem = answer.refused(422, "invalid-body");
    assert_eq!(problem.fault("/token").code, "not_valid");
    assert_eq!(problem.faults().len(), 1);
}

#[test]
fn an_account_without_a_password_comes_with_an_invitation() {
    let server = TestServer::start();
    let chief = server.account(Role::Admin);
    let admin = server.sign_in(&chief);
    let answer = admin.post(USERS, &json!({ "email": "ada@example.org", "name": "Ada", "role": "author" }));
    assert_eq!(answer.clone().expect(201).header("cache-control"), "no-store");
    let user = answer.json();
    let link = &user["invitation"];
    assert_eq!((&link["purpose"], &link["mailed"]), (&json!("invitation"), &json!(false)));
    let url = link["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{}#cdl_", server.app.config.redeem_url)), "{url}");
    log_in(&server, "ada@example.org", CHOSEN).refused(401, "invalid-credentials");
    let redeemed = redeem(&server, &token_of(link), CHOSEN).expect(204);
    assert!(redeemed.body.is_empty() && redeemed.find_header("ratelimit").is_some());
    log_in(&server, "ada@example.org", CHOSEN).expect(200);
    let (actor, subject) = last_audit_event(&server, "user.invite");
    assert_eq!((actor, &subject["id"]), (by_account(&chief), &user["id"]));
    let (actor, subject) = last_audit_event(&server, "user.set_password");
    assert_eq!((&actor["id"], &subject["id"]), (&user["id"], &user["id"]));
}

#[test]
fn an_account_with_a_password_comes_without() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let body = json!({ "email": "ada@example.org", "name": "Ada", "role": "author", "password": CHOSEN });
    assert_eq!(admin.post(USERS, &body).expect(201).json()["invitation"], Value::Null);
    let tried = json!({ "email": "bob@example.org", "name": "Bob", "role": "author" });
    let answer = admin.post(&format!("{USERS}?validate_only=true"), &tried).expect(200).json();
    assert_eq!(answer["invitation"], Value::Null);
}

#[test]
fn a_link_works_once() {
    let server = TestServer::start();
    let token = token_of(&invite(&server.signed_in(Role::Admin), "ada@example.org")["invitation"]);
    redeem(&server, &token, CHOSEN).expect(204);
    assert_not_good(&redeem(&server, &token, ANOTHER));
    log_in(&server, "ada@example.org", CHOSEN).expect(200);
}

#[test]
fn of_parallel_redemptions_one_wins() {
    let server = TestServer::start();
    let token = token_of(&invite(&server.signed_in(Role::Admin), "ada@example.org")["invitation"]);
    let passwords: Vec<String> = (0..8).map(|number| format!("{number} long and secret phrases")).collect();
    let answers = at_once(passwords.len(), |number| redeem(&server, &token, &passwords[number]));
    let won: Vec<_> = (0..passwords.len()).filter(|number| answers[*number].status == 204).collect();
    assert_eq!(won.len(), 1);
    answers.iter().filter(|answer| answer.status != 204).for_each(assert_not_good);
    log_in(&server, "ada@example.org", &passwords[won[0]]).expect(200);
}

#[test]
fn a_password_that_is_refused_does_not_spend_the_link() {
    let server = TestServer::start();
    let token = token_of(&invite(&server.signed_in(Role::Admin), "ada.of.port.ellery@example.org")["invitation"]);
    let too_long = "x".repeat(129);
    for password in ["too short", "ada.of.port.ellery@example.org", "passwordpassword", &too_long] {
        redeem(&server, &token, password).refused(422, "invalid-body").fault("/password");
    }
    redeem(&server, &token, CHOSEN).expect(204);
}

#[test]
fn an_invitation_is_good_for_a_week_and_a_reset_for_an_hour() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let invited = |email: &str| invite(&server.signed_in(Role::Admin), email)["invitation"].clone();
    for (purpose, seconds, link) in
        [("invitation", WEEK, invited("ada@example.org")), ("reset", HOUR, reset_link(&server, &account))]
    {
        assert_eq!(link["purpose"], purpose);
        pass(&server, seconds - 10);
        redeem(&server, &token_of(&link), "too short").refused(422, "invalid-body").fault("/password");
        pass(&server, 11);
        assert_not_good(&redeem(&server, &token_of(&link), CHOSEN));
    }
}

#[test]
fn another_link_voids_the_first() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let user = invite(&admin, "ada@example.org");
    let tried = format!("{}/password-links?validate_only=true", user_path(&user["id"]));
    let answer = admin.request("POST", &tried).send().expect(200).json();
    assert_eq!((&answer["url"], &answer["mailed"]), (&Value::Null, &json!(false)));
    let first = token_of(&user["invitation"]);
    redeem(&server, &first, "too short").refused(422, "invalid-body").fault("/password");
    let second = make_link(&admin, &user["id"]);
    assert_eq!(second["purpose"], "invitation", "there is no password yet");
    assert_not_good(&redeem(&server, &first, CHOSEN));
    redeem(&server, &token_of(&second), CHOSEN).expect(204);
}

#[test]
fn a_reset_sets_another_password_and_ends_the_sign_ins() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let sign_in = SignIn::begin(&server, &account);
    let link = reset_link(&server, &account);
    let sign_in = sign_in.assert_stands(&server);
    log_in(&server, &account.email, PASSWORD).expect(200);
    redeem(&server, &token_of(&link), CHOSEN).expect(204);
    sign_in.assert_ended(&server);
    log_in(&server, &account.email, PASSWORD).refused(401, "invalid-credentials");
    log_in(&server, &account.email, CHOSEN).expect(200);
    assert_eq!(last_audit_event(&server, "user.make_reset_link").1["id"], json!(account.id));
}

#[test]
fn what_makes_a_link_pointless_voids_it() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    for change in [
        json!({ "password": ANOTHER }),
        json!({ "email": "new@example.org" }),
        json!({ "role": "editor" }),
        json!({ "disabled": true }),
    ] {
        let account = server.account(Role::Author);
        let token = token_of(&reset_link(&server, &account));
        let path = user_path(&json!(account.id));
        admin.patch(&path, "*", &change).expect(200);
        assert_not_good(&redeem(&server, &token, CHOSEN));
        admin.patch(&path, "*", &json!({ "disabled": false })).expect(200);
        assert_not_good(&redeem(&server, &token, CHOSEN));
    }
    let account = server.account(Role::Author);
    let token = token_of(&reset_link(&server, &account));
    let body = json!({ "password": ANOTHER, "current_password": PASSWORD });
    server.sign_in(&account).request("PATCH", ME).json(&body).send().expect(200);
    assert_not_good(&redeem(&server, &token, CHOSEN));
    let token = token_of(&reset_link(&server, &account));
    admin.delete(&user_path(&json!(account.id)), "*").expect(204);
    assert_not_good(&redeem(&server, &token, CHOSEN));
}

#[test]
fn a_disabled_account_gets_no_link_and_redeems_none() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let token = token_of(&reset_link(&server, &account));
    // Past the endpoint that voids its link: the account itself is looked at, too.
    server.disable(&account);
    assert_not_good(&redeem(&server, &token, CHOSEN));
    let admin = server.signed_in(Role::Admin);
    let path = format!("{}/password-links", user_path(&json!(account.id)));
    admin.request("POST", &path).send().refused(409, "conflict");
    let nobody = format!("{USERS}/{}/password-links", uuid::Uuid::now_v7());
    admin.request("POST", &nobody).send().refused(404, "not-found");
}

#[test]
fn what_is_no_link_is_refused() {
    let server = TestServer::start();
    let token = token_of(&invite(&server.signed_in(Role::Admin), "ada@example.org")["invitation"]);
    let unknown = format!("cdl_{}", "A".repeat(43));
    let (upper, whole) = (token.to_uppercase(), format!("http://x/redeem#{token}"));
    for wrong in ["x", "cdl_", &unknown, &token[4..], &token[..40], &upper, &whole, "' OR 1=1 --"] {
        let answer = redeem(&server, wrong, CHOSEN);
        assert_not_good(&answer);
        assert!(wrong.len() < 5 || !answer.text().contains(wrong), "{wrong} comes back");
    }
    for malformed in [json!(""), json!("x".repeat(101)), json!(null), json!(7)] {
        let body = json!({ "token": malformed, "password": CHOSEN });
        server.anonymous().post("/api/v1/auth/redeem", &body).refused(422, "invalid-body").fault("/token");
    }
    redeem(&server, &token, CHOSEN).expect(204);
}

#[test]
fn links_are_stored_as_hashes_alone_and_never_shown_again() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let user = invite(&admin, "ada@example.org");
    let token = token_of(&user["invitation"]);
    assert!(is_in_database(&server, b"ada@example.org"), "the control: what is stored is found");
    assert!(!is_in_database(&server, token.as_bytes()) && !is_in_database(&server, &token.as_bytes()[4..]));
    for path in [USERS, &user_path(&user["id"]), "/api/v1/manage/audit-events?limit=100"] {
        assert!(!admin.get(path).expect(200).text().contains("cdl_"), "{path}");
    }
}

#[test]
fn a_setting_says_which_page_a_link_opens() {
    let server = TestServer::start_with(|config| config.redeem_url = "https://www.example.org/welcome".to_owned());
    let user = invite(&server.signed_in(Role::Admin), "ada@example.org");
    let url = user["invitation"]["url"].as_str().unwrap();
    assert!(url.starts_with("https://www.example.org/welcome#cdl_"), "{url}");
}

/// A file of the page, past the document, which knows none of them.
fn page_file(server: &TestServer, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let (status, answer) = server.anonymous().raw_answer(request.as_bytes());
    assert_eq!(status, 200, "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn the_page_of_a_link_keeps_its_secret() {
    let server = TestServer::start();
    for (path, media_type) in [("/redeem", "text/html"), ("/redeem.js", "text/javascript")] {
        let (head, body) = page_file(&server, path);
        assert!(head.contains(&format!("content-type: {media_type}")), "{head}");
        for header in ["cache-control: no-store", "referrer-policy: no-referrer", "x-content-type-options: nosniff"] {
            assert!(head.contains(header), "{path} is without {header}: {head}");
        }
        let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
        for part in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.split(';').any(|directive| directive.trim() == part), "{path}: {policy}");
        }
        let script = policy.split(';').find(|directive| directive.trim().starts_with("script-src")).unwrap();
        assert!(!script.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert!(!body.contains("http://") && !body.contains("https://") && !body.contains("\"//"), "{path}");
    }
    let (_, html) = page_file(&server, "/redeem");
    assert_eq!(html.matches("<script").count(), 1, "no script within the page: its policy would not run it");
    assert!(html.contains("<script src=\"/redeem.js\"></script>"));
    // Out of the address bar before anything else can read it.
    let (_, script) = page_file(&server, "/redeem.js");
    assert!(script.contains("history.replaceState") && script.contains("/api/v1/auth/redeem"));
}

/// The address of the link in a mail.
fn link_in(mail: &str) -> String {
    let mut words = mail.split_whitespace();
    words.find(|word| word.starts_with("http")).unwrap_or_else(|| panic!("no link in {mail}")).to_owned()
}

#[test]
fn an_invitation_is_mailed_and_not_shown() {
    let mailbox = Mailbox::open();
    let server = TestServer::start_with(mailing_to(mailbox.port));
    let user = invite(&server.signed_in(Role::Admin), "ada@example.org");
    assert_eq!((&user["invitation"]["url"], &user["invitation"]["mailed"]), (&Value::Null, &json!(true)));
    let mail = mailbox.mail();
    for line in ["MAIL FROM:<cms@example.org>", "RCPT TO:<ada@example.org>", "To: ada@example.org", "a week"] {
        assert!(mail.contains(line), "{line} is not in {mail}");
    }
    let link = link_in(&mail);
    assert!(link.starts_with(&format!("{}#cdl_", server.app.config.redeem_url)), "{link}");
    redeem(&server, &token_in(&link), CHOSEN).expect(204);
    log_in(&server, "ada@example.org", CHOSEN).expect(200);
    assert!(!audit_events(&server, "user.invite").is_empty());
}

#[test]
fn a_reset_is_mailed_and_not_shown() {
    let mailbox = Mailbox::open();
    let server = TestServer::start_with(mailing_to(mailbox.port));
    let account = server.account(Role::Author);
    let link = reset_link(&server, &account);
    assert_eq!((&link["url"], &link["mailed"]), (&Value::Null, &json!(true)));
    let mail = mailbox.mail();
    assert!(mail.contains(&format!("RCPT TO:<{}>", account.email)) && mail.contains("an hour"), "{mail}");
    redeem(&server, &token_in(&link_in(&mail)), CHOSEN).expect(204);
    log_in(&server, &account.email, CHOSEN).expect(200);
}

#[test]
fn what_is_only_tried_out_mails_nothing() {
    let mailbox = Mailbox::open();
    let server = TestServer::start_with(mailing_to(mailbox.port));
    let admin = server.signed_in(Role::Admin);
    let account = server.account(Role::Author);
    let path = format!("{}/password-links?validate_only=true", user_path(&json!(account.id)));
    admin.request("POST", &path).send().expect(200);
    let body = json!({ "email": "ada@example.org", "name": "Ada", "role": "author" });
    admin.post(&format!("{USERS}?validate_only=true"), &body).expect(200);
    assert!(mailbox.is_empty());
}

/// A port that nobody listens on any more.
fn dead_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn a_link_that_the_mail_server_does_not_take_is_shown() {
    let server = TestServer::start_with(mailing_to(dead_port()));
    let user = invite(&server.signed_in(Role::Admin), "ada@example.org");
    assert_eq!(user["invitation"]["mailed"], false);
    redeem(&server, &token_of(&user["invitation"]), CHOSEN).expect(204);
    let link = make_link(&server.signed_in(Role::Admin), &user["id"]);
    assert_eq!((&link["purpose"], &link["mailed"]), (&json!("reset"), &json!(false)));
    redeem(&server, &token_of(&link), ANOTHER).expect(204);
}

#[test]
fn a_link_to_an_address_that_the_mail_server_refuses_is_shown() {
    let mailbox = Mailbox::open();
    let server = TestServer::start_with(mailing_to(mailbox.port));
    let user = invite(&server.signed_in(Role::Admin), "refused@example.org");
    assert_eq!(user["invitation"]["mailed"], false);
    redeem(&server, &token_of(&user["invitation"]), CHOSEN).expect(204);
    assert!(mailbox.is_empty());
    // A refused mail spoils nothing for the next one.
    assert_eq!(invite(&server.signed_in(Role::Admin), "ada@example.org")["invitation"]["mailed"], true);
    mailbox.mail();
}
