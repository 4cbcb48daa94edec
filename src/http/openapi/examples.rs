//! The examples of the document: what the program has answered, recorded by a test that asks it anew each time.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::ResponseError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::operations_mut;
use crate::http::body::FORM;
use crate::http::problem::{
    INTERNAL, OVERLOADED, Occurrence, PROBLEM_JSON, Problem, REPRESENTATION_CHANGED, REQUEST_TIMEOUT,
};

/// The status of a limit that is exceeded.
const EXCEEDED: u16 = 429;

/// A request, and what it was answered with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Example {
    /// Which operation it is of.
    pub operation_id: String,
    /// Its name, unique among those of its operation.
    pub name: String,
    /// What it shows, in a few words.
    pub summary: String,
    /// What was sent.
    pub request: ExampleRequest,
    /// What came back.
    pub response: ExampleResponse,
}

/// A request of an [`Example`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExampleRequest {
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The headers that matter.
    pub headers: BTreeMap<String, String>,
    /// What the body is; none without a body.
    pub media_type: Option<String>,
    /// The body: JSON, or a text of another media type.
    pub body: Value,
}

/// A response of an [`Example`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExampleResponse {
    /// The status.
    pub status: u16,
    /// The headers that the document declares.
    pub headers: BTreeMap<String, String>,
    /// What the body is; none without a body.
    pub media_type: Option<String>,
    /// The body: JSON, or a text of another media type.
    pub body: Value,
}

/// The examples that stand in a file of them.
///
/// # Errors
/// Where the file is broken.
pub fn read(file: &str) -> Result<Vec<Example>, serde_json::Error> {
    serde_json::from_str(file)
}

/// Shows every body of the operations by examples; gives those that many share.
pub(super) fn add(paths: &mut Map<String, Value>, examples: &[Example]) -> Map<String, Value> {
    let (mut shared, mut shown) = (problems(examples), BTreeSet::new());
    for operation in operations_mut(paths) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        for example in examples.iter().filter(|example| example.operation_id == id) {
            show_request(operation, example);
            show_response(operation, example);
        }
        show_problems(operation, &shared);
        shown.extend(shared_of(operation));
    }
    // What is answered before an operation is reached, none shows.
    shared.retain(|name, _| shown.contains(name));
    shared
}

/// Shows the limit of each operation that has one, since operations have different ones, and what is left of it: as
/// recorded in its first example, and nothing where it is exceeded, with when there is more again.
pub(super) fn show_limits(paths: &mut Map<String, Value>, examples: &[Example]) {
    for operation in operations_mut(paths) {
        let id = operation["operationId"].clone();
        let of_operation = |example: &&Example| id == example.operation_id && example.response.status != EXCEEDED;
        let recorded =
            |name: &str| examples.iter().filter(of_operation).find_map(|example| example.response.headers.get(name));
        let (Some(policy), Some(limit)) = (recorded("RateLimit-Policy"), recorded("RateLimit")) else { continue };
        let (exceeded, wait) = exceeded(limit);
        for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
            let is_exceeded = *status == EXCEEDED.to_string();
            let limit = if is_exceeded { &exceeded } else { limit };
            let wait = is_exceeded.then_some(("Retry-After", &wait));
            for (name, value) in [("RateLimit-Policy", policy), ("RateLimit", limit)].into_iter().chain(wait) {
                if let Some(header) = response.get_mut("headers").and_then(|headers| headers.get_mut(name)) {
                    header["example"] = json!(value);
                }
            }
        }
    }
}

/// The same limit with nothing left of it, and in how many seconds there is more.
fn exceeded(limit: &str) -> (String, String) {
    let items = limit.split(';').map(|item| if item.starts_with("r=") { "r=0" } else { item });
    let wait = limit.split(';').find_map(|item| item.strip_prefix("t=")).unwrap_or_default();
    (items.collect::<Vec<_>>().join(";"), wait.to_owned())
}

fn show_request(operation: &mut Value, example: &Example) {
    let is_good = example.response.status < 400;
    let Some(media_type) = example.request.media_type.as_deref().filter(|_| is_good) else { return };
    let Some(content) = operation.pointer_mut("/requestBody/content").and_then(Value::as_object_mut) else { return };
    for (name, media) in content {
        // A merge patch looks like any other JSON, and the fields of a form are shown as JSON too.
        if is_json(media_type) || (name == media_type && name != FORM) {
            insert(media, example, &example.request.body);
        }
    }
}

fn show_response(operation: &mut Value, example: &Example) {
    let Some(media_type) = &example.response.media_type else { return };
    let status = example.response.status.to_string();
    let media = operation["responses"]
        .get_mut(&status)
        .and_then(|response| response.get_mut("content")?.get_mut(media_type.as_str()));
    if let Some(media) = media {
        insert(media, example, &example.response.body);
    }
}

/// A body that is the same as another needs no second example.
fn insert(media: &mut Value, example: &Example, body: &Value) {
    let Some(media) = media.as_object_mut() else { return };
    let examples = media.entry("examples").or_insert_with(|| json!({}));
    let Some(examples) = examples.as_object_mut() else { return };
    // What the operation answers itself says more than what many share.
    examples.retain(|_, other| other.get("$ref").is_none());
    if !examples.values().any(|other| other["value"] == *body) {
        examples.insert(example.name.clone(), json!({ "summary": example.summary, "value": body }));
    }
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json")
}

/// The problem that stands for those of a status, where an operation shows none of its own.
fn problems(examples: &[Example]) -> Map<String, Value> {
    let mut shared = Map::new();
    let recorded = examples.iter().filter(|example| example.response.media_type.as_deref() == Some(PROBLEM_JSON));
    for example in recorded {
        let shown = json!({ "summary": example.summary, "value": example.response.body });
        shared.entry(stands_for(example)).or_insert(shown);
    }
    // These nobody asks for.
    for problem in [
        Problem::new(&REQUEST_TIMEOUT, "The body did not arrive within 30 seconds."),
        Problem::new(&INTERNAL, "The request could not be answered."),
        Problem::new(&OVERLOADED, "The server has too much to do; try again in a second."),
    ] {
        let status = problem.status_code().as_u16().to_string();
        let occurrence = Occurrence {
            instance: "/api/v1/articles".to_owned(),
            request_id: "9395f2a4087944c60000000000000000".to_owned(),
        };
        let body: Value = serde_json::from_str(&problem.body(&occurrence)).unwrap_or_default();
        shared.insert(shared_name(&status), json!({ "summary": body["title"], "value": body }));
    }
    shared.sort_keys();
    shared
}

/// The name of the shared example that a recorded problem may become.
fn stands_for(example: &Example) -> String {
    let is_of_a_read = example.response.body["type"] == REPRESENTATION_CHANGED.reference();
    let status = example.response.status.to_string();
    shared_name(if is_of_a_read { REPRESENTATION_CHANGED.code } else { &status })
}

/// The name of the example of the problems of a status, or of one kind of problem.
fn shared_name(of: &str) -> String {
    format!("problem_{of}")
}

/// The names of the shared examples that an operation shows.
fn shared_of(operation: &Value) -> impl Iterator<Item = String> + '_ {
    let responses = operation["responses"].as_object().into_iter().flatten();
    let examples = responses.filter_map(|(_, response)| response["content"][PROBLEM_JSON]["examples"].as_object());
    examples.flatten().filter(|(_, example)| example.get("$ref").is_some()).map(|(name, _)| name.clone())
}

/// A reference to the shared example of a status, or of one kind of problem, as the only example of a body.
pub(in crate::http) fn shared_example(of: &str) -> Value {
    let name = shared_name(of);
    json!({ name.clone(): { "$ref": format!("#/components/examples/{name}") } })
}

fn show_problems(operation: &mut Value, shared: &Map<String, Value>) {
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, response) in responses {
        let Some(media) = response.get_mut("content").and_then(|content| content.get_mut(PROBLEM_JSON)) else {
            continue;
        };
        if media.get("examples").is_none() && shared.contains_key(&shared_name(status)) {
            media["examples"] = shared_example(status);
        }
    }
}
