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

use super::deprecation::{Deprecation, Deprecations};
use super::description::{Description, object};
use super::problem::{METHOD_NOT_ALLOWED, Problem};
use super::schema::Schemas;

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

/// The resources whose paths have the same beginning before their first parameter.
pub struct Scoped<'o> {
    /// That beginning.
    pub prefix: &'o str,
    /// Each by what follows, who may read its answers, and what stands before it.
    pub resources: Vec<(Resource, Surface, Before)>,
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
    /// The name of its handler, which is its `operationId`.
    id: &'static str,
    method: Method,
    path: String,
    call: Arc<Call>,
    /// Called for the document alone: describing everything costs more than the rest of the start.
    describe: fn() -> (Map<String, Value>, Schemas),
}

/// The operations of a feature, and at last of the whole program.
#[derive(Default)]
pub struct Operations {
    declared: Vec<Operation>,
    optional: Vec<(&'static str, &'static [&'static str])>,
    deprecated: Vec<(&'static str, Deprecation)>,
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
        self.declared.push(Operation {
            id: type_name::<F>().rsplit("::").next().unwrap_or_default(),
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

    /// Says of an operation that it is on its way out.
    #[must_use]
    pub fn deprecated(mut self, operation_id: &'static str, deprecation: Deprecation) -> Self {
        self.deprecated.push((operation_id, deprecation));
        self
    }

    /// The operations that are on their way out, for their answers to say so.
    pub fn deprecations(&self) -> Deprecations {
        let mut all = Deprecations::default();
        for operation in &self.declared {
            if let Some(deprecation) = self.deprecation(operation.id) {
                all.insert(operation.method.clone(), operation.path.clone(), deprecation);
            }
        }
        all
    }

    fn deprecation(&self, operation_id: &str) -> Option<Deprecation> {
        self.deprecated.iter().find(|(id, _)| *id == operation_id).map(|(_, deprecation)| *deprecation)
    }

    /// Adds the operations of a feature.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.declared.extend(other.declared);
        self.optional.extend(other.optional);
        self.deprecated.extend(other.deprecated);
        self
    }

    /// One resource for each path. Those whose paths have the same beginning are together: it is compared as it stands, and
    /// only what follows it by regular expressions, which would else be tried on the whole of a path, one after another.
    pub fn resources(&self) -> Vec<Scoped<'_>> {
        let mut paths: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
        for operation in &self.declared {
            paths.entry(&operation.path).or_default().push(operation);
        }
        let mut scopes: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (path, operations) in paths {
            let is_repeatable = operations.iter().any(|operation| is_repeatable(&operation.method, path));
            let before = match is_repeatable {
                true => Before::Idempotency,
                false if is_delivery(path) => Before::AnswerCache,
                false => Before::Nothing,
            };
            let (prefix, rest) = path.split_at(path.find("/{").unwrap_or(path.len()));
            debug_assert!(!prefix.is_empty() && !prefix.contains('{'), "{path} has no beginning to compare");
            scopes.entry(prefix).or_default().push((resource(rest, &operations), surface(path), before));
        }
        let mut scopes: Vec<_> = scopes.into_iter().map(|(prefix, resources)| Scoped { prefix, resources }).collect();
        // A scope takes all that lies under its prefix, also what a parameter in its place would stand for: so those that
        // have longer prefixes come before it. Else they stay in order, which has the articles early.
        scopes.sort_by_key(|scope| format!("{}\u{7f}", scope.prefix));
        scopes
    }

    /// The parts of the `OpenAPI` document that come from operations: paths and component schemas.
    ///
    /// # Panics
    /// Where two different schemas have one name, a declaration is of another function than its handler, a
    /// handler lets unknown query parameters pass, or what is deprecated is no operation.
    pub fn document(&self) -> (Map<String, Value>, Map<String, Value>) {
        for (id, _) in &self.deprecated {
            assert!(self.declared.iter().any(|operation| operation.id == *id), "{id} is no operation");
        }
        let (mut paths, mut schemas) = (Map::new(), Map::new());
        for operation in &self.declared {
            let item = object(paths.entry(&operation.path).or_insert_with(|| json!({})));
            let (mut described, own_schemas) = (operation.describe)();
            if let Some(deprecation) = self.deprecation(operation.id) {
                deprecation.describe(&mut described);
            }
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
    let path = P::path();
    let mut description = Description::of(operation, &path);
    Args::describe(&mut description);
    F::Output::describe(&mut description);
    assert!(description.knows_its_query(), "{id} lets unknown query parameters pass");
    if is_repeatable(&method(&P::methods()), &path) {
        description.can_be_repeated();
    }
    description.finish(surface(&path))
}

/// The header by which a request is known that is sent again.
pub static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whether an operation takes an `Idempotency-Key`: every `POST` of management does.
fn is_repeatable(method: &Method, path: &str) -> bool {
    method == Method::POST && path.starts_with("/api/v1/manage/")
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
