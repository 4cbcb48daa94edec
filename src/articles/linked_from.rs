//! What links to an article: what its readers lose when it goes.

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use super::model::ArticleId;
use super::published;
use super::store::{self, ArticleRow};
use crate::auth::Actor;
use crate::config::Config;
use crate::db::Conn;
use crate::http::{Problem, Warning};
use crate::schema::article_references;
use crate::slugs;

/// How many are shown.
const MOST_SHOWN: usize = 100;
/// How many are looked at.
const MOST_FOUND: i64 = 2000;

/// The articles that link to one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct LinkedFrom {
    /// The articles, public ones first: at most a hundred.
    #[schema(max_items = 100)]
    pub items: Vec<LinkingArticle>,
    /// How many public articles link to it: their links become mere text when it goes.
    #[schema(minimum = 0)]
    pub public_count: usize,
}

/// An article that links to another.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct LinkingArticle {
    /// The id.
    id: ArticleId,
    /// The title: of what is public where that has the link, else of the working copy.
    title: String,
    /// The slug of the same.
    slug: String,
    /// Whether what is public of it has the link.
    public: bool,
    /// Whether its working copy has the link.
    working_copy: bool,
}

/// What links to an article, as far as the actor may know of it.
pub(super) fn of(conn: &mut Conn, config: &Config, article: &ArticleRow, actor: Actor) -> Result<LinkedFrom, Problem> {
    let found = linking(conn, config, article)?;
    let public_count = found.values().filter(|(public, _)| *public).count();
    let mut ids: Vec<_> = found.into_iter().collect();
    ids.sort_by_key(|(_, (public, _))| !public);
    let mut items = Vec::new();
    for (id, (public, working_copy)) in ids {
        if items.len() == MOST_SHOWN {
            break;
        }
        let row = store::by_id(conn, id)?;
        let may_edit = match &row {
            Some(row) => row.trashed_at.is_none() && store::may_edit(conn, row, actor)?,
            None => false,
        };
        if public && let Some(row) = published::by_id(conn, id)? {
            let title = row.summary.0.content.title;
            items.push(LinkingArticle { id, title, slug: row.slug, public, working_copy: working_copy && may_edit });
        } else if let Some(row) = row.filter(|_| may_edit) {
            items.push(LinkingArticle { id, title: row.title, slug: row.slug, public: false, working_copy });
        }
    }
    Ok(LinkedFrom { items, public_count })
}

/// A warning to who withdraws or deletes an article that public ones link to.
pub(super) fn warning(conn: &mut Conn, config: &Config, article: &ArticleRow) -> Result<Option<Warning>, Problem> {
    let count = linking(conn, config, article)?.values().filter(|(public, _)| *public).count();
    let reason = match count {
        0 => return Ok(None),
        1 => "One public article links here; `GET …/checks` says which.".to_owned(),
        _ => format!("{count} public articles link here; `GET …/checks` says which."),
    };
    Ok(Some(Warning { pointer: String::new(), removed: None, reason }))
}

/// Which articles link to one: whether what is public of each does, and whether its working copy does.
fn linking(
    conn: &mut Conn,
    config: &Config,
    article: &ArticleRow,
) -> Result<BTreeMap<ArticleId, (bool, bool)>, Problem> {
    let mut slugs = slugs::all_former(conn, slugs::Kind::Article, article.id.uuid())?;
    slugs.push(article.slug.clone());
    slugs.extend(published::by_id(conn, article.id)?.map(|row| row.slug));
    let mut targets: Vec<Vec<u8>> = vec![store::link_target(&format!("article:{}", article.id))];
    for slug in slugs {
        let path = config.article_path.replace("{slug}", &slug);
        let path = path.trim_end_matches('/');
        targets.push(store::link_target(path));
        targets.push(store::link_target(&format!("{}{path}", config.site_url)));
    }
    let rows: Vec<(String, ArticleId)> = article_references::table
        .filter(article_references::kind.eq_any([store::LINK, store::PUBLISHED_LINK]))
        .filter(article_references::target.eq_any(targets))
        .filter(article_references::article_id.ne(article.id))
        .select((article_references::kind, article_references::article_id))
        .limit(MOST_FOUND)
        .load(conn)?;
    let mut found = BTreeMap::new();
    for (kind, id) in rows {
        let (public, working_copy): &mut (bool, bool) = found.entry(id).or_default();
        *public |= kind == store::PUBLISHED_LINK;
        *working_copy |= kind == store::LINK;
    }
    Ok(found)
}
