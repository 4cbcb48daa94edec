//! The document that the program makes, and its operations.

use std::sync::LazyLock;

use serde_json::Value;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&copydesk::server::openapi_json().unwrap()).unwrap());

/// The document.
pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}

/// An operation of the document.
pub(crate) struct Operation {
    /// Its method and path, for messages.
    pub name: String,
    /// Its `operationId`.
    pub id: &'static str,
    /// Its path template.
    pub path: &'static str,
    /// Its method, in lower case.
    pub method: &'static str,
    /// All of it.
    pub value: &'static Value,
}

/// All operations.
pub(crate) fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, value) in item.as_object().unwrap() {
            let id = value["operationId"].as_str().unwrap_or_default();
            all.push(Operation { name: format!("{} {path}", method.to_uppercase()), id, path, method, value });
        }
    }
    assert!(!all.is_empty());
    all
}
