//! Routes and document from one declaration: the annotation is the route, the signature the contract.
//!
//! `#[utoipa::path]` states method, path, tag and prose once. What an operation takes and answers
//! is read off the handler's own types: each extractor is an [`Input`] and each answer an [`Output`]
//! that describe themselves, so a parameter, a body, a permission or a status can't be served without
//! being documented, nor the reverse. Operations are grouped by path, so that `HEAD`, `OPTIONS`, `405`
//! and `Allow` are right.

use std::any::{Any, type_name};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderName};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, guard, web};
use futures_util::FutureExt;
use serde_json::{Map, Value, json};
use utoipa::openapi::HttpMethod;
use utoipa::{PartialSchema, ToSchema};

use super::problem::{METHOD_NOT_ALLOWED, PROBLEM_JSON, Problem};
use super::schema::Schemas;

/// What the document says of one operation, as the extractors and answers write it down.
pub struct Description {
    operation: Map<String, Value>,
    schemas: Schemas,
    takes_query: bool,
}

impl Description {
    /// Adds a parameter object (`OpenAPI` 3.1, 4.8.12).
    pub fn parameter(&mut self, parameter: Value) {
        if let Value::Array(list) = self.operation.entry("parameters").or_insert_with(|| json!([])) {
            list.push(parameter);
        }
    }

    /// Whether an extractor has described a parameter of this name.
    pub fn takes_parameter(&self, name: &str) -> bool {
        let parameters = self.operation.get("parameters").and_then(Value::as_array);
        parameters.is_some_and(|all| all.iter().any(|one| one["name"] == name))
    }

    /// Says that the operation checks its whole query, so that unknown parameters are faults.
    pub fn checks_query(&mut self) {
        self.takes_query = true;
        self.problem("400", "The query has faults; `errors` names all of them.");
        self.problem("414", "The query is too long.");
    }

    /// The parameters that the operation's path names, in order.
    pub fn path_parameters(&self) -> Vec<String> {
        let path = self.operation.get("x-path").and_then(Value::as_str).unwrap_or_default();
        path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(str::to_owned).collect()
    }

    /// Sets the request body, in one or more media types of one schema.
    pub fn body(&mut self, media_types: &[&str], schema: &Value) {
        let content: Map<String, Value> =
            media_types.iter().map(|media_type| ((*media_type).to_owned(), json!({ "schema": schema }))).collect();
        self.operation.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
        self.problem("400", "The body is not JSON, or the query has faults.");
        self.problem("413", "The body is too large.");
        self.problem("415", "The body has another media type.");
        self.problem("422", "The body has faults; `errors` names all of them.");
    }

    /// Says that the request body may be left out.
    pub fn body_is_optional(&mut self) {
        if let Some(Value::Object(body)) = self.operation.get_mut("requestBody") {
            body.insert("required".to_owned(), json!(false));
        }
    }

    /// Says that the operation needs a signed-in caller with this permission.
    pub fn requires(&mut self, permission: &str, roles: &[&str], for_everybody: bool) {
        self.operation.insert("security".to_owned(), json!([{ "bearer": [] }]));
        self.operation.insert("x-permission".to_owned(), json!(permission));
        self.operation.insert("x-roles".to_owned(), json!(roles));
        self.problem("401", "No valid access token was sent.");
        if !for_everybody {
            self.problem("403", "The caller's role does not have the permission.");
        }
    }

    /// Adds an answer; the annotation's own words about the status win.
    pub fn response(&mut self, status: &str, description: &str, schema: Option<&Value>) -> &mut Map<String, Value> {
        let mut fresh = json!({ "description": description });
        if let Some(schema) = schema {
            fresh["content"] = json!({ "application/json": { "schema": schema } });
        }
        let responses = object(self.operation.entry("responses").or_insert_with(|| json!({})));
        let response = object(responses.entry(status).or_insert_with(|| json!({})));
        if let Value::Object(fresh) = fresh {
            for (name, value) in fresh {
                response.entry(name).or_insert(value);
            }
        }
        response
    }

    /// Adds plain text to what a status may be answered with.
    pub fn text(&mut self, status: &str, description: &str) {
        self.text_of(status, "text/plain", description);
    }

    /// Adds text of a media type to what a status may be answered with.
    pub fn text_of(&mut self, status: &str, media_type: &str, description: &str) {
        let response = self.response(status, description, None);
        let content = object(response.entry("content").or_insert_with(|| json!({})));
        content.insert(media_type.to_owned(), json!({ "schema": { "type": "string" } }));
    }

    /// Says how the members of a body of this media type are written (`OpenAPI` 3.1, 4.8.15).
    pub fn encoding(&mut self, media_type: &str, encoding: Value) {
        if let Some(Value::Object(media)) =
            self.operation.get_mut("requestBody").and_then(|body| body["content"].get_mut(media_type))
        {
            media.insert("encoding".to_owned(), encoding);
        }
    }

    /// Adds a member of the operation's own, such as an extension.
    pub fn member(&mut self, name: &str, value: impl Into<Value>) {
        self.operation.insert(name.to_owned(), value.into());
    }

    /// The statuses that are described so far.
    pub fn statuses(&self) -> Vec<String> {
        let responses = self.operation.get("responses").and_then(Value::as_object);
        responses.map(|all| all.keys().cloned().collect()).unwrap_or_default()
    }

    /// Adds a response header that a status always has.
    pub fn header(&mut self, status: &str, name: &str, description: &str) {
        self.add_header(status, name, description, true);
    }

    /// Adds a response header that a status may have.
    pub fn optional_header(&mut self, status: &str, name: &str, description: &str) {
        self.add_header(status, name, description, false);
    }

    fn add_header(&mut self, status: &str, name: &str, description: &str, required: bool) {
        let response = self.response(status, "", None);
        let headers = object(response.entry("headers").or_insert_with(|| json!({})));
        let header = json!({ "description": description, "required": required, "schema": { "type": "string" } });
        headers.insert(name.to_owned(), header);
    }

    /// Adds a status that is answered with a problem.
    pub fn problem(&mut self, status: &str, description: &str) {
        let response = self.response(status, description, None);
        response.entry("content").or_insert_with(|| problem_content(status));
    }

    /// Adds a reason to a status that is answered with a problem.
    pub fn also(&mut self, status: &str, reason: &str) {
        let response = self.response(status, "", None);
        let before = response.get("description").and_then(Value::as_str).unwrap_or_default();
        let description = format!("{before} {reason}").trim().to_owned();
        response.insert("description".to_owned(), description.into());
        response.entry("content").or_insert_with(|| problem_content(status));
    }

    /// A reference to the schema of `T`, which goes into the components.
    pub fn schema<T: ToSchema>(&mut self) -> Value {
        let mut collected = Vec::new();
        T::schemas(&mut collected);
        self.schemas.append(&mut collected);
        self.component(&T::name(), serde_json::to_value(<T as PartialSchema>::schema()).unwrap_or_default())
    }

    /// Adds a component and gives a reference to it.
    pub fn component(&mut self, name: &str, schema: Value) -> Value {
        if let Ok(schema) = serde_json::from_value(schema) {
            self.schemas.push((name.to_owned(), schema));
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// Adds schemas that a component refers to.
    pub fn components(&mut self, schemas: Schemas) {
        self.schemas.extend(schemas);
    }
}

fn problem_content(status: &str) -> Value {
    let name = super::openapi::problem_name(status);
    json!({ PROBLEM_JSON: { "schema": { "$ref": format!("#/components/schemas/{name}") } } })
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it was made an object just now"),
    }
}

/// An extractor that says what it takes.
pub trait Input: FromRequest {
    /// Writes down what the extractor takes from a request and how it refuses.
    fn describe(description: &mut Description);
}

/// An answer that says what it is.
pub trait Output: Responder {
    /// Writes down the statuses, headers and schema of the answer.
    fn describe(description: &mut Description);
}

impl<T: Output> Output for Result<T, Problem> {
    fn describe(description: &mut Description) {
        T::describe(description);
    }
}

impl<T: 'static> Input for web::Data<T> {
    fn describe(_: &mut Description) {}
}

/// The extractors of a handler, run one after the other in the order of its signature: who may not call
/// learns nothing of what else is wrong, and no body is read for them. (Actix runs them side by side, and
/// the first to fail speaks.)
pub trait Inputs: Sized + 'static {
    /// Writes down what all of them take.
    fn describe(description: &mut Description);
    /// Runs them.
    fn extract(request: HttpRequest, payload: Payload) -> impl Future<Output = Result<Self, actix_web::Error>>;
}

macro_rules! tuple_inputs {
    ($($name:ident)*) => {
        impl<$($name: Input + 'static),*> Inputs for ($($name,)*) {
            fn describe(description: &mut Description) {
                $($name::describe(description);)*
            }

            async fn extract(request: HttpRequest, mut payload: Payload) -> Result<Self, actix_web::Error> {
                Ok(($($name::from_request(&request, &mut payload).await.map_err(Into::into)?,)*))
            }
        }
    };
}
tuple_inputs!(A);
tuple_inputs!(A B);
tuple_inputs!(A B C);
tuple_inputs!(A B C D);
tuple_inputs!(A B C D E);
tuple_inputs!(A B C D E F);
tuple_inputs!(A B C D E F G);

type Answer = Pin<Box<dyn Future<Output = HttpResponse>>>;

/// A handler with its extractors and its answer, whatever their types: all that surrounds it is compiled once, and
/// not for each operation.
type Call = dyn Fn(HttpRequest, Payload) -> Answer + Send + Sync;

fn erased<F, Args>(handler: F) -> Arc<Call>
where
    F: Handler<Args> + Clone + Send + Sync + 'static,
    F::Output: Responder,
    Args: Inputs,
{
    Arc::new(move |request, payload| {
        let handler = handler.clone();
        Box::pin(async move {
            match Args::extract(request.clone(), payload).await {
                Ok(args) => handler.call(args).await.respond_to(&request).map_into_boxed_body(),
                Err(error) => HttpResponse::from_error(error),
            }
        })
    })
}

/// The route of an operation. A panic becomes an opaque `500` inside the resource, so that the answer still passes
/// through CORS and the request id like any other.
fn route(call: &Arc<Call>) -> Route {
    let call = Arc::clone(call);
    web::route().to(move |request: HttpRequest, payload: web::Payload| {
        let answer = AssertUnwindSafe(call(request, payload.into_inner())).catch_unwind();
        async move { answer.await.unwrap_or_else(|panic| HttpResponse::from_error(panicked(&*panic))) }
    })
}

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    // Only a text that stands in the source: one that was put together may repeat what a person wrote.
    let words = panic.downcast_ref::<&'static str>().copied().unwrap_or("standard error says where");
    Problem::internal(format!("a handler panicked: {words}"))
}

/// Who may read an operation's answers from another origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Delivery and documents: any origin.
    Public,
    /// Sign-in and management: the origins of the setting.
    Private,
}

/// What a request passes before the handlers of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Nothing,
    /// What knows a request again by its `Idempotency-Key`.
    Idempotency,
    /// The answers that are kept.
    AnswerCache,
}

struct Operation {
    method: Method,
    path: String,
    call: Arc<Call>,
    /// Called for the document alone: describing everything costs more than the rest of the start.
    describe: fn() -> (Map<String, Value>, Schemas),
}

/// The operations of a feature, and at last of the whole program.
#[derive(Default)]
pub struct Operations {
    operations: Vec<Operation>,
    optional: Vec<(&'static str, &'static [&'static str])>,
}

impl Operations {
    /// No operations yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an operation: the declaration that `#[utoipa::path]` made of the handler, and the handler.
    #[must_use]
    pub fn operation<P, F, Args>(mut self, _declaration: P, handler: F) -> Self
    where
        P: utoipa::Path + for<'t> utoipa::__dev::Tags<'t>,
        F: Handler<Args> + Clone + Send + Sync + 'static,
        F::Output: Output + 'static,
        F::Future: 'static,
        Args: Inputs + FromRequest,
    {
        self.operations.push(Operation {
            method: method(&P::methods()),
            path: P::path(),
            call: erased(handler),
            describe: describe::<P, F, Args>,
        });
        self
    }

    /// Says which members of an answer may be absent: those that an `include` adds.
    #[must_use]
    pub fn optional_members(mut self, schema: &'static str, members: &'static [&'static str]) -> Self {
        self.optional.push((schema, members));
        self
    }

    /// Adds the operations of a feature.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.operations.extend(other.operations);
        self.optional.extend(other.optional);
        self
    }

    /// One resource for each path, who may read its answers, and what stands before it.
    pub fn resources(&self) -> Vec<(Resource, Surface, Before)> {
        let mut paths: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
        for operation in &self.operations {
            paths.entry(&operation.path).or_default().push(operation);
        }
        let resource = |(path, operations): (&str, Vec<&Operation>)| {
            let is_repeatable = operations.iter().any(|operation| is_repeatable(&operation.method, path));
            let before = match is_repeatable {
                true => Before::Idempotency,
                false if is_delivery(path) => Before::AnswerCache,
                false => Before::Nothing,
            };
            (resource(path, &operations), surface(path), before)
        };
        paths.into_iter().map(resource).collect()
    }

    /// The parts of the `OpenAPI` document that come from operations: paths and component schemas.
    ///
    /// # Panics
    /// Where two different schemas have one name, a declaration is of another function than its handler, or a
    /// handler lets unknown query parameters pass.
    pub fn document(&self) -> (Map<String, Value>, Map<String, Value>) {
        let (mut paths, mut schemas) = (Map::new(), Map::new());
        for operation in &self.operations {
            let item = object(paths.entry(&operation.path).or_insert_with(|| json!({})));
            let (described, own_schemas) = (operation.describe)();
            item.insert(operation.method.as_str().to_lowercase(), Value::Object(described));
            for (name, schema) in own_schemas {
                let schema = serde_json::to_value(schema).unwrap_or_default();
                let kept = schemas.entry(name.as_str()).or_insert_with(|| schema.clone());
                assert!(*kept == schema, "two schemas have the name {name}");
            }
        }
        (paths, schemas)
    }

    /// The members that may be absent from answers, by schema.
    pub fn optional(&self) -> &[(&'static str, &'static [&'static str])] {
        &self.optional
    }
}

/// An operation's part of the document, and the schemas that it refers to.
fn describe<P, F, Args>() -> (Map<String, Value>, Schemas)
where
    P: utoipa::Path + for<'t> utoipa::__dev::Tags<'t>,
    F: Handler<Args>,
    F::Output: Output,
    Args: Inputs,
{
    let mut operation = match serde_json::to_value(P::operation()) {
        Ok(Value::Object(operation)) => operation,
        _ => Map::new(),
    };
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
    let handler = type_name::<F>();
    assert!(handler.ends_with(&format!("::{id}")), "{id} is declared for another handler than {handler}");
    operation.insert("tags".to_owned(), json!(P::tags()));
    operation.insert("x-path".to_owned(), json!(P::path()));
    // An unannotated status is utoipa's empty object; problems are filled in below.
    let mut description = Description { operation, schemas: Vec::new(), takes_query: false };
    begin(&mut description);
    Args::describe(&mut description);
    F::Output::describe(&mut description);
    assert!(description.takes_query, "{id} lets unknown query parameters pass");
    if is_repeatable(&method(&P::methods()), &P::path()) {
        describe_repeatable(&mut description);
    }
    finish(&mut description);
    (description.operation, description.schemas)
}

/// The header by which a request is known that is sent again.
pub static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whether an operation takes an `Idempotency-Key`: every `POST` of management does.
fn is_repeatable(method: &Method, path: &str) -> bool {
    method == Method::POST && path.starts_with("/api/v1/manage/")
}

fn describe_repeatable(description: &mut Description) {
    description.parameter(json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "Makes it safe to send the request again: for 24 hours, the same key, address and body from the same caller are answered as they were first, and nothing is done twice. Another body with the key is a `422`; while the first still runs the repeat is a `409`, and so it is where the answer is not kept, since it holds a secret, is too large, is one of too many, or the caller has another role by now. What failed and changed nothing is not remembered; of one caller, the newest 100,000 requests are.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        "example": "0b5f9f0e-5c0c-4a51-8d0c-3f6f0f4f4c39",
    }));
    description.problem("408", "The body took too long to arrive.");
    description.problem("413", "The body is too large.");
    for (status, text) in [
        ("400", "`Idempotency-Key` has faults."),
        ("409", "A request with this `Idempotency-Key` still runs, or was done and its answer is not kept."),
        ("422", "The `Idempotency-Key` was used for another request."),
    ] {
        description.also(status, text);
    }
    description.optional_header("409", "Location", "Where the result of a request is whose answer is not kept.");
    description.optional_header("409", "Retry-After", "In how many seconds to try again.");
}

/// Every operation may fail in these ways.
fn begin(description: &mut Description) {
    description.problem("500", "The fault is the server's; its log has the cause.");
    description.problem("503", "The server has too much to do; `Retry-After` says when to try again.");
    description.header("503", "Retry-After", "In how many seconds to try again.");
}

fn finish(description: &mut Description) {
    description.operation.remove("x-path");
    // Said outright, so that nobody takes a missing requirement for a forgotten one.
    description.operation.entry("security").or_insert_with(|| json!([]));
    if let Some(Value::Object(responses)) = description.operation.get_mut("responses") {
        for (status, response) in responses.iter_mut() {
            if status.starts_with(['4', '5']) {
                object(response).entry("content").or_insert_with(|| problem_content(status));
            }
        }
        responses.sort_keys();
    }
}

fn method(methods: &[HttpMethod]) -> Method {
    match methods.first() {
        Some(HttpMethod::Post) => Method::POST,
        Some(HttpMethod::Put) => Method::PUT,
        Some(HttpMethod::Patch) => Method::PATCH,
        Some(HttpMethod::Delete) => Method::DELETE,
        _ => Method::GET,
    }
}

/// Whether an address answers what is public, for everybody alike.
fn is_delivery(path: &str) -> bool {
    let others = ["/api/v1/previews/", "/api/v1/contact-submissions", "/api/v1/contact-forms/{form}/token"];
    path.starts_with("/api/v1/")
        && surface(path) == Surface::Public
        && !others.into_iter().any(|other| path.starts_with(other))
}

/// Who may read the answers of an address from another origin.
pub fn surface(path: &str) -> Surface {
    let private = ["/api/v1/manage", "/api/v1/auth"];
    let lies_under =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if private.into_iter().any(lies_under) { Surface::Private } else { Surface::Public }
}

fn resource(path: &str, operations: &[&Operation]) -> Resource {
    let mut allowed = vec!["OPTIONS"];
    let mut resource = web::resource(path);
    for operation in operations {
        let route = route(&operation.call);
        allowed.push(operation.method.as_str());
        resource = resource.route(if operation.method == Method::GET {
            allowed.push("HEAD");
            route.guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            route.method(operation.method.clone())
        });
    }
    allowed.sort_unstable();
    let allow = allowed.join(", ");
    resource.default_service(web::to(move |method: Method| {
        let allow = allow.clone();
        async move { answer_other_method(&method, &allow) }
    }))
}

/// Answers a method that a resource does not have: `OPTIONS` with what it has, others are refused.
pub fn answer_other_method(method: &Method, allow: &str) -> Result<HttpResponse, Problem> {
    if method == Method::OPTIONS {
        return Ok(HttpResponse::NoContent().insert_header((ALLOW, allow)).finish());
    }
    Err(Problem::new(&METHOD_NOT_ALLOWED, format!("Use one of: {allow}.")).with_header(ALLOW, allow))
}

/// A page that `GET` and `HEAD` reach; other methods are refused with `Allow`.
pub fn page<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let reading = web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    web::resource(path)
        .route(reading.to(handler))
        .default_service(web::to(|method: Method| async move { answer_other_method(&method, "GET, HEAD, OPTIONS") }))
}
