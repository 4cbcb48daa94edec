//! Many operations in one transaction, each with its result.
//!
//! What is slow (rendering) is done before the transaction, as far as it can be known there; the operations then run
//! one after the other, each in a savepoint of its own, with the rules that they have alone.

use std::collections::{HashMap, HashSet};

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::checks;
use super::editing;
use super::history::{self, Saving};
use super::linked_from;
use super::model::{ArticleId, Content, WorkingCopy};
use super::moves;
use super::publishing;
use super::schedule::{ScheduleChoice, Times};
use super::store::{self, ArticleRow};
use crate::auth::{Actor, Caller, EditArticles};
use crate::config::Config;
use crate::db::{Conn, Timestamp, Tx};
use crate::http::conditional::version_tag;
use crate::http::problem::{BULK_FAILED, CONFLICT};
use crate::http::{
    Body, Changes, Draft, Fault, IfMatch, Json, Managed, MergePatch, Problem, Query, Strict, Warning, WriteOptions,
};
use crate::state::App;
use crate::text::{self, Inspection, Rendered};

/// How long the texts of one request may be together, in bytes.
const MOST_BODY_BYTES: usize = 8 * 1024 * 1024;
/// How long a text may be that is rendered while others wait to write, in bytes.
const MOST_LATE_BYTES: usize = 64 * 1024;

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

/// That of the operations, each closed: unknown members are faults.
impl PartialSchema for BulkOperation {
    fn schema() -> RefOr<Schema> {
        let mut schema = serde_json::to_value(Operation::schema()).unwrap_or_default();
        if let Some(Value::Array(kinds)) = schema.get_mut("oneOf") {
            for kind in kinds {
                kind["additionalProperties"] = json!(false);
            }
        }
        schema["description"] = json!("One of many operations; each does what its own address does.");
        schema["discriminator"] = json!({ "propertyName": "op" });
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
        #[schema(min_length = 1, max_length = 100, example = "\"v3\"")]
        if_match: String,
        /// A merge patch.
        changes: ArticleChanges,
    },
    /// Moves an article to the trash.
    Delete {
        /// The id of the article.
        id: ArticleId,
        /// The `ETag` that was read, or `*`.
        #[schema(min_length = 1, max_length = 100, example = "\"v3\"")]
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
        #[schema(minimum = 1)]
        revision: i64,
        /// When it comes out.
        #[serde(default)]
        publish_at: Option<Timestamp>,
        /// When it goes.
        #[serde(default)]
        unpublish_at: Option<Timestamp>,
        /// What is to happen to a schedule that stands.
        #[serde(default)]
        #[schema(inline)]
        schedule: Option<ScheduleChoice>,
    },
    /// Withdraws an article.
    Unpublish {
        /// The id of the article.
        id: ArticleId,
        /// The id or slug of the article that takes the place.
        #[serde(default)]
        #[schema(min_length = 1, max_length = 120)]
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

/// What an operation did.
struct Done {
    status: u16,
    id: ArticleId,
    revision: i64,
    row_version: i64,
    warnings: Vec<Warning>,
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
    let bodies = app.db.read(move |conn| bodies(conn, &operations, actor)).await?;
    let mut renderings = HashMap::with_capacity(bodies.len());
    for body in bodies {
        let rendered = app.render(&body).await?;
        let html = rendered.html.clone();
        let inspection = app.renderer.run(move || text::inspect(&html)).await?;
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

/// The texts that will have to be rendered, as far as that can be known before.
///
/// # Errors
/// `422` where they are too long together.
fn bodies(conn: &mut Conn, operations: &[BulkOperation], actor: Actor) -> Result<Vec<String>, Problem> {
    let (mut bodies, mut bytes) = (HashSet::new(), 0);
    for BulkOperation(operation) in operations {
        let body = match operation {
            Operation::Create { article } => article.text("body_markdown").map(str::to_owned),
            // What keeps its body may be published by an operation after this one.
            Operation::Update { id, changes, .. } => match changes.text("body_markdown") {
                Some(body) => Some(body.to_owned()),
                None => body_of(conn, *id, None, actor)?,
            },
            Operation::Publish { id, revision, .. } => body_of(conn, *id, Some(*revision), actor)?,
            _ => None,
        };
        let Some(body) = body else { continue };
        let length = body.len();
        if bodies.insert(body) {
            bytes += length;
        }
        if bytes > MOST_BODY_BYTES {
            let message = "The texts of these operations are too long together; send fewer at once.";
            return Err(Problem::invalid_body(vec![Fault::body("/operations", "too_long", message)]));
        }
    }
    Ok(bodies.into_iter().collect())
}

fn body_of(conn: &mut Conn, id: ArticleId, revision: Option<i64>, actor: Actor) -> Result<Option<String>, Problem> {
    let Ok(row) = store::editable(conn, id, actor) else { return Ok(None) };
    let content = history::content(conn, id, revision.unwrap_or(row.revision))?;
    Ok(content.map(|content| content.body_markdown))
}

struct Runner<'a> {
    config: &'a Config,
    renderings: HashMap<String, (Rendered, Inspection)>,
    actor: Actor,
    strict: Strict,
    saving: Saving,
}

impl Runner<'_> {
    fn run(&self, tx: &mut Tx<'_>, bulk: Bulk) -> Result<Vec<BulkResult>, Problem> {
        let (mut results, mut failures) = (Vec::with_capacity(bulk.operations.len()), Vec::new());
        for (index, BulkOperation(operation)) in bulk.operations.into_iter().enumerate() {
            let (id, place) = (operation.id(), format!("/operations/{index}"));
            match tx.attempt(|tx| self.one(tx, operation)) {
                Ok(done) => results.push(done.into()),
                // What is the server's fault ends everything.
                Err(problem) if !problem.is_clients() => return Err(problem),
                Err(problem) => {
                    let problem = placed(problem, &place);
                    failures.extend(faults_of(&problem, &place));
                    results.push(BulkResult::failed(id, &problem));
                }
            }
        }
        if !bulk.atomic || failures.is_empty() {
            return Ok(results);
        }
        let failed = results.iter().filter(|result| result.problem.is_some()).count();
        let detail =
            format!("{failed} of {} operations failed, so nothing was changed; `errors` says why.", results.len());
        Err(Problem::new(&BULK_FAILED, detail).with_faults(failures))
    }

    fn one(&self, tx: &mut Tx<'_>, operation: Operation) -> Result<Done, Problem> {
        let (actor, now) = (self.actor, self.saving.at);
        match operation {
            Operation::Create { article } => self.create(tx, article),
            Operation::Update { id, if_match, changes } => {
                let if_match = meant(&if_match)?;
                let updated = self.update(tx, id, &if_match, MergePatch::from(changes));
                updated.map_err(|problem| problem.beneath("/changes"))
            }
            Operation::Delete { id, if_match, unpublish } => {
                let warning = self.warning(tx, id)?;
                let done = self.moved(tx, id, 204, |tx, row| {
                    meant(&if_match)?.check(row.row_version)?;
                    publishing::trash(tx, row, unpublish, actor, now)
                });
                done.map(|done| Done { warnings: warning, ..done })
            }
            Operation::Publish { id, revision, publish_at, unpublish_at, schedule } => {
                let times = Times { publish_at, unpublish_at, choice: schedule };
                let revision = publishing::load(tx, id, revision, times, actor, now)?;
                let (rendered, inspection) = self.rendered(&revision.content.body_markdown)?;
                self.moved(tx, id, 200, |tx, row| {
                    let content = (revision.number, &revision.content);
                    checks::refuse_blocking(tx, self.config, &row, content, &inspection, actor, now)?;
                    publishing::publish(tx, row, revision.with(rendered), times, actor, now)
                })
            }
            Operation::Unpublish { id, successor } => {
                let warning = self.warning(tx, id)?;
                let done = self.moved(tx, id, 200, |tx, row| {
                    let successor = publishing::successor(tx, id, successor.as_deref())?;
                    publishing::unpublish(tx, row, successor, actor, now)
                });
                done.map(|done| Done { warnings: warning, ..done })
            }
            Operation::Submit { id, note } => {
                self.moved(tx, id, 200, |tx, row| moves::submit_for_review(tx, row, note, actor, now))
            }
            Operation::Return { id, note } => {
                self.moved(tx, id, 200, |tx, row| moves::give_back(tx, row, note, actor, now))
            }
            Operation::Archive { id } => self.moved(tx, id, 200, |tx, row| moves::archive(tx, row, actor, now)),
            Operation::Restore { id } => self.moved(tx, id, 200, |tx, row| moves::restore(tx, row, actor, now)),
        }
    }

    /// What links to an article that is about to go.
    fn warning(&self, tx: &mut Tx<'_>, id: ArticleId) -> Result<Vec<Warning>, Problem> {
        let row = store::editable(tx, id, self.actor)?;
        Ok(linked_from::warning(tx, self.config, &row)?.into_iter().collect())
    }

    fn create(&self, tx: &mut Tx<'_>, draft: ArticleDraft) -> Result<Done, Problem> {
        let id = ArticleId::generate();
        let made = self.insert(tx, id, draft).map_err(|problem| problem.beneath("/article"))?;
        Ok(Done { status: 201, id, revision: made.revision, row_version: 1, warnings: made.warnings })
    }

    fn insert(&self, tx: &mut Tx<'_>, id: ArticleId, draft: ArticleDraft) -> Result<WorkingCopy, Problem> {
        let mut drafted = editing::draft_of_new(tx, self.config, id, draft, self.actor, self.saving.at)?;
        let (rendered, _) = self.rendered(&drafted.content.body_markdown)?;
        editing::warn(&mut drafted, &rendered, self.strict)?;
        editing::insert(tx, self.config, id, None, drafted, self.actor, self.saving.at)
    }

    fn update(
        &self,
        tx: &mut Tx<'_>,
        id: ArticleId,
        if_match: &IfMatch,
        patch: MergePatch<Content>,
    ) -> Result<Done, Problem> {
        let (row, mut drafted) = editing::draft(tx, self.config, id, patch, if_match, self.actor, self.saving.at)?;
        if drafted.touches("body_markdown") {
            let (rendered, _) = self.rendered(&drafted.content.body_markdown)?;
            editing::warn(&mut drafted, &rendered, self.strict)?;
        }
        let (saved, row_version) = editing::save(tx, self.config, &row, drafted, self.actor, self.saving)?;
        Ok(Done { status: 200, id, revision: saved.revision, row_version, warnings: saved.warnings })
    }

    fn moved(
        &self,
        tx: &mut Tx<'_>,
        id: ArticleId,
        status: u16,
        step: impl FnOnce(&mut Tx<'_>, ArticleRow) -> Result<ArticleRow, Problem>,
    ) -> Result<Done, Problem> {
        let row = store::editable(tx, id, self.actor)?;
        let row = step(tx, row)?;
        Ok(Done { status, id, revision: row.revision, row_version: row.row_version, warnings: Vec::new() })
    }

    /// The rendering of a text. One that only this transaction knows is rendered in it, where that is soon done.
    fn rendered(&self, body: &str) -> Result<(Rendered, Inspection), Problem> {
        if let Some(known) = self.renderings.get(body) {
            return Ok(known.clone());
        }
        if body.len() > MOST_LATE_BYTES {
            return Err(Problem::conflict(
                "The article was saved meanwhile, and its text is long; send this once more.",
            ));
        }
        let rendered = text::render(body);
        let inspection = text::inspect(&rendered.html);
        Ok((rendered, inspection))
    }
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
            kind: format!("/problems/{}", kind.name),
            title: kind.title,
            detail: problem.detail().to_owned(),
            errors: problem.faults().iter().take(crate::http::problem::MAX_FAULTS).cloned().collect(),
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

/// The problem with its faults where they stand in the whole body: those of a state are of the operation as such.
fn placed(problem: Problem, place: &str) -> Problem {
    if problem.is(&CONFLICT) { problem.with_pointers(|_| place.to_owned()) } else { problem.beneath(place) }
}

/// The version that an operation means.
fn meant(if_match: &str) -> Result<IfMatch, Problem> {
    IfMatch::parse(if_match).map_err(|problem| problem.beneath("/if_match"))
}

/// The faults of an operation; where it has none in the body, one that says why it failed.
fn faults_of(problem: &Problem, place: &str) -> Vec<Fault> {
    if problem.faults().is_empty() {
        return vec![Fault::body(place, problem.kind().name, problem.detail())];
    }
    problem.faults().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_without_faults_says_why_where_the_operation_stands() {
        let problem = Problem::conflict("The article is archived.");
        let faults = faults_of(&problem, "/operations/3");
        assert_eq!(faults, [Fault::body("/operations/3", "conflict", "The article is archived.")]);
    }
}
