//! Steps that the tests of signing in share: signing in, waiting for what happens behind a request's back, and
//! looking where only someone with the disk can look.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use copydesk::auth::Role;
use serde_json::{Value, json};

use crate::client::{Client, Response};
use crate::harness::{Account, PASSWORD, TestServer};

pub(crate) const LOGIN: &str = "/api/v1/auth/login";
pub(crate) const REFRESH: &str = "/api/v1/auth/refresh";
pub(crate) const ME: &str = "/api/v1/auth/me";
pub(crate) const SESSIONS: &str = "/api/v1/auth/me/sessions";
pub(crate) const USERS: &str = "/api/v1/manage/users";

/// A list that takes long to make after [`publish_what_is_slow`].
pub(crate) const SLOW_LIST: &str = "/api/v1/articles?include=body_html,body_markdown,sections&sort=-updated_at";

/// Nothing that the program does by itself takes this long.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(20);

/// What a client keeps of a sign-in.
pub(crate) struct SignIn {
    /// A caller with the access token.
    pub client: Client,
    /// The refresh token.
    pub refresh_token: String,
}

impl SignIn {
    /// The sign-in of an answer to a login or a refresh.
    #[track_caller]
    pub(crate) fn of(server: &TestServer, answer: Response) -> Self {
        let answer = answer.expect(200).json();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        Self { client: server.with_token(&text("access_token")), refresh_token: text("refresh_token") }
    }

    /// Logs in to an account of the harness.
    #[track_caller]
    pub(crate) fn begin(server: &TestServer, account: &Account) -> Self {
        Self::of(server, log_in(server, &account.email, PASSWORD))
    }

    /// The next pair of tokens.
    #[track_caller]
    pub(crate) fn refreshed(&self, server: &TestServer) -> Self {
        Self::of(server, refresh(server, &self.refresh_token))
    }

    /// Fails where either of the tokens is still taken.
    #[track_caller]
    pub(crate) fn assert_ended(&self, server: &TestServer) {
        self.client.get(ME).refused(401, "unauthenticated");
        refresh(server, &self.refresh_token).refused(401, "unauthenticated");
    }

    /// Fails where either of the tokens is not taken; goes on with the next pair.
    #[track_caller]
    pub(crate) fn assert_stands(self, server: &TestServer) -> Self {
        self.client.get(ME).expect(200);
        self.refreshed(server)
    }
}

/// Tries to log in.
pub(crate) fn log_in(server: &TestServer, email: &str, password: &str) -> Response {
    server.anonymous().post(LOGIN, &json!({ "email": email, "password": password }))
}

/// Tries to refresh.
pub(crate) fn refresh(server: &TestServer, token: &str) -> Response {
    server.anonymous().post(REFRESH, &json!({ "refresh_token": token }))
}

/// Moves the clock.
pub(crate) fn pass(server: &TestServer, seconds: i64) {
    server.app.clock.advance(Duration::from_secs(u64::try_from(seconds).unwrap()));
}

/// Moves the clock to where a stretch of so many seconds has just begun, so that the test stays within it.
pub(crate) fn pass_to_next(server: &TestServer, stretch: i64) {
    pass(server, stretch - server.app.clock.now().unix_seconds() % stretch);
}

/// Asks again and again until there is an answer: for what the program does behind a request's back.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it never came to pass that {what}");
        thread::sleep(PAUSE);
    }
}

/// Publishes long articles.
pub(crate) fn publish_what_is_slow(editor: &Client) {
    for number in 0..12 {
        let draft = json!({ "title": format!("Long {number}"), "body_markdown": "Some words. ".repeat(20_000) });
        let made = editor.post("/api/v1/manage/articles", &draft).expect(201);
        editor.post(&format!("{}/publish", made.header("location")), &json!({ "revision": 1 })).expect(200);
    }
}

/// Does the same many times at once.
pub(crate) fn at_once<T: Send>(times: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let all: Vec<_> = (0..times).map(|number| scope.spawn(move || work(number))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

/// Sends half of a request, does something else, sends the other half, and gives the status of the answer.
///
/// The caller has been authenticated by then, or is so afterwards: neither may do what was forbidden meanwhile.
pub(crate) fn while_on_its_way(
    server: &TestServer,
    (method, path): (&str, &str),
    client: &Client,
    body: &Value,
    meanwhile: impl FnOnce(),
) -> u16 {
    let (body, token) = (body.to_string(), client.token());
    let (first, rest) = body.split_at(10);
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The interim answer says that the handler waits for the body.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&interim));
    stream.write_all(first.as_bytes()).unwrap();
    meanwhile();
    stream.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The audit events of an action, the newest first.
pub(crate) fn audit_events(server: &TestServer, action: &str) -> Vec<Value> {
    let path = format!("/api/v1/manage/audit-events?limit=100&action={action}");
    let events = server.signed_in(Role::Admin).get(&path).expect(200).json();
    events["items"].as_array().unwrap().clone()
}

/// The newest audit event of an action, as who did it to what.
#[track_caller]
pub(crate) fn last_audit_event(server: &TestServer, action: &str) -> (Value, Value) {
    let events = audit_events(server, action);
    let newest = events.first().unwrap_or_else(|| panic!("nothing was audited as {action}"));
    (newest["actor"].clone(), newest["subject"].clone())
}

/// An account as the audit trail names who did something.
pub(crate) fn by_account(account: &Account) -> Value {
    json!({ "kind": "user", "id": account.id, "api_key": null })
}

/// Whether the text or bytes stand anywhere in the files of the database.
pub(crate) fn is_in_database(server: &TestServer, wanted: &[u8]) -> bool {
    let database = &server.app.config.database;
    ["db", "db-wal"].iter().any(|extension| {
        let bytes = std::fs::read(database.with_extension(extension)).unwrap();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

/// Numbers that follow no pattern, the same in each run.
pub(crate) struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).unwrap()
    }

    /// Some of a list, in its order.
    pub(crate) fn some<'l>(&mut self, list: &[&'l str]) -> Vec<&'l str> {
        list.iter().copied().filter(|_| self.roll(2) == 0).collect()
    }
}
