//! Saving an article: what is slow is prepared under a read, the write only compares and stores.

use super::draft_check;
use super::model::{ArticleId, Content, Move, WorkingCopy};
use super::store::{self, ArticleRow};
use super::working_copy;
use crate::auth::Actor;
use crate::changes::{Event, PublicChange, SubjectKind, Who, record};
use crate::config::Config;
use crate::db::{Conn, Timestamp, Tx};
use crate::http::{Drafted, IfMatch, MergePatch, Problem, Strict};
use crate::text::{self, Rendered};

/// Renders the body for its warnings, and refuses what sanitising would remove where that is asked for.
pub(super) fn with_rendering(
    mut drafted: Drafted<Content>,
    strict: Strict,
) -> Result<(Drafted<Content>, Rendered), Problem> {
    let rendered = text::render(&drafted.content.body_markdown);
    let removed = rendered.removed.iter().map(|removed| removed.warning("/body_markdown"));
    drafted.warnings.extend(removed);
    strict.check(&drafted.warnings)?;
    Ok((drafted, rendered))
}

/// Loads, merges and checks a patch: may this caller edit this article, and what would it become?
#[expect(clippy::too_many_arguments, reason = "each is one of the request's parts")]
pub(super) fn draft(
    conn: &mut Conn,
    config: &Config,
    id: ArticleId,
    patch: MergePatch<Content>,
    if_match: &IfMatch,
    strict: Strict,
    actor: Actor,
    now: Timestamp,
) -> Result<(ArticleRow, Drafted<Content>, Rendered), Problem> {
    let row = store::editable(conn, id, actor)?;
    if_match.check(row.row_version)?;
    row.state().after(Move::Save).map_err(Problem::conflict)?;
    let present = working_copy::load(conn, config, row.clone())?;
    let drafted = patch.apply(&present.content, &present, |content| {
        draft_check::resolve(conn, content, id, actor, &config.language, now)
    })?;
    let (drafted, rendered) = with_rendering(drafted, strict)?;
    Ok((row, drafted, rendered))
}

/// Stores a new article.
pub(super) fn create(
    tx: &mut Tx<'_>,
    config: &Config,
    id: ArticleId,
    drafted: Drafted<Content>,
    rendered: &Rendered,
    actor: Actor,
    now: Timestamp,
) -> Result<WorkingCopy, Problem> {
    let Drafted { mut content, warnings } = drafted;
    draft_check::settle_slug(tx, &mut content, id, actor)?;
    let row = store::with_columns(new_row(id, Some(actor), now), &content);
    store::insert(tx, &row, &content)?;
    record(tx, &event(&row, actor.who(), "article.create", now, None))?;
    working_copy::with_content(tx, config, row, content, rendered, warnings)
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
    drafted: Drafted<Content>,
    rendered: &Rendered,
    actor: Actor,
    now: Timestamp,
) -> Result<(WorkingCopy, i64), Problem> {
    let row = store::editable(tx, seen.id, actor)?;
    IfMatch::Tags(vec![crate::http::conditional::version_tag(seen.row_version)]).check(row.row_version)?;
    let Drafted { mut content, warnings } = drafted;
    draft_check::settle_slug(tx, &mut content, row.id, actor)?;
    let row = if store::content(tx, row.id, row.revision)?.as_ref() == Some(&content) {
        row
    } else {
        let saved = store::save(tx, &row, &content, Some(actor.user), now)?;
        record(tx, &event(&saved, actor.who(), "article.update", now, None))?;
        saved
    };
    let row_version = row.row_version;
    Ok((working_copy::with_content(tx, config, row, content, rendered, warnings)?, row_version))
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
