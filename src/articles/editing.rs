//! Saving an article: what is slow is prepared under a read, the write only compares and stores.

use actix_web::web::Data;

use super::conflict::explained;
use super::draft_check;
use super::history::{self, Saving};
use super::lifecycle::Move;
use super::model::{ArticleId, Content, WorkingCopy};
use super::store::{self, ArticleRow};
use super::working_copy;
use crate::auth::Actor;
use crate::changes::{Event, PublicChange, SubjectKind, Who, record};
use crate::config::Config;
use crate::db::{Conn, Timestamp, Tx};
use crate::http::conditional::version_tag;
use crate::http::problem::PRECONDITION_FAILED;
use crate::http::{Created, Draft, Drafted, IfMatch, MergePatch, Problem, Strict, Versioned, Warning, WriteOptions};
use crate::state::App;
use crate::text::Rendered;

/// How often a change of whatever is there is tried, where others save all the time.
const MOST_TRIES: usize = 20;

/// Who writes, and how.
#[derive(Clone, Copy)]
pub(super) struct Writing {
    /// Who.
    pub actor: Actor,
    /// Whether what sanitising would remove is refused.
    pub strict: Strict,
    /// Whether it is only tried out.
    pub options: WriteOptions,
    /// How the revision is saved.
    pub saving: Saving,
}

/// Makes an article.
pub(super) async fn create(
    app: &Data<App>,
    draft: Draft<Content>,
    external_id: Option<String>,
    writing: Writing,
) -> Result<Created<WorkingCopy>, Problem> {
    let Writing { actor, strict, options, saving } = writing;
    let (id, state) = (ArticleId::generate(), app.clone());
    let mut drafted = app.db.read(move |conn| draft_of_new(conn, &state.config, id, draft, actor, saving.at)).await?;
    let rendered = rendered(app, &mut drafted, strict).await?;
    let state = app.clone();
    let working_copy = app
        .write(actor, options.validate_only, move |tx| {
            insert(tx, &state.config, id, external_id, drafted, actor, saving.at)
        })
        .await?;
    let working_copy = working_copy::with_rendered(app, working_copy, rendered).await?;
    let location = (!options.validate_only).then(|| format!("/api/v1/manage/articles/{id}"));
    Ok(Created::new(working_copy, location, 1))
}

/// Changes an article that is at a version that the caller means.
pub(super) async fn change(
    app: &Data<App>,
    id: ArticleId,
    patch: MergePatch<Content>,
    if_match: &IfMatch,
    writing: Writing,
) -> Result<Versioned<WorkingCopy>, Problem> {
    for _ in 0..MOST_TRIES {
        match try_to_change(app, id, patch.clone(), if_match, writing).await {
            // `*` means whatever is there: who saved meanwhile is built upon, not refused.
            Err(problem) if *if_match == IfMatch::Any && problem.is(&PRECONDITION_FAILED) => {}
            Err(problem) => {
                return Err(explained(app, id, Some(patch), if_match, writing.actor, problem).await);
            }
            Ok(changed) => return Ok(changed),
        }
    }
    Err(Problem::overloaded())
}

async fn try_to_change(
    app: &Data<App>,
    id: ArticleId,
    patch: MergePatch<Content>,
    if_match: &IfMatch,
    writing: Writing,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let Writing { actor, strict, options, saving } = writing;
    let (state, if_match) = (app.clone(), if_match.clone());
    let (row, mut drafted) =
        app.db.read(move |conn| draft(conn, &state.config, id, patch, &if_match, actor, saving.at)).await?;
    let rendered = rendered(app, &mut drafted, strict).await?;
    let (state, seen_version) = (app.clone(), row.row_version);
    let (working_copy, row_version) = app
        .write(actor, options.validate_only, move |tx| save(tx, &state.config, &row, drafted, actor, saving))
        .await?;
    let working_copy = working_copy::with_rendered(app, working_copy, rendered).await?;
    Ok(Versioned::tried(working_copy, row_version, options.validate_only.then_some(seen_version)))
}

/// Renders the body for its warnings, and refuses what sanitising would remove of what the request touches, where
/// that is asked for.
async fn rendered(app: &App, drafted: &mut Drafted<Content>, strict: Strict) -> Result<Rendered, Problem> {
    let rendered = app.render(&drafted.content.body_markdown).await?;
    warn(drafted, &rendered, strict)?;
    Ok(rendered)
}

/// Warns of what sanitising removed from the body, or refuses that.
pub(super) fn warn(drafted: &mut Drafted<Content>, rendered: &Rendered, strict: Strict) -> Result<(), Problem> {
    let removed: Vec<Warning> = rendered.removed.iter().map(|removed| removed.warning("/body_markdown")).collect();
    if drafted.touches("body_markdown") {
        strict.check(&removed)?;
    }
    drafted.warnings.extend(removed);
    Ok(())
}

/// Checks a new article.
pub(super) fn draft_of_new(
    conn: &mut Conn,
    config: &Config,
    id: ArticleId,
    draft: Draft<Content>,
    actor: Actor,
    now: Timestamp,
) -> Result<Drafted<Content>, Problem> {
    draft.create(|content| {
        let faults = draft_check::resolve(conn, content, id, actor, &config.language, now)?;
        draft_check::add_own_author(conn, content, actor)?;
        Ok(faults)
    })
}

/// Loads, merges and checks a patch: may this caller edit this article, and what would it become?
pub(super) fn draft(
    conn: &mut Conn,
    config: &Config,
    id: ArticleId,
    patch: MergePatch<Content>,
    if_match: &IfMatch,
    actor: Actor,
    now: Timestamp,
) -> Result<(ArticleRow, Drafted<Content>), Problem> {
    let row = store::editable(conn, id, actor)?;
    if_match.check(row.row_version)?;
    row.state().after(Move::Save, actor.role)?;
    let present = working_copy::load(conn, config, row.clone())?;
    let replaces = patch.replaces();
    let drafted = patch.apply(&present.content, &present, |content| {
        draft_check::resolve_edit(conn, content, &present.content, replaces, id, actor, (&config.language, now))
    })?;
    Ok((row, drafted))
}

/// Stores a new article.
pub(super) fn insert(
    tx: &mut Tx<'_>,
    config: &Config,
    id: ArticleId,
    external_id: Option<String>,
    mut drafted: Drafted<Content>,
    actor: Actor,
    now: Timestamp,
) -> Result<WorkingCopy, Problem> {
    if let Some(external_id) = &external_id
        && store::by_external_id(tx, external_id)?.is_some()
    {
        let detail = "An article of this external id was made meanwhile; send `If-Match` to replace it.";
        return Err(Problem::new(&PRECONDITION_FAILED, detail));
    }
    let found = draft_check::recheck(tx, &mut drafted.content, id, actor)?;
    drafted.refuse(found)?;
    let Drafted { mut content, warnings, .. } = drafted;
    draft_check::settle_slug(tx, &mut content, id, actor)?;
    let row = ArticleRow { external_id, ..new_row(id, Some(actor), now) };
    let row = store::with_columns(row, &content);
    store::insert(tx, &row, &content)?;
    record(tx, &event(&row, actor.who(), "article.create", now, None))?;
    working_copy::with_content(tx, config, row, content, warnings)
}

/// The row of an article that has only just been made.
pub(super) fn new_row(id: ArticleId, actor: Option<Actor>, now: Timestamp) -> ArticleRow {
    let user = actor.map(|actor| actor.user);
    ArticleRow {
        id,
        row_version: 1,
        revision: 1,
        slug: String::new(),
        title: String::new(),
        title_key: String::new(),
        language: String::new(),
        translation_of: None,
        published_revision: None,
        first_published_at: Timestamp::from_unix_millis(0),
        published_at: Timestamp::from_unix_millis(0),
        withdrawn_at: None,
        archived_at: None,
        review: None,
        returned: None,
        schedule: None,
        due_at: None,
        scheduled_slug: None,
        schedule_failure: None,
        trashed_at: None,
        created_at: now,
        created_by: user,
        saved_at: now,
        saved_by: user,
        external_id: None,
    }
}

/// Stores the next revision, where nobody has saved since `seen` was read; nothing where nothing changed.
pub(super) fn save(
    tx: &mut Tx<'_>,
    config: &Config,
    seen: &ArticleRow,
    mut drafted: Drafted<Content>,
    actor: Actor,
    saving: Saving,
) -> Result<(WorkingCopy, i64), Problem> {
    let row = store::editable(tx, seen.id, actor)?;
    IfMatch::Tags(vec![version_tag(seen.row_version)]).check(row.row_version)?;
    // What the content names may have changed since it was checked.
    let found = draft_check::recheck(tx, &mut drafted.content, row.id, actor)?;
    drafted.refuse(found)?;
    let Drafted { mut content, warnings, .. } = drafted;
    draft_check::settle_slug(tx, &mut content, row.id, actor)?;
    let row = if history::content(tx, row.id, row.revision)?.as_ref() == Some(&content) {
        if !saving.autosave {
            history::settle(tx, row.id, row.revision)?;
        }
        row
    } else {
        let saved = store::save(tx, &row, &content, saving)?;
        record(tx, &event(&saved, actor.who(), "article.update", saving.at, None))?;
        saved
    };
    let row_version = row.row_version;
    Ok((working_copy::with_content(tx, config, row, content, warnings)?, row_version))
}

/// What the logs say of an article.
pub(super) fn event(
    row: &ArticleRow,
    who: Who,
    action: &'static str,
    at: Timestamp,
    public: Option<PublicChange>,
) -> Event {
    Event { at, who, action, kind: SubjectKind::Article, id: Some(row.id.uuid()), public }
}
