//! Accounts, signing in, second factors and API keys.

use std::cell::RefCell;

use copydesk::auth::Role;
use copydesk::db::Timestamp;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use super::recorder::{Story, at, delete, get, patch, patch_json, post};
use crate::client::{Client, Request, Response};
use crate::steps::{LOGIN, ME, REFRESH, SESSIONS, USERS, eventually};

const SECOND_FACTOR: &str = "/api/v1/auth/me/second-factor";
const CONFIRM: &str = "/api/v1/auth/me/second-factor/confirm";
const OWN_KEYS: &str = "/api/v1/auth/me/api-keys";
const KEYS: &str = "/api/v1/manage/api-keys";
const AUDIT: &str = "/api/v1/manage/audit-events";
const ANNOUNCEMENTS: &str = "/api/v1/manage/contact-announcements";
/// Passwords of nobody.
const KIMS_PASSWORD: &str = "a long and secret phrase";
const NOORS_PASSWORD: &str = "nine slow herons by the weir";
const OTHER_PASSWORD: &str = "quiet ferry to the far bank";
/// For how long a token is used again, in seconds: it lasts 900.
const REUSE_SECONDS: i64 = 600;

/// Kim, who reads contact messages and must sign in with a second factor.
pub(super) struct Intake {
    totp: Totp,
    token: RefCell<(String, Timestamp)>,
}

impl Intake {
    /// Kim, signed in.
    pub(super) fn client(&self, story: &Story) -> Client {
        let mut token = self.token.borrow_mut();
        if story.now() >= token.1.plus_seconds(REUSE_SECONDS) {
            let login = log_in(story, "kim@example.org", KIMS_PASSWORD, Some(&code(story, &self.totp)));
            *token = (access_token(&story.quietly(login).expect(200)), story.now());
        }
        story.server.with_token(&token.0)
    }
}

/// A request to sign in, from a browser that names itself.
fn log_in(story: &Story, email: &str, password: &str, code: Option<&str>) -> Request {
    let mut body = json!({ "email": email, "password": password });
    if let Some(code) = code {
        body["code"] = json!(code);
    }
    post(&story.anyone(), LOGIN, &body).header("user-agent", "ExampleBrowser/1.0 (Linux)")
}

fn access_token(answer: &Response) -> String {
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// The app that has read the secret of an answer.
fn app_with(setup: &Response) -> Totp {
    let secret = Secret::try_from_base32(setup.json()["secret"].as_str().unwrap()).unwrap();
    Builder::new().with_secret(secret).build().unwrap()
}

/// What the app shows when the next request is sent.
fn code(story: &Story, totp: &Totp) -> String {
    totp.generate(u64::try_from(story.next().unix_seconds()).unwrap()).to_string()
}

fn password() -> Value {
    json!({ "current_password": NOORS_PASSWORD })
}

fn name(client: &Client, name: &str) -> Request {
    client.request("PATCH", ME).json(&json!({ "name": name }))
}

/// Gives the accounts of the harness the names of people.
pub(super) fn name_everybody(story: &Story) {
    story.quietly(name(&story.editor(), "Maya Okafor")).expect(200);
    story.quietly(name(&story.author(), "Tomas Lindqvist")).expect(200);
    story.quietly(name(&story.contributor(), "Ines Duarte")).expect(200);
}

pub(super) fn tell(story: &Story) -> Intake {
    let renamed = name(&story.admin(), "Ada Moreau");
    story.record("update_me", "name", "Another name", renamed).expect(200);
    story.record("get_me", "person", "Somebody who has signed in", get(&story.admin(), ME)).expect(200);
    let invitation = tell_of_accounts(story);
    let intake = tell_of_an_invitation(story, &invitation);
    tell_of_sign_ins(story);
    tell_of_a_second_factor(story);
    tell_of_own_keys(story);
    tell_of_keys(story);
    intake
}

/// Makes accounts; gives the token of an invitation.
fn tell_of_accounts(story: &Story) -> String {
    let kim = json!({ "email": "kim@example.org", "name": "Kim Adeyemi", "role": "intake" });
    let tried = post(&story.admin(), &format!("{USERS}?validate_only=true"), &kim);
    story.record("create_user", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let made = story
        .record("create_user", "invited", "An invitation, handed over as a link", post(&story.admin(), USERS, &kim))
        .expect(201);
    let noor = json!({ "email": "noor@example.org", "name": "Noor Haddad", "role": "contributor", "password": NOORS_PASSWORD });
    let noor = post(&story.admin(), USERS, &noor).header("idempotency-key", "5f0c6d52-8f0e-4d53-9b61-0c7f3f7f1a11");
    let noor = story.record("create_user", "with_password", "An account with a first password", noor).expect(201);
    let path = noor.header("location").to_owned();
    story.record("get_user", "one", "One account", get(&story.admin(), &path)).expect(200);
    let role = patch(&story.admin(), &path, noor.etag(), &json!({ "role": "author" }));
    let role = story.record("update_user", "role", "Another role", role).expect(200);
    let name = json!({ "name": "Noor Haddad-Reyes" });
    let tried = patch(&story.admin(), &format!("{path}?validate_only=true"), role.etag(), &name);
    story.record("update_user", "validated", "Everything is checked and nothing is saved", tried).expect(200);
    let name = patch_json(&story.admin(), &path, role.etag(), &name);
    story.record("update_user", "name", "Another name", name).expect(200);
    story.record("list_users", "all", "Every account", get(&story.admin(), USERS)).expect(200);
    let by_role = get(&story.admin(), &format!("{USERS}?role=author&page=1"));
    story.record("list_users", "by_role", "Those of a role, as a numbered page", by_role).expect(200);
    token_of(&made.json()["invitation"])
}

/// The token in the fragment of a link.
fn token_of(link: &Value) -> String {
    link["url"].as_str().unwrap().split('#').nth(1).unwrap().to_owned()
}

fn tell_of_an_invitation(story: &Story, token: &str) -> Intake {
    let chosen = post(&story.anyone(), "/api/v1/auth/redeem", &json!({ "token": token, "password": KIMS_PASSWORD }));
    story.record("redeem_link", "invitation", "The invited person chooses a password", chosen).expect(204);
    let login = log_in(story, "kim@example.org", KIMS_PASSWORD, None);
    let answer =
        story.record("log_in", "restricted", "The role needs a second factor, which is to be set up first", login);
    let kim = story.server.with_token(&access_token(&answer.expect(200)));
    let refused = story.record("get_me", "second_factor_missing", "Before the second factor is set up", get(&kim, ME));
    refused.refused(403, "second-factor-setup-required");
    let begun = post(&kim, SECOND_FACTOR, &json!({ "current_password": KIMS_PASSWORD }));
    let totp = app_with(&story.quietly(begun).expect(200));
    story.quietly(post(&kim, CONFIRM, &json!({ "code": code(story, &totp) }))).expect(200);
    let login = log_in(story, "kim@example.org", KIMS_PASSWORD, None);
    let refused = story.record("log_in", "code_missing", "The password is right and a code is needed", login);
    refused.refused(401, "second-factor-required");
    let login = log_in(story, "kim@example.org", KIMS_PASSWORD, Some(&code(story, &totp)));
    let answer = story.record("log_in", "with_code", "With the code of the authenticator app", login).expect(200);
    Intake { totp, token: RefCell::new((access_token(&answer), story.now())) }
}

fn tell_of_sign_ins(story: &Story) {
    let first = log_in(story, "noor@example.org", NOORS_PASSWORD, None);
    let first = story.record("log_in", "password", "An email and a password", first).expect(200);
    let wrong = log_in(story, "noor@example.org", "another long secret", None);
    story
        .record("log_in", "wrong_password", "The email or the password is wrong", wrong)
        .refused(401, "invalid-credentials");
    let token = json!({ "refresh_token": first.json()["refresh_token"] });
    let next =
        story.record("refresh_tokens", "next_pair", "The next pair of tokens", post(&story.anyone(), REFRESH, &token));
    next.expect(200);
    let spent = story.record(
        "refresh_tokens",
        "spent",
        "A token that was used already",
        post(&story.anyone(), REFRESH, &token),
    );
    spent.refused(401, "unauthenticated");
    // The other one comes first, so that this one's first use follows at once.
    let (_, own) = (sign_in_noor(story), sign_in_noor(story));
    let sessions = get(&own, SESSIONS);
    let sessions = story.at_once().record("list_own_sessions", "two", "Where one is signed in", sessions).expect(200);
    let is_other = |session: &&Value| session["current"] == false;
    let id = sessions.json()["items"].as_array().unwrap().iter().find(is_other).unwrap()["id"].clone();
    let end = own.request("DELETE", &format!("{SESSIONS}/{}", id.as_str().unwrap()));
    story.record("end_own_session", "elsewhere", "Signs out somewhere else", end).expect(204);
    let body = json!({ "password": OTHER_PASSWORD, "current_password": NOORS_PASSWORD });
    let request = own.request("PATCH", ME).body("application/merge-patch+json", serde_json::to_vec(&body).unwrap());
    story.record("update_me", "password", "Another password, which ends the other sign-ins", request).expect(200);
    let back = json!({ "password": NOORS_PASSWORD, "current_password": OTHER_PASSWORD });
    story.quietly(own.request("PATCH", ME).json(&back)).expect(200);
    let out = own.request("POST", "/api/v1/auth/logout");
    story.record("log_out", "this_one", "Ends this sign-in at once", out).expect(204);
}

fn sign_in_noor(story: &Story) -> Client {
    let answer = story.quietly(log_in(story, "noor@example.org", NOORS_PASSWORD, None)).expect(200);
    story.server.with_token(&access_token(&answer))
}

fn tell_of_a_second_factor(story: &Story) {
    let noor = sign_in_noor(story);
    let begun = story.record(
        "begin_second_factor",
        "begun",
        "A secret for an authenticator app",
        post(&noor, SECOND_FACTOR, &password()),
    );
    let totp = app_with(&begun.expect(200));
    let wrong = story.record(
        "confirm_second_factor",
        "wrong_code",
        "Not the code that the app shows now",
        post(&noor, CONFIRM, &json!({ "code": "000000" })),
    );
    wrong.refused(422, "invalid-body");
    let confirmed = post(&noor, CONFIRM, &json!({ "code": code(story, &totp) }));
    let codes = story
        .record("confirm_second_factor", "confirmed", "A code proves that the app has the secret", confirmed)
        .expect(200);
    let recovery = codes.json()["recovery_codes"][0].as_str().unwrap().to_owned();
    let login = log_in(story, "noor@example.org", NOORS_PASSWORD, Some(&recovery));
    story.record("log_in", "with_recovery_code", "A recovery code, for who has lost the app", login).expect(200);
    let removed = noor.request("DELETE", SECOND_FACTOR).json(&password());
    story.record("remove_second_factor", "removed", "Signing in needs no code from now on", removed).expect(204);
    let again = story.quietly(post(&noor, SECOND_FACTOR, &password())).expect(200);
    story.quietly(post(&noor, CONFIRM, &json!({ "code": code(story, &app_with(&again)) }))).expect(200);
    let path = path_of_noor(story);
    let reset = story.admin().request("DELETE", &format!("{path}/second-factor"));
    story.record("reset_second_factor", "reset", "For somebody who has lost app and recovery codes", reset).expect(204);
}

fn path_of_noor(story: &Story) -> String {
    let users = story.server.signed_in(Role::Admin).get(USERS).expect(200).json();
    let noor =
        users["items"].as_array().unwrap().iter().find(|user| user["email"] == "noor@example.org").unwrap().clone();
    format!("{USERS}/{}", noor["id"].as_str().unwrap())
}

fn tell_of_own_keys(story: &Story) {
    let noor = sign_in_noor(story);
    let draft = json!({ "name": "Notes from my laptop", "role": "contributor", "current_password": NOORS_PASSWORD });
    let made = story
        .record(
            "create_own_api_key",
            "created",
            "A key for a program of one's own, shown this once",
            post(&noor, OWN_KEYS, &draft),
        )
        .expect(201);
    let path = made.header("location").to_owned();
    let program = story.server.with_token(made.json()["key"].as_str().unwrap());
    story.record("get_me", "program", "A program with an API key", get(&program, ME)).expect(200);
    // That it was used is written behind the answer.
    let is_noted = || noor.get(&path).json()["last_used_at"].is_string().then_some(());
    eventually("the use of the key is noted", is_noted);
    story.record("list_own_api_keys", "one", "One's own keys", get(&noor, OWN_KEYS)).expect(200);
    story.record("get_own_api_key", "used", "A key, and when it was last used", get(&noor, &path)).expect(200);
    story
        .record("revoke_own_api_key", "revoked", "The key is good for nothing any more", noor.request("DELETE", &path))
        .expect(204);
}

fn tell_of_keys(story: &Story) {
    let draft = json!({ "name": "Site builder", "role": "editor", "expires_at": at("2027-05-31T00:00:00Z") });
    let tried = post(&story.admin(), &format!("{KEYS}?validate_only=true"), &draft);
    story.record("create_api_key", "validated", "Everything is checked and no key is made", tried).expect(200);
    let key = "c7d1b0a4-6a53-4d0e-8a35-52a3a1f0b5de";
    let keyed = || post(&story.admin(), KEYS, &draft).header("idempotency-key", key);
    let made = story.record("create_api_key", "created", "A key for a program, shown this once", keyed()).expect(201);
    let again =
        story.record("create_api_key", "sent_again", "Sent again: done already, and the key is not kept", keyed());
    again.refused(409, "already-done");
    let path = made.header("location").to_owned();
    story.record("list_api_keys", "one", "The keys for programs", get(&story.admin(), KEYS)).expect(200);
    story.record("get_api_key", "unused", "One key", get(&story.admin(), &path)).expect(200);
    let tried = delete(&story.admin(), &format!("{path}?validate_only=true"), made.etag());
    story.record("revoke_api_key", "validated", "What would be revoked", tried).expect(200);
    story
        .record(
            "revoke_api_key",
            "revoked",
            "The key is good for nothing any more",
            delete(&story.admin(), &path, made.etag()),
        )
        .expect(204);
}

pub(super) fn tell_of_ends(story: &Story, intake: &Intake) {
    let path = path_of_noor(story);
    drop(sign_in_noor(story));
    drop(sign_in_noor(story));
    let sessions = format!("{path}/sessions");
    let all = story
        .record("list_user_sessions", "two", "Where somebody is signed in", get(&story.admin(), &sessions))
        .expect(200);
    let one = format!("{sessions}/{}", all.json()["items"][0]["id"].as_str().unwrap());
    story
        .record("end_user_session", "one", "Ends one sign-in of somebody", story.admin().request("DELETE", &one))
        .expect(204);
    story
        .record("end_user_sessions", "all", "Signs somebody out everywhere", story.admin().request("DELETE", &sessions))
        .expect(204);
    let link = story.admin().request("POST", &format!("{path}/password-links"));
    story.record("create_password_link", "reset", "A link with which somebody sets another password", link).expect(200);
    let tried = delete(&story.admin(), &format!("{path}?validate_only=true"), "*");
    story.record("delete_user", "validated", "Which account would be deleted", tried).expect(200);
    story
        .record(
            "delete_user",
            "deleted",
            "The account is gone; what it wrote stays",
            delete(&story.admin(), &path, "*"),
        )
        .expect(204);
    let events = |query: &str| get(&story.admin(), &format!("{AUDIT}?{query}"));
    story
        .record(
            "list_audit_events",
            "by_action",
            "What was published, the newest first",
            events("action=article.publish&limit=3"),
        )
        .expect(200);
    story
        .record(
            "list_audit_events",
            "by_subject",
            "What was done to categories, as a numbered page",
            events("subject_kind=category&page=1&limit=3"),
        )
        .expect(200);
    let announced = get(&intake.client(story), ANNOUNCEMENTS);
    story
        .record(
            "list_contact_announcements",
            "all",
            "Who was given or could take access to contact messages",
            announced,
        )
        .expect(200);
}
