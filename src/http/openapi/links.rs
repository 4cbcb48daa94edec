//! What can be called next with what an answer says (`OpenAPI` 3.1, 4.8.20): so that a program can walk from creating an
//! article to reading it as everybody does. Links give parameters and no bodies: a runtime expression can't stand inside of
//! a body, and not every reader of documents takes one that is no expression.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::operations_mut;

/// That an answer leads to an operation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The operation that is answered.
    pub from: String,
    /// The status of its answer.
    pub status: String,
    /// The operation that can be called next.
    pub to: String,
    /// Its parameters, as runtime expressions over the answer and what was asked.
    #[serde(default)]
    pub parameters: Map<String, Value>,
}

/// The links that stand in a file of them.
///
/// # Errors
/// Where the file is broken.
pub fn read(file: &str) -> Result<Vec<Link>, serde_json::Error> {
    serde_json::from_str(file)
}

/// Adds links to the answers that they start from.
pub(super) fn add(paths: &mut Map<String, Value>, links: &[Link]) {
    for operation in operations_mut(paths) {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        for link in links.iter().filter(|link| link.from == id) {
            let response = operation["responses"].get_mut(&link.status).and_then(Value::as_object_mut);
            let Some(response) = response else { continue };
            let all = response.entry("links").or_insert_with(|| json!({}));
            all[&link.to] = object(link);
        }
    }
}

fn object(link: &Link) -> Value {
    let mut object = json!({ "operationId": link.to });
    if !link.parameters.is_empty() {
        object["parameters"] = Value::Object(link.parameters.clone());
    }
    object
}
