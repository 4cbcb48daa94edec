//! What a preview link shows: an article as delivery would show it, rendered when it is looked at.

use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::assemble;
use super::bodies;
use super::delivered::{Article, DeliveredRow, as_if_stored};
use super::model::{Content, published_parts};
use super::preview_links::{PRIVATE, PreviewToken, behind, not_good};
use super::published;
use super::store::ArticleRow;
use super::views::ListInclude;
use crate::config::Config;
use crate::db::{Conn, Document, Timestamp};
use crate::http::draft::object;
use crate::http::{Description, NoParameters, Output, Path, Problem, Query};
use crate::state::{App, PublicReader};
use crate::text::{self, Rendered};

/// How many previews are rendered at a time, and how long one may wait for its turn.
static RENDERINGS: Semaphore = Semaphore::const_new(2);
const PATIENCE: Duration = Duration::from_secs(10);

/// Get a preview
///
/// What a preview link shows: an article as delivery would show it, whatever is public of it. Open to whoever has the
/// token; no cache may hold it and no search engine list it.
#[utoipa::path(get, path = "/api/v1/previews/{token}", tag = "Articles")]
pub(super) async fn get_preview(
    app: Data<App>,
    Path(token): Path<PreviewToken>,
    _query: Query<NoParameters>,
) -> Result<Previewed, Problem> {
    if !token.is_signed(&app.secret) {
        return Err(not_good());
    }
    let now = app.clock.now();
    let (row, number, content, saved_at) = app.db.read(move |conn| behind(conn, token.id, now)).await?;
    let rendered = {
        // Whoever has a link must not keep those from rendering who write.
        let turn = tokio::time::timeout(PATIENCE, RENDERINGS.acquire()).await;
        let _turn = turn.map_err(|_| Problem::overloaded())?.map_err(Problem::internal)?;
        app.render(&content.body_markdown).await?
    };
    let state = app.clone();
    let preview =
        app.db.read(move |conn| ArticlePreview::of(conn, &state.config, &row, number, content, rendered, saved_at));
    Ok(Previewed(preview.await?))
}

/// An article that is not public, as delivery would show it.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(super) struct ArticlePreview(Map<String, Value>);

/// The members that are null where nothing is public.
const NULLABLE: [&str; 3] = ["slug", "url", "published_at"];

impl ArticlePreview {
    fn of(
        conn: &mut Conn,
        config: &Config,
        row: &ArticleRow,
        number: i64,
        content: Content,
        rendered: Rendered,
        saved_at: Timestamp,
    ) -> Result<Self, Problem> {
        let public = published::by_id(conn, row.id)?;
        let published_at = content.published_at.or(public.as_ref().map(|public| public.published_at));
        let (summary, body) = published_parts(content.clone(), rendered);
        let (body, forms) = bodies::stored(&body)?;
        let previewed = DeliveredRow {
            article_id: row.id,
            slug: content.slug.clone().unwrap_or_default(),
            language: content.language.clone().unwrap_or_default(),
            title_key: text::sort_key(&content.title),
            translation_root: content.translation_of.unwrap_or(row.id),
            published_at: published_at.unwrap_or(saved_at),
            updated_at: saved_at,
            has_translations: true,
            summary: Document(as_if_stored(&summary)?),
        };
        let mut include = ListInclude::ALWAYS_IN_ONE.to_vec();
        include.extend([ListInclude::BodyMarkdown, ListInclude::Sections]);
        let reader = &mut PublicReader::unremembered(conn, config);
        let article: Article = assemble::one(reader, previewed, (body, Some(forms)), &include)?;
        let mut members = object(&article)?;
        members.insert("url".to_owned(), json!(public.map(|public| config.article_url(&public.slug))));
        members.insert("published_at".to_owned(), json!(published_at));
        members.insert("slug".to_owned(), json!(content.slug));
        members.insert("revision".to_owned(), json!(number));
        Ok(Self(members))
    }
}

impl PartialSchema for ArticlePreview {
    fn schema() -> RefOr<Schema> {
        let mut schema = serde_json::to_value(Article::schema()).unwrap_or_default();
        schema["description"] = json!("An article that may not be public, as delivery would show it.");
        for name in NULLABLE {
            let property = &mut schema["properties"][name];
            // A reference has no type of its own to be made nullable.
            *property = match property.get("type").and_then(Value::as_str) {
                Some(kind) => {
                    let kind = json!([kind, "null"]);
                    let mut nullable = property.clone();
                    nullable["type"] = kind;
                    nullable
                }
                None => json!({ "oneOf": [property, { "type": "null" }] }),
            };
        }
        schema["properties"]["revision"] =
            json!({ "type": "integer", "format": "int64", "minimum": 1, "description": "The number of the revision." });
        serde_json::from_value(schema).unwrap_or_else(|_| Article::schema())
    }
}

impl ToSchema for ArticlePreview {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Article::schemas(schemas);
    }
}

/// The answer to whoever has a preview link: for their eyes alone.
pub(super) struct Previewed(ArticlePreview);

impl Responder for Previewed {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut answer = HttpResponse::Ok();
        answer.insert_header((CACHE_CONTROL, "no-store"));
        for header in &PRIVATE {
            answer.insert_header(header.clone());
        }
        answer.json(self.0)
    }
}

impl Output for Previewed {
    fn describe(description: &mut Description) {
        let schema = description.schema::<ArticlePreview>();
        description.response("200", "What the link shows.", Some(&schema));
        for (name, text) in [
            ("Cache-Control", "Always `no-store`."),
            ("X-Robots-Tag", "Always `noindex`."),
            ("Referrer-Policy", "Always `no-referrer`: the address holds the token."),
        ] {
            description.header("200", name, text);
        }
    }
}
