//! What was announced to the intake accounts: who was given access to one of them, and what was changed about the forms.

use actix_web::web::Data;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::announcements::AnnouncementId;
use crate::audit::{ActorKind, AnyId};
use crate::auth::{Caller, HandleSubmissions};
use crate::changes::SubjectKind;
use crate::db::list::{List, SortKey};
use crate::db::{Conn, Timestamp};
use crate::http::{
    Found, ListOf, ListQuery, Managed, NoParameters, Operations, Problem, SortKind, SortValue, Sorted, page,
};
use crate::schema::{announcements, contact_forms, users};
use crate::state::App;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().operation(__path_list_contact_announcements, list_contact_announcements)
}

/// Something that the intake accounts should know of.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Announcement {
    /// The id.
    id: AnnouncementId,
    /// When.
    at: Timestamp,
    /// What was done, as `noun.verb`.
    #[schema(example = "user.set_password")]
    action: String,
    /// What kind of thing it was done to: an intake account or a contact form.
    subject_kind: SubjectKind,
    /// The account or form.
    subject: AnyId,
    /// Its name; null where it is gone.
    #[schema(required)]
    subject_name: Option<String>,
    /// What kind of actor did it.
    actor_kind: ActorKind,
    /// The account or API key that did it; null where it was neither.
    #[schema(required)]
    actor: Option<AnyId>,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = announcements)]
struct AnnouncementRow {
    id: AnnouncementId,
    at: Timestamp,
    action: String,
    subject_kind: String,
    subject_id: AnyId,
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

/// List announcements
///
/// What intake should know of, within a year, the newest first: whatever gave or regained access to an intake account
/// (creation, role, email, password, links, second factor, by whichever way) or took it, and changes of contact forms. They
/// are mailed to the intake accounts as well, where a mail server is set. For `intake`.
#[utoipa::path(get, path = "/api/v1/manage/contact-announcements", tag = "Contact")]
pub(super) async fn list_contact_announcements(
    _caller: Caller<HandleSubmissions>,
    app: Data<App>,
    query: ListQuery<NoParameters>,
) -> Result<Managed<ListOf<Announcement>>, Problem> {
    let (list, links) = app.db.read(move |conn| part(conn, &query)).await?;
    Ok(Managed::new(list).with_links(links))
}

type Part = (ListOf<Announcement>, Option<String>);

fn part(conn: &mut Conn, query: &ListQuery<NoParameters>) -> Result<Part, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Integer])?;
    let limit = query.paging.limit;
    let list = List::new("announcements", "id", vec![SortKey { column: "at", descending: true }]);
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let wanted: Vec<AnnouncementId> = ids.ids.iter().map(|id| AnnouncementId::from_uuid(*id)).collect();
    let of_ids = announcements::table.filter(announcements::id.eq_any(&wanted));
    let mut rows: Vec<AnnouncementRow> = of_ids.select(AnnouncementRow::as_select()).load(conn)?;
    rows.sort_by_key(|row| wanted.iter().position(|id| *id == row.id));
    let found = Found { items: rows, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    let subjects: Vec<AnyId> = found.items.iter().map(|row| row.subject_id).collect();
    let mut names: Vec<(AnyId, String)> =
        users::table.filter(users::id.eq_any(&subjects)).select((users::id, users::name)).load(conn)?;
    let forms = contact_forms::table.filter(contact_forms::id.eq_any(&subjects));
    names.extend(forms.select((contact_forms::id, contact_forms::name)).load::<(AnyId, String)>(conn)?);
    let shown = |row: AnnouncementRow| {
        let unknown = |what| Problem::internal(format!("an announcement has an unknown {what}"));
        let subject_kind = SubjectKind::ALL.into_iter().find(|kind| kind.name() == row.subject_kind);
        Ok::<_, Problem>(Announcement {
            id: row.id,
            at: row.at,
            action: row.action,
            subject_kind: subject_kind.ok_or_else(|| unknown("subject"))?,
            subject: row.subject_id,
            subject_name: names.iter().find(|(id, _)| *id == row.subject_id).map(|(_, name)| name.clone()),
            actor_kind: ActorKind::named(&row.actor_kind).ok_or_else(|| unknown("actor"))?,
            actor: row.actor_id,
        })
    };
    let items = found.items.into_iter().map(shown).collect::<Result<_, _>>()?;
    Ok((ListOf { items, page }, links))
}
