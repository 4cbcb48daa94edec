//! What was announced to the intake accounts: who was given access to one of them, by whom and how.

use actix_web::web::Data;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::announcements::AnnouncementId;
use crate::audit::{ActorKind, AnyId};
use crate::auth::{Caller, HandleSubmissions, UserId};
use crate::db::list::{List, SortKey};
use crate::db::{Conn, Timestamp};
use crate::http::{
    Found, ListOf, ListQuery, Managed, NoParameters, Operations, Problem, SortKind, SortValue, Sorted, page,
};
use crate::schema::{access_announcements, users};
use crate::state::App;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().operation(__path_list_access_announcements, list_access_announcements)
}

/// That access to an intake account was given or regained.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct AccessAnnouncement {
    /// The id.
    id: AnnouncementId,
    /// When.
    at: Timestamp,
    /// The account.
    account: UserId,
    /// The name of the account; null where it is gone.
    #[schema(required)]
    account_name: Option<String>,
    /// What was done, as `noun.verb`.
    #[schema(example = "user.set_password")]
    action: String,
    /// What kind of actor did it.
    actor_kind: ActorKind,
    /// The account or API key that did it; null where it was neither.
    #[schema(required)]
    actor: Option<AnyId>,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = access_announcements)]
struct AnnouncementRow {
    id: AnnouncementId,
    at: Timestamp,
    user_id: UserId,
    action: String,
    actor_kind: String,
    actor_id: Option<AnyId>,
}

impl Sorted for AnnouncementRow {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Integer(self.at.unix_millis())]
    }
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
}

/// List access announcements
///
/// Whatever gave or regained access to an intake account within a year, the newest first: creation, role, email,
/// password, links and second factor, by whichever way. They are mailed to the other intake accounts as well, where a
/// mail server is set. For `intake`.
#[utoipa::path(get, path = "/api/v1/manage/access-announcements", tag = "Contact")]
pub(super) async fn list_access_announcements(
    _caller: Caller<HandleSubmissions>,
    app: Data<App>,
    query: ListQuery<NoParameters>,
) -> Result<Managed<ListOf<AccessAnnouncement>>, Problem> {
    let (list, links) = app.db.read(move |conn| part(conn, &query)).await?;
    Ok(Managed::new(list).with_links(links))
}

type Part = (ListOf<AccessAnnouncement>, Option<String>);

fn part(conn: &mut Conn, query: &ListQuery<NoParameters>) -> Result<Part, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Integer])?;
    let limit = query.paging.limit;
    let list = List::new("access_announcements", "id", vec![SortKey { column: "at", descending: true }]);
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let wanted: Vec<AnnouncementId> = ids.ids.iter().map(|id| AnnouncementId::from_uuid(*id)).collect();
    let of_ids = access_announcements::table.filter(access_announcements::id.eq_any(&wanted));
    let mut rows: Vec<AnnouncementRow> = of_ids.select(AnnouncementRow::as_select()).load(conn)?;
    rows.sort_by_key(|row| wanted.iter().position(|id| *id == row.id));
    let found = Found { items: rows, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    let accounts: Vec<UserId> = found.items.iter().map(|row| row.user_id).collect();
    let names = users::table.filter(users::id.eq_any(accounts)).select((users::id, users::name));
    let names: Vec<(UserId, String)> = names.load(conn)?;
    let shown = |row: AnnouncementRow| {
        let unknown = || Problem::internal("an announcement has an unknown actor");
        Ok::<_, Problem>(AccessAnnouncement {
            id: row.id,
            at: row.at,
            account: row.user_id,
            account_name: names.iter().find(|(id, _)| *id == row.user_id).map(|(_, name)| name.clone()),
            action: row.action,
            actor_kind: ActorKind::named(&row.actor_kind).ok_or_else(unknown)?,
            actor: row.actor_id,
        })
    };
    let items = found.items.into_iter().map(shown).collect::<Result<_, _>>()?;
    Ok((ListOf { items, page }, links))
}
