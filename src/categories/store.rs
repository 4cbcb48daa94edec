//! Categories in the database: reading them for the two surfaces, and every write with its rules.

use std::collections::HashMap;

use diesel::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::tree::{MAX_LEVELS, Misplaced, Tree};
use super::{Category, CategoryContent, CategoryId, CategorySummary, ExpandedCategory, ManagedCategory};
use crate::cdn::keys::Set;
use crate::changes::{Event, PublicChange, SubjectKind, Who, record};
use crate::counts;
use crate::db::list::{List, SortKey};
use crate::db::{Conn, Document, Timestamp, Tx, among};
use crate::http::problem::IN_USE;
use crate::http::{Fault, Found, ListQuery, Problem, SortKind, SortValue, Sorted, Warning, page};
use crate::schema::{article_references, categories};
use crate::slugs;
use crate::text;

/// A category as its table has it.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = categories, treat_none_as_null = true)]
pub(crate) struct CategoryRow {
    pub(crate) id: CategoryId,
    pub(super) row_version: i64,
    pub(super) slug: String,
    name: String,
    name_key: String,
    parent_id: Option<CategoryId>,
    position: i64,
    pub(super) content: Document<CategoryContent>,
    created_at: Timestamp,
    saved_at: Timestamp,
}

impl Sorted for CategoryRow {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Integer(self.position), SortValue::Text(self.name_key.clone())]
    }
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
}

impl CategoryRow {
    fn summary(self) -> CategorySummary {
        CategorySummary { id: self.id, slug: self.slug, name: self.name }
    }

    pub(super) fn event(&self, who: Who, action: &'static str, public: PublicChange) -> Event {
        Event {
            at: self.saved_at,
            who,
            action,
            kind: SubjectKind::Category,
            id: Some(self.id.uuid()),
            public: Some(public),
        }
    }
}

/// What is shown of a category and does not stand in its row.
struct Surroundings {
    parents: HashMap<CategoryId, CategorySummary>,
    counts: HashMap<CategoryId, i64>,
}

impl Surroundings {
    fn load(conn: &mut Conn, rows: &[CategoryRow]) -> Result<Self, Problem> {
        let ids: Vec<CategoryId> = rows.iter().map(|row| row.id).collect();
        let mut parents: Vec<CategoryId> = rows.iter().filter_map(|row| row.parent_id).collect();
        parents.sort_unstable();
        parents.dedup();
        Ok(Self { parents: summaries(conn, &parents)?, counts: counts::each(conn, "category", &ids)? })
    }

    fn count(&self, row: &CategoryRow) -> i64 {
        self.counts.get(&row.id).copied().unwrap_or_default()
    }

    fn parent(&self, row: &CategoryRow) -> Option<&CategorySummary> {
        row.parent_id.and_then(|id| self.parents.get(&id))
    }

    fn published(&self, row: CategoryRow, children: Option<Vec<Category>>) -> Category {
        Category {
            id: row.id,
            article_count: self.count(&row),
            parent: self.parent(&row).map(|parent| parent.slug.clone()),
            slug: row.slug,
            name: row.name,
            description: row.content.0.description,
            position: row.position,
            children,
        }
    }

    fn managed(&self, row: CategoryRow, warnings: Vec<Warning>) -> ManagedCategory {
        ManagedCategory {
            id: row.id,
            article_count: self.count(&row),
            expanded: ExpandedCategory { parent: self.parent(&row).cloned() },
            content: row.content.0,
            created_at: row.created_at,
            saved_at: row.saved_at,
            warnings,
        }
    }

    /// A category with all that is below it; takes the rows out, so that none is shown twice.
    fn nested(&self, row: CategoryRow, below: &mut HashMap<CategoryId, Vec<CategoryRow>>) -> Category {
        let children = below.remove(&row.id).unwrap_or_default();
        let children = children.into_iter().map(|child| self.nested(child, below)).collect();
        self.published(row, Some(children))
    }
}

/// Categories as delivery shows them.
pub(super) fn published(conn: &mut Conn, rows: Vec<CategoryRow>) -> Result<Vec<Category>, Problem> {
    let surroundings = Surroundings::load(conn, &rows)?;
    Ok(rows.into_iter().map(|row| surroundings.published(row, None)).collect())
}

/// One category as delivery shows it.
pub(super) fn published_one(conn: &mut Conn, row: CategoryRow) -> Result<Category, Problem> {
    let surroundings = Surroundings::load(conn, std::slice::from_ref(&row))?;
    Ok(surroundings.published(row, None))
}

/// Categories with all that is below them, as delivery shows them.
pub(super) fn nested(conn: &mut Conn, rows: Vec<CategoryRow>) -> Result<Vec<Category>, Problem> {
    let all: Vec<CategoryRow> = categories::table
        .order((categories::position, categories::name_key, categories::id))
        .select(CategoryRow::as_select())
        .load(conn)?;
    let surroundings = Surroundings::load(conn, &all)?;
    let mut below: HashMap<CategoryId, Vec<CategoryRow>> = HashMap::new();
    for row in all {
        if let Some(parent) = row.parent_id {
            below.entry(parent).or_default().push(row);
        }
    }
    Ok(rows.into_iter().map(|row| surroundings.nested(row, &mut below)).collect())
}

/// Categories as management shows them.
pub(super) fn managed(conn: &mut Conn, rows: Vec<CategoryRow>) -> Result<Vec<ManagedCategory>, Problem> {
    let surroundings = Surroundings::load(conn, &rows)?;
    Ok(rows.into_iter().map(|row| surroundings.managed(row, Vec::new())).collect())
}

/// One category as management shows it.
pub(super) fn managed_one(
    conn: &mut Conn,
    row: CategoryRow,
    warnings: Vec<Warning>,
) -> Result<ManagedCategory, Problem> {
    let surroundings = Surroundings::load(conn, std::slice::from_ref(&row))?;
    Ok(surroundings.managed(row, warnings))
}

/// All categories, as lists show them.
pub(super) fn all() -> List {
    let ascending = |column| SortKey { column, descending: false };
    List::new("categories", "id", vec![ascending("position"), ascending("name_key")])
}

/// Those without a parent.
pub(super) fn roots() -> List {
    let mut list = all();
    list.filter("parent_id IS NULL", []);
    list
}

pub(super) type Part<T> = (Vec<T>, page::Page, Option<String>);

pub(super) fn part<F, T>(
    conn: &mut Conn,
    list: &List,
    query: &ListQuery<F>,
    show: impl FnOnce(&mut Conn, Vec<CategoryRow>) -> Result<Vec<T>, Problem>,
) -> Result<Part<T>, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Integer, SortKind::Text])?;
    let limit = query.paging.limit;
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let wanted: Vec<CategoryId> = ids.ids.iter().copied().map(CategoryId::from_uuid).collect();
    let mut rows: Vec<CategoryRow> =
        categories::table.filter(categories::id.eq_any(wanted)).select(CategoryRow::as_select()).load(conn)?;
    rows.sort_by_key(|row| ids.ids.iter().position(|id| *id == row.id.uuid()));
    let found = Found { items: rows, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    Ok((show(conn, found.items)?, page, links))
}

pub(super) fn by_id(conn: &mut Conn, id: CategoryId) -> Result<Option<CategoryRow>, Problem> {
    Ok(categories::table.find(id).select(CategoryRow::as_select()).first(conn).optional()?)
}

pub(super) fn by_slug(conn: &mut Conn, slug: &str) -> Result<Option<CategoryRow>, Problem> {
    Ok(categories::table.filter(categories::slug.eq(slug)).select(CategoryRow::as_select()).first(conn).optional()?)
}

/// The category that used to have this slug.
pub(super) fn by_former_slug(conn: &mut Conn, slug: &str) -> Result<Option<CategoryRow>, Problem> {
    match slugs::former(conn, slugs::Kind::Category, slug)? {
        Some(id) => by_id(conn, CategoryId::from_uuid(id)),
        None => Ok(None),
    }
}

/// The category of a present slug, as delivery shows it.
///
/// # Errors
/// What the database says.
pub(crate) fn public(conn: &mut Conn, slug: &str) -> Result<Option<Category>, Problem> {
    by_slug(conn, slug)?.map(|row| published_one(conn, row)).transpose()
}

/// Whether a category has a slug now.
///
/// # Errors
/// What the database says.
pub(crate) fn has_slug(conn: &mut Conn, slug: &str) -> Result<bool, Problem> {
    Ok(by_slug(conn, slug)?.is_some())
}

/// The present slug of who used to have this one.
///
/// # Errors
/// What the database says.
pub(crate) fn present_slug(conn: &mut Conn, former: &str) -> Result<Option<String>, Problem> {
    Ok(by_former_slug(conn, former)?.map(|row| row.slug))
}

/// The category that an id or a slug, present or former, names.
///
/// # Errors
/// What the database says.
pub(crate) fn named(conn: &mut Conn, name: &str) -> Result<Option<CategoryId>, Problem> {
    if let Ok(id) = name.parse::<CategoryId>() {
        let id = slugs::replacements(conn, &[id.uuid()])?.get(&id.uuid()).map_or(id, |new| CategoryId::from_uuid(*new));
        if let Some(row) = by_id(conn, id)? {
            return Ok(Some(row.id));
        }
        // A slug may look like an id.
    }
    let row = match by_slug(conn, name)? {
        Some(row) => Some(row),
        None => by_former_slug(conn, name)?,
    };
    Ok(row.map(|row| row.id))
}

/// What articles say of these categories.
///
/// # Errors
/// What the database says.
pub(crate) fn summaries(conn: &mut Conn, ids: &[CategoryId]) -> Result<HashMap<CategoryId, CategorySummary>, Problem> {
    let mut found = HashMap::with_capacity(ids.len());
    // A statement can't bind any number of values.
    for ids in ids.chunks(1000) {
        let rows: Vec<CategoryRow> = categories::table
            .filter(among(categories::id, ids.iter().map(|id| id.bytes())))
            .select(CategoryRow::as_select())
            .load(conn)?;
        found.extend(rows.into_iter().map(|row| (row.id, row.summary())));
    }
    Ok(found)
}

/// Each of these categories and all that is below them, each once.
///
/// # Errors
/// What the database says.
pub(crate) fn descendants(conn: &mut Conn, ids: &[CategoryId]) -> Result<Vec<CategoryId>, Problem> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(Tree::load(conn)?.with_descendants(ids))
}

/// Stores a new category and says so in both logs. Its parent is an id, or the slug of a category that is
/// there already.
///
/// # Errors
/// A taken slug, or a parent that is not there.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    id: CategoryId,
    mut content: CategoryContent,
    who: Who,
    now: Timestamp,
) -> Result<CategoryRow, Problem> {
    let faults = resolve_parent(tx, id, &mut content)?;
    if !faults.is_empty() {
        return Err(Problem::invalid_body(faults));
    }
    let row = row_of(tx, id, content, now, now, 1)?;
    diesel::insert_into(categories::table).values(&row).execute(&mut **tx)?;
    record(tx, &row.event(who, "category.create", PublicChange::created(&row.slug)))?;
    Ok(row)
}

/// Stores a category as an editor has changed it, where that changes anything.
pub(super) fn save(
    tx: &mut Tx<'_>,
    before: CategoryRow,
    content: CategoryContent,
    who: Who,
    now: Timestamp,
) -> Result<CategoryRow, Problem> {
    let row = row_of(tx, before.id, content, before.created_at, now, before.row_version + 1)?;
    if row.content == before.content {
        return Ok(before);
    }
    if row.slug != before.slug {
        slugs::retire(tx, slugs::Kind::Category, &before.slug, row.id.uuid(), now)?;
    }
    diesel::update(categories::table.find(row.id)).set(&row).execute(&mut **tx)?;
    let has_moved = row.parent_id != before.parent_id;
    // Articles are filed anew, wherever they are shown.
    let touched = has_moved.then(|| Set::Everything.key());
    record(tx, &row.event(who, "category.update", PublicChange::updated(&row.slug).touching(touched)))?;
    if has_moved {
        crate::articles::category_moved(tx, row.id)?;
    }
    Ok(row)
}

/// The row of a category whose parent is resolved; makes the slug where there is none.
fn row_of(
    tx: &mut Tx<'_>,
    id: CategoryId,
    mut content: CategoryContent,
    created_at: Timestamp,
    now: Timestamp,
    row_version: i64,
) -> Result<CategoryRow, Problem> {
    let slug = match &content.slug {
        Some(slug) => {
            if let Some(holder) = by_slug(tx, slug)?.filter(|row| row.id != id) {
                return Err(slugs::taken(Some(json!({ "kind": "category", "id": holder.id, "name": holder.name }))));
            }
            slug.clone()
        }
        None => {
            slugs::made_from(&content.name, "category", |slug| Ok(by_slug(tx, slug)?.is_some_and(|row| row.id != id)))?
        }
    };
    content.slug = Some(slug.clone());
    Ok(CategoryRow {
        id,
        row_version,
        slug,
        name: content.name.clone(),
        name_key: text::sort_key(&content.name),
        parent_id: content.parent.as_deref().and_then(|id| id.parse().ok()),
        position: content.position,
        content: Document(content),
        created_at,
        saved_at: now,
    })
}

/// Puts the id of the parent in the place of its name, and checks that the category may stand under it.
pub(super) fn resolve_parent(
    conn: &mut Conn,
    id: CategoryId,
    content: &mut CategoryContent,
) -> Result<Vec<Fault>, Problem> {
    let Some(name) = &content.parent else { return Ok(Vec::new()) };
    let Some(parent) = named(conn, name)? else {
        return Ok(vec![Fault::body("/parent", "not_found", "There is no category of this slug or id.")]);
    };
    content.parent = Some(parent.to_string());
    Ok(match Tree::load(conn)?.check(id, parent) {
        Ok(()) => Vec::new(),
        Err(misplaced) => {
            let (code, message) = explain(misplaced);
            vec![Fault::body("/parent", code, message)]
        }
    })
}

fn explain(misplaced: Misplaced) -> (&'static str, String) {
    match misplaced {
        Misplaced::Cycle => ("cycle", "This is the category itself or one below it; name another one.".to_owned()),
        Misplaced::TooDeep => ("too_deep", format!("The tree may have at most {MAX_LEVELS} levels.")),
    }
}

/// Deletes a category that nothing needs any more, or whose place another one takes.
pub(super) fn remove(
    tx: &mut Tx<'_>,
    row: &CategoryRow,
    reassign_to: Option<&str>,
    who: Who,
    now: Timestamp,
) -> Result<(), Problem> {
    let children: Vec<CategoryRow> =
        categories::table.filter(categories::parent_id.eq(row.id)).select(CategoryRow::as_select()).load(&mut **tx)?;
    let in_use: i64 = article_references::table
        .filter(article_references::target.eq(row.id.bytes()))
        .count()
        .get_result(&mut **tx)?;
    if let Some(name) = reassign_to {
        let heir = heir(tx, row.id, &children, name)?;
        hand_over(tx, row, children, heir, who, now)?;
    } else if in_use > 0 || !children.is_empty() {
        let detail = "Articles name this category, or others stand under it; send `reassign_to` with the slug or id of the category that takes its place.";
        return Err(Problem::new(&IN_USE, detail));
    }
    diesel::delete(categories::table.find(row.id)).execute(&mut **tx)?;
    // Another one may have taken its place in articles, wherever they are shown.
    let change = PublicChange::removed(&row.slug).touching([Set::Everything.key()]);
    let mut event = row.event(who, "category.delete", change);
    event.at = now;
    record(tx, &event)
}

/// Gives the children and the articles of a category to another one.
fn hand_over(
    tx: &mut Tx<'_>,
    row: &CategoryRow,
    children: Vec<CategoryRow>,
    heir: CategoryId,
    who: Who,
    now: Timestamp,
) -> Result<(), Problem> {
    for mut child in children {
        child.parent_id = Some(heir);
        child.content.0.parent = Some(heir.to_string());
        (child.row_version, child.saved_at) = (child.row_version + 1, now);
        diesel::update(categories::table.find(child.id)).set(&child).execute(&mut **tx)?;
        record(tx, &child.event(who, "category.update", PublicChange::updated(&child.slug)))?;
    }
    // First of all the old id leads to the new one: what reads a stored document from here on resolves it.
    slugs::replace(tx, slugs::Kind::Category, row.id.uuid(), &row.slug, heir.uuid(), now)?;
    crate::articles::reassign_category(tx, row.id, heir)
}

fn heir(conn: &mut Conn, deleted: CategoryId, children: &[CategoryRow], name: &str) -> Result<CategoryId, Problem> {
    let fault = |code, message: String| Problem::invalid_query(vec![Fault::query("reassign_to", code, message)]);
    let heir =
        named(conn, name)?.ok_or_else(|| fault("not_found", "There is no category of this slug or id.".to_owned()))?;
    if heir == deleted {
        return Err(fault("not_found", "This is the category to be deleted; name another one.".to_owned()));
    }
    // Whoever stands below the deleted one is one of its children or stands below one.
    let tree = Tree::load(conn)?;
    match children.iter().filter_map(|child| tree.check(child.id, heir).err()).min() {
        Some(misplaced) => Err(fault(explain(misplaced).0, explain(misplaced).1)),
        None => Ok(heir),
    }
}
