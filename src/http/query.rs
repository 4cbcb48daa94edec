//! The query string as a checked type.
//!
//! The parameters' own schemas check it: every fault of a request is reported at once, unknown names
//! are faults, and a value is never repeated. A list parameter may repeat or hold a comma list.

use std::borrow::Cow;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::api::Input;
use super::description::Description;
use super::page::Paging;
use super::problem::{Fault, Problem};
use super::schema::{self, Checker, has_type};

/// The longest query that is looked at, in bytes.
const MAX_QUERY: usize = 16 * 1024;

/// A query that must be empty.
#[derive(Debug, Clone, serde::Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct NoParameters {}

/// The parameters of an operation that is not a list.
pub struct Query<T>(pub T);

/// The parameters of a list: its own, and those of paging, which every list has.
///
/// With `DEFERRED`, faults are not refused at once but kept in [`ListQuery::faults`], so that a list which
/// looks its filters up in the database reports those faults together with these.
pub struct ListQuery<T, const DEFERRED: bool = false> {
    /// The list's own filters, sort and includes.
    pub filters: T,
    /// Which part of the list.
    pub paging: Paging,
    /// What a cursor of this list belongs to: a hash of filters and sort.
    pub fingerprint: String,
    /// The pairs of the query without those of paging, for `Link` headers.
    pub link_base: LinkBase,
    /// What is wrong with the query, where that is `DEFERRED`; parameters at fault read as not given.
    pub faults: Vec<Fault>,
}

/// The path and the filters that each link of a list repeats.
#[derive(Debug, Clone)]
pub struct LinkBase {
    /// The path of the list.
    pub path: String,
    /// The query pairs except paging's, percent-encoded.
    pub pairs: Vec<String>,
}

impl<T> FromRequest for Query<T>
where
    T: IntoParams + DeserializeOwned + 'static,
{
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let query = read::<T>(req.query_string(), parameters::<T>).and_then(|(values, faults)| {
            if faults.is_empty() { parse(values) } else { Err(Problem::invalid_query(faults)) }
        });
        ready(query.map(Query))
    }
}

impl<T, const DEFERRED: bool> FromRequest for ListQuery<T, DEFERRED>
where
    T: IntoParams + DeserializeOwned + Serialize + 'static,
{
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(list_query(req))
    }
}

fn list_query<T, const DEFERRED: bool>(req: &HttpRequest) -> Result<ListQuery<T, DEFERRED>, Problem>
where
    T: IntoParams + DeserializeOwned + Serialize + 'static,
{
    let (values, mut faults) = read::<(T, Paging)>(req.query_string(), list_parameters::<T>)?;
    let filters: T = parse(values.clone())?;
    let paging: Paging = parse(values)?;
    faults.extend(paging.fault());
    let canonical = canonical(&filters)?;
    let digest = Sha256::digest([req.path().as_bytes(), b"?", canonical.as_slice()].concat());
    let fingerprint = super::conditional::base64url(&digest[..9]);
    if !faults.iter().any(|fault| fault.parameter.as_deref() == Some("cursor")) {
        faults.extend(paging.cursor_fault(&fingerprint));
    }
    if !DEFERRED && !faults.is_empty() {
        return Err(Problem::invalid_query(faults));
    }
    let is_paging = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        decode(name).is_some_and(|name| Paging::is_parameter(&name))
    };
    let pairs = req
        .query_string()
        .split('&')
        .filter(|pair| !pair.is_empty() && !is_paging(pair))
        // These would end the reference inside a `Link` header.
        .map(|pair| pair.replace('<', "%3C").replace('>', "%3E").replace('"', "%22"))
        .collect();
    let link_base = LinkBase { path: req.path().to_owned(), pairs };
    Ok(ListQuery { filters, paging, fingerprint, link_base, faults })
}

/// What a cursor belongs to: filters and sort, not what the items show of themselves.
fn canonical<T: Serialize>(filters: &T) -> Result<Vec<u8>, Problem> {
    let mut value = serde_json::to_value(filters).map_err(Problem::internal)?;
    if let Value::Object(members) = &mut value {
        members.shift_remove("include");
    }
    serde_json::to_vec(&value).map_err(Problem::internal)
}

impl<T: IntoParams + DeserializeOwned + 'static> Input for Query<T> {
    fn describe(description: &mut Description) {
        describe(description, parameters::<T>());
    }
}

impl<T: IntoParams + DeserializeOwned + Serialize + 'static, const DEFERRED: bool> Input for ListQuery<T, DEFERRED> {
    fn describe(description: &mut Description) {
        describe(description, list_parameters::<T>());
    }
}

fn describe(description: &mut Description, parameters: Vec<Parameter>) {
    description.checks_query();
    for parameter in parameters {
        description.parameter(serde_json::to_value(parameter).unwrap_or_default());
    }
}

fn parameters<T: IntoParams>() -> Vec<Parameter> {
    T::into_params(|| Some(ParameterIn::Query))
}

fn list_parameters<T: IntoParams>() -> Vec<Parameter> {
    let mut list = parameters::<T>();
    list.extend(parameters::<Paging>());
    list
}

/// The parameters of an operation by name, and their compiled schema.
struct Parameters {
    schemas: Map<String, Value>,
    has_required: bool,
    checker: Checker,
}

impl Parameters {
    fn new(parameters: Vec<Parameter>) -> Result<Self, String> {
        let required: Vec<String> =
            parameters.iter().filter(|one| one.required == Required::True).map(|one| one.name.clone()).collect();
        let schemas = properties(parameters);
        let checker = Checker::new(closed(&schemas, &required), Vec::new())?;
        Ok(Self { schemas, has_required: !required.is_empty(), checker })
    }
}

/// Reads and checks the query as a JSON object without what is at fault; `K` is the type whose parameters
/// are kept.
fn read<K: 'static>(
    query: &str,
    parameters: fn() -> Vec<Parameter>,
) -> Result<(Map<String, Value>, Vec<Fault>), Problem> {
    if query.len() > MAX_QUERY {
        let detail = format!("The query may have at most {MAX_QUERY} bytes.");
        return Err(Problem::new(&super::problem::URI_TOO_LONG, detail));
    }
    let known = schema::kept::<K, Parameters>(|| Parameters::new(parameters()))?;
    if query.is_empty() && !known.has_required {
        return Ok((Map::new(), Vec::new()));
    }
    let mut faults = Vec::new();
    let mut values = collect(query, &known, &mut faults);
    let found = known.checker.faults(&Value::Object(values.clone()));
    faults.extend(found.into_iter().map(of_parameter));
    values.retain(|name, _| !faults.iter().any(|fault| fault.parameter.as_deref() == Some(name)));
    Ok((values, faults))
}

fn properties(parameters: Vec<Parameter>) -> Map<String, Value> {
    parameters
        .into_iter()
        .filter_map(|parameter| {
            let schema = serde_json::to_value(parameter.schema?).ok()?;
            Some((parameter.name, schema))
        })
        .collect()
}

fn closed(properties: &Map<String, Value>, required: &[String]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn of_parameter(fault: Fault) -> Fault {
    let name = fault.pointer.unwrap_or_default();
    let name = name.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    let message = if fault.code == "required" { "This parameter is required.".to_owned() } else { fault.message };
    Fault::query(name, fault.code, message)
}

/// Takes the pairs apart, by the type that each parameter's schema wants.
fn collect(query: &str, known: &Parameters, faults: &mut Vec<Fault>) -> Map<String, Value> {
    let mut values = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decode(name), decode(value)) else {
            faults.push(Fault::query("", "encoding", "The query is not percent-encoded UTF-8."));
            continue;
        };
        let Some(schema) = known.schemas.get(&name) else {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
            faults.push(Fault::query(shown, "unknown_parameter", unknown(&name, known.checker.names())));
            continue;
        };
        if is_list(schema) {
            if value.split(',').all(str::is_empty) {
                faults.push(Fault::query(name, "blank", "Give at least one value, or leave the parameter out."));
                continue;
            }
            let items = value.split(',').filter(|item| !item.is_empty()).map(|item| json!(item));
            match values.entry(name).or_insert_with(|| json!([])) {
                Value::Array(list) => list.extend(items),
                other => *other = items.collect(),
            }
        } else if values.contains_key(&name) {
            faults.push(Fault::query(name, "repeated", "This parameter may be given once."));
        } else {
            let value = scalar(schema, value);
            values.insert(name, value);
        }
    }
    values
}

fn unknown(name: &str, names: &[String]) -> String {
    match schema::suggest(name, names) {
        Some(near) => format!("There is no parameter of this name; did you mean `{near}`?"),
        None => "There is no parameter of this name.".to_owned(),
    }
}

/// Undoes `application/x-www-form-urlencoded`; `None` where the bytes are not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
}

fn is_list(schema: &Value) -> bool {
    has_type(schema, "array")
}

/// What does not read as the wanted type stays text, which the schema then refuses.
fn scalar(schema: &Value, text: String) -> Value {
    if has_type(schema, "integer") {
        if let Ok(number) = text.parse::<i64>() {
            return json!(number);
        }
    } else if has_type(schema, "boolean") {
        match text.as_str() {
            "true" => return json!(true),
            "false" => return json!(false),
            _ => {}
        }
    }
    json!(text)
}

fn parse<T: DeserializeOwned>(values: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(values))
        // The schema has let it pass: what serde still refuses is a value of the wrong form.
        .map_err(|_| Problem::invalid_query(vec![Fault::query("", "invalid", "A parameter has a wrong form.")]))
}
