//! `copydesk fixtures`: the recorded examples as files, for tests of front ends that run without a server.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::tell;
use crate::http::openapi::examples::{self, Example};
use crate::ops::EXAMPLES;

/// Writes each example to `<directory>/<operation>/<name>.json`, and a list of them to `index.json`.
///
/// # Errors
/// A sentence that says which file can't be written.
pub(super) fn write(directory: &Path) -> Result<(), String> {
    let examples = examples::read(EXAMPLES).map_err(|error| format!("the examples can't be read: {error}"))?;
    let mut index = Vec::new();
    for example in &examples {
        let file = format!("{}/{}.json", example.operation_id, example.name);
        write_json(&directory.join(&file), example)?;
        index.push(entry(example, &file));
    }
    write_json(&directory.join("index.json"), &index)?;
    tell(&format!("{} examples are in {}; index.json lists them.", examples.len(), directory.display()));
    Ok(())
}

fn entry(example: &Example, file: &str) -> Value {
    json!({
        "operation_id": example.operation_id,
        "name": example.name,
        "summary": example.summary,
        "method": example.request.method,
        "path": example.request.path,
        "status": example.response.status,
        "file": file,
    })
}

fn write_json(file: &Path, value: &impl Serialize) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{} can't be written: {error}", file.display());
    let text = serde_json::to_string_pretty(value).map_err(|error| failed(&error))?;
    let directory = file.parent().unwrap_or(file);
    fs::create_dir_all(directory).and_then(|()| fs::write(file, text + "\n")).map_err(|error| failed(&error))
}
