//! Publishing and withdrawing: what moves an article into the published tables and out of them.

use super::draft_check;
use super::editing::event;
use super::history;
use super::lifecycle::{Move, Visibility};
use super::model::{ArticleId, Content, published_parts};
use super::published::{self, PublishedRow, WithdrawnRow};
use super::schedule::{self, Plan, Times};
use super::store::{self, ArticleRow};
use crate::auth::Actor;
use crate::changes::{PublicChange, Who, record};
use crate::db::{Conn, Document, Timestamp, Tx};
use crate::http::problem::CONFLICT;
use crate::http::{Fault, Problem};
use crate::text::{self, Rendered};

/// A revision that is to be public.
pub(super) struct Revision {
    /// The article.
    pub id: ArticleId,
    /// The revision's number.
    pub number: i64,
    /// Its content, bodies included.
    pub content: Content,
}

/// A revision, rendered and ready to be public.
pub(super) struct Prepared {
    revision: Revision,
    rendered: Rendered,
}

impl Revision {
    /// Renders the revision at once: for content that the program brings in by itself.
    pub(super) fn prepare(self) -> Prepared {
        let rendered = text::render(&self.content.body_markdown);
        self.with(rendered)
    }

    /// The revision with its rendering.
    pub(super) fn with(self, rendered: Rendered) -> Prepared {
        Prepared { revision: self, rendered }
    }
}

impl Prepared {
    /// The revision.
    pub(super) fn revision(&self) -> &Revision {
        &self.revision
    }
}

/// Loads the revision that is to be public, now or later.
pub(super) fn load(
    conn: &mut Conn,
    id: ArticleId,
    number: i64,
    times: Times,
    actor: Actor,
    now: Timestamp,
) -> Result<Revision, Problem> {
    let row = store::editable(conn, id, actor)?;
    row.state().after(times.plan(&row, number, actor.user, now)?.step, actor.role)?;
    let content = history::content(conn, id, number)?.ok_or_else(no_such_revision)?;
    not_ready(content.publication_faults())?;
    Ok(Revision { id, number, content })
}

/// The body names a revision that is not listed.
pub(super) fn no_such_revision() -> Problem {
    let message = "The article has no revision of this number.";
    Problem::invalid_body(vec![Fault::body("/revision", "not_found", message)])
}

/// Refuses a revision that lacks something.
pub(super) fn not_ready(faults: Vec<Fault>) -> Result<(), Problem> {
    if faults.is_empty() {
        return Ok(());
    }
    let detail =
        "The revision is not ready to be public; `errors` says what is missing. Save it and publish the new revision.";
    Err(Problem::new(&CONFLICT, detail).with_faults(faults))
}

/// Makes the revision public, now or later. Asking for what is so already changes nothing.
pub(super) fn publish(
    tx: &mut Tx<'_>,
    row: ArticleRow,
    mut prepared: Prepared,
    times: Times,
    actor: Actor,
    now: Timestamp,
) -> Result<ArticleRow, Problem> {
    let Revision { id, number, content } = &mut prepared.revision;
    let Plan { step, later, schedule } = times.plan(&row, *number, actor.user, now)?;
    let next = row.state().after(step, actor.role)?;
    let is_public = row.published_revision == Some(*number);
    let is_as_asked = row.schedule.as_ref().map(|present| &present.0) == schedule.as_ref();
    if (later || is_public) && is_as_asked && next == row.state() {
        return Ok(row);
    }
    if !history::is_listed(tx, *id, *number)? {
        return Err(no_such_revision());
    }
    // An older revision may name what is gone by now.
    not_ready(draft_check::recheck(tx, content, *id, actor)?)?;
    draft_check::settle_slug(tx, &mut content.clone(), row.id, actor)?;
    if later || is_public {
        let review = row.review.clone().filter(|_| next.in_review);
        return schedule::set(tx, ArticleRow { review, ..row }, schedule, content, actor.who(), now);
    }
    check_translation(tx, &prepared.revision)?;
    let row = if is_as_asked { row } else { schedule::clear(tx, row)?.with_schedule(schedule, None) };
    put(tx, row, prepared, actor.who(), "article.publish", (now, now))
}

/// Stores what is public and says so in both logs; `at` is when it came out, `now` when that is done.
pub(super) fn put(
    tx: &mut Tx<'_>,
    row: ArticleRow,
    prepared: Prepared,
    who: Who,
    action: &'static str,
    (at, now): (Timestamp, Timestamp),
) -> Result<ArticleRow, Problem> {
    let never = Timestamp::from_unix_millis(0);
    let first_published_at = if row.first_published_at == never { at } else { row.first_published_at };
    let Prepared { revision: Revision { number, content, .. }, rendered } = prepared;
    let (summary, body) = published_parts(content.clone(), rendered);
    let slug = content.slug.clone().ok_or_else(|| Problem::internal("what is to be public has no slug"))?;
    let public = PublishedRow {
        article_id: row.id,
        slug,
        language: content.language.clone().unwrap_or_default(),
        title_key: text::sort_key(&content.title),
        translation_root: content.translation_of.unwrap_or(row.id),
        published_at: content.published_at.unwrap_or(first_published_at),
        updated_at: at,
        summary: Document(summary),
    };
    let was_public = row.state().visibility == Visibility::Public;
    let change = if was_public { PublicChange::updated(&public.slug) } else { PublicChange::created(&public.slug) };
    let touched = published::put(tx, &public, &body)?;
    history::settle(tx, row.id, number)?;
    store::write_pinned_references(tx, row.id, "published", Some(&content))?;
    store::write_published_links(tx, row.id, Some(&content))?;
    let review = row.review.filter(|_| row.revision != number);
    let row = ArticleRow {
        row_version: row.row_version + 1,
        published_revision: Some(number),
        review,
        schedule_failure: None,
        first_published_at,
        published_at: public.published_at,
        withdrawn_at: None,
        ..row
    };
    store::update(tx, &row)?;
    record(tx, &event(&row, who, action, now, Some(change.touching(touched))))?;
    Ok(row)
}

/// Of one original there is one public article in each language.
pub(super) fn check_translation(tx: &mut Tx<'_>, revision: &Revision) -> Result<(), Problem> {
    let root = revision.content.translation_of.unwrap_or(revision.id);
    let language = revision.content.language.clone().unwrap_or_default();
    match published::translation_in(tx, root, &language, revision.id)? {
        None => Ok(()),
        Some(other) => Err(Problem::conflict(
            "Another public article translates the same original into this language; withdraw it or change the language.",
        )
        .with_member("holder", serde_json::json!({ "kind": "article", "id": other.article_id, "slug": other.slug }))),
    }
}

/// The article that an id or a present slug names as the successor of another.
pub(super) fn successor(conn: &mut Conn, id: ArticleId, name: Option<&str>) -> Result<Option<ArticleId>, Problem> {
    let Some(name) = name else { return Ok(None) };
    let found = published::named(conn, name)?;
    let fault = |code, message: &str| Err(Problem::invalid_body(vec![Fault::body("/successor", code, message)]));
    match found {
        None => fault("not_found", "There is no public article of this id or slug."),
        Some(found) if found == id => fault("self", "An article is not its own successor."),
        Some(found) => Ok(Some(found)),
    }
}

/// Takes an article out of delivery and off the schedule.
pub(super) fn unpublish(
    tx: &mut Tx<'_>,
    row: ArticleRow,
    successor_id: Option<ArticleId>,
    actor: Actor,
    now: Timestamp,
) -> Result<ArticleRow, Problem> {
    row.state().after(Move::Unpublish, actor.role)?;
    if row.published_revision.is_some() {
        return withdraw(tx, row, successor_id, actor.who(), now);
    }
    if successor_id.is_some() {
        let message = "The article is not public, so nobody has to be led elsewhere.";
        return Err(Problem::invalid_body(vec![Fault::body("/successor", "not_public", message)]));
    }
    let row = schedule::clear(tx, row)?;
    let row = ArticleRow { row_version: row.row_version + 1, ..row };
    store::update(tx, &row)?;
    record(tx, &event(&row, actor.who(), "article.unschedule", now, None))?;
    Ok(row)
}

/// Takes a public article out of delivery, and off the schedule.
pub(super) fn withdraw(
    tx: &mut Tx<'_>,
    row: ArticleRow,
    successor_id: Option<ArticleId>,
    who: Who,
    now: Timestamp,
) -> Result<ArticleRow, Problem> {
    let row = schedule::clear(tx, row)?;
    let public = published::by_id(tx, row.id)?.ok_or_else(|| Problem::internal("a public article is not published"))?;
    let touched = published::remove(tx, row.id)?;
    let slug = public.slug;
    published::put_withdrawn(
        tx,
        &WithdrawnRow { article_id: row.id, slug: slug.clone(), withdrawn_at: now, successor_id },
    )?;
    store::write_pinned_references(tx, row.id, "published", None)?;
    store::write_published_links(tx, row.id, None)?;
    let row = ArticleRow { row_version: row.row_version + 1, published_revision: None, withdrawn_at: Some(now), ..row };
    store::update(tx, &row)?;
    record(tx, &event(&row, who, "article.unpublish", now, Some(PublicChange::removed(slug).touching(touched))))?;
    Ok(row)
}

/// Moves an article to the trash.
pub(super) fn trash(
    tx: &mut Tx<'_>,
    row: ArticleRow,
    unpublish: bool,
    actor: Actor,
    now: Timestamp,
) -> Result<ArticleRow, Problem> {
    row.state().after(Move::Trash { unpublish }, actor.role)?;
    let row = match row.published_revision {
        Some(_) => withdraw(tx, row, None, actor.who(), now)?,
        None => schedule::clear(tx, row)?,
    };
    let row = ArticleRow { row_version: row.row_version + 1, trashed_at: Some(now), review: None, ..row };
    store::update(tx, &row)?;
    record(tx, &event(&row, actor.who(), "article.trash", now, None))?;
    Ok(row)
}
