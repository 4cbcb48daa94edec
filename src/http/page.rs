//! Lists: which part of one, and how to come to the next.
//!
//! A cursor carries the sort values of the item that it follows, so it survives that item's deletion
//! and a walk sees each item once while others write; it is bound to its list, filters and sort by a
//! fingerprint. Numbered pages count and jump; the two don't mix. `Link` headers (RFC 8288) are relative
//! references and never built from `Host`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::schema::RefBuilder;
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::conditional::{base64url, from_base64url};
use super::problem::{Fault, Problem};
use super::query::LinkBase;
use crate::db::list::Place;
pub use crate::db::list::{SortKind, SortValue};

const DEFAULT_LIMIT: u32 = 20;
const CURSOR_FORMAT: u8 = 1;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// How many items at most.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 100, default = 20, example = 20)]
    pub limit: u32,
    /// Where to go on: `page.next_cursor` of an answer to the same filters and sort. Opaque.
    #[param(
        max_length = 2000,
        min_length = 1,
        pattern = "^[A-Za-z0-9_-]+$",
        example = "WyIyMDI2LTExLTIzVDA5OjMwOjAwWiJd"
    )]
    pub cursor: Option<String>,
    /// A numbered page, from 1, instead of `cursor`; the answer then counts the items.
    #[param(minimum = 1, maximum = 1_000_000, example = 1)]
    pub page: Option<u32>,
}

fn default_limit() -> u32 {
    DEFAULT_LIMIT
}

impl Paging {
    /// Whether a query parameter is one of paging's.
    pub fn is_parameter(name: &str) -> bool {
        matches!(name, "limit" | "cursor" | "page")
    }

    /// A cursor and a page number exclude each other.
    pub fn fault(&self) -> Option<Fault> {
        let both = self.cursor.is_some() && self.page.is_some();
        both.then(|| Fault::query("page", "conflict", "Use either `cursor` or `page`, not both."))
    }

    /// What is wrong with the cursor, as far as it can be told without knowing the sort.
    pub fn cursor_fault(&self, fingerprint: &str) -> Option<Fault> {
        Cursor::read(self.cursor.as_deref()?, fingerprint).err()
    }

    /// Where the list is to be entered; `kinds` are the sort's values, in order.
    pub fn start(&self, fingerprint: &str, kinds: &[SortKind]) -> Result<Start, Problem> {
        match (&self.cursor, self.page) {
            (Some(text), _) => Cursor::decode(text, fingerprint, kinds).map(Start::At),
            (None, Some(page)) => Ok(Start::Page(page)),
            (None, None) => Ok(Start::Beginning),
        }
    }
}

/// Where a list is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At its beginning, for a walk by cursor.
    Beginning,
    /// Next to the item of a cursor.
    At(Cursor),
    /// At a numbered page, from 1.
    Page(u32),
}

impl Start {
    /// Where a store begins to read, `limit` items a page.
    pub fn place(&self, limit: u32) -> Place<'_> {
        match self {
            Self::Beginning => Place::Offset(0),
            Self::Page(number) => Place::Offset(i64::from(number - 1) * i64::from(limit)),
            Self::At(cursor) => Place::Next { values: &cursor.values, id: cursor.id, backward: cursor.backward },
        }
    }

    /// Whether a numbered page was asked for, which counts.
    pub fn counts(&self) -> bool {
        matches!(self, Self::Page(_))
    }

    /// Whether the list is walked towards its beginning.
    pub fn is_backward(&self) -> bool {
        matches!(self, Self::At(cursor) if cursor.backward)
    }
}

/// The place next to one item of a sorted list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    #[serde(rename = "f")]
    format: u8,
    #[serde(rename = "q")]
    fingerprint: String,
    /// Whether the walk goes towards the beginning.
    #[serde(rename = "b")]
    pub backward: bool,
    /// The item's sort values.
    #[serde(rename = "k")]
    pub values: Vec<SortValue>,
    /// The item's id, which breaks ties.
    #[serde(rename = "i")]
    pub id: uuid::Uuid,
}

impl Cursor {
    /// The place after (or before) an item.
    pub fn new(fingerprint: &str, backward: bool, values: Vec<SortValue>, id: uuid::Uuid) -> Self {
        Self { format: CURSOR_FORMAT, fingerprint: fingerprint.to_owned(), backward, values, id }
    }

    /// The cursor as a client carries it.
    pub fn encode(&self) -> String {
        base64url(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads a cursor that belongs to this list.
    ///
    /// # Errors
    /// A fault of `cursor` where it is not one, or one of another list, filter or sort.
    pub fn decode(text: &str, fingerprint: &str, kinds: &[SortKind]) -> Result<Self, Problem> {
        let refuse = |fault| Problem::invalid_query(vec![fault]);
        let cursor = Self::read(text, fingerprint).map_err(refuse)?;
        let fits =
            cursor.values.len() == kinds.len() && cursor.values.iter().zip(kinds).all(|(value, kind)| value.is(*kind));
        if fits { Ok(cursor) } else { Err(refuse(Self::mismatch())) }
    }

    fn read(text: &str, fingerprint: &str) -> Result<Self, Fault> {
        let cursor: Option<Self> = from_base64url(text).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some(cursor) = cursor.filter(|cursor| cursor.format == CURSOR_FORMAT) else {
            let message = "This is not a cursor of this server; start again without it.";
            return Err(Fault::query("cursor", "format", message));
        };
        if cursor.fingerprint == fingerprint { Ok(cursor) } else { Err(Self::mismatch()) }
    }

    fn mismatch() -> Fault {
        let message = "This cursor belongs to other filters or another sort; start again without it.";
        Fault::query("cursor", "mismatch", message)
    }
}

/// Where an answer stands in its list; members that its mode does not have are null.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Page {
    /// How many items the answer could have held.
    #[schema(minimum = 1, maximum = 100, example = 20)]
    pub limit: u32,
    /// Send it as `cursor` to go on; null at the end and on numbered pages.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// The number of the page, from 1; null in a walk by cursor.
    #[schema(required, minimum = 1, maximum = 1_000_000)]
    pub number: Option<u32>,
    /// How many items all pages have together; null in a walk by cursor.
    #[schema(required, minimum = 0)]
    pub total_items: Option<i64>,
    /// How many pages there are; null in a walk by cursor.
    #[schema(required, minimum = 0)]
    pub total_pages: Option<i64>,
}

impl Page {
    /// A list that has one part alone, of so many items at most.
    pub fn whole(limit: u32) -> Self {
        Self { limit, next_cursor: None, number: None, total_items: None, total_pages: None }
    }
}

/// A part of a list.
#[derive(Debug, Clone, Serialize)]
pub struct ListOf<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// Where this part stands in the list.
    pub page: Page,
}

/// Named after its items, since a generic schema has no name of its own.
impl<T: ToSchema> ToSchema for ListOf<T> {
    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
        Page::schemas(schemas);
        schemas.push((T::name().into_owned(), T::schema()));
        schemas.push((Page::name().into_owned(), Page::schema()));
    }
}

impl<T: ToSchema> PartialSchema for ListOf<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new()
            .items(Ref::from_schema_name(T::name()))
            .max_items(Some(100))
            .description(Some("The items, in order."));
        let page = RefBuilder::new()
            .ref_location_from_schema_name(Page::name())
            .description(Some("Where this part stands in the list."))
            .build();
        ObjectBuilder::new()
            .description(Some("A part of a list."))
            .property("items", items)
            .required("items")
            .property("page", page)
            .required("page")
            .into()
    }
}

/// What a store found: the items of one part, whether more follow in the walk's direction, and the count.
pub struct Found<T> {
    /// The items in the list's order, whichever way the walk goes.
    pub items: Vec<T>,
    /// Whether the walk can go on in its direction.
    pub more: bool,
    /// All items of the list, where a numbered page was asked for.
    pub total: Option<i64>,
}

/// An item that knows its place in a sorted list.
pub trait Sorted {
    /// Its sort values, in the order of the sort.
    fn sort_values(&self) -> Vec<SortValue>;
    /// Its id.
    fn id(&self) -> uuid::Uuid;
}

/// The `page` member and the `Link` header of a part of a list.
pub fn describe<T: Sorted>(
    found: &Found<T>,
    start: &Start,
    limit: u32,
    fingerprint: &str,
    base: &LinkBase,
) -> (Page, Option<String>) {
    let mut page = Page { limit, next_cursor: None, number: None, total_items: None, total_pages: None };
    let mut links = vec![("first", base.link(limit, None))];
    if let Start::Page(number) = start {
        let total = found.total.unwrap_or_default();
        let pages = (total + i64::from(limit) - 1) / i64::from(limit);
        page = Page { number: Some(*number), total_items: Some(total), total_pages: Some(pages), ..page };
        links[0].1 = base.link(limit, Some(("page", "1")));
        let target = |number: i64| base.link(limit, Some(("page", &number.to_string())));
        if *number > 1 {
            links.push(("prev", target(i64::from(*number - 1).min(pages.max(1)))));
        }
        if i64::from(*number) < pages {
            links.push(("next", target(i64::from(*number) + 1)));
        }
        links.push(("last", target(pages.max(1))));
    } else {
        let cursor = |item: Option<&T>, backward| {
            item.map(|item| Cursor::new(fingerprint, backward, item.sort_values(), item.id()).encode())
        };
        let backward = start.is_backward();
        let has_prev = if backward { found.more } else { matches!(start, Start::At(_)) };
        let has_next = if backward { true } else { found.more };
        if has_prev && let Some(text) = cursor(found.items.first(), true) {
            links.push(("prev", base.link(limit, Some(("cursor", &text)))));
        }
        if has_next && let Some(text) = cursor(found.items.last(), false) {
            links.push(("next", base.link(limit, Some(("cursor", &text)))));
            page.next_cursor = Some(text);
        }
    }
    let header = links.iter().map(|(rel, target)| format!("<{target}>; rel=\"{rel}\"")).collect::<Vec<_>>();
    (page, Some(header.join(", ")))
}

impl LinkBase {
    fn link(&self, limit: u32, place: Option<(&str, &str)>) -> String {
        let mut pairs = self.pairs.clone();
        pairs.push(format!("limit={limit}"));
        if let Some((name, value)) = place {
            pairs.push(format!("{name}={value}"));
        }
        format!("{}?{}", self.path, pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = SortValue> {
        prop_oneof![any::<i64>().prop_map(SortValue::Integer), ".{0,80}".prop_map(SortValue::Text)]
    }

    fn kind(value: &SortValue) -> SortKind {
        match value {
            SortValue::Integer(_) => SortKind::Integer,
            SortValue::Text(_) => SortKind::Text,
        }
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_went(
            values in prop::collection::vec(value(), 1..4), id in any::<u128>(), backward in any::<bool>(),
        ) {
            let kinds: Vec<_> = values.iter().map(kind).collect();
            let cursor = Cursor::new("list", backward, values, uuid::Uuid::from_u128(id));
            prop_assert_eq!(Cursor::decode(&cursor.encode(), "list", &kinds).unwrap(), cursor);
        }

        #[test]
        fn a_cursor_is_refused_by_another_list(value in value(), id in any::<u128>()) {
            let kinds = [kind(&value)];
            let text = Cursor::new("list", false, vec![value], uuid::Uuid::from_u128(id)).encode();
            prop_assert!(Cursor::decode(&text, "another", &kinds).is_err());
            prop_assert!(Cursor::decode(&text, "list", &[]).is_err());
        }

        #[test]
        fn any_text_is_a_cursor_or_a_fault(text in ".{0,200}") {
            drop(Cursor::decode(&text, "list", &[SortKind::Integer]));
        }
    }
}
