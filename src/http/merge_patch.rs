//! A JSON Merge Patch (RFC 7396) of a resource.
//!
//! A patch is checked as the document that it leads to; faults in members that it does not touch become warnings, and
//! those members stay as they are.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::api::Input;
use super::body::{JSON, MERGE_PATCH, parse};
use super::description::Description;
use super::draft::{
    Draft, Drafted, Extraction, TRANSIENT, Warning, checked, first_segment, object, read_object, read_only_fault,
};
use super::editable::{Editable, Shape, changes_schema, components, patch_schema, shape};
use super::problem::{Fault, Problem};
use super::schema;

/// The body of a `PATCH`: a JSON Merge Patch. Or what takes the place of a whole resource, its read-only members set
/// aside: then what is left out gets its default.
#[derive(Clone)]
pub struct MergePatch<T> {
    members: Map<String, Value>,
    replaces: bool,
    kind: PhantomData<T>,
}

/// A merge patch that is a member of a body. Its schema is that of the patch without what only a `PATCH` may say.
#[derive(Clone, Default)]
pub struct Changes<T>(Map<String, Value>, PhantomData<T>);

impl<T> fmt::Debug for Changes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The members may be a person's words.
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl<'de, T> Deserialize<'de> for Changes<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(|members| Self(members, PhantomData))
    }
}

impl<T> Changes<T> {
    /// A text of the patch as it was sent, for what is to be prepared before the patch is checked.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }
}

impl<T> From<Changes<T>> for MergePatch<T> {
    fn from(changes: Changes<T>) -> Self {
        Self::of(changes.0)
    }
}

impl<T: Editable> PartialSchema for Changes<T> {
    fn schema() -> RefOr<Schema> {
        serde_json::from_value(changes_schema::<T>()).unwrap_or_else(|_| T::schema())
    }
}

impl<T: Editable> ToSchema for Changes<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Changes", T::NAME).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(components::<T>());
    }
}

impl<T> MergePatch<T> {
    /// A patch that sets these members.
    pub fn of(members: Map<String, Value>) -> Self {
        Self { members, replaces: false, kind: PhantomData }
    }

    /// What takes the place of a whole resource.
    pub fn replacing(draft: Draft<T>) -> Self {
        Self { members: draft.into_members(), replaces: true, kind: PhantomData }
    }

    /// Whether it takes the place of the whole resource.
    pub fn replaces(&self) -> bool {
        self.replaces
    }

    /// A text of the patch as it was sent, for what is to be prepared before the patch is checked.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
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
        let shape = shape::<T>()?;
        let answer = serde_json::to_value(answer).map_err(Problem::internal)?;
        let present = object(present)?;
        let (mut document, mut own) = (present.clone(), Vec::new());
        let touched = self.merge_into(&shape, &mut document, &answer, &mut own);
        for (name, value) in &shape.defaults {
            if !document.contains_key(name) && !T::REQUIRED.contains(&name.as_str()) {
                document.insert(name.clone(), value.clone());
            }
        }
        let mut found = shape.checker.faults(&Value::Object(document.clone()));
        let content = checked(&shape, document, &mut found, check)?;
        let (touching, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|fault| is_touched(fault, &touched));
        own.extend(touching);
        if !own.is_empty() {
            return Err(Problem::invalid_body(own));
        }
        let content = keeping(content, &present, &others)?;
        Ok(Drafted { content, warnings: others.into_iter().map(warning_of).collect(), touched })
    }

    /// Whether the patch says this of itself.
    pub fn flag(&self, name: &str) -> bool {
        self.members.get(name) == Some(&Value::Bool(true))
    }

    /// What the patch makes of another state than the present one; none where that has faults. Read-only members
    /// are no matter here.
    ///
    /// # Errors
    /// What `check` says beside faults.
    pub fn onto(
        self,
        base: &T,
        check: impl FnOnce(&mut T) -> Result<Vec<Fault>, Problem>,
    ) -> Result<Option<T>, Problem> {
        let shape = shape::<T>()?;
        let mut document = object(base)?;
        let touched = self.merge_into(&shape, &mut document, &Value::Null, &mut Vec::new());
        for name in T::REQUIRED {
            if !document.contains_key(*name) {
                return Ok(None);
            }
        }
        let mut faults = shape.checker.faults(&Value::Object(document.clone()));
        let content = checked(&shape, document, &mut faults, check)?;
        Ok(Some(content).filter(|_| !faults.iter().any(|fault| is_touched(fault, &touched))))
    }

    /// Applies the patch to the editable members and gives the names that it touched.
    fn merge_into(
        self,
        shape: &Shape,
        document: &mut Map<String, Value>,
        answer: &Value,
        faults: &mut Vec<Fault>,
    ) -> Vec<String> {
        let known = shape.checker.names();
        let mut touched = Vec::new();
        if self.replaces {
            document.retain(|name, _| !known.contains(name));
            touched.extend(known.iter().cloned());
        }
        for (name, value) in self.members {
            if !self.replaces && T::PATCH_FLAGS.iter().any(|(flag, _)| *flag == name) {
                if !value.is_boolean() {
                    faults.push(Fault::body(schema::join("", &name), "type", "Say true or false."));
                }
            } else if shape.read_only.contains(&name) {
                if answer.get(&name) != Some(&value) && !TRANSIENT.contains(&name.as_str()) {
                    faults.push(read_only_fault(&name));
                }
            } else if known.contains(&name) && self.replaces {
                document.extend(Some((name, value)).filter(|(_, value)| !value.is_null()));
            } else if known.contains(&name) {
                merge_member(document, &name, value);
                touched.push(name);
            } else {
                faults.push(unknown_fault(&name, known));
            }
        }
        touched
    }
}

/// The content with the members at fault as they were: who did not touch them must not lose them.
fn keeping<T: Editable>(content: T, present: &Map<String, Value>, faults: &[Fault]) -> Result<T, Problem> {
    if faults.is_empty() {
        return Ok(content);
    }
    let mut document = object(&content)?;
    for name in faults.iter().filter_map(first_segment) {
        if let Some(value) = present.get(name) {
            document.insert(name.to_owned(), value.clone());
        }
    }
    parse(Value::Object(document))
}

/// Applies one member of a merge patch (RFC 7396, 2). What is sent back as it was read changes nothing, although a null
/// that lies deeper would be taken for a removal.
fn merge_member(target: &mut Map<String, Value>, name: &str, patch: Value) {
    if target.get(name) == Some(&patch) {
        return;
    }
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

fn unknown_fault(name: &str, known: &[String]) -> Fault {
    let message = match schema::suggest(name, known) {
        Some(near) => format!("There is no member of this name; did you mean `{near}`?"),
        None => "There is no member of this name.".to_owned(),
    };
    Fault::body(schema::join("", name), "unknown_field", message)
}

impl<T: Editable> FromRequest for MergePatch<T> {
    type Error = Problem;
    type Future = Extraction<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { Ok(Self::of(read_object(req, payload, &[MERGE_PATCH, JSON]).await?)) })
    }
}

impl<T: Editable> Input for MergePatch<T> {
    fn describe(description: &mut Description) {
        description.components(components::<T>());
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
