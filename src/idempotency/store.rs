//! The SQL of requests that were done, and the form in which their answers are kept.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::db::{Conn, Timestamp, Tx};
use crate::http::Problem;
use crate::schema::idempotency_keys;

/// For how many seconds a request is remembered.
const KEPT_SECONDS: i64 = 24 * 60 * 60;
/// How many requests of one caller are remembered.
const MOST_OF_CALLER: i64 = 100_000;
/// How many bytes of answers to one caller are kept.
const MOST_BYTES_OF_CALLER: i64 = 32 * 1024 * 1024;

/// A request that was done.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = idempotency_keys)]
pub(super) struct Row {
    pub hash: Vec<u8>,
    pub fingerprint: Vec<u8>,
    pub caller_id: Vec<u8>,
    pub role: String,
    pub created_at: Timestamp,
    pub location: Option<String>,
    pub status: Option<i64>,
    pub headers: Option<String>,
    pub body: Option<Vec<u8>>,
}

/// How a request was answered.
pub(super) struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
        let pair = |(name, value): (&HeaderName, &HeaderValue)| Some((name.as_str().to_owned(), text(value)?));
        Self { status: status.as_u16(), headers: headers.iter().filter_map(pair).collect(), body: body.to_vec() }
    }

    /// The answer of a row; none where it is not kept.
    pub(super) fn of(row: Row) -> Option<Self> {
        let status = u16::try_from(row.status?).ok()?;
        Some(Self { status, headers: serde_json::from_str(&row.headers?).ok()?, body: row.body? })
    }

    pub(super) fn headers_as_text(&self) -> String {
        serde_json::to_string(&self.headers).unwrap_or_default()
    }
}

impl From<Answer> for HttpResponse {
    fn from(answer: Answer) -> Self {
        let mut response = Self::build(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK));
        for header in answer.headers {
            response.append_header(header);
        }
        response.body(answer.body)
    }
}

/// The request of a hash, where it was done within the time.
pub(super) fn find(conn: &mut Conn, hash: &[u8], now: Timestamp) -> Result<Option<Row>, Problem> {
    let known = idempotency_keys::table
        .find(hash)
        .filter(idempotency_keys::created_at.gt(now.plus_seconds(-KEPT_SECONDS)))
        .select(Row::as_select());
    Ok(known.first(conn).optional()?)
}

/// Remembers a request, in the place of what was known of it.
pub(super) fn put(tx: &mut Tx<'_>, row: Row) -> Result<(), Problem> {
    diesel::replace_into(idempotency_keys::table).values(row).execute(&mut **tx)?;
    Ok(())
}

/// Forgets what is over, and what is beyond the bounds: of each caller, the oldest requests, and the oldest answers
/// of those that remain.
///
/// # Errors
/// What the database says.
pub(crate) fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Problem> {
    let over = idempotency_keys::created_at.le(now.plus_seconds(-KEPT_SECONDS));
    diesel::delete(idempotency_keys::table.filter(over)).execute(&mut **tx)?;
    let too_many = "DELETE FROM idempotency_keys WHERE hash IN (SELECT hash FROM (SELECT hash, row_number() OVER \
                    (PARTITION BY caller_id ORDER BY created_at DESC, hash) AS place FROM idempotency_keys) \
                    WHERE place > ?)";
    diesel::sql_query(too_many).bind::<BigInt, _>(MOST_OF_CALLER).execute(&mut **tx)?;
    let too_large = "UPDATE idempotency_keys SET status = NULL, headers = NULL, body = NULL WHERE hash IN (SELECT hash \
                     FROM (SELECT hash, sum(length(body)) OVER (PARTITION BY caller_id ORDER BY created_at DESC, hash) \
                     AS bytes FROM idempotency_keys WHERE body IS NOT NULL) WHERE bytes > ?)";
    diesel::sql_query(too_large).bind::<BigInt, _>(MOST_BYTES_OF_CALLER).execute(&mut **tx)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::{Db, Error};

    #[tokio::test]
    async fn the_oldest_answers_of_a_caller_go_first_and_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("test.db"), Clock::default()).unwrap();
        let at = |second: i64| Timestamp::from_unix_millis(1_000 * second);
        let row = |number: u8, caller: u8, second: i64| Row {
            hash: vec![number; 32],
            fingerprint: vec![0; 32],
            caller_id: vec![caller; 16],
            role: "editor".to_owned(),
            created_at: at(second),
            location: None,
            status: Some(200),
            headers: Some("[]".to_owned()),
            body: Some(vec![0; 12 * 1024 * 1024]),
        };
        let rows = vec![row(1, 1, 100_001), row(2, 1, 100_002), row(3, 1, 100_003), row(4, 2, 100_000), row(5, 1, 1)];
        let kept = db.write(move |tx| {
            rows.into_iter().try_for_each(|row| put(tx, row))?;
            prune(tx, at(100_010))?;
            let kept: Vec<(Vec<u8>, Option<i64>)> = idempotency_keys::table
                .select((idempotency_keys::hash, idempotency_keys::status))
                .order(idempotency_keys::hash)
                .load(&mut **tx)
                .map_err(Error::from)?;
            Ok::<_, Problem>(kept)
        });
        let kept: Vec<_> = kept.await.unwrap().into_iter().map(|(hash, status)| (hash[0], status)).collect();
        assert_eq!(kept, [(1, None), (2, Some(200)), (3, Some(200)), (4, Some(200))]);
    }
}
