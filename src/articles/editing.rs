//! Saving an article: what is slow is prepared under a read, the write only compares and stores.

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
use crate::http::{Drafted, IfMatch, MergePatch, Problem, Strict, Warning};
use crate::state::App;
use crate::text::Rendered;

/// Renders the body for its warnings, and refuses what sanitising would remove of what the request touches, where
/// that is asked for.
pub(super) async fn rendered(app: &App, drafted: &mut Drafted<Content>, strict: Strict) -> Result<Rendered, Problem> {
    let rendered = app.render(&drafted.content.body_markdown).await?;
    let removed: Vec<Warning> = rendered.removed.iter().map(|removed| removed.warning("/body_markdown")).collect();
    if drafted.touches("body_markdown") {
        strict.check(&removed)?;
    }
    drafted.warnings.extend(removed);
    Ok(rendered)
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
    let drafted = patch.apply(&present.content, &present, |content| {
        draft_check::resolve(conn, content, id, actor, &config.language, now)
    })?;
    Ok((row, drafted))
}

/// Stores a new article.
pub(super) fn create(
    tx: &mut Tx<'_>,
    config: &Config,
    id: ArticleId,
    mut drafted: Drafted<Content>,
    actor: Actor,
    now: Timestamp,
) -> Result<WorkingCopy, Problem> {
    let found = draft_check::recheck(tx, &mut drafted.content, id, actor)?;
    drafted.refuse(found)?;
    let Drafted { mut content, warnings, .. } = drafted;
    draft_check::settle_slug(tx, &mut content, id, actor)?;
    let row = store::with_columns(new_row(id, Some(actor), now), &content);
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
