//! The moves of an article that are neither a save nor a publication: review, archive, trash and the way back.

use actix_web::web::Data;
use serde::Deserialize;
use utoipa::ToSchema;

use super::editing::event;
use super::lifecycle::Move;
use super::model::{ArticleId, WorkingCopy};
use super::published;
use super::store::{self, ArticleRow, Remark};
use super::working_copy;
use crate::auth::{Actor, Caller, EditArticles, ReviewArticles};
use crate::changes::{PublicChange, record};
use crate::db::{Document, Timestamp, Tx};
use crate::http::problem::IN_USE;
use crate::http::{Body, Json, MaybeJson, Path, Problem, Query, Versioned, Warning, WriteOptions};
use crate::state::App;

/// What whoever decides should know.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Submit {
    /// Plain text, which may have several lines; null or left out for none.
    #[serde(default)]
    #[schema(
        min_length = 1,
        max_length = 2000,
        pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$",
        example = "Please check the doses."
    )]
    note: Option<String>,
}

impl Body for Submit {}

/// What should be done before the article is submitted again.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReturnNote)]
pub(super) struct Return {
    /// Plain text, which may have several lines.
    #[schema(
        min_length = 1,
        max_length = 2000,
        pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$",
        example = "The second section needs a source."
    )]
    note: String,
}

impl Body for Return {}

/// Submit an article for review
///
/// Asks for the working copy to be published. Until it is returned or published, a contributor can't change it.
/// For all roles but `intake`, each for what it may edit.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/{id}/submit", tag = "Articles",
    responses((status = 409, description = "The article is in review already, archived, or in the trash."))
)]
pub(super) async fn submit_article(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<WriteOptions>,
    MaybeJson(submit): MaybeJson<Submit>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    moved(&app, actor, options, id, move |tx, row| submit_for_review(tx, row, submit.note, actor, now)).await
}

/// Return an article from review
///
/// Gives a submitted article back to who wrote it, with what should be done. Authors return their own articles,
/// editors and admins all.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/{id}/return", tag = "Articles",
    responses((status = 409, description = "The article is not in review."))
)]
pub(super) async fn return_article(
    caller: Caller<ReviewArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<WriteOptions>,
    Json(given_back): Json<Return>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    moved(&app, actor, options, id, move |tx, row| give_back(tx, row, given_back.note, actor, now)).await
}

/// Archive an article
///
/// Puts an article away that is not public: it stays as it is until it is restored. Authors archive their own
/// articles, editors and admins all.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/{id}/archive", tag = "Articles",
    responses((status = 409, description = "The article is public, archived already, or in the trash."))
)]
pub(super) async fn archive_article(
    caller: Caller<ReviewArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<WriteOptions>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    moved(&app, actor, options, id, move |tx, row| archive(tx, row, actor, now)).await
}

/// Restore an article
///
/// Takes it out of the trash or, where it is not there, out of the archive. Nothing becomes public by that. For
/// all roles but `intake`, each for what it may edit; a contributor restores from the trash alone.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/{id}/restore", tag = "Articles",
    responses((status = 409, description = "The article is neither in the trash nor archived."))
)]
pub(super) async fn restore_article(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<WriteOptions>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    moved(&app, actor, options, id, move |tx, row| restore(tx, row, actor, now)).await
}

/// Puts an article in review.
pub(super) fn submit_for_review(
    tx: &mut Tx<'_>,
    row: ArticleRow,
    note: Option<String>,
    actor: Actor,
    now: Timestamp,
) -> Result<ArticleRow, Problem> {
    row.state().after(Move::Submit, actor.role)?;
    let review = Some(Document(Remark { at: now, by: actor.user, note }));
    stored(tx, ArticleRow { review, returned: None, ..row }, actor, "article.submit", now)
}

/// Takes an article out of review.
pub(super) fn give_back(
    tx: &mut Tx<'_>,
    row: ArticleRow,
    note: String,
    actor: Actor,
    now: Timestamp,
) -> Result<ArticleRow, Problem> {
    row.state().after(Move::Return, actor.role)?;
    let returned = Some(Document(Remark { at: now, by: actor.user, note: Some(note) }));
    stored(tx, ArticleRow { review: None, returned, ..row }, actor, "article.return", now)
}

/// Puts an article away.
pub(super) fn archive(tx: &mut Tx<'_>, row: ArticleRow, actor: Actor, now: Timestamp) -> Result<ArticleRow, Problem> {
    row.state().after(Move::Archive, actor.role)?;
    stored(tx, ArticleRow { archived_at: Some(now), review: None, ..row }, actor, "article.archive", now)
}

/// Brings an article back from the trash or, where it is not there, from the archive.
pub(super) fn restore(tx: &mut Tx<'_>, row: ArticleRow, actor: Actor, now: Timestamp) -> Result<ArticleRow, Problem> {
    row.state().after(Move::Restore, actor.role)?;
    let archived_at = if row.trashed_at.is_some() { row.archived_at } else { None };
    stored(tx, ArticleRow { trashed_at: None, archived_at, ..row }, actor, "article.restore", now)
}

/// Moves an article that the caller may edit, and answers its working copy.
pub(super) async fn moved(
    app: &Data<App>,
    actor: Actor,
    options: WriteOptions,
    id: ArticleId,
    step: impl FnOnce(&mut Tx<'_>, ArticleRow) -> Result<ArticleRow, Problem> + Send + 'static,
) -> Result<Versioned<WorkingCopy>, Problem> {
    moved_with_warnings(app, actor, options, id, move |tx, row| Ok((step(tx, row)?, Vec::new()))).await
}

/// The same, with warnings in the answer.
pub(super) async fn moved_with_warnings(
    app: &Data<App>,
    actor: Actor,
    options: WriteOptions,
    id: ArticleId,
    step: impl FnOnce(&mut Tx<'_>, ArticleRow) -> Result<(ArticleRow, Vec<Warning>), Problem> + Send + 'static,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let state = app.clone();
    let (working_copy, row_version) = app
        .write(actor, options.validate_only, move |tx| {
            let row = store::editable(tx, id, actor)?;
            let seen_version = row.row_version;
            let (row, warnings) = step(tx, row)?;
            let row_version = if options.validate_only { seen_version } else { row.row_version };
            let mut working_copy = working_copy::load(tx, &state.config, row)?;
            working_copy.warnings = warnings;
            Ok((working_copy, row_version))
        })
        .await?;
    Ok(Versioned::new(working_copy::with_html(app, working_copy).await?, row_version))
}

/// Stores a row that has moved, and says so in the audit trail.
fn stored(
    tx: &mut Tx<'_>,
    row: ArticleRow,
    actor: Actor,
    action: &'static str,
    now: Timestamp,
) -> Result<ArticleRow, Problem> {
    let row = ArticleRow { row_version: row.row_version + 1, ..row };
    store::update(tx, &row)?;
    record(tx, &event(&row, actor.who(), action, now, None))?;
    Ok(row)
}

/// Deletes an article for good, with its revisions and former slugs.
pub(super) fn erase(tx: &mut Tx<'_>, row: &ArticleRow, actor: Actor, now: Timestamp) -> Result<(), Problem> {
    row.state().after(Move::Erase, actor.role)?;
    if store::is_translated(tx, row.id)? {
        let detail = "Other articles are translations of this one; give them another original, or none, first.";
        return Err(Problem::new(&IN_USE, detail));
    }
    // Until now it was said that it was there and is gone.
    let public = published::withdrawn_by_id(tx, row.id)?.map(|withdrawn| PublicChange::removed(withdrawn.slug));
    store::erase(tx, row.id)?;
    record(tx, &event(row, actor.who(), "article.delete", now, public))
}
