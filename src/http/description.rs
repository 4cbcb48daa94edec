//! What the document says of one operation, as its extractors and answers write it down.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::api::Surface;
use super::openapi::examples::shared_example;
use super::openapi::{problem_name, vocabulary};
use super::problem::{Kind, PROBLEM_JSON};
use super::schema::Schemas;

/// What the document says of one operation, as the extractors and answers write it down.
pub struct Description {
    operation: Map<String, Value>,
    path: String,
    schemas: Schemas,
    takes_query: bool,
}

impl Description {
    /// The beginning of an operation's description: what its annotation says, and how every operation may fail.
    pub(super) fn of(operation: Map<String, Value>, path: &str) -> Self {
        let mut description = Self { operation, path: path.to_owned(), schemas: Vec::new(), takes_query: false };
        description.problem("500", "The fault is the server's; its log has the cause.");
        description.problem("503", "The server has too much to do; `Retry-After` says when to try again.");
        description.header("503", "Retry-After", "In how many seconds to try again.");
        description
    }

    /// Whether an extractor checks the whole query.
    pub(super) fn knows_its_query(&self) -> bool {
        self.takes_query
    }

    /// Adds a parameter object (`OpenAPI` 3.1, 4.8.12).
    pub fn parameter(&mut self, mut parameter: Value) {
        show_by_example(&mut parameter);
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
        self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(str::to_owned).collect()
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
        content.insert(media_type.to_owned(), json!({ "schema": vocabulary::whole_text() }));
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
        headers.insert(name.to_owned(), described_header(name, description, required));
    }

    /// Adds a status that is answered with a problem.
    pub fn problem(&mut self, status: &str, description: &str) {
        let response = self.response(status, description, None);
        response.entry("content").or_insert_with(|| problem_content(status));
    }

    /// Adds a status that is answered with one kind of problem, which is none of those that the status mostly stands for.
    pub fn problem_of(&mut self, kind: &Kind, description: &str) {
        let mut content = content_of("Problem");
        content[PROBLEM_JSON]["examples"] = shared_example(kind.code);
        let response = self.response(kind.status.as_str(), description, None);
        response.insert("content".to_owned(), content);
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

    /// Says that the operation takes an `Idempotency-Key`.
    pub(super) fn can_be_repeated(&mut self) {
        self.parameter(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": REPEATING,
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
            "example": "0b5f9f0e-5c0c-4a51-8d0c-3f6f0f4f4c39",
        }));
        self.problem("408", "The body took too long to arrive.");
        self.problem("413", "The body is too large.");
        for (status, text) in [
            ("400", "`Idempotency-Key` has faults."),
            ("409", "A request with this `Idempotency-Key` still runs, or was done and its answer is not kept."),
            ("422", "The `Idempotency-Key` was used for another request."),
        ] {
            self.also(status, text);
        }
        self.optional_header("409", "Location", "Where the result of a request is whose answer is not kept.");
        self.optional_header("409", "Retry-After", "In how many seconds to try again.");
    }

    /// The description as it stands in the document, with what every answer has.
    pub(super) fn finish(mut self, surface: Surface) -> (Map<String, Value>, Schemas) {
        // Said outright, so that nobody takes a missing requirement for a forgotten one.
        self.operation.entry("security").or_insert_with(|| json!([]));
        for status in self.statuses() {
            if status.starts_with(['4', '5']) {
                self.problem(&status, "");
                self.header(&status, "Cache-Control", "Always `no-store`.");
            }
            self.header(
                &status,
                "X-Request-Id",
                "The id of the request: the client's where that is sane, else a new one. The server's log has it.",
            );
            self.say_who_may_read(&status, surface);
            self.complete_headers(&status);
        }
        if let Some(Value::Object(responses)) = self.operation.get_mut("responses") {
            responses.sort_keys();
        }
        (self.operation, self.schemas)
    }

    /// Says of headers that an annotation names alone what they hold.
    fn complete_headers(&mut self, status: &str) {
        let headers = self.response(status, "", None).get_mut("headers").and_then(Value::as_object_mut);
        for (name, header) in headers.into_iter().flatten().filter(|(_, header)| header.get("example").is_none()) {
            let words = header["description"].as_str().unwrap_or_default().to_owned();
            *header = described_header(name, &words, true);
        }
    }

    /// Pages of which origins may read an answer.
    fn say_who_may_read(&mut self, status: &str, surface: Surface) {
        let name = "Access-Control-Allow-Origin";
        let (words, required, schema, example) = match surface {
            // What a cache has already, a `304` does not repeat.
            Surface::Public => {
                ("Pages of any origin may read it.", status != "304", json!({ "type": "string", "const": "*" }), "*")
            }
            Surface::Private => (
                "The caller's origin, where `COPYDESK_CORS_ORIGINS` names it.",
                false,
                json!({ "type": "string", "format": "uri", "maxLength": 2000 }),
                "https://www.example.org",
            ),
        };
        let header = json!({ "description": words, "required": required, "schema": schema, "example": example });
        let response = self.response(status, "", None);
        object(response.entry("headers").or_insert_with(|| json!({}))).insert(name.to_owned(), header);
    }
}

const REPEATING: &str = "Makes it safe to send the request again: for 24 hours, the same key, address and body from the same caller are answered as they were first, and nothing is done twice. Another body with the key is a `422`; while the first still runs the repeat is a `409`, and so it is where the answer is not kept, since it holds a secret, is too large, is one of too many, or the caller has another role by now. What failed and changed nothing is not remembered; of one caller, the newest 100,000 requests are.";

/// A response header, as far as its name says what it holds.
/// A response header as the document describes it.
pub(super) fn described_header(name: &str, description: &str, required: bool) -> Value {
    // A test finds the header of which nothing is known.
    let (schema, example) = vocabulary::header(name, description).unwrap_or_default();
    json!({ "description": description, "required": required, "schema": schema, "example": example })
}

/// Sees to it that a parameter has an example, and a list says how it is written.
fn show_by_example(parameter: &mut Value) {
    let schema = &mut parameter["schema"];
    let own = schema.as_object_mut().and_then(|schema| {
        let one = schema.shift_remove("example");
        let many = schema.shift_remove("examples");
        one.or_else(|| many?.as_array()?.first().cloned())
    });
    let is = |schema: &Value, kind: &str| schema["type"] == kind;
    let is_list = is(schema, "array");
    let known = own
        .or_else(|| schema["enum"].as_array().and_then(|all| all.first()).cloned())
        .or_else(|| is(schema, "boolean").then(|| json!(true)));
    if parameter.get("example").is_none()
        && let Some(known) = known
    {
        parameter["example"] = known;
    }
    if is_list && parameter["name"] == "sort" {
        // Twice the same would say nothing, and is a fault.
        parameter["schema"]["uniqueItems"] = json!(true);
    }
    if is_list {
        parameter["style"] = json!("form");
        parameter["explode"] = json!(true);
    }
    // Swagger UI fills in what stands under `example`, and what may be left out can't all be given at once. It shows none
    // that stands in a schema, which is the price.
    if parameter["required"] != true
        && let Some(example) = object(parameter).shift_remove("example")
    {
        parameter["schema"]["examples"] = json!([example]);
    }
}

fn problem_content(status: &str) -> Value {
    content_of(problem_name(status))
}

/// Problems of the schema of this name.
fn content_of(name: &str) -> Value {
    json!({ PROBLEM_JSON: { "schema": { "$ref": format!("#/components/schemas/{name}") } } })
}

pub(super) fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("it was made an object just now"),
    }
}
