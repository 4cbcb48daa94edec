//! Keeps what is asked and answered while a story is told, with samples in the place of what differs each time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use copydesk::auth::Role;
use copydesk::db::Timestamp;
use copydesk::http::openapi::examples::{Example, ExampleRequest, ExampleResponse};
use copydesk::state::Clock;
use serde_json::{Value, json};

use super::samples::{AHEAD_SECONDS, GRAIN_SECONDS, Samples};
use crate::client::{Client, Request, Response};
use crate::contract::Contract;
use crate::harness::TestServer;

/// When the story begins, as it is shown: at the end of a month, whose contact key is to be destroyed in the story.
const BEGINNING: &str = "2026-11-30T08:00:00Z";
/// The time between two requests: not one that anything of the program takes, which chance would decide then. In seconds.
const STEP_SECONDS: i64 = 90;
/// How often a request is sent until it is answered as it shall be.
const MOST_TRIES: usize = 1000;
/// A longer text is shown in part: it is there to be too long. In bytes.
const MOST_TEXT: usize = 4000;
/// How much of it is shown.
const SHOWN_TEXT: usize = 80;

/// Tells a story to a server of its own and keeps it.
pub(super) struct Story {
    pub server: TestServer,
    contract: Arc<Contract>,
    /// When the next request is sent at the earliest.
    moment: Cell<Timestamp>,
    /// Whether the next request is sent in the moment of the last one.
    is_hurried: Cell<bool>,
    samples: RefCell<Samples>,
    examples: RefCell<Vec<Example>>,
}

impl Story {
    pub(super) fn begin() -> Self {
        let clock = Clock::default();
        let moment = time_of(BEGINNING);
        advance(&clock, moment);
        let server = TestServer::start_at(clock, |config| {
            "https://www.example.org".clone_into(&mut config.site_url);
            config.preview_path = Some("/preview/{token}".to_owned());
            config.second_factor_roles = vec![Role::Intake];
        });
        let document = copydesk::server::openapi_json().unwrap();
        Self {
            contract: Contract::of(document.as_bytes()),
            moment: Cell::new(moment),
            is_hurried: Cell::new(false),
            samples: RefCell::new(Samples::new(server.address.to_string())),
            examples: RefCell::default(),
            server,
        }
    }

    /// What was recorded, in the order of the story.
    pub(super) fn end(self) -> Vec<Example> {
        self.server.stop();
        self.examples.into_inner()
    }

    pub(super) fn anyone(&self) -> Client {
        self.server.anonymous()
    }

    pub(super) fn editor(&self) -> Client {
        self.server.signed_in(Role::Editor)
    }

    pub(super) fn admin(&self) -> Client {
        self.server.signed_in(Role::Admin)
    }

    pub(super) fn author(&self) -> Client {
        self.server.signed_in(Role::Author)
    }

    pub(super) fn contributor(&self) -> Client {
        self.server.signed_in(Role::Contributor)
    }

    /// The present moment, as the server has it.
    pub(super) fn now(&self) -> Timestamp {
        self.moment.get()
    }

    /// The moment at which the next request is sent.
    pub(super) fn next(&self) -> Timestamp {
        self.moment.get().plus_seconds(STEP_SECONDS)
    }

    /// Lets the time pass until then; both are shown alike.
    pub(super) fn wait_until(&self, shown: &str) {
        let moment = time_of(shown);
        assert!(self.moment.get() < moment, "{shown} is over");
        self.moment.set(moment);
        advance(&self.server.app.clock, moment);
    }

    /// Sends a request and keeps it with its answer as an example of an operation.
    #[track_caller]
    pub(super) fn record(&self, operation: &str, name: &str, summary: &str, request: Request) -> Response {
        self.record_part(None, operation, name, summary, request)
    }

    /// The same; of the body of the answer, which is too long to be shown, only some members may be kept.
    #[track_caller]
    pub(super) fn record_part(
        &self,
        members: Option<&[&str]>,
        operation: &str,
        name: &str,
        summary: &str,
        request: Request,
    ) -> Response {
        let (asked, reached) = (self.asked(&request), self.reached(&request));
        let response = self.quietly(request);
        // What no operation takes is an example of the address.
        let is_refused = response.status == 405 && reached.is_none();
        assert!(is_refused || reached.as_deref() == Some(operation), "{name} is one of {reached:?}");
        self.keep((operation, name, summary), asked, &response, members);
        response
    }

    /// Sends a request again and again until it is answered with a status, and keeps that.
    #[track_caller]
    pub(super) fn record_when(&self, status: u16, told: (&str, &str, &str), request: impl Fn() -> Request) -> Response {
        self.wait_a_moment();
        let asked = self.asked(&request());
        let mut answers = (0..MOST_TRIES).map(|_| request().send());
        let response = answers.find(|answer| answer.status == status).expect("it is answered so in the end");
        self.keep(told, asked, &response, None);
        response
    }

    fn reached(&self, request: &Request) -> Option<String> {
        let path = request.path.split('?').next().unwrap_or_default();
        let reached = self.contract.operation(&request.method, path)?;
        Some(reached["operationId"].as_str().unwrap().to_owned())
    }

    fn keep(
        &self,
        (operation, name, summary): (&str, &str, &str),
        request: ExampleRequest,
        response: &Response,
        members: Option<&[&str]>,
    ) {
        let response = self.answered(operation, response, members);
        let mut examples = self.examples.borrow_mut();
        let is_known = examples.iter().any(|other| other.operation_id == operation && other.name == name);
        assert!(!is_known, "{operation} has two examples {name}");
        let [operation_id, name, summary] = [operation, name, summary].map(str::to_owned);
        examples.push(Example { operation_id, name, summary, request, response });
    }

    /// Sends a request that is not kept.
    #[track_caller]
    pub(super) fn quietly(&self, request: Request) -> Response {
        self.wait_a_moment();
        let response = request.send();
        let took = self.server.app.clock.now().unix_seconds() - self.moment.get().unix_seconds();
        assert!(took < GRAIN_SECONDS, "{} took {took} seconds: this machine is too slow for the story", response.asked);
        response
    }

    /// Has the next request sent in the moment of the last one. Later, the program would note behind the answer that
    /// something was used, and whether that is shown already would be left to chance.
    pub(super) fn at_once(&self) -> &Self {
        self.is_hurried.set(true);
        self
    }

    /// Lets as much time pass as passes between two requests.
    fn wait_a_moment(&self) {
        if !self.is_hurried.take() {
            self.moment.set(self.next());
            advance(&self.server.app.clock, self.moment.get());
        }
    }

    fn asked(&self, request: &Request) -> ExampleRequest {
        let mut samples = self.samples.borrow_mut();
        let mut headers = BTreeMap::new();
        let mut media_type = None;
        for (name, value) in &request.headers {
            match name.as_str() {
                "content-type" => media_type = Some(value.clone()),
                // Who asks is told by what is signed in with.
                "user-agent" => {}
                _ => drop(headers.insert(written(name), samples.header(name, value))),
            }
        }
        let text = String::from_utf8(request.body.clone().unwrap_or_default()).unwrap();
        ExampleRequest {
            method: request.method.clone(),
            path: in_part(&samples.text(&request.path)),
            headers,
            body: body(&mut samples, media_type.as_deref(), &text),
            media_type,
        }
    }

    fn answered(&self, operation: &str, response: &Response, members: Option<&[&str]>) -> ExampleResponse {
        let mut samples = self.samples.borrow_mut();
        let names = declared_headers(&self.contract.document, operation, response.status);
        let headers = names.into_iter().filter_map(|name| Some((response.find_header(&name)?, name)));
        let mut sample = |name: &str, value: &str| match response.status {
            429 => samples.limit(name, value),
            _ => samples.header(name, value),
        };
        let headers = headers.map(|(value, name)| (sample(&name, value), name)).map(|(value, name)| (name, value));
        let headers = headers.collect();
        let media_type = response.find_header("content-type").map(|name| name.split(';').next().unwrap().to_owned());
        let mut text = String::from_utf8(response.decoded()).unwrap();
        if let Some(members) = members {
            let mut body = response.json();
            body.as_object_mut().unwrap().retain(|name, _| members.contains(&name.as_str()));
            text = body.to_string();
        }
        let body = body(&mut samples, media_type.as_deref(), &text);
        ExampleResponse { status: response.status, headers, media_type, body }
    }
}

/// A time that is shown, as the server has it.
pub(super) fn time_of(shown: &str) -> Timestamp {
    shown.parse::<Timestamp>().unwrap().plus_seconds(AHEAD_SECONDS)
}

/// The same as text.
pub(super) fn at(shown: &str) -> String {
    time_of(shown).to_string()
}

fn advance(clock: &Clock, moment: Timestamp) {
    let millis = moment.unix_millis() - clock.now().unix_millis();
    clock.advance(Duration::from_millis(u64::try_from(millis).expect("the story goes on")));
}

pub(super) fn get(client: &Client, path: &str) -> Request {
    client.request("GET", path)
}

pub(super) fn get_again(client: &Client, path: &str, answer: &Response) -> Request {
    get(client, path).header("if-none-match", answer.etag())
}

pub(super) fn post(client: &Client, path: &str, body: &Value) -> Request {
    client.request("POST", path).json(body)
}

/// A merge patch of what has this entity tag.
pub(super) fn patch(client: &Client, path: &str, tag: &str, body: &Value) -> Request {
    let body = serde_json::to_vec(body).unwrap();
    client.request("PATCH", path).header("if-match", tag).body("application/merge-patch+json", body)
}

/// The same, sent as any other JSON.
pub(super) fn patch_json(client: &Client, path: &str, tag: &str, body: &Value) -> Request {
    client.request("PATCH", path).header("if-match", tag).json(body)
}

pub(super) fn delete(client: &Client, path: &str, tag: &str) -> Request {
    client.request("DELETE", path).header("if-match", tag)
}

/// A body as an example has it: JSON, a text, or null where there is none.
fn body(samples: &mut Samples, media_type: Option<&str>, text: &str) -> Value {
    let is_json = media_type.is_some_and(|name| name.ends_with("json"));
    match serde_json::from_str(text) {
        _ if text.is_empty() => Value::Null,
        Ok(value) if is_json => value_in_part(samples.json(&value)),
        _ => json!(in_part(&samples.text(text))),
    }
}

/// What is there to be too long is shown in part.
fn in_part(text: &str) -> String {
    if text.len() <= MOST_TEXT {
        return text.to_owned();
    }
    format!("{}… ({} bytes)", text.chars().take(SHOWN_TEXT).collect::<String>(), text.len())
}

fn value_in_part(value: Value) -> Value {
    match value {
        Value::String(text) => json!(in_part(&text)),
        Value::Array(items) => items.into_iter().map(value_in_part).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, value_in_part(value))).collect(),
        other => other,
    }
}

/// The headers that the document declares for a status of an operation; of one that it does not, those that tell most.
fn declared_headers(document: &Value, operation: &str, status: u16) -> Vec<String> {
    let paths = document["paths"].as_object().unwrap().values();
    let mut operations = paths.flat_map(|item| item.as_object().unwrap().values());
    let found = operations.find(|one| one["operationId"] == operation).expect("an operation of the document");
    match found["responses"][status.to_string()]["headers"].as_object() {
        Some(headers) => headers.keys().cloned().collect(),
        None => vec!["Allow".to_owned(), "X-Request-Id".to_owned()],
    }
}

/// A header's name as it is usually written.
fn written(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

#[test]
fn what_is_too_long_is_shown_in_part() {
    let long = "a".repeat(5000);
    assert_eq!(value_in_part(json!({ "a": ["b", 1] })), json!({ "a": ["b", 1] }));
    assert_eq!(value_in_part(json!([long])), json!([format!("{}… (5000 bytes)", "a".repeat(80))]));
    assert_eq!(written("if-none-match"), "If-None-Match");
}
