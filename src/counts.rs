//! How many articles are public, by author, category, tag and language: kept as the articles come and
//! go, so that a count of a hundred thousand is one look-up.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::upsert::excluded;

use crate::authors::AuthorId;
use crate::categories::CategoryId;
use crate::db::{Conn, Id, Tx};
use crate::http::Problem;
use crate::schema::published_counts;

/// What articles are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Facet<'a> {
    /// Those of an author.
    Author(AuthorId),
    /// Those of a category or a descendant of it.
    Category(CategoryId),
    /// Those with a tag.
    Tag(&'a str),
}

impl Facet<'_> {
    /// The facet's kind in the tables.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Author(_) => "author",
            Self::Category(_) => "category",
            Self::Tag(_) => "tag",
        }
    }

    /// The facet's target in the tables.
    pub(crate) fn target(&self) -> Vec<u8> {
        match self {
            Self::Author(id) => id.bytes(),
            Self::Category(id) => id.bytes(),
            Self::Tag(tag) => tag.as_bytes().to_vec(),
        }
    }
}

/// How many public articles a facet has, in one language or in all.
///
/// # Errors
/// What the database says.
pub(crate) fn articles(conn: &mut Conn, facet: Facet<'_>, language: Option<&str>) -> Result<i64, Problem> {
    of(conn, facet.kind(), &facet.target(), language)
}

/// How many public articles a facet has, by its kind and target in the tables.
///
/// # Errors
/// What the database says.
pub(crate) fn of(conn: &mut Conn, kind: &str, target: &[u8], language: Option<&str>) -> Result<i64, Problem> {
    let mut query = published_counts::table
        .filter(published_counts::kind.eq(kind))
        .filter(published_counts::target.eq(target))
        .select(published_counts::articles)
        .into_boxed();
    if let Some(language) = language {
        query = query.filter(published_counts::language.eq(language.to_owned()));
    }
    // One row for each language of the site: the sum is of a handful.
    Ok(query.load::<i64>(conn)?.into_iter().sum())
}

/// How many public articles each of these has, in all languages; who is missing has none.
///
/// # Errors
/// What the database says.
pub(crate) fn each<K>(conn: &mut Conn, kind: &str, ids: &[Id<K>]) -> Result<HashMap<Id<K>, i64>, Problem> {
    let mut counts = HashMap::with_capacity(ids.len());
    // A statement can't bind any number of values.
    for ids in ids.chunks(1000) {
        let rows: Vec<(Id<K>, i64)> = published_counts::table
            .filter(published_counts::kind.eq(kind))
            .filter(published_counts::target.eq_any(ids))
            .select((published_counts::target, published_counts::articles))
            .load(conn)?;
        for (id, articles) in rows {
            *counts.entry(id).or_default() += articles;
        }
    }
    Ok(counts)
}

/// Adds to a count, or takes from it.
///
/// # Errors
/// What the database says.
pub(crate) fn add(tx: &mut Tx<'_>, kind: &str, target: &[u8], language: &str, by: i64) -> Result<(), Problem> {
    let row =
        published_counts::table.filter(published_counts::kind.eq(kind)).filter(published_counts::target.eq(target));
    if by < 0 {
        diesel::update(row.filter(published_counts::language.eq(language)))
            .set(published_counts::articles.eq(published_counts::articles + by))
            .execute(&mut **tx)?;
        diesel::delete(row.filter(published_counts::articles.eq(0))).execute(&mut **tx)?;
        return Ok(());
    }
    diesel::insert_into(published_counts::table)
        .values((
            published_counts::kind.eq(kind),
            published_counts::target.eq(target),
            published_counts::language.eq(language),
            published_counts::articles.eq(by),
        ))
        .on_conflict((published_counts::kind, published_counts::target, published_counts::language))
        .do_update()
        .set(published_counts::articles.eq(published_counts::articles + excluded(published_counts::articles)))
        .execute(&mut **tx)?;
    Ok(())
}
