//! Tags: the free words that articles carry. There is no table of them; a tag is whatever a public article has.
//!
//! The list reads the kept counts and not the articles: one range of their primary key for each page.

use actix_web::web::Data;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::cdn::keys::Set;
use crate::db::Conn;
use crate::db::list::Place;
use crate::http::{
    Delivered, Found, ListOf, ListQuery, NoParameters, Operations, Problem, SortKind, SortValue, Sorted, page,
};
use crate::state::App;

/// The operations of this feature.
pub(crate) fn operations() -> Operations {
    Operations::new().operation(__path_list_tags, list_tags)
}

/// A tag that published articles have.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Tag {
    /// The tag, as articles have it.
    #[schema(example = "first steps")]
    pub name: String,
    /// How many articles the list filtered by this tag has, in all languages.
    #[schema(minimum = 1, example = 3)]
    pub article_count: i64,
}

/// The name is its own place in the list; there is no id that could break a tie.
impl Sorted for Tag {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Text(self.name.clone())]
    }
    fn id(&self) -> Uuid {
        Uuid::nil()
    }
}

#[derive(QueryableByName)]
struct TagRow {
    #[diesel(sql_type = Binary)]
    name: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    article_count: i64,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// List tags
///
/// Each tag that published articles have, sorted by the code points of its name, with how many have it. Open
/// to anyone.
#[utoipa::path(get, path = "/api/v1/tags", tag = "Tags")]
pub(crate) async fn list_tags(
    app: Data<App>,
    query: ListQuery<NoParameters>,
) -> Result<Delivered<ListOf<Tag>>, Problem> {
    let ((items, page, links), seen) = app
        .read_public(move |reader| {
            reader.names(|| [Set::Articles.key()]);
            part(reader.conn, &query)
        })
        .await?;
    Ok(app.delivered(ListOf { items, page }, seen).with_links(links))
}

type Part = (Vec<Tag>, page::Page, Option<String>);

fn part(conn: &mut Conn, query: &ListQuery<NoParameters>) -> Result<Part, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Text])?;
    let limit = query.paging.limit;
    let (mut items, more) = in_use(conn, start.place(limit), limit)?;
    if start.is_backward() {
        items.reverse();
    }
    let total = if start.counts() { Some(number_in_use(conn)?) } else { None };
    let found = Found { items, more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    Ok((found.items, page, links))
}

/// The tags from a place on in the walk's direction, and whether there are more.
fn in_use(conn: &mut Conn, place: Place<'_>, limit: u32) -> Result<(Vec<Tag>, bool), Problem> {
    let (condition, direction, name, offset) = match place {
        Place::Offset(offset) => ("target >= ?", "ASC", &[][..], offset),
        Place::Next { values, backward, .. } => {
            let (condition, direction) = if backward { ("target < ?", "DESC") } else { ("target > ?", "ASC") };
            let name = match values {
                [SortValue::Text(name), ..] => name.as_bytes(),
                _ => &[],
            };
            (condition, direction, name, 0)
        }
    };
    let sql = format!(
        "SELECT target AS name, sum(articles) AS article_count FROM published_counts \
         WHERE kind = 'tag' AND {condition} GROUP BY target ORDER BY target {direction} LIMIT ? OFFSET ?"
    );
    let rows: Vec<TagRow> = diesel::sql_query(sql)
        .bind::<Binary, _>(name)
        .bind::<BigInt, _>(i64::from(limit) + 1)
        .bind::<BigInt, _>(offset)
        .load(conn)?;
    let more = rows.len() > limit as usize;
    let tag = |row: TagRow| {
        let name = String::from_utf8(row.name).map_err(Problem::internal)?;
        Ok::<_, Problem>(Tag { name, article_count: row.article_count })
    };
    Ok((rows.into_iter().take(limit as usize).map(tag).collect::<Result<_, _>>()?, more))
}

fn number_in_use(conn: &mut Conn) -> Result<i64, Problem> {
    let sql = "SELECT count(DISTINCT target) AS count FROM published_counts WHERE kind = 'tag'";
    Ok(diesel::sql_query(sql).get_result::<CountRow>(conn)?.count)
}
