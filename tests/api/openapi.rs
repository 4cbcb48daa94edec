//! The document: that it is the committed one, that it is complete, and that types made from it hold.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::document::{Operation, document, operations};

/// Members that only an `include` adds to an answer, by schema: the one exception to "always present".
const OPTIONAL: &[(&str, &[&str])] = &[
    (
        "ArticleListItem",
        &["body_html", "body_markdown", "sections", "table_of_contents", "related", "seo", "citations", "extra"],
    ),
    ("Article", &["body_markdown", "sections"]),
    ("Category", &["children"]),
];

/// Whether a token is needed.
fn is_guarded(operation: &Value) -> bool {
    operation["security"].as_array().is_some_and(|ways| !ways.is_empty())
}

fn responses(operation: &Operation) -> &'static Map<String, Value> {
    operation.value["responses"].as_object().unwrap()
}

/// Calls `look` with each object of the document and where it is.
fn walk(value: &Value, place: &str, look: &mut dyn FnMut(&str, &Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            look(place, members);
            members.iter().for_each(|(name, value)| walk(value, &format!("{place}/{}", name.replace('/', "~1")), look));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| walk(item, &format!("{place}/{index}"), look));
        }
        _ => {}
    }
}

#[test]
fn the_committed_document_is_the_one_that_the_code_makes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/openapi.json");
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    let made = copydesk::server::openapi_json().unwrap();
    let line = made.lines().zip(committed.lines()).position(|(made, committed)| made != committed);
    let line = line.unwrap_or_else(|| made.lines().count().min(committed.lines().count())) + 1;
    assert!(
        made == committed,
        "openapi/openapi.json differs from line {line} on; look at the difference after\n\n    \
         cargo run -- openapi > openapi/openapi.json\n"
    );
}

#[test]
fn the_document_is_made_the_same_each_time() {
    assert_eq!(copydesk::server::openapi_json().unwrap(), copydesk::server::openapi_json().unwrap());
}

#[test]
fn every_operation_has_an_id_of_its_own() {
    let mut ids = BTreeSet::new();
    for operation in operations() {
        let words = operation.id.split('_').count();
        let plain = operation.id.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(plain && words >= 2, "{} has the operationId {:?}", operation.name, operation.id);
        assert!(ids.insert(operation.id), "the operationId {} is there twice", operation.id);
    }
}

#[test]
fn every_operation_is_described_and_filed_under_a_declared_tag() {
    let document = document();
    let tags: BTreeSet<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    for operation in operations() {
        for member in ["summary", "description"] {
            let text = operation.value[member].as_str().unwrap_or_default();
            assert!(!text.trim().is_empty(), "{} has no {member}", operation.name);
        }
        let own = operation.value["tags"].as_array().cloned().unwrap_or_default();
        assert_eq!(own.len(), 1, "{} has one tag", operation.name);
        assert!(tags.contains(own[0].as_str().unwrap()), "{} has the undeclared tag {}", operation.name, own[0]);
    }
}

#[test]
fn every_declared_tag_is_used_and_described() {
    let document = document();
    let used: BTreeSet<String> =
        operations().iter().filter_map(|operation| operation.value["tags"][0].as_str().map(str::to_owned)).collect();
    for tag in document["tags"].as_array().unwrap() {
        assert!(used.contains(tag["name"].as_str().unwrap()), "no operation has the tag {}", tag["name"]);
        assert!(!tag["description"].as_str().unwrap().is_empty());
    }
}

#[test]
fn nothing_has_an_empty_description() {
    let document = document();
    let mut empty = Vec::new();
    walk(document, "#", &mut |place, members| {
        let is_example = place.contains("/examples/");
        if !is_example
            && members.get("description").is_some_and(|text| text.as_str().is_some_and(|text| text.trim().is_empty()))
        {
            empty.push(place.to_owned());
        }
    });
    assert!(empty.is_empty(), "{empty:#?}");
}

#[test]
fn every_member_and_parameter_is_described() {
    let document = document();
    let mut missing = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (member, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            // A bare reference is described by what it refers to.
            let target = property["$ref"].as_str().and_then(|reference| document.pointer(&reference[1..]));
            if property.get("description").or_else(|| target?.get("description")).is_none() {
                missing.push(format!("{name}.{member}"));
            }
        }
    }
    for operation in operations() {
        for parameter in operation.value["parameters"].as_array().into_iter().flatten() {
            if parameter.get("description").is_none() {
                missing.push(format!("{} {}", operation.name, parameter["name"]));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    walk(document, "#", &mut |place, members| {
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{place}: {reference} is elsewhere"));
            assert!(document.pointer(pointer).is_some(), "{place}: {reference} leads nowhere");
        }
    });
}

#[test]
fn every_component_is_used() {
    let document = document();
    let mut used = BTreeSet::new();
    walk(document, "#", &mut |_, members| {
        used.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
    });
    for kind in ["schemas", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            assert!(used.contains(&format!("#/components/{kind}/{name}")), "nothing refers to {name}");
        }
    }
}

#[test]
fn every_error_is_a_problem() {
    for operation in operations() {
        for (status, response) in responses(&operation) {
            assert!(!response["description"].as_str().unwrap().is_empty(), "{} {status}", operation.name);
            if status.starts_with(['4', '5']) {
                let content = response["content"].as_object().unwrap_or_else(|| panic!("{} {status}", operation.name));
                assert_eq!(
                    content.keys().collect::<Vec<_>>(),
                    ["application/problem+json"],
                    "{} {status}",
                    operation.name
                );
                let schema = &content["application/problem+json"]["schema"]["$ref"];
                // Some have members of their own: who holds what was asked for, where to go instead.
                let name = match status.as_str() {
                    "409" => "ConflictProblem",
                    "410" => "GoneProblem",
                    // A read has no editor before it who could have saved first.
                    "412" if operation.method != "get" => "PreconditionFailedProblem",
                    "429" => "TooManyRequestsProblem",
                    "503" => "OverloadedProblem",
                    _ => "Problem",
                };
                assert_eq!(*schema, format!("#/components/schemas/{name}"), "{} {status}", operation.name);
            }
        }
    }
}

#[test]
fn an_error_declares_the_header_that_the_standard_wants_with_it() {
    for operation in operations() {
        for (status, header) in [
            ("401", "WWW-Authenticate"),
            ("412", "ETag"),
            ("503", "Retry-After"),
            ("201", "Location"),
            ("308", "Location"),
        ] {
            if let Some(response) = responses(&operation).get(status) {
                assert!(response["headers"].get(header).is_some(), "{} {status} without {header}", operation.name);
            }
        }
    }
}

#[test]
fn every_operation_answers_something_good() {
    for operation in operations() {
        let good = responses(&operation).keys().filter(|status| status.starts_with('2')).count();
        assert!(good >= 1, "{}", operation.name);
        for status in ["400", "500", "503"] {
            assert!(responses(&operation).contains_key(status), "{} does not declare {status}", operation.name);
        }
    }
}

/// Whether it is one of a schema of the document.
fn is_of(schema: &Value, document: &Value, example: &Value) -> bool {
    let schema = json!({ "allOf": [schema], "components": { "schemas": document["components"]["schemas"] } });
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap().is_valid(example)
}

#[test]
fn every_parameter_and_header_has_an_example_that_is_one() {
    let document = document();
    let parameters = operations();
    let parameters = parameters.iter().filter_map(|operation| operation.value["parameters"].as_array()).flatten();
    for shown in parameters {
        let is_needed = shown["required"] == true;
        let examples = [shown.get("example"), shown["schema"].pointer("/examples/0")];
        // What may be left out is not filled in by pages that try a request out.
        assert_eq!(examples.map(|example| example.is_some()), [is_needed, !is_needed], "{shown}");
        let example = examples.into_iter().flatten().next().unwrap();
        assert!(is_of(&shown["schema"], document, example), "{example} is none of {shown}");
    }
    for shown in document["components"]["headers"].as_object().unwrap().values() {
        let example = shown.get("example").unwrap_or_else(|| panic!("{shown} has no example"));
        assert!(is_of(&shown["schema"], document, example), "{example} is none of {shown}");
    }
}

#[test]
fn every_link_leads_from_an_answer_to_an_operation_that_takes_what_it_gives() {
    let all = operations();
    let links: Vec<Value> =
        serde_json::from_str(include_str!("../../openapi/links.json")).expect("the file of links is JSON");
    let mut shown = 0;
    for link in &links {
        let named = |member: &str| {
            let id = link[member].as_str().unwrap();
            all.iter().find(|operation| operation.id == id).unwrap_or_else(|| panic!("{link}: there is no {id}"))
        };
        let (from, to) = (named("from"), named("to"));
        let response = &responses(from)[link["status"].as_str().unwrap()];
        shown += usize::from(response["links"].get(to.id).is_some());
        let taken = to.value["parameters"].as_array().cloned().unwrap_or_default();
        for name in link["parameters"].as_object().into_iter().flatten().map(|(name, _)| name) {
            assert!(taken.iter().any(|parameter| parameter["name"] == **name), "{link}: {} takes no {name}", to.id);
        }
    }
    assert!(shown == links.len() && shown > 100, "{shown} of {}", links.len());
}

/// The names of the components that a value refers to, directly or not.
fn reachable(document: &Value, value: &Value, found: &mut BTreeSet<String>) {
    let mut fresh = Vec::new();
    walk(value, "#", &mut |_, members| {
        let reference = members.get("$ref").and_then(Value::as_str);
        fresh.extend(reference.and_then(|text| text.strip_prefix("#/components/schemas/")).map(str::to_owned));
    });
    for name in fresh {
        if found.insert(name.clone()) {
            reachable(document, &document["components"]["schemas"][&name], found);
        }
    }
}

#[test]
fn every_member_of_an_answer_is_always_present() {
    let document = document();
    let mut answered = BTreeSet::new();
    for operation in operations() {
        reachable(document, &operation.value["responses"], &mut answered);
    }
    assert!(answered.contains("Problem"));
    for name in &answered {
        walk(&document["components"]["schemas"][name], name, &mut |place, schema| {
            assert_all_required(place, schema);
        });
    }
    for operation in operations() {
        walk(&operation.value["responses"], &operation.name, &mut |place, schema| assert_all_required(place, schema));
    }
}

fn assert_all_required(place: &str, schema: &Map<String, Value>) {
    // A property may itself be called `properties`; a schema's properties are objects.
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    if schema.get("type").is_none() {
        return;
    }
    let required: BTreeSet<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let optional = OPTIONAL.iter().find(|(name, _)| *name == place).map_or(&[][..], |(_, members)| members);
    for member in properties.keys() {
        let may_be_absent = optional.contains(&member.as_str());
        assert_ne!(required.contains(member.as_str()), may_be_absent, "{place}.{member}: required or optional");
    }
}

#[test]
fn every_request_schema_is_closed() {
    let document = document();
    for operation in operations() {
        for (media_type, media) in operation.value["requestBody"]["content"].as_object().into_iter().flatten() {
            let mut names = BTreeSet::new();
            reachable(document, &media["schema"], &mut names);
            for name in names {
                let schema = &document["components"]["schemas"][&name];
                if schema.get("properties").is_some() {
                    assert_eq!(
                        schema["additionalProperties"], false,
                        "{} {media_type}: {name} is open",
                        operation.name
                    );
                }
            }
        }
    }
}

#[test]
fn every_text_that_is_sent_has_a_limit() {
    let document = document();
    let mut unlimited = Vec::new();
    for operation in operations() {
        let mut names = BTreeSet::new();
        reachable(document, &operation.value["requestBody"], &mut names);
        for name in names {
            walk(&document["components"]["schemas"][&name], &name, &mut |place, schema| {
                let kind = schema.get("type");
                let is_text = kind.is_some_and(|kind| {
                    kind == "string" || kind.as_array().is_some_and(|all| all.iter().any(|one| one == "string"))
                });
                let is_list = kind.is_some_and(|kind| {
                    kind == "array" || kind.as_array().is_some_and(|all| all.iter().any(|one| one == "array"))
                });
                let limited = ["maxLength", "enum", "const"].iter().any(|limit| schema.contains_key(*limit));
                // A format such as `uuid` or `date-time` bounds a text as well.
                let formatted = schema.get("format").is_some_and(|format| format == "uuid" || format == "date-time");
                if (is_text && !limited && !formatted) || (is_list && !schema.contains_key("maxItems")) {
                    unlimited.push(place.to_owned());
                }
            });
        }
    }
    unlimited.sort();
    unlimited.dedup();
    assert!(unlimited.is_empty(), "{unlimited:#?}");
}

#[test]
fn every_path_parameter_is_declared_and_every_declared_one_is_in_the_path() {
    for operation in operations() {
        let named: BTreeSet<&str> =
            operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        let parameters: Vec<&Value> = operation.value["parameters"].as_array().into_iter().flatten().collect();
        let declared: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(named, declared, "{}", operation.name);
        let mut seen = BTreeSet::new();
        for parameter in parameters {
            let key = format!("{} {}", parameter["in"], parameter["name"]);
            assert!(seen.insert(key.clone()), "{} declares {key} twice", operation.name);
            assert!(parameter["schema"].is_object(), "{} {key} has no schema", operation.name);
        }
    }
}

#[test]
fn what_changes_a_resource_takes_its_version_and_can_be_tried_out() {
    for operation in operations() {
        let takes = |name: &str| {
            let parameters = operation.value["parameters"].as_array();
            parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == name))
        };
        // These change nothing as they are: what they take does not belong into a URL.
        let reads = ["/render", "/contact-submissions/search", "/contact-submissions/export"];
        let writes = operation.method != "get" && !reads.iter().any(|path| operation.path.ends_with(path));
        if operation.path.starts_with("/api/v1/manage/") && writes {
            assert!(takes("validate_only"), "{} can't be tried out", operation.name);
            // A sign-in and a second factor have no versions: they are there or not.
            let versioned = !operation.path.contains("/sessions") && !operation.path.ends_with("/second-factor");
            if ["patch", "delete"].contains(&operation.method) && versioned {
                assert!(takes("If-Match"), "{} does not ask which version is meant", operation.name);
                for status in ["412", "428"] {
                    assert!(responses(&operation).contains_key(status), "{} {status}", operation.name);
                }
            }
        }
    }
}

#[test]
fn every_post_of_management_can_be_sent_again() {
    for operation in operations() {
        let parameters = operation.value["parameters"].as_array();
        let takes_key = parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "Idempotency-Key"));
        let is_management = operation.path.starts_with("/api/v1/manage/");
        assert_eq!(takes_key, is_management && operation.method == "post", "{}", operation.name);
    }
}

#[test]
fn delivery_is_read_only_and_says_which_state_it_shows() {
    // A preview is for whoever has its link, and shows no public state; a form token is another one each time; and a
    // visitor's message is the one thing that anybody may send.
    let outside = [
        "/api/v1/manage/",
        "/api/v1/auth/",
        "/api/v1/previews/",
        "/api/v1/contact-forms/{form}/token",
        "/api/v1/contact-submissions",
    ];
    for operation in operations() {
        let delivery =
            operation.path.starts_with("/api/v1/") && !outside.iter().any(|prefix| operation.path.starts_with(prefix));
        if delivery {
            assert_eq!(operation.method, "get", "{}", operation.name);
            assert!(!is_guarded(operation.value), "{} is not public", operation.name);
            for header in ["ETag", "Content-Version"] {
                let headers = &responses(&operation)["200"]["headers"];
                assert!(headers.get(header).is_some(), "{} without {header}", operation.name);
            }
            assert!(responses(&operation).contains_key("304"), "{}", operation.name);
        }
    }
}

/// A client that fills in a default where it sends nothing would undo what others wrote.
#[test]
fn only_what_makes_something_new_has_defaults() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas.iter().filter(|(name, _)| !name.ends_with("Draft")) {
        walk(schema, name, &mut |place, schema| {
            assert!(place.ends_with("/properties") || !schema.contains_key("default"), "{place} has a default");
        });
    }
}

#[test]
fn every_example_and_default_is_one_of_its_schema() {
    let document = document();
    walk(&document["components"]["schemas"], "#", &mut |place, schema| {
        let is_schema = schema.contains_key("type") || schema.contains_key("$ref") || schema.contains_key("oneOf");
        let one = schema.get("example").into_iter().chain(schema.get("default"));
        let many = schema.get("examples").and_then(Value::as_array).into_iter().flatten();
        for example in one.chain(many).filter(|_| is_schema) {
            let schema = Value::Object(schema.clone());
            assert!(is_of(&schema, document, example), "{place}: {example} is not an example of {schema}");
        }
    });
}
