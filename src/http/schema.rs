//! The schema is the validator: input is checked against the very JSON Schema that the `OpenAPI`
//! document shows, so a limit is written once.
//!
//! A validator is compiled once for each type. Its errors become [`Fault`]s whose messages never
//! repeat the value that was sent, and unknown members are named with the one that was probably meant.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use jsonschema::error::{ValidationError, ValidationErrorKind};
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};

use super::problem::{Fault, MAX_FAULTS, Problem};

/// A name longer than this is cut where it is shown: it is the client's text.
const MAX_NAME: usize = 100;

/// Schemas by name, as `#/components/schemas` holds them.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

type Kept = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;
static KEPT: LazyLock<RwLock<Kept>> = LazyLock::new(RwLock::default);

/// What `make` gives for the type `K`, made at its first use: schemas are compiled once, not once a request.
///
/// # Errors
/// Where the schema itself is broken: a fault of ours.
pub fn kept<K: 'static, V: Send + Sync + 'static>(make: impl FnOnce() -> Result<V, String>) -> Result<Arc<V>, Problem> {
    let key = TypeId::of::<fn() -> (K, V)>();
    let known = KEPT.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    if let Some(known) = known.and_then(|known| known.downcast::<V>().ok()) {
        return Ok(known);
    }
    let fresh = Arc::new(make().map_err(Problem::internal)?);
    KEPT.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::<V>::clone(&fresh));
    Ok(fresh)
}

/// A compiled object schema, and the names of its members, which suggestions come from.
pub struct Checker {
    validator: Validator,
    document: Value,
    names: Vec<String>,
}

impl Checker {
    /// Compiles the schema `root`, which may refer to `components`.
    ///
    /// # Errors
    /// Where the schema itself is broken.
    pub fn new(root: Value, components: Schemas) -> Result<Self, String> {
        let names = member_names(&root);
        let document = with_components(root, components)?;
        Ok(Self { validator: compile(&document)?, document, names })
    }

    /// The names of the schema's members.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// All faults of `value`, up to one more than a problem lists.
    pub fn faults(&self, value: &Value) -> Vec<Fault> {
        let mut faults = Vec::new();
        for error in self.validator.iter_errors(value) {
            self.explain(&error, &mut faults);
            if faults.len() > MAX_FAULTS {
                break;
            }
        }
        faults
    }

    fn explain(&self, error: &ValidationError<'_>, faults: &mut Vec<Fault>) {
        // Also within a choice, which has the faults of all its branches.
        if faults.len() > MAX_FAULTS {
            return;
        }
        let pointer = error.instance_path().as_str().to_owned();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = self.names_at(error.evaluation_path().as_str());
                for name in unexpected.iter().take(MAX_FAULTS + 1) {
                    add(faults, unknown_member(&pointer, name, &known));
                }
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                add(faults, Fault::body(join(&pointer, name), "required", "This member is required."));
            }
            // Utoipa says "may be null" as a choice between null and the type: the faults meant are the type's.
            ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
                let fits =
                    |branch: &&Vec<ValidationError<'_>>| !branch.iter().any(|inner| refuses_type(inner, &pointer));
                let meant =
                    |branch: &&Vec<ValidationError<'_>>| !branch.iter().any(|inner| refuses_tag(inner, &pointer));
                let mut fitting = context.iter().filter(fits).peekable();
                if fitting.peek().is_none() {
                    return add(faults, Fault::body(pointer, "type", wanted_types(context)));
                }
                if let Some(tag) = missing_tag(context, &pointer) {
                    return add(faults, Fault::body(join(&pointer, &tag), "required", "This member is required."));
                }
                match fitting.clone().find(meant) {
                    Some(branch) => branch.iter().for_each(|inner| self.explain(inner, faults)),
                    None => add(faults, wrong_tag(fitting, &pointer)),
                }
            }
            kind => {
                let (code, message) = describe(kind);
                add(faults, Fault::body(pointer, code, message));
            }
        }
    }

    /// The names of the object schema in which an evaluation has come to its end.
    fn names_at(&self, evaluation_path: &str) -> Vec<String> {
        let mut schema = &self.document;
        for step in evaluation_path.split('/').skip(1) {
            if step == "additionalProperties" || step == "unevaluatedProperties" {
                break;
            }
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match schema {
                Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
                other => other.get(&step),
            };
            let Some(next) = next else { return Vec::new() };
            schema = match next.as_str().and_then(|reference| reference.strip_prefix('#')) {
                Some(pointer) if step == "$ref" => self.document.pointer(pointer).unwrap_or(&Value::Null),
                _ => next,
            };
        }
        member_names(schema)
    }
}

/// Adds a fault unless it says what another says already: one mistake may break several rules, an empty name is
/// too short and blank, and what has the wrong type is none of the allowed values either.
fn add(faults: &mut Vec<Fault>, fault: Fault) {
    let same_place = |other: &Fault| other.pointer == fault.pointer;
    let says_more = |code: &str| code == fault.code || (code == "type" && fault.code == "not_allowed");
    if faults.iter().any(|other| same_place(other) && says_more(other.code)) {
        return;
    }
    if fault.code == "type" {
        faults.retain(|other| !(same_place(other) && other.code == "not_allowed"));
    }
    faults.push(fault);
}

/// Puts the components where references look for them.
fn with_components(root: Value, components: Schemas) -> Result<Value, String> {
    let schemas: Map<String, Value> =
        components.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default())).collect();
    let Value::Object(mut document) = root else {
        return Err("a schema is not an object".to_owned());
    };
    document.insert("components".to_owned(), json!({ "schemas": schemas }));
    Ok(Value::Object(document))
}

fn compile(document: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .build(document)
        .map_err(|error| error.to_string())
}

/// Whether the error is that the whole value at this place has another type than the branch wants.
fn refuses_type(error: &ValidationError<'_>, pointer: &str) -> bool {
    matches!(error.kind(), ValidationErrorKind::Type { .. }) && error.instance_path().as_str() == pointer
}

/// The member that would say of which kind a value is, where it is not there: every branch asks for it.
fn missing_tag(branches: &[Vec<ValidationError<'_>>], pointer: &str) -> Option<String> {
    let missing = |branch: &[ValidationError<'_>]| -> Vec<String> {
        let names = branch.iter().filter_map(|error| match error.kind() {
            ValidationErrorKind::Required { property } if error.instance_path().as_str() == pointer => {
                property.as_str().map(str::to_owned)
            }
            _ => None,
        });
        names.collect()
    };
    let (first, others) = branches.split_first()?;
    if others.is_empty() {
        return None;
    }
    missing(first).into_iter().find(|name| others.iter().all(|branch| missing(branch).contains(name)))
}

/// Whether the error is that a member says of the value at this place that it is of another kind than the branch's.
fn refuses_tag(error: &ValidationError<'_>, pointer: &str) -> bool {
    let at = error.instance_path().as_str();
    tag_of(error).is_some() && at.strip_prefix(pointer).is_some_and(|rest| rest.rfind('/') == Some(0))
}

/// The one value that a branch takes for a member.
fn tag_of<'e>(error: &'e ValidationError<'_>) -> Option<&'e Value> {
    match error.kind() {
        ValidationErrorKind::Enum { options } => options.as_array().filter(|all| all.len() == 1)?.first(),
        ValidationErrorKind::Constant { expected_value } => Some(expected_value),
        _ => None,
    }
}

/// The fault of a value that is of none of the branches' kinds.
fn wrong_tag<'e>(branches: impl Iterator<Item = &'e Vec<ValidationError<'e>>>, pointer: &str) -> Fault {
    let refusals: Vec<_> = branches.flatten().filter(|error| refuses_tag(error, pointer)).collect();
    let place = refusals.first().map_or(pointer, |error| error.instance_path().as_str());
    let tags: Vec<String> = refusals.iter().filter_map(|error| tag_of(error)).map(Value::to_string).collect();
    Fault::body(place, "not_allowed", format!("The value must be one of {}.", tags.join(", ")))
}

/// What would be right, where no branch takes the value's type.
fn wanted_types(branches: &[Vec<ValidationError<'_>>]) -> String {
    let kinds = branches.iter().flatten().filter_map(|error| match error.kind() {
        ValidationErrorKind::Type { kind } => Some(type_names(kind)),
        _ => None,
    });
    format!("The value must be of type {}.", kinds.collect::<Vec<_>>().join(" or "))
}

/// Whether a schema allows values of a type.
pub(super) fn has_type(schema: &Value, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == wanted,
        Some(Value::Array(many)) => many.iter().any(|one| one == wanted),
        _ => false,
    }
}

fn describe(kind: &ValidationErrorKind) -> (&'static str, String) {
    use ValidationErrorKind as K;
    match kind {
        K::Type { kind } => ("type", format!("The value must be of type {}.", type_names(kind))),
        K::MinLength { limit: 1 } => ("blank", "The text must not be empty.".to_owned()),
        K::MinLength { limit } => ("too_short", format!("The text must have at least {limit} characters.")),
        K::MaxLength { limit } => ("too_long", format!("The text must have at most {limit} characters.")),
        K::Minimum { limit } => ("too_small", format!("The number must be at least {limit}.")),
        K::Maximum { limit } => ("too_large", format!("The number must be at most {limit}.")),
        K::MinItems { limit } => ("too_few", format!("The list must have at least {limit} entries.")),
        K::MaxItems { limit } => ("too_many", format!("The list must have at most {limit} entries.")),
        K::MaxProperties { limit } => ("too_many", format!("The object must have at most {limit} members.")),
        K::UniqueItems => ("duplicate", "The entries of the list must differ.".to_owned()),
        K::Pattern { pattern } if pattern == NOT_BLANK => {
            ("blank", "The text must not be blank nor hold control characters.".to_owned())
        }
        K::Pattern { pattern } if pattern == ONE_LINE => {
            ("pattern", "The text must be one line without control characters.".to_owned())
        }
        K::Pattern { pattern } if pattern == LINES => {
            ("control_character", "The text must not hold control characters but tabs and line ends.".to_owned())
        }
        K::Pattern { pattern } if pattern == LINES_NOT_BLANK => {
            ("blank", "The text must not be blank nor hold control characters but tabs and line ends.".to_owned())
        }
        K::PropertyNames { .. } => ("name", "The object has a member whose name is too long, or is none.".to_owned()),
        K::Pattern { pattern } if pattern == SLUG => (
            "pattern",
            "The text must be of lower-case letters a to z and digits, with single hyphens between.".to_owned(),
        ),
        K::Pattern { pattern } => ("pattern", format!("The text must match the pattern {pattern}")),
        K::Format { format } => ("format", format!("The text must be a valid {format}.")),
        K::Enum { options } => ("not_allowed", format!("The value must be one of {options}.")),
        _ => ("invalid", "The value is not allowed here.".to_owned()),
    }
}

/// One line with something to read on it: no control characters, not only spaces.
pub const NOT_BLANK: &str = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$";
/// Any text of several lines: no control characters but tabs and line ends.
pub const LINES: &str = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$";
/// Any text of several lines with something to read on them.
pub const LINES_NOT_BLANK: &str =
    r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$";
/// One line, maybe empty: no control characters.
pub const ONE_LINE: &str = r"^[^\x00-\x1F\x7F]*$";
/// What a slug looks like.
pub const SLUG: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";

fn type_names(kind: &jsonschema::error::TypeKind) -> String {
    use jsonschema::error::TypeKind;
    match kind {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(set) => set.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or "),
    }
}

fn unknown_member(pointer: &str, name: &str, known: &[String]) -> Fault {
    let suggestion = suggest(name, known);
    let message = match suggestion {
        Some(near) => format!("There is no member of this name; did you mean `{near}`?"),
        None => "There is no member of this name.".to_owned(),
    };
    Fault::body(join(pointer, name), "unknown_field", message)
}

/// The known name that was probably meant.
pub fn suggest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.as_str())
}

/// Appends a name to a JSON Pointer (RFC 6901, 4), cut where it is very long.
pub fn join(pointer: &str, name: &str) -> String {
    let name: String = name.chars().take(MAX_NAME).collect();
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The names of an object schema's members, for suggestions and for the read-only test.
pub fn member_names(schema: &Value) -> Vec<String> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}
