//! API keys: how they are made, what they may do, and when they end.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::{Account, PASSWORD, TestServer};
use crate::steps::{
    ME, USERS, audit_events, by_account, eventually, is_in_database, last_audit_event, pass, while_on_its_way,
};

const KEYS: &str = "/api/v1/manage/api-keys";
const OWN_KEYS: &str = "/api/v1/auth/me/api-keys";
const ARTICLES: &str = "/api/v1/manage/articles";
const DAY: i64 = 24 * 3600;

/// A key as its caller has it.
struct Key {
    id: String,
    secret: String,
    /// A caller with it.
    client: Client,
}

impl Key {
    #[track_caller]
    fn of(server: &TestServer, answer: &Response) -> Self {
        let answer = answer.clone().expect(201).json();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Self { id: text("id"), secret: text("key"), client: server.with_token(&text("key")) }
    }

    fn path(&self) -> String {
        format!("{KEYS}/{}", self.id)
    }
}

fn program_key(server: &TestServer, role: &str) -> Key {
    let body = json!({ "name": format!("A program as {role}"), "role": role });
    Key::of(server, &server.signed_in(Role::Admin).post(KEYS, &body))
}

fn own_draft(role: &str) -> Value {
    json!({ "name": "My laptop", "role": role, "current_password": PASSWORD })
}

fn own_key(server: &TestServer, account: &Account, role: &str) -> Key {
    Key::of(server, &server.sign_in(account).post(OWN_KEYS, &own_draft(role)))
}

fn user_path(account: &Account) -> String {
    format!("{USERS}/{}", account.id)
}

fn new_article(client: &Client, title: &str) -> Value {
    client.post(ARTICLES, &json!({ "title": title })).expect(201).json()
}

fn article_path(article: &Value) -> String {
    format!("{ARTICLES}/{}", article["id"].as_str().unwrap())
}

/// A moment in so many seconds, as a key's end is sent.
fn in_seconds(server: &TestServer, seconds: i64) -> Value {
    json!(server.app.clock.now().plus_seconds(seconds))
}

/// The seconds between two moments of an answer.
fn seconds_between(earlier: &Value, later: &Value) -> i64 {
    let moment = |value: &Value| chrono::DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap();
    (moment(later) - moment(earlier)).num_seconds()
}

#[test]
fn a_key_is_shown_once_and_only_its_hash_is_stored() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let account = server.account(Role::Editor);
    let person = server.sign_in(&account);
    let program = program_key(&server, "editor");
    let own = Key::of(&server, &person.post(OWN_KEYS, &own_draft("editor")));
    let own_path = format!("{OWN_KEYS}/{}", own.id);
    let shown = [
        admin.get(KEYS),
        admin.get(&program.path()),
        person.get(OWN_KEYS),
        person.get(&own_path),
        program.client.get(ME),
        admin.get("/api/v1/manage/audit-events?limit=100"),
    ];
    assert!(is_in_database(&server, b"A program as editor"), "the control: what is stored is found");
    for key in [&program.secret, &own.secret] {
        assert!(key.starts_with("cdk_") && key.len() == 50, "{key}");
        for answer in &shown {
            assert!(!answer.clone().expect(200).text().contains(&key[4..]), "{}", answer.asked);
        }
        assert!(!is_in_database(&server, key.as_bytes()) && !is_in_database(&server, &key.as_bytes()[4..44]));
    }
}

#[test]
fn keys_are_listed_the_newest_first_each_kind_to_who_manages_it() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let (account, other) = (server.account(Role::Editor), server.account(Role::Admin));
    let first = program_key(&server, "author");
    let own = own_key(&server, &account, "author");
    pass(&server, 1);
    let second = program_key(&server, "contributor");
    let ids = |client: &Client, path: &str| {
        let list = client.get(path).expect(200).json();
        list["items"].as_array().unwrap().iter().map(|key| key["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&admin, KEYS), [json!(second.id), json!(first.id)]);
    assert_eq!(ids(&server.sign_in(&account), OWN_KEYS), [json!(own.id)]);
    let stranger = server.sign_in(&other);
    assert!(ids(&stranger, OWN_KEYS).is_empty());
    // Neither a person's key among the programs' nor another's among the own, not even for an admin.
    for address in [format!("{KEYS}/{}", own.id), format!("{OWN_KEYS}/{}", own.id), format!("{OWN_KEYS}/{}", first.id)]
    {
        stranger.get(&address).refused(404, "not-found");
        stranger.delete(&address, "*").refused(404, "not-found");
    }
    own.client.get(ME).expect(200);
    first.client.get(ME).expect(200);
}

#[test]
fn no_key_has_a_role_that_keys_may_not_have() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    for role in ["admin", "intake", "owner", ""] {
        let body = json!({ "name": "A program", "role": role });
        admin.post(KEYS, &body).refused(422, "invalid-body").fault("/role");
        admin.post(OWN_KEYS, &own_draft(role)).refused(422, "invalid-body").fault("/role");
    }
    let nameless = json!({ "name": " ", "role": "editor", "current_password": PASSWORD });
    admin.post(OWN_KEYS, &nameless).refused(422, "invalid-body").fault("/name");
}

#[test]
fn an_own_key_may_no_more_than_its_person() {
    let server = TestServer::start();
    for (person, allowed, refused) in [
        (Role::Contributor, &["contributor"][..], &["author", "editor"][..]),
        (Role::Author, &["contributor", "author"], &["editor"]),
        (Role::Editor, &["contributor", "author", "editor"], &[]),
        (Role::Admin, &["contributor", "author", "editor"], &[]),
    ] {
        let client = server.signed_in(person);
        for role in allowed {
            client.post(OWN_KEYS, &own_draft(role)).expect(201);
        }
        for role in refused {
            let problem = client.post(OWN_KEYS, &own_draft(role)).refused(422, "invalid-body");
            assert_eq!(problem.fault("/role").code, "not_allowed");
        }
    }
    let intake = server.signed_in(Role::Intake);
    intake.post(OWN_KEYS, &own_draft("contributor")).refused(409, "conflict");
    assert_eq!(intake.get(OWN_KEYS).expect(200).json()["items"], json!([]));
}

#[test]
fn a_key_ends_after_ninety_days_or_when_it_was_told_to() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    for (path, mut body) in [(KEYS, json!({ "name": "A", "role": "author" })), (OWN_KEYS, own_draft("author"))] {
        let usual = admin.post(path, &body).expect(201).json();
        assert_eq!(seconds_between(&usual["created_at"], &usual["expires_at"]), 90 * DAY);
        for seconds in [-DAY, -1, 0, 367 * DAY, 10_000 * DAY] {
            body["expires_at"] = in_seconds(&server, seconds);
            let problem = admin.post(path, &body).refused(422, "invalid-body");
            assert_eq!(problem.fault("/expires_at").code, "out_of_range", "{seconds}");
        }
        for end in [json!("tomorrow"), json!(7)] {
            body["expires_at"] = end;
            admin.post(path, &body).refused(422, "invalid-body").fault("/expires_at");
        }
        body["expires_at"] = in_seconds(&server, 365 * DAY);
        assert_eq!(admin.post(path, &body).expect(201).json()["expires_at"], body["expires_at"]);
    }
}

#[test]
fn an_expired_key_is_refused() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let person = server.sign_in(&account);
    let mut drafts = [json!({ "name": "A", "role": "author" }), own_draft("author")];
    for draft in &mut drafts {
        draft["expires_at"] = in_seconds(&server, 3600);
    }
    let keys = [
        Key::of(&server, &server.signed_in(Role::Admin).post(KEYS, &drafts[0])),
        Key::of(&server, &person.post(OWN_KEYS, &drafts[1])),
    ];
    pass(&server, 3590);
    for key in &keys {
        key.client.get(ME).expect(200);
    }
    pass(&server, 11);
    for key in &keys {
        key.client.get(ME).refused(401, "unauthenticated");
        key.client.get(ARTICLES).refused(401, "unauthenticated");
    }
}

#[test]
fn a_revoked_key_is_refused_at_once() {
    let server = TestServer::start();
    let chief = server.account(Role::Admin);
    let admin = server.sign_in(&chief);
    let account = server.account(Role::Author);
    let person = server.sign_in(&account);
    let (program, own) = (program_key(&server, "author"), own_key(&server, &account, "author"));
    admin.request("DELETE", &program.path()).send().refused(428, "precondition-required");
    admin.delete(&program.path(), "\"v2\"").refused(412, "precondition-failed");
    program.client.get(ME).expect(200);
    let etag = admin.get(&program.path()).expect(200).etag().to_owned();
    admin.delete(&program.path(), &etag).expect(204);
    program.client.get(ME).refused(401, "unauthenticated");
    assert_eq!(last_audit_event(&server, "api_key.revoke"), (by_account(&chief), subject(&program)));
    let own_path = format!("{OWN_KEYS}/{}", own.id);
    person.request("DELETE", &own_path).send().expect(204);
    own.client.get(ME).refused(401, "unauthenticated");
    assert_eq!(last_audit_event(&server, "api_key.revoke"), (by_account(&account), subject(&own)));
    admin.get(&program.path()).refused(404, "not-found");
    person.get(&own_path).refused(404, "not-found");
    for (client, list) in [(&admin, KEYS), (&person, OWN_KEYS)] {
        assert_eq!(client.get(list).expect(200).json()["items"], json!([]));
    }
}

fn subject(key: &Key) -> Value {
    json!({ "kind": "api_key", "id": key.id })
}

#[test]
fn what_is_no_key_is_refused() {
    let server = TestServer::start();
    let key = program_key(&server, "editor").secret;
    let mistyped = |at: usize| {
        let mut bytes = key.clone().into_bytes();
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        String::from_utf8(bytes).unwrap()
    };
    let made_up = format!("cdk_{}", "A".repeat(46));
    let (upper, cut, longer) = (key.to_uppercase(), &key[..49], format!("{key}0"));
    for wrong in [&mistyped(4), &mistyped(30), &mistyped(43), &mistyped(49), &made_up, &upper, cut, &longer, "cdk_"] {
        let answer = server.with_token(wrong).get(ME);
        answer.refused(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
        assert!(wrong.len() < 20 || !answer.text().contains(&wrong[4..20]), "{wrong} comes back");
    }
    server.with_token(&key).get(ME).expect(200);
}

#[test]
fn a_key_says_when_it_was_last_used_at_most_once_a_minute() {
    let server = TestServer::start();
    let admin = server.account(Role::Admin);
    let admin = server.sign_in(&admin);
    let key = program_key(&server, "editor");
    let last_used_at = || admin.get(&key.path()).expect(200).json()["last_used_at"].clone();
    let noted_after = |before: &Value| {
        key.client.get(ME).expect(200);
        eventually("the use is noted", || Some(last_used_at()).filter(|at| at != before))
    };
    assert_eq!(last_used_at(), Value::Null);
    let first = noted_after(&Value::Null);
    pass(&server, 40);
    key.client.get(ME).expect(200);
    assert_eq!(last_used_at(), first);
    pass(&server, 25);
    let second = noted_after(&first);
    assert!(seconds_between(&first, &second) >= 60);
    key.client.get(ME).expect(200);
    assert_eq!(last_used_at(), second);
}

#[test]
fn a_key_says_who_it_is() {
    let server = TestServer::start();
    let account = server.account(Role::Admin);
    let (program, own) = (program_key(&server, "author"), own_key(&server, &account, "editor"));
    let me = program.client.get(ME).expect(200).json();
    let expected = json!({
        "id": program.id, "email": null, "name": "A program as author", "role": "author", "second_factor": false,
        "credential": "api_key",
    });
    assert_eq!(me, expected);
    let me = own.client.get(ME).expect(200).json();
    assert_eq!((&me["id"], &me["email"]), (&json!(account.id), &json!(account.email)));
    assert_eq!((&me["role"], &me["credential"]), (&json!("editor"), &json!("api_key")));
}

#[test]
fn an_own_key_never_may_more_than_its_person_may_now() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let key = own_key(&server, &account, "editor");
    let foreign = article_path(&new_article(&server.signed_in(Role::Admin), "Someone else's"));
    let now = |role: &str| {
        server.signed_in(Role::Admin).patch(&user_path(&account), "*", &json!({ "role": role })).expect(200);
    };
    key.client.get(&foreign).expect(200);
    now("contributor");
    assert_eq!(key.client.get(ME).expect(200).json()["role"], "contributor");
    key.client.get(&foreign).refused(404, "not-found");
    let body = json!({ "name": "An author" });
    key.client.post("/api/v1/manage/authors", &body).refused(403, "forbidden");
    // Neither role contains the other, so nothing is left.
    now("intake");
    key.client.get(ME).refused(401, "unauthenticated");
    now("admin");
    assert_eq!(key.client.get(ME).expect(200).json()["role"], "editor");
    key.client.get(USERS).refused(403, "forbidden");
    key.client.get(&foreign).expect(200);
}

#[test]
fn an_own_key_is_void_while_its_person_is_disabled() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let key = own_key(&server, &account, "author");
    let admin = server.signed_in(Role::Admin);
    let disabled = |disabled: bool| {
        admin.patch(&user_path(&account), "*", &json!({ "disabled": disabled })).expect(200);
    };
    disabled(true);
    key.client.get(ME).refused(401, "unauthenticated");
    key.client.post(ARTICLES, &json!({ "title": "No" })).refused(401, "unauthenticated");
    disabled(false);
    new_article(&key.client, "Yes");
}

#[test]
fn an_own_key_dies_with_its_account() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let key = own_key(&server, &account, "author");
    key.client.get(ME).expect(200);
    server.signed_in(Role::Admin).delete(&user_path(&account), "*").expect(204);
    key.client.get(ME).refused(401, "unauthenticated");
}

#[test]
fn a_new_password_revokes_own_keys_whoever_sets_it() {
    let server = TestServer::start();
    let (admin, fresh) = (server.signed_in(Role::Admin), "another long and secret phrase");
    let (by_self, by_admin) = (server.account(Role::Author), server.account(Role::Author));
    let programs = program_key(&server, "author");
    let keys = [own_key(&server, &by_self, "author"), own_key(&server, &by_admin, "author")];
    let body = json!({ "password": fresh, "current_password": PASSWORD });
    server.sign_in(&by_self).request("PATCH", ME).json(&body).send().expect(200);
    admin.patch(&user_path(&by_admin), "*", &json!({ "password": fresh })).expect(200);
    for key in &keys {
        key.client.get(ME).refused(401, "unauthenticated");
    }
    let listed = server.with_token(&server.token(&by_self.email, fresh)).get(OWN_KEYS).expect(200).json();
    assert_eq!(listed["items"], json!([]));
    programs.client.get(ME).expect(200);
}

#[test]
fn an_own_key_is_void_where_its_person_must_have_a_second_factor_and_has_none() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let (key, programs) = (own_key(&server, &account, "author"), program_key(&server, "editor"));
    let (own, program) = (key.client.token().to_owned(), programs.client.token().to_owned());
    let mut config = server.app.config.clone();
    config.second_factor_roles = vec![Role::Editor];
    let server = TestServer::start_in(server.keep(), config);
    server.with_token(&own).get(ME).refused(401, "unauthenticated");
    server.with_token(&program).get(ME).expect(200);
}

#[test]
fn a_programs_key_outlives_the_admin_who_made_it() {
    let server = TestServer::start();
    let account = server.account(Role::Admin);
    let body = json!({ "name": "A program", "role": "author" });
    let key = Key::of(&server, &server.sign_in(&account).post(KEYS, &body));
    server.signed_in(Role::Admin).delete(&user_path(&account), "*").expect(204);
    key.client.get(ME).expect(200);
}

#[test]
fn an_own_key_needs_the_password() {
    let server = TestServer::start();
    let client = server.sign_in(&server.account(Role::Author));
    let mut draft = own_draft("author");
    draft["current_password"] = json!("another long and secret phrase");
    let wrong = client.post(OWN_KEYS, &draft).refused(422, "invalid-body");
    assert_eq!(wrong.fault("/current_password").code, "wrong");
    draft.as_object_mut().unwrap().shift_remove("current_password");
    client.post(OWN_KEYS, &draft).refused(422, "invalid-body").fault("/current_password");
    assert_eq!(client.get(OWN_KEYS).expect(200).json()["items"], json!([]));
    let made = client.post(OWN_KEYS, &own_draft("author")).expect(201);
    assert_eq!(made.header("location"), format!("{OWN_KEYS}/{}", made.json()["id"].as_str().unwrap()));
    assert_eq!(made.header("cache-control"), "no-store");
}

#[test]
fn what_a_key_writes_says_who_wrote_it_for_ever() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let account = server.account(Role::Author);
    let (program, own) = (program_key(&server, "author"), own_key(&server, &account, "contributor"));
    let by_program = new_article(&program.client, "By a program");
    let by_person = new_article(&own.client, "By a person");
    let program_name = json!({ "id": program.id, "name": "A program as author" });
    let person_name = json!({ "id": account.id, "name": "The author" });
    let saved_by = |article: &Value| admin.get(&article_path(article)).expect(200).json()["saved_by"].clone();
    assert_eq!((saved_by(&by_program), saved_by(&by_person)), (program_name.clone(), person_name.clone()));
    admin.delete(&program.path(), "*").expect(204);
    let own_path = format!("{OWN_KEYS}/{}", own.id);
    server.sign_in(&account).request("DELETE", &own_path).send().expect(204);
    assert_eq!((saved_by(&by_program), saved_by(&by_person)), (program_name, person_name));
    let created = audit_events(&server, "article.create");
    let by_key = |kind: &str, id: &Value, key: &Key| json!({ "kind": kind, "id": id, "api_key": key.id });
    assert_eq!(created[0]["actor"], by_key("user", &json!(account.id), &own));
    assert_eq!(created[1]["actor"], by_key("api_key", &json!(program.id), &program));
    let path = format!("/api/v1/manage/audit-events?actor={}", program.id);
    assert_eq!(admin.get(&path).expect(200).json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_contributors_key_sees_what_it_made_and_nothing_else() {
    let server = TestServer::start();
    let account = server.account(Role::Contributor);
    let person = server.sign_in(&account);
    let own = Key::of(&server, &person.post(OWN_KEYS, &own_draft("contributor")));
    let (program, other) = (program_key(&server, "contributor"), program_key(&server, "contributor"));
    let articles = [
        (&program.client, new_article(&program.client, "By a program")),
        (&other.client, new_article(&other.client, "By another program")),
        (&person, new_article(&person, "By a person")),
    ];
    for (maker, article) in &articles {
        for client in [&program.client, &other.client, &person] {
            let answer = client.get(&article_path(article));
            assert_eq!(answer.status == 200, client.token() == maker.token(), "{}", answer.shown());
        }
        let list = maker.get(ARTICLES).expect(200).json();
        assert_eq!(list["items"].as_array().unwrap().len(), 1);
        assert_eq!(list["items"][0]["id"], article["id"]);
    }
    let foreign = article_path(&articles[1].1);
    let body = json!({ "title": "Mine now" });
    program.client.patch(&foreign, "*", &body).refused(404, "not-found");
    program.client.delete(&foreign, "*").refused(404, "not-found");
    // A person's key has the person's articles, whichever of the two made them.
    own.client.get(&article_path(&articles[2].1)).expect(200);
    person.get(&article_path(&new_article(&own.client, "By the person's key"))).expect(200);
}

#[test]
fn a_key_that_is_only_tried_out_is_not_made() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let path = format!("{KEYS}?validate_only=true");
    let tried = admin.post(&path, &json!({ "name": "A", "role": "author" })).expect(200);
    assert_eq!(tried.find_header("location"), None);
    if let Some(key) = tried.json()["key"].as_str() {
        server.with_token(key).get(ME).refused(401, "unauthenticated");
    }
    assert_eq!(admin.get(KEYS).expect(200).json()["items"], json!([]));
    assert!(audit_events(&server, "api_key.create").is_empty());
    admin.post(&path, &json!({ "name": "A", "role": "admin" })).refused(422, "invalid-body").fault("/role");
    let key = program_key(&server, "author");
    let tried = admin.delete(&format!("{}?validate_only=true", key.path()), "*").expect(200);
    assert_eq!(tried.json()["id"], key.id);
    key.client.get(ME).expect(200);
}

/// A key made on the side would outlive the sign-in that it was made with.
#[test]
fn what_was_on_its_way_when_the_sign_in_ended_makes_no_key() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let (admin, thief) = (server.signed_in(Role::Admin), server.sign_in(&account));
    let status = while_on_its_way(&server, ("POST", OWN_KEYS), &thief, &own_draft("editor"), || {
        admin.patch(&user_path(&account), "*", &json!({ "role": "contributor" })).expect(200);
    });
    assert_eq!(status, 401);
    assert_eq!(server.sign_in(&account).get(OWN_KEYS).expect(200).json()["items"], json!([]));
}

#[test]
fn making_a_key_is_audited() {
    let server = TestServer::start();
    let chief = server.account(Role::Admin);
    let body = json!({ "name": "A program", "role": "author" });
    let program = Key::of(&server, &server.sign_in(&chief).post(KEYS, &body));
    assert_eq!(last_audit_event(&server, "api_key.create"), (by_account(&chief), subject(&program)));
    let account = server.account(Role::Contributor);
    let own = own_key(&server, &account, "contributor");
    assert_eq!(last_audit_event(&server, "api_key.create"), (by_account(&account), subject(&own)));
}
