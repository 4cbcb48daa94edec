//! The SQL of revisions: what each save holds, and how long it stays.
//!
//! A revision that an autosave has replaced, or that lies beyond the bound of the setting, is *retired*: it is not
//! listed any more and can't be read or published, but for a day edits that began with it can still be merged.

use diesel::dsl;
use diesel::prelude::*;

use super::model::{ArticleId, Content, from_stored, stored};
use super::preview_links;
use super::store::{self, ArticleRow};
use crate::auth::{Actor, UserId};
use crate::config::Config;
use crate::db::{Conn, Timestamp, Tx};
use crate::http::Problem;
use crate::schema::revisions;

/// For how many seconds a retired revision is kept.
const RETIRED_SECONDS: i64 = 24 * 60 * 60;

/// How a revision is saved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saving {
    /// Who saves it.
    pub by: Option<UserId>,
    /// When.
    pub at: Timestamp,
    /// Whether it is saved by itself.
    pub autosave: bool,
    /// How many revisions of an article are listed, where there is a bound.
    pub most: Option<u32>,
}

impl Saving {
    /// What somebody means to save.
    pub(super) fn of(actor: Actor, config: &Config, at: Timestamp) -> Self {
        Self { by: Some(actor.user), at, autosave: false, most: config.most_revisions }
    }
}

/// The revisions of an article that are listed.
#[dsl::auto_type(no_type_alias)]
pub(super) fn listed(id: ArticleId) -> _ {
    let of_article: dsl::Eq<revisions::article_id, ArticleId> = revisions::article_id.eq(id);
    revisions::table.filter(of_article).filter(revisions::retired_at.is_null())
}

/// The content of a listed revision, with replaced ids resolved.
pub(super) fn content(conn: &mut Conn, id: ArticleId, number: i64) -> Result<Option<Content>, Problem> {
    let of_number = listed(id).filter(revisions::number.eq(number));
    let text = of_number.select(revisions::content).first(conn).optional()?;
    resolved(conn, text)
}

/// When a listed revision was saved.
pub(super) fn saved_at(conn: &mut Conn, id: ArticleId, number: i64) -> Result<Option<Timestamp>, Problem> {
    let of_number = listed(id).filter(revisions::number.eq(number));
    Ok(of_number.select(revisions::saved_at).first(conn).optional()?)
}

/// The content that was the working copy at a version of its article, also where it is retired; none where nobody
/// remembers.
pub(super) fn at_version(conn: &mut Conn, id: ArticleId, row_version: i64) -> Result<Option<Content>, Problem> {
    let found: Option<(i64, String)> = revisions::table
        .filter(revisions::article_id.eq(id))
        .filter(revisions::row_version.le(row_version))
        .order(revisions::row_version.desc())
        .select((revisions::number, revisions::content))
        .first(conn)
        .optional()?;
    let Some((number, text)) = found else { return Ok(None) };
    // What is deleted since would be taken for the one before it.
    let next: Option<Option<i64>> = revisions::table
        .filter(revisions::article_id.eq(id))
        .filter(revisions::row_version.gt(row_version))
        .order(revisions::row_version.asc())
        .select(revisions::based_on)
        .first(conn)
        .optional()?;
    if next.is_some_and(|based_on| based_on != Some(number)) {
        return Ok(None);
    }
    resolved(conn, Some(text))
}

fn resolved(conn: &mut Conn, text: Option<String>) -> Result<Option<Content>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let mut contents = [from_stored(&text)?];
    store::resolve_replaced(conn, &mut contents)?;
    let [content] = contents;
    Ok(Some(content))
}

/// The number of the next revision: none is given twice.
pub(super) fn next_number(conn: &mut Conn, id: ArticleId) -> Result<i64, Problem> {
    let of_article = revisions::table.filter(revisions::article_id.eq(id));
    let last: Option<i64> = of_article.select(dsl::max(revisions::number)).first(conn)?;
    Ok(last.unwrap_or_default() + 1)
}

/// A revision that is to be stored.
pub(super) struct NewRevision<'a> {
    /// Its article.
    pub article_id: ArticleId,
    /// Its number.
    pub number: i64,
    /// The version of the article that the save makes; none where it is not the working copy.
    pub row_version: Option<i64>,
    /// The revision that it was made from.
    pub based_on: Option<i64>,
    /// What it holds.
    pub content: &'a Content,
}

/// Stores a revision.
pub(super) fn insert(tx: &mut Tx<'_>, new: &NewRevision<'_>, saving: Saving) -> Result<(), Problem> {
    diesel::insert_into(revisions::table)
        .values((
            revisions::article_id.eq(new.article_id),
            revisions::number.eq(new.number),
            revisions::content.eq(stored(new.content)?),
            revisions::saved_at.eq(saving.at),
            revisions::saved_by.eq(saving.by),
            revisions::row_version.eq(new.row_version),
            revisions::based_on.eq(new.based_on),
            revisions::autosave.eq(saving.autosave),
        ))
        .execute(&mut **tx)?;
    Ok(())
}

/// Whether a revision is listed: another save may have retired it meanwhile.
pub(super) fn is_listed(conn: &mut Conn, id: ArticleId, number: i64) -> Result<bool, Problem> {
    Ok(diesel::select(dsl::exists(listed(id).filter(revisions::number.eq(number)))).get_result(conn)?)
}

/// Says that somebody means to keep a revision: no autosave takes its place from then on.
pub(super) fn settle(tx: &mut Tx<'_>, id: ArticleId, number: i64) -> Result<(), Problem> {
    let target = revisions::table.find((id, number)).filter(revisions::autosave.eq(true));
    diesel::update(target).set(revisions::autosave.eq(false)).execute(&mut **tx)?;
    Ok(())
}

/// Retires what the revision that was just saved has replaced: the same person's autosave that it was made from (one
/// that somebody has saved upon since may be the only place where its text stands), and what lies beyond the bound, but
/// nothing that is named, public, scheduled, previewed or the working copy.
pub(super) fn retire(tx: &mut Tx<'_>, saved: &ArticleRow, based_on: i64, saving: Saving) -> Result<(), Problem> {
    let id = saved.id;
    let retired = revisions::retired_at.eq(saving.at);
    if saving.autosave && saving.by.is_some() {
        let own = revisions::table.find((id, based_on)).filter(revisions::saved_by.eq(saving.by));
        diesel::update(own.filter(revisions::autosave.eq(true))).set(retired).execute(&mut **tx)?;
    }
    let Some(most) = saving.most else { return Ok(()) };
    let beyond = listed(id).order(revisions::number.desc()).offset(i64::from(most)).select(revisions::number);
    let Some(newest_beyond): Option<i64> = beyond.first(&mut **tx).optional()? else { return Ok(()) };
    let scheduled = saved.schedule.as_ref().map(|schedule| schedule.0.revision);
    let mut pinned = preview_links::revisions_of(tx, id, saving.at)?;
    pinned.extend(saved.published_revision.into_iter().chain(scheduled).chain([saved.revision]));
    let unpinned = revisions::table
        .filter(revisions::article_id.eq(id))
        .filter(revisions::retired_at.is_null())
        .filter(revisions::number.le(newest_beyond))
        .filter(revisions::number.ne_all(pinned))
        .filter(revisions::name.is_null());
    diesel::update(unpinned).set(retired).execute(&mut **tx)?;
    Ok(())
}

/// Deletes what was retired a day ago.
pub(crate) fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Problem> {
    let over = revisions::table.filter(revisions::retired_at.le(now.plus_seconds(-RETIRED_SECONDS)));
    diesel::delete(over).execute(&mut **tx)?;
    Ok(())
}
