//! Tests of [`render`] as a whole; parts have theirs in their own files.

mod hostile;
mod links;
mod pathological;
mod reports;
mod structure;
