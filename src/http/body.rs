//! Request bodies: JSON that is checked against the schema which the document shows.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::{PartialSchema, ToSchema};

use super::api::Input;
use super::description::Description;
use super::form;
use super::problem::{
    BAD_REQUEST, Fault, INVALID_JSON, MAX_FAULTS, PAYLOAD_TOO_LARGE, Problem, REQUEST_TIMEOUT, UNSUPPORTED_MEDIA_TYPE,
};
use super::schema::{self, Checker};
use crate::state::App;

/// The largest body that is read from who has shown who they are, in bytes: an article's body may have 1 MiB,
/// escaped as JSON.
pub const MAX_BODY: usize = 4 * 1024 * 1024;
/// The largest body that is read from anyone, in bytes.
pub const MAX_ANONYMOUS_BODY: usize = 16 * 1024;
/// The largest body of a visitor's message, in bytes: 10,000 characters in any script, escaped, and twenty fields.
pub const MAX_MESSAGE_BODY: usize = 256 * 1024;

/// The media type of JSON.
pub const JSON: &str = "application/json";

/// The media type of what a plain HTML form sends.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The media type of a merge patch (RFC 7396).
pub const MERGE_PATCH: &str = "application/merge-patch+json";

/// A JSON body of type `T`, which passed `T`'s own schema.
pub struct Json<T>(pub T);

/// The same where all members may be left out: no body at all is as good as an empty object.
pub struct MaybeJson<T>(pub T);

/// What a body must be beyond its schema, as far as the body alone tells: so that all faults are told at once.
pub trait Body: ToSchema + DeserializeOwned + 'static {
    /// The faults that the schema does not know; members that it has faulted already are told anyway.
    fn faults(_value: &Value) -> Vec<Fault> {
        Vec::new()
    }
}

/// The same for a `PATCH`, whose body may call itself a merge patch too. What null means is `T`'s to say.
pub struct PatchJson<T>(pub T);

impl<T: Body> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { read_checked(&req, payload, &[JSON]).await.map(Self) })
    }
}

impl<T: Body> FromRequest for MaybeJson<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            if req.headers().contains_key(CONTENT_TYPE) {
                return read_checked(&req, payload, &[JSON]).await.map(Self);
            }
            if read_in_time(&req, payload).await?.is_empty() {
                return parse(Value::Object(Map::new())).map(Self);
            }
            Err(wrong_media_type(&[JSON]))
        })
    }
}

impl<T: Body> Input for MaybeJson<T> {
    fn describe(description: &mut Description) {
        Json::<T>::describe(description);
        description.body_is_optional();
    }
}

impl<T: Body> FromRequest for PatchJson<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move { read_checked(&req, payload, &[MERGE_PATCH, JSON]).await.map(Self) })
    }
}

impl<T: Body> Input for Json<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.body(&[JSON], &schema);
    }
}

impl<T: Body> Input for PatchJson<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.body(&[MERGE_PATCH, JSON], &schema);
    }
}

async fn read_checked<T: Body>(req: &HttpRequest, payload: Payload, accepted: &[&str]) -> Result<T, Problem> {
    let value = read_json(req, payload, accepted).await?;
    check::<T>(&value)?;
    parse(value)
}

fn check<T: Body>(value: &Value) -> Result<(), Problem> {
    let checker = schema::kept::<T, Checker>(|| {
        let mut components = Vec::new();
        T::schemas(&mut components);
        Checker::new(serde_json::to_value(<T as PartialSchema>::schema()).unwrap_or_default(), components)
    })?;
    let mut faults = checker.faults(value);
    let more = T::faults(value).into_iter();
    faults.extend(more.filter(|fault| !faults.iter().any(|known| known.pointer == fault.pointer)).collect::<Vec<_>>());
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
    parse_json(&read_in_time(req, payload).await?)
}

/// Reads the body as JSON, or as what a plain HTML form sends: then every member is a text, and `a[b]=c` is a member of
/// a member. The second says which it was.
///
/// # Errors
/// What is wrong with the body as a whole, and members that are there twice.
pub async fn read_json_or_form(req: &HttpRequest, payload: Payload) -> Result<(Value, bool), Problem> {
    check_media_type(req, &[JSON, FORM])?;
    let bytes = read_in_time(req, payload).await?;
    let sent = req.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_form = sent.trim_start().to_ascii_lowercase().starts_with(FORM);
    let value = if is_form { form::parse(&bytes)? } else { parse_json(&bytes)? };
    Ok((value, is_form))
}

/// Reads the whole body, as far as its sender may make it, in time.
///
/// # Errors
/// `413` where it is too large, `408` where it takes too long, `400` where it breaks off.
pub async fn read_in_time(req: &HttpRequest, payload: Payload) -> Result<web::BytesMut, Problem> {
    let patience = req.app_data::<web::Data<App>>().map_or(Duration::MAX, |app| app.config.connections.body);
    tokio::time::timeout(patience, read_bytes(req, payload)).await.map_err(|_| {
        Problem::new(&REQUEST_TIMEOUT, format!("The body did not arrive within {} seconds.", patience.as_secs()))
    })?
}

fn check_media_type(req: &HttpRequest, accepted: &[&str]) -> Result<(), Problem> {
    let coding = req.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::new(&UNSUPPORTED_MEDIA_TYPE, "Send the body without `Content-Encoding`."));
    }
    let sent = req.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = sent.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    // RFC 8259 knows no charset but UTF-8; another one announced would be misread.
    let charset = parts.find_map(|part| part.to_ascii_lowercase().strip_prefix("charset=").map(str::to_owned));
    let charset_fits = charset.is_none_or(|name| name.trim_matches('"') == "utf-8");
    if charset_fits && accepted.iter().any(|one| one.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    Err(wrong_media_type(accepted))
}

fn wrong_media_type(accepted: &[&str]) -> Problem {
    let detail = format!("Send the body as `Content-Type: {}`, in UTF-8.", accepted.join("` or `"));
    Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail)
}

async fn read_bytes(req: &HttpRequest, mut payload: Payload) -> Result<web::BytesMut, Problem> {
    let most = match req.path() {
        // Management's callers have shown who they are before their body is looked at.
        path if path.starts_with("/api/v1/manage/") => MAX_BODY,
        "/api/v1/contact-submissions" => MAX_MESSAGE_BODY,
        _ => MAX_ANONYMOUS_BODY,
    };
    let too_large = || Problem::new(&PAYLOAD_TOO_LARGE, format!("The body may have at most {most} bytes."));
    let announced = req.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let mut bytes = web::BytesMut::with_capacity(announced.unwrap_or_default());
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::new(&BAD_REQUEST, "The body did not arrive whole; send it again."))?;
        if bytes.len() + chunk.len() > most {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse_json(bytes: &[u8]) -> Result<Value, Problem> {
    let invalid = |detail: String| Problem::new(&INVALID_JSON, detail);
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("The body is not UTF-8.".to_owned()))?;
    let mut value: Value = serde_json::from_str(text).map_err(|error| {
        // The line and column lead to the fault; serde's own words may repeat what was sent.
        let (line, column) = (error.line(), error.column());
        invalid(format!("The body is not valid JSON: look at line {line}, column {column}."))
    })?;
    let mut faults = Vec::new();
    normalise(&mut value, "", &mut faults);
    if faults.is_empty() { Ok(value) } else { Err(Problem::invalid_body(faults)) }
}

/// Finds the character NUL, which no text may hold, and makes `1.0` the whole number that JSON Schema takes it for.
fn normalise(value: &mut Value, pointer: &str, faults: &mut Vec<Fault>) {
    let mut refuse = |pointer: String| {
        if faults.len() <= MAX_FAULTS {
            faults.push(Fault::body(pointer, "control_character", "No text may hold the character NUL."));
        }
    };
    match value {
        Value::String(text) if text.contains('\0') => refuse(pointer.to_owned()),
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|_| number.is_f64()).and_then(whole) {
                *value = whole.into();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                normalise(item, &format!("{pointer}/{index}"), faults);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let at = schema::join(pointer, name);
                if faults.len() > MAX_FAULTS {
                    return;
                }
                if name.contains('\0') {
                    faults.push(Fault::body(at, "control_character", "No name may hold the character NUL."));
                } else {
                    normalise(member, &at, faults);
                }
            }
        }
        _ => {}
    }
}

/// The number without its fraction, where that is nothing and it fits.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}
