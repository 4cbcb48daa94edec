//! Sign-ins: refreshing them, when they end, and listing them.

use std::collections::HashSet;

use copydesk::auth::Role;
use copydesk::config::SignInLimits;
use serde_json::{Value, json};

use crate::client::Response;
use crate::harness::{Account, PASSWORD, TestServer};
use crate::sign_in::{Forge, claims_of};
use crate::steps::{
    LOGIN, ME, SESSIONS, SignIn, USERS, at_once, audit_events, by_account, eventually, is_in_database,
    last_audit_event, log_in, pass, refresh, while_on_its_way,
};

const ANOTHER: &str = "another long and secret phrase";
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The id of a sign-in, as its access token names it.
fn id_of(sign_in: &SignIn) -> String {
    claims_of(sign_in.client.token())["sid"].as_str().unwrap().to_owned()
}

fn listed(sign_in: &SignIn) -> Vec<Value> {
    sign_in.client.get(SESSIONS).expect(200).json()["items"].as_array().unwrap().clone()
}

fn ids(sessions: &[Value]) -> Vec<String> {
    sessions.iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
}

fn user_path(account: &Account) -> String {
    format!("{USERS}/{}", account.id)
}

#[test]
fn a_refresh_gives_a_new_pair_of_the_same_sign_in() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let first = SignIn::begin(&server, &account);
    pass(&server, 1);
    let answer = refresh(&server, &first.refresh_token).expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!((&body["user"]["id"], &body["restricted"]), (&json!(account.id), &json!(false)));
    let second = SignIn::of(&server, answer);
    assert_ne!(first.refresh_token, second.refresh_token);
    assert_ne!(first.client.token(), second.client.token());
    assert_eq!(id_of(&first), id_of(&second));
    // The former access token is of a sign-in that stands, so it lasts until its own end.
    first.client.get(ME).expect(200);
    second.assert_stands(&server);
}

#[test]
fn refresh_tokens_are_stored_as_hashes_alone() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let first = SignIn::begin(&server, &account);
    let second = first.refreshed(&server);
    assert!(is_in_database(&server, account.email.as_bytes()), "the control: what is stored is found");
    for token in [&first.refresh_token, &second.refresh_token] {
        assert!(!is_in_database(&server, token.as_bytes()) && !is_in_database(&server, &token.as_bytes()[4..]));
    }
}

#[test]
fn a_spent_refresh_token_ends_the_whole_sign_in() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let other = SignIn::begin(&server, &account);
    let first = SignIn::begin(&server, &account);
    let second = first.refreshed(&server);
    second.client.get(ME).expect(200);
    // At once: there is no grace for who refreshes twice.
    let answer = refresh(&server, &first.refresh_token);
    answer.refused(401, "unauthenticated");
    assert!(answer.find_header("www-authenticate").is_some(), "RFC 9110, 15.5.2");
    first.client.get(ME).refused(401, "unauthenticated");
    second.assert_ended(&server);
    other.assert_stands(&server);
    let (actor, subject) = last_audit_event(&server, "sign_in.revoke_for_reuse");
    assert_eq!(actor, json!({ "kind": "anonymous", "id": null, "api_key": null }));
    assert_eq!(subject, json!({ "kind": "sign_in", "id": id_of(&second) }));
}

#[test]
fn a_refresh_token_that_was_spent_long_ago_ends_the_sign_in_as_well() {
    let server = TestServer::start();
    let first = SignIn::begin(&server, &server.account(Role::Author));
    let mut present = first.refreshed(&server);
    for _ in 0..20 {
        pass(&server, 11 * HOUR);
        present = present.refreshed(&server);
    }
    refresh(&server, &first.refresh_token).refused(401, "unauthenticated");
    present.assert_ended(&server);
}

#[test]
fn of_parallel_refreshes_with_one_token_at_most_one_wins_and_the_sign_in_ends() {
    let server = TestServer::start();
    let first = SignIn::begin(&server, &server.account(Role::Editor));
    let answers = at_once(12, |_| refresh(&server, &first.refresh_token));
    let (won, lost): (Vec<Response>, Vec<Response>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!(won.len() <= 1, "{} of them won", won.len());
    for answer in lost {
        answer.refused(401, "unauthenticated");
    }
    first.client.get(ME).refused(401, "unauthenticated");
    for answer in won {
        SignIn::of(&server, answer).assert_ended(&server);
    }
}

#[test]
fn what_is_no_refresh_token_is_refused_and_ends_nothing() {
    let server = TestServer::start();
    let sign_in = SignIn::begin(&server, &server.account(Role::Editor));
    let unknown = format!("cdr_{}", "A".repeat(43));
    let (cut, without_prefix) = (&sign_in.refresh_token[..20], &sign_in.refresh_token[4..]);
    let upper = sign_in.refresh_token.to_uppercase();
    for token in ["x", "cdr_", &unknown, cut, without_prefix, &upper, "' OR 1=1 --", "cdr_é", "cdk_"] {
        let answer = refresh(&server, token);
        answer.refused(401, "unauthenticated");
        assert!(token.len() < 5 || !answer.text().contains(token), "{token} comes back");
    }
    for token in [json!(""), json!("x".repeat(101)), json!(null), json!(7), json!(["x"])] {
        let body = json!({ "refresh_token": token });
        let answer = server.anonymous().post("/api/v1/auth/refresh", &body);
        answer.refused(422, "invalid-body").fault("/refresh_token");
    }
    sign_in.assert_stands(&server);
}

#[test]
fn neither_token_is_taken_in_the_place_of_the_other() {
    let server = TestServer::start();
    let sign_in = SignIn::begin(&server, &server.account(Role::Admin));
    server.with_token(&sign_in.refresh_token).get(ME).refused(401, "unauthenticated");
    // Longer than any refresh token, so the body is refused already.
    refresh(&server, sign_in.client.token()).refused(422, "invalid-body");
    sign_in.assert_stands(&server);
}

#[test]
fn logging_out_ends_this_sign_in_at_once_and_no_other() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let (leaving, staying) = (SignIn::begin(&server, &account), SignIn::begin(&server, &account));
    leaving.client.request("POST", "/api/v1/auth/logout").send().expect(204);
    leaving.assert_ended(&server);
    leaving.client.request("POST", "/api/v1/auth/logout").send().refused(401, "unauthenticated");
    staying.assert_stands(&server);
    let (actor, subject) = last_audit_event(&server, "sign_in.end");
    assert_eq!((actor, &subject["id"]), (by_account(&account), &json!(id_of(&leaving))));
}

#[test]
fn a_new_own_password_ends_the_other_sign_ins_and_keeps_the_present_one() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let (present, other) = (SignIn::begin(&server, &account), SignIn::begin(&server, &account));
    let stranger = SignIn::begin(&server, &server.account(Role::Author));
    let body = json!({ "password": ANOTHER, "current_password": PASSWORD });
    present.client.request("PATCH", ME).json(&body).send().expect(200);
    other.assert_ended(&server);
    present.assert_stands(&server);
    stranger.assert_stands(&server);
    log_in(&server, &account.email, PASSWORD).refused(401, "invalid-credentials");
    log_in(&server, &account.email, ANOTHER).expect(200);
    assert_eq!(last_audit_event(&server, "user.set_password").0, by_account(&account));
}

#[test]
fn what_was_on_its_way_when_the_sign_in_ended_sets_no_password() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let (admin, thief) = (server.signed_in(Role::Admin), server.sign_in(&account));
    let body = json!({ "password": ANOTHER, "current_password": PASSWORD });
    let status = while_on_its_way(&server, ("PATCH", ME), &thief, &body, || {
        admin.request("DELETE", &format!("{}/sessions", user_path(&account))).send().expect(204);
    });
    assert_eq!(status, 401);
    log_in(&server, &account.email, ANOTHER).refused(401, "invalid-credentials");
    log_in(&server, &account.email, PASSWORD).expect(200);
}

#[test]
fn a_new_own_password_needs_the_present_one() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let (present, other) = (SignIn::begin(&server, &account), SignIn::begin(&server, &account));
    let change = |body: Value| present.client.request("PATCH", ME).json(&body).send();
    let missing = change(json!({ "password": ANOTHER })).refused(422, "invalid-body");
    assert_eq!(missing.fault("/current_password").code, "required");
    let wrong = change(json!({ "password": ANOTHER, "current_password": ANOTHER })).refused(422, "invalid-body");
    assert_eq!(wrong.fault("/current_password").code, "wrong");
    let weak = change(json!({ "password": account.email, "current_password": PASSWORD }));
    weak.refused(422, "invalid-body").fault("/password");
    change(json!({ "name": "A new name" })).expect(200);
    other.assert_stands(&server);
    log_in(&server, &account.email, PASSWORD).expect(200);
}

#[test]
fn what_an_admin_changes_of_an_account_ends_its_sign_ins() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    for change in [json!({ "password": ANOTHER }), json!({ "role": "author" }), json!({ "disabled": true })] {
        let account = server.account(Role::Editor);
        let (one, two) = (SignIn::begin(&server, &account), SignIn::begin(&server, &account));
        let tried = format!("{}?validate_only=true", user_path(&account));
        admin.patch(&tried, "*", &change).expect(200);
        let one = one.assert_stands(&server);
        admin.patch(&user_path(&account), "*", &change).expect(200);
        one.assert_ended(&server);
        two.assert_ended(&server);
    }
    admin.get(ME).expect(200);
}

#[test]
fn a_new_name_ends_no_sign_in() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let sign_in = SignIn::begin(&server, &account);
    server.signed_in(Role::Admin).patch(&user_path(&account), "*", &json!({ "name": "Ada" })).expect(200);
    sign_in.assert_stands(&server);
}

#[test]
fn the_deletion_of_an_account_ends_its_sign_ins() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let sign_in = SignIn::begin(&server, &account);
    server.signed_in(Role::Admin).delete(&user_path(&account), "*").expect(204);
    sign_in.assert_ended(&server);
}

#[test]
fn a_disabled_account_does_not_refresh_and_what_ended_stays_ended() {
    let server = TestServer::start();
    let admin = server.signed_in(Role::Admin);
    let account = server.account(Role::Editor);
    let sign_in = SignIn::begin(&server, &account);
    // Past the endpoint that ends its sign-ins: the account itself is looked at, too.
    let other = server.account(Role::Editor);
    let others = SignIn::begin(&server, &other);
    server.disable(&other);
    others.assert_ended(&server);
    admin.patch(&user_path(&account), "*", &json!({ "disabled": true })).expect(200);
    sign_in.assert_ended(&server);
    admin.patch(&user_path(&account), "*", &json!({ "disabled": false })).expect(200);
    sign_in.assert_ended(&server);
    log_in(&server, &account.email, PASSWORD).expect(200);
}

/// Each role with when its sign-ins end: unused, and at the latest.
const ENDS: [(Role, i64, i64); 5] = [
    (Role::Contributor, 12 * HOUR, 30 * DAY),
    (Role::Author, 12 * HOUR, 30 * DAY),
    (Role::Editor, 12 * HOUR, 30 * DAY),
    (Role::Intake, 30 * MINUTE, 12 * HOUR),
    (Role::Admin, 30 * MINUTE, 12 * HOUR),
];

#[test]
fn an_unused_sign_in_ends_after_a_time_that_its_role_decides() {
    let server = TestServer::start();
    for (role, unused, _) in ENDS {
        let account = server.account(role);
        let sign_in = SignIn::begin(&server, &account);
        pass(&server, unused - 10);
        let sign_in = sign_in.refreshed(&server);
        pass(&server, unused);
        refresh(&server, &sign_in.refresh_token).refused(401, "unauthenticated");
        let another = SignIn::begin(&server, &account);
        assert_eq!(ids(&listed(&another)), [id_of(&another)], "{}", role.name());
    }
}

/// Refreshes as often as it must for a sign-in to go on, until so many seconds are over.
fn keep_using(server: &TestServer, mut sign_in: SignIn, unused: i64, seconds: i64) -> SignIn {
    let step = unused - 10;
    for _ in 0..seconds / step {
        pass(server, step);
        sign_in = sign_in.refreshed(server);
    }
    pass(server, seconds % step);
    sign_in.refreshed(server)
}

#[test]
fn a_sign_in_ends_at_the_latest_at_a_time_that_its_role_decides() {
    let server = TestServer::start();
    for (role, unused, lifetime) in ENDS {
        let sign_in = SignIn::begin(&server, &server.account(role));
        let end = listed(&sign_in)[0]["expires_at"].clone();
        let sign_in = keep_using(&server, sign_in, unused, lifetime - 5 * MINUTE);
        sign_in.client.get(ME).expect(200);
        assert_eq!(listed(&sign_in)[0]["expires_at"], end, "use does not prolong it");
        pass(&server, 5 * MINUTE);
        // Its access token would last ten minutes more.
        sign_in.assert_ended(&server);
    }
}

#[test]
fn settings_say_when_sign_ins_end() {
    let server = TestServer::start_with(|config| {
        config.sign_ins = SignInLimits { unused_minutes: 6, lifetime_minutes: 20 };
        config.privileged_sign_ins = SignInLimits { unused_minutes: 5, lifetime_minutes: 10 };
    });
    for (role, unused, lifetime) in [(Role::Editor, 6 * MINUTE, 20 * MINUTE), (Role::Admin, 5 * MINUTE, 10 * MINUTE)] {
        let account = server.account(role);
        let sign_in = SignIn::begin(&server, &account);
        pass(&server, unused);
        sign_in.assert_ended(&server);
        let sign_in = keep_using(&server, SignIn::begin(&server, &account), unused, lifetime - MINUTE);
        pass(&server, MINUTE);
        sign_in.assert_ended(&server);
    }
}

/// Uses the access token until the list shows that it was used.
fn use_noted(sign_in: &SignIn, before: &Value) -> Value {
    sign_in.client.get(ME).expect(200);
    eventually("the use is noted", || {
        let last_used_at = listed(sign_in)[0]["last_used_at"].clone();
        (last_used_at != *before).then_some(last_used_at)
    })
}

#[test]
fn the_time_of_the_last_use_is_written_at_most_once_a_minute() {
    let server = TestServer::start();
    let sign_in = SignIn::begin(&server, &server.account(Role::Editor));
    let begun = listed(&sign_in)[0].clone();
    assert_eq!(begun["created_at"], begun["last_used_at"]);
    pass(&server, 40);
    sign_in.client.get(ME).expect(200);
    assert_eq!(listed(&sign_in)[0]["last_used_at"], begun["last_used_at"]);
    pass(&server, 25);
    let noted = use_noted(&sign_in, &begun["last_used_at"]);
    pass(&server, 40);
    sign_in.client.get(ME).expect(200);
    assert_eq!(listed(&sign_in)[0]["last_used_at"], noted);
}

#[test]
fn using_the_access_token_keeps_a_sign_in_from_ending() {
    let server = TestServer::start();
    let sign_in = SignIn::begin(&server, &server.account(Role::Admin));
    let begun = listed(&sign_in)[0]["last_used_at"].clone();
    pass(&server, 14 * MINUTE);
    use_noted(&sign_in, &begun);
    pass(&server, 29 * MINUTE);
    sign_in.refreshed(&server);
}

#[test]
fn what_has_ended_by_age_is_deleted() {
    let server = TestServer::start();
    let sign_in = SignIn::begin(&server, &server.account(Role::Admin));
    let kept = SignIn::begin(&server, &server.account(Role::Editor));
    let id = uuid::Uuid::parse_str(&id_of(&sign_in)).unwrap();
    assert!(is_in_database(&server, id.as_bytes()));
    pass(&server, 2 * HOUR);
    // The audit trail names the sign-in for ever, so the rows are counted.
    eventually("the row is gone", || (sign_ins_in_database(&server) == 1).then_some(()));
    kept.refreshed(&server);
}

fn sign_ins_in_database(server: &TestServer) -> i64 {
    use diesel::RunQueryDsl;
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        number: i64,
    }
    let counted = crate::harness::block_on(server.app.db.read(|conn| {
        let count = diesel::sql_query("SELECT count(*) AS number FROM sign_ins").get_result::<Count>(conn)?;
        Ok::<_, copydesk::http::Problem>(count.number)
    }));
    counted.unwrap()
}

fn begin_with(server: &TestServer, account: &Account, user_agent: &str) -> SignIn {
    let body = json!({ "email": account.email, "password": PASSWORD });
    let request = server.anonymous().request("POST", LOGIN).header("user-agent", user_agent);
    SignIn::of(server, request.json(&body).send())
}

#[test]
fn a_person_sees_where_the_account_is_signed_in() {
    let server = TestServer::start();
    let account = server.account(Role::Contributor);
    SignIn::begin(&server, &server.account(Role::Contributor));
    let first = begin_with(&server, &account, "Browser/1.0");
    pass(&server, 1);
    let long = "x".repeat(300);
    let second = begin_with(&server, &account, &long);
    let sessions = listed(&first);
    assert_eq!(ids(&sessions), [id_of(&second), id_of(&first)], "the newest first");
    assert_eq!(sessions[0]["user_agent"], long[..200]);
    assert_eq!(sessions[1]["user_agent"], "Browser/1.0");
    assert_eq!((&sessions[0]["current"], &sessions[1]["current"]), (&json!(false), &json!(true)));
    assert_eq!(listed(&second)[0]["current"], true);
    let first = first.refreshed(&server);
    assert_eq!(ids(&listed(&first)), [id_of(&second), id_of(&first)], "a refresh begins no other");
}

#[test]
fn a_person_ends_own_sign_ins_and_nobody_elses() {
    let server = TestServer::start();
    let (account, other) = (server.account(Role::Editor), server.account(Role::Editor));
    let (present, lost) = (SignIn::begin(&server, &account), SignIn::begin(&server, &account));
    let foreign = SignIn::begin(&server, &other);
    let end = |id: &str| present.client.request("DELETE", &format!("{SESSIONS}/{id}")).send();
    end(&id_of(&foreign)).refused(404, "not-found");
    let foreign = foreign.assert_stands(&server);
    end(&uuid::Uuid::now_v7().to_string()).refused(404, "not-found");
    end(&id_of(&lost)).expect(204);
    lost.assert_ended(&server);
    end(&id_of(&lost)).refused(404, "not-found");
    let (actor, subject) = last_audit_event(&server, "sign_in.end");
    assert_eq!((actor, &subject["id"]), (by_account(&account), &json!(id_of(&lost))));
    end(&id_of(&present)).expect(204);
    present.assert_ended(&server);
    foreign.assert_stands(&server);
}

#[test]
fn an_admin_sees_and_ends_anyones_sign_ins() {
    let server = TestServer::start();
    let (admin, chief) = (server.account(Role::Admin), server.account(Role::Admin));
    let caller = server.sign_in(&chief);
    let account = server.account(Role::Author);
    let (one, two) = (SignIn::begin(&server, &account), SignIn::begin(&server, &account));
    let path = format!("{}/sessions", user_path(&account));
    let sessions = caller.get(&path).expect(200).json()["items"].as_array().unwrap().clone();
    let listed: HashSet<String> = ids(&sessions).into_iter().collect();
    assert_eq!(listed, HashSet::from([id_of(&one), id_of(&two)]));
    assert!(sessions.iter().all(|session| session["current"] == false));
    let address = format!("{path}/{}", id_of(&one));
    let under_another = format!("{}/sessions/{}", user_path(&admin), id_of(&one));
    caller.request("DELETE", &under_another).send().refused(404, "not-found");
    caller.request("DELETE", &format!("{address}?validate_only=true")).send().expect(204);
    let one = one.assert_stands(&server);
    caller.request("DELETE", &address).send().expect(204);
    one.assert_ended(&server);
    two.assert_stands(&server);
    let (actor, subject) = last_audit_event(&server, "sign_in.end");
    assert_eq!((actor, &subject["id"]), (by_account(&chief), &json!(id_of(&one))));
}

#[test]
fn an_admin_ends_all_sign_ins_of_an_account() {
    let server = TestServer::start();
    let chief = server.account(Role::Admin);
    let caller = server.sign_in(&chief);
    let account = server.account(Role::Author);
    let sign_ins = [SignIn::begin(&server, &account), SignIn::begin(&server, &account)];
    let path = format!("{}/sessions", user_path(&account));
    caller.request("DELETE", &format!("{path}?validate_only=true")).send().expect(204);
    sign_ins[0].client.get(ME).expect(200);
    caller.request("DELETE", &path).send().expect(204);
    for sign_in in sign_ins {
        sign_in.assert_ended(&server);
    }
    assert_eq!(caller.get(&path).expect(200).json()["items"], json!([]));
    let (actor, subject) = last_audit_event(&server, "user.end_sign_ins");
    assert_eq!((actor, &subject["id"]), (by_account(&chief), &json!(account.id)));
    let nobody = format!("{USERS}/{}/sessions", uuid::Uuid::now_v7());
    caller.get(&nobody).refused(404, "not-found");
    caller.request("DELETE", &nobody).send().refused(404, "not-found");
}

#[test]
fn an_account_has_a_hundred_sign_ins_and_the_oldest_gives_way() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    let account = server.account(Role::Editor);
    let first = SignIn::begin(&server, &account);
    pass(&server, 1);
    let second = SignIn::begin(&server, &account);
    pass(&server, 1);
    for _ in 2..100 {
        SignIn::begin(&server, &account);
    }
    first.client.get(ME).expect(200);
    let last = SignIn::begin(&server, &account);
    first.assert_ended(&server);
    second.client.get(ME).expect(200);
    assert_eq!(listed(&last).len(), 100);
}

#[test]
fn a_token_stands_for_its_own_sign_in_alone() {
    let server = TestServer::start();
    let forge = Forge::new(&server);
    let (admin, author) = (server.account(Role::Admin), server.account(Role::Author));
    let (privileged, plain) = (SignIn::begin(&server, &admin), SignIn::begin(&server, &author));
    let forged = |sub: &Account, sid: &str| {
        let token = forge.signed(&json!({}), &json!({ "sub": sub.id, "sid": sid }));
        server.with_token(&token).get(ME)
    };
    forged(&author, &id_of(&plain)).expect(200);
    forged(&admin, &id_of(&plain)).refused(401, "unauthenticated");
    forged(&author, &id_of(&privileged)).refused(401, "unauthenticated");
    forged(&author, &uuid::Uuid::now_v7().to_string()).refused(401, "unauthenticated");
    plain.client.request("POST", "/api/v1/auth/logout").send().expect(204);
    forged(&author, &id_of(&plain)).refused(401, "unauthenticated");
    privileged.client.get(ME).expect(200);
}

#[test]
fn a_token_is_not_taken_before_its_time() {
    let server = TestServer::start();
    let forge = Forge::new(&server);
    let now = server.app.clock.now().unix_seconds();
    let call = |nbf: Value| server.with_token(&forge.signed(&json!({}), &json!({ "nbf": nbf }))).get(ME);
    call(json!(now - 60)).expect(200);
    for nbf in [json!(now + 60), json!(now + 3600), json!(i64::MAX), json!("soon")] {
        call(nbf).refused(401, "unauthenticated");
    }
}

#[test]
fn signing_in_is_audited() {
    let server = TestServer::start();
    let account = server.account(Role::Intake);
    let sign_in = SignIn::begin(&server, &account);
    sign_in.refreshed(&server);
    let events = audit_events(&server, "sign_in.create");
    let own: Vec<_> = events.iter().filter(|event| event["actor"] == by_account(&account)).collect();
    assert_eq!(own.len(), 1, "a refresh begins no sign-in: {own:?}");
    assert_eq!(own[0]["subject"], json!({ "kind": "sign_in", "id": id_of(&sign_in) }));
}
