//! Management of articles: working copies, and their way to the public.

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::checks;
use super::conflict::explained;
use super::editing::{self, Writing};
use super::history::Saving;
use super::linked_from;
use super::model::{AUTOSAVE, ArticleId, Content, WorkingCopy};
use super::moves;
use super::publishing;
use super::schedule::{ScheduleChoice, Times};
use super::views::WorkingCopyListItem;
use super::working_list::{self, ListWorkingCopies};
use super::{store, working_copy};
use crate::auth::{Caller, EditArticles, PublishArticles};
use crate::db::Timestamp;
use crate::http::{
    Body, Created, Draft, IfMatch, Json, ListOf, ListQuery, Managed, MaybeJson, MergePatch, NoParameters, Path,
    Problem, Query, Removed, Strict, Versioned, WriteOptions,
};
use crate::state::App;

/// How an article is deleted.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteArticle {
    /// Withdraws the article first, where it is public.
    #[serde(default)]
    #[param(default = false)]
    unpublish: bool,
    /// Deletes an article that is in the trash for good, with all its revisions; for `admin`.
    #[serde(default)]
    #[param(default = false)]
    permanent: bool,
    /// Checks everything and changes nothing.
    #[serde(default)]
    #[param(default = false)]
    validate_only: bool,
}

/// Which revision is to be public.
#[expect(clippy::struct_field_names, reason = "these are the names of the contract")]
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Publish {
    /// The number of the revision that was seen: nobody publishes what they have not seen.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1)]
    revision: i64,
    /// When it comes out; now where it is left out, null or past.
    #[serde(default)]
    #[schema(inline)]
    publish_at: Option<Timestamp>,
    /// When it goes; null or left out where it stays.
    #[serde(default)]
    #[schema(inline)]
    unpublish_at: Option<Timestamp>,
    /// What is to happen to a schedule that stands; needed where that is for another revision.
    #[serde(default)]
    schedule: Option<ScheduleChoice>,
}

impl Body for Publish {}

impl Publish {
    fn times(&self) -> Times {
        Times { publish_at: self.publish_at, unpublish_at: self.unpublish_at, choice: self.schedule }
    }
}

/// Where readers of a withdrawn article should go.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Unpublish {
    /// The id or slug of the article that takes the place; null or left out for none.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 120, pattern = "^[A-Za-z0-9-]+$")]
    successor: Option<String>,
}

impl Body for Unpublish {}

/// List working copies
///
/// Articles as who writes them sees them, last saved first; all but the trashed. Contributors and authors
/// see their own, editors and admins all.
#[utoipa::path(get, path = "/api/v1/manage/articles", tag = "Articles")]
pub(super) async fn list_working_copies(
    caller: Caller<EditArticles>,
    app: Data<App>,
    query: ListQuery<ListWorkingCopies, true>,
) -> Result<Managed<ListOf<WorkingCopyListItem>>, Problem> {
    let (actor, state) = (caller.actor(), app.clone());
    let (list, links) = app.db.read(move |conn| working_list::part(conn, &state.config, &query, actor)).await?;
    Ok(Managed::new(list).with_links(links))
}

/// Create an article
///
/// The first revision of a working copy; nothing of it is public. Without `authors`, the caller's own
/// author is set, where there is one. For all roles but `intake`.
#[utoipa::path(
    post, path = "/api/v1/manage/articles", tag = "Articles",
    responses((status = 409, description = "The slug is taken; `holder` names who has it, where the caller may see it."))
)]
pub(super) async fn create_article(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Query(options): Query<WriteOptions>,
    strict: Strict,
    draft: Draft<Content>,
) -> Result<Created<WorkingCopy>, Problem> {
    let (actor, saving) = (caller.actor(), Saving::of(caller.actor(), &app.config, app.clock.now()));
    editing::create(&app, draft, None, Writing { actor, strict, options, saving }).await
}

/// Get a working copy
///
/// One article as it was last saved, with the `ETag` that a change of it needs. Contributors and authors
/// reach their own, editors and admins all.
#[utoipa::path(get, path = "/api/v1/manage/articles/{id}", tag = "Articles")]
pub(super) async fn get_working_copy(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    _query: Query<NoParameters>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let actor = caller.actor();
    working_copy::read(&app, move |conn| store::editable(conn, id, actor)).await
}

/// Change an article
///
/// A JSON Merge Patch (RFC 7396) that makes the next revision; a patch that changes nothing makes none. What
/// is public stays as it is until a revision is published. Where someone else saved first, the `412` says who, when
/// and what, and where the edits touch different members it has both in one. Contributors and authors change their
/// own, editors and admins all.
#[utoipa::path(
    patch, path = "/api/v1/manage/articles/{id}", tag = "Articles",
    responses((status = 409, description = "The slug is taken, or the article is in the trash."))
)]
pub(super) async fn update_article(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
    strict: Strict,
    patch: MergePatch<Content>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let actor = caller.actor();
    let saving = Saving { autosave: patch.flag(AUTOSAVE), ..Saving::of(actor, &app.config, app.clock.now()) };
    editing::change(&app, id, patch, &if_match, Writing { actor, strict, options, saving }).await
}

/// Delete an article
///
/// Moves it to the trash, from where it can be restored. A public article is refused unless `unpublish=true`.
/// With `permanent=true`, what is in the trash is deleted for good. Contributors and authors delete their own
/// articles (a contributor no public one), editors all; only an `admin` deletes for good.
#[utoipa::path(
    delete, path = "/api/v1/manage/articles/{id}", tag = "Articles",
    responses((status = 409, description = "The article is public and `unpublish` was not sent, it is in the trash already, or, with `permanent`, it is not there or others are translations of it."))
)]
pub(super) async fn delete_article(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<DeleteArticle>,
    if_match: IfMatch,
) -> Result<Removed<WorkingCopy>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    let (state, seen) = (app.clone(), if_match.clone());
    let trashed = app
        .write(actor, options.validate_only, move |tx| {
            let row = store::editable(tx, id, actor)?;
            if_match.check(row.row_version)?;
            if options.permanent {
                let erased = working_copy::load(tx, &state.config, row.clone())?;
                moves::erase(tx, &row, actor, now)?;
                return Ok(erased);
            }
            let warning = linked_from::warning(tx, &state.config, &row)?;
            let row = publishing::trash(tx, row, options.unpublish, actor, now)?;
            let mut trashed = working_copy::load(tx, &state.config, row)?;
            trashed.warnings.extend(warning);
            Ok(trashed)
        })
        .await;
    let trashed = match trashed {
        Ok(trashed) => trashed,
        Err(problem) => return Err(explained(&app, id, None, &seen, actor, problem).await),
    };
    if !options.validate_only {
        return Ok(Removed::Done);
    }
    Ok(Removed::Tried(working_copy::with_html(&app, trashed).await?))
}

/// Publish a revision
///
/// Makes exactly the named revision public, in the place of what was public before: at once or, with a `publish_at`
/// in the future, at that time. Until then nothing outside shows a trace of it, and its slug is taken. A schedule
/// pins its revision: publishing another one meanwhile needs `schedule` to say whether it stays (`keep`) or goes
/// (`cancel`). Authors publish their own articles, editors and admins all.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/{id}/publish", tag = "Articles",
    responses((status = 409, description = "The revision can't be published: another one is scheduled and `schedule` was not sent, the article is archived or in the trash, an image has no `alt`, the slug is taken, or another public article translates the same original into this language."))
)]
pub(super) async fn publish_article(
    caller: Caller<PublishArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<WriteOptions>,
    Json(publish): Json<Publish>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let (actor, now, times) = (caller.actor(), app.clock.now(), publish.times());
    let number = publish.revision;
    let revision = app.db.read(move |conn| publishing::load(conn, id, number, times, actor, now)).await?;
    let rendered = app.render(&revision.content.body_markdown).await?;
    let state = app.clone();
    let inspection = checks::inspect_for_blocking(&app, &rendered).await?;
    moves::moved(&app, actor, options, id, move |tx, row| {
        let content = (number, &revision.content);
        checks::refuse_blocking(tx, &state.config, &row, content, inspection.as_ref(), actor, now)?;
        publishing::publish(tx, row, revision.with(rendered), times, actor, now)
    })
    .await
}

/// Withdraw an article
///
/// Takes it out of delivery at once and off the schedule: its address answers `410` from then on, with the successor
/// if one is named. Of an article that is only scheduled, it cancels that. Authors withdraw their own articles,
/// editors and admins all.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/{id}/unpublish", tag = "Articles",
    responses((status = 409, description = "The article is neither public nor scheduled."))
)]
pub(super) async fn unpublish_article(
    caller: Caller<PublishArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<WriteOptions>,
    MaybeJson(unpublish): MaybeJson<Unpublish>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let (actor, now, state) = (caller.actor(), app.clock.now(), app.clone());
    moves::moved_with_warnings(&app, actor, options, id, move |tx, row| {
        let warning = linked_from::warning(tx, &state.config, &row)?;
        let successor = publishing::successor(tx, id, unpublish.successor.as_deref())?;
        let row = publishing::unpublish(tx, row, successor, actor, now)?;
        Ok((row, warning.into_iter().collect()))
    })
    .await
}
