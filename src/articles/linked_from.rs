//! What links to an article: what its readers lose when it goes.

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
/// How many drafts are looked at, of which some may not be shown.
const MOST_LOOKED_AT: usize = 500;

/// The articles that link to one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct LinkedFrom {
    /// The articles, public ones first: at most a hundred.
    #[schema(max_items = 100)]
    pub items: Vec<LinkingArticle>,
    /// How many public articles link to it: their links become mere text when it goes.
    #[schema(minimum = 0)]
    pub public_count: i64,
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
    let targets = targets(conn, config, article)?;
    let public = linking(conn, article, store::PUBLISHED_LINK, &targets)?;
    let working = linking(conn, article, store::LINK, &targets)?;
    let mut items = Vec::new();
    for id in &public {
        let may_edit = editable(conn, *id, actor)?.is_some();
        if let Some(row) = published::by_id(conn, *id)? {
            let (title, working_copy) = (row.summary.0.content.title, may_edit && working.contains(id));
            items.push(LinkingArticle { id: *id, title, slug: row.slug, public: true, working_copy });
        }
    }
    for id in working.into_iter().filter(|id| !public.contains(id)) {
        if items.len() >= MOST_SHOWN {
            break;
        }
        if let Some(row) = editable(conn, id, actor)? {
            items.push(LinkingArticle { id, title: row.title, slug: row.slug, public: false, working_copy: true });
        }
    }
    Ok(LinkedFrom { items, public_count: count(conn, article, &targets)? })
}

/// A warning to who withdraws or deletes an article that public ones link to.
pub(super) fn warning(conn: &mut Conn, config: &Config, article: &ArticleRow) -> Result<Option<Warning>, Problem> {
    let targets = targets(conn, config, article)?;
    let reason = match count(conn, article, &targets)? {
        0 => return Ok(None),
        1 => "One public article links here; `GET …/checks` says which.".to_owned(),
        count => format!("{count} public articles link here; `GET …/checks` says which."),
    };
    Ok(Some(Warning { pointer: String::new(), removed: None, reason }))
}

/// The article, where the actor may edit it and it is not in the trash.
fn editable(conn: &mut Conn, id: ArticleId, actor: Actor) -> Result<Option<ArticleRow>, Problem> {
    let Some(row) = store::by_id(conn, id)?.filter(|row| row.trashed_at.is_none()) else { return Ok(None) };
    Ok(if store::may_edit(conn, &row, actor)? { Some(row) } else { None })
}

/// All that a link to the article may say.
fn targets(conn: &mut Conn, config: &Config, article: &ArticleRow) -> Result<Vec<Vec<u8>>, Problem> {
    let mut slugs = slugs::all_former(conn, slugs::Kind::Article, article.id.uuid())?;
    slugs.push(article.slug.clone());
    slugs.extend(published::by_id(conn, article.id)?.map(|row| row.slug));
    let mut targets = vec![store::link_target(&format!("article:{}", article.id))];
    for slug in slugs {
        let path = config.article_path.replace("{slug}", &slug);
        let path = path.trim_end_matches('/');
        targets.push(store::link_target(path));
        targets.push(store::link_target(&format!("{}{path}", config.site_url)));
    }
    Ok(targets)
}

/// Other articles that have such a link: as many as are shown, or as many of which some may not be shown.
fn linking(conn: &mut Conn, article: &ArticleRow, kind: &str, targets: &[Vec<u8>]) -> Result<Vec<ArticleId>, Problem> {
    let most = if kind == store::PUBLISHED_LINK { MOST_SHOWN } else { MOST_LOOKED_AT };
    Ok(article_references::table
        .filter(article_references::kind.eq(kind))
        .filter(article_references::target.eq_any(targets))
        .filter(article_references::article_id.ne(article.id))
        .select(article_references::article_id)
        .distinct()
        .order(article_references::article_id)
        .limit(i64::try_from(most).unwrap_or(i64::MAX))
        .load(conn)?)
}

fn count(conn: &mut Conn, article: &ArticleRow, targets: &[Vec<u8>]) -> Result<i64, Problem> {
    Ok(article_references::table
        .filter(article_references::kind.eq(store::PUBLISHED_LINK))
        .filter(article_references::target.eq_any(targets))
        .filter(article_references::article_id.ne(article.id))
        .select(diesel::dsl::count(article_references::article_id).aggregate_distinct())
        .get_result(conn)?)
}
