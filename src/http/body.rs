//! Request bodies: JSON that is checked against the schema which the document shows.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::{PartialSchema, ToSchema};

use super::api::{Description, Input};
use super::problem::{BAD_REQUEST, Fault, INVALID_JSON, PAYLOAD_TOO_LARGE, Problem, UNSUPPORTED_MEDIA_TYPE};
use super::schema::{self, Checker};

/// The largest body that is read, in bytes: an article's body may have 1 MiB, escaped as JSON.
pub const MAX_BODY: usize = 4 * 1024 * 1024;

/// The media type of JSON.
pub const JSON: &str = "application/json";

/// The media type of a merge patch (RFC 7396).
pub const MERGE_PATCH: &str = "application/merge-patch+json";

/// A JSON body of type `T`, which passed `T`'s own schema.
pub struct Json<T>(pub T);

/// The same for a `PATCH`, whose body may call itself a merge patch too. What null means is `T`'s to say.
pub struct PatchJson<T>(pub T);

impl<T> FromRequest for Json<T>
where
    T: ToSchema + DeserializeOwned + 'static,
{
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { read_checked(&req, payload, &[JSON]).await.map(Self) })
    }
}

impl<T> FromRequest for PatchJson<T>
where
    T: ToSchema + DeserializeOwned + 'static,
{
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { read_checked(&req, payload, &[MERGE_PATCH, JSON]).await.map(Self) })
    }
}

impl<T: ToSchema + DeserializeOwned + 'static> Input for Json<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.body(&[JSON], &schema);
    }
}

impl<T: ToSchema + DeserializeOwned + 'static> Input for PatchJson<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.body(&[MERGE_PATCH, JSON], &schema);
    }
}

async fn read_checked<T>(req: &HttpRequest, payload: Payload, accepted: &[&str]) -> Result<T, Problem>
where
    T: ToSchema + DeserializeOwned + 'static,
{
    let value = read_json(req, payload, accepted).await?;
    check::<T>(&value)?;
    parse(value)
}

fn check<T: ToSchema + 'static>(value: &Value) -> Result<(), Problem> {
    let checker = schema::kept::<T, Checker>(|| {
        let mut components = Vec::new();
        T::schemas(&mut components);
        Checker::new(serde_json::to_value(<T as PartialSchema>::schema()).unwrap_or_default(), components)
    })?;
    let faults = checker.faults(value);
    if faults.is_empty() { Ok(()) } else { Err(Problem::invalid_body(faults)) }
}

/// Makes the value a `T`; what serde refuses after a valid schema is still the client's fault.
pub fn parse<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    serde_json::from_value(value).map_err(|error| {
        tracing::debug!(%error, "a body passed its schema and not its type");
        Problem::invalid_body(vec![Fault::body("", "invalid", "A member of the body has a wrong form.")])
    })
}

/// Reads the body as JSON of one of these media types.
pub async fn read_json(req: &HttpRequest, payload: Payload, accepted: &[&str]) -> Result<Value, Problem> {
    check_media_type(req, accepted)?;
    let bytes = read_bytes(req, payload).await?;
    parse_json(&bytes)
}

fn check_media_type(req: &HttpRequest, accepted: &[&str]) -> Result<(), Problem> {
    let sent = req.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = sent.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    // RFC 8259 knows no charset but UTF-8; another one announced would be misread.
    let charset = parts.find_map(|part| part.to_ascii_lowercase().strip_prefix("charset=").map(str::to_owned));
    let charset_fits = charset.is_none_or(|name| name.trim_matches('"') == "utf-8");
    if charset_fits && accepted.iter().any(|one| one.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    let detail = format!("Send the body as `Content-Type: {}`, in UTF-8.", accepted.join("` or `"));
    Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail))
}

async fn read_bytes(req: &HttpRequest, mut payload: Payload) -> Result<web::BytesMut, Problem> {
    let too_large = || Problem::new(&PAYLOAD_TOO_LARGE, format!("The body may have at most {MAX_BODY} bytes."));
    let announced = req.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    let mut bytes = web::BytesMut::with_capacity(announced.unwrap_or_default());
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::new(&BAD_REQUEST, "The body did not arrive whole; send it again."))?;
        if bytes.len() + chunk.len() > MAX_BODY {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse_json(bytes: &[u8]) -> Result<Value, Problem> {
    let invalid = |detail: String| Problem::new(&INVALID_JSON, detail);
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("The body is not UTF-8.".to_owned()))?;
    let value: Value = serde_json::from_str(text).map_err(|error| {
        // The line and column lead to the fault; serde's own words may repeat what was sent.
        let (line, column) = (error.line(), error.column());
        invalid(format!("The body is not valid JSON: look at line {line}, column {column}."))
    })?;
    if contains_nul(&value) {
        return Err(invalid("The body holds the character NUL, which no text may.".to_owned()));
    }
    Ok(value)
}

fn contains_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(contains_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || contains_nul(value)),
        _ => false,
    }
}
