//! Notices: mails to people of the house that something has come, queued durably.
//!
//! There is one row for each kind, recipient and subject, a lane: what comes while one waits is counted there, so a flood
//! becomes one mail, and a mail server that is down for a day one row. What fails is tried again after waits that grow, and
//! never given up: after a week the log says so. Nobody who causes a notice waits for it.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use diesel::prelude::*;
use diesel::serialize::{IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, Binary, Text};
use diesel::sqlite::{Sqlite, SqliteValue};
use diesel::{deserialize, serialize};
use uuid::Uuid;

use crate::db::{Conn, Id, Timestamp, Tx};
use crate::http::Problem;
use crate::schema::notices;

/// Marks the id of a notice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoticeIdKind;
/// The id of a notice.
pub(crate) type NoticeId = Id<NoticeIdKind>;

/// How many are taken at a time.
const BATCH: i64 = 20;
/// The first wait after a failure, in seconds; each further one is twice as long.
const FIRST_WAIT_SECONDS: i64 = 30;
/// The longest wait, in seconds.
const LONGEST_WAIT_SECONDS: i64 = 3600;
/// After how long somebody should look why a notice can't be mailed, in seconds: a week.
const WORRYING_SECONDS: i64 = 7 * 24 * 3600;
/// For how long an idle lane is kept, in seconds.
const IDLE_SECONDS: i64 = 24 * 3600;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub(crate) enum NoticeKind {
    /// Something has come by a contact form.
    Submission,
    /// Something has come that should not wait.
    UrgentSubmission,
    /// Something was announced to the intake accounts.
    Announcement,
}

impl NoticeKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Submission => "submission",
            Self::UrgentSubmission => "urgent_submission",
            Self::Announcement => "announcement",
        }
    }

    /// For how many seconds after a mail the next of its lane waits.
    const fn quiet_seconds(self) -> i64 {
        match self {
            Self::Submission => 60,
            Self::UrgentSubmission => 20,
            Self::Announcement => 5,
        }
    }
}

impl ToSql<Text, Sqlite> for NoticeKind {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.name());
        Ok(IsNull::No)
    }
}

impl deserialize::FromSql<Text, Sqlite> for NoticeKind {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        let name = value.read_text();
        let all = [Self::Submission, Self::UrgentSubmission, Self::Announcement];
        all.into_iter().find(|kind| kind.name() == name).ok_or_else(|| "a notice of an unknown kind".into())
    }
}

/// A notice that is to be mailed.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = notices)]
pub(crate) struct Notice {
    id: NoticeId,
    pub(crate) kind: NoticeKind,
    pub(crate) recipient: String,
    pub(crate) subject_id: Vec<u8>,
    /// How many things it tells of.
    pub(crate) waiting: i64,
    attempts: i64,
    waiting_since: Timestamp,
}

/// Adds one thing to what a recipient is to be told.
///
/// # Errors
/// What the database says.
pub(crate) fn add(
    tx: &mut Tx<'_>,
    kind: NoticeKind,
    recipient: &str,
    subject: Uuid,
    now: Timestamp,
) -> Result<(), Problem> {
    diesel::sql_query(
        "INSERT INTO notices (id, kind, recipient, subject_id, waiting, due_at, attempts, waiting_since) \
         VALUES (?, ?, ?, ?, 1, ?, 0, ?) \
         ON CONFLICT (kind, recipient, subject_id) DO UPDATE SET \
         waiting_since = CASE waiting WHEN 0 THEN excluded.waiting_since ELSE waiting_since END, \
         due_at = CASE waiting WHEN 0 THEN max(due_at, excluded.due_at) ELSE due_at END, \
         waiting = waiting + 1",
    )
    .bind::<Binary, _>(NoticeId::generate())
    .bind::<Text, _>(kind)
    .bind::<Text, _>(recipient)
    .bind::<Binary, _>(subject.as_bytes().to_vec())
    .bind::<BigInt, _>(now)
    .bind::<BigInt, _>(now)
    .execute(&mut **tx)?;
    Ok(())
}

/// What is to be mailed now, the urgent first.
///
/// # Errors
/// What the database says.
pub(crate) fn due(conn: &mut Conn, now: Timestamp) -> Result<Vec<Notice>, Problem> {
    // No wait is longer: what is due later than that was written before the clock was set back.
    let latest = now.plus_seconds(LONGEST_WAIT_SECONDS);
    Ok(notices::table
        .filter(notices::waiting.gt(0))
        .filter(notices::due_at.le(now).or(notices::due_at.gt(latest)))
        .order((notices::kind.ne(NoticeKind::UrgentSubmission), notices::due_at))
        .limit(BATCH)
        .select(Notice::as_select())
        .load(conn)?)
}

/// Says that a notice was mailed; what has come since waits for the next.
///
/// # Errors
/// What the database says.
pub(crate) fn sent(tx: &mut Tx<'_>, notice: &Notice, now: Timestamp) -> Result<(), Problem> {
    diesel::update(notices::table.find(notice.id))
        .set((
            notices::waiting.eq(notices::waiting - notice.waiting),
            notices::attempts.eq(0),
            notices::waiting_since.eq(now),
            notices::due_at.eq(now.plus_seconds(notice.kind.quiet_seconds())),
        ))
        .execute(&mut **tx)?;
    Ok(())
}

/// Says that a notice is about to be mailed: whatever becomes of that, the next try waits.
///
/// # Errors
/// What the database says.
pub(crate) fn begin(tx: &mut Tx<'_>, notice: &Notice, now: Timestamp) -> Result<(), Problem> {
    if now >= notice.waiting_since.plus_seconds(WORRYING_SECONDS) {
        tracing::error!(kind = notice.kind.name(), count = notice.waiting, "a notice can't be mailed for a week");
    }
    let next = now.plus_seconds(wait_seconds(notice.attempts));
    diesel::update(notices::table.find(notice.id))
        .set((notices::attempts.eq(notice.attempts + 1), notices::due_at.eq(next)))
        .execute(&mut **tx)?;
    Ok(())
}

/// Forgets a notice whose recipient is none any more.
///
/// # Errors
/// What the database says.
pub(crate) fn forget(tx: &mut Tx<'_>, notice: &Notice) -> Result<(), Problem> {
    diesel::delete(notices::table.find(notice.id)).execute(&mut **tx)?;
    Ok(())
}

/// How long to wait after this many failures before the present one.
fn wait_seconds(failures: i64) -> i64 {
    let doublings = u32::try_from(failures.clamp(0, 20)).unwrap_or_default();
    (FIRST_WAIT_SECONDS << doublings).min(LONGEST_WAIT_SECONDS)
}

/// Deletes the lanes on which nothing waits.
///
/// # Errors
/// What the database says.
pub(crate) fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Problem> {
    let idle = notices::waiting.le(0).and(notices::due_at.lt(now.plus_seconds(-IDLE_SECONDS)));
    diesel::delete(notices::table.filter(idle)).execute(&mut **tx)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::Db;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

    #[tokio::test]
    async fn what_comes_while_one_waits_is_counted_and_nothing_is_told_twice() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("test.db"), Clock::default()).unwrap();
        let subject = Uuid::now_v7();
        let outcome = db.write(move |tx| {
            let add = |tx: &mut Tx<'_>, at| add(tx, NoticeKind::Submission, "a@example.org", subject, at);
            add(tx, NOW)?;
            add(tx, NOW.plus_seconds(1))?;
            let first = due(tx, NOW.plus_seconds(2))?;
            assert_eq!(first.iter().map(|one| one.waiting).collect::<Vec<_>>(), [2]);
            add(tx, NOW.plus_seconds(3))?;
            sent(tx, &first[0], NOW.plus_seconds(4))?;
            assert!(due(tx, NOW.plus_seconds(60))?.is_empty(), "it is quiet for a minute");
            let second = due(tx, NOW.plus_seconds(64))?;
            assert_eq!(second[0].waiting, 1);
            sent(tx, &second[0], NOW.plus_seconds(64))?;
            assert!(due(tx, NOW.plus_seconds(100_000))?.is_empty());
            prune(tx, NOW.plus_seconds(100_000))?;
            add(tx, NOW.plus_seconds(100_000))?;
            assert_eq!(due(tx, NOW.plus_seconds(100_000))?.len(), 1);
            Ok::<_, Problem>(())
        });
        outcome.await.unwrap();
    }

    #[tokio::test]
    async fn what_fails_is_tried_again_after_waits_that_grow_and_is_never_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("test.db"), Clock::default()).unwrap();
        let outcome = db.write(move |tx| {
            add(tx, NoticeKind::Announcement, "a@example.org", Uuid::now_v7(), NOW)?;
            let (mut last, mut waits) = (NOW, Vec::new());
            for second in 0..8 * 24 * 3600 / 10 {
                let now = NOW.plus_seconds(second * 10);
                for notice in due(tx, now)? {
                    waits.push(now.unix_seconds() - last.unix_seconds());
                    last = now;
                    begin(tx, &notice, now)?;
                }
            }
            assert_eq!(waits[..5], [0, 30, 60, 120, 240]);
            assert!(waits.windows(2).all(|two| two[0] <= two[1]) && waits.last() == Some(&3600), "{waits:?}");
            assert!((8 * 24..8 * 24 + 10).contains(&waits.len()), "{}", waits.len());
            // Also where the clock was set back by a year.
            assert_eq!(due(tx, NOW.plus_seconds(-365 * 24 * 3600))?.len(), 1);
            Ok::<_, Problem>(())
        });
        outcome.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_urgent_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("test.db"), Clock::default()).unwrap();
        let outcome = db.write(move |tx| {
            add(tx, NoticeKind::Submission, "a@example.org", Uuid::now_v7(), NOW)?;
            add(tx, NoticeKind::UrgentSubmission, "a@example.org", Uuid::now_v7(), NOW.plus_seconds(1))?;
            let kinds: Vec<_> = due(tx, NOW.plus_seconds(2))?.iter().map(|one| one.kind).collect();
            assert_eq!(kinds, [NoticeKind::UrgentSubmission, NoticeKind::Submission]);
            Ok::<_, Problem>(())
        });
        outcome.await.unwrap();
    }
}
