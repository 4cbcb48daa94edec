//! Rendering of a text that is not saved: for editors that show what an article will look like.

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body_links::resolve_links;
use super::model::{EXCERPT_CHARS, MAX_BODY_BYTES};
use crate::auth::{Caller, EditArticles};
use crate::http::{Body, Fault, Json, Managed, NoParameters, Problem, Query, Warning};
use crate::state::App;
use crate::text::{TableOfContentsEntry, excerpt, reading_minutes};

/// A text.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Render {
    /// The text in `CommonMark` with tables, footnotes, strikethrough and task lists, at most 1 MiB.
    #[schema(
        max_length = 1_048_576,
        pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$",
        example = "## Where to begin\n\nBreathe."
    )]
    body_markdown: String,
}

impl Body for Render {}

/// What is made of a text.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Rendering {
    /// The text as sanitised HTML; links by identity lead to what is public.
    body_html: String,
    /// The headings; each `id` is an anchor in `body_html`.
    table_of_contents: Vec<TableOfContentsEntry>,
    /// What lists would show of it.
    excerpt: String,
    /// Words of the text.
    #[schema(minimum = 0)]
    word_count: u32,
    /// Minutes to read it, at least 1.
    #[schema(minimum = 1)]
    reading_minutes: u32,
    /// What sanitising removed.
    warnings: Vec<Warning>,
}

/// Render a text
///
/// HTML, contents and warnings of a text that is not saved, as they would be of an article's body. Changes nothing. For
/// all roles but `intake`.
#[utoipa::path(post, path = "/api/v1/manage/render", tag = "Articles")]
pub(super) async fn render_text(
    _caller: Caller<EditArticles>,
    app: Data<App>,
    _query: Query<NoParameters>,
    Json(Render { body_markdown }): Json<Render>,
) -> Result<Managed<Rendering>, Problem> {
    if body_markdown.len() > MAX_BODY_BYTES {
        let message = "The text must have at most 1 MiB.";
        return Err(Problem::invalid_body(vec![Fault::body("/body_markdown", "too_long", message)]));
    }
    let rendered = app.render(&body_markdown).await?;
    let warnings = rendered.removed.iter().map(|removed| removed.warning("/body_markdown")).collect();
    let (html, linked, state) = (rendered.html, rendered.linked_articles, app.clone());
    let body_html = if linked.is_empty() {
        html
    } else {
        app.db.read(move |conn| resolve_links(conn, &state.config, &html, &linked)).await?
    };
    Ok(Managed::new(Rendering {
        body_html,
        table_of_contents: rendered.table_of_contents,
        excerpt: excerpt(&rendered.lead, EXCERPT_CHARS),
        word_count: rendered.word_count,
        reading_minutes: reading_minutes(rendered.word_count),
        warnings,
    }))
}
