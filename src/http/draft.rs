//! What an editor sends: a whole new resource, or a merge patch of the present one.
//!
//! A resource's editable members are one struct, [`Editable`], so a new member is one line. What was read can
//! be sent back: a read-only member of the answer is ignored where it equals the present value, and a fault
//! where it differs.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::api::Input;
use super::body::{JSON, parse, read_json};
use super::description::Description;
use super::editable::{Editable, Shape, components, draft_schema, shape};
use super::problem::{Fault, Problem};
use super::schema;

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
    /// The members that the request touched.
    pub touched: Vec<String>,
}

impl<T> Drafted<T> {
    /// Whether the request touched a member.
    pub fn touches(&self, name: &str) -> bool {
        self.touched.iter().any(|touched| touched == name)
    }

    /// Refuses what the transaction has found and the request is to blame for; what was a warning stays one.
    ///
    /// # Errors
    /// `422` with those faults.
    pub fn refuse(&self, found: Vec<Fault>) -> Result<(), Problem> {
        let is_known = |fault: &Fault| {
            self.warnings.iter().any(|warning| Some(warning.pointer.as_str()) == fault.pointer.as_deref())
        };
        let fresh: Vec<Fault> = found.into_iter().filter(|fault| !is_known(fault)).collect();
        if fresh.is_empty() { Ok(()) } else { Err(Problem::invalid_body(fresh)) }
    }
}

/// The body of a `POST`, or a member of one: a new resource.
#[derive(Clone)]
pub struct Draft<T>(Map<String, Value>, PhantomData<T>);

impl<T> Draft<T> {
    /// Its members, as they were sent.
    pub(super) fn into_members(self) -> Map<String, Value> {
        self.0
    }

    /// The draft without a member that says what is known already.
    #[must_use]
    pub fn without(mut self, name: &str, known: &Value) -> Self {
        if self.0.get(name) == Some(known) {
            self.0.shift_remove(name);
        }
        self
    }

    /// A text of the body as it was sent, for what is to be prepared before the body is checked.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }
}

impl<T> fmt::Debug for Draft<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The members may be a person's words.
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl<'de, T> Deserialize<'de> for Draft<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(|members| Self(members, PhantomData))
    }
}

impl<T: Editable> PartialSchema for Draft<T> {
    fn schema() -> RefOr<Schema> {
        serde_json::from_value(draft_schema::<T>()).unwrap_or_else(|_| T::schema())
    }
}

impl<T: Editable> ToSchema for Draft<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Draft", T::NAME).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(components::<T>());
    }
}

/// Members of answers that are about one answer, or follow from other resources too, so that they may have
/// changed although nobody saved this one: they may be sent back and say nothing.
pub(super) const TRANSIENT: [&str; 9] =
    ["expanded", "warnings", "article_count", "body_html", "bio_html", "published", "form", "erase_at", "ends_soon"];

impl<T: Editable> Draft<T> {
    /// The new resource; `check` adds what a schema can't say, and may resolve what the members name.
    ///
    /// # Errors
    /// All faults of the body at once.
    pub fn create(self, check: impl FnOnce(&mut T) -> Result<Vec<Fault>, Problem>) -> Result<Drafted<T>, Problem> {
        let shape = shape::<T>()?;
        let mut faults = Vec::new();
        let mut document = shape.defaults.clone();
        for required in T::REQUIRED {
            document.shift_remove(*required);
        }
        let touched = self.0.keys().cloned().collect();
        for (name, value) in self.0 {
            if !shape.read_only.contains(&name) {
                document.insert(name, value);
            } else if !TRANSIENT.contains(&name.as_str()) {
                faults.push(read_only_fault(&name));
            }
        }
        faults.extend(shape.checker.faults(&Value::Object(document.clone())));
        let content = checked(&shape, document, &mut faults, check)?;
        if faults.is_empty() {
            Ok(Drafted { content, warnings: Vec::new(), touched })
        } else {
            Err(Problem::invalid_body(faults))
        }
    }
}

/// Makes the document the content and lets `check` look at it. Members with a fault already are looked
/// at as if they had not been sent, so that the faults of all the others are found in the same request.
pub(super) fn checked<T: Editable>(
    shape: &Shape,
    mut document: Map<String, Value>,
    faults: &mut Vec<Fault>,
    check: impl FnOnce(&mut T) -> Result<Vec<Fault>, Problem>,
) -> Result<T, Problem> {
    let spoiled: Vec<String> = faults.iter().filter_map(|fault| first_segment(fault).map(str::to_owned)).collect();
    document.retain(|name, _| shape.defaults.contains_key(name));
    for (name, value) in &shape.defaults {
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

/// What is wrong with the members of a resource, as far as its schema tells.
///
/// # Errors
/// Where the schema itself is broken.
pub(crate) fn faults<T: Editable>(members: &Map<String, Value>) -> Result<Vec<Fault>, Problem> {
    Ok(shape::<T>()?.checker.faults(&Value::Object(members.clone())))
}

/// A resource as the members of its JSON object.
///
/// # Errors
/// Where it is none.
pub(crate) fn object(resource: &impl Serialize) -> Result<Map<String, Value>, Problem> {
    match serde_json::to_value(resource).map_err(Problem::internal)? {
        Value::Object(members) => Ok(members),
        _ => Err(Problem::internal("a resource is not an object")),
    }
}

/// The member of the resource that a fault is in.
pub(super) fn first_segment(fault: &Fault) -> Option<&str> {
    fault.pointer.as_deref()?.split('/').nth(1)
}

pub(super) fn read_only_fault(name: &str) -> Fault {
    let message = "This member is read-only; leave it out, or send it as it was read.";
    Fault::body(schema::join("", name), "read_only", message)
}

/// The members of a body that is a JSON object.
pub(super) async fn read_object(
    req: HttpRequest,
    payload: Payload,
    accepted: &[&str],
) -> Result<Map<String, Value>, Problem> {
    match read_json(&req, payload, accepted).await? {
        Value::Object(members) => Ok(members),
        _ => Err(Problem::invalid_body(vec![Fault::body("", "type", "The body must be a JSON object.")])),
    }
}

/// What an extractor of a body waits for.
pub(super) type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

impl<T: Editable> FromRequest for Draft<T> {
    type Error = Problem;
    type Future = Extraction<Self>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { Ok(Self(read_object(req, payload, &[JSON]).await?, PhantomData)) })
    }
}

impl<T: Editable> Input for Draft<T> {
    fn describe(description: &mut Description) {
        description.components(components::<T>());
        let reference = description.component(&format!("{}Draft", T::NAME), draft_schema::<T>());
        description.body(&[JSON], &reference);
    }
}
