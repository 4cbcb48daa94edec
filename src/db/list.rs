//! Sorted lists: which ids stand on one page.
//!
//! Statements are put together from fixed text alone; whatever a client sends is bound. A page by cursor
//! is one range of an index: with one sort key the place is compared as a row value, `(key, id) < (?, ?)`,
//! with several the first key still bounds the range.

use std::fmt::Write as _;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};
use diesel::sqlite::Sqlite;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Conn;

/// What kind of value a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKind {
    /// A number or a time.
    Integer,
    /// Text.
    Text,
}

/// A value that a list is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SortValue {
    /// A number or a time in milliseconds.
    Integer(i64),
    /// Text.
    Text(String),
}

impl SortValue {
    /// Whether the value is of this kind.
    pub fn is(&self, kind: SortKind) -> bool {
        matches!((self, kind), (Self::Integer(_), SortKind::Integer) | (Self::Text(_), SortKind::Text))
    }
}

/// A value that a statement binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// A number or a time.
    Integer(i64),
    /// Text.
    Text(String),
    /// An id, or the target of a facet.
    Bytes(Vec<u8>),
}

impl From<&SortValue> for Bind {
    fn from(value: &SortValue) -> Self {
        match value {
            SortValue::Integer(number) => Self::Integer(*number),
            SortValue::Text(text) => Self::Text(text.clone()),
        }
    }
}

/// A column that a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub column: &'static str,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// Where in the list to begin.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// After this many items.
    Offset(i64),
    /// Next to an item, given by its sort values and id.
    Next {
        /// Its sort values, one for each key.
        values: &'a [SortValue],
        /// Its id.
        id: Uuid,
        /// Whether towards the beginning.
        backward: bool,
    },
}

/// A list to be read page by page.
#[derive(Debug, Clone)]
pub struct List {
    from: &'static str,
    id: &'static str,
    keys: Vec<SortKey>,
    conditions: Vec<String>,
    binds: Vec<Bind>,
}

/// The ids of one page, in the list's order.
#[derive(Debug)]
pub struct IdPage {
    /// The ids.
    pub ids: Vec<Uuid>,
    /// Whether there are more in the direction of the walk.
    pub more: bool,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[cfg(test)]
#[derive(QueryableByName)]
struct PlanRow {
    #[diesel(sql_type = Text)]
    detail: String,
}

impl List {
    /// All rows of a table whose id column is `id`, sorted by `keys` and then by id.
    pub fn new(from: &'static str, id: &'static str, keys: Vec<SortKey>) -> Self {
        Self { from, id, keys, conditions: Vec::new(), binds: Vec::new() }
    }

    /// Keeps only rows that meet a condition; each `?` takes one of `binds`.
    pub fn filter(&mut self, condition: impl Into<String>, binds: impl IntoIterator<Item = Bind>) {
        self.conditions.push(condition.into());
        self.binds.extend(binds);
    }

    /// Reads one page.
    ///
    /// # Errors
    /// What the database says.
    pub fn page(&self, conn: &mut Conn, place: Place<'_>, limit: u32) -> QueryResult<IdPage> {
        let (sql, binds) = self.statement(place, limit);
        let rows: Vec<IdRow> = bound(&sql, binds).load(conn)?;
        let mut ids: Vec<Uuid> = rows.iter().filter_map(|row| Uuid::from_slice(&row.id).ok()).collect();
        let more = ids.len() > limit as usize;
        ids.truncate(limit as usize);
        if matches!(place, Place::Next { backward: true, .. }) {
            ids.reverse();
        }
        Ok(IdPage { ids, more })
    }

    /// Counts all rows of the list.
    ///
    /// # Errors
    /// What the database says.
    pub fn count(&self, conn: &mut Conn) -> QueryResult<i64> {
        let sql = format!("SELECT count(*) AS count FROM {}{}", self.from, where_clause(&self.conditions));
        bound(&sql, self.binds.clone()).get_result::<CountRow>(conn).map(|row| row.count)
    }

    /// How the database would read a page, one step a line: for tests.
    #[cfg(test)]
    ///
    /// # Errors
    /// What the database says.
    pub fn plan(&self, conn: &mut Conn, place: Place<'_>, limit: u32) -> QueryResult<Vec<String>> {
        let (sql, binds) = self.statement(place, limit);
        let rows: Vec<PlanRow> = bound(&format!("EXPLAIN QUERY PLAN {sql}"), binds).load(conn)?;
        Ok(rows.into_iter().map(|row| row.detail).collect())
    }

    fn statement(&self, place: Place<'_>, limit: u32) -> (String, Vec<Bind>) {
        let (mut conditions, mut binds) = (self.conditions.clone(), self.binds.clone());
        let (mut backward, mut offset) = (false, 0);
        match place {
            Place::Offset(items) => offset = items,
            Place::Next { values, id, backward: is_backward } => {
                backward = is_backward;
                conditions.push(self.beyond(values, id, backward, &mut binds));
            }
        }
        let mut order: Vec<String> =
            self.keys.iter().map(|key| format!("{} {}", key.column, direction(key.descending != backward))).collect();
        order.push(format!("{} {}", self.id, direction(self.id_descends() != backward)));
        let mut sql = format!(
            "SELECT {} AS id FROM {}{} ORDER BY {} LIMIT {}",
            self.id,
            self.from,
            where_clause(&conditions),
            order.join(", "),
            i64::from(limit) + 1,
        );
        if offset > 0 {
            let _ = write!(sql, " OFFSET {offset}");
        }
        (sql, binds)
    }

    /// Ties are broken in the direction of the last key, so that one index serves both.
    fn id_descends(&self) -> bool {
        self.keys.last().is_some_and(|key| key.descending)
    }

    /// The condition that a row comes after the given one in the walk's direction.
    fn beyond(&self, values: &[SortValue], id: Uuid, backward: bool, binds: &mut Vec<Bind>) -> String {
        let id_bind = Bind::Bytes(id.as_bytes().to_vec());
        let sign = |descending: bool| if descending == backward { ">" } else { "<" };
        if let ([key], [value]) = (self.keys.as_slice(), values) {
            binds.extend([Bind::from(value), id_bind]);
            return format!("({}, {}) {} (?, ?)", key.column, self.id, sign(key.descending));
        }
        let mut condition = format!("{} {} ?", self.id, sign(self.id_descends()));
        let mut inner = vec![id_bind];
        for (key, value) in self.keys.iter().zip(values).rev() {
            let (column, sign) = (key.column, sign(key.descending));
            condition = format!("({column} {sign}= ? AND ({column} {sign} ? OR {condition}))");
            inner.splice(0..0, [Bind::from(value), Bind::from(value)]);
        }
        binds.extend(inner);
        condition
    }
}

fn direction(descending: bool) -> &'static str {
    if descending { "DESC" } else { "ASC" }
}

fn where_clause(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}

/// `?, ?, ?` for a list of this many values.
pub fn placeholders(number: usize) -> String {
    vec!["?"; number].join(", ")
}

type Bound<'f> = diesel::query_builder::BoxedSqlQuery<'f, Sqlite, diesel::query_builder::SqlQuery>;

fn bound(sql: &str, binds: Vec<Bind>) -> Bound<'static> {
    let mut query = diesel::sql_query(sql).into_boxed::<Sqlite>();
    for bind in binds {
        query = match bind {
            Bind::Integer(number) => query.bind::<BigInt, _>(number),
            Bind::Text(text) => query.bind::<Text, _>(text),
            Bind::Bytes(bytes) => query.bind::<Binary, _>(bytes),
        };
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sort_key_is_compared_as_a_row_value() {
        let list = List::new("t", "id", vec![SortKey { column: "at", descending: true }]);
        let values = [SortValue::Integer(5)];
        let next = Place::Next { values: &values, id: Uuid::nil(), backward: false };
        let (sql, binds) = list.statement(next, 20);
        assert_eq!(sql, "SELECT id AS id FROM t WHERE (at, id) < (?, ?) ORDER BY at DESC, id DESC LIMIT 21");
        assert_eq!(binds.len(), 2);
        let back = Place::Next { values: &values, id: Uuid::nil(), backward: true };
        assert!(list.statement(back, 20).0.contains("(at, id) > (?, ?) ORDER BY at ASC, id ASC"));
    }

    #[test]
    fn several_sort_keys_keep_the_first_as_a_bound() {
        let keys = vec![SortKey { column: "a", descending: false }, SortKey { column: "b", descending: true }];
        let list = List::new("t", "id", keys);
        let values = [SortValue::Integer(1), SortValue::Text("x".to_owned())];
        let (sql, binds) = list.statement(Place::Next { values: &values, id: Uuid::nil(), backward: false }, 1);
        assert!(sql.contains("(a >= ? AND (a > ? OR (b <= ? AND (b < ? OR id < ?))))"), "{sql}");
        assert_eq!(binds.len(), 5);
    }
}
