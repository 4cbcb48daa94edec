//! What is HTTP's and knows no noun of ours: routes and document, problems, bodies, queries, lists,
//! conditional requests, and the edge that every request and answer passes.

pub mod answer;
pub mod answer_cache;
pub mod api;
pub mod body;
pub mod coding;
pub mod conditional;
pub mod connections;
pub mod delivered;
pub mod deprecation;
pub mod description;
pub mod draft;
pub mod edge;
pub mod editable;
pub mod form;
mod guarded;
pub mod merge_patch;
pub mod openapi;
pub mod page;
pub mod path;
pub mod problem;
pub mod query;
pub mod rate_limit;
pub mod representation;
mod request_id;
pub mod schema;
pub mod stream;

pub use self::answer::{Created, Made, Managed, NoContent, Removed, Stored, Strict, Versioned, WriteOptions};
pub use self::api::{IDEMPOTENCY_KEY, Input, Operations, Output};
pub use self::body::{Body, Json, MaybeJson, PatchJson};
pub use self::conditional::IfMatch;
pub use self::delivered::{CachePolicy, Delivered, DeliveredText, Seen};
pub use self::description::Description;
pub use self::draft::{Draft, Drafted, Warning};
pub use self::editable::Editable;
pub use self::guarded::guarded;
pub use self::merge_patch::{Changes, MergePatch};
pub use self::page::{Found, ListOf, SortKind, SortValue, Sorted, Start};
pub use self::path::{Path, PathParameter};
pub use self::problem::{Fault, Problem};
pub use self::query::{ListQuery, NoParameters, Query};
pub use self::rate_limit::{Limited, RateLimit, RatePolicy};
