//! Many operations in one transaction, each with its result: what is sent and what is answered. `runner` does them.

mod runner;

use std::collections::HashMap;

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use self::runner::{Done, Runner};
use super::checks;
use super::history::Saving;
use super::model::{ArticleId, Content};
use super::schedule::ScheduleChoice;
use crate::auth::{Caller, EditArticles};
use crate::db::Timestamp;
use crate::http::conditional::version_tag;
use crate::http::problem::MAX_FAULTS;
use crate::http::{Body, Changes, Draft, Fault, Json, Managed, Problem, Query, Strict, Warning, WriteOptions};
use crate::state::App;

type ArticleDraft = Draft<Content>;
type ArticleChanges = Changes<Content>;

/// Many operations.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Bulk {
    /// Whether all is done or nothing, as where it is left out. With `false`, what fails leaves the others alone.
    #[serde(default = "yes")]
    atomic: bool,
    /// The operations, one after the other.
    #[schema(min_items = 1, max_items = 500)]
    operations: Vec<BulkOperation>,
}

fn yes() -> bool {
    true
}

impl Body for Bulk {}

/// One of many operations; each does what its own address does.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
struct BulkOperation(Operation);

impl PartialSchema for BulkOperation {
    /// Each operation is closed: unknown members are faults.
    fn schema() -> RefOr<Schema> {
        let mut schema = serde_json::to_value(Operation::schema()).unwrap_or_default();
        schema["description"] = json!("One of many operations; each does what its own address does.");
        for kind in schema["oneOf"].as_array_mut().into_iter().flatten() {
            kind["additionalProperties"] = json!(false);
        }
        serde_json::from_value(schema).unwrap_or_else(|_| Operation::schema())
    }
}

impl ToSchema for BulkOperation {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Operation::schemas(schemas);
    }
}

/// What is done to an article.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Operation {
    /// Creates an article.
    Create {
        /// The article.
        article: ArticleDraft,
    },
    /// Changes an article.
    Update {
        /// The id of the article.
        id: ArticleId,
        /// The `ETag` that was read, or `*`.
        #[schema(min_length = 1, max_length = 100, pattern = "^[!-~]+$", example = "\"v3\"")]
        if_match: String,
        /// A merge patch.
        changes: ArticleChanges,
    },
    /// Moves an article to the trash.
    Delete {
        /// The id of the article.
        id: ArticleId,
        /// The `ETag` that was read, or `*`.
        #[schema(min_length = 1, max_length = 100, pattern = "^[!-~]+$", example = "\"v3\"")]
        if_match: String,
        /// Whether what is public is withdrawn first; `false` where it is left out.
        #[serde(default)]
        unpublish: bool,
    },
    /// Publishes a revision, now or at a time.
    Publish {
        /// The id of the article.
        id: ArticleId,
        /// The number of the revision that was seen.
        #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
        revision: i64,
        /// When it comes out.
        #[serde(default)]
        publish_at: Option<Timestamp>,
        /// When it goes.
        #[serde(default)]
        unpublish_at: Option<Timestamp>,
        /// What is to happen to a schedule that stands.
        #[serde(default)]
        schedule: Option<ScheduleChoice>,
    },
    /// Withdraws an article.
    Unpublish {
        /// The id of the article.
        id: ArticleId,
        /// The id or slug of the article that takes the place.
        #[serde(default)]
        #[schema(min_length = 1, max_length = 120, pattern = "^[A-Za-z0-9-]+$")]
        successor: Option<String>,
    },
    /// Submits an article for review.
    Submit {
        /// The id of the article.
        id: ArticleId,
        /// What whoever decides should know.
        #[serde(default)]
        #[schema(min_length = 1, max_length = 2000, pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$")]
        note: Option<String>,
    },
    /// Returns an article from review.
    Return {
        /// The id of the article.
        id: ArticleId,
        /// What should be done.
        #[schema(min_length = 1, max_length = 2000, pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$")]
        note: String,
    },
    /// Archives an article.
    Archive {
        /// The id of the article.
        id: ArticleId,
    },
    /// Restores an article from the trash or the archive.
    Restore {
        /// The id of the article.
        id: ArticleId,
    },
}

/// What came of many operations.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BulkResults {
    /// One result for each operation, in their order.
    #[schema(max_items = 500)]
    results: Vec<BulkResult>,
}

/// What came of one operation.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BulkResult {
    /// The status that it would have had alone.
    #[schema(minimum = 200, maximum = 599, example = 200)]
    status: u16,
    /// The id of the article; null where none was made.
    id: Option<ArticleId>,
    /// The number of its working copy afterwards; null where the operation failed.
    #[schema(minimum = 1)]
    revision: Option<i64>,
    /// Its `ETag` afterwards; null where the operation failed.
    #[schema(example = "\"v3\"")]
    etag: Option<String>,
    /// What was removed, and what else should be looked at.
    warnings: Vec<Warning>,
    /// Why it failed; null where it did not.
    problem: Option<BulkProblem>,
}

/// Why an operation failed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BulkProblem {
    /// What kind of problem it is, as in RFC 9457.
    #[serde(rename = "type")]
    #[schema(example = "/problems/conflict", format = "uri-reference")]
    kind: String,
    /// A short summary of the kind.
    title: &'static str,
    /// What went wrong and what to do about it.
    detail: String,
    /// All faults of the operation; pointers are into the whole body.
    #[schema(max_items = 100)]
    errors: Vec<Fault>,
}

/// Do many operations
///
/// Up to 500 operations on articles in one transaction, one after the other; each may build on those before it. By
/// default all of them are done or, where one fails, none: the `422` then names every one that failed. With
/// `atomic: false`, each stands for itself and has its own result. Each asks for what it asks for alone: contributors
/// and authors write their own articles, authors publish them.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/bulk", tag = "Articles",
    responses((status = 422, description = "The body has faults, or with `atomic` an operation failed; `errors` names all of them, and nothing was changed."))
)]
pub(super) async fn bulk_articles(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Query(options): Query<WriteOptions>,
    strict: Strict,
    Json(bulk): Json<Bulk>,
) -> Result<Managed<BulkResults>, Problem> {
    let (actor, now, state) = (caller.actor(), app.clock.now(), app.clone());
    let operations = bulk.operations.clone();
    let bodies = app.db.read(move |conn| runner::bodies(conn, &operations, actor)).await?;
    let mut renderings = HashMap::with_capacity(bodies.len());
    for body in bodies {
        let rendered = app.render(&body).await?;
        let inspection = checks::inspect_for_blocking(&app, &rendered).await?;
        renderings.insert(body, (rendered, inspection));
    }
    let results = app
        .write(actor, options.validate_only, move |tx| {
            let saving = Saving::of(actor, &state.config, now);
            let runner = Runner { config: &state.config, renderings, actor, strict, saving };
            runner.run(tx, bulk)
        })
        .await?;
    Ok(Managed::new(BulkResults { results }))
}

impl Operation {
    fn id(&self) -> Option<ArticleId> {
        match self {
            Self::Create { .. } => None,
            Self::Update { id, .. }
            | Self::Delete { id, .. }
            | Self::Publish { id, .. }
            | Self::Unpublish { id, .. }
            | Self::Submit { id, .. }
            | Self::Return { id, .. }
            | Self::Archive { id }
            | Self::Restore { id } => Some(*id),
        }
    }
}

impl From<Done> for BulkResult {
    fn from(done: Done) -> Self {
        Self {
            status: done.status,
            id: Some(done.id),
            revision: Some(done.revision),
            etag: Some(version_tag(done.row_version)),
            warnings: done.warnings,
            problem: None,
        }
    }
}

impl BulkResult {
    fn failed(id: Option<ArticleId>, problem: &Problem) -> Self {
        let kind = problem.kind();
        let problem = BulkProblem {
            kind: kind.reference(),
            title: kind.title,
            detail: problem.detail().to_owned(),
            errors: problem.faults().iter().take(MAX_FAULTS).cloned().collect(),
        };
        Self {
            status: kind.status.as_u16(),
            id,
            revision: None,
            etag: None,
            warnings: Vec::new(),
            problem: Some(problem),
        }
    }
}
