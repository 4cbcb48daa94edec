//! The list of working copies: its filters and sorts.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::store::{self, ArticleRow, Listed};
use super::views::WorkingCopyListItem;
use super::working_copy;
use crate::auth::Actor;
use crate::authors;
use crate::categories;
use crate::config::Config;
use crate::db::list::{Bind, List, SortKey, placeholders};
use crate::db::{Conn, Timestamp};
use crate::http::{Fault, Found, ListOf, ListQuery, Problem, SortKind, SortValue, page};
use crate::parts::{IdOrSlug, LanguageRange, TagName};
use crate::text::canonical_language;

/// What the list of working copies can be filtered and sorted by.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListWorkingCopies {
    /// Only articles with one of these statuses; without it, all but the trashed.
    #[serde(default)]
    #[param(inline, max_items = 7, example = json!(["draft", "in_review"]))]
    status: Vec<Status>,
    /// Only articles that name one of these authors, by id or slug.
    #[serde(default)]
    #[param(inline, max_items = 50, value_type = Vec<IdOrSlug>, example = json!(["maya-ferreira"]))]
    author: Vec<String>,
    /// Only articles in one of these categories or their descendants, by id or slug.
    #[serde(default)]
    #[param(inline, max_items = 50, value_type = Vec<IdOrSlug>, example = json!(["abused-substances"]))]
    category: Vec<String>,
    /// Only articles with one of these tags.
    #[serde(default)]
    #[param(inline, max_items = 50, value_type = Vec<TagName>, example = json!(["early recovery"]))]
    tag: Vec<String>,
    /// Only articles in one of these languages (BCP 47); `*` for all, as without it.
    #[serde(default)]
    #[param(inline, max_items = 50, value_type = Vec<LanguageRange>, example = json!(["en"]))]
    language: Vec<String>,
    /// Only the article whose working copy has this slug.
    #[param(min_length = 1, max_length = 120, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$", example = "first-steps")]
    slug: Option<String>,
    /// Only the article that a program has made under this name.
    #[param(min_length = 1, max_length = 255, pattern = r"^[^\x00-\x1F\x7F]+$", example = "guides/first-steps.md")]
    external_id: Option<String>,
    /// Only public articles that have unpublished changes, or with `false` only the others.
    changed: Option<bool>,
    /// Only articles saved later than this.
    #[param(inline)]
    saved_after: Option<Timestamp>,
    /// The order: one or more of these, the first counts most; `-` for descending.
    #[serde(default)]
    #[param(inline, max_items = 4, example = json!(["-saved_at"]))]
    sort: Vec<WorkingSort>,
}

/// Where an article stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It was never public, and lies neither in the archive nor in the trash.
    Draft,
    /// Somebody asked for it to be published.
    InReview,
    /// A revision of it comes out at a time.
    Scheduled,
    /// It is public.
    Published,
    /// It was public and is no more, and lies neither in the archive nor in the trash.
    Withdrawn,
    /// It is archived, and not in the trash.
    Archived,
    /// It is in the trash.
    Trashed,
}

impl Status {
    const fn condition(self) -> &'static str {
        match self {
            Self::Draft => {
                "(published_revision IS NULL AND withdrawn_at IS NULL AND archived_at IS NULL AND trashed_at IS NULL)"
            }
            Self::InReview => "review IS NOT NULL",
            Self::Scheduled => "scheduled_slug IS NOT NULL",
            Self::Archived => "(archived_at IS NOT NULL AND trashed_at IS NULL)",
            Self::Published => "published_revision IS NOT NULL",
            Self::Withdrawn => {
                "(published_revision IS NULL AND withdrawn_at IS NOT NULL AND archived_at IS NULL AND trashed_at IS NULL)"
            }
            Self::Trashed => "trashed_at IS NOT NULL",
        }
    }
}

/// An order of working copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) enum WorkingSort {
    /// Longest unsaved first.
    #[serde(rename = "saved_at")]
    SavedAt,
    /// Last saved first.
    #[serde(rename = "-saved_at")]
    SavedAtDescending,
    /// Oldest first.
    #[serde(rename = "created_at")]
    CreatedAt,
    /// Newest first.
    #[serde(rename = "-created_at")]
    CreatedAtDescending,
    /// By title, without accents and case.
    #[serde(rename = "title")]
    Title,
    /// By title, backwards.
    #[serde(rename = "-title")]
    TitleDescending,
    /// First published first; what never was comes before.
    #[serde(rename = "published_at")]
    PublishedAt,
    /// Last published first; what never was comes after.
    #[serde(rename = "-published_at")]
    PublishedAtDescending,
}

impl WorkingSort {
    fn key(self) -> (SortKey, SortKind) {
        let key = |column, descending| SortKey { column, descending };
        match self {
            Self::SavedAt => (key("saved_at", false), SortKind::Integer),
            Self::SavedAtDescending => (key("saved_at", true), SortKind::Integer),
            Self::CreatedAt => (key("created_at", false), SortKind::Integer),
            Self::CreatedAtDescending => (key("created_at", true), SortKind::Integer),
            Self::Title => (key("title_key", false), SortKind::Text),
            Self::TitleDescending => (key("title_key", true), SortKind::Text),
            Self::PublishedAt => (key("published_at", false), SortKind::Integer),
            Self::PublishedAtDescending => (key("published_at", true), SortKind::Integer),
        }
    }

    fn value(self, row: &ArticleRow) -> SortValue {
        let time = |at: Timestamp| SortValue::Integer(at.unix_millis());
        match self {
            Self::SavedAt | Self::SavedAtDescending => time(row.saved_at),
            Self::CreatedAt | Self::CreatedAtDescending => time(row.created_at),
            Self::Title | Self::TitleDescending => SortValue::Text(row.title_key.clone()),
            Self::PublishedAt | Self::PublishedAtDescending => time(row.published_at),
        }
    }
}

/// One part of the list, of what the actor may edit.
pub(super) fn part(
    conn: &mut Conn,
    config: &Config,
    query: &ListQuery<ListWorkingCopies, true>,
    actor: Actor,
) -> Result<(ListOf<WorkingCopyListItem>, Option<String>), Problem> {
    let filters = &query.filters;
    let mut faults = query.faults.clone();
    let sort = sorts(&filters.sort, &mut faults);
    let list = filters.list(conn, &sort, actor, &mut faults)?;
    if !faults.is_empty() {
        return Err(Problem::invalid_query(faults));
    }
    let kinds: Vec<SortKind> = sort.iter().map(|sort| sort.key().1).collect();
    let (limit, start) = (query.paging.limit, query.paging.start(&query.fingerprint, &kinds)?);
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let rows = store::in_order(conn, &ids.ids)?;
    let keys = |row: &ArticleRow| sort.iter().map(|sort| sort.value(row)).collect();
    let items = rows.into_iter().map(|row| Listed { keys: keys(&row), row }).collect();
    let found = Found { items, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    let rows: Vec<ArticleRow> = found.items.into_iter().map(|listed| listed.row).collect();
    let contents = store::contents(conn, &rows)?;
    let working_copies = working_copy::assemble(conn, config, rows.into_iter().zip(contents).collect())?;
    let items = working_copies.iter().map(WorkingCopyListItem::new).collect::<Result<_, _>>()?;
    Ok((ListOf { items, page }, links))
}

fn sorts(sort: &[WorkingSort], faults: &mut Vec<Fault>) -> Vec<WorkingSort> {
    if sort.is_empty() {
        return vec![WorkingSort::SavedAtDescending];
    }
    let columns: Vec<_> = sort.iter().map(|sort| sort.key().0.column).collect();
    if (1..columns.len()).any(|index| columns[..index].contains(&columns[index])) {
        faults.push(Fault::query("sort", "duplicate", "Each member may stand once in the sort."));
    }
    sort.to_vec()
}

impl ListWorkingCopies {
    fn list(
        &self,
        conn: &mut Conn,
        sort: &[WorkingSort],
        actor: Actor,
        faults: &mut Vec<Fault>,
    ) -> Result<List, Problem> {
        let mut list = List::new("articles", "id", sort.iter().map(|sort| sort.key().0).collect());
        if !actor.role.edits_all_articles() {
            let author = authors::of_user(conn, actor.user)?.map(crate::db::Id::bytes).unwrap_or_default();
            list.filter(
                "(created_by = ? OR EXISTS (SELECT 1 FROM article_references AS r \
                 WHERE r.kind = 'author' AND r.target = ? AND r.article_id = articles.id))",
                [Bind::Bytes(actor.user.bytes()), Bind::Bytes(author)],
            );
        }
        if self.status.is_empty() {
            list.filter("trashed_at IS NULL", []);
        } else {
            let any: Vec<_> = self.status.iter().map(|status| status.condition()).collect();
            list.filter(format!("({})", any.join(" OR ")), []);
        }
        self.filter_references(conn, &mut list, faults)?;
        if !self.language.is_empty() && !self.language.iter().any(|language| language == "*") {
            let condition = format!("language IN ({})", placeholders(self.language.len()));
            list.filter(condition, self.language.iter().map(|tag| Bind::Text(canonical_language(tag))));
        }
        if let Some(slug) = &self.slug {
            list.filter("slug = ?", [Bind::Text(slug.clone())]);
        }
        if let Some(external_id) = &self.external_id {
            list.filter("external_id = ?", [Bind::Text(external_id.clone())]);
        }
        match self.changed {
            Some(true) => list.filter("published_revision <> revision", []),
            Some(false) => list.filter("(published_revision IS NULL OR published_revision = revision)", []),
            None => {}
        }
        if let Some(after) = self.saved_after {
            list.filter("saved_at > ?", [Bind::Integer(after.unix_millis())]);
        }
        Ok(list)
    }

    fn filter_references(&self, conn: &mut Conn, list: &mut List, faults: &mut Vec<Fault>) -> Result<(), Problem> {
        let mut targets = Vec::new();
        for name in &self.author {
            match authors::named(conn, name)? {
                Some(id) => targets.push(id.bytes()),
                None => faults.push(Fault::query("author", "not_found", "There is no author of this id or slug.")),
            }
        }
        filter_reference(list, "author", targets);
        let mut roots = Vec::new();
        for name in &self.category {
            match categories::named(conn, name)? {
                Some(id) => roots.push(id),
                None => faults.push(Fault::query("category", "not_found", "There is no category of this id or slug.")),
            }
        }
        let with_descendants = categories::descendants(conn, &roots)?;
        filter_reference(list, "category", with_descendants.into_iter().map(crate::db::Id::bytes).collect());
        filter_reference(list, "tag", self.tag.iter().map(|tag| tag.as_bytes().to_vec()).collect());
        Ok(())
    }
}

fn filter_reference(list: &mut List, kind: &'static str, targets: Vec<Vec<u8>>) {
    if targets.is_empty() {
        return;
    }
    let condition = format!(
        "EXISTS (SELECT 1 FROM article_references AS r WHERE r.kind = '{kind}' AND r.target IN ({}) AND r.article_id = articles.id)",
        placeholders(targets.len())
    );
    list.filter(condition, targets.into_iter().map(Bind::Bytes));
}
