//! What an editor sends: a whole new resource, or a JSON Merge Patch (RFC 7396) of the present one.
//!
//! A resource's editable members are one struct, [`Editable`]; the schemas of `POST` (`…Draft`) and of
//! `PATCH` (`…Patch`) are made from it, so a new member is one line. What was read can be sent back:
//! a read-only member of the answer is ignored where it equals the present value, and a fault where it
//! differs. A patch is checked as the document that it leads to; faults in members that it does not
//! touch become warnings.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::api::{Description, Input};
use super::body::{JSON, MERGE_PATCH, parse, read_json};
use super::problem::{Fault, Problem};
use super::schema::{self, Schemas};

/// The members of a resource that an editor writes.
///
/// `Default` gives what a member is that was not sent; `Answer` is what management answers, whose
/// further members are read-only.
pub trait Editable: Serialize + DeserializeOwned + Default + ToSchema + Send + 'static {
    /// The schema names are made from it: `…Draft` and `…Patch`.
    const NAME: &'static str;
    /// The members without which there is no resource.
    const REQUIRED: &'static [&'static str];
    /// What management answers: the editable members and read-only ones.
    type Answer: ToSchema;
}

/// A fault in a member that the request did not touch, or something that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Warning {
    /// Where, as a JSON Pointer into the resource.
    pub pointer: String,
    /// What was removed; null where nothing was, and the member should be looked at.
    #[schema(required)]
    pub removed: Option<String>,
    /// Why.
    pub reason: String,
}

/// What a request made of a resource.
pub struct Drafted<T> {
    /// The members as they would be.
    pub content: T,
    /// What is wrong with members that the request did not touch.
    pub warnings: Vec<Warning>,
}

/// The body of a `POST`: a new resource.
pub struct Draft<T>(Map<String, Value>, PhantomData<T>);

/// The body of a `PATCH`: a JSON Merge Patch.
pub struct MergePatch<T>(Map<String, Value>, PhantomData<T>);

/// Members of answers that are about one answer, not about the resource: they may be sent back and say nothing.
const TRANSIENT: [&str; 2] = ["expanded", "warnings"];

impl<T: Editable> Draft<T> {
    /// The new resource; `check` adds what a schema can't say, and may resolve what the members name.
    ///
    /// # Errors
    /// All faults of the body at once.
    pub fn create(self, check: impl FnOnce(&mut T) -> Result<Vec<Fault>, Problem>) -> Result<Drafted<T>, Problem> {
        let mut faults = Vec::new();
        let mut document = defaults::<T>()?;
        for required in T::REQUIRED {
            document.shift_remove(*required);
        }
        for (name, value) in self.0 {
            if !read_only::<T>().contains(&name) {
                document.insert(name, value);
            } else if !TRANSIENT.contains(&name.as_str()) {
                faults.push(read_only_fault(&name));
            }
        }
        faults.extend(document_faults::<T>(&document)?);
        let content = checked(document, &mut faults, check)?;
        if faults.is_empty() {
            Ok(Drafted { content, warnings: Vec::new() })
        } else {
            Err(Problem::invalid_body(faults))
        }
    }
}

impl<T: Editable> MergePatch<T> {
    /// The resource as the patch leaves it; `present` is its content, `answer` what a client reads of it.
    ///
    /// # Errors
    /// All faults of the members that the patch touches, at once.
    pub fn apply(
        self,
        present: &T,
        answer: &impl Serialize,
        check: impl FnOnce(&mut T) -> Result<Vec<Fault>, Problem>,
    ) -> Result<Drafted<T>, Problem> {
        let answer = serde_json::to_value(answer).map_err(Problem::internal)?;
        let Value::Object(mut document) = serde_json::to_value(present).map_err(Problem::internal)? else {
            return Err(Problem::internal("an editable resource is not an object"));
        };
        let mut own = Vec::new();
        let touched = self.merge_into(&mut document, &answer, &mut own);
        for (name, value) in defaults::<T>()? {
            if !document.contains_key(&name) && !T::REQUIRED.contains(&name.as_str()) {
                document.insert(name, value);
            }
        }
        let mut found = document_faults::<T>(&document)?;
        let content = checked(document, &mut found, check)?;
        let (touching, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|fault| is_touched(fault, &touched));
        own.extend(touching);
        if own.is_empty() {
            Ok(Drafted { content, warnings: others.into_iter().map(warning_of).collect() })
        } else {
            Err(Problem::invalid_body(own))
        }
    }

    /// Applies the patch to the editable members and gives the names that it touched.
    fn merge_into(self, document: &mut Map<String, Value>, answer: &Value, faults: &mut Vec<Fault>) -> Vec<String> {
        let (known, read_only) = (editable_names::<T>(), read_only::<T>());
        let mut touched = Vec::new();
        for (name, value) in self.0 {
            if read_only.contains(&name) {
                if answer.get(&name) != Some(&value) && !TRANSIENT.contains(&name.as_str()) {
                    faults.push(read_only_fault(&name));
                }
            } else if known.contains(&name) {
                merge_member(document, &name, value);
                touched.push(name);
            } else {
                faults.push(unknown_fault(&name, &known));
            }
        }
        touched
    }
}

/// Makes the document the content and lets `check` look at it. Members with a fault already are looked
/// at as if they had not been sent, so that the faults of all the others are found in the same request.
fn checked<T: Editable>(
    mut document: Map<String, Value>,
    faults: &mut Vec<Fault>,
    check: impl FnOnce(&mut T) -> Result<Vec<Fault>, Problem>,
) -> Result<T, Problem> {
    let spoiled: Vec<String> = faults.iter().filter_map(|fault| first_segment(fault).map(str::to_owned)).collect();
    let defaults = defaults::<T>()?;
    document.retain(|name, _| defaults.contains_key(name));
    for (name, value) in &defaults {
        if spoiled.contains(name) || !document.contains_key(name) {
            document.insert(name.clone(), value.clone());
        }
    }
    let mut content: T = parse(Value::Object(document))?;
    let found = check(&mut content)?;
    faults.extend(
        found.into_iter().filter(|fault| first_segment(fault).is_none_or(|name| !spoiled.iter().any(|f| f == name))),
    );
    Ok(content)
}

fn first_segment(fault: &Fault) -> Option<&str> {
    fault.pointer.as_deref()?.split('/').nth(1)
}

/// Applies one member of a merge patch (RFC 7396, 2).
fn merge_member(target: &mut Map<String, Value>, name: &str, patch: Value) {
    match patch {
        Value::Null => {
            target.shift_remove(name);
        }
        Value::Object(members) => {
            let slot = target.entry(name).or_insert_with(|| json!({}));
            if !slot.is_object() {
                *slot = json!({});
            }
            if let Value::Object(inner) = slot {
                for (name, value) in members {
                    merge_member(inner, &name, value);
                }
            }
        }
        other => {
            target.insert(name.to_owned(), other);
        }
    }
}

fn is_touched(fault: &Fault, touched: &[String]) -> bool {
    first_segment(fault).is_none_or(|first| touched.iter().any(|name| name == first))
}

fn warning_of(fault: Fault) -> Warning {
    Warning { pointer: fault.pointer.unwrap_or_default(), removed: None, reason: fault.message }
}

fn read_only_fault(name: &str) -> Fault {
    let message = "This member is read-only; leave it out, or send it as it was read.";
    Fault::body(schema::join("", name), "read_only", message)
}

fn unknown_fault(name: &str, known: &[String]) -> Fault {
    let message = match schema::suggest(name, known) {
        Some(near) => format!("There is no member of this name; did you mean `{near}`?"),
        None => "There is no member of this name.".to_owned(),
    };
    Fault::body(schema::join("", name), "unknown_field", message)
}

fn defaults<T: Editable>() -> Result<Map<String, Value>, Problem> {
    match serde_json::to_value(T::default()) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err(Problem::internal("the default of an editable resource is not an object")),
    }
}

fn document_faults<T: Editable>(document: &Map<String, Value>) -> Result<Vec<Fault>, Problem> {
    let validator =
        schema::validator::<Draft<T>>(|| (draft_schema::<T>(), nested::<T>())).map_err(Problem::internal)?;
    Ok(schema::faults(&validator, &Value::Object(document.clone()), &editable_names::<T>()))
}

fn own_schema<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap_or_default()
}

fn editable_names<T: Editable>() -> Vec<String> {
    schema::member_names(&own_schema::<T>())
}

/// The members of the answer that are not editable.
fn read_only<T: Editable>() -> Vec<String> {
    let editable = editable_names::<T>();
    let answer = super::openapi::flattened(&own_schema::<T::Answer>(), &|_| Some(own_schema::<T>()));
    schema::member_names(&answer).into_iter().filter(|name| !editable.contains(name)).collect()
}

/// The schema of a new resource: the editable members, closed.
fn draft_schema<T: Editable>() -> Value {
    let mut schema = close(own_schema::<T>(), &objects::<T>());
    schema["required"] = json!(T::REQUIRED);
    for name in T::REQUIRED {
        if let Some(Value::Object(property)) = schema["properties"].get_mut(name) {
            property.shift_remove("default");
        }
    }
    schema
}

/// The schema of a patch: each member may be left out, or be null to become what it is by default.
fn patch_schema<T: Editable>() -> Value {
    let mut schema = close(own_schema::<T>(), &objects::<T>());
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, property) in properties.iter_mut() {
            if !T::REQUIRED.contains(&name.as_str()) {
                allow_null(property);
            }
        }
    }
    if let Value::Object(schema) = &mut schema {
        schema.shift_remove("required");
    }
    schema
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

/// Closes an object schema and points it to closed versions of the objects that it refers to.
fn close(schema: Value, objects: &[String]) -> Value {
    let mut schema = rename_references(schema, objects);
    if schema.get("properties").is_some() {
        schema["additionalProperties"] = json!(false);
    }
    schema
}

fn rename_references(schema: Value, objects: &[String]) -> Value {
    match schema {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| match (name.as_str(), value) {
                    ("$ref", Value::String(reference))
                        if objects.iter().any(|object| reference.ends_with(&format!("/{object}"))) =>
                    {
                        (name, json!(format!("{reference}Draft")))
                    }
                    (_, value) => (name, rename_references(value, objects)),
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(|item| rename_references(item, objects)).collect()),
        other => other,
    }
}

/// The components that the editable members refer to.
fn referenced<T: Editable>() -> Vec<(String, Value)> {
    let mut components = Vec::new();
    T::schemas(&mut components);
    let value = |(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default());
    components.into_iter().map(value).collect()
}

/// The names of those of them that are objects: requests see them closed.
fn objects<T: Editable>() -> Vec<String> {
    let is_object = |(_, schema): &(String, Value)| schema.get("properties").is_some();
    referenced::<T>().into_iter().filter(is_object).map(|(name, _)| name).collect()
}

/// What the editable members refer to, objects closed and under names of their own.
fn nested<T: Editable>() -> Schemas {
    let objects = objects::<T>();
    referenced::<T>()
        .into_iter()
        .filter_map(|(name, schema)| {
            let name = if objects.contains(&name) { format!("{name}Draft") } else { name };
            Some((name, serde_json::from_value(close(schema, &objects)).ok()?))
        })
        .collect()
}

async fn read_object(req: HttpRequest, payload: Payload, accepted: &[&str]) -> Result<Map<String, Value>, Problem> {
    match read_json(&req, payload, accepted).await? {
        Value::Object(members) => Ok(members),
        _ => Err(Problem::invalid_body(vec![Fault::body("", "type", "The body must be a JSON object.")])),
    }
}

type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

impl<T: Editable> FromRequest for Draft<T> {
    type Error = Problem;
    type Future = Extraction<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { Ok(Self(read_object(req, payload, &[JSON]).await?, PhantomData)) })
    }
}

impl<T: Editable> FromRequest for MergePatch<T> {
    type Error = Problem;
    type Future = Extraction<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { Ok(Self(read_object(req, payload, &[MERGE_PATCH, JSON]).await?, PhantomData)) })
    }
}

impl<T: Editable> Input for Draft<T> {
    fn describe(description: &mut Description) {
        description.components(nested::<T>());
        let reference = description.component(&format!("{}Draft", T::NAME), draft_schema::<T>());
        description.body(&[JSON], &reference);
    }
}

impl<T: Editable> Input for MergePatch<T> {
    fn describe(description: &mut Description) {
        description.components(nested::<T>());
        let reference = description.component(&format!("{}Patch", T::NAME), patch_schema::<T>());
        description.body(&[MERGE_PATCH, JSON], &reference);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7396, 3.
    #[test]
    fn a_merge_patch_does_what_the_rfc_shows() {
        let Value::Object(mut target) = json!({
            "title": "Goodbye!",
            "author": { "givenName": "John", "familyName": "Doe" },
            "tags": ["example", "sample"],
            "content": "This will be unchanged",
        }) else {
            return;
        };
        let patch = json!({
            "title": "Hello!",
            "phoneNumber": "+01-123-456-7890",
            "author": { "familyName": null },
            "tags": ["example"],
        });
        for (name, value) in patch.as_object().unwrap().clone() {
            merge_member(&mut target, &name, value);
        }
        assert_eq!(
            Value::Object(target),
            json!({
                "title": "Hello!",
                "author": { "givenName": "John" },
                "tags": ["example"],
                "content": "This will be unchanged",
                "phoneNumber": "+01-123-456-7890",
            })
        );
    }
}
