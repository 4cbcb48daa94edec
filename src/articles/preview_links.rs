//! Preview links: who has one sees what is not public of one article, until the link ends or is revoked.
//!
//! A token is the id of its link, signed with a key that is not in the database: a forged one is refused before any
//! query, and a copy of the database alone gives none away. Revoking a link deletes its row. What a link shows is in
//! `previews`.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Data;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::editing::event;
use super::history;
use super::model::{ArticleId, Content, Person};
use super::publishing::no_such_revision;
use super::store::{self, ArticleRow};
use crate::auth::secrets::ServerSecret;
use crate::auth::{Actor, Caller, EditArticles, UserId, api_keys};
use crate::changes::record;
use crate::db::{Conn, Id, Timestamp, Tx};
use crate::http::conditional::{base64url, from_base64url};
use crate::http::path::{Nested, PathParameter};
use crate::http::{
    Body, Created, IfMatch, Managed, MaybeJson, NoParameters, Path, Problem, Query, Removed, Versioned, WriteOptions,
    page,
};
use crate::schema::preview_links;
use crate::state::App;

/// How a token begins, so that secret scanners know one.
const PREFIX: &str = "cdv_";
/// The purpose of the key that signs tokens.
const PURPOSE: &str = "preview link";
/// How many bytes of the signature a token holds.
const SIGNATURE_BYTES: usize = 16;
/// A day: for how many seconds a link is good where nobody has said.
const USUAL_SECONDS: i64 = 24 * 60 * 60;
/// Thirty days: the longest that a link may be good, in seconds.
const LONGEST_SECONDS: i64 = 30 * USUAL_SECONDS;
/// How many links of one article may stand.
const MOST_LINKS: i64 = 100;

/// What every answer to a token says: that no search engine lists it, and that its address is not handed on.
pub(super) static PRIVATE: [(HeaderName, HeaderValue); 2] = [
    (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
];

/// Marks the id of a preview link.
#[derive(Debug, Clone, Copy)]
pub struct PreviewLinkKind;
/// The id of a preview link.
pub(super) type PreviewLinkId = Id<PreviewLinkKind>;

/// The token of a preview link in a path.
#[derive(Debug, Clone)]
pub(super) struct PreviewToken {
    pub(super) id: PreviewLinkId,
    signature: Vec<u8>,
}

impl PathParameter for PreviewToken {
    const DESCRIPTION: &'static str = "The token of a preview link.";

    fn schema() -> Value {
        json!({ "type": "string", "maxLength": 47, "pattern": "^cdv_[A-Za-z0-9_-]{43}$", "example": "cdv_AZoXOe2wcAOLU3rV9pDk2xq3m0V5mT8sQk1r2Y7nB4c" })
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = from_base64url(text.strip_prefix(PREFIX)?)?;
        let (id, signature) = bytes.split_first_chunk::<16>()?;
        let is_whole = signature.len() == SIGNATURE_BYTES;
        is_whole.then(|| Self { id: PreviewLinkId::from_uuid(Uuid::from_bytes(*id)), signature: signature.to_vec() })
    }
}

impl PreviewToken {
    fn text(id: PreviewLinkId, secret: &ServerSecret) -> String {
        let signature = secret.keyed_hash(PURPOSE, &id.bytes());
        format!("{PREFIX}{}", base64url(&[id.bytes().as_slice(), &signature[..SIGNATURE_BYTES]].concat()))
    }

    pub(super) fn is_signed(&self, secret: &ServerSecret) -> bool {
        secret.verify_keyed_hash(PURPOSE, &self.id.bytes(), &self.signature)
    }
}

/// What a preview link is to show, and for how long.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreviewLinkDraft {
    /// The number of a revision; null or left out for the working copy, whatever that is when somebody looks.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1)]
    revision: Option<i64>,
    /// For how many seconds the link is good: a day where it is null or left out, thirty days at most.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 2_592_000, example = 86_400)]
    expires_in: Option<i64>,
}

impl Body for PreviewLinkDraft {}

/// A preview link, without its token.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct PreviewLink {
    /// The id.
    id: PreviewLinkId,
    /// The number of the revision that it shows; null for the working copy.
    #[schema(minimum = 1)]
    revision: Option<i64>,
    /// When it was made.
    created_at: Timestamp,
    /// Who made it; null where the account or API key is gone.
    created_by: Option<Person>,
    /// Until when it is good.
    expires_at: Timestamp,
}

/// A preview link that has just been made.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct NewPreviewLink {
    /// The link.
    #[serde(flatten)]
    link: PreviewLink,
    /// The token, shown this once. With `validate_only` it is an example that opens nothing.
    token: String,
    /// Where the API shows the preview.
    #[schema(
        format = "uri",
        example = "https://api.example.org/api/v1/previews/cdv_AZoXOe2wcAOLU3rV9pDk2xq3m0V5mT8sQk1r2Y7nB4c"
    )]
    url: String,
    /// The page of the public site that shows it; null where its path is not set.
    #[schema(format = "uri")]
    page_url: Option<String>,
}

/// The preview links of an article that are good, the newest first: at most a hundred.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PreviewLinkList {
    /// The links.
    #[schema(max_items = 100)]
    items: Vec<PreviewLink>,
    /// There is one part alone.
    page: page::Page,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = preview_links)]
struct PreviewLinkRow {
    id: PreviewLinkId,
    article_id: ArticleId,
    revision: Option<i64>,
    created_at: Timestamp,
    created_by: UserId,
    expires_at: Timestamp,
}

/// List preview links
///
/// The links to an article that are good now, without their tokens. Contributors and authors reach their own
/// articles, editors and admins all.
#[utoipa::path(get, path = "/api/v1/manage/articles/{id}/preview-links", tag = "Articles")]
pub(super) async fn list_preview_links(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    _query: Query<NoParameters>,
) -> Result<Managed<PreviewLinkList>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    let items = app
        .db
        .read(move |conn| {
            store::editable(conn, id, actor)?;
            let good = preview_links::table.filter(preview_links::article_id.eq(id));
            let newest = (preview_links::created_at.desc(), preview_links::id.desc());
            let rows = good.filter(preview_links::expires_at.gt(now)).order(newest).limit(MOST_LINKS);
            let rows: Vec<PreviewLinkRow> = rows.select(PreviewLinkRow::as_select()).load(conn)?;
            shown(conn, rows)
        })
        .await?;
    Ok(Managed::new(PreviewLinkList { items, page: page::Page::whole(100) }))
}

/// Make a preview link
///
/// Whoever has it sees the working copy, or the revision named, until it ends or is revoked, or who made it may not edit
/// the article any more: this article alone, and nothing of management. The token is shown this once. Contributors and authors reach their own articles, editors
/// and admins all.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/{id}/preview-links", tag = "Articles",
    responses((status = 409, description = "The article is in the trash, or has too many links."))
)]
pub(super) async fn create_preview_link(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    Query(options): Query<WriteOptions>,
    MaybeJson(draft): MaybeJson<PreviewLinkDraft>,
) -> Result<Created<NewPreviewLink>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    let link = app.write(actor, options.validate_only, move |tx| make(tx, id, &draft, actor, now)).await?;
    let token = PreviewToken::text(link.id, &app.secret);
    let location = format!("/api/v1/manage/articles/{id}/preview-links/{}", link.id);
    let new = NewPreviewLink {
        url: format!("{}/api/v1/previews/{token}", app.config.public_url),
        page_url: app.config.preview_url(&token),
        link,
        token,
    };
    Ok(Created::new(new, Some(location).filter(|_| !options.validate_only), 1).holding_secret(true))
}

/// Get a preview link
///
/// One link, without its token. Contributors and authors reach their own articles, editors and admins all.
#[utoipa::path(get, path = "/api/v1/manage/articles/{id}/preview-links/{link_id}", tag = "Articles")]
pub(super) async fn get_preview_link(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Nested(id, link_id): Nested<ArticleId, PreviewLinkId>,
    _query: Query<NoParameters>,
) -> Result<Versioned<PreviewLink>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    let link = app
        .db
        .read(move |conn| {
            store::editable(conn, id, actor)?;
            one(conn, id, link_id, now)
        })
        .await?;
    Ok(Versioned::new(link, 1))
}

/// Revoke a preview link
///
/// Who has it sees nothing from then on. Contributors and authors reach their own articles, editors and admins all.
#[utoipa::path(delete, path = "/api/v1/manage/articles/{id}/preview-links/{link_id}", tag = "Articles")]
pub(super) async fn revoke_preview_link(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Nested(id, link_id): Nested<ArticleId, PreviewLinkId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
) -> Result<Removed<PreviewLink>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    let link = app
        .write(actor, options.validate_only, move |tx| {
            let article = store::editable(tx, id, actor)?;
            let link = one(tx, id, link_id, now)?;
            if_match.check(1)?;
            diesel::delete(preview_links::table.find(link_id)).execute(&mut **tx)?;
            record(tx, &event(&article, actor.who(), "article.revoke_preview_link", now, None))?;
            Ok(link)
        })
        .await?;
    Ok(if options.validate_only { Removed::Tried(link) } else { Removed::Done })
}

fn make(
    tx: &mut Tx<'_>,
    id: ArticleId,
    draft: &PreviewLinkDraft,
    actor: Actor,
    now: Timestamp,
) -> Result<PreviewLink, Problem> {
    let article = store::editable(tx, id, actor)?;
    if article.trashed_at.is_some() {
        return Err(Problem::conflict("The article is in the trash; restore it first (`POST …/restore`)."));
    }
    let standing = preview_links::table.filter(preview_links::article_id.eq(id));
    let standing: i64 = standing.filter(preview_links::expires_at.gt(now)).count().get_result(&mut **tx)?;
    if standing >= MOST_LINKS {
        return Err(Problem::conflict("The article has a hundred preview links already; revoke some first."));
    }
    if let Some(number) = draft.revision {
        if !history::is_listed(tx, id, number)? {
            return Err(no_such_revision());
        }
        history::settle(tx, id, number)?;
    }
    let expires_at = now.plus_seconds(draft.expires_in.unwrap_or(USUAL_SECONDS).min(LONGEST_SECONDS));
    let row = PreviewLinkRow {
        id: PreviewLinkId::generate(),
        article_id: id,
        revision: draft.revision,
        created_at: now,
        created_by: actor.user,
        expires_at,
    };
    diesel::insert_into(preview_links::table).values(&row).execute(&mut **tx)?;
    record(tx, &event(&article, actor.who(), "article.make_preview_link", now, None))?;
    shown(tx, vec![row])?.pop().ok_or_else(Problem::not_found)
}

fn one(conn: &mut Conn, article: ArticleId, id: PreviewLinkId, now: Timestamp) -> Result<PreviewLink, Problem> {
    let of_article = preview_links::table.find(id).filter(preview_links::article_id.eq(article));
    let row = of_article.filter(preview_links::expires_at.gt(now)).select(PreviewLinkRow::as_select());
    let row: PreviewLinkRow = row.first(conn).optional()?.ok_or_else(Problem::not_found)?;
    shown(conn, vec![row])?.pop().ok_or_else(Problem::not_found)
}

fn shown(conn: &mut Conn, rows: Vec<PreviewLinkRow>) -> Result<Vec<PreviewLink>, Problem> {
    let people = store::people(conn, &rows.iter().map(|row| row.created_by).collect::<Vec<_>>())?;
    let link = |row: PreviewLinkRow| PreviewLink {
        id: row.id,
        revision: row.revision,
        created_at: row.created_at,
        created_by: people.get(&row.created_by).cloned(),
        expires_at: row.expires_at,
    };
    Ok(rows.into_iter().map(link).collect())
}

/// What a link shows: the article, the revision's number and content, and when it was saved.
pub(super) fn behind(
    conn: &mut Conn,
    id: PreviewLinkId,
    now: Timestamp,
) -> Result<(ArticleRow, i64, Content, Timestamp), Problem> {
    let good = preview_links::table.find(id).filter(preview_links::expires_at.gt(now));
    let link: PreviewLinkRow = good.select(PreviewLinkRow::as_select()).first(conn).optional()?.ok_or_else(not_good)?;
    let row = store::by_id(conn, link.article_id)?.filter(|row| row.trashed_at.is_none()).ok_or_else(not_good)?;
    // A link shows no more than who made it may see now.
    let maker = api_keys::actor_now(conn, link.created_by, now)?.ok_or_else(not_good)?;
    if !store::may_edit(conn, &row, maker)? {
        return Err(not_good());
    }
    let number = link.revision.unwrap_or(row.revision);
    let content = history::content(conn, row.id, number)?.ok_or_else(not_good)?;
    let saved_at = history::saved_at(conn, row.id, number)?.unwrap_or(row.saved_at);
    Ok((row, number, content, saved_at))
}

/// Nothing is told of what a link that is not good was good for.
pub(super) fn not_good() -> Problem {
    let problem = Problem::not_found().saying("This preview link is not good, or not any more; ask for a new one.");
    PRIVATE
        .iter()
        .fold(problem, |problem, (name, value)| problem.with_header(name.clone(), value.to_str().unwrap_or_default()))
}

/// Deletes the links that have ended.
///
/// # Errors
/// What the database says.
pub(crate) fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Problem> {
    diesel::delete(preview_links::table.filter(preview_links::expires_at.le(now))).execute(&mut **tx)?;
    Ok(())
}

/// The revisions of an article that links show.
pub(super) fn revisions_of(conn: &mut Conn, id: ArticleId, now: Timestamp) -> Result<Vec<i64>, Problem> {
    let named = preview_links::table.filter(preview_links::article_id.eq(id)).filter(preview_links::expires_at.gt(now));
    let revisions: Vec<Option<i64>> = named.select(preview_links::revision).load(conn)?;
    Ok(revisions.into_iter().flatten().collect())
}
