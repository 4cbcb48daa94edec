//! Management of articles: working copies, and their way to the public.

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::draft_check;
use super::editing;
use super::model::{ArticleId, Content, WorkingCopy};
use super::publishing;
use super::views::WorkingCopyListItem;
use super::working_list::{self, ListWorkingCopies};
use super::{store, working_copy};
use crate::auth::{Caller, EditArticles, PublishArticles};
use crate::authors;
use crate::http::{
    Created, Draft, Drafted, IfMatch, Json, ListOf, ListQuery, Managed, MergePatch, NoContent, NoParameters, Path,
    Problem, Query, Strict, Versioned, WriteOptions,
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
    /// Checks everything and changes nothing.
    #[serde(default)]
    #[param(default = false)]
    validate_only: bool,
}

/// Which revision is to be public.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Publish {
    /// The number of the revision that was seen: nobody publishes what they have not seen.
    #[schema(minimum = 1, example = 1)]
    revision: i64,
}

/// Where readers of a withdrawn article should go.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Unpublish {
    /// The id or slug of the article that takes the place; null or left out for none.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 120)]
    successor: Option<String>,
}

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
    let (actor, now, id) = (caller.actor(), app.clock.now(), ArticleId::generate());
    let language = app.config.language.clone();
    let (drafted, rendered) = app
        .db
        .read(move |conn| {
            let Drafted { mut content, warnings } =
                draft.create(|content| draft_check::resolve(conn, content, id, actor, &language, now))?;
            if content.authors.is_empty() {
                content.authors = authors::of_user(conn, actor.user)?.iter().map(ToString::to_string).collect();
            }
            editing::with_rendering(Drafted { content, warnings }, strict)
        })
        .await?;
    let state = app.clone();
    let working_copy = app
        .write(options.validate_only, move |tx| editing::create(tx, &state.config, id, drafted, &rendered, actor, now))
        .await?;
    let location = (!options.validate_only).then(|| format!("/api/v1/manage/articles/{id}"));
    Ok(Created::new(working_copy, location, 1))
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
    let (actor, state) = (caller.actor(), app.clone());
    let (working_copy, row_version) = app
        .db
        .read(move |conn| {
            let row = store::editable(conn, id, actor)?;
            let row_version = row.row_version;
            Ok::<_, Problem>((working_copy::load(conn, &state.config, row)?, row_version))
        })
        .await?;
    Ok(Versioned::new(working_copy, row_version))
}

/// Change an article
///
/// A JSON Merge Patch (RFC 7396) that makes the next revision; a patch that changes nothing makes none. What
/// is public stays as it is until a revision is published. Contributors and authors change their own,
/// editors and admins all.
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
    let (actor, now, state) = (caller.actor(), app.clock.now(), app.clone());
    let (row, drafted, rendered) =
        app.db.read(move |conn| editing::draft(conn, &state.config, id, patch, &if_match, strict, actor, now)).await?;
    let state = app.clone();
    let (working_copy, row_version) = app
        .write(options.validate_only, move |tx| editing::save(tx, &state.config, &row, drafted, &rendered, actor, now))
        .await?;
    Ok(Versioned::new(working_copy, row_version))
}

/// Move an article to the trash
///
/// A public article is refused unless `unpublish=true`. Contributors and authors delete their own (a
/// contributor no public one), editors and admins all.
#[utoipa::path(
    delete, path = "/api/v1/manage/articles/{id}", tag = "Articles",
    responses((status = 409, description = "The article is public and `unpublish` was not sent, or it is in the trash already."))
)]
pub(super) async fn delete_article(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<DeleteArticle>,
    if_match: IfMatch,
) -> Result<NoContent, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    app.write(options.validate_only, move |tx| {
        let row = store::editable(tx, id, actor)?;
        if_match.check(row.row_version)?;
        publishing::trash(tx, row, options.unpublish, actor, now)
    })
    .await?;
    Ok(NoContent)
}

/// Publish a revision
///
/// Makes exactly the named revision public, at once, in the place of what was public before. Authors
/// publish their own articles, editors and admins all.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/{id}/publish", tag = "Articles",
    responses((status = 409, description = "The revision can't be published now: the article is in the trash, an image has no `alt`, the slug is taken, or another public article translates the same original into this language."))
)]
pub(super) async fn publish_article(
    caller: Caller<PublishArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<WriteOptions>,
    Json(publish): Json<Publish>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let (actor, now, state) = (caller.actor(), app.clock.now(), app.clone());
    let prepared = app.db.read(move |conn| publishing::prepare(conn, id, publish.revision, actor)).await?;
    let (working_copy, row_version) = app
        .write(options.validate_only, move |tx| {
            let row = publishing::publish(tx, prepared, actor, now)?;
            let row_version = row.row_version;
            Ok::<_, Problem>((working_copy::load(tx, &state.config, row)?, row_version))
        })
        .await?;
    Ok(Versioned::new(working_copy, row_version))
}

/// Withdraw an article
///
/// Takes it out of delivery at once: its address answers `410` from then on, with the successor if one is
/// named. Authors withdraw their own articles, editors and admins all.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/{id}/unpublish", tag = "Articles",
    responses((status = 409, description = "The article is not public."))
)]
pub(super) async fn unpublish_article(
    caller: Caller<PublishArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<WriteOptions>,
    Json(unpublish): Json<Unpublish>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let (actor, now, state) = (caller.actor(), app.clock.now(), app.clone());
    let (working_copy, row_version) = app
        .write(options.validate_only, move |tx| {
            let row = store::editable(tx, id, actor)?;
            let successor = publishing::successor(tx, id, unpublish.successor.as_deref())?;
            let row = publishing::unpublish(tx, row, successor, actor, now)?;
            let row_version = row.row_version;
            Ok::<_, Problem>((working_copy::load(tx, &state.config, row)?, row_version))
        })
        .await?;
    Ok(Versioned::new(working_copy, row_version))
}
