//! Gives names to parts of schemas, so that generated clients have one type for what is one thing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::operations_mut;
use crate::http::schema::has_type;

/// Makes components of the variants of an enumeration with data, told apart by a member that always holds the same word.
///
/// # Panics
/// Where another schema has the name of a variant.
pub(super) fn name_variants(schemas: &mut Map<String, Value>) {
    let (mut parts, taken) = (Map::new(), schemas.keys().cloned().collect::<BTreeSet<_>>());
    for (name, schema) in schemas.iter_mut() {
        let Some((member, words)) = tags(schema) else { continue };
        let mut mapping = Map::new();
        let variants = schema["oneOf"].as_array_mut().into_iter().flatten();
        for (variant, word) in variants.zip(words) {
            let part = format!("{name}{}", capitalised(&word));
            let reference = format!("#/components/schemas/{part}");
            variant["properties"][&member]["description"] = json!("Which of the possibilities it is.");
            let described = std::mem::replace(variant, json!({ "$ref": reference }));
            assert!(!taken.contains(&part), "two schemas have the name {part}");
            parts.insert(part, described);
            mapping.insert(word, json!(reference));
        }
        schema["discriminator"] = json!({ "propertyName": member, "mapping": mapping });
    }
    schemas.extend(parts);
}

/// The member that tells variants apart, and the word that each has there.
fn tags(schema: &Value) -> Option<(String, Vec<String>)> {
    let variants = schema["oneOf"].as_array()?;
    let member = variants.first()?["properties"].as_object()?.iter().find(|(_, of)| only_word(of).is_some())?.0;
    let words = variants.iter().map(|variant| only_word(&variant["properties"][member]).map(str::to_owned));
    Some((member.clone(), words.collect::<Option<_>>()?))
}

fn only_word(schema: &Value) -> Option<&str> {
    match schema["enum"].as_array()?.as_slice() {
        [word] => word.as_str(),
        _ => None,
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// Makes a component of the object of any members that several schemas have under one name.
///
/// # Panics
/// Where another schema has that name.
pub(super) fn name_open_objects(schemas: &mut Map<String, Value>) {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for (member, _) in members(schemas).filter(|(_, of)| is_open_object(of)) {
        *found.entry(member.clone()).or_default() += 1;
    }
    for member in found.into_iter().filter(|(_, times)| *times > 1).map(|(member, _)| member) {
        let name = capitalised(&member);
        assert!(!schemas.contains_key(&name), "two schemas have the name {name}");
        for (_, of) in members(schemas).filter(|(other, of)| **other == member && is_open_object(of)) {
            refer_to(of, &name, &["type", "additionalProperties"]);
        }
        let description = "An object of any members, which the program hands on as it is.";
        schemas.insert(name, json!({ "type": "object", "description": description, "additionalProperties": true }));
    }
}

/// All members of schemas.
fn members(schemas: &mut Map<String, Value>) -> impl Iterator<Item = (&String, &mut Value)> {
    schemas.values_mut().filter_map(|schema| schema.get_mut("properties")?.as_object_mut()).flatten()
}

fn is_open_object(schema: &Value) -> bool {
    let of_any_members = schema.get("additionalProperties").is_none_or(|of| *of == json!(true));
    has_type(schema, "object") && schema.get("properties").is_none() && of_any_members
}

/// Says by a reference to a component what these keywords say; what else is said stays.
fn refer_to(schema: &mut Value, component: &str, keywords: &[&str]) {
    let (may_be_null, reference) = (has_type(schema, "null"), format!("#/components/schemas/{component}"));
    let Some(own) = schema.as_object_mut() else { return };
    own.retain(|keyword, _| !keywords.contains(&keyword.as_str()));
    if may_be_null {
        own.insert("oneOf".to_owned(), json!([{ "$ref": reference }, { "type": "null" }]));
    } else {
        own.insert("$ref".to_owned(), json!(reference));
    }
}

/// Refers to a component where a parameter repeats the words of one.
pub(super) fn refer_to_enumerations(paths: &mut Map<String, Value>, schemas: &Map<String, Value>) {
    let parameters =
        operations_mut(paths).filter_map(|operation| operation.get_mut("parameters")?.as_array_mut()).flatten();
    for schema in parameters.filter_map(|parameter| parameter.get_mut("schema")) {
        let words = if schema["items"].is_object() { &mut schema["items"] } else { schema };
        let known = schemas.iter().find(|(_, known)| known["enum"].is_array() && known["enum"] == words["enum"]);
        if let Some((name, _)) = known {
            refer_to(words, name, &["type", "enum", "description"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_named_after_their_word() {
        let variant = |word: &str| json!({ "properties": { "kind": { "enum": [word] } } });
        let choice = json!({ "oneOf": [variant("article"), variant("author")] });
        let either = json!({ "oneOf": [{ "$ref": "#/components/schemas/Found" }, { "type": "null" }] });
        let mut schemas = Map::from_iter([("Found".to_owned(), choice), ("Either".to_owned(), either.clone())]);
        name_variants(&mut schemas);
        assert_eq!(schemas["Found"]["oneOf"][1]["$ref"], "#/components/schemas/FoundAuthor");
        assert_eq!(schemas["Found"]["discriminator"]["mapping"]["article"], "#/components/schemas/FoundArticle");
        assert_eq!(schemas["FoundArticle"]["properties"]["kind"]["enum"], json!(["article"]));
        assert_eq!(schemas["Either"], either);
    }

    #[test]
    fn objects_of_any_members_are_one_thing_where_they_have_one_name() {
        let open = |kind: Value| json!({ "type": kind, "description": "More.", "default": {} });
        let article = json!({ "properties": { "extra": open(json!("object")), "once": open(json!("object")) } });
        let patch = json!({ "properties": { "extra": open(json!(["object", "null"])) } });
        let other = json!({ "properties": { "extra": { "type": "string" } } });
        let closed = json!({ "properties": { "extra": { "type": "object", "additionalProperties": false } } });
        let all = [("Article", article), ("Patch", patch), ("Other", other.clone()), ("Closed", closed.clone())];
        let mut schemas = Map::from_iter(all.map(|(name, schema)| (name.to_owned(), schema)));
        name_open_objects(&mut schemas);
        let reference = json!({ "$ref": "#/components/schemas/Extra" });
        let said = |schema: &str| schemas[schema]["properties"]["extra"].clone();
        assert_eq!(said("Article")["$ref"], reference["$ref"]);
        assert_eq!((&said("Article")["description"], &said("Article")["default"]), (&json!("More."), &json!({})));
        assert_eq!(said("Patch")["oneOf"], json!([reference, { "type": "null" }]));
        assert!(said("Article").get("type").is_none() && said("Patch").get("type").is_none());
        assert_eq!(schemas["Article"]["properties"]["once"], open(json!("object")));
        assert_eq!((&schemas["Other"], &schemas["Closed"]), (&other, &closed));
        assert_eq!(schemas["Extra"]["type"], "object");
    }

    #[test]
    fn words_that_are_a_component_are_referred_to() {
        let schemas = Map::from_iter([("Role".to_owned(), json!({ "type": "string", "enum": ["a", "b"] }))]);
        let list = |words: &[&str]| json!({ "schema": { "type": "array", "items": { "enum": words } } });
        let parameters = json!([list(&["a", "b"]), list(&["a"]), { "schema": { "enum": ["a", "b"] } }]);
        let mut paths = Map::from_iter([("/x".to_owned(), json!({ "get": { "parameters": parameters } }))]);
        refer_to_enumerations(&mut paths, &schemas);
        let role = json!({ "$ref": "#/components/schemas/Role" });
        let parameters = &paths["/x"]["get"]["parameters"];
        assert_eq!((&parameters[0]["schema"]["items"], &parameters[2]["schema"]), (&role, &role));
        assert_eq!(parameters[1], list(&["a"]));
    }
}
