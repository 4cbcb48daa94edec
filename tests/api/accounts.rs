//! Accounts, as admins manage them, and the audit trail.

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::Client;
use crate::harness::TestServer;

const USERS: &str = "/api/v1/manage/users";
const SECRET: &str = "a long and secret phrase";

fn log_in(anyone: &Client, email: &str, password: &str) -> u16 {
    anyone.post("/api/v1/auth/login", &json!({ "email": email, "password": password })).status
}

fn new_user(admin: &Client, email: &str, role: &str) -> Value {
    let body = json!({ "email": email, "name": "Someone", "role": role, "password": SECRET });
    admin.post(USERS, &body).expect(201).json()
}

fn path_of(user: &Value) -> String {
    format!("{USERS}/{}", user["id"].as_str().unwrap())
}

#[test]
fn an_account_is_made_read_changed_and_deleted() {
    let server = TestServer::start();
    let (admin, anyone) = (server.signed_in(Role::Admin), server.anonymous());
    let user = new_user(&admin, "Ada@Example.org", "editor");
    assert_eq!(log_in(&anyone, "ada@example.ORG", SECRET), 200);
    let path = path_of(&user);
    let mut account = user.clone();
    assert_eq!(account.as_object_mut().unwrap().shift_remove("invitation"), Some(Value::Null));
    assert_eq!(admin.get(&path).expect(200).json(), account);
    let same =
        admin.post(USERS, &json!({ "email": "ADA@example.org", "name": "B", "role": "author", "password": SECRET }));
    same.refused(409, "conflict");
    let changed = admin.patch(&path, "\"v1\"", &json!({ "role": "author", "name": "Ada" })).expect(200);
    assert_eq!((&changed.json()["role"], changed.etag()), (&json!("author"), "\"v2\""));
    admin.patch(&path, "\"v1\"", &json!({ "name": "Late" })).refused(412, "precondition-failed");
    admin.request("PATCH", &path).json(&json!({})).send().refused(428, "precondition-required");
    let listed = admin.get(&format!("{USERS}?role=author")).expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    admin.patch(&path, "*", &changed.json()).expect(200);
    let problem =
        admin.patch(&path, "*", &json!({ "id": "019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1" })).refused(422, "invalid-body");
    assert_eq!(problem.fault("/id").code, "read_only");
    admin.delete(&path, "*").expect(204);
    admin.get(&path).refused(404, "not-found");
    assert_eq!(log_in(&anyone, "ada@example.org", SECRET), 401);
}

#[test]
fn bad_accounts_are_refused_with_all_their_faults() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let body = json!({ "email": "no address", "name": " ", "role": "owner", "password": "too short", "pasword": 1 });
    let problem = admin.post(USERS, &body).refused(422, "invalid-body");
    for pointer in ["/email", "/name", "/role", "/password", "/pasword"] {
        problem.fault(pointer);
    }
    let own_email = "someone.with.a.long.name@example.org";
    for password in [own_email, "passwordpassword", &"x".repeat(129)] {
        let body = json!({ "email": own_email, "name": "S", "role": "author", "password": password });
        admin.post(USERS, &body).refused(422, "invalid-body").fault("/password");
    }
    for member in ["email", "name", "role", "password", "disabled"] {
        let user = new_user(&admin, &format!("{member}@example.org"), "author");
        admin
            .patch(&path_of(&user), "*", &json!({ member: null }))
            .refused(422, "invalid-body")
            .fault(&format!("/{member}"));
    }
}

#[test]
fn a_password_is_never_shown_and_a_new_one_takes_the_place_of_the_old() {
    let server = TestServer::start();
    let (admin, anyone) = (server.signed_in(Role::Admin), server.anonymous());
    let user = new_user(&admin, "ada@example.org", "editor");
    let another = "another long and secret phrase";
    admin.patch(&path_of(&user), "*", &json!({ "password": another })).expect(200);
    assert_eq!((log_in(&anyone, "ada@example.org", SECRET), log_in(&anyone, "ada@example.org", another)), (401, 200));
    for path in [USERS, &path_of(&user), "/api/v1/manage/audit-events"] {
        let text = admin.get(path).expect(200).text();
        assert!(!text.contains("secret") && !text.contains("argon2"), "{text}");
    }
}

#[test]
fn disabling_and_a_new_role_count_at_once() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let account = server.account(Role::Editor);
    let caller = server.sign_in(&account);
    let path = format!("{USERS}/{}", account.id);
    caller.get("/api/v1/manage/articles").expect(200);
    admin.patch(&path, "*", &json!({ "role": "intake" })).expect(200);
    // A sign-in ends with the role that it began with.
    caller.get("/api/v1/manage/articles").refused(401, "unauthenticated");
    let caller = server.sign_in(&account);
    assert_eq!(caller.get("/api/v1/auth/me").expect(200).json()["role"], "intake");
    admin.patch(&path, "*", &json!({ "disabled": true })).expect(200);
    caller.get("/api/v1/auth/me").refused(401, "unauthenticated");
    admin.patch(&path, "*", &json!({ "disabled": false, "role": "editor" })).expect(200);
    caller.get("/api/v1/auth/me").refused(401, "unauthenticated");
    server.sign_in(&account).get("/api/v1/manage/articles").expect(200);
}

#[test]
fn an_admin_does_not_shut_the_last_door() {
    let server = TestServer::start();
    let account = server.account(Role::Admin);
    let admin = server.sign_in(&account);
    let path = format!("{USERS}/{}", account.id);
    for change in [json!({ "disabled": true }), json!({ "role": "editor" })] {
        admin.patch(&path, "*", &change).refused(409, "conflict");
    }
    admin.delete(&path, "*").refused(409, "conflict");
    admin.patch(&path, "*", &json!({ "name": "Still here" })).expect(200);
}

#[test]
fn who_leaves_keeps_the_author_and_the_articles() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let account = server.account(Role::Author);
    let writer = server.sign_in(&account);
    let author =
        admin.post("/api/v1/manage/authors", &json!({ "name": "Ada", "user_id": account.id })).expect(201).json();
    let article = writer.post("/api/v1/manage/articles", &json!({ "title": "Stays" })).expect(201).json();
    admin.delete(&format!("{USERS}/{}", account.id), "*").expect(204);
    writer.get("/api/v1/auth/me").refused(401, "unauthenticated");
    let read = admin.get(&format!("/api/v1/manage/articles/{}", article["id"].as_str().unwrap())).expect(200).json();
    assert_eq!((&read["saved_by"], &read["expanded"]["authors"][0]["name"]), (&Value::Null, &json!("Ada")));
    let path = format!("/api/v1/manage/authors/{}", author["id"].as_str().unwrap());
    assert_eq!(admin.patch(&path, "*", &json!({ "credentials": "M.A." })).expect(200).json()["user_id"], Value::Null);
}

#[test]
fn the_audit_trail_says_who_did_what_to_what_the_newest_first() {
    let server = TestServer::start();
    let account = server.account(Role::Admin);
    let admin = server.sign_in(&account);
    let user = new_user(&admin, "ada@example.org", "author");
    admin.patch(&path_of(&user), "*", &json!({ "disabled": true })).expect(200);
    let events = admin.get("/api/v1/manage/audit-events?limit=2").expect(200).json();
    let first = &events["items"][0];
    assert_eq!((&first["action"], &first["subject"]["id"]), (&json!("user.disable"), &user["id"]));
    assert_eq!(first["actor"], json!({ "kind": "user", "id": account.id, "api_key": null }));
    assert_eq!(events["items"][1]["action"], "user.create");
    let cursor = events["page"]["next_cursor"].as_str().unwrap();
    let rest = admin.get(&format!("/api/v1/manage/audit-events?limit=2&cursor={cursor}")).expect(200).json();
    assert_eq!(rest["items"][0]["action"], "sign_in.create");
    assert_eq!(rest["items"][1]["actor"], json!({ "kind": "command_line", "id": null, "api_key": null }));
    let mine = admin
        .get(&format!("/api/v1/manage/audit-events?actor={}&action=user.create&page=1", account.id))
        .expect(200)
        .json();
    assert_eq!(mine["page"]["total_items"], 1);
}
