//! Assembles the `OpenAPI` 3.1 document from the operations.
//!
//! What structs flatten is shown as one flat object, since a client generator makes a better type of
//! it; and every member of an answer is `required` but those that an `include` adds.

pub mod examples;
pub mod links;
mod named;
pub mod vocabulary;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::diff::MemberDiff;
use crate::http::api::Operations;
use crate::http::problem::ProblemDocument;

/// What the document says of the program as a whole.
pub struct Info {
    /// Description in Markdown.
    pub description: &'static str,
    /// Tags with their descriptions.
    pub tags: &'static [(&'static str, &'static str)],
    /// A file of recorded [`examples`].
    pub examples: &'static str,
    /// A file of [`links`] from answers to what can be called next.
    pub links: &'static str,
}

/// The whole document.
pub fn document(operations: &Operations, info: &Info) -> Value {
    let (mut paths, mut schemas) = operations.document();
    add_problem(&mut schemas);
    named::name_variants(&mut schemas);
    flatten_all(&mut schemas);
    named::name_open_objects(&mut schemas);
    let answers = reachable_from_answers(&paths, &schemas);
    for name in answers {
        let optional = operations.optional().iter().find(|(schema, _)| *schema == name).map_or(&[][..], |(_, o)| o);
        if let Some(schema) = schemas.get_mut(&name) {
            require_members(schema, optional);
            drop_defaults(schema);
        }
    }
    schemas.values_mut().for_each(hoist_descriptions);
    bound_answers(&paths, &mut schemas);
    schemas.sort_keys();
    drop_unused(&paths, &mut schemas);
    paths.sort_keys();
    named::refer_to_enumerations(&mut paths, &schemas);
    // A test finds a file that can't be read: nothing has a link or an example then.
    let recorded = examples::read(info.examples).unwrap_or_default();
    examples::show_limits(&mut paths, &recorded);
    let headers = shared_headers(&mut paths);
    links::add(&mut paths, &links::read(info.links).unwrap_or_default());
    let examples = examples::add(&mut paths, &recorded);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "copydesk",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": env!("CARGO_PKG_DESCRIPTION"),
            "description": info.description,
            "contact": { "name": "The people who run this server" },
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{
            "url": "/",
            "description": "The server that this document came from, in production as well as locally.",
            "x-internal": false,
        }],
        "tags": info.tags.iter().map(|(name, text)| json!({ "name": name, "description": text })).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": headers,
            "examples": examples,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token from `POST /api/v1/auth/login`, which is a JWT as RFC8725 advises: signed with EdDSA and nothing else, of the type `at+jwt`, for one audience. Or an API key, for programs.",
                },
            },
        },
    })
}

/// The operations of the paths.
fn operations(paths: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    paths.values().filter_map(Value::as_object).flat_map(Map::values)
}

/// The operations of the paths, to be changed.
fn operations_mut(paths: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut)
}

fn add_problem(schemas: &mut Map<String, Value>) {
    let mut components = Vec::new();
    ProblemDocument::schemas(&mut components);
    MemberDiff::schemas(&mut components);
    components.push((MemberDiff::name().into_owned(), <MemberDiff as PartialSchema>::schema()));
    components.push((ProblemDocument::name().into_owned(), <ProblemDocument as PartialSchema>::schema()));
    for (name, schema) in components {
        schemas.insert(name, serde_json::to_value(schema).unwrap_or_default());
    }
    let own = [
        ("ConflictProblem", conflict_members()),
        ("GoneProblem", gone_members()),
        ("PreconditionFailedProblem", precondition_failed_members()),
        ("TooManyRequestsProblem", fallback_members()),
        ("OverloadedProblem", fallback_members()),
    ];
    for (name, members) in own {
        let mut schema = schemas.get("Problem").cloned().unwrap_or_default();
        if let (Some(Value::Object(all)), Value::Object(own)) = (schema.get_mut("properties"), members) {
            all.extend(own);
        }
        schemas.insert(name.to_owned(), schema);
    }
}

/// The schema of the problems of a status: some have members of their own.
pub(super) fn problem_name(status: &str) -> &'static str {
    match status {
        "409" => "ConflictProblem",
        "410" => "GoneProblem",
        "412" => "PreconditionFailedProblem",
        "429" => "TooManyRequestsProblem",
        "503" => "OverloadedProblem",
        _ => "Problem",
    }
}

fn conflict_members() -> Value {
    json!({ "holder": {
        "type": ["object", "null"],
        "description": "What has the slug or place that was asked for, where the caller may see it; null where nothing has, or it may not be seen. `kind` and `id` name it; further members tell of it.",
        "required": ["kind", "id"],
        "properties": {
            "kind": { "type": "string", "description": "What kind of resource it is.", "example": "article" },
            "id": { "type": "string", "format": "uuid", "description": "Its id." },
        },
        "additionalProperties": true,
    } })
}

fn gone_members() -> Value {
    json!({
        "withdrawn_at": { "type": "string", "format": "date-time", "description": "Since when it is not public any more." },
        "successor": {
            "oneOf": [{ "$ref": "#/components/schemas/Successor" }, { "type": "null" }],
            "description": "Where to go instead; null where there is no such place.",
        },
    })
}

fn fallback_members() -> Value {
    json!({ "fallback_text": {
        "type": ["string", "null"],
        "description": "How else to reach the people of the site: show it to the visitor of a contact form; null where there is nothing to say.",
    } })
}

fn precondition_failed_members() -> Value {
    json!({
        "changed_at": { "type": ["string", "null"], "format": "date-time", "description": "When the resource was last changed; null where that is not known." },
        "changed_by": {
            "oneOf": [{ "$ref": "#/components/schemas/Person" }, { "type": "null" }],
            "description": "Who changed it last; null where that is not known, or it was the program itself.",
        },
        "changes": {
            "type": ["array", "null"],
            "description": "What differs from what the editor had; null where that is not known.",
            "items": { "$ref": "#/components/schemas/MemberDiff" },
        },
        "conflicts": {
            "type": ["array", "null"],
            "description": "JSON Pointers of the members that both edits changed, each in its way; null where they could not be compared.",
            "items": { "type": "string" },
        },
        "merged": {
            "type": ["object", "null"],
            "description": "Both edits in one, ready to be sent as a merge patch with the present `ETag`; null where they conflict or could not be compared.",
            "additionalProperties": true,
        },
    })
}

fn flatten_all(schemas: &mut Map<String, Value>) {
    let original = schemas.clone();
    for schema in schemas.values_mut() {
        *schema = flattened(schema, &|name| original.get(name).cloned());
    }
}

/// Merges the object schemas of an `allOf` into one; `resolve` finds what it refers to by name.
pub fn flattened(schema: &Value, resolve: &dyn Fn(&str) -> Option<Value>) -> Value {
    let Some(parts) = schema.get("allOf").and_then(Value::as_array) else {
        return schema.clone();
    };
    let mut merged = json!({ "type": "object", "properties": {}, "required": [] });
    if let Some(description) = schema.get("description") {
        merged["description"] = description.clone();
    }
    for part in parts {
        let part = match part.get("$ref").and_then(Value::as_str).and_then(reference_name) {
            Some(name) => resolve(name).unwrap_or_default(),
            None => part.clone(),
        };
        let part = flattened(&part, resolve);
        if let (Some(Value::Object(all)), Some(Value::Object(own))) =
            (merged.get_mut("properties"), part.get("properties"))
        {
            all.extend(own.clone());
        }
        if let (Some(Value::Array(all)), Some(Value::Array(own))) = (merged.get_mut("required"), part.get("required")) {
            all.extend(own.iter().cloned());
        }
        if merged.get("description").is_none()
            && let Some(description) = part.get("description")
        {
            merged["description"] = description.clone();
        }
    }
    merged
}

fn reference_name(reference: &str) -> Option<&str> {
    reference.strip_prefix("#/components/schemas/")
}

/// The components that answers hold, directly or not.
fn reachable_from_answers(paths: &Map<String, Value>, schemas: &Map<String, Value>) -> BTreeSet<String> {
    reachable(operations(paths).map(|operation| &operation["responses"]), schemas)
}

fn reachable<'v>(roots: impl Iterator<Item = &'v Value>, schemas: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut names = Vec::new();
    roots.for_each(|root| references(root, &mut names));
    while let Some(name) = names.pop() {
        if found.insert(name.clone())
            && let Some(schema) = schemas.get(&name)
        {
            references(schema, &mut names);
        }
    }
    found
}

fn references(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(reference_name) {
                names.push(name.to_owned());
            }
            members.values().for_each(|member| references(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        _ => {}
    }
}

fn require_members(schema: &mut Value, optional: &[&str]) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let required: Vec<String> = properties.keys().filter(|name| !optional.contains(&name.as_str())).cloned().collect();
    schema["required"] = json!(required);
}

/// What is always there has no default; `#[serde(default)]` is about stored documents.
fn drop_defaults(schema: &mut Value) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for property in properties.values_mut() {
        if let Value::Object(property) = property {
            property.shift_remove("default");
        }
    }
}

/// Utoipa describes a nullable reference inside its `oneOf`, where nobody looks; the words belong to the member.
fn hoist_descriptions(schema: &mut Value) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for property in properties.values_mut() {
        let Some(Value::Array(choices)) = property.get_mut("oneOf") else { continue };
        let words = choices.iter_mut().find_map(|choice| choice.as_object_mut()?.shift_remove("description"));
        if let (Some(words), Value::Object(property)) = (words, property) {
            property.insert("description".to_owned(), words);
        }
    }
}

/// Says how long what is answered may become; what requests hold as well says so itself, since that is checked.
fn bound_answers(paths: &Map<String, Value>, schemas: &mut Map<String, Value>) {
    let sent = reachable(operations(paths).map(|operation| &operation["requestBody"]), schemas);
    for (name, schema) in schemas.iter_mut().filter(|(name, _)| !sent.contains(*name)) {
        vocabulary::bound(schema, name);
    }
}

/// Writes each header once, under `components`; a second one of the same name has a number.
fn shared_headers(paths: &mut Map<String, Value>) -> Map<String, Value> {
    let mut shared: Map<String, Value> = Map::new();
    let responses =
        operations_mut(paths).filter_map(|operation| operation["responses"].as_object_mut()).flat_map(Map::values_mut);
    for headers in responses.filter_map(|response| response.get_mut("headers")?.as_object_mut()) {
        for (name, header) in headers.iter_mut() {
            let shared_name = share(&mut shared, name, std::mem::take(header));
            *header = json!({ "$ref": format!("#/components/headers/{shared_name}") });
        }
    }
    shared.sort_keys();
    shared
}

/// Under which name a header is shared.
fn share(shared: &mut Map<String, Value>, name: &str, header: Value) -> String {
    let mut number = 1;
    loop {
        let candidate = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
        match shared.get(&candidate) {
            Some(other) if *other != header => number += 1,
            Some(_) => return candidate,
            None => {
                shared.insert(candidate.clone(), header);
                return candidate;
            }
        }
    }
}

fn drop_unused(paths: &Map<String, Value>, schemas: &mut Map<String, Value>) {
    let used = reachable(paths.values(), schemas);
    schemas.retain(|name, _| used.contains(name));
}
