//! One look-up for a front end's catch-all route: what a path of the public site leads to.
//!
//! What has its address there now comes first, then a redirect that somebody made, then a former slug, then what was
//! there and is gone.

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::articles::{self, Article, Withdrawal};
use crate::authors::{self, Author};
use crate::categories::{self, Category};
use crate::cdn::keys::Set;
use crate::config::Config;
use crate::db::Conn;
use crate::http::{Delivered, Operations, Problem, Query};
use crate::redirects::{self, Redirect, RedirectReason};
use crate::state::{App, PublicReader};
use crate::text;

/// The operations of this feature.
pub(crate) fn operations() -> Operations {
    Operations::new().operation(__path_resolve_path, resolve_path)
}

/// Which path is looked up.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResolvePath {
    /// A path of the public site; a query, a fragment and a slash at its end don't count.
    #[param(min_length = 1, max_length = 2000, pattern = "^/", example = "/articles/first-steps")]
    path: String,
}

/// What a path leads to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", content = "resource", rename_all = "snake_case")]
pub(crate) enum Resolution {
    /// An article.
    Article(Box<Article>),
    /// An author.
    Author(Author),
    /// A category.
    Category(Category),
    /// Another place.
    Redirect(Redirect),
    /// An article was there and is withdrawn.
    Gone(Withdrawal),
}

/// Resolve a path
///
/// What a path of the public site leads to, in one look-up, by the path templates of the settings: an article, author or
/// category with all that its own address answers, a redirect to follow, or that an article was there and is gone.
/// Open to anyone.
#[utoipa::path(
    get, path = "/api/v1/resolve", tag = "Redirects",
    responses((status = 404, description = "Nothing is there, nor was."))
)]
pub(crate) async fn resolve_path(
    app: Data<App>,
    Query(query): Query<ResolvePath>,
) -> Result<Delivered<Resolution>, Problem> {
    let (found, seen) = app
        .read_public(move |reader| {
            // Whatever comes to be at the path later.
            reader.names(|| [Set::Articles, Set::Authors, Set::Categories, Set::Redirects].map(Set::key));
            resolve(reader, &query.path)?.ok_or_else(Problem::not_found)
        })
        .await?;
    Ok(app.delivered(found, seen))
}

/// What a path leads to; none where nothing is there, nor was.
///
/// # Errors
/// What the database says.
fn resolve(reader: &mut PublicReader<'_>, path: &str) -> Result<Option<Resolution>, Problem> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if let Some(present) = present(reader, path)? {
        return Ok(Some(present));
    }
    let (conn, config) = (&mut *reader.conn, reader.config);
    if let Some(redirect) = redirects::made_by_hand(conn, path)? {
        return Ok(Some(Resolution::Redirect(redirect)));
    }
    if let Some(redirect) = by_former_slug(conn, config, path)? {
        return Ok(Some(Resolution::Redirect(redirect)));
    }
    match slug_in(&config.article_path, path) {
        Some(slug) => Ok(articles::withdrawal(conn, config, slug)?.map(Resolution::Gone)),
        None => Ok(None),
    }
}

fn present(reader: &mut PublicReader<'_>, path: &str) -> Result<Option<Resolution>, Problem> {
    if let Some(slug) = slug_in(&reader.config.article_path, path)
        && let Some(article) = articles::public(reader, slug)?
    {
        return Ok(Some(Resolution::Article(Box::new(article))));
    }
    let (conn, config) = (&mut *reader.conn, reader.config);
    if let Some(slug) = slug_in(&config.author_path, path)
        && let Some(author) = authors::public(conn, slug)?
    {
        return Ok(Some(Resolution::Author(author)));
    }
    match slug_in(&config.category_path, path) {
        Some(slug) => Ok(categories::public(conn, slug)?.map(Resolution::Category)),
        None => Ok(None),
    }
}

/// Whether something has its address at a path now.
///
/// # Errors
/// What the database says.
pub(crate) fn is_present(conn: &mut Conn, config: &Config, path: &str) -> Result<bool, Problem> {
    if let Some(slug) = slug_in(&config.article_path, path)
        && articles::is_public(conn, slug)?
    {
        return Ok(true);
    }
    if let Some(slug) = slug_in(&config.author_path, path)
        && authors::has_slug(conn, slug)?
    {
        return Ok(true);
    }
    match slug_in(&config.category_path, path) {
        Some(slug) => categories::has_slug(conn, slug),
        None => Ok(false),
    }
}

fn by_former_slug(conn: &mut Conn, config: &Config, path: &str) -> Result<Option<Redirect>, Problem> {
    if let Some(slug) = slug_in(&config.article_path, path)
        && let Some(present) = articles::present_slug(conn, slug)?
    {
        return Ok(Some(redirects::former(config, RedirectReason::Article, slug, &present)));
    }
    if let Some(slug) = slug_in(&config.author_path, path)
        && let Some(present) = authors::present_slug(conn, slug)?
    {
        return Ok(Some(redirects::former(config, RedirectReason::Author, slug, &present)));
    }
    if let Some(slug) = slug_in(&config.category_path, path)
        && let Some(present) = categories::present_slug(conn, slug)?
    {
        return Ok(Some(redirects::former(config, RedirectReason::Category, slug, &present)));
    }
    Ok(None)
}

/// Whether a path is one that a template of the settings makes.
pub(crate) fn has_template(config: &Config, path: &str) -> bool {
    [&config.article_path, &config.author_path, &config.category_path]
        .into_iter()
        .any(|template| slug_in(template, path).is_some())
}

/// Whether a path leads to something, at once or by a redirect.
///
/// # Errors
/// What the database says.
pub(crate) fn leads_somewhere(conn: &mut Conn, config: &Config, path: &str) -> Result<bool, Problem> {
    Ok(is_present(conn, config, path)?
        || redirects::made_by_hand(conn, path)?.is_some()
        || by_former_slug(conn, config, path)?.is_some())
}

/// The slug that a path has in the place of its template.
pub(crate) fn slug_in<'p>(template: &str, path: &'p str) -> Option<&'p str> {
    let (before, after) = template.split_once("{slug}")?;
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    let slug = path.strip_prefix(before)?.strip_suffix(after.trim_end_matches('/'))?;
    text::is_slug(slug).then_some(slug)
}

/// The path of an address on the public site.
pub(crate) fn path_on_site<'t>(config: &Config, target: &'t str) -> Option<&'t str> {
    let path = match target.strip_prefix(&config.site_url) {
        Some(path) => path,
        None => target,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    (path.starts_with('/') && !path.starts_with("//")).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_stands_where_the_template_says() {
        for (template, path, slug) in [
            ("/articles/{slug}", "/articles/first-steps", Some("first-steps")),
            ("/articles/{slug}", "/articles/first-steps/", Some("first-steps")),
            ("/articles/{slug}/", "/articles/first-steps", Some("first-steps")),
            ("/{slug}.html", "/first.html", Some("first")),
            ("/{slug}", "/", None),
            ("/articles/{slug}", "/articles/a/b", None),
            ("/articles/{slug}", "/Articles/a", None),
            ("/articles/{slug}", "/articles/Ä", None),
        ] {
            assert_eq!(slug_in(template, path), slug, "{template} {path}");
        }
    }
}
