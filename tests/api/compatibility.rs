//! Whether clients of the last release still work: the document beside the copy of it that was committed then
//! (`openapi/<major>.<minor>.json`). What breaks them must be named in `CHANGELOG.md`, word for word.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// Which way values go: what a request may hold must not become less, what an answer may hold not more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Sent,
    Answered,
}

/// Two documents, and what breaks the clients of the old one.
struct Comparison<'d> {
    old: &'d Value,
    new: &'d Value,
    /// Pairs of schemas that were compared already: they may hold themselves.
    seen: BTreeSet<(String, String, bool)>,
    found: Vec<String>,
}

fn breaking_changes(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison { old, new, seen: BTreeSet::new(), found: Vec::new() };
    for (path, item) in members(&old["paths"]) {
        for (method, operation) in members(item) {
            let name = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                None => comparison.found.push(format!("{name} is gone")),
                Some(present) => comparison.operation(&name, operation, present),
            }
        }
    }
    comparison.found
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn texts(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(all) => {
            all.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect()
        }
        Value::String(one) => BTreeSet::from([one.clone()]),
        _ => BTreeSet::new(),
    }
}

/// What alone a schema allows.
fn values(schema: &Value) -> BTreeSet<String> {
    if schema["const"].is_null() { texts(&schema["enum"]) } else { texts(&json!([schema["const"]])) }
}

/// What a value is where it refers to something, and the name of that.
fn resolved<'v>(document: &'v Value, value: &'v Value) -> (&'v Value, String) {
    match value["$ref"].as_str() {
        Some(reference) => (document.pointer(&reference[1..]).unwrap_or(&Value::Null), reference.to_owned()),
        None => (value, String::new()),
    }
}

impl Comparison<'_> {
    fn operation(&mut self, name: &str, old: &Value, new: &Value) {
        if old["operationId"] != new["operationId"] {
            self.found.push(format!("{name} has another operationId"));
        }
        self.parameters(name, old, new);
        let (old_body, new_body) = (&old["requestBody"], &new["requestBody"]);
        if new_body["required"] == true && old_body["required"] != true {
            self.found.push(format!("{name} needs a body"));
        }
        self.content(&format!("{name} body"), &old_body["content"], &new_body["content"], Way::Sent);
        for (status, response) in members(&old["responses"]) {
            let answer = format!("{name} {status}");
            let Some(present) = new["responses"].get(status) else {
                self.found.push(format!("{answer} is gone"));
                continue;
            };
            self.content(&answer, &response["content"], &present["content"], Way::Answered);
            for (header, declared) in members(&response["headers"]) {
                let was_there = resolved(self.old, declared).0["required"] == true;
                let is_there = resolved(self.new, &present["headers"][header]).0["required"] == true;
                if was_there && !is_there {
                    self.found.push(format!("{answer} may be without {header}"));
                }
            }
        }
    }

    fn parameters(&mut self, name: &str, old: &Value, new: &Value) {
        let find = |operation: &Value, wanted: &Value| {
            let all = operation["parameters"].as_array().cloned().unwrap_or_default();
            all.into_iter().find(|one| one["name"] == wanted["name"] && one["in"] == wanted["in"])
        };
        for parameter in old["parameters"].as_array().into_iter().flatten() {
            let place = format!("{name} parameter {}", parameter["name"].as_str().unwrap_or_default());
            match find(new, parameter) {
                None => self.found.push(format!("{place} is gone")),
                Some(present) => self.schema(&place, &parameter["schema"], &present["schema"], Way::Sent),
            }
        }
        for parameter in new["parameters"].as_array().into_iter().flatten().filter(|one| one["required"] == true) {
            if find(old, parameter).is_none_or(|before| before["required"] != true) {
                self.found
                    .push(format!("{name} needs the parameter {}", parameter["name"].as_str().unwrap_or_default()));
            }
        }
    }

    fn content(&mut self, place: &str, old: &Value, new: &Value, way: Way) {
        for (media_type, media) in members(old) {
            match new.get(media_type) {
                None => self.found.push(format!("{place} is no {media_type} any more")),
                Some(present) => self.schema(place, &media["schema"], &present["schema"], way),
            }
        }
    }

    fn schema(&mut self, place: &str, old: &Value, new: &Value, way: Way) {
        let ((old, old_name), (new, new_name)) = (resolved(self.old, old), resolved(self.new, new));
        if !old_name.is_empty() && !self.seen.insert((old_name, new_name, way == Way::Sent)) {
            return;
        }
        let (old, new) = (old.clone(), new.clone());
        let (narrow, wide) = if way == Way::Sent { (&new, &old) } else { (&old, &new) };
        for (keyword, allowed, wanted) in
            [("type", texts(&narrow["type"]), texts(&wide["type"])), ("enum", values(narrow), values(wide))]
        {
            if !allowed.is_empty() && (wanted.is_empty() || !wanted.is_subset(&allowed)) {
                self.found.push(format!("{place} has another {keyword}"));
            }
        }
        if way == Way::Sent {
            self.limits(place, &old, &new);
        } else if old["format"] != new["format"] {
            self.found.push(format!("{place} has another format"));
        }
        self.properties(place, &old, &new, way);
        if old["items"].is_object() {
            self.schema(&format!("{place}[]"), &old["items"], &new["items"], way);
        }
        for choice in ["oneOf", "anyOf"] {
            let (before, now) = (array(&old[choice]), array(&new[choice]));
            let has_less = if way == Way::Sent { now.len() < before.len() } else { now.len() > before.len() };
            if has_less {
                self.found.push(format!("{place} has other choices"));
            }
            for (before, now) in before.iter().zip(&now) {
                self.schema(place, before, now, way);
            }
        }
    }

    /// What may be sent must not become less.
    fn limits(&mut self, place: &str, old: &Value, new: &Value) {
        let number = |schema: &Value, keyword: &str| schema[keyword].as_f64();
        for keyword in ["maxLength", "maxItems", "maximum", "maxProperties"] {
            if number(new, keyword).is_some_and(|now| number(old, keyword).is_none_or(|before| now < before)) {
                self.found.push(format!("{place} has a lower {keyword}"));
            }
        }
        for keyword in ["minLength", "minItems", "minimum", "minProperties"] {
            if number(new, keyword).is_some_and(|now| now > number(old, keyword).unwrap_or(0.0)) {
                self.found.push(format!("{place} has a higher {keyword}"));
            }
        }
        for keyword in ["pattern", "format", "uniqueItems"] {
            if new.get(keyword).is_some() && old.get(keyword) != new.get(keyword) {
                self.found.push(format!("{place} has another {keyword}"));
            }
        }
    }

    fn properties(&mut self, place: &str, old: &Value, new: &Value, way: Way) {
        let (before, now) = (texts(&old["required"]), texts(&new["required"]));
        let broken = match way {
            Way::Sent => now.difference(&before).cloned().collect::<Vec<_>>(),
            Way::Answered => before.difference(&now).cloned().collect(),
        };
        for name in broken {
            let words = if way == Way::Sent { "is needed" } else { "may be missing" };
            self.found.push(format!("{place}.{name} {words}"));
        }
        for (name, property) in members(&old["properties"]) {
            match new["properties"].get(name) {
                None => self.found.push(format!("{place}.{name} is gone")),
                Some(present) => self.schema(&format!("{place}.{name}"), property, present, way),
            }
        }
    }
}

fn array(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The document of the newest release that has one.
fn released() -> (String, Value) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi");
    let version = |name: &str| {
        let (major, minor) = name.strip_suffix(".json")?.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let names = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let newest = names.filter(|name| version(name).is_some()).max_by_key(|name| version(name)).unwrap();
    let text = fs::read_to_string(directory.join(&newest)).unwrap();
    (newest, serde_json::from_str(&text).unwrap())
}

/// What a changelog says of the time after a minor version.
fn since<'c>(changelog: &'c str, version: &str) -> &'c str {
    let heading = format!("\n## {version}.");
    changelog.split_once(&heading).map_or(changelog, |(later, _)| later)
}

#[test]
fn a_change_is_named_after_the_release_that_it_breaks() {
    let changelog = "# Changelog\n\n## Unreleased\n\nnew\n\n## 0.2.1 (2027)\n\nmended\n\n## 0.2.0\n\nold\n\n## 0.1.0\n";
    assert_eq!(since(changelog, "0.2"), "# Changelog\n\n## Unreleased\n\nnew\n");
    assert_eq!(since(changelog, "0.3"), changelog);
}

#[test]
fn what_breaks_clients_of_the_last_release_is_named_in_the_changelog() {
    let (name, old) = released();
    let new: Value = serde_json::from_str(&copydesk::server::openapi_json().unwrap()).unwrap();
    let changelog = since(include_str!("../../CHANGELOG.md"), name.trim_end_matches(".json"));
    let unnamed: Vec<_> =
        breaking_changes(&old, &new).into_iter().filter(|change| !changelog.contains(change.as_str())).collect();
    assert!(unnamed.is_empty(), "clients of openapi/{name} break, and CHANGELOG.md does not say: {unnamed:#?}");
}

#[test]
fn what_breaks_a_client_is_found_and_what_does_not_is_not() {
    let answer = json!({ "type": "object", "required": ["id"], "properties": {
        "id": { "type": "string", "format": "uuid" },
        "kind": { "type": "string", "enum": ["a", "b"] },
        "inner": { "$ref": "#/components/schemas/Inner" },
    } });
    let inner =
        json!({ "type": ["object", "null"], "properties": { "deep": { "$ref": "#/components/schemas/Inner" } } });
    let old = json!({
        "paths": { "/x": { "post": {
            "operationId": "make_x",
            "parameters": [{ "name": "q", "in": "query", "schema": { "type": "string", "maxLength": 10 } }],
            "requestBody": { "content": { "application/json": { "schema": {
                "type": "object", "required": [], "properties": { "name": { "type": ["string", "null"] } },
            } } } },
            "responses": { "200": {
                "headers": { "ETag": { "required": true } },
                "content": { "application/json": { "schema": answer } },
            } },
        } } },
        "components": { "schemas": { "Inner": inner } },
    });
    assert_eq!(breaking_changes(&old, &old), Vec::<String>::new());
    let body = "/paths/~1x/post/requestBody/content/application~1json/schema";
    let response = "/paths/~1x/post/responses/200";
    let schema = &format!("{response}/content/application~1json/schema");
    let cases: &[(&str, &str, Value, &[&str])] = &[
        ("/paths", "/x", json!({}), &["POST /x is gone"]),
        ("/paths/~1x/post", "operationId", json!("do_x"), &["POST /x has another operationId"]),
        ("/paths/~1x/post", "parameters", json!([]), &["POST /x parameter q is gone"]),
        ("/paths/~1x/post/parameters/0/schema", "maxLength", json!(9), &["POST /x parameter q has a lower maxLength"]),
        ("/paths/~1x/post/parameters/0/schema", "maxLength", json!(11), &[]),
        ("/paths/~1x/post/parameters/0", "required", json!(true), &["POST /x needs the parameter q"]),
        ("/paths/~1x/post/requestBody", "required", json!(true), &["POST /x needs a body"]),
        (body, "required", json!(["name"]), &["POST /x body.name is needed"]),
        (body, "properties", json!({}), &["POST /x body.name is gone"]),
        (&format!("{body}/properties/name"), "type", json!("string"), &["POST /x body.name has another type"]),
        (&format!("{body}/properties/name"), "pattern", json!("^a$"), &["POST /x body.name has another pattern"]),
        (response, "headers", json!({}), &["POST /x 200 may be without ETag"]),
        (response, "content", json!({}), &["POST /x 200 is no application/json any more"]),
        (schema, "required", json!([]), &["POST /x 200.id may be missing"]),
        (schema, "required", json!(["id", "kind"]), &[]),
        (&format!("{schema}/properties/id"), "type", json!(["string", "null"]), &["POST /x 200.id has another type"]),
        (&format!("{schema}/properties/kind"), "enum", json!(["a", "b", "c"]), &["POST /x 200.kind has another enum"]),
        (&format!("{schema}/properties/kind"), "enum", json!(["a"]), &[]),
        (&format!("{schema}/properties/kind"), "const", json!("a"), &[]),
        (&format!("{schema}/properties/kind"), "const", json!("c"), &["POST /x 200.kind has another enum"]),
        ("/components/schemas/Inner", "type", json!("object"), &[]),
        ("/components/schemas/Inner", "properties", json!({}), &["POST /x 200.inner.deep is gone"]),
    ];
    for (pointer, member, value, expected) in cases {
        let mut new = old.clone();
        let target = new.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap();
        if *member == "/x" {
            target.clear();
        } else {
            target.insert((*member).to_owned(), value.clone());
        }
        let found = breaking_changes(&old, &new);
        assert_eq!(found, *expected, "{pointer} {member}");
    }
}
