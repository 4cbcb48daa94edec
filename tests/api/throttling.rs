//! How often signing in may be tried: by email, by network, and what is told of it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use copydesk::auth::Role;
use copydesk::config::{Config, PasswordCost};
use serde_json::{Value, json};

use crate::client::Response;
use crate::harness::{Account, PASSWORD, TestServer};
use crate::steps::{
    LOGIN, ME, REFRESH, SignIn, at_once, audit_events, eventually, log_in, pass, pass_to_next, refresh,
};

const WRONG: &str = "a wrong but long password";
const MINUTE: i64 = 60;
/// For how long wrong passwords are remembered.
const WINDOW: i64 = 15 * MINUTE;
const HOME: &str = "203.0.113.9";

fn behind_a_proxy(config: &mut Config) {
    config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
}

/// Tries to log in from an address, as the proxy tells it.
fn log_in_from(server: &TestServer, address: &str, email: &str, password: &str) -> Response {
    let body = json!({ "email": email, "password": password });
    server.anonymous().request("POST", LOGIN).header("x-forwarded-for", address).json(&body).send()
}

/// One address of very many, each of another network.
fn address(number: usize) -> String {
    format!("198.51.{}.{}", number / 200, number % 200 + 1)
}

fn number_in(answer: &Response, header: &str, parameter: &str) -> i64 {
    let value = answer.header(header).to_owned();
    let found = value.split(';').find_map(|part| part.trim().strip_prefix(parameter)?.strip_prefix('=')?.parse().ok());
    found.unwrap_or_else(|| panic!("no {parameter} in {header}: {value}"))
}

fn retry_after(answer: &Response) -> i64 {
    answer.header("retry-after").parse().unwrap()
}

/// What an answer is made of, without what counts or names the request.
fn form(answer: &Response) -> (u16, BTreeSet<String>, Option<String>, Value) {
    let names = answer.headers.keys().map(ToString::to_string).collect();
    let policy = answer.find_header("ratelimit-policy").map(str::to_owned);
    (answer.status, names, policy, answer.json()["type"].clone())
}

/// What happened when someone tried wrong passwords, each from another network, and waited as long as was asked.
struct Guessing {
    answers: Vec<Response>,
    waits: Vec<i64>,
}

impl Guessing {
    /// Tries until so many were found wrong.
    fn at(server: &TestServer, email: &str, wrong: usize) -> Self {
        let mut guessing = Self { answers: Vec::new(), waits: Vec::new() };
        while guessing.wrong() < wrong {
            assert!(guessing.answers.len() < 100, "only {} of them were looked at", guessing.wrong());
            let answer = log_in_from(server, &address(guessing.answers.len()), email, WRONG);
            if answer.status == 429 {
                guessing.waits.push(retry_after(&answer));
                pass(server, retry_after(&answer));
            }
            guessing.answers.push(answer);
        }
        guessing
    }

    fn wrong(&self) -> usize {
        self.answers.iter().filter(|answer| answer.status == 401).count()
    }
}

#[test]
fn ten_wrong_passwords_in_fifteen_minutes_with_growing_waits() {
    let server = TestServer::start_with(behind_a_proxy);
    let account = server.account(Role::Editor);
    let guessing = Guessing::at(&server, &account.email, 10);
    let (waits, told) = (&guessing.waits, [1, 2, 4, 8, 16, 32, 64]);
    assert!(waits.len() <= told.len() && waits.ends_with(&[16, 32, 64]), "{waits:?}");
    let answer = log_in_from(&server, &address(500), &account.email, PASSWORD);
    answer.refused(429, "too-many-requests");
    let wait = retry_after(&answer);
    // The first was about two minutes ago; ten are enough until it is forgotten.
    assert!((WINDOW - 140..WINDOW - 120).contains(&wait), "{wait}");
    pass(&server, wait - 5);
    log_in_from(&server, &address(501), &account.email, PASSWORD).refused(429, "too-many-requests");
    pass(&server, 6);
    log_in_from(&server, &address(502), &account.email, PASSWORD).expect(200);
    pass(&server, WINDOW);
    assert_eq!(Guessing::at(&server, &account.email, 3).waits, [0; 0], "all of it is forgotten");
}

#[test]
fn an_unknown_email_is_throttled_as_a_known_one() {
    let server = TestServer::start_with(behind_a_proxy);
    let (account, disabled) = (server.account(Role::Editor), server.account(Role::Editor));
    server.disable(&disabled);
    // The last ten: whether the first, short waits have passed by themselves is the machine's business.
    let forms = |email: &str| {
        let guessing = Guessing::at(&server, email, 10);
        guessing.answers[guessing.answers.len() - 10..].iter().map(form).collect::<Vec<_>>()
    };
    let known = forms(&account.email);
    assert_eq!(known.iter().filter(|(status, ..)| *status == 429).count(), 5);
    for email in ["nobody@example.org", &disabled.email] {
        assert_eq!(known, forms(email), "{email}");
    }
}

#[test]
fn the_case_of_the_email_gives_no_further_attempts() {
    let server = TestServer::start_with(behind_a_proxy);
    let account = server.account(Role::Editor);
    Guessing::at(&server, &account.email.to_uppercase(), 4);
    Guessing::at(&server, &format!("  {} ", account.email), 6);
    let answer = log_in_from(&server, &address(500), &account.email, PASSWORD);
    answer.refused(429, "too-many-requests");
    assert!(retry_after(&answer) > 2 * MINUTE);
}

#[test]
fn right_passwords_do_not_count() {
    let server = TestServer::start_with(behind_a_proxy);
    let account = server.account(Role::Editor);
    for number in 0..20 {
        log_in_from(&server, &address(number), &account.email, PASSWORD).expect(200);
    }
}

#[test]
fn parallel_attempts_do_not_slip_by() {
    let server = TestServer::start_with(behind_a_proxy);
    for email in [server.account(Role::Editor).email.as_str(), "nobody@example.org"] {
        let statuses = at_once(40, |number| log_in_from(&server, &address(number), email, WRONG).status);
        let looked_at = statuses.iter().filter(|status| **status == 401).count();
        assert!((3..=10).contains(&looked_at), "{looked_at} were looked at");
        assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
        let later = (100..140).map(|number| log_in_from(&server, &address(number), email, WRONG).status);
        let looked_at = looked_at + later.filter(|status| *status == 401).count();
        assert!(looked_at <= 10, "{looked_at} were looked at");
    }
}

#[test]
fn who_must_wait_for_an_email_is_told_of_that_limit() {
    let server = TestServer::start_with(behind_a_proxy);
    let account = server.account(Role::Editor);
    Guessing::at(&server, &account.email, 8);
    let refused = log_in_from(&server, HOME, &account.email, WRONG);
    refused.refused(429, "too-many-requests");
    assert_eq!(refused.header("ratelimit-policy"), "\"email\";q=10;w=900");
    assert_eq!(number_in(&refused, "ratelimit", "r"), 0);
    assert_eq!(number_in(&refused, "ratelimit", "t"), retry_after(&refused));
}

/// Tells the others that something is over, whether it went well or not.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// So dear that a flood fills the queue, and so cheap that whoever gets into it is through in a second or two.
const FLOODED: PasswordCost = PasswordCost { memory_kib: 16 * 1024, passes: 1 };

/// Signs in from many networks with as many emails, again and again, while something else is done.
fn in_a_flood<T: Send>(server: &TestServer, work: impl Fn() -> T + Sync) -> T {
    let is_over = AtomicBool::new(false);
    let all = at_once(91, |number| {
        if number == 0 {
            let _over = Over(&is_over);
            return Some(work());
        }
        for turn in 0.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let network = format!("10.{}.{}.{number}", turn / 250, turn % 250);
            log_in_from(server, &network, &format!("{turn}-{number}@example.org"), WRONG);
        }
        None
    });
    all.into_iter().flatten().next().unwrap()
}

#[test]
fn a_password_that_nobody_looked_at_does_not_count_as_wrong() {
    let server = TestServer::start_with(|config| {
        behind_a_proxy(config);
        config.password_cost = FLOODED;
    });
    let account = server.account(Role::Editor);
    let sent_away = in_a_flood(&server, || {
        let (mut sent_away, mut network) = (0, 900);
        eventually("the person was sent away five times", || {
            // Each time from elsewhere: where somebody has signed in before, nobody is sent away.
            network += 1;
            let answer = log_in_from(&server, &address(network), &account.email, PASSWORD);
            assert!([200, 503].contains(&answer.status), "{}", answer.shown());
            sent_away += usize::from(answer.status == 503);
            (sent_away == 5).then_some(sent_away)
        })
    });
    assert_eq!(sent_away, 5);
}

#[test]
fn a_flood_keeps_nobody_out_who_has_signed_in_from_there() {
    let server = TestServer::start_with(|config| {
        behind_a_proxy(config);
        config.password_cost = FLOODED;
    });
    let account = server.account(Role::Editor);
    log_in_from(&server, HOME, &account.email, PASSWORD).expect(200);
    in_a_flood(&server, || {
        for _ in 0..10 {
            log_in_from(&server, HOME, &account.email, PASSWORD).expect(200);
        }
    });
}

#[test]
fn throttled_confirmations_are_counted_in_the_audit_trail() {
    let server = TestServer::start();
    let client = server.sign_in(&server.account(Role::Editor));
    pass_to_next(&server, 60);
    let confirm = || client.post("/api/v1/auth/me/second-factor/confirm", &json!({ "code": "123456" }));
    eventually("the limit is reached", || Some(confirm()).filter(|answer| answer.status == 429));
    pass(&server, 60);
    eventually("the minute is written", || {
        Some(audit_events(&server, "sign_in.throttle")).filter(|all| !all.is_empty())
    });
}

#[test]
fn a_refused_link_tells_of_the_limit() {
    let server = TestServer::start();
    let body = json!({ "token": "cdl_unknown", "password": "a long and secret phrase" });
    let answer = server.anonymous().post("/api/v1/auth/redeem", &body);
    answer.refused(422, "invalid-body");
    assert_eq!(answer.header("ratelimit-policy"), "\"sign-in\";q=30;w=60");
}

#[test]
fn right_passwords_at_once_do_not_throttle_each_other() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let statuses = at_once(10, |_| log_in(&server, &account.email, PASSWORD).status);
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[test]
fn guessing_from_elsewhere_does_not_keep_a_person_out() {
    let server = TestServer::start_with(behind_a_proxy);
    let account = server.account(Role::Editor);
    log_in_from(&server, HOME, &account.email, PASSWORD).expect(200);
    Guessing::at(&server, &account.email, 10);
    log_in_from(&server, &address(500), &account.email, PASSWORD).refused(429, "too-many-requests");
    log_in_from(&server, HOME, &account.email, PASSWORD).expect(200);
    // There, too, no more than ten wrong ones are looked at.
    let mut looked_at = 0;
    for _ in 0..200 {
        looked_at += i32::from(log_in_from(&server, HOME, &account.email, WRONG).status == 401);
        pass(&server, 4);
    }
    assert!((1..=10).contains(&looked_at), "{looked_at}");
}

#[test]
fn a_known_network_does_not_tell_whose_it_is() {
    let server = TestServer::start_with(behind_a_proxy);
    let (account, other) = (server.account(Role::Editor), server.account(Role::Editor));
    log_in_from(&server, HOME, &other.email, PASSWORD).expect(200);
    for email in [account.email.as_str(), other.email.as_str(), "nobody@example.org"] {
        Guessing::at(&server, email, 10);
        log_in_from(&server, &address(700), email, WRONG).refused(429, "too-many-requests");
        log_in_from(&server, HOME, email, WRONG).refused(401, "invalid-credentials");
    }
}

#[test]
fn a_link_lets_a_person_in_whom_somebody_keeps_out() {
    let server = TestServer::start_with(behind_a_proxy);
    let account = server.account(Role::Editor);
    Guessing::at(&server, &account.email, 10);
    log_in_from(&server, HOME, &account.email, PASSWORD).refused(429, "too-many-requests");
    let path = format!("/api/v1/manage/users/{}/password-links", account.id);
    let link = server.signed_in(Role::Admin).request("POST", &path).send().expect(200).json();
    let token = link["url"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    let fresh = "another long and secret phrase";
    let body = json!({ "token": token, "password": fresh });
    let redeem = server.anonymous().request("POST", "/api/v1/auth/redeem").header("x-forwarded-for", HOME);
    redeem.json(&body).send().expect(204);
    log_in_from(&server, HOME, &account.email, fresh).expect(200);
}

#[test]
fn where_the_proxy_itself_seems_to_call_no_network_is_known() {
    let server = TestServer::start_with(behind_a_proxy);
    let account = server.account(Role::Editor);
    log_in(&server, &account.email, PASSWORD).expect(200);
    Guessing::at(&server, &account.email, 10);
    log_in(&server, &account.email, PASSWORD).refused(429, "too-many-requests");
}

#[test]
fn ipv6_networks_of_one_holder_share_a_wider_limit() {
    let server = TestServer::start_with(behind_a_proxy);
    let through = let_through(&server, 200, |number| format!("2001:db8:1:{number:x}::1"));
    assert!((120..126).contains(&through), "{through}");
}

#[test]
fn wrong_present_passwords_are_audited() {
    let server = TestServer::start();
    let account = server.account(Role::Editor);
    let body = json!({ "password": "another long and secret phrase", "current_password": WRONG });
    server.sign_in(&account).request("PATCH", ME).json(&body).send().refused(422, "invalid-body");
    let events = audit_events(&server, "user.refuse_password");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["subject"]["id"], account.id.to_string());
}

#[test]
fn a_stolen_token_is_no_place_to_guess_the_password() {
    let server = TestServer::start_with(behind_a_proxy);
    let account = server.account(Role::Editor);
    let client = server.sign_in(&account);
    let paths = [
        ("PATCH", ME, json!({ "password": "another long and secret phrase", "current_password": WRONG })),
        ("POST", "/api/v1/auth/me/second-factor", json!({ "current_password": WRONG })),
        ("POST", "/api/v1/auth/me/api-keys", json!({ "name": "A", "role": "editor", "current_password": WRONG })),
        ("DELETE", "/api/v1/auth/me/second-factor", json!({ "current_password": WRONG })),
    ];
    let mut looked_at = 0;
    for number in 0..100 {
        let (method, path, body) = &paths[number % paths.len()];
        let request = client.request(method, path).header("x-forwarded-for", &address(number));
        let answer = request.json(body).send();
        assert!([422, 429].contains(&answer.status), "{}", answer.shown());
        looked_at += i32::from(answer.status == 422);
        pass(&server, 4);
    }
    assert!((4..=10).contains(&looked_at), "{looked_at}");
    log_in_from(&server, &address(500), &account.email, PASSWORD).refused(429, "too-many-requests");
}

#[test]
fn a_network_signs_in_no_more_than_thirty_times_a_minute() {
    let server = TestServer::start_with(behind_a_proxy);
    let account = server.account(Role::Editor);
    let begun = Instant::now();
    for number in 0..30 {
        let answer = log_in_from(&server, HOME, &format!("{number}@example.org"), WRONG);
        answer.refused(401, "invalid-credentials");
        assert_eq!(answer.header("ratelimit-policy"), "\"sign-in\";q=30;w=60");
        let remaining = number_in(&answer, "ratelimit", "r");
        let regained = i64::try_from(begun.elapsed().as_secs()).unwrap() / 2 + 1;
        assert!((29 - number..=29 - number + regained).contains(&remaining), "{remaining} after {number}");
    }
    let refused = eventually("the limit is reached", || {
        Some(log_in_from(&server, HOME, &account.email, PASSWORD)).filter(|answer| answer.status == 429)
    });
    refused.refused(429, "too-many-requests");
    assert!((1..=2).contains(&retry_after(&refused)));
    assert_eq!(number_in(&refused, "ratelimit", "r"), 0);
    assert_eq!(number_in(&refused, "ratelimit", "t"), retry_after(&refused));
    log_in_from(&server, "203.0.113.10", &account.email, PASSWORD).expect(200);
    pass(&server, MINUTE);
    let answer = log_in_from(&server, HOME, &account.email, PASSWORD).expect(200);
    assert_eq!(number_in(&answer, "ratelimit", "r"), 29);
}

#[test]
fn links_and_passwords_share_the_networks_limit_of_sign_in() {
    let server = TestServer::start();
    let client = server.sign_in(&server.account(Role::Editor));
    let redeem = || {
        let body = json!({ "token": "cdl_unknown", "password": "a long and secret phrase" });
        server.anonymous().post("/api/v1/auth/redeem", &body)
    };
    let statuses: Vec<u16> = (0..60).map(|_| redeem().status).collect();
    assert!(statuses.iter().filter(|status| **status == 422).count() < 50, "{statuses:?}");
    let refused = eventually("the limit is reached", || Some(redeem()).filter(|answer| answer.status == 429));
    refused.refused(429, "too-many-requests");
    assert_eq!(refused.header("ratelimit-policy"), "\"sign-in\";q=30;w=60");
    let body = json!({ "current_password": PASSWORD });
    eventually("a password is not looked at either", || {
        redeem();
        Some(client.post("/api/v1/auth/me/second-factor", &body)).filter(|answer| answer.status == 429)
    });
    // What needs no password has no limit.
    client.get(ME).expect(200);
}

#[test]
fn a_network_refreshes_no_more_than_three_hundred_times_a_minute() {
    let server = TestServer::start_with(behind_a_proxy);
    let sign_in = SignIn::begin(&server, &server.account(Role::Editor));
    let unknown = |address: &str| {
        let body = json!({ "refresh_token": "cdr_unknown" });
        server.anonymous().request("POST", REFRESH).header("x-forwarded-for", address).json(&body).send()
    };
    let first = unknown(HOME);
    first.refused(401, "unauthenticated");
    assert_eq!(first.header("ratelimit-policy"), "\"refresh\";q=300;w=60");
    assert_eq!(number_in(&first, "ratelimit", "r"), 299);
    let statuses = at_once(4, |_| (0..200).map(|_| unknown(HOME).status).collect::<Vec<_>>()).concat();
    assert!(statuses.contains(&429) && statuses.iter().all(|status| [401, 429].contains(status)));
    let refused = eventually("the limit is reached", || Some(unknown(HOME)).filter(|answer| answer.status == 429));
    refused.refused(429, "too-many-requests");
    assert_eq!((retry_after(&refused), number_in(&refused, "ratelimit", "r")), (1, 0));
    unknown("203.0.113.10").refused(401, "unauthenticated");
    let answer = refresh(&server, &sign_in.refresh_token).expect(200);
    assert_eq!(number_in(&answer, "ratelimit", "r"), 299);
}

/// How many of so many sign-ins were let through to the password, each from its own address.
fn let_through(server: &TestServer, times: usize, address: impl Fn(usize) -> String) -> usize {
    let attempts = (0..times).map(|number| {
        let email = format!("{}@example.org", uuid::Uuid::now_v7());
        log_in_from(server, &address(number), &email, WRONG).status
    });
    attempts.filter(|status| *status == 401).count()
}

/// Fewer than this come through where all share one limit, however slow the machine is; else all of them do.
const SHARED: usize = 60;
const TIMES: usize = 70;

#[test]
fn ipv6_addresses_of_one_network_share_a_limit() {
    let server = TestServer::start_with(behind_a_proxy);
    let one = let_through(&server, TIMES, |number| format!("2001:db8:1:2:{number:x}::{number:x}"));
    assert!((30..SHARED).contains(&one), "{one}");
    let many = let_through(&server, TIMES, |number| format!("2001:db8:2:{:x}::1", 0x100 + number));
    assert_eq!(many, TIMES);
    // With brackets and a port, or mapped, an address is the same address.
    let written = let_through(&server, TIMES, |number| format!("[2001:db8:9:9::{number:x}]:443"));
    assert!((30..SHARED).contains(&written), "{written}");
    let mapped = let_through(&server, TIMES, |number| ["203.0.113.77", "::ffff:203.0.113.77"][number % 2].to_owned());
    assert!((30..SHARED).contains(&mapped), "{mapped}");
}

#[test]
fn what_a_client_writes_into_the_header_itself_does_not_count() {
    let server = TestServer::start_with(behind_a_proxy);
    let one = let_through(&server, TIMES, |number| format!("{}, {HOME}", address(number)));
    assert!((30..SHARED).contains(&one), "{one}");
}

fn warnings(server: &TestServer) -> Vec<Value> {
    server.anonymous().get("/readyz").expect(200).json()["warnings"].as_array().unwrap().clone()
}

#[test]
fn nobody_but_a_trusted_proxy_says_where_a_request_comes_from() {
    let server = TestServer::start();
    assert_eq!(warnings(&server), [json!(null); 0]);
    let one = let_through(&server, TIMES, address);
    assert!((30..SHARED).contains(&one), "{one}");
    let warnings = warnings(&server);
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].as_str().unwrap().contains("COPYDESK_TRUSTED_PROXIES"), "{warnings:?}");
}

#[test]
fn a_trusted_proxy_is_no_reason_for_a_warning() {
    let server = TestServer::start_with(behind_a_proxy);
    assert_eq!(let_through(&server, 3, address), 3);
    log_in(&server, "nobody@example.org", WRONG).refused(401, "invalid-credentials");
    assert_eq!(warnings(&server), [json!(null); 0]);
}

#[test]
fn limits_can_be_switched_off() {
    let server = TestServer::start_with(|config| config.rate_limits = false);
    let account: Account = server.account(Role::Editor);
    for _ in 0..40 {
        let answer = log_in(&server, &account.email, WRONG);
        answer.refused(401, "invalid-credentials");
        assert!(answer.find_header("ratelimit").is_none() && answer.find_header("ratelimit-policy").is_none());
    }
    let mut sign_in = SignIn::begin(&server, &account);
    for _ in 0..10 {
        sign_in = sign_in.refreshed(&server);
    }
    assert!((0..310).all(|_| refresh(&server, "cdr_unknown").status == 401));
}

#[test]
fn what_anonymous_callers_cause_is_one_counted_event_a_kind_and_minute() {
    let server = TestServer::start_with(behind_a_proxy);
    pass_to_next(&server, MINUTE);
    for minute in 0..2 {
        for number in 0..5 {
            log_in_from(&server, &address(number), &format!("{number}-{minute}@example.org"), WRONG);
        }
        pass(&server, MINUTE);
    }
    for _ in 0..3 {
        refresh(&server, "cdr_unknown").refused(401, "unauthenticated");
    }
    let body = json!({ "token": "cdl_unknown", "password": "a long and secret phrase" });
    server.anonymous().post("/api/v1/auth/redeem", &body).refused(422, "invalid-body");
    assert!(audit_events(&server, "sign_in.refuse_refresh").is_empty(), "its minute is not over");
    pass(&server, MINUTE);
    for (action, kind, counts) in [
        ("sign_in.refuse", "sign_in", &[5, 5][..]),
        ("sign_in.refuse_refresh", "sign_in", &[3]),
        ("password_link.refuse", "user", &[1]),
    ] {
        let events = eventually("the minute is written", || {
            Some(audit_events(&server, action)).filter(|events| events.len() >= counts.len())
        });
        let found: Vec<_> = events.iter().map(|event| event["count"].as_i64().unwrap()).collect();
        assert_eq!(found, counts, "{action}");
        assert_eq!(events[0]["actor"], json!({ "kind": "anonymous", "id": null, "api_key": null }));
        assert_eq!(events[0]["subject"], json!({ "kind": kind, "id": null }));
    }
}

#[test]
fn throttled_attempts_are_counted_in_the_audit_trail() {
    let server = TestServer::start_with(behind_a_proxy);
    pass_to_next(&server, MINUTE);
    let answers = at_once(30, |number| log_in_from(&server, &address(number), "nobody@example.org", WRONG).status);
    let throttled = answers.iter().filter(|status| **status == 429).count();
    pass(&server, MINUTE);
    let events = eventually("the minute is written", || {
        Some(audit_events(&server, "sign_in.throttle")).filter(|events| !events.is_empty())
    });
    assert_eq!((events.len(), &events[0]["count"]), (1, &json!(throttled)));
}

#[test]
fn what_anonymous_callers_caused_is_written_when_the_program_stops() {
    let server = TestServer::start();
    log_in(&server, "nobody@example.org", WRONG).refused(401, "invalid-credentials");
    let config = server.app.config.clone();
    let server = TestServer::start_in(server.keep(), config);
    let events = audit_events(&server, "sign_in.refuse");
    assert_eq!((events.len(), &events[0]["count"]), (1, &json!(1)));
}
