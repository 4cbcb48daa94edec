//! The second factor: setting it up, signing in with it, and losing it.

use copydesk::auth::Role;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::client::{Client, Response};
use crate::harness::{Account, PASSWORD, TestServer};
use crate::steps::{
    LOGIN, ME, SignIn, USERS, at_once, audit_events, by_account, is_in_database, last_audit_event, log_in, pass,
    pass_to_next, refresh,
};

const SECOND_FACTOR: &str = "/api/v1/auth/me/second-factor";
const CONFIRM: &str = "/api/v1/auth/me/second-factor/confirm";
/// For how many seconds an app shows a code.
const STEP: i64 = 30;

/// A person with an authenticator app.
struct Person {
    account: Account,
    totp: Totp,
    recovery_codes: Vec<String>,
    sign_in: SignIn,
}

fn password() -> Value {
    json!({ "current_password": PASSWORD })
}

fn begin(client: &Client) -> Value {
    client.post(SECOND_FACTOR, &password()).expect(200).json()
}

/// The app that has read the secret of an answer.
fn app_with(setup: &Value) -> Totp {
    let secret = Secret::try_from_base32(setup["secret"].as_str().unwrap()).unwrap();
    Builder::new().with_secret(secret).build().unwrap()
}

/// The code of a step, counted from the present one.
fn code(server: &TestServer, totp: &Totp, steps: i64) -> String {
    let time = server.app.clock.now().unix_seconds() + steps * STEP;
    totp.generate(u64::try_from(time).unwrap()).to_string()
}

fn confirm(client: &Client, code: &str) -> Response {
    client.post(CONFIRM, &json!({ "code": code }))
}

fn recovery_codes(answer: &Response) -> Vec<String> {
    let answer = answer.json();
    let codes = answer["recovery_codes"].as_array().unwrap();
    codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

fn log_in_with(server: &TestServer, account: &Account, code: &str) -> Response {
    let body = json!({ "email": account.email, "password": PASSWORD, "code": code });
    server.anonymous().post(LOGIN, &body)
}

impl Person {
    /// Sets the second factor up; the clock then stands at the beginning of a step whose code is not spent.
    fn with_second_factor(server: &TestServer, role: Role) -> Self {
        let account = server.account(role);
        let sign_in = SignIn::begin(server, &account);
        pass_to_next(server, STEP);
        let totp = app_with(&begin(&sign_in.client));
        let codes = confirm(&sign_in.client, &code(server, &totp, 0)).expect(200);
        pass(server, 3 * STEP);
        Self { account, totp, recovery_codes: recovery_codes(&codes), sign_in }
    }

    fn log_in(&self, server: &TestServer, code: &str) -> Response {
        log_in_with(server, &self.account, code)
    }

    /// Signs in with the code of a step, counted from the present one.
    fn log_in_at(&self, server: &TestServer, steps: i64) -> Response {
        self.log_in(server, &code(server, &self.totp, steps))
    }
}

#[test]
fn a_second_factor_is_set_up_in_two_steps() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let client = server.sign_in(&account);
    let answer = client.post(SECOND_FACTOR, &password()).expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let setup = answer.json();
    let (secret, url) = (setup["secret"].as_str().unwrap(), setup["otpauth_url"].as_str().unwrap());
    assert_eq!(secret.len(), 32, "160 bits in Base32");
    assert!(url.starts_with("otpauth://totp/copydesk:") && url.contains(&format!("secret={secret}")), "{url}");
    log_in(&server, &account.email, PASSWORD).expect(200);
    let confirmed = confirm(&client, &code(&server, &app_with(&setup), 0)).expect(200);
    assert_eq!(confirmed.header("cache-control"), "no-store");
    let mut codes = recovery_codes(&confirmed);
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), 10);
    assert_eq!(client.get(ME).expect(200).json()["second_factor"], true);
    log_in(&server, &account.email, PASSWORD).refused(401, "second-factor-required");
    assert_eq!(last_audit_event(&server, "second_factor.enable").0, by_account(&account));
}

#[test]
fn the_address_for_the_app_is_read_by_an_app() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let setup = begin(&server.sign_in(&account));
    let read = Totp::from_url(setup["otpauth_url"].as_str().unwrap()).unwrap();
    assert_eq!(code(&server, &read, 0), code(&server, &app_with(&setup), 0));
    assert_eq!(
        (read.issuer(), read.secret().to_base32()),
        (Some("copydesk"), setup["secret"].as_str().unwrap().into())
    );
}

#[test]
fn a_wrong_code_confirms_nothing() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let client = server.sign_in(&account);
    confirm(&client, "123456").refused(409, "conflict");
    pass_to_next(&server, STEP);
    let former = app_with(&begin(&client));
    let totp = app_with(&begin(&client));
    for wrong in [code(&server, &former, 0), code(&server, &totp, -3), code(&server, &totp, 3)] {
        let problem = confirm(&client, &wrong).refused(422, "invalid-body");
        assert_eq!(problem.fault("/code").code, "wrong");
    }
    for malformed in ["", "12345", "1234567", "abcdef", "１２３４５６"] {
        confirm(&client, malformed).refused(422, "invalid-body").fault("/code");
    }
    log_in(&server, &account.email, PASSWORD).expect(200);
    confirm(&client, &code(&server, &totp, 0)).expect(200);
    confirm(&client, &code(&server, &totp, 1)).refused(409, "conflict");
    client.post(SECOND_FACTOR, &password()).refused(409, "conflict");
}

#[test]
fn setting_it_up_needs_the_password() {
    let server = TestServer::start();
    let client = server.sign_in(&server.account(Role::Editor));
    let wrong = client.post(SECOND_FACTOR, &json!({ "current_password": "another long secret" }));
    assert_eq!(wrong.refused(422, "invalid-body").fault("/current_password").code, "wrong");
    client.post(SECOND_FACTOR, &json!({})).refused(422, "invalid-body").fault("/current_password");
}

#[test]
fn a_right_password_without_a_code_does_not_count_as_a_wrong_one() {
    let server = TestServer::start();
    let person = Person::with_second_factor(&server, Role::Editor);
    // More often than wrong passwords may be tried.
    for _ in 0..15 {
        let answer = log_in(&server, &person.account.email, PASSWORD);
        answer.refused(401, "second-factor-required");
        assert!(answer.find_header("www-authenticate").is_some(), "RFC 9110, 15.5.2");
    }
    person.log_in_at(&server, 0).expect(200);
}

#[test]
fn a_code_tells_nothing_to_who_has_not_the_password() {
    let server = TestServer::start();
    let person = Person::with_second_factor(&server, Role::Editor);
    let right = code(&server, &person.totp, 0);
    let body = json!({ "email": person.account.email, "password": "another long secret", "code": right });
    server.anonymous().post(LOGIN, &body).refused(401, "invalid-credentials");
    let body = json!({ "email": person.account.email, "password": "another long secret" });
    server.anonymous().post(LOGIN, &body).refused(401, "invalid-credentials");
    person.log_in(&server, &right).expect(200);
}

#[test]
fn a_code_works_once() {
    let server = TestServer::start();
    let person = Person::with_second_factor(&server, Role::Author);
    let present = code(&server, &person.totp, 0);
    let first = person.log_in(&server, &present).expect(200).json();
    assert_eq!((&first["restricted"], &first["user"]["second_factor"]), (&json!(false), &json!(true)));
    person.log_in(&server, &present).refused(401, "second-factor-required");
    // Not even the one before, which the app does not show any more.
    person.log_in_at(&server, -1).refused(401, "second-factor-required");
    pass(&server, STEP);
    person.log_in(&server, &present).refused(401, "second-factor-required");
    pass(&server, STEP);
    person.log_in_at(&server, 0).expect(200);
}

#[test]
fn of_parallel_sign_ins_with_one_code_one_wins() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    let person = Person::with_second_factor(&server, Role::Author);
    for present in [code(&server, &person.totp, 0), person.recovery_codes[0].clone()] {
        let answers = at_once(8, |_| person.log_in(&server, &present).status);
        let won = answers.iter().filter(|status| **status == 200).count();
        assert_eq!(won, 1, "{answers:?}");
    }
}

#[test]
fn the_code_that_confirmed_does_not_sign_in() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let client = server.sign_in(&account);
    pass_to_next(&server, STEP);
    let totp = app_with(&begin(&client));
    let used = code(&server, &totp, 0);
    confirm(&client, &used).expect(200);
    log_in_with(&server, &account, &used).refused(401, "second-factor-required");
    log_in_with(&server, &account, &code(&server, &totp, 1)).expect(200);
}

#[test]
fn the_clock_of_the_app_may_be_one_step_off() {
    let server = TestServer::start();
    for (steps, is_right) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
        let person = Person::with_second_factor(&server, Role::Author);
        let answer = person.log_in_at(&server, steps);
        if is_right {
            answer.expect(200);
        } else {
            answer.refused(401, "second-factor-required");
        }
    }
}

#[test]
fn a_wrong_code_counts_as_an_attempt() {
    let server = TestServer::start();
    let person = Person::with_second_factor(&server, Role::Author);
    let mut wrong = 0;
    for _ in 0..200 {
        // Three steps off, so never right.
        match person.log_in_at(&server, -3).status {
            401 => wrong += 1,
            429 => pass(&server, 5),
            other => panic!("a wrong code was answered with {other}"),
        }
        if wrong == 10 {
            break;
        }
    }
    assert_eq!(wrong, 10);
    pass(&server, 2 * 60);
    assert_eq!(person.log_in_at(&server, 0).status, 429, "not even the right one, before the window is over");
    pass(&server, 15 * 60);
    person.log_in_at(&server, 0).expect(200);
}

#[test]
fn a_recovery_code_works_once_however_it_is_typed() {
    let server = TestServer::start();
    let person = Person::with_second_factor(&server, Role::Author);
    let codes = &person.recovery_codes;
    assert!(codes.iter().all(|code| code.len() == 19 && code.matches('-').count() == 3), "{codes:?}");
    let typed = [codes[0].clone(), codes[1].to_uppercase(), codes[2].replace('-', ""), codes[3].replace('-', " ")];
    for one in &typed {
        person.log_in(&server, one).expect(200);
        person.log_in(&server, one).refused(401, "second-factor-required");
        // Wrong codes make who sends them wait.
        pass(&server, 60);
    }
    let stranger = Person::with_second_factor(&server, Role::Author);
    person.log_in(&server, &stranger.recovery_codes[0]).refused(401, "second-factor-required");
    let used = audit_events(&server, "second_factor.use_recovery_code");
    assert_eq!(used.len(), typed.len());
    assert_eq!(used[0]["actor"], by_account(&person.account));
}

#[test]
fn the_code_of_another_persons_app_is_refused() {
    let server = TestServer::start();
    let person = Person::with_second_factor(&server, Role::Author);
    let stranger = Person::with_second_factor(&server, Role::Author);
    person.log_in_at(&server, -5).refused(401, "second-factor-required");
    person.log_in(&server, &code(&server, &stranger.totp, 0)).refused(401, "second-factor-required");
}

#[test]
fn who_has_none_may_send_a_code_all_the_same() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    log_in_with(&server, &account, "123456").expect(200);
    for malformed in ["", "12345", &"1".repeat(41)] {
        log_in_with(&server, &account, malformed).refused(422, "invalid-body").fault("/code");
    }
}

fn requiring_it_of_editors() -> TestServer {
    TestServer::start_with(|config| config.second_factor_roles = vec![Role::Editor])
}

#[test]
fn where_the_role_needs_one_a_sign_in_is_good_for_setting_it_up_until_it_is_confirmed() {
    let server = requiring_it_of_editors();
    let account = server.account(Role::Editor);
    let answer = log_in(&server, &account.email, PASSWORD).expect(200);
    assert_eq!(answer.json()["restricted"], true);
    let sign_in = SignIn::of(&server, answer);
    let refused = |client: &Client, path: &str| client.get(path).refused(403, "second-factor-setup-required");
    refused(&sign_in.client, "/api/v1/manage/articles");
    refused(&sign_in.client, ME);
    let patch = json!({ "name": "A new name" });
    sign_in.client.request("PATCH", ME).json(&patch).send().refused(403, "second-factor-setup-required");
    // Refreshing does not lift it.
    let sign_in = sign_in.refreshed(&server);
    refused(&sign_in.client, ME);
    let setup = begin(&sign_in.client);
    refused(&sign_in.client, ME);
    confirm(&sign_in.client, &code(&server, &app_with(&setup), 0)).expect(200);
    assert_eq!(sign_in.client.get(ME).expect(200).json()["second_factor"], true);
    let refreshed = sign_in.refreshed(&server);
    refreshed.client.get("/api/v1/manage/articles").expect(200);
}

#[test]
fn who_has_one_already_or_need_not_signs_in_without_restriction() {
    let server = requiring_it_of_editors();
    let person = Person::with_second_factor(&server, Role::Editor);
    assert_eq!(person.log_in_at(&server, 0).expect(200).json()["restricted"], false);
    let author = server.account(Role::Author);
    assert_eq!(log_in(&server, &author.email, PASSWORD).expect(200).json()["restricted"], false);
}

#[test]
fn a_restricted_sign_in_can_log_out() {
    let server = requiring_it_of_editors();
    let sign_in = SignIn::begin(&server, &server.account(Role::Editor));
    sign_in.client.request("POST", "/api/v1/auth/logout").send().expect(204);
    sign_in.assert_ended(&server);
}

fn remove(client: &Client, body: &Value) -> Response {
    client.request("DELETE", SECOND_FACTOR).json(body).send()
}

#[test]
fn removing_it_needs_the_password() {
    let server = TestServer::start();
    let person = Person::with_second_factor(&server, Role::Author);
    let client = &person.sign_in.client;
    let wrong = remove(client, &json!({ "current_password": "another long secret" })).refused(422, "invalid-body");
    assert_eq!(wrong.fault("/current_password").code, "wrong");
    remove(client, &json!({})).refused(422, "invalid-body").fault("/current_password");
    log_in(&server, &person.account.email, PASSWORD).refused(401, "second-factor-required");
    remove(client, &password()).expect(204);
    log_in(&server, &person.account.email, PASSWORD).expect(200);
    remove(client, &password()).refused(409, "conflict");
    assert_eq!(last_audit_event(&server, "second_factor.disable").0, by_account(&person.account));
}

#[test]
fn switching_it_on_or_off_ends_the_other_sign_ins() {
    let server = TestServer::start();
    let account = server.account(Role::Author);
    let (own, other) = (SignIn::begin(&server, &account), SignIn::begin(&server, &account));
    let totp = app_with(&begin(&own.client));
    let own = own.assert_stands(&server);
    let other = other.assert_stands(&server);
    confirm(&own.client, &code(&server, &totp, 0)).expect(200);
    other.assert_ended(&server);
    let own = own.assert_stands(&server);
    pass(&server, STEP);
    let other = SignIn::of(&server, log_in_with(&server, &account, &code(&server, &totp, 0)));
    remove(&own.client, &password()).expect(204);
    other.assert_ended(&server);
    own.assert_stands(&server);
}

#[test]
fn who_must_have_one_does_not_remove_it() {
    let server = requiring_it_of_editors();
    let person = Person::with_second_factor(&server, Role::Editor);
    remove(&person.sign_in.client, &password()).refused(409, "conflict");
    log_in(&server, &person.account.email, PASSWORD).refused(401, "second-factor-required");
}

#[test]
fn what_was_removed_is_good_for_nothing_any_more() {
    let server = TestServer::start();
    let person = Person::with_second_factor(&server, Role::Author);
    let client = &person.sign_in.client;
    remove(client, &password()).expect(204);
    let setup = begin(client);
    assert_ne!(setup["secret"], person.totp.secret().to_base32());
    confirm(client, &code(&server, &app_with(&setup), 0)).expect(200);
    pass(&server, 3 * STEP);
    person.log_in_at(&server, 0).refused(401, "second-factor-required");
    person.log_in(&server, &person.recovery_codes[0]).refused(401, "second-factor-required");
    log_in_with(&server, &person.account, &code(&server, &app_with(&setup), 0)).expect(200);
}

#[test]
fn an_admin_resets_the_second_factor_of_who_has_lost_it() {
    let server = requiring_it_of_editors();
    let chief = server.account(Role::Admin);
    let admin = server.sign_in(&chief);
    let person = Person::with_second_factor(&server, Role::Editor);
    let path = format!("{USERS}/{}/second-factor", person.account.id);
    admin.request("DELETE", &format!("{path}?validate_only=true")).send().expect(204);
    let sign_in = SignIn::of(&server, person.log_in_at(&server, 0));
    admin.request("DELETE", &path).send().expect(204);
    sign_in.assert_ended(&server);
    person.sign_in.assert_ended(&server);
    assert_eq!(log_in(&server, &person.account.email, PASSWORD).expect(200).json()["restricted"], true);
    let (actor, subject) = last_audit_event(&server, "second_factor.disable");
    assert_eq!((actor, &subject["id"]), (by_account(&chief), &json!(person.account.id)));
    admin.request("DELETE", &path).send().refused(409, "conflict");
    let nobody = format!("{USERS}/{}/second-factor", uuid::Uuid::now_v7());
    admin.request("DELETE", &nobody).send().refused(404, "not-found");
}

#[test]
fn a_new_password_does_not_take_the_second_factor_away() {
    let server = TestServer::start();
    let person = Person::with_second_factor(&server, Role::Author);
    let another = "another long and secret phrase";
    let path = format!("{USERS}/{}", person.account.id);
    server.signed_in(Role::Admin).patch(&path, "*", &json!({ "password": another })).expect(200);
    log_in(&server, &person.account.email, another).refused(401, "second-factor-required");
}

#[test]
fn neither_the_secret_nor_a_recovery_code_can_be_read_in_the_database() {
    let server = TestServer::start();
    let person = Person::with_second_factor(&server, Role::Author);
    let secret = person.totp.secret();
    assert!(is_in_database(&server, person.account.email.as_bytes()), "the control: what is stored is found");
    assert!(!is_in_database(&server, secret.to_base32().as_bytes()));
    assert!(!is_in_database(&server, secret.as_ref()));
    for code in &person.recovery_codes {
        assert!(
            !is_in_database(&server, code.as_bytes()) && !is_in_database(&server, code.replace('-', "").as_bytes())
        );
    }
    let text = server.signed_in(Role::Admin).get("/api/v1/manage/audit-events?limit=100").expect(200).text();
    assert!(!text.contains(&secret.to_base32()) && !text.contains(&person.recovery_codes[0]));
}

#[test]
fn a_setting_that_needs_a_second_factor_counts_for_sign_ins_that_stand() {
    let server = TestServer::start();
    let sign_in = SignIn::begin(&server, &server.account(Role::Editor));
    let mut config = server.app.config.clone();
    config.second_factor_roles = vec![Role::Editor];
    let server = TestServer::start_in(server.keep(), config);
    let client = server.with_token(sign_in.client.token());
    client.get("/api/v1/manage/articles").refused(403, "second-factor-setup-required");
    let refreshed = refresh(&server, &sign_in.refresh_token).expect(200);
    assert_eq!(refreshed.json()["restricted"], true);
    confirm(&client, &code(&server, &app_with(&begin(&client)), 0)).expect(200);
    client.get("/api/v1/manage/articles").expect(200);
}
