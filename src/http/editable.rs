//! What of a resource an editor writes, and the schemas that requests with it have.
//!
//! The members are one struct, [`Editable`]. The schema of `POST` (`…Draft`) is that struct's, closed. That of
//! `PATCH` (`…Patch`) is the same without requirements and defaults, since what a merge patch leaves out stays
//! as it is, and with null wherever null gives the default; so are the objects that it merges member by member.
//! A list is replaced as a whole, so its objects are drafts in both.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use super::schema::{self, Checker, Schemas};

/// The members of a resource that an editor writes.
///
/// `Default` gives what a member is that was not sent; `Answer` is what management answers, whose
/// further members are read-only.
pub trait Editable: Serialize + DeserializeOwned + Default + ToSchema + Send + 'static {
    /// The schema names are made from it: `…Draft` and `…Patch`.
    const NAME: &'static str;
    /// The members without which there is no resource.
    const REQUIRED: &'static [&'static str];
    /// What a `PATCH` may say beside members, as name and description: each true or false.
    const PATCH_FLAGS: &'static [(&'static str, &'static str)] = &[];
    /// What management answers: the editable members and read-only ones.
    type Answer: ToSchema;
}

/// What is needed to check a request, made once for each type.
pub(super) struct Shape {
    /// Checks a whole document.
    pub(super) checker: Checker,
    /// What each member is that was not sent.
    pub(super) defaults: Map<String, Value>,
    /// The members of the answer that are not editable.
    pub(super) read_only: Vec<String>,
}

/// The shape of a resource.
///
/// # Errors
/// Where a schema is broken: a fault of ours.
pub(super) fn shape<T: Editable>() -> Result<Arc<Shape>, Problem> {
    schema::kept::<T, Shape>(|| {
        let Ok(Value::Object(defaults)) = serde_json::to_value(T::default()) else {
            return Err("the default of an editable resource is not an object".to_owned());
        };
        let checker = Checker::new(draft_schema::<T>(), components::<T>())?;
        let answer = super::openapi::flattened(&own_schema::<T::Answer>(), &|_| Some(own_schema::<T>()));
        let mut read_only = schema::member_names(&answer);
        read_only.retain(|name| !checker.names().contains(name));
        Ok(Shape { checker, defaults, read_only })
    })
}

fn own_schema<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap_or_default()
}

/// The schema of a new resource: the editable members, closed.
pub(super) fn draft_schema<T: Editable>() -> Value {
    let mut schema = as_draft(own_schema::<T>(), &objects::<T>());
    schema["required"] = json!(T::REQUIRED);
    for name in T::REQUIRED {
        if let Some(Value::Object(property)) = schema["properties"].get_mut(name) {
            property.shift_remove("default");
        }
    }
    schema
}

/// The schema of a patch of the resource that is part of something else.
pub(super) fn changes_schema<T: Editable>() -> Value {
    as_patch(own_schema::<T>(), T::REQUIRED, &objects::<T>())
}

/// The schema of a patch of the resource.
pub(super) fn patch_schema<T: Editable>() -> Value {
    let mut schema = changes_schema::<T>();
    for (name, description) in T::PATCH_FLAGS {
        schema["properties"][*name] = json!({ "type": "boolean", "description": description });
    }
    schema
}

/// All that the two schemas may refer to: objects as drafts and as patches, the rest as it is.
pub(super) fn components<T: Editable>() -> Schemas {
    let objects = objects::<T>();
    let versions = |(name, schema): (String, Value)| {
        if !objects.contains(&name) {
            return vec![(name, schema)];
        }
        let required = required_names(&schema);
        let required: Vec<&str> = required.iter().map(String::as_str).collect();
        vec![
            (format!("{name}Draft"), as_draft(schema.clone(), &objects)),
            (format!("{name}Patch"), as_patch(schema, &required, &objects)),
        ]
    };
    let typed = |(name, schema)| Some((name, serde_json::from_value(schema).ok()?));
    referenced::<T>().into_iter().flat_map(versions).filter_map(typed).collect()
}

/// The components that the editable members refer to.
fn referenced<T: Editable>() -> Vec<(String, Value)> {
    let mut components = Vec::new();
    T::schemas(&mut components);
    let value = |(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default());
    components.into_iter().map(value).collect()
}

/// The names of those of them that are objects.
fn objects<T: Editable>() -> Vec<String> {
    let is_object = |(_, schema): &(String, Value)| schema.get("properties").is_some();
    referenced::<T>().into_iter().filter(is_object).map(|(name, _)| name).collect()
}

fn required_names(schema: &Value) -> Vec<String> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Closes an object schema and points it to the drafts of the objects that it refers to.
fn as_draft(schema: Value, objects: &[String]) -> Value {
    let mut schema = referring_to(schema, objects, "Draft");
    if schema.get("properties").is_some() {
        schema["additionalProperties"] = json!(false);
    }
    schema
}

/// The same for a merge patch: members may be left out, and null where that gives their default.
fn as_patch(schema: Value, required: &[&str], objects: &[String]) -> Value {
    let mut schema = as_draft(referring_to(schema, objects, "Patch"), &[]);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties.iter_mut() {
            without_defaults(property);
            if !required.contains(&name.as_str()) {
                allow_null(property);
            }
        }
    }
    if let Value::Object(schema) = &mut schema {
        schema.shift_remove("required");
    }
    schema
}

/// A client that fills in a default where nothing was sent would overwrite what is there.
fn without_defaults(property: &mut Value) {
    let Value::Object(members) = property else { return };
    members.shift_remove("default");
    members.values_mut().for_each(|member| match member {
        Value::Array(choices) => choices.iter_mut().for_each(without_defaults),
        other => without_defaults(other),
    });
}

fn allow_null(property: &mut Value) {
    if let Some(kind) = property.get_mut("type") {
        match kind {
            Value::String(one) => *kind = json!([one, "null"]),
            Value::Array(many) if !many.contains(&json!("null")) => many.push(json!("null")),
            _ => {}
        }
    } else if property.get("$ref").is_some() {
        *property = json!({ "oneOf": [{ "type": "null" }, property] });
    }
}

/// The schema with its references led to the version of each object that `suffix` names; in a list always
/// to the draft.
fn referring_to(schema: Value, objects: &[String], suffix: &str) -> Value {
    let member = |(name, value): (String, Value)| match (name.as_str(), value) {
        ("$ref", Value::String(reference))
            if objects.iter().any(|object| reference.ends_with(&format!("/{object}"))) =>
        {
            (name, json!(format!("{reference}{suffix}")))
        }
        ("items", value) => (name, referring_to(value, objects, "Draft")),
        (_, value) => (name, referring_to(value, objects, suffix)),
    };
    match schema {
        Value::Object(members) => Value::Object(members.into_iter().map(member).collect()),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| referring_to(item, objects, suffix)).collect())
        }
        other => other,
    }
}
