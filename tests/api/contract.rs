//! Holds each answer against the document: what is not declared must not be answered, and what is must be.
//!
//! The schemas of answers are closed for this, so that a member which the document does not know fails
//! the test as well. What never reached an operation (an unknown path, a wrong method) must be a problem.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::client::Response;

/// The headers that an answer must not have without declaring them.
const DECLARED: [&str; 12] = [
    "Access-Control-Allow-Origin",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Version",
    "ETag",
    "Last-Modified",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
];

/// Schemas whose answers may have members that the document does not list, by the contract.
const OPEN: [&str; 3] = ["Problem", "ConflictProblem", "GoneProblem"];

/// Prefixes of the pages for people, which are not in the document.
const PAGES: [&str; 3] = ["/docs", "/guides", "/problems"];

/// The document of a server, prepared for comparing.
pub(crate) struct Contract {
    /// The document itself.
    pub document: Value,
    closed: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// Documents that were prepared already: the same bytes give the same contract.
static KNOWN: Mutex<Vec<(Vec<u8>, Arc<Contract>)>> = Mutex::new(Vec::new());

impl Contract {
    /// The contract of a server's document.
    pub(crate) fn of(bytes: &[u8]) -> Arc<Self> {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, contract)) = known.iter().find(|(document, _)| document == bytes) {
            return Arc::clone(contract);
        }
        let document: Value = serde_json::from_slice(bytes).expect("the document is JSON");
        let closed = closed_components(&document);
        let contract = Arc::new(Self { document, closed, validators: Mutex::default() });
        known.push((bytes.to_owned(), Arc::clone(&contract)));
        contract
    }

    /// Fails the test where the answer is not one that the document declares.
    #[track_caller]
    pub(crate) fn check(&self, method: &str, path: &str, response: &Response) {
        let shown = response.shown();
        assert!(response.find_header("x-request-id").is_some(), "no X-Request-Id: {shown}");
        if method == "HEAD" {
            assert!(response.body.is_empty(), "HEAD has a body: {shown}");
        }
        if method == "OPTIONS" {
            return;
        }
        let path = path.split('?').next().unwrap_or_default();
        match self.operation(method, path) {
            Some(operation) => self.check_operation(method, operation, response, &shown),
            None if (path == "/" || PAGES.iter().any(|page| path.starts_with(page))) && response.status < 400 => {}
            None => {
                assert!(matches!(response.status, 404 | 405), "answered and not declared: {shown}");
                if method != "HEAD" {
                    response.assert_problem();
                }
            }
        }
    }

    /// The operation that a request reaches, none where the address takes no such method; literal paths go before templates.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let method = if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() };
        let paths = self.document["paths"].as_object()?;
        let item = paths
            .get(path)
            .or_else(|| paths.iter().find(|(template, _)| matches_template(template, path)).map(|(_, item)| item))?;
        item.get(&method)
    }

    #[track_caller]
    fn check_operation(&self, method: &str, operation: &Value, response: &Response, shown: &str) {
        let status = response.status.to_string();
        let declared = operation["responses"].get(&status);
        let declared = declared.unwrap_or_else(|| panic!("the status is not declared: {shown}"));
        self.check_headers(declared, response, shown);
        if method == "HEAD" {
            return;
        }
        let content_type = response.find_header("content-type").map(essence);
        let Some(content) = declared.get("content").and_then(Value::as_object) else {
            assert!(response.body.is_empty(), "a body is not declared: {shown}");
            return;
        };
        let media = content_type.and_then(|media_type| content.get(media_type));
        let media = media.unwrap_or_else(|| panic!("the media type {content_type:?} is not declared: {shown}"));
        if response.status >= 400 {
            response.assert_problem();
        }
        if content_type.is_some_and(|media_type| media_type.ends_with("json")) {
            let id = format!("{} {status}", operation["operationId"]);
            let faults = self.faults(&id, &media["schema"], &response.json());
            assert!(faults.is_empty(), "the body is not as declared: {faults:#?}\n{shown}");
        }
    }

    /// Where a value is not as a schema of the document says; `id` is another one for each schema.
    pub(crate) fn faults(&self, id: &str, schema: &Value, value: &Value) -> Vec<String> {
        let validator = self.validator(id, schema);
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// A declared header is always sent and is as declared, and no header of the contract is sent without being declared.
    #[track_caller]
    fn check_headers(&self, declared: &Value, response: &Response, shown: &str) {
        let empty = Map::new();
        let headers = declared.get("headers").and_then(Value::as_object).unwrap_or(&empty);
        for (name, header) in headers {
            let header = self.resolved(header);
            match response.find_header(name) {
                Some(value) => {
                    let validator = self.validator(&format!("{name} {header}"), &header["schema"]);
                    assert!(
                        validator.is_valid(&json!(value)),
                        "the header {name} is not as declared: {value}: {shown}"
                    );
                }
                None => assert!(header["required"] != true, "the declared header {name} is missing: {shown}"),
            }
        }
        for name in DECLARED {
            let known = headers.keys().any(|header| header.eq_ignore_ascii_case(name));
            assert!(known || !response.headers.contains_key(name), "the header {name} is not declared: {shown}");
        }
    }

    /// What a part of the document is, where it refers to another.
    pub(crate) fn resolved<'d>(&'d self, part: &'d Value) -> &'d Value {
        part["$ref"].as_str().and_then(|at| self.document.pointer(&at[1..])).unwrap_or(part)
    }

    fn validator(&self, id: &str, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = validators.entry(id.to_owned()).or_insert_with(|| {
            let mut root = closed(schema);
            root["components"] = self.closed.clone();
            let validator = jsonschema::options()
                .with_draft(jsonschema::Draft::Draft202012)
                .should_validate_formats(true)
                .build(&root);
            Arc::new(validator.unwrap_or_else(|error| panic!("the schema of {id} is broken: {error}")))
        });
        Arc::clone(compiled)
    }
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Whether a path is one of a template: as many segments, and the same but where the template has `{…}`.
pub(crate) fn matches_template(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        // A slash that is coded parts no segments.
        let given = given.next().map(|segment| percent_decode_str(segment).decode_utf8_lossy());
        match (wanted.next(), given) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

fn closed_components(document: &Value) -> Value {
    let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let schemas: Map<String, Value> = schemas
        .into_iter()
        .map(|(name, schema)| {
            let schema = if OPEN.contains(&name.as_str()) { schema } else { closed(&schema) };
            (name, schema)
        })
        .collect();
    json!({ "schemas": schemas })
}

/// The schema with every object of known members closed.
fn closed(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let mut members: Map<String, Value> =
                members.iter().map(|(name, value)| (name.clone(), closed(value))).collect();
            if members.get("properties").is_some_and(Value::is_object) {
                members.entry("additionalProperties").or_insert(json!(false));
            }
            Value::Object(members)
        }
        Value::Array(items) => Value::Array(items.iter().map(closed).collect()),
        other => other.clone(),
    }
}

#[test]
fn a_path_is_one_of_a_template_segment_by_segment() {
    assert!(matches_template("/a/{id}/c", "/a/b/c"));
    assert!(matches_template("/a/{id}/c", "/%61/b%2Fb/c"));
    assert!(!matches_template("/a/{id}", "/a/b/c"));
    assert!(!matches_template("/a/{id}", "/a/"));
    assert!(!matches_template("/a", "/b"));
}
