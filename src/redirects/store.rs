//! The SQL of redirects, and all of them together with those that former slugs leave behind.

use std::collections::BTreeMap;

use diesel::prelude::*;
use percent_encoding::percent_decode_str;
use serde_json::json;
use uuid::Uuid;

use super::{ListRedirects, ManagedRedirect, Redirect, RedirectContent, RedirectId, RedirectReason};
use crate::changes::{Event, PublicChange, SubjectKind, Who, record};
use crate::config::Config;
use crate::db::list::{List, Place, SortKey};
use crate::db::{Conn, Document, Timestamp, Tx};
use crate::http::problem::CONFLICT;
use crate::http::{Fault, Found, ListOf, ListQuery, NoParameters, Problem, SortKind, SortValue, Sorted, Warning, page};
use crate::resolve::{self, path_on_site};
use crate::schema::{authors, categories, former_slugs, published_articles, redirects};

/// How many redirects that lead on to each other are followed: browsers give up after about as many.
const MOST_STEPS: usize = 20;

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = redirects)]
pub(super) struct RedirectRow {
    id: RedirectId,
    pub(super) row_version: i64,
    from_key: String,
    pub(super) content: Document<RedirectContent>,
    created_at: Timestamp,
    saved_at: Timestamp,
}

impl Sorted for RedirectRow {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Text(self.from_key.clone())]
    }
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
}

impl RedirectRow {
    pub(super) fn managed(self, warnings: Vec<Warning>) -> ManagedRedirect {
        let (created_at, saved_at) = (self.created_at, self.saved_at);
        ManagedRedirect { content: self.content.0, id: self.id, created_at, saved_at, warnings }
    }

    fn public(self) -> Redirect {
        let RedirectContent { from, to, permanent } = self.content.0;
        Redirect { from, to, permanent, reason: RedirectReason::Manual }
    }

    fn event(&self, who: Who, action: &'static str, change: fn(String) -> PublicChange, at: Timestamp) -> Event {
        let public = Some(change(self.content.0.from.clone()));
        Event { at, who, action, kind: SubjectKind::Redirect, id: Some(self.id.uuid()), public }
    }
}

/// Every path is the only one of its sort value.
impl Sorted for Redirect {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Text(key(&self.from))]
    }
    fn id(&self) -> Uuid {
        Uuid::nil()
    }
}

/// The form that paths are compared in: decoded but for slashes, without a slash at the end.
pub(super) fn key(path: &str) -> String {
    // A decoded slash would be another path.
    let path = path.replace("%2F", "%252F").replace("%2f", "%252F");
    let decoded = percent_decode_str(&path).decode_utf8_lossy();
    match decoded.trim_end_matches('/') {
        "" => "/".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

type Part<T> = (ListOf<T>, Option<String>);

pub(super) fn managed_part(conn: &mut Conn, query: &ListQuery<NoParameters>) -> Result<Part<ManagedRedirect>, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Text])?;
    let limit = query.paging.limit;
    let list = List::new("redirects", "id", vec![SortKey { column: "from_key", descending: false }]);
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let wanted: Vec<RedirectId> = ids.ids.iter().map(|id| RedirectId::from_uuid(*id)).collect();
    let of_ids = redirects::table.filter(redirects::id.eq_any(wanted)).order(redirects::from_key);
    let rows: Vec<RedirectRow> = of_ids.select(RedirectRow::as_select()).load(conn)?;
    let found = Found { items: rows, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    Ok((ListOf { items: found.items.into_iter().map(|row| row.managed(Vec::new())).collect(), page }, links))
}

/// One part of all redirects.
pub(super) fn part(
    conn: &mut Conn,
    config: &Config,
    query: &ListQuery<ListRedirects>,
) -> Result<Part<Redirect>, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Text])?;
    let limit = query.paging.limit;
    let all = all(conn, config)?;
    let size = limit as usize;
    let total = start.counts().then(|| i64::try_from(all.len()).unwrap_or(i64::MAX));
    let (items, more) = match start.place(limit) {
        Place::Offset(offset) => {
            let rest = all.into_iter().skip(usize::try_from(offset).unwrap_or(usize::MAX));
            let mut items: Vec<_> = rest.take(size + 1).collect();
            let more = items.len() > size;
            items.truncate(size);
            (items, more)
        }
        Place::Next { values, backward, .. } => {
            let place = match values {
                [SortValue::Text(text), ..] => text.as_str(),
                _ => "",
            };
            let keep = |one: &Redirect| {
                if backward { key(&one.from).as_str() < place } else { key(&one.from).as_str() > place }
            };
            let beside: Vec<_> = all.into_iter().filter(keep).collect();
            let more = beside.len() > size;
            let skip = if backward { beside.len().saturating_sub(size) } else { 0 };
            (beside.into_iter().skip(skip).take(size).collect(), more)
        }
    };
    let found = Found { items, more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    Ok((ListOf { items: found.items, page }, links))
}

/// Every path that leads elsewhere, in the order of the paths.
pub(super) fn all(conn: &mut Conn, config: &Config) -> Result<Vec<Redirect>, Problem> {
    let mut by_key = BTreeMap::new();
    for redirect in of_former_slugs(conn, config)? {
        by_key.insert(key(&redirect.from), redirect);
    }
    let rows: Vec<RedirectRow> = redirects::table.select(RedirectRow::as_select()).load(conn)?;
    for row in rows {
        by_key.insert(row.from_key.clone(), row.public());
    }
    // A former slug of an article is none of another's present one; with a path of its own it needs no look-up.
    let is_alone = ![&config.author_path, &config.category_path].contains(&&config.article_path);
    let mut leading = Vec::with_capacity(by_key.len());
    for redirect in by_key.into_values() {
        // What has its address there now needs no redirect, and a server that knew of one would hide it.
        let is_free = is_alone && redirect.reason == RedirectReason::Article;
        if is_free || !resolve::is_present(conn, config, &redirect.from)? {
            leading.push(redirect);
        }
    }
    Ok(leading)
}

fn of_former_slugs(conn: &mut Conn, config: &Config) -> Result<Vec<Redirect>, Problem> {
    let of_kind = |kind: &'static str| former_slugs::table.filter(former_slugs::kind.eq(kind));
    let articles: Vec<(String, String)> = of_kind("article")
        .inner_join(published_articles::table.on(published_articles::article_id.eq(former_slugs::target_id)))
        .select((former_slugs::slug, published_articles::slug))
        .load(conn)?;
    let authors: Vec<(String, String)> = of_kind("author")
        .inner_join(authors::table.on(authors::id.eq(former_slugs::target_id)))
        .select((former_slugs::slug, authors::slug))
        .load(conn)?;
    let categories: Vec<(String, String)> = of_kind("category")
        .inner_join(categories::table.on(categories::id.eq(former_slugs::target_id)))
        .select((former_slugs::slug, categories::slug))
        .load(conn)?;
    let article = |(from, to): (String, String)| former(config, RedirectReason::Article, &from, &to);
    let author = |(from, to): (String, String)| former(config, RedirectReason::Author, &from, &to);
    let category = |(from, to): (String, String)| former(config, RedirectReason::Category, &from, &to);
    let articles = articles.into_iter().map(article);
    Ok(articles.chain(authors.into_iter().map(author)).chain(categories.into_iter().map(category)).collect())
}

/// The redirect that a changed slug leaves behind.
pub(crate) fn former(config: &Config, reason: RedirectReason, from: &str, to: &str) -> Redirect {
    let path = |slug: &str| match reason {
        RedirectReason::Author => config.author_path.replace("{slug}", slug),
        RedirectReason::Category => config.category_path.replace("{slug}", slug),
        RedirectReason::Article | RedirectReason::Manual => config.article_path.replace("{slug}", slug),
    };
    Redirect { from: path(from), to: path(to), permanent: true, reason }
}

/// The redirect that somebody made from a path.
pub(crate) fn made_by_hand(conn: &mut Conn, path: &str) -> Result<Option<Redirect>, Problem> {
    Ok(by_key(conn, &key(path))?.map(RedirectRow::public))
}

fn by_key(conn: &mut Conn, key: &str) -> Result<Option<RedirectRow>, Problem> {
    let from = redirects::table.filter(redirects::from_key.eq(key));
    Ok(from.select(RedirectRow::as_select()).first(conn).optional()?)
}

pub(super) fn by_id(conn: &mut Conn, id: RedirectId) -> Result<Option<RedirectRow>, Problem> {
    Ok(redirects::table.find(id).select(RedirectRow::as_select()).first(conn).optional()?)
}

/// A redirect must not lead back to where it begins, also not by way of others; and its path must be text.
pub(super) fn faults(
    conn: &mut Conn,
    config: &Config,
    id: RedirectId,
    content: &RedirectContent,
) -> Result<Vec<Fault>, Problem> {
    if percent_decode_str(&content.from).decode_utf8().is_err() {
        return Ok(vec![Fault::body("/from", "format", "What is percent-encoded must be UTF-8.")]);
    }
    let from = key(&content.from);
    let mut to = content.to.clone();
    for _ in 0..MOST_STEPS {
        let Some(path) = path_on_site(config, &to).map(key) else { return Ok(Vec::new()) };
        if path == from {
            return Ok(vec![Fault::body("/to", "loop", "This leads back to `from`.")]);
        }
        // What this one says so far is about to change.
        match by_key(conn, &path)?.filter(|row| row.id != id) {
            Some(row) => to = row.content.0.to,
            None => return Ok(Vec::new()),
        }
    }
    Ok(vec![Fault::body("/to", "too_long", "Too many redirects lead on from there; name where they end.")])
}

pub(super) fn insert(
    tx: &mut Tx<'_>,
    id: RedirectId,
    content: RedirectContent,
    who: Who,
    now: Timestamp,
) -> Result<RedirectRow, Problem> {
    let from_key = free_key(tx, id, &content)?;
    let row = RedirectRow { id, row_version: 1, from_key, content: Document(content), created_at: now, saved_at: now };
    diesel::insert_into(redirects::table).values(&row).execute(&mut **tx)?;
    record(tx, &row.event(who, "redirect.create", PublicChange::created, now))?;
    Ok(row)
}

pub(super) fn save(
    tx: &mut Tx<'_>,
    before: RedirectRow,
    content: RedirectContent,
    who: Who,
    now: Timestamp,
) -> Result<RedirectRow, Problem> {
    if content == before.content.0 {
        return Ok(before);
    }
    let from_key = free_key(tx, before.id, &content)?;
    let row_version = before.row_version + 1;
    let row = RedirectRow { row_version, from_key, content: Document(content), saved_at: now, ..before };
    diesel::update(redirects::table.find(row.id)).set(&row).execute(&mut **tx)?;
    record(tx, &row.event(who, "redirect.update", PublicChange::updated, now))?;
    Ok(row)
}

pub(super) fn remove(tx: &mut Tx<'_>, row: &RedirectRow, who: Who, now: Timestamp) -> Result<(), Problem> {
    diesel::delete(redirects::table.find(row.id)).execute(&mut **tx)?;
    record(tx, &row.event(who, "redirect.delete", PublicChange::removed, now))
}

fn free_key(conn: &mut Conn, id: RedirectId, content: &RedirectContent) -> Result<String, Problem> {
    let key = key(&content.from);
    match by_key(conn, &key)?.filter(|holder| holder.id != id) {
        None => Ok(key),
        Some(holder) => Err(Problem::new(&CONFLICT, "There is a redirect from this path; change that one.")
            .with_member("holder", json!({ "kind": "redirect", "id": holder.id, "to": holder.content.0.to }))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_decoded_and_without_a_slash_at_the_end() {
        for (path, expected) in [("/", "/"), ("//", "/"), ("/a/", "/a"), ("/a%20b", "/a b"), ("/a%2fb", "/a%2Fb")] {
            assert_eq!(key(path), expected);
        }
    }
}
