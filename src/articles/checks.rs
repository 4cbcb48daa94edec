//! Quality checks: what an editor should look at before readers do, and what links to an article.
//!
//! Those that a setting marks as blocking refuse a publication.

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::history;
use super::linked_from::{self, LinkedFrom};
use super::model::{ArticleId, Content};
use super::published;
use super::store::{self, ArticleRow};
use crate::auth::{Actor, Caller, EditArticles};
use crate::config::{Check, Config};
use crate::db::{Conn, Timestamp};
use crate::http::problem::CONFLICT;
use crate::http::{Fault, Managed, Path, Problem, Query};
use crate::resolve;
use crate::state::App;
use crate::text::{self, Inspection, Rendered};

/// The longest title that search engines show, in characters.
const MAX_SEO_TITLE: usize = 60;
/// The longest description that search engines show, in characters.
const MAX_SEO_DESCRIPTION: usize = 160;
/// How many findings of one check are told.
const MOST_FINDINGS: usize = 50;

/// What should be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Finding {
    /// Which check found it.
    check: Check,
    /// Where, as a JSON Pointer (RFC 6901) into the article.
    #[schema(example = "/body_markdown")]
    pointer: String,
    /// What it is, for a person.
    message: String,
    /// Whether it keeps the article from being published.
    blocking: bool,
}

/// What was found in a revision.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Checks {
    /// The number of the revision.
    #[schema(minimum = 1)]
    revision: i64,
    /// What should be looked at.
    #[schema(max_items = 400)]
    findings: Vec<Finding>,
    /// What links to the article: look at that before it is withdrawn or deleted.
    linked_from: LinkedFrom,
}

/// What is checked.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CheckArticle {
    /// The number of a revision; without it, the working copy.
    #[param(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1)]
    revision: Option<i64>,
}

/// Check an article
///
/// What should be looked at before it is published (no text, no author, missing alt texts, headings that skip a level, empty and broken
/// links, links to what is not public, what is too long for search engines, an overdue review), and what links to it.
/// Contributors and authors reach their own articles, editors and admins all.
#[utoipa::path(get, path = "/api/v1/manage/articles/{id}/checks", tag = "Articles")]
pub(super) async fn check_article(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(query): Query<CheckArticle>,
) -> Result<Managed<Checks>, Problem> {
    let actor = caller.actor();
    let (row, revision, content) = app
        .db
        .read(move |conn| {
            let row = store::editable(conn, id, actor)?;
            let revision = query.revision.unwrap_or(row.revision);
            let content = history::content(conn, id, revision)?.ok_or_else(|| {
                let message = "The article has no revision of this number.";
                Problem::invalid_query(vec![Fault::query("revision", "not_found", message)])
            })?;
            Ok::<_, Problem>((row, revision, content))
        })
        .await?;
    let html = app.render(&content.body_markdown).await?.html;
    let inspection = app.renderer.run(move || text::inspect(&html)).await?;
    let (state, now) = (app.clone(), app.clock.now());
    let checks = app.db.read(move |conn| {
        let findings = findings(conn, &state.config, &content, &inspection, actor, now)?;
        let linked_from = linked_from::of(conn, &state.config, &row, actor)?;
        Ok::<_, Problem>(Checks { revision, findings, linked_from })
    });
    Ok(Managed::new(checks.await?))
}

/// What is needed to refuse what the setting marks as blocking; none where it marks nothing.
pub(super) async fn inspect_for_blocking(app: &App, rendered: &Rendered) -> Result<Option<Inspection>, Problem> {
    if app.config.blocking_checks.is_empty() {
        return Ok(None);
    }
    let html = rendered.html.clone();
    app.renderer.run(move || text::inspect(&html)).await.map(Some)
}

/// Refuses a revision that is not public yet and has something that the setting marks as blocking.
pub(super) fn refuse_blocking(
    conn: &mut Conn,
    config: &Config,
    row: &ArticleRow,
    (number, content): (i64, &Content),
    inspection: Option<&Inspection>,
    actor: Actor,
    now: Timestamp,
) -> Result<(), Problem> {
    let Some(inspection) = inspection.filter(|_| row.published_revision != Some(number)) else { return Ok(()) };
    refuse(blocking(conn, config, (content, inspection), actor, now)?)
}

/// What the checks that the setting marks as blocking find in a content.
pub(super) fn blocking(
    conn: &mut Conn,
    config: &Config,
    (content, inspection): (&Content, &Inspection),
    actor: Actor,
    now: Timestamp,
) -> Result<Vec<Fault>, Problem> {
    let found = findings(conn, config, content, inspection, actor, now)?;
    let blocking = found.into_iter().filter(|finding| finding.blocking);
    Ok(blocking.map(|finding| Fault::body(finding.pointer, finding.check.name(), finding.message)).collect())
}

/// Refuses what blocks a publication.
pub(super) fn refuse(faults: Vec<Fault>) -> Result<(), Problem> {
    if faults.is_empty() {
        return Ok(());
    }
    let detail = "The revision has what keeps it from being public here; `errors` says what. Save it without that and \
                  publish the new revision.";
    Err(Problem::new(&CONFLICT, detail).with_faults(faults))
}

/// What should be looked at in a content.
fn findings(
    conn: &mut Conn,
    config: &Config,
    content: &Content,
    inspection: &Inspection,
    actor: Actor,
    now: Timestamp,
) -> Result<Vec<Finding>, Problem> {
    let mut found = of_content(content, inspection, config.review_days, now);
    for target in &inspection.links {
        if let Some((check, message)) = of_link(conn, config, target, actor)? {
            found.push((check, "/body_markdown".to_owned(), message));
        }
    }
    let mut findings: Vec<Finding> = Vec::with_capacity(found.len());
    for (check, pointer, message) in found {
        if findings.iter().filter(|finding| finding.check == check).count() < MOST_FINDINGS {
            findings.push(Finding { check, pointer, message, blocking: config.blocking_checks.contains(&check) });
        }
    }
    Ok(findings)
}

/// What the content alone tells.
fn of_content(
    content: &Content,
    inspection: &Inspection,
    review_days: i64,
    now: Timestamp,
) -> Vec<(Check, String, String)> {
    let body = || "/body_markdown".to_owned();
    let mut found = Vec::new();
    if content.body_markdown.trim().is_empty() {
        found.push((Check::NoText, body(), "The article has no text.".to_owned()));
    }
    if content.authors.is_empty() {
        found.push((Check::NoAuthor, "/authors".to_owned(), "The article names no author.".to_owned()));
    }
    for fault in content.publication_faults() {
        found.push((Check::MissingAlt, fault.pointer.unwrap_or_default(), fault.message));
    }
    for source in &inspection.images_without_alt {
        found.push((Check::MissingAlt, body(), format!("The image {source} has no text for who can't see it.")));
    }
    // The title of the article is the heading of level 1.
    let mut before = 1;
    for (level, heading) in &inspection.headings {
        if *level > before + 1 {
            let message = format!("“{heading}” is of level {level} and follows one of level {before}.");
            found.push((Check::HeadingSkip, body(), message));
        }
        before = *level;
    }
    for target in &inspection.empty_links {
        found.push((Check::EmptyLink, body(), format!("The link to {target} has no words.")));
    }
    let (title, at) = match &content.seo.title {
        Some(title) => (title.as_str(), "/seo/title"),
        None => (content.title.as_str(), "/title"),
    };
    if title.chars().count() > MAX_SEO_TITLE {
        let message = format!("Search engines show about {MAX_SEO_TITLE} characters of a title.");
        found.push((Check::LongSeoTitle, at.to_owned(), message));
    }
    if content.seo.description.as_deref().unwrap_or_default().chars().count() > MAX_SEO_DESCRIPTION {
        let message = format!("Search engines show about {MAX_SEO_DESCRIPTION} characters of a description.");
        found.push((Check::LongSeoDescription, "/seo/description".to_owned(), message));
    }
    if content.reviewed_at.is_some_and(|at| at.plus_seconds(review_days * 24 * 3600) < now) {
        let message = format!("It was checked more than {review_days} days ago.");
        found.push((Check::OverdueReview, "/reviewed_at".to_owned(), message));
    }
    found
}

/// What is wrong with a link within the site. Of an article that the actor may not know of it says what it would say of
/// none.
fn of_link(conn: &mut Conn, config: &Config, target: &str, actor: Actor) -> Result<Option<(Check, String)>, Problem> {
    let hidden = match text::article_id(target).map(ArticleId::from_uuid) {
        Some(id) if published::by_id(conn, id)?.is_some() => return Ok(None),
        Some(id) => store::by_id(conn, id)?,
        None => {
            let Some(path) = resolve::path_on_site(config, target) else { return Ok(None) };
            if !resolve::has_template(config, path) || resolve::leads_somewhere(conn, config, path)? {
                return Ok(None);
            }
            match resolve::slug_in(&config.article_path, path) {
                Some(slug) => store::by_slug(conn, slug)?,
                None => None,
            }
        }
    };
    let is_known = match &hidden {
        Some(row) => row.withdrawn_at.is_some() || store::may_edit(conn, row, actor)?,
        None => false,
    };
    Ok(Some(if is_known {
        (Check::LinkToNotPublic, format!("The link to {target} leads to what is not public."))
    } else {
        (Check::BrokenLink, format!("The link to {target} leads nowhere."))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{inspect, render};

    fn checked(content: &Content) -> Vec<(Check, String)> {
        let now = Timestamp::from_unix_millis(1_000_000_000_000);
        let found = of_content(content, &inspect(&render(&content.body_markdown).html), 365, now);
        found.into_iter().map(|(check, pointer, _)| (check, pointer)).collect()
    }

    #[test]
    fn what_is_as_it_should_be_is_not_told() {
        let body_markdown = "## One\n\n### Deeper\n\n## Two\n\n![A boat](/a.png) [words](/x)".to_owned();
        let reviewed_at = Some(Timestamp::from_unix_millis(999_000_000_000));
        let title = "A title of a usual length".to_owned();
        let authors = vec!["maya".to_owned()];
        assert_eq!(checked(&Content { title, body_markdown, authors, reviewed_at, ..Content::default() }), []);
        let empty = checked(&Content { body_markdown: " \n".to_owned(), ..Content::default() });
        let expected = [(Check::NoText, "/body_markdown".to_owned()), (Check::NoAuthor, "/authors".to_owned())];
        assert_eq!(empty, expected);
    }

    #[test]
    fn what_should_be_looked_at_is_told_where_it_stands() {
        let mut content = Content {
            title: "x".repeat(61),
            body_markdown: "### Three\n\n## Two\n\n#### Four\n\n![](/a.png) [](/x)".to_owned(),
            reviewed_at: Some(Timestamp::from_unix_millis(900_000_000_000)),
            ..Content::default()
        };
        content.seo.description = Some("x".repeat(161));
        let body = "/body_markdown".to_owned();
        let expected = [
            (Check::NoAuthor, "/authors".to_owned()),
            (Check::MissingAlt, body.clone()),
            (Check::HeadingSkip, body.clone()),
            (Check::HeadingSkip, body.clone()),
            (Check::EmptyLink, body),
            (Check::LongSeoTitle, "/title".to_owned()),
            (Check::LongSeoDescription, "/seo/description".to_owned()),
            (Check::OverdueReview, "/reviewed_at".to_owned()),
        ];
        assert_eq!(checked(&content), expected);
        content.seo.title = Some("Short".to_owned());
        assert!(!checked(&content).iter().any(|(check, _)| *check == Check::LongSeoTitle));
    }
}
