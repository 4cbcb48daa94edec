//! The audit trail: who did what to which kind of thing and when. It is written by `changes` and read here.
//!
//! Nothing changes or deletes an event. Each carries a hash over itself and the one before it, so that
//! a verification finds the first that was altered, or whose predecessor was taken out; who takes out the newest
//! ones alone leaves no trace in the database itself.

use actix_web::web::Data;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::auth::{ApiKeyId, Caller, ReadAudit};
use crate::changes::{SubjectKind, chain};
use crate::db::list::{Bind, List, SortKey, placeholders};
use crate::db::{Conn, Id, Timestamp};
use crate::http::{Found, ListOf, ListQuery, Managed, Operations, Problem, SortKind, SortValue, Sorted, page};
use crate::schema::audit_events;
use crate::state::App;

/// The operations of this feature.
pub(crate) fn operations() -> Operations {
    Operations::new().operation(__path_list_audit_events, list_audit_events)
}

/// Marks the id of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AuditEventKind;
/// The id of an event.
pub(crate) type AuditEventId = Id<AuditEventKind>;
/// Marks the id of whatever an event is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnyKind;
/// The id of whatever an event is about.
pub(crate) type AnyId = Id<AnyKind>;

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AuditEvent {
    /// The id.
    pub id: AuditEventId,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: AuditActor,
    /// What, as `noun.verb`.
    #[schema(example = "author.update")]
    pub action: String,
    /// To what.
    pub subject: AuditSubject,
    /// How often: more than once only for what anonymous callers cause, and for refused attempts that are many.
    #[schema(minimum = 1)]
    pub count: i64,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AuditActor {
    /// What kind of actor it was.
    pub kind: ActorKind,
    /// The account or API key, which may be deleted since; null where it is neither.
    pub id: Option<AnyId>,
    /// The API key that was used; null where none was.
    pub api_key: Option<ApiKeyId>,
}

/// What kind of actor it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActorKind {
    /// An account: signed in, or by one of its own API keys.
    User,
    /// A program by its API key.
    ApiKey,
    /// The person at the program's command line.
    CommandLine,
    /// The program itself, at its time.
    System,
    /// Callers who did not say who they are: all of one minute in one event, see `count`.
    Anonymous,
}

impl ActorKind {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "user" => Self::User,
            "api_key" => Self::ApiKey,
            "command_line" => Self::CommandLine,
            "system" => Self::System,
            "anonymous" => Self::Anonymous,
            _ => return None,
        })
    }
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AuditSubject {
    /// What kind of thing.
    pub kind: SubjectKind,
    /// Which one; null for the site, of which there is one, and where nobody said which.
    pub id: Option<AnyId>,
}

/// What was done: a kind of thing, a point, and a verb.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 60, value_type = String, pattern = r"^[a-z_]+\.[a-z_]+$", example = "author.update")]
struct Action(#[expect(dead_code, reason = "only its schema is used")] String);

/// Which events are listed.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListAuditEvents {
    /// Only these actions: any of them.
    #[serde(default)]
    #[param(inline, max_items = 100, value_type = Vec<Action>, example = json!(["author.update"]))]
    action: Vec<String>,
    /// Only what was done to these kinds of things: any of them.
    #[serde(default)]
    #[param(inline, max_items = 20, example = json!(["author"]))]
    subject_kind: Vec<SubjectKind>,
    /// Only what these accounts or API keys did: any of them.
    #[serde(default)]
    #[param(inline, max_items = 100, example = json!(["019aafdc-2f60-7a55-8d1c-3f5be8b4f8a1"]))]
    actor: Vec<AnyId>,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit_events)]
struct AuditRow {
    position: i64,
    id: AuditEventId,
    at: Timestamp,
    actor_id: Option<AnyId>,
    actor_kind: String,
    api_key_id: Option<ApiKeyId>,
    action: String,
    subject_kind: String,
    subject_id: Option<AnyId>,
    count: i64,
    hash: Vec<u8>,
}

impl Sorted for AuditRow {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Integer(self.position)]
    }
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
}

impl AuditRow {
    fn shown(self) -> Result<AuditEvent, Problem> {
        let unknown = |what| Problem::internal(format!("audit event {} has an unknown {what}", self.position));
        let actor = ActorKind::named(&self.actor_kind).ok_or_else(|| unknown("actor"))?;
        let subject = SubjectKind::ALL.into_iter().find(|kind| kind.name() == self.subject_kind);
        Ok(AuditEvent {
            id: self.id,
            at: self.at,
            actor: AuditActor { kind: actor, id: self.actor_id, api_key: self.api_key_id },
            subject: AuditSubject { kind: subject.ok_or_else(|| unknown("subject"))?, id: self.subject_id },
            action: self.action,
            count: self.count,
        })
    }
}

/// List audit events
///
/// Everything that was done, the newest first. Reading leaves no event. For `admin`.
#[utoipa::path(get, path = "/api/v1/manage/audit-events", tag = "Audit")]
pub(crate) async fn list_audit_events(
    _caller: Caller<ReadAudit>,
    app: Data<App>,
    query: ListQuery<ListAuditEvents>,
) -> Result<Managed<ListOf<AuditEvent>>, Problem> {
    let (items, page, links) = app.db.read(move |conn| part(conn, &query)).await?;
    Ok(Managed::new(ListOf { items, page }).with_links(links))
}

type Part = (Vec<AuditEvent>, page::Page, Option<String>);

fn part(conn: &mut Conn, query: &ListQuery<ListAuditEvents>) -> Result<Part, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Integer])?;
    let limit = query.paging.limit;
    let list = matching(&query.filters);
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let wanted: Vec<AuditEventId> = ids.ids.iter().copied().map(Id::from_uuid).collect();
    let rows: Vec<AuditRow> = audit_events::table
        .filter(audit_events::id.eq_any(wanted))
        .order(audit_events::position.desc())
        .select(AuditRow::as_select())
        .load(conn)?;
    let found = Found { items: rows, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    let items = found.items.into_iter().map(AuditRow::shown).collect::<Result<_, _>>()?;
    Ok((items, page, links))
}

fn matching(filters: &ListAuditEvents) -> List {
    let mut list = List::new("audit_events", "id", vec![SortKey { column: "position", descending: true }]);
    let mut any_of = |column: &str, values: Vec<Bind>| {
        if !values.is_empty() {
            list.filter(format!("{column} IN ({})", placeholders(values.len())), values);
        }
    };
    any_of("action", filters.action.iter().cloned().map(Bind::Text).collect());
    any_of("subject_kind", filters.subject_kind.iter().map(|kind| Bind::Text(kind.name().to_owned())).collect());
    any_of("actor_id", filters.actor.iter().map(|id| Bind::Bytes(id.bytes())).collect());
    list
}

/// How many events a verification holds in memory.
const BATCH: i64 = 1000;

impl AuditRow {
    /// The hash that the row must have, as [`crate::changes::record`] makes it.
    fn expected_hash(&self, previous: &[u8]) -> Vec<u8> {
        let bytes = |id: Option<Uuid>| id.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
        chain(
            previous,
            &[
                &self.id.bytes(),
                &self.at.unix_millis().to_be_bytes(),
                self.actor_kind.as_bytes(),
                &bytes(self.actor_id.map(Id::uuid)),
                &bytes(self.api_key_id.map(Id::uuid)),
                self.action.as_bytes(),
                self.subject_kind.as_bytes(),
                &bytes(self.subject_id.map(Id::uuid)),
                &self.count.to_be_bytes(),
            ],
        )
    }
}

/// Recomputes every hash: how many events there are up to the first whose hash is not the one that it must be, and the
/// position of that.
///
/// # Errors
/// What the database says.
pub(crate) fn verify(conn: &mut Conn) -> Result<(u64, Option<i64>), Problem> {
    let (mut previous, mut position, mut seen) = (Vec::new(), i64::MIN, 0);
    loop {
        let rows: Vec<AuditRow> = audit_events::table
            .filter(audit_events::position.gt(position))
            .order(audit_events::position)
            .limit(BATCH)
            .select(AuditRow::as_select())
            .load(conn)?;
        let Some(last) = rows.last() else { return Ok((seen, None)) };
        position = last.position;
        for row in rows {
            if row.hash != row.expected_hash(&previous) {
                return Ok((seen, Some(row.position)));
            }
            previous = row.hash;
            seen += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::UserId;
    use crate::changes::{Event, Who, record};
    use crate::clock::Clock;
    use crate::db::Db;

    async fn with_three_events() -> (tempfile::TempDir, Db) {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("test.db"), Clock::default()).unwrap();
        let event = |who, id| Event {
            at: Timestamp::from_unix_millis(1_800_000_000_000),
            who,
            action: "author.update",
            kind: SubjectKind::Author,
            id,
            public: None,
        };
        let events = [
            event(Who::User(UserId::generate()), Some(Uuid::now_v7())),
            event(Who::CommandLine, None),
            event(Who::CommandLine, Some(Uuid::now_v7())),
        ];
        let written = db.write(move |tx| events.iter().try_for_each(|event| record(tx, event))).await;
        written.unwrap();
        (dir, db)
    }

    /// Does what only someone with the database file can do, and says which event is broken then.
    async fn broken_after(sql: &'static str) -> Option<i64> {
        let (_dir, db) = with_three_events().await;
        assert_eq!(db.read(verify).await.unwrap(), (3, None));
        db.write(move |tx| {
            diesel::sql_query("DROP TRIGGER audit_events_no_update").execute(&mut **tx)?;
            diesel::sql_query(sql).execute(&mut **tx)?;
            verify(tx)
        })
        .await
        .unwrap()
        .1
    }

    #[tokio::test]
    async fn an_altered_event_is_found() {
        assert_eq!(broken_after("UPDATE audit_events SET action = 'author.delete' WHERE position = 2").await, Some(2));
        assert_eq!(broken_after("UPDATE audit_events SET at = at + 1 WHERE position = 3").await, Some(3));
        assert_eq!(broken_after("UPDATE audit_events SET hash = zeroblob(32) WHERE position = 1").await, Some(1));
    }

    #[tokio::test]
    async fn an_event_that_was_taken_out_is_missed_by_the_next() {
        assert_eq!(broken_after("DELETE FROM audit_events WHERE position = 2").await, Some(3));
        assert_eq!(broken_after("DELETE FROM audit_events WHERE position = 1").await, Some(2));
    }
}
