//! From a row to the working copy that management shows.

use std::collections::HashSet;

use super::assemble::resolve_links;
use super::model::{Content, Expanded, Publication, Visibility, WorkingCopy};
use super::published;
use super::store::{self, ArticleRow};
use crate::auth::UserId;
use crate::authors::{self, AuthorId};
use crate::categories::{self, CategoryId};
use crate::config::Config;
use crate::db::Conn;
use crate::http::{Problem, Warning};
use crate::text::{self, Rendered};

/// The working copy of a row.
pub(super) fn load(conn: &mut Conn, config: &Config, row: ArticleRow) -> Result<WorkingCopy, Problem> {
    let content = store::content(conn, row.id, row.revision)?
        .ok_or_else(|| Problem::internal("a working copy has no revision"))?;
    let rendered = text::render(&content.body_markdown);
    with_content(conn, config, row, content, &rendered, Vec::new())
}

/// The working copy of a row whose content and rendering are at hand.
pub(super) fn with_content(
    conn: &mut Conn,
    config: &Config,
    row: ArticleRow,
    content: Content,
    rendered: &Rendered,
    warnings: Vec<Warning>,
) -> Result<WorkingCopy, Problem> {
    let body_html = resolve_links(conn, config, &rendered.html, &rendered.linked_articles)?;
    let mut working_copies = assemble(conn, config, vec![(row, content)])?;
    let mut working_copy = working_copies.pop().ok_or_else(|| Problem::internal("a working copy is missing"))?;
    working_copy.body_html = body_html;
    working_copy.warnings = warnings;
    Ok(working_copy)
}

/// The working copies of rows with their contents, without rendered bodies; one query of each kind.
pub(super) fn assemble(
    conn: &mut Conn,
    config: &Config,
    rows: Vec<(ArticleRow, Content)>,
) -> Result<Vec<WorkingCopy>, Problem> {
    let author_ids: HashSet<AuthorId> =
        rows.iter().flat_map(|(_, content)| content.author_ids().into_iter().chain(content.reviewer_id())).collect();
    let category_ids: HashSet<CategoryId> = rows.iter().flat_map(|(_, content)| content.category_ids()).collect();
    let savers: Vec<UserId> = rows.iter().filter_map(|(row, _)| row.saved_by).collect();
    let ids: Vec<_> = rows.iter().map(|(row, _)| row.id).collect();
    let authors = authors::summaries(conn, &author_ids.into_iter().collect::<Vec<_>>())?;
    let categories = categories::summaries(conn, &category_ids.into_iter().collect::<Vec<_>>())?;
    let people = store::people(conn, &savers)?;
    let slugs = published::slugs_of(conn, &ids)?;
    let working_copy = |(row, content): (ArticleRow, Content)| WorkingCopy {
        expanded: Expanded {
            authors: content.author_ids().iter().filter_map(|id| authors.get(id).cloned()).collect(),
            categories: content.category_ids().iter().filter_map(|id| categories.get(id).cloned()).collect(),
            reviewed_by: content.reviewer_id().and_then(|id| authors.get(&id).cloned()),
        },
        body_html: String::new(),
        revision: row.revision,
        visibility: row.state().visibility,
        changed: row.state().visibility == Visibility::Public && row.published_revision != Some(row.revision),
        trashed_at: row.trashed_at,
        created_at: row.created_at,
        saved_at: row.saved_at,
        saved_by: row.saved_by.and_then(|id| people.get(&id).cloned()),
        published: row.published_revision.zip(slugs.get(&row.id)).map(|(revision, slug)| Publication {
            revision,
            slug: slug.clone(),
            url: config.article_url(slug),
            published_at: row.published_at,
        }),
        id: row.id,
        content,
        warnings: Vec::new(),
    };
    Ok(rows.into_iter().map(working_copy).collect())
}
