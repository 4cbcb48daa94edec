//! The SQL of working copies.

use std::collections::HashMap;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::history::{self, NewRevision, Saving};
use super::lifecycle::{State, Visibility};
use super::model::{ArticleId, Content, Person, from_stored};
use super::schedule::{ScheduleFailure, Scheduled};
use crate::auth::{Actor, UserId, api_keys};
use crate::authors;
use crate::db::{Conn, Document, Id, Timestamp, Tx, among};
use crate::http::{Problem, SortValue, Sorted};
use crate::schema::{article_references, articles, published_articles, revisions, users};
use crate::slugs;
use crate::text;

/// Where an article stands; its content is in the revision.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = articles, treat_none_as_null = true)]
pub struct ArticleRow {
    pub id: ArticleId,
    pub row_version: i64,
    pub revision: i64,
    pub slug: String,
    pub title: String,
    pub title_key: String,
    pub language: String,
    pub translation_of: Option<ArticleId>,
    pub published_revision: Option<i64>,
    pub first_published_at: Timestamp,
    pub published_at: Timestamp,
    pub withdrawn_at: Option<Timestamp>,
    pub archived_at: Option<Timestamp>,
    pub review: Option<Document<Remark>>,
    pub returned: Option<Document<Remark>>,
    pub schedule: Option<Document<Scheduled>>,
    pub due_at: Option<Timestamp>,
    pub scheduled_slug: Option<String>,
    pub schedule_failure: Option<Document<ScheduleFailure>>,
    pub trashed_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub created_by: Option<UserId>,
    pub saved_at: Timestamp,
    pub saved_by: Option<UserId>,
    pub external_id: Option<String>,
}

/// What somebody said of a working copy in its review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    pub at: Timestamp,
    pub by: UserId,
    pub note: Option<String>,
}

impl ArticleRow {
    /// Where it stands, for the rules of its moves.
    pub fn state(&self) -> State {
        let visibility = match (self.published_revision, self.withdrawn_at) {
            (Some(_), _) => Visibility::Public,
            (None, Some(_)) => Visibility::Withdrawn,
            (None, None) => Visibility::None,
        };
        State {
            visibility,
            in_review: self.review.is_some(),
            scheduled: self.schedule.is_some(),
            archived: self.archived_at.is_some(),
            trashed: self.trashed_at.is_some(),
        }
    }
}

/// An article in a sorted list of management.
pub(super) struct Listed {
    pub row: ArticleRow,
    pub keys: Vec<SortValue>,
}

impl Sorted for Listed {
    fn sort_values(&self) -> Vec<SortValue> {
        self.keys.clone()
    }
    fn id(&self) -> Uuid {
        self.row.id.uuid()
    }
}

/// The article of an id.
pub(super) fn by_id(conn: &mut Conn, id: ArticleId) -> Result<Option<ArticleRow>, Problem> {
    Ok(articles::table.find(id).select(ArticleRow::as_select()).first(conn).optional()?)
}

/// The article whose working copy has a slug.
pub(super) fn by_slug(conn: &mut Conn, slug: &str) -> Result<Option<ArticleRow>, Problem> {
    Ok(articles::table.filter(articles::slug.eq(slug)).select(ArticleRow::as_select()).first(conn).optional()?)
}

/// The article of an external id.
pub(super) fn by_external_id(conn: &mut Conn, external_id: &str) -> Result<Option<ArticleRow>, Problem> {
    let of_external_id = articles::table.filter(articles::external_id.eq(external_id));
    Ok(of_external_id.select(ArticleRow::as_select()).first(conn).optional()?)
}

/// The article of an id, where the actor may edit it; another is as good as none.
pub(super) fn editable(conn: &mut Conn, id: ArticleId, actor: Actor) -> Result<ArticleRow, Problem> {
    let row = by_id(conn, id)?.ok_or_else(Problem::not_found)?;
    if may_edit(conn, &row, actor)? { Ok(row) } else { Err(Problem::not_found()) }
}

/// Own is what I created, or what my author is an author of; editors reach everything.
pub(super) fn may_edit(conn: &mut Conn, row: &ArticleRow, actor: Actor) -> Result<bool, Problem> {
    if actor.role.edits_all_articles() || row.created_by == Some(actor.user) {
        return Ok(true);
    }
    let Some(author) = authors::of_user(conn, actor.user)? else { return Ok(false) };
    let named = article_references::table.find(("author", author.bytes(), row.id));
    Ok(diesel::select(diesel::dsl::exists(named)).get_result(conn)?)
}

/// The contents of several working copies, with replaced ids resolved.
pub(super) fn contents(conn: &mut Conn, rows: &[ArticleRow]) -> Result<Vec<Content>, Problem> {
    let ids: Vec<ArticleId> = rows.iter().map(|row| row.id).collect();
    let stored: Vec<(ArticleId, String)> = revisions::table
        .inner_join(articles::table)
        .filter(articles::id.eq_any(ids))
        .filter(articles::revision.eq(revisions::number))
        .select((revisions::article_id, revisions::content))
        .load(conn)?;
    let mut by_id: HashMap<ArticleId, String> = stored.into_iter().collect();
    let mut contents = rows
        .iter()
        .map(|row| from_stored(&by_id.remove(&row.id).unwrap_or_default()))
        .collect::<Result<Vec<_>, _>>()?;
    resolve_replaced(conn, &mut contents)?;
    Ok(contents)
}

/// Puts in the place of ids that another took over that other one.
pub(super) fn resolve_replaced(conn: &mut Conn, contents: &mut [Content]) -> Result<(), Problem> {
    let mut ids: Vec<Uuid> = Vec::new();
    for content in contents.iter() {
        ids.extend(content.author_ids().iter().map(|id| id.uuid()));
        ids.extend(content.category_ids().iter().map(|id| id.uuid()));
        ids.extend(content.reviewer_id().map(Id::uuid));
    }
    let replacements = slugs::replacements(conn, &ids)?;
    if replacements.is_empty() {
        return Ok(());
    }
    let text = |ids: Vec<Uuid>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    for content in contents {
        let authors = slugs::resolve(&content.author_ids(), &replacements);
        content.authors = text(authors.into_iter().map(Id::uuid).collect());
        let categories = slugs::resolve(&content.category_ids(), &replacements);
        content.categories = text(categories.into_iter().map(Id::uuid).collect());
        if let Some(reviewer) = content.reviewer_id() {
            content.reviewed_by = Some(slugs::resolve_one(reviewer, &replacements).to_string());
        }
    }
    Ok(())
}

/// Which article, other than `id`, has a slug: as its working copy's, its public one, or that of what comes out.
pub(super) fn slug_holder(conn: &mut Conn, slug: &str, id: ArticleId) -> Result<Option<ArticleRow>, Problem> {
    let working: Option<ArticleId> = articles::table
        .filter(articles::slug.eq(slug))
        .filter(articles::id.ne(id))
        .select(articles::id)
        .first(conn)
        .optional()?;
    let public: Option<ArticleId> = published_articles::table
        .filter(published_articles::slug.eq(slug))
        .filter(published_articles::article_id.ne(id))
        .select(published_articles::article_id)
        .first(conn)
        .optional()?;
    let coming: Option<ArticleId> = articles::table
        .filter(articles::scheduled_slug.eq(slug))
        .filter(articles::id.ne(id))
        .select(articles::id)
        .first(conn)
        .optional()?;
    match working.or(public).or(coming) {
        Some(holder) => by_id(conn, holder),
        None => Ok(None),
    }
}

/// Stores a new article with its first revision.
pub(super) fn insert(tx: &mut Tx<'_>, row: &ArticleRow, content: &Content) -> Result<(), Problem> {
    diesel::insert_into(articles::table).values(row).execute(&mut **tx)?;
    let saving = Saving { by: row.saved_by, at: row.saved_at, autosave: false, most: None };
    history::insert(tx, &revision_of(row, None, content), saving)?;
    insert_references(tx, row.id, references(content))
}

/// Stores the content as the next revision of the article; `row` is its present state.
pub(super) fn save(
    tx: &mut Tx<'_>,
    row: &ArticleRow,
    content: &Content,
    saving: Saving,
) -> Result<ArticleRow, Problem> {
    let saved = ArticleRow {
        row_version: row.row_version + 1,
        revision: history::next_number(tx, row.id)?,
        saved_at: saving.at,
        saved_by: saving.by,
        ..with_columns(row.clone(), content)
    };
    history::insert(tx, &revision_of(&saved, Some(row.revision), content), saving)?;
    history::retire(tx, &saved, row.revision, saving)?;
    update(tx, &saved)?;
    write_references(tx, saved.id, content)?;
    Ok(saved)
}

fn revision_of<'a>(row: &ArticleRow, based_on: Option<i64>, content: &'a Content) -> NewRevision<'a> {
    let row_version = Some(row.row_version);
    NewRevision { article_id: row.id, number: row.revision, row_version, based_on, content }
}

/// The row with the columns that repeat what SQL must find, sort or constrain of the content.
pub(super) fn with_columns(row: ArticleRow, content: &Content) -> ArticleRow {
    ArticleRow {
        slug: content.slug.clone().unwrap_or_default(),
        title: content.title.clone(),
        title_key: text::sort_key(&content.title),
        language: content.language.clone().unwrap_or_default(),
        translation_of: content.translation_of,
        ..row
    }
}

/// Deletes an article with everything that belongs to it. It must not be public.
pub(super) fn erase(tx: &mut Tx<'_>, id: ArticleId) -> Result<(), Problem> {
    slugs::forget_all(tx, slugs::Kind::Article, id.uuid())?;
    diesel::delete(articles::table.find(id)).execute(&mut **tx)?;
    Ok(())
}

/// Stores the row as it is now.
pub(super) fn update(tx: &mut Tx<'_>, row: &ArticleRow) -> Result<(), Problem> {
    diesel::update(articles::table.find(row.id)).set(row).execute(&mut **tx)?;
    Ok(())
}

fn write_references(tx: &mut Tx<'_>, id: ArticleId, content: &Content) -> Result<(), Problem> {
    // Not `ne_all`, which is prepared anew each time.
    let [published, scheduled, published_link] = PINNED;
    let own = article_references::table
        .filter(article_references::article_id.eq(id))
        .filter(article_references::kind.ne(published))
        .filter(article_references::kind.ne(scheduled))
        .filter(article_references::kind.ne(published_link));
    diesel::delete(own).execute(&mut **tx)?;
    insert_references(tx, id, references(content))
}

/// What a working copy names.
fn references(content: &Content) -> Vec<(&'static str, Vec<u8>)> {
    let authors = content.author_ids().into_iter().map(|id| ("author", id.bytes()));
    let categories = content.category_ids().into_iter().map(|id| ("category", id.bytes()));
    let reviewer = content.reviewer_id().into_iter().map(|id| ("reviewer", id.bytes()));
    let tags = content.tags.iter().map(|tag| ("tag", tag.as_bytes().to_vec()));
    let links = link_references(LINK, content);
    authors.chain(categories).chain(reviewer).chain(tags).chain(links).collect()
}

/// The kind of reference of a link in a working copy.
pub(super) const LINK: &str = "link";
/// The kind of reference of a link in what is public.
pub(super) const PUBLISHED_LINK: &str = "published_link";

/// What names something beside the working copy: the public revision and the one that comes out.
const PINNED: [&str; 3] = ["published", "scheduled", PUBLISHED_LINK];

/// Where a link leads, as references hold it.
pub(super) fn link_target(target: &str) -> Vec<u8> {
    target.as_bytes().to_vec()
}

fn link_references(kind: &'static str, content: &Content) -> Vec<(&'static str, Vec<u8>)> {
    text::link_targets(&content.body_markdown).iter().map(|target| (kind, link_target(target))).collect()
}

/// Remembers where what is public links to; nowhere where it is not public any more.
pub(super) fn write_published_links(tx: &mut Tx<'_>, id: ArticleId, content: Option<&Content>) -> Result<(), Problem> {
    let of_article = article_references::table.filter(article_references::article_id.eq(id));
    diesel::delete(of_article.filter(article_references::kind.eq(PUBLISHED_LINK))).execute(&mut **tx)?;
    insert_references(tx, id, content.map(|content| link_references(PUBLISHED_LINK, content)).unwrap_or_default())
}

/// Remembers whom a pinned revision names, so that they count as in use; none where it is not pinned any more.
pub(super) fn write_pinned_references(
    tx: &mut Tx<'_>,
    id: ArticleId,
    kind: &'static str,
    content: Option<&Content>,
) -> Result<(), Problem> {
    diesel::delete(
        article_references::table
            .filter(article_references::article_id.eq(id))
            .filter(article_references::kind.eq(kind)),
    )
    .execute(&mut **tx)?;
    let Some(content) = content else { return Ok(()) };
    let mut targets: Vec<Vec<u8>> = content.author_ids().into_iter().map(Id::bytes).collect();
    targets.extend(content.category_ids().into_iter().map(Id::bytes));
    targets.extend(content.reviewer_id().map(Id::bytes));
    insert_references(tx, id, targets.into_iter().map(|target| (kind, target)).collect())
}

fn insert_references(tx: &mut Tx<'_>, id: ArticleId, references: Vec<(&'static str, Vec<u8>)>) -> Result<(), Problem> {
    let values: Vec<_> = references
        .into_iter()
        .map(|(kind, target)| {
            (
                article_references::kind.eq(kind),
                article_references::target.eq(target),
                article_references::article_id.eq(id),
            )
        })
        .collect();
    diesel::insert_or_ignore_into(article_references::table).values(values).execute(&mut **tx)?;
    Ok(())
}

/// Lets `new` stand wherever working copies and public revisions name `old`.
pub(super) fn reassign_references(tx: &mut Tx<'_>, old: &[u8], new: &[u8]) -> Result<(), Problem> {
    let named: Vec<(String, ArticleId)> = article_references::table
        .filter(article_references::target.eq(old))
        .select((article_references::kind, article_references::article_id))
        .load(&mut **tx)?;
    for (kind, id) in named {
        diesel::insert_or_ignore_into(article_references::table)
            .values((
                article_references::kind.eq(&kind),
                article_references::target.eq(new),
                article_references::article_id.eq(id),
            ))
            .execute(&mut **tx)?;
    }
    diesel::delete(article_references::table.filter(article_references::target.eq(old))).execute(&mut **tx)?;
    Ok(())
}

/// Who these accounts and API keys are.
pub(super) fn people(conn: &mut Conn, ids: &[UserId]) -> Result<HashMap<UserId, Person>, Problem> {
    let rows: Vec<(UserId, String)> = users::table
        .filter(among(users::id, ids.iter().map(|id| id.bytes())))
        .select((users::id, users::name))
        .load(conn)?;
    let mut names: HashMap<UserId, String> = rows.into_iter().collect();
    let others: Vec<UserId> = ids.iter().copied().filter(|id| !names.contains_key(id)).collect();
    if !others.is_empty() {
        names.extend(api_keys::names(conn, &others)?);
    }
    Ok(names.into_iter().map(|(id, name)| (id, Person { id, name })).collect())
}

/// Whether working copies translate this article.
pub(super) fn is_translated(conn: &mut Conn, id: ArticleId) -> Result<bool, Problem> {
    let translations = articles::table.filter(articles::translation_of.eq(id));
    Ok(diesel::select(diesel::dsl::exists(translations)).get_result(conn)?)
}

/// The articles of these ids, in this order.
pub(super) fn in_order(conn: &mut Conn, ids: &[Uuid]) -> Result<Vec<ArticleRow>, Problem> {
    let wanted: Vec<ArticleId> = ids.iter().map(|id| ArticleId::from_uuid(*id)).collect();
    let mut rows: Vec<ArticleRow> =
        articles::table.filter(articles::id.eq_any(wanted)).select(ArticleRow::as_select()).load(conn)?;
    rows.sort_by_key(|row| ids.iter().position(|id| *id == row.id.uuid()));
    Ok(rows)
}
