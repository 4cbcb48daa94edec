//! Revisions: every save of an article, to be read, compared, named and brought back.

use actix_web::web::Data;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::draft_check;
use super::editing::event;
use super::history::{self, Saving, listed};
use super::lifecycle::Move;
use super::model::{ArticleId, Content, Person, WorkingCopy};
use super::moves;
use super::store::{self, ArticleRow};
use crate::auth::{Actor, Caller, EditArticles, UserId};
use crate::changes::record;
use crate::db::list::Place;
use crate::db::{Conn, Timestamp, Tx};
use crate::diff::{self, MemberDiff};
use crate::http::draft::object;
use crate::http::path::{Nested, PathParameter};
use crate::http::problem::CONFLICT;
use crate::http::{
    Body, Found, Json, ListOf, ListQuery, Managed, NoParameters, Path, Problem, Query, SortKind, SortValue, Sorted,
    Versioned, WriteOptions, page,
};
use crate::schema::revisions;
use crate::state::App;

/// The number of a revision in a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct RevisionNumber(i64);

impl PathParameter for RevisionNumber {
    const DESCRIPTION: &'static str = "The number of the revision.";

    fn schema() -> Value {
        json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 9_007_199_254_740_991_i64, "example": 1 })
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number: &i64| *number >= 1 && number.to_string() == text).map(Self)
    }
}

/// A save of an article.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct RevisionSummary {
    /// Its number, from 1.
    #[schema(minimum = 1)]
    pub number: i64,
    /// When it was saved.
    pub saved_at: Timestamp,
    /// Who saved it; null where the account is gone or the command line did it.
    pub saved_by: Option<Person>,
    /// What somebody called it; null where nobody did.
    pub name: Option<String>,
    /// Whether it is what is public now.
    pub published: bool,
    /// Whether it was saved by itself: where the same person's next save is of this kind as well, it takes its place.
    pub autosave: bool,
    /// The number of the revision that it was made from; null for the first, and where that is not listed any more.
    #[schema(minimum = 1)]
    pub based_on: Option<i64>,
}

/// A save of an article with what was saved.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct ArticleRevision {
    /// What was written.
    #[serde(flatten)]
    pub content: Content,
    /// The save.
    #[serde(flatten)]
    pub save: RevisionSummary,
    /// The body as sanitised HTML.
    pub body_html: String,
}

/// How one revision became another.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct RevisionDiff {
    /// The number of the former; null where it was compared with nothing.
    #[schema(minimum = 1)]
    pub from: Option<i64>,
    /// The number of the latter.
    #[schema(minimum = 1)]
    pub to: i64,
    /// The members that differ.
    pub changes: Vec<MemberDiff>,
}

/// What a revision is compared with.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DiffRevisions {
    /// The number of the other revision; without it, the one that this was made from or, where that is not listed any
    /// more, the save before.
    #[param(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 1)]
    against: Option<i64>,
}

/// What a revision is called.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RevisionName {
    /// The name; null for none.
    #[schema(
        required,
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "As the doctors approved it"
    )]
    name: Option<String>,
}

impl Body for RevisionName {}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = revisions)]
struct RevisionRow {
    article_id: ArticleId,
    number: i64,
    saved_at: Timestamp,
    saved_by: Option<UserId>,
    name: Option<String>,
    autosave: bool,
    based_on: Option<i64>,
}

impl Sorted for RevisionRow {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Integer(self.number)]
    }
    fn id(&self) -> Uuid {
        self.article_id.uuid()
    }
}

/// List revisions
///
/// Every save of an article, the newest first. Contributors and authors reach their own articles, editors and admins
/// all.
#[utoipa::path(get, path = "/api/v1/manage/articles/{id}/revisions", tag = "Articles")]
pub(super) async fn list_revisions(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Path(id): Path<ArticleId>,
    query: ListQuery<NoParameters>,
) -> Result<Managed<ListOf<RevisionSummary>>, Problem> {
    let actor = caller.actor();
    let (list, links) = app.db.read(move |conn| part(conn, id, &query, actor)).await?;
    Ok(Managed::new(list).with_links(links))
}

/// Get a revision
///
/// A save of an article with what was saved. Contributors and authors reach their own articles, editors and admins
/// all.
#[utoipa::path(get, path = "/api/v1/manage/articles/{id}/revisions/{number}", tag = "Articles")]
pub(super) async fn get_revision(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Nested(id, RevisionNumber(number)): Nested<ArticleId, RevisionNumber>,
    _query: Query<NoParameters>,
) -> Result<Managed<ArticleRevision>, Problem> {
    let actor = caller.actor();
    let (save, content) = app
        .db
        .read(move |conn| {
            let article = store::editable(conn, id, actor)?;
            let row = by_number(conn, id, number)?;
            let content = history::content(conn, id, number)?.ok_or_else(Problem::not_found)?;
            let mut saves = shown(conn, vec![row], &article)?;
            Ok::<_, Problem>((saves.pop().ok_or_else(Problem::not_found)?, content))
        })
        .await?;
    let body_html = app.render(&content.body_markdown).await?.html;
    Ok(Managed::new(ArticleRevision { content, save, body_html }))
}

/// Compare revisions
///
/// What differs between a revision and another, or the one that it was made from: member by member, in texts word by word.
/// Contributors and authors reach their own articles, editors and admins all.
#[utoipa::path(get, path = "/api/v1/manage/articles/{id}/revisions/{number}/diff", tag = "Articles")]
pub(super) async fn diff_revisions(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Nested(id, RevisionNumber(number)): Nested<ArticleId, RevisionNumber>,
    Query(query): Query<DiffRevisions>,
) -> Result<Managed<RevisionDiff>, Problem> {
    let actor = caller.actor();
    let (from, before, after) = app
        .db
        .read(move |conn| {
            store::editable(conn, id, actor)?;
            let after = history::content(conn, id, number)?.ok_or_else(Problem::not_found)?;
            let (from, before) = former(conn, id, number, query.against)?;
            Ok::<_, Problem>((from, before, after))
        })
        .await?;
    let (before, after) = (before.as_ref().map(object).transpose()?.unwrap_or_default(), object(&after)?);
    let changes = app.renderer.run(move || diff::members(&before, &after)).await?;
    Ok(Managed::new(RevisionDiff { from, to: number, changes }))
}

/// Name a revision
///
/// Gives a save a name, so that it can be found again, or takes the name away. Contributors and authors reach their
/// own articles, editors and admins all.
#[utoipa::path(put, path = "/api/v1/manage/articles/{id}/revisions/{number}/name", tag = "Articles")]
pub(super) async fn name_revision(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Nested(id, RevisionNumber(number)): Nested<ArticleId, RevisionNumber>,
    Query(options): Query<WriteOptions>,
    Json(named): Json<RevisionName>,
) -> Result<Managed<RevisionSummary>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    let save = app
        .write(actor, options.validate_only, move |tx| {
            let article = store::editable(tx, id, actor)?;
            let mut row = by_number(tx, id, number)?;
            if row.name != named.name {
                let target = revisions::table.find((id, number));
                diesel::update(target).set(revisions::name.eq(&named.name)).execute(&mut **tx)?;
                history::settle(tx, id, number)?;
                record(tx, &event(&article, actor.who(), "article.name_revision", now, None))?;
                (row.name, row.autosave) = (named.name, false);
            }
            shown(tx, vec![row], &article)?.pop().ok_or_else(Problem::not_found)
        })
        .await?;
    Ok(Managed::new(save))
}

/// Restore a revision
///
/// Saves what a revision holds as the next one: nothing is lost, and nothing becomes public. Contributors and authors
/// reach their own articles, editors and admins all.
#[utoipa::path(
    post, path = "/api/v1/manage/articles/{id}/revisions/{number}/restore", tag = "Articles",
    responses((status = 409, description = "The article can't be changed now, the slug is taken, or what the revision names is not there any more; `errors` says what."))
)]
pub(super) async fn restore_revision(
    caller: Caller<EditArticles>,
    app: Data<App>,
    Nested(id, RevisionNumber(number)): Nested<ArticleId, RevisionNumber>,
    Query(options): Query<WriteOptions>,
) -> Result<Versioned<WorkingCopy>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    let saving = Saving::of(actor, &app.config, now);
    moves::moved(&app, actor, options, id, move |tx, row| restore(tx, row, number, actor, saving)).await
}

fn restore(tx: &mut Tx<'_>, row: ArticleRow, number: i64, actor: Actor, saving: Saving) -> Result<ArticleRow, Problem> {
    let mut content = history::content(tx, row.id, number)?.ok_or_else(Problem::not_found)?;
    row.state().after(Move::Save, actor.role)?;
    let faults = draft_check::recheck(tx, &mut content, row.id, actor)?;
    if !faults.is_empty() {
        let detail = "The revision names what is not there any more; `errors` says what. Write it anew without that.";
        return Err(Problem::new(&CONFLICT, detail).with_faults(faults));
    }
    draft_check::settle_slug(tx, &mut content, row.id, actor)?;
    if history::content(tx, row.id, row.revision)?.as_ref() == Some(&content) {
        return Ok(row);
    }
    let saved = store::save(tx, &row, &content, saving)?;
    record(tx, &event(&saved, actor.who(), "article.restore_revision", saving.at, None))?;
    Ok(saved)
}

type Part = (ListOf<RevisionSummary>, Option<String>);

fn part(conn: &mut Conn, id: ArticleId, query: &ListQuery<NoParameters>, actor: Actor) -> Result<Part, Problem> {
    let article = store::editable(conn, id, actor)?;
    let start = query.paging.start(&query.fingerprint, &[SortKind::Integer])?;
    let limit = query.paging.limit;
    let mut rows = rows(conn, id, start.place(limit), limit)?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    if start.is_backward() {
        rows.reverse();
    }
    let total = if start.counts() { Some(listed(id).count().get_result(conn)?) } else { None };
    let found = Found { items: rows, more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    Ok((ListOf { items: shown(conn, found.items, &article)?, page }, links))
}

/// The revisions from a place on in the walk's direction, and one more where there are more.
fn rows(conn: &mut Conn, id: ArticleId, place: Place<'_>, limit: u32) -> Result<Vec<RevisionRow>, Problem> {
    let of_article = listed(id).select(RevisionRow::as_select()).limit(i64::from(limit) + 1).into_boxed();
    let query = match place {
        Place::Offset(offset) => of_article.order(revisions::number.desc()).offset(offset),
        Place::Next { values, backward, .. } => {
            let number = match values {
                [SortValue::Integer(number), ..] => *number,
                _ => 0,
            };
            if backward {
                of_article.filter(revisions::number.gt(number)).order(revisions::number.asc())
            } else {
                of_article.filter(revisions::number.lt(number)).order(revisions::number.desc())
            }
        }
    };
    Ok(query.load(conn)?)
}

fn by_number(conn: &mut Conn, id: ArticleId, number: i64) -> Result<RevisionRow, Problem> {
    let row = listed(id).filter(revisions::number.eq(number)).select(RevisionRow::as_select());
    row.first(conn).optional()?.ok_or_else(Problem::not_found)
}

/// What a revision is compared with: the one that was asked for, that which it was made from, or the save before.
fn former(
    conn: &mut Conn,
    id: ArticleId,
    number: i64,
    against: Option<i64>,
) -> Result<(Option<i64>, Option<Content>), Problem> {
    if let Some(against) = against {
        let content = history::content(conn, id, against)?.ok_or_else(|| {
            let message = "The article has no revision of this number.";
            Problem::invalid_query(vec![crate::http::Fault::query("against", "not_found", message)])
        })?;
        return Ok((Some(against), Some(content)));
    }
    if let Some(base) = by_number(conn, id, number)?.based_on
        && let Some(content) = history::content(conn, id, base)?
    {
        return Ok((Some(base), Some(content)));
    }
    let earlier = listed(id).filter(revisions::number.lt(number));
    let before: Option<i64> = earlier.select(diesel::dsl::max(revisions::number)).first(conn)?;
    match before {
        Some(before) => Ok((Some(before), history::content(conn, id, before)?)),
        None => Ok((None, None)),
    }
}

fn shown(conn: &mut Conn, rows: Vec<RevisionRow>, article: &ArticleRow) -> Result<Vec<RevisionSummary>, Problem> {
    let savers: Vec<UserId> = rows.iter().filter_map(|row| row.saved_by).collect();
    let people = store::people(conn, &savers)?;
    let bases: Vec<i64> = rows.iter().filter_map(|row| row.based_on).collect();
    let bases = listed(article.id).filter(revisions::number.eq_any(bases));
    let bases: Vec<i64> = bases.select(revisions::number).load(conn)?;
    let summary = |row: RevisionRow| RevisionSummary {
        number: row.number,
        saved_at: row.saved_at,
        saved_by: row.saved_by.and_then(|id| people.get(&id).cloned()),
        name: row.name,
        published: article.published_revision == Some(row.number),
        autosave: row.autosave,
        based_on: row.based_on.filter(|base| bases.contains(base)),
    };
    Ok(rows.into_iter().map(summary).collect())
}
