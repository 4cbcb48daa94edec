//! The filters and sorts of the public list, and how they become one range of an index.
//!
//! In the default order a filter by one author, category or tag reads `published_facets`, whose rows carry
//! that order; whatever else is asked for narrows the walk. Every other list walks an index of
//! `published_articles` in the order of the sort.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::assemble::Item;
use super::published;
use super::views::ListInclude;
use crate::authors;
use crate::categories;
use crate::cdn::keys::{Key, Set};
use crate::counts::{self, Facet};
use crate::db::list::{Bind, List, SortKey, placeholders};
use crate::db::{Conn, Id, Timestamp};
use crate::http::{Fault, Problem, SortKind, SortValue};
use crate::parts::{IdOrSlug, LanguageRange, TagName};
use crate::text::canonical_language;

/// What the public list can be filtered, sorted and enriched by.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListArticles {
    /// Only articles in one of these categories or their descendants, by slug; several or a comma list mean any of them.
    #[serde(default)]
    #[param(inline, max_items = 50, value_type = Vec<IdOrSlug>, example = json!(["abused-substances"]))]
    category: Vec<String>,
    /// Only articles by one of these authors, by slug.
    #[serde(default)]
    #[param(inline, max_items = 50, value_type = Vec<IdOrSlug>, example = json!(["maya-ferreira"]))]
    author: Vec<String>,
    /// Only articles with one of these tags.
    #[serde(default)]
    #[param(inline, max_items = 50, value_type = Vec<TagName>, example = json!(["early recovery"]))]
    tag: Vec<String>,
    /// Only articles in one of these languages (BCP 47); the site's without it, `*` for all.
    #[serde(default)]
    #[param(inline, max_items = 50, value_type = Vec<LanguageRange>, example = json!(["en"]))]
    language: Vec<String>,
    /// Only articles published later than this.
    #[param(inline)]
    published_after: Option<Timestamp>,
    /// Only articles published earlier than this.
    #[param(inline)]
    published_before: Option<Timestamp>,
    /// Leaves out these articles, by id or slug.
    #[serde(default)]
    #[param(inline, max_items = 100, value_type = Vec<IdOrSlug>, example = json!(["first-steps"]))]
    exclude: Vec<String>,
    /// The order: one or more of these, the first counts most; `-` for descending.
    #[serde(default)]
    #[param(inline, max_items = 3, example = json!(["-published_at"]))]
    sort: Vec<ArticleSort>,
    /// What the items have beyond a summary.
    #[serde(default)]
    #[param(inline, max_items = 8, example = json!(["table_of_contents"]))]
    pub include: Vec<ListInclude>,
}

/// An order of the public list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) enum ArticleSort {
    /// Oldest first.
    #[serde(rename = "published_at")]
    PublishedAt,
    /// Newest first.
    #[serde(rename = "-published_at")]
    PublishedAtDescending,
    /// Longest unchanged first.
    #[serde(rename = "updated_at")]
    UpdatedAt,
    /// Last changed first.
    #[serde(rename = "-updated_at")]
    UpdatedAtDescending,
    /// By title, without accents and case.
    #[serde(rename = "title")]
    Title,
    /// By title, backwards.
    #[serde(rename = "-title")]
    TitleDescending,
}

impl ArticleSort {
    fn key(self) -> (SortKey, SortKind) {
        let key = |column, descending| SortKey { column, descending };
        match self {
            Self::PublishedAt => (key("p.published_at", false), SortKind::Integer),
            Self::PublishedAtDescending => (key("p.published_at", true), SortKind::Integer),
            Self::UpdatedAt => (key("p.updated_at", false), SortKind::Integer),
            Self::UpdatedAtDescending => (key("p.updated_at", true), SortKind::Integer),
            Self::Title => (key("p.title_key", false), SortKind::Text),
            Self::TitleDescending => (key("p.title_key", true), SortKind::Text),
        }
    }

    fn value(self, item: &Item) -> SortValue {
        match self {
            Self::PublishedAt | Self::PublishedAtDescending => {
                SortValue::Integer(item.properties.published_at.unix_millis())
            }
            Self::UpdatedAt | Self::UpdatedAtDescending => SortValue::Integer(item.properties.updated_at.unix_millis()),
            Self::Title | Self::TitleDescending => SortValue::Text(item.properties.title_key.clone()),
        }
    }
}

/// A filter by one kind of facet: any of these targets.
struct FacetFilter {
    kind: &'static str,
    targets: Vec<Vec<u8>>,
}

/// The list that a request asks for.
pub(super) struct Plan {
    /// Reads its pages.
    pub list: List,
    sort: Vec<ArticleSort>,
    facets: Vec<FacetFilter>,
    has_exceptions: bool,
    /// The one look-up that counts it, where there is one.
    counted: Option<(&'static str, Vec<u8>, Option<String>)>,
}

impl Plan {
    /// The kinds of the sort's values.
    pub(super) fn kinds(&self) -> Vec<SortKind> {
        self.sort.iter().map(|sort| sort.key().1).collect()
    }

    /// What it is made of beside what its items show.
    /// That is all articles, or those of its first filter; and whatever a name may come to mean.
    pub(super) fn keys(&self) -> Vec<Key> {
        let names = self.facets.iter().filter_map(|facet| match facet.kind {
            "category" => Some(Set::Categories.key()),
            "author" => Some(Set::Authors.key()),
            _ => None,
        });
        let articles = match self.facets.first().filter(|_| !self.has_exceptions) {
            Some(facet) => facet.targets.iter().map(|target| Key::facet(facet.kind, target)).collect(),
            None => vec![Set::Articles.key()],
        };
        names.chain(articles).collect()
    }

    /// The sort values of an article.
    pub(super) fn values(&self, item: &Item) -> Vec<SortValue> {
        self.sort.iter().map(|sort| sort.value(item)).collect()
    }

    /// How many articles the list has: one look-up without or with one filter, else a count of the range.
    pub(super) fn count(&self, conn: &mut Conn) -> Result<i64, Problem> {
        match &self.counted {
            Some((kind, target, language)) => counts::of(conn, kind, target, language.as_deref()),
            None => Ok(self.list.count(conn)?),
        }
    }
}

impl ListArticles {
    /// Resolves the names and plans the list; `faults` are those that the query's schema has found.
    ///
    /// # Errors
    /// All faults of the filters at once.
    pub(super) fn plan(&self, conn: &mut Conn, site_language: &str, mut faults: Vec<Fault>) -> Result<Plan, Problem> {
        let facets = self.facets(conn, &mut faults)?;
        let sort = self.sorts(&mut faults);
        if !faults.is_empty() {
            return Err(Problem::invalid_query(faults));
        }
        let languages = self.languages(site_language);
        let excluded = self.excluded(conn)?;
        let keys: Vec<SortKey> = sort.iter().map(|sort| sort.key().0).collect();
        let by_date = matches!(sort[..], [ArticleSort::PublishedAt | ArticleSort::PublishedAtDescending]);
        let driving = if by_date { rarest(conn, &facets)? } else { None };
        let mut list = match driving {
            Some(index) => {
                let mut list = List::new("published_facets AS p", "p.article_id", keys);
                list.filter("p.kind = ?", [Bind::Text(facets[index].kind.to_owned())]);
                list.filter("p.target = ?", facets[index].targets.iter().cloned().map(Bind::Bytes));
                list
            }
            None => List::new("published_articles AS p", "p.article_id", keys),
        };
        if has_nothing(conn, &facets)? {
            list.filter("FALSE", []);
        }
        filter_languages(&mut list, &languages);
        for (index, facet) in facets.iter().enumerate() {
            if driving != Some(index) {
                filter_facet(&mut list, facet);
            }
        }
        self.filter_dates(&mut list);
        if !excluded.is_empty() {
            let condition = format!("p.article_id NOT IN ({})", placeholders(excluded.len()));
            list.filter(condition, excluded.iter().map(|id| Bind::Bytes(id.as_bytes().to_vec())));
        }
        let is_dated = self.published_after.is_some() || self.published_before.is_some();
        // Five hundred forms, of which a reader keeps two megabytes; the others are without end. In another order a range of
        // dates may be the shorter way, which the planner finds where it sees how many are wanted.
        let is_usual = sort.len() == 1 && (by_date || !is_dated) && languages.len() <= 1 && excluded.is_empty();
        if is_usual && facets.iter().all(|facet| facet.targets.len() == 1) {
            list.keep_statements();
        }
        let narrowed = is_dated || !excluded.is_empty();
        let counted = if narrowed { None } else { counted(&facets, &languages) };
        Ok(Plan { list, sort, facets, has_exceptions: !excluded.is_empty(), counted })
    }

    fn facets(&self, conn: &mut Conn, faults: &mut Vec<Fault>) -> Result<Vec<FacetFilter>, Problem> {
        let mut facets = Vec::new();
        let mut add = |kind, targets: Vec<Vec<u8>>| {
            if !targets.is_empty() {
                facets.push(FacetFilter { kind, targets });
            }
        };
        let mut targets = Vec::new();
        for slug in &self.category {
            match categories::named(conn, slug)? {
                Some(id) => targets.push(Facet::Category(id).target()),
                None => faults.push(Fault::query("category", "not_found", "There is no category of this slug.")),
            }
        }
        add("category", distinct(targets));
        let mut targets = Vec::new();
        for slug in &self.author {
            match authors::named(conn, slug)? {
                Some(id) => targets.push(Facet::Author(id).target()),
                None => faults.push(Fault::query("author", "not_found", "There is no author of this slug.")),
            }
        }
        add("author", distinct(targets));
        add("tag", distinct(self.tag.iter().map(|tag| Facet::Tag(tag).target()).collect()));
        Ok(facets)
    }

    fn sorts(&self, faults: &mut Vec<Fault>) -> Vec<ArticleSort> {
        if self.sort.is_empty() {
            return vec![ArticleSort::PublishedAtDescending];
        }
        let columns: Vec<_> = self.sort.iter().map(|sort| sort.key().0.column).collect();
        if (1..columns.len()).any(|index| columns[..index].contains(&columns[index])) {
            faults.push(Fault::query("sort", "duplicate", "Each member may stand once in the sort."));
        }
        self.sort.clone()
    }

    /// The languages asked for; empty for all.
    fn languages(&self, site_language: &str) -> Vec<String> {
        if self.language.iter().any(|language| language == "*") {
            Vec::new()
        } else if self.language.is_empty() {
            vec![site_language.to_owned()]
        } else {
            let mut languages: Vec<String> = self.language.iter().map(|tag| canonical_language(tag)).collect();
            languages.sort_unstable();
            languages.dedup();
            languages
        }
    }

    /// The ids of what is left out; a name that nothing public has leaves out nothing.
    fn excluded(&self, conn: &mut Conn) -> Result<Vec<Uuid>, Problem> {
        let mut ids = Vec::new();
        for name in &self.exclude {
            match name.parse::<Uuid>() {
                Ok(id) => ids.push(id),
                Err(_) => ids.extend(published::named(conn, name)?.map(Id::uuid)),
            }
        }
        Ok(ids)
    }

    fn filter_dates(&self, list: &mut List) {
        if let Some(after) = self.published_after {
            list.filter("p.published_at > ?", [Bind::Integer(after.unix_millis())]);
        }
        if let Some(before) = self.published_before {
            list.filter("p.published_at < ?", [Bind::Integer(before.unix_millis())]);
        }
    }
}

fn distinct(mut targets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// Whether one of the filters has no article at all, so that nothing need be walked to find none.
fn has_nothing(conn: &mut Conn, facets: &[FacetFilter]) -> Result<bool, Problem> {
    for facet in facets {
        let mut articles = 0;
        for target in &facet.targets {
            articles += counts::of(conn, facet.kind, target, None)?;
        }
        if articles == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Of the filters by one target, the one with the fewest articles: its range is the shortest to walk.
fn rarest(conn: &mut Conn, facets: &[FacetFilter]) -> Result<Option<usize>, Problem> {
    let mut best: Option<(i64, usize)> = None;
    for (index, facet) in facets.iter().enumerate() {
        if let [target] = facet.targets.as_slice() {
            let count = counts::of(conn, facet.kind, target, None)?;
            if best.is_none_or(|(least, _)| count < least) {
                best = Some((count, index));
            }
        }
    }
    Ok(best.map(|(_, index)| index))
}

fn filter_languages(list: &mut List, languages: &[String]) {
    let binds = languages.iter().cloned().map(Bind::Text);
    match languages.len() {
        0 => {}
        1 => list.filter("p.language = ?", binds),
        // The unary plus keeps the planner from taking several ranges, which it would have to sort.
        number => list.filter(format!("+p.language IN ({})", placeholders(number)), binds),
    }
}

fn filter_facet(list: &mut List, facet: &FacetFilter) {
    let condition = format!(
        "EXISTS (SELECT 1 FROM published_facets AS f WHERE f.article_id = p.article_id AND f.kind = ? AND f.target IN ({}))",
        placeholders(facet.targets.len())
    );
    let binds = std::iter::once(Bind::Text(facet.kind.to_owned()));
    list.filter(condition, binds.chain(facet.targets.iter().cloned().map(Bind::Bytes)));
}

/// The counter that holds the number of articles of these filters.
fn counted(facets: &[FacetFilter], languages: &[String]) -> Option<(&'static str, Vec<u8>, Option<String>)> {
    let language = match languages {
        [] => None,
        [one] => Some(one.clone()),
        _ => return None,
    };
    match facets {
        [] => Some(("all", Vec::new(), language)),
        [facet] => match facet.targets.as_slice() {
            [target] => Some((facet.kind, target.clone(), language)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::db::Db;
    use crate::db::list::Place;
    use crate::generate::generate;

    /// What is asked for, the first page and one deep in a walk, and how the database reads it.
    async fn plans(query: serde_json::Value, limit: u32) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("test.db"), Clock::default()).unwrap();
        generate(&db, "en", 50, Timestamp::from_unix_millis(1_800_000_000_000), |_| ()).await.unwrap();
        db.read(move |conn| {
            let filters: ListArticles = serde_json::from_value(query.clone()).unwrap();
            let plan = filters.plan(conn, "en", Vec::new())?;
            let values: Vec<SortValue> = plan
                .kinds()
                .iter()
                .map(|kind| match kind {
                    SortKind::Integer => SortValue::Integer(1_577_840_000_000),
                    SortKind::Text => SortValue::Text("m".to_owned()),
                })
                .collect();
            let deep = Place::Next { values: &values, id: Uuid::nil(), backward: false };
            let mut steps = plan.list.plan(conn, Place::Offset(0), limit)?;
            steps.extend(plan.list.plan(conn, deep, limit)?);
            println!("{query}\n  {}", steps.join("\n  "));
            Ok::<_, Problem>(steps)
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn what_is_sorted_otherwise_is_bound_by_the_date_where_that_is_the_shorter_way() {
        for sort in [json!(["title"]), json!(["title", "published_at"])] {
            let query = json!({ "language": ["*"], "published_after": "2020-01-01T00:00:00Z", "sort": sort });
            let few = plans(query, 5).await;
            assert!(few[0].contains("published_at>?"), "{few:?}");
        }
    }

    #[tokio::test]
    async fn every_page_is_a_range_of_an_index() {
        for query in [
            json!({}),
            json!({ "sort": ["title"] }),
            json!({ "sort": ["-updated_at"] }),
            json!({ "category": ["generated-category-1"] }),
            json!({ "author": ["generated-author-3"] }),
            json!({ "tag": ["tag-1"] }),
            json!({ "tag": ["tag-1"], "language": ["*"] }),
            json!({ "tag": ["tag-1"], "category": ["generated-category-1"], "sort": ["published_at"] }),
            json!({ "category": ["generated-category-1", "generated-category-2"] }),
            json!({ "published_after": "2020-01-01T00:00:00Z", "published_before": "2021-01-01T00:00:00Z" }),
        ] {
            for step in plans(query.clone(), 20).await {
                assert!(!step.contains("TEMP B-TREE") && !step.starts_with("SCAN"), "{query}: {step}");
            }
        }
    }

    #[tokio::test]
    async fn all_languages_in_the_default_order_walk_the_index_of_that_order() {
        for step in plans(json!({ "language": ["*"] }), 20).await {
            assert!(step.contains("published_articles_by_published_at"), "{step}");
        }
    }
}
