//! `column IN (…)` by the same statement however many values there are: it is prepared once for each class of sizes.

use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Binary, Bool};
use diesel::sqlite::Sqlite;

/// How many places are filled up at most: `SQLite` takes 32,766.
const MOST_FILLED: usize = 1024;

/// See [`among`].
#[derive(Debug, Clone)]
pub struct Among<C> {
    column: C,
    values: Vec<Vec<u8>>,
}

/// Whether a column is one of these values. What Diesel makes of `eq_any` has as many places as there are values and is
/// prepared anew each time; here the last value fills the places up to the next power of four, which changes nothing.
/// More than 1,024 values have as many places as they are, and their statement is not kept.
pub fn among<C>(column: C, values: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Among<C> {
    let mut values: Vec<Vec<u8>> = values.into_iter().map(Into::into).collect();
    if let Some(last) = values.last().cloned() {
        let places = values.len().next_power_of_two();
        let places = if places.trailing_zeros().is_multiple_of(2) { places } else { places * 2 };
        if places <= MOST_FILLED {
            values.resize(places, last);
        }
    }
    Among { column, values }
}

impl<C: Expression> Expression for Among<C> {
    type SqlType = Bool;
}

impl<C> ValidGrouping<()> for Among<C> {
    type IsAggregate = is_aggregate::No;
}

impl<C> QueryId for Among<C> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C, T> AppearsOnTable<T> for Among<C>
where
    C: AppearsOnTable<T>,
    Self: Expression,
{
}

impl<C, T> SelectableExpression<T> for Among<C>
where
    C: SelectableExpression<T>,
    Self: AppearsOnTable<T>,
{
}

impl<C: QueryFragment<Sqlite>> QueryFragment<Sqlite> for Among<C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        if self.values.len() > MOST_FILLED {
            out.unsafe_to_cache_prepared();
        }
        self.column.walk_ast(out.reborrow())?;
        out.push_sql(" IN (");
        for (index, value) in self.values.iter().enumerate() {
            if index > 0 {
                out.push_sql(",");
            }
            out.push_bind_param::<Binary, _>(value)?;
        }
        out.push_sql(")");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;

    table! {
        things (id) { id -> Binary, }
    }

    #[test]
    fn it_finds_what_is_among_the_values_and_has_few_forms() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute(
            "CREATE TABLE things (id BLOB PRIMARY KEY); INSERT INTO things VALUES (x'01'), (x'02'), (x'05')",
        )
        .unwrap();
        let mut found = |values: &[u8]| -> Vec<Vec<u8>> {
            let wanted = things::table.filter(among(things::id, values.iter().map(|value| [*value])));
            wanted.order(things::id).select(things::id).load(&mut conn).unwrap()
        };
        assert_eq!(found(&[]), Vec::<Vec<u8>>::new());
        assert_eq!(found(&[2]), [[2]]);
        assert_eq!(found(&[1, 2, 3, 4, 5]), [[1], [2], [5]]);
        let places = |count: u32| among(things::id, (0..count).map(u32::to_be_bytes)).values.len();
        assert_eq!([0, 1, 2, 4, 5, 16, 17, 65].map(places), [0, 1, 4, 4, 16, 16, 64, 256]);
        assert_eq!([257, 1024, 1025, 32_766].map(places), [1024, 1024, 1025, 32_766]);
        let many = things::table.filter(among(things::id, (0..32_766_u32).map(u32::to_be_bytes)));
        assert_eq!(many.count().get_result(&mut conn), Ok(0));
    }
}
