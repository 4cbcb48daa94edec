//! Programs that mirror a folder or another system: articles by the name that they have there.

use actix_web::http::header::ETAG;
use actix_web::web::Data;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::editing::{self, Writing};
use super::history::Saving;
use super::model::{Content, WorkingCopy};
use super::store::{self, ArticleRow};
use super::working_copy;
use crate::auth::{Actor, Caller, EditArticles};
use crate::db::Conn;
use crate::http::conditional::{Put, version_tag};
use crate::http::problem::{CONFLICT, PRECONDITION_FAILED};
use crate::http::{
    Draft, MergePatch, NoParameters, Path, PathParameter, Problem, Query, Stored, Strict, Versioned, WriteOptions,
};
use crate::state::App;

/// The longest name, in characters.
const MAX_EXTERNAL_ID: usize = 255;

/// What an article is called in the system that is mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExternalId(String);

impl PathParameter for ExternalId {
    const DESCRIPTION: &'static str = "What the article is called in the system that is mirrored, such as a path or an \
                                       id; 1 to 255 characters, percent-encoded.";

    fn schema() -> Value {
        let example = "guides/first-steps.md";
        json!({ "type": "string", "minLength": 1, "maxLength": MAX_EXTERNAL_ID, "pattern": r"^[^\x00-\x1F\x7F]+$", "example": example })
    }

    fn parse(text: &str) -> Option<Self> {
        let decoded = percent_decode_str(text).decode_utf8().ok()?;
        let fits = (1..=MAX_EXTERNAL_ID).contains(&decoded.chars().count()) && !decoded.contains(is_control);
        fits.then(|| Self(decoded.into_owned()))
    }
}

/// Whether no name holds it: a control character, or what stands for bytes that are no UTF-8.
fn is_control(c: char) -> bool {
    c < ' ' || c == '\u{7f}' || c == char::REPLACEMENT_CHARACTER
}

/// Get a working copy by external id
///
/// The article that a program has made under this name. Contributors and authors reach their own, editors and admins
/// all.
#[utoipa::path(get, path = "/api/v1/manage/articles/by-external-id/{external_id}", tag = "Articles")]
pub(super) async fn get_article_by_external_id(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(external_id): Path<ExternalId>,
    _query: Query<NoParameters>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let actor = caller.actor();
    working_copy::read(&app, move |conn| {
        let row = store::by_external_id(conn, &external_id.0)?.ok_or_else(Problem::not_found)?;
        store::editable(conn, row.id, actor)
    })
    .await
}

/// Create or replace an article by external id
///
/// For programs that mirror a folder or another system: with `If-None-Match: *` it makes the article, with `If-Match`
/// it replaces all that was written. What is left out gets its default, but the slug stays; what is the same makes no
/// revision. A working copy may be sent back as it was read. Nothing becomes public by that. Contributors and authors
/// write their own articles, editors and admins all.
#[utoipa::path(
    put, path = "/api/v1/manage/articles/by-external-id/{external_id}", tag = "Articles",
    responses((status = 409, description = "The slug or the external id is taken, or the article can't be changed now."))
)]
pub(super) async fn put_article_by_external_id(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(external_id): Path<ExternalId>,
    Query(options): Query<WriteOptions>,
    put: Put,
    strict: Strict,
    draft: Draft<Content>,
) -> Result<Stored<WorkingCopy>, Problem> {
    let (actor, wanted) = (caller.actor(), external_id.clone());
    let row = app.db.read(move |conn| found(conn, &wanted, actor)).await?;
    let saving = Saving::of(actor, &app.config, app.clock.now());
    let writing = Writing { actor, strict, options, saving };
    match (put, row) {
        (Put::Create, None) => {
            let draft = draft.without("external_id", &json!(external_id.0));
            editing::create(&app, draft, Some(external_id.0), writing).await.map(Stored::Created)
        }
        (Put::Create, Some(row)) => {
            let detail = "An article of this external id exists; send `If-Match` to replace it.";
            let tag = version_tag(row.row_version);
            Err(Problem::new(&PRECONDITION_FAILED, detail).with_header(ETAG, &tag))
        }
        (Put::Replace(_), None) => {
            let detail = "No article of this external id exists; send `If-None-Match: *` to make it.";
            Err(Problem::new(&PRECONDITION_FAILED, detail))
        }
        (Put::Replace(if_match), Some(row)) => {
            let patch = MergePatch::replacing(draft);
            editing::change(&app, row.id, patch, &if_match, writing).await.map(Stored::Replaced)
        }
    }
}

/// The article of an external id, where the actor may edit it.
fn found(conn: &mut Conn, external_id: &ExternalId, actor: Actor) -> Result<Option<ArticleRow>, Problem> {
    let Some(row) = store::by_external_id(conn, &external_id.0)? else { return Ok(None) };
    if store::may_edit(conn, &row, actor)? {
        return Ok(Some(row));
    }
    Err(Problem::new(&CONFLICT, "Another resource has this external id; choose another one."))
}
