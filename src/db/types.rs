//! The values that every table stores in one way: ids, times and documents.
//!
//! Each engine maps these newtypes once, here, so that no other file knows that `SQLite` keeps an id
//! in 16 bytes, a time as milliseconds and a document as text.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Binary, Text};
use diesel::sqlite::{Sqlite, SqliteValue};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat};
use utoipa::openapi::{Object, ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

/// The id of a resource of kind `K`: a `UUIDv7` (RFC 9562), so ids sort by the time they were made.
///
/// The marker keeps an author's id from being taken for a category's.
#[derive(AsExpression, FromSqlRow)]
#[diesel(sql_type = Binary)]
pub struct Id<K: 'static>(Uuid, PhantomData<fn() -> K>);

impl<K> Id<K> {
    /// Makes a new id.
    pub fn generate() -> Self {
        Self::from_uuid(Uuid::now_v7())
    }

    /// Takes a UUID for an id of this kind.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }

    /// The id without its kind.
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// The sixteen bytes, as the polymorphic tables (facets, references) hold them.
    pub fn bytes(self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl<K> FromStr for Id<K> {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::from_str(text).map(Self::from_uuid)
    }
}
impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::from_uuid)
    }
}
impl<K> ToSql<Binary, Sqlite> for Id<K> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.as_bytes().as_slice());
        Ok(IsNull::No)
    }
}
impl<K> FromSql<Binary, Sqlite> for Id<K> {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        let bytes = <Vec<u8> as FromSql<Binary, Sqlite>>::from_sql(value)?;
        Ok(Self::from_uuid(Uuid::from_slice(&bytes)?))
    }
}
impl<K> PartialSchema for Id<K> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("uuid".to_owned())))
            .max_length(Some(36))
            .description(Some("The id of a resource: a UUIDv7 (RFC 9562)."))
            .examples(["019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1"])
            .into()
    }
}
impl<K> ToSchema for Id<K> {
    fn name() -> Cow<'static, str> {
        "Id".into()
    }
}

/// A moment in UTC, kept to the millisecond; in JSON as RFC 3339 (`2026-11-23T09:30:00Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = BigInt)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment this many milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment this many seconds later.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0 + seconds * 1000)
    }

    fn date_time(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }

    /// The year and month, as `2026-11`.
    pub fn month(self) -> String {
        self.date_time().format("%Y-%m").to_string()
    }

    /// The moment as an HTTP date (RFC 9110, 5.6.7), to the second.
    pub fn http_date(self) -> String {
        self.date_time().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// Reads an HTTP date in its preferred form or in one of the two that are obsolete (RFC 9110, 5.6.7); `None` where it
    /// is not one.
    pub fn from_http_date(text: &str) -> Option<Self> {
        const FORMS: [&str; 3] = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
        let parsed = FORMS.iter().find_map(|form| chrono::NaiveDateTime::parse_from_str(text, form).ok())?;
        Some(Self(parsed.and_utc().timestamp_millis()))
    }
}
/// The text is not a time of RFC 3339 between the years 0 and 9999 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time")]
pub struct InvalidTimestamp;

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidTimestamp)?.with_timezone(&Utc);
        // RFC 3339 has years of four digits: in UTC, too, or the time could not be written back.
        if (0..=9999).contains(&time.year()) { Ok(Self(time.timestamp_millis())) } else { Err(InvalidTimestamp) }
    }
}
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.date_time().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The message never repeats the value: it may end in a problem's text.
        std::borrow::Cow::<'_, str>::deserialize(deserializer)?
            .parse()
            .map_err(|_| D::Error::custom("not an RFC 3339 time"))
    }
}
impl ToSql<BigInt, Sqlite> for Timestamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0);
        Ok(IsNull::No)
    }
}
impl FromSql<BigInt, Sqlite> for Timestamp {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        <i64 as FromSql<BigInt, Sqlite>>::from_sql(value).map(Self)
    }
}
impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        RefOr::T(Schema::Object(timestamp_schema()))
    }
}
impl ToSchema for Timestamp {}

fn timestamp_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .max_length(Some(40))
        .examples(["2026-11-23T09:30:00Z"])
        .build()
}

/// A document in a column: JSON text whose fields need no migration.
#[derive(Debug, Clone, PartialEq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub struct Document<T: fmt::Debug + 'static>(pub T);

impl<T: Serialize + fmt::Debug> ToSql<Text, Sqlite> for Document<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(serde_json::to_string(&self.0)?);
        Ok(IsNull::No)
    }
}
impl<T: DeserializeOwned + fmt::Debug> FromSql<Text, Sqlite> for Document<T> {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Ok(Self(serde_json::from_str(value.read_text())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_utc_with_a_fraction_only_where_there_is_one() {
        let whole: Timestamp = "2026-11-23T10:30:00+01:00".parse().unwrap();
        assert_eq!(whole.to_string(), "2026-11-23T09:30:00Z");
        let fraction: Timestamp = "2026-11-23T09:30:00.25Z".parse().unwrap();
        assert_eq!(fraction.to_string(), "2026-11-23T09:30:00.250Z");
    }

    #[test]
    fn what_is_read_can_be_written_back() {
        for text in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59", "tomorrow", ""] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp), "{text}");
        }
        for text in ["9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_http_date_comes_back_as_it_went() {
        let date = "Mon, 23 Nov 2026 09:30:00 GMT";
        assert_eq!(Timestamp::from_http_date(date).unwrap().http_date(), date);
        for obsolete in ["Monday, 23-Nov-26 09:30:00 GMT", "Mon Nov 23 09:30:00 2026"] {
            assert_eq!(Timestamp::from_http_date(obsolete).unwrap().http_date(), date, "{obsolete}");
        }
        let day = Timestamp::from_http_date("Sun Nov  1 09:30:00 2026").unwrap();
        assert_eq!(day.http_date(), "Sun, 01 Nov 2026 09:30:00 GMT");
        for wrong in ["yesterday", "", "Tue, 23 Nov 2026 09:30:00 GMT", "Mon, 23 Nov 2026 09:30:00"] {
            assert_eq!(Timestamp::from_http_date(wrong), None, "{wrong}");
        }
    }
}
