//! API keys in the database.

use std::collections::HashMap;

use diesel::dsl::AsSelect;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use uuid::Uuid;

use super::{ApiKey, ApiKeyRole};
use crate::auth::secrets::token_hash;
use crate::auth::sign_ins::USE_SECONDS;
use crate::auth::{Actor, Credential};
use crate::auth::{ApiKeyId, Role, UserId, second_factor};
use crate::changes::{Event, SubjectKind, Who, record};
use crate::db::list::{Bind, List, SortKey};
use crate::db::{Conn, Timestamp, Tx};
use crate::http::{Found, ListOf, ListQuery, NoParameters, Problem, SortKind, SortValue, Sorted, page};
use crate::schema::{api_keys, users};
use crate::state::App;

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = api_keys)]
struct ApiKeyRow {
    id: ApiKeyId,
    name: String,
    role: Role,
    owner_id: Option<UserId>,
    created_at: Timestamp,
    expires_at: Timestamp,
    last_used_at: Option<Timestamp>,
}

impl Sorted for ApiKeyRow {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Integer(self.created_at.unix_millis())]
    }
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
}

impl ApiKeyRow {
    fn shown(self) -> Result<ApiKey, Problem> {
        let role = match self.role {
            Role::Contributor => ApiKeyRole::Contributor,
            Role::Author => ApiKeyRole::Author,
            Role::Editor => ApiKeyRole::Editor,
            Role::Intake | Role::Admin => return Err(Problem::internal("an API key has a role that none may have")),
        };
        Ok(ApiKey {
            id: self.id,
            name: self.name,
            role,
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_used_at: self.last_used_at,
        })
    }
}

/// A key to be stored.
pub(super) struct NewRow {
    name: String,
    role: ApiKeyRole,
    owner: Option<UserId>,
    hash: Vec<u8>,
    expires_at: Timestamp,
}

impl NewRow {
    pub(super) fn new(name: String, role: ApiKeyRole, owner: Option<UserId>, key: &str, expires_at: Timestamp) -> Self {
        Self { name, role, owner, hash: token_hash(key), expires_at }
    }
}

/// A key that may be used now.
pub(super) struct Usable {
    pub(super) id: ApiKeyId,
    pub(super) role: Role,
    /// The person whose it is, with what the key may do in that hand.
    pub(super) owner: Option<(UserId, Role)>,
    pub(super) last_used_at: Option<Timestamp>,
}

/// The key of this hash, where it has not ended and its person may use it.
pub(super) fn usable(
    conn: &mut Conn,
    needing_second_factor: &[Role],
    hash: Vec<u8>,
    now: Timestamp,
) -> Result<Option<Usable>, Problem> {
    let row: Option<ApiKeyRow> = standing(now).filter(api_keys::hash.eq(hash)).first(conn).optional()?;
    let Some(row) = row else { return Ok(None) };
    let Some(key) = in_hand(conn, row)? else { return Ok(None) };
    if let Some((owner, _)) = key.owner
        && !needing_second_factor.is_empty()
    {
        // Who must have a second factor and has none can't do more with a key than without.
        let role = present_role(conn, owner)?.unwrap_or(key.role);
        if second_factor::is_missing(needing_second_factor, role, second_factor::is_on(conn, owner)?) {
            return Ok(None);
        }
    }
    Ok(Some(key))
}

/// What a key may do now; nothing where it has ended or its person may not use it.
///
/// # Errors
/// What the database says.
pub(crate) fn role_now(conn: &mut Conn, id: ApiKeyId, now: Timestamp) -> Result<Option<Role>, Problem> {
    let row: Option<ApiKeyRow> = standing(now).filter(api_keys::id.eq(id)).first(conn).optional()?;
    let usable = match row {
        Some(row) => in_hand(conn, row)?,
        None => None,
    };
    Ok(usable.map(|key| key.owner.map_or(key.role, |(_, role)| role)))
}

#[diesel::dsl::auto_type(no_type_alias)]
fn standing(now: Timestamp) -> _ {
    let selected: AsSelect<ApiKeyRow, Sqlite> = ApiKeyRow::as_select();
    api_keys::table.filter(api_keys::revoked_at.is_null()).filter(api_keys::expires_at.gt(now)).select(selected)
}

/// The key in the hand of its person, who must be enabled.
fn in_hand(conn: &mut Conn, row: ApiKeyRow) -> Result<Option<Usable>, Problem> {
    let owner = match row.owner_id {
        None => None,
        Some(owner) => {
            let Some(role) = present_role(conn, owner)?.and_then(|present| row.role.limited_to(present)) else {
                return Ok(None);
            };
            Some((owner, role))
        }
    };
    Ok(Some(Usable { id: row.id, role: row.role, owner, last_used_at: row.last_used_at }))
}

/// The role of an account that is enabled.
fn present_role(conn: &mut Conn, user: UserId) -> Result<Option<Role>, Problem> {
    let enabled = users::table.find(user).filter(users::disabled_at.is_null());
    Ok(enabled.select(users::role).first(conn).optional()?)
}

/// What an account, or an API key in its place, may do now; none where it is gone, disabled or void.
///
/// # Errors
/// What the database says.
pub(crate) fn actor_now(conn: &mut Conn, id: UserId, now: Timestamp) -> Result<Option<Actor>, Problem> {
    let key = ApiKeyId::from_uuid(id.uuid());
    let role = match present_role(conn, id)? {
        Some(role) => Some(role),
        None => role_now(conn, key, now)?,
    };
    Ok(role.map(|role| Actor { user: id, role, credential: Credential::Program(key) }))
}

/// Revokes the own keys of an account.
///
/// # Errors
/// What the database says.
pub(crate) fn revoke_all_of(tx: &mut Tx<'_>, user: UserId, now: Timestamp) -> Result<(), Problem> {
    let standing = api_keys::table.filter(api_keys::owner_id.eq(user)).filter(api_keys::revoked_at.is_null());
    diesel::update(standing).set(api_keys::revoked_at.eq(now)).execute(&mut **tx)?;
    Ok(())
}

/// Writes the time of use behind the request's back: nobody waits for it.
pub(super) fn note_use(app: &App, id: ApiKeyId, now: Timestamp) {
    let db = app.db.clone();
    actix_web::rt::spawn(async move {
        let noted = db.write(move |tx| {
            // Many requests at once may have seen the same time of use; one of them writes.
            let before = now.plus_seconds(-USE_SECONDS);
            let is_due = api_keys::last_used_at.is_null().or(api_keys::last_used_at.le(before).assume_not_null());
            let row = api_keys::table.find(id).filter(is_due);
            diesel::update(row).set(api_keys::last_used_at.eq(now)).execute(&mut **tx)?;
            Ok::<_, Problem>(())
        });
        if let Err(error) = noted.await {
            tracing::warn!(%error, "the time of an API key's use could not be written");
        }
    });
}

/// One part of the keys of programs, or of a person.
pub(super) fn part(
    conn: &mut Conn,
    query: &ListQuery<NoParameters>,
    owner: Option<UserId>,
) -> Result<(ListOf<ApiKey>, Option<String>), Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Integer])?;
    let limit = query.paging.limit;
    let mut list = List::new("api_keys", "id", vec![SortKey { column: "created_at", descending: true }]);
    list.filter("revoked_at IS NULL", []);
    match owner {
        Some(owner) => list.filter("owner_id = ?", [Bind::Bytes(owner.bytes())]),
        None => list.filter("owner_id IS NULL", []),
    }
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let wanted: Vec<ApiKeyId> = ids.ids.iter().copied().map(ApiKeyId::from_uuid).collect();
    let mut rows: Vec<ApiKeyRow> =
        api_keys::table.filter(api_keys::id.eq_any(&wanted)).select(ApiKeyRow::as_select()).load(conn)?;
    rows.sort_by_key(|row| wanted.iter().position(|id| *id == row.id));
    let found = Found { items: rows, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    let items = found.items.into_iter().map(ApiKeyRow::shown).collect::<Result<_, _>>()?;
    Ok((ListOf { items, page }, links))
}

/// A key of a program, or of this person, that was not revoked.
pub(super) fn by_id(conn: &mut Conn, id: ApiKeyId, owner: Option<UserId>) -> Result<ApiKey, Problem> {
    let row: Option<ApiKeyRow> = api_keys::table
        .find(id)
        .filter(api_keys::revoked_at.is_null())
        .select(ApiKeyRow::as_select())
        .first(conn)
        .optional()?;
    row.filter(|row| row.owner_id == owner).ok_or_else(Problem::not_found)?.shown()
}

pub(super) fn insert(tx: &mut Tx<'_>, new: NewRow, who: Who, now: Timestamp) -> Result<ApiKey, Problem> {
    let id = ApiKeyId::generate();
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(id),
            api_keys::hash.eq(new.hash),
            api_keys::name.eq(new.name),
            api_keys::role.eq(Role::from(new.role)),
            api_keys::owner_id.eq(new.owner),
            api_keys::created_at.eq(now),
            api_keys::expires_at.eq(new.expires_at),
        ))
        .execute(&mut **tx)?;
    audit(tx, id, who, "api_key.create", now)?;
    let row: ApiKeyRow = api_keys::table.find(id).select(ApiKeyRow::as_select()).first(&mut **tx)?;
    row.shown()
}

/// Revokes a key of a program, or of this person.
pub(super) fn revoke(
    tx: &mut Tx<'_>,
    id: ApiKeyId,
    owner: Option<UserId>,
    who: Who,
    now: Timestamp,
) -> Result<(), Problem> {
    by_id(tx, id, owner)?;
    diesel::update(api_keys::table.find(id)).set(api_keys::revoked_at.eq(now)).execute(&mut **tx)?;
    audit(tx, id, who, "api_key.revoke", now)
}

/// The name of a key, revoked or not.
///
/// # Errors
/// What the database says.
pub(crate) fn name(conn: &mut Conn, id: ApiKeyId) -> Result<Option<String>, Problem> {
    Ok(api_keys::table.find(id).select(api_keys::name).first(conn).optional()?)
}

/// The names of those of these that are API keys, revoked or not.
///
/// # Errors
/// What the database says.
pub(crate) fn names(conn: &mut Conn, ids: &[UserId]) -> Result<HashMap<UserId, String>, Problem> {
    let ids: Vec<ApiKeyId> = ids.iter().map(|id| ApiKeyId::from_uuid(id.uuid())).collect();
    let rows: Vec<(ApiKeyId, String)> =
        api_keys::table.filter(api_keys::id.eq_any(ids)).select((api_keys::id, api_keys::name)).load(conn)?;
    Ok(rows.into_iter().map(|(id, name)| (UserId::from_uuid(id.uuid()), name)).collect())
}

fn audit(tx: &mut Tx<'_>, id: ApiKeyId, who: Who, action: &'static str, at: Timestamp) -> Result<(), Problem> {
    record(tx, &Event { at, who, action, kind: SubjectKind::ApiKey, id: Some(id.uuid()), public: None })
}
