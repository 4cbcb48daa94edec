//! The examples of every operation: one story, told to a server anew each time, so that no example is untrue.
//!
//! `openapi/examples.json` is what the program answered; the document and front ends take it from there. After a
//! change of what is answered or told:
//!
//! ```sh
//! COPYDESK_ACCEPT_EXAMPLES=1 cargo test --test api -- examples::
//! cargo run -- openapi > openapi/openapi.json
//! ```
//!
//! [`recorder`] sends and keeps, [`samples`] makes two runs alike, each other module is a chapter.

mod recorder;
mod samples;

mod contact;
mod delivery;
mod drafting;
mod people;
mod problems;
mod publishing;
mod redirects;
mod site;
mod taxonomy;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use copydesk::http::openapi::examples::{Example, read};
use copydesk::http::problem::KINDS;
use serde_json::json;

use self::recorder::Story;
use crate::contract::{Contract, matches_template};
use crate::document::{Operation, operations};

/// With this variable the file is written anew.
const ACCEPT: &str = "COPYDESK_ACCEPT_EXAMPLES";

/// The kinds of problems that have no example, and why.
const WITHOUT_EXAMPLE: [(&str, &str); 4] = [
    ("internal", "a fault of ours, which nobody can ask for"),
    ("overloaded", "nobody can ask for it either"),
    ("request-timeout", "the request is one that never was complete"),
    ("headers-too-large", "refused before any operation is reached, so no operation declares it"),
];

/// The story, told once for all tests.
static TOLD: LazyLock<Vec<Example>> = LazyLock::new(|| {
    let story = Story::begin();
    people::name_everybody(&story);
    site::tell(&story);
    problems::tell_what_is_common(&story);
    let intake = people::tell(&story);
    contact::tell_of_a_visitor(&story);
    taxonomy::tell(&story);
    let drafts = drafting::tell(&story);
    publishing::tell(&story, &drafts);
    delivery::tell(&story, &drafts);
    taxonomy::tell_of_ends(&story);
    redirects::tell(&story);
    contact::tell_of_intake(&story, &intake);
    problems::tell(&story);
    people::tell_of_ends(&story, &intake);
    story.end()
});

fn good_of(operation: &str) -> impl Iterator<Item = &'static Example> {
    TOLD.iter().filter(move |example| example.operation_id == operation && example.response.status < 400)
}

/// The kind of the problem that an example shows.
fn kind(example: &Example) -> Option<&str> {
    let is_problem = example.response.media_type.as_deref() == Some("application/problem+json");
    example.response.body["type"].as_str().filter(|_| is_problem)?.strip_prefix("/problems/")
}

fn titled(example: &Example) -> String {
    format!("{} {}", example.operation_id, example.name)
}

#[test]
fn the_examples_are_what_the_program_answers() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/examples.json");
    let told = serde_json::to_string_pretty(&*TOLD).unwrap() + "\n";
    if std::env::var_os(ACCEPT).is_some() {
        std::fs::write(&file, &told).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    let before = read(&committed).expect("openapi/examples.json is a list of examples");
    let differs = TOLD.iter().zip(&before).find(|(told, before)| json!(told) != json!(before));
    let first = differs.map_or_else(|| "how many there are".to_owned(), |(told, _)| titled(told));
    assert!(
        told == committed,
        "openapi/examples.json differs, first in {first}; look at the difference after\n\n    \
         {ACCEPT}=1 cargo test --test api -- examples::\n    cargo run -- openapi > openapi/openapi.json\n"
    );
}

#[test]
fn every_operation_and_every_good_status_has_an_example() {
    let mut missing = Vec::new();
    for operation in operations() {
        let responses = operation.value["responses"].as_object().unwrap();
        for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['2', '3'])) {
            let media_types = response["content"].as_object().map(|content| content.keys().map(Some).collect());
            for media_type in media_types.unwrap_or_else(|| vec![None]) {
                let is_one = |example: &Example| {
                    example.response.status.to_string() == *status && example.response.media_type.as_ref() == media_type
                };
                if !good_of(operation.id).any(is_one) {
                    missing.push(format!("{} {status} {}", operation.id, media_type.map_or("", |name| name)));
                }
            }
        }
    }
    assert!(missing.is_empty(), "without an example: {missing:#?}");
}

#[test]
fn every_media_type_of_a_request_has_an_example_that_is_taken() {
    let mut missing = Vec::new();
    for operation in operations() {
        for media_type in operation.value["requestBody"]["content"].as_object().into_iter().flatten() {
            if !good_of(operation.id).any(|example| example.request.media_type.as_ref() == Some(media_type.0)) {
                missing.push(format!("{} {}", operation.id, media_type.0));
            }
        }
    }
    assert!(missing.is_empty(), "without an example: {missing:#?}");
}

#[test]
fn every_kind_of_problem_has_an_example() {
    let shown: BTreeSet<&str> = TOLD.iter().filter_map(kind).collect();
    for kind in KINDS {
        let is_left_out = WITHOUT_EXAMPLE.iter().any(|(name, _)| *name == kind.name);
        assert_ne!(shown.contains(kind.name), is_left_out, "{}: has an example or a reason for none", kind.name);
    }
}

#[test]
fn every_example_with_its_samples_is_one_of_its_schemas() {
    let document = copydesk::server::openapi_json().unwrap();
    let contract = Contract::of(document.as_bytes());
    for operation in operations() {
        for example in TOLD.iter().filter(|example| example.operation_id == operation.id) {
            let title = titled(example);
            let path = example.request.path.split('?').next().unwrap();
            let is_in_part = path.contains('…');
            assert!(is_in_part || matches_template(operation.path, path), "{title}: {path}");
            check_response(&contract, &operation, example, &title);
            // What was refused may be wrong in any way.
            if example.response.status < 400 {
                check_request(&contract, &operation, example, &title);
            }
        }
    }
}

fn check_response(contract: &Contract, operation: &Operation, example: &Example, title: &str) {
    let status = example.response.status.to_string();
    let Some(declared) = operation.value["responses"].get(&status) else { return };
    for (name, value) in &example.response.headers {
        let header = contract.resolved(&declared["headers"][name]);
        let faults = contract.faults(&format!("{name} {header}"), &header["schema"], &json!(value));
        assert!(faults.is_empty(), "{title}: {name}: {faults:#?}");
        if is_the_same_each_time(name, &status) {
            assert_eq!(header["example"], *value, "{title}: {name}");
        }
    }
    if let Some(media_type) = &example.response.media_type {
        let schema = &declared["content"][media_type]["schema"];
        let id = format!("sample of {} {status} {media_type}", operation.id);
        let faults = contract.faults(&id, schema, &example.response.body);
        assert!(faults.is_empty(), "{title}: {faults:#?}");
    }
}

/// Whether a header has one value, which its example in the document must be.
fn is_the_same_each_time(name: &str, status: &str) -> bool {
    match name {
        "Cache-Control" | "RateLimit" | "RateLimit-Policy" => true,
        "ETag" => status == "201",
        "Retry-After" => ["409", "429", "503"].contains(&status),
        _ => false,
    }
}

fn check_request(contract: &Contract, operation: &Operation, example: &Example, title: &str) {
    let Some(media_type) = &example.request.media_type else { return };
    // A form is a text, which a schema of members does not describe.
    if media_type.ends_with("json") {
        let schema = &operation.value["requestBody"]["content"][media_type]["schema"];
        let faults =
            contract.faults(&format!("request of {} {media_type}", operation.id), schema, &example.request.body);
        assert!(faults.is_empty(), "{title}: {faults:#?}");
    }
}
