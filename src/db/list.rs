//! Sorted lists: which ids stand on one page.
//!
//! Statements are put together from fixed text alone; whatever a client sends is bound. A page by cursor
//! is one range of an index: with one sort key the place is compared as a row value, `(key, id) < (?, ?)`,
//! with several the first key still bounds the range.

use std::fmt::Write as _;
use std::marker::PhantomData;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error::QueryBuilderError;
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
    is_kept: bool,
}

/// The ids of one page, in the list's order.
#[derive(Debug)]
pub struct IdPage {
    /// The ids.
    pub ids: Vec<Uuid>,
    /// Whether there are more in the direction of the walk.
    pub more: bool,
}

impl List {
    /// All rows of a table whose id column is `id`, sorted by `keys` and then by id.
    pub fn new(from: &'static str, id: &'static str, keys: Vec<SortKey>) -> Self {
        Self { from, id, keys, conditions: Vec::new(), binds: Vec::new(), is_kept: false }
    }

    /// Keeps only rows that meet a condition; each `?` takes one of `binds`.
    pub fn filter(&mut self, condition: impl Into<String>, binds: impl IntoIterator<Item = Bind>) {
        self.conditions.push(condition.into());
        self.binds.extend(binds);
    }

    /// Prepares the statements of its pages once and keeps them, for as long as the program runs: only for a list whose
    /// conditions and keys have few forms, whatever is asked for.
    pub fn keep_statements(&mut self) {
        self.is_kept = true;
    }

    /// Reads one page.
    ///
    /// # Errors
    /// What the database says.
    pub fn page(&self, conn: &mut Conn, place: Place<'_>, limit: u32) -> QueryResult<IdPage> {
        let rows: Vec<Vec<u8>> = self.statement(place, limit).load(conn)?;
        let mut ids: Vec<Uuid> = rows.iter().filter_map(|id| Uuid::from_slice(id).ok()).collect();
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
        let sql = format!("SELECT count(*) FROM {}{}", self.from, where_clause(&self.conditions));
        Statement::<BigInt>::new(sql, self.binds.clone(), false).get_result(conn)
    }

    /// How the database would read a page, one step a line: for tests.
    #[cfg(test)]
    ///
    /// # Errors
    /// What the database says.
    pub fn plan(&self, conn: &mut Conn, place: Place<'_>, limit: u32) -> QueryResult<Vec<String>> {
        type Step = (BigInt, BigInt, BigInt, Text);
        let Statement { sql, binds, .. } = self.statement(place, limit);
        let steps: Vec<(i64, i64, i64, String)> =
            Statement::<Step>::new(format!("EXPLAIN QUERY PLAN {sql}"), binds, false).load(conn)?;
        Ok(steps.into_iter().map(|(.., detail)| detail).collect())
    }

    fn statement(&self, place: Place<'_>, limit: u32) -> Statement<Binary> {
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
            "SELECT {} FROM {}{} ORDER BY {}",
            self.id,
            self.from,
            where_clause(&conditions),
            order.join(", "),
        );
        let mut bound = |word: &str, number: i64| {
            if self.is_kept {
                let _ = write!(sql, " {word} ?");
                binds.push(Bind::Integer(number));
            } else {
                // The planner knows better how to read so many where it sees the number.
                let _ = write!(sql, " {word} {number}");
            }
        };
        bound("LIMIT", i64::from(limit) + 1);
        if offset > 0 {
            bound("OFFSET", offset);
        }
        Statement::new(sql, binds, self.is_kept)
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

/// A statement that was put together, with the values that it binds; `ST` is what its columns are.
struct Statement<ST> {
    sql: String,
    binds: Vec<Bind>,
    is_kept: bool,
    columns: PhantomData<ST>,
}

impl<ST> Statement<ST> {
    fn new(sql: String, binds: Vec<Bind>, is_kept: bool) -> Self {
        Self { sql, binds, is_kept, columns: PhantomData }
    }
}

impl<ST> Query for Statement<ST> {
    type SqlType = ST;
}

impl<ST> RunQueryDsl<Conn> for Statement<ST> {}

impl<ST> QueryId for Statement<ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> QueryFragment<Sqlite> for Statement<ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        if !self.is_kept {
            out.unsafe_to_cache_prepared();
        }
        let mut binds = self.binds.iter();
        for part in self.sql.split_inclusive('?') {
            let Some(text) = part.strip_suffix('?') else {
                out.push_sql(part);
                break;
            };
            out.push_sql(text);
            match binds.next() {
                Some(Bind::Integer(number)) => out.push_bind_param::<BigInt, _>(number)?,
                Some(Bind::Text(text)) => out.push_bind_param::<Text, _>(text)?,
                Some(Bind::Bytes(bytes)) => out.push_bind_param::<Binary, _>(bytes)?,
                None => return Err(QueryBuilderError("a value is missing".into())),
            }
        }
        binds.next().map_or(Ok(()), |_| Err(QueryBuilderError("a value is for nothing".into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sort_key_is_compared_as_a_row_value() {
        let mut list = List::new("t", "id", vec![SortKey { column: "at", descending: true }]);
        list.keep_statements();
        let values = [SortValue::Integer(5)];
        let next = Place::Next { values: &values, id: Uuid::nil(), backward: false };
        let Statement { sql, binds, .. } = list.statement(next, 20);
        assert_eq!(sql, "SELECT id FROM t WHERE (at, id) < (?, ?) ORDER BY at DESC, id DESC LIMIT ?");
        assert_eq!(binds.len(), 3);
        assert_eq!(binds.last(), Some(&Bind::Integer(21)), "one more than wanted, to see whether there are more");
        let back = Place::Next { values: &values, id: Uuid::nil(), backward: true };
        assert!(list.statement(back, 7).sql.contains("(at, id) > (?, ?) ORDER BY at ASC, id ASC"));
    }

    #[test]
    fn several_sort_keys_keep_the_first_as_a_bound() {
        let keys = vec![SortKey { column: "a", descending: false }, SortKey { column: "b", descending: true }];
        let list = List::new("t", "id", keys);
        let values = [SortValue::Integer(1), SortValue::Text("x".to_owned())];
        let next = Place::Next { values: &values, id: Uuid::nil(), backward: false };
        let Statement { sql, binds, .. } = list.statement(next, 1);
        assert!(sql.contains("(a >= ? AND (a > ? OR (b <= ? AND (b < ? OR id < ?))))"), "{sql}");
        assert!(binds.len() == 5 && sql.ends_with(" LIMIT 2"), "{sql}");
    }
}
