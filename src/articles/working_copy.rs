//! From a row to the working copy that management shows.

use std::collections::HashSet;

use actix_web::web::Data;

use super::body_links::resolve_links;
use super::history;
use super::lifecycle::Visibility;
use super::model::{Content, Expanded, Publication, Returned, Review, Schedule, WorkingCopy};
use super::published;
use super::store::{self, ArticleRow};
use crate::auth::UserId;
use crate::authors::{self, AuthorId};
use crate::categories::{self, CategoryId};
use crate::config::Config;
use crate::db::{Conn, Document};
use crate::http::{Problem, Versioned, Warning};
use crate::state::App;
use crate::text::Rendered;

/// The working copy of the article that `find` finds, as management answers it.
pub(super) async fn read(
    app: &Data<App>,
    find: impl FnOnce(&mut Conn) -> Result<ArticleRow, Problem> + Send + 'static,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let state = app.clone();
    let found = app.db.read(move |conn| {
        let row = find(conn)?;
        let row_version = row.row_version;
        Ok::<_, Problem>((load(conn, &state.config, row)?, row_version))
    });
    let (working_copy, row_version) = found.await?;
    Ok(Versioned::new(with_html(app, working_copy).await?, row_version))
}

/// The working copy of a row, without its body as HTML.
pub(super) fn load(conn: &mut Conn, config: &Config, row: ArticleRow) -> Result<WorkingCopy, Problem> {
    let content = history::content(conn, row.id, row.revision)?
        .ok_or_else(|| Problem::internal("a working copy has no revision"))?;
    with_content(conn, config, row, content, Vec::new())
}

/// The working copy of a row whose content is at hand, without its body as HTML.
pub(super) fn with_content(
    conn: &mut Conn,
    config: &Config,
    row: ArticleRow,
    content: Content,
    warnings: Vec<Warning>,
) -> Result<WorkingCopy, Problem> {
    let mut working_copies = assemble(conn, config, vec![(row, content)])?;
    let mut working_copy = working_copies.pop().ok_or_else(|| Problem::internal("a working copy is missing"))?;
    working_copy.warnings = warnings;
    Ok(working_copy)
}

/// Adds the body as HTML: rendered where neither requests nor the database wait for it.
pub(super) async fn with_html(app: &Data<App>, working_copy: WorkingCopy) -> Result<WorkingCopy, Problem> {
    let rendered = app.render_stored(&working_copy.content.body_markdown).await?;
    with_rendered(app, working_copy, rendered).await
}

/// Adds the body as HTML where it is rendered already; its links by identity are filled in.
pub(super) async fn with_rendered(
    app: &Data<App>,
    mut working_copy: WorkingCopy,
    rendered: Rendered,
) -> Result<WorkingCopy, Problem> {
    working_copy.body_html = if rendered.linked_articles.is_empty() {
        rendered.html
    } else {
        let state = app.clone();
        app.db.read(move |conn| resolve_links(conn, &state.config, &rendered.html, &rendered.linked_articles)).await?
    };
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
    let savers: Vec<UserId> = rows
        .iter()
        .flat_map(|(row, _)| {
            let said = [&row.review, &row.returned].into_iter().flatten().map(|note| note.0.by);
            row.saved_by.into_iter().chain(said)
        })
        .collect();
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
        review: row.review.map(|Document(said)| Review {
            submitted_at: said.at,
            by: people.get(&said.by).cloned(),
            note: said.note,
        }),
        returned: row.returned.map(|Document(said)| Returned {
            returned_at: said.at,
            by: people.get(&said.by).cloned(),
            note: said.note.unwrap_or_default(),
        }),
        schedule: row.schedule.map(|Document(schedule)| Schedule {
            revision: schedule.revision,
            publish_at: schedule.publish_at,
            unpublish_at: schedule.unpublish_at,
        }),
        schedule_failure: row.schedule_failure.map(|Document(failure)| failure),
        archived_at: row.archived_at,
        trashed_at: row.trashed_at,
        external_id: row.external_id,
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
