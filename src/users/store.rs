//! Accounts in the database: every write with its rules, and its row in the audit trail.
//!
//! No row type here holds a password hash, so that none can come into an answer or a log.

use diesel::prelude::*;
use uuid::Uuid;

use super::{NewUser, User, UserPatch, Who};
use crate::auth::{Role, SignInId, UserId, api_keys, password_links, sign_ins};
use crate::changes::{Event, SubjectKind, record};
use crate::db::list::{Bind, List, SortKey, placeholders};
use crate::db::{Conn, Timestamp, Tx};
use crate::http::problem::NOT_FOUND;
use crate::http::{Problem, SortValue, Sorted};
use crate::schema::users;

#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = users, treat_none_as_null = true)]
pub(super) struct UserRow {
    pub(super) id: UserId,
    pub(super) row_version: i64,
    pub(super) email: String,
    email_key: String,
    pub(super) name: String,
    role: Role,
    disabled_at: Option<Timestamp>,
    created_at: Timestamp,
    saved_at: Timestamp,
}

impl Sorted for UserRow {
    fn sort_values(&self) -> Vec<SortValue> {
        vec![SortValue::Text(self.email_key.clone())]
    }
    fn id(&self) -> Uuid {
        self.id.uuid()
    }
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.id,
            email: row.email,
            name: row.name,
            role: row.role,
            disabled_at: row.disabled_at,
            created_at: row.created_at,
            saved_at: row.saved_at,
        }
    }
}

impl UserRow {
    fn is_enabled_admin(&self) -> bool {
        self.role == Role::Admin && self.disabled_at.is_none()
    }

    fn set_disabled(&mut self, disabled: bool, now: Timestamp) {
        self.disabled_at = disabled.then(|| self.disabled_at.unwrap_or(now));
    }
}

/// The accounts of these roles, or all.
pub(super) fn all(roles: &[Role]) -> List {
    let mut list = List::new("users", "id", vec![SortKey { column: "email_key", descending: false }]);
    if !roles.is_empty() {
        let names = roles.iter().map(|role| Bind::Text(role.name().to_owned()));
        list.filter(format!("role IN ({})", placeholders(roles.len())), names);
    }
    list
}

/// These accounts, in any order.
pub(super) fn of_ids(conn: &mut Conn, ids: &[UserId]) -> Result<Vec<UserRow>, Problem> {
    Ok(users::table.filter(users::id.eq_any(ids)).select(UserRow::as_select()).load(conn)?)
}

pub(super) fn by_id(conn: &mut Conn, id: UserId) -> Result<Option<UserRow>, Problem> {
    Ok(users::table.find(id).select(UserRow::as_select()).first(conn).optional()?)
}

/// Every account, by email.
///
/// # Errors
/// What the database says.
pub fn list_all(conn: &mut Conn) -> Result<Vec<User>, Problem> {
    let rows: Vec<UserRow> = users::table.order(users::email_key).select(UserRow::as_select()).load(conn)?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// How many accounts there are.
///
/// # Errors
/// What the database says.
pub fn count(conn: &mut Conn) -> Result<i64, Problem> {
    Ok(users::table.count().get_result(conn)?)
}

/// Stores a new, enabled account; without a password nobody can sign in to it yet.
///
/// # Errors
/// `409` where an account has this email.
pub fn insert(
    tx: &mut Tx<'_>,
    new: &NewUser,
    password_hash: Option<String>,
    who: Who,
    now: Timestamp,
) -> Result<UserId, Problem> {
    let email_key = key(&new.email);
    check_free(tx, &email_key)?;
    let row = UserRow {
        id: UserId::generate(),
        row_version: 1,
        email: new.email.clone(),
        email_key,
        name: new.name.clone(),
        role: new.role,
        disabled_at: None,
        created_at: now,
        saved_at: now,
    };
    let hash = users::password_hash.eq(password_hash);
    diesel::insert_into(users::table).values((&row, hash)).execute(&mut **tx)?;
    audit(tx, row.id, who, "user.create", now)?;
    Ok(row.id)
}

/// Gives the account of this email another password.
///
/// # Errors
/// `404` where there is none.
pub fn set_password(
    tx: &mut Tx<'_>,
    email: &str,
    password_hash: String,
    who: Who,
    now: Timestamp,
) -> Result<(), Problem> {
    let before = by_email(tx, email)?;
    let row = before.clone();
    store(tx, &before, row, Some(password_hash), who, now).map(drop)
}

/// Shuts the account of this email out, or lets it in again.
///
/// # Errors
/// `404` where there is none, `409` for the last enabled admin.
pub fn set_disabled(tx: &mut Tx<'_>, email: &str, disabled: bool, who: Who, now: Timestamp) -> Result<(), Problem> {
    let before = by_email(tx, email)?;
    let mut row = before.clone();
    row.set_disabled(disabled, now);
    store(tx, &before, row, None, who, now).map(drop)
}

/// Stores what a checked patch makes of an account.
pub(super) fn change(
    tx: &mut Tx<'_>,
    before: &UserRow,
    patch: UserPatch,
    password_hash: Option<String>,
    who: Who,
    now: Timestamp,
) -> Result<UserRow, Problem> {
    let mut row = before.clone();
    row.email = patch.email.unwrap_or(row.email);
    row.email_key = key(&row.email);
    row.name = patch.name.unwrap_or(row.name);
    row.role = patch.role.unwrap_or(row.role);
    if let Some(disabled) = patch.disabled {
        row.set_disabled(disabled, now);
    }
    store(tx, before, row, password_hash, who, now)
}

/// Changes the own name or password; a new password ends every other sign-in.
///
/// # Errors
/// What the database says.
pub fn change_own(
    tx: &mut Tx<'_>,
    user: UserId,
    name: Option<String>,
    password_hash: Option<String>,
    sign_in: Option<SignInId>,
    now: Timestamp,
) -> Result<(), Problem> {
    let before = by_id(tx, user)?.ok_or_else(Problem::not_found)?;
    let mut row = before.clone();
    row.name = name.unwrap_or(row.name);
    save(tx, &before, row, password_hash, Who::User(user), sign_in, now).map(drop)
}

/// Sets the password that was chosen with a link.
///
/// # Errors
/// What the database says.
pub fn redeem_password(
    tx: &mut Tx<'_>,
    user: UserId,
    password_hash: String,
    who: Who,
    now: Timestamp,
) -> Result<(), Problem> {
    let before = by_id(tx, user)?.ok_or_else(Problem::not_found)?;
    let row = before.clone();
    store(tx, &before, row, Some(password_hash), who, now).map(drop)
}

/// Ends all sign-ins of an account.
///
/// # Errors
/// `404` where there is no such account.
pub fn end_sign_ins(tx: &mut Tx<'_>, user: UserId, who: Who, now: Timestamp) -> Result<(), Problem> {
    check_there(tx, user)?;
    sign_ins::end_all(tx, user, None)?;
    audit(tx, user, who, "user.end_sign_ins", now)
}

/// Whether there is such an account.
///
/// # Errors
/// `404` where there is none.
pub fn check_there(conn: &mut Conn, user: UserId) -> Result<(), Problem> {
    by_id(conn, user)?.map(drop).ok_or_else(Problem::not_found)
}

/// The email and name of an account.
///
/// # Errors
/// What the database says.
pub fn email_and_name(conn: &mut Conn, user: UserId) -> Result<Option<(String, String)>, Problem> {
    Ok(by_id(conn, user)?.map(|row| (row.email, row.name)))
}

/// The account of this email.
///
/// # Errors
/// `404` where there is none.
pub fn id_of(conn: &mut Conn, email: &str) -> Result<UserId, Problem> {
    Ok(by_email(conn, email)?.id)
}

/// Deletes an account; an author that belonged to it stays, as a guest.
pub(super) fn remove(tx: &mut Tx<'_>, row: &UserRow, who: Who, now: Timestamp) -> Result<(), Problem> {
    check_admins(tx, row, who)?;
    crate::authors::part_from_user(tx, row.id, who, now)?;
    diesel::delete(users::table.find(row.id)).execute(&mut **tx)?;
    audit(tx, row.id, who, "user.delete", now)
}

fn store(
    tx: &mut Tx<'_>,
    before: &UserRow,
    row: UserRow,
    password_hash: Option<String>,
    who: Who,
    now: Timestamp,
) -> Result<UserRow, Problem> {
    save(tx, before, row, password_hash, who, None, now)
}

/// Stores an account where something differs, with one event for each kind of change. Another role, a new
/// password and disabling end its sign-ins (but this one) and its link; a new password its own API keys, too, since
/// whoever knew the old one may have made them.
fn save(
    tx: &mut Tx<'_>,
    before: &UserRow,
    mut row: UserRow,
    password_hash: Option<String>,
    who: Who,
    kept: Option<SignInId>,
    now: Timestamp,
) -> Result<UserRow, Problem> {
    if row == *before && password_hash.is_none() {
        return Ok(row);
    }
    if row.email_key != before.email_key {
        check_free(tx, &row.email_key)?;
    }
    if !row.is_enabled_admin() {
        check_admins(tx, before, who)?;
    }
    (row.row_version, row.saved_at) = (before.row_version + 1, now);
    diesel::update(users::table.find(row.id)).set(&row).execute(&mut **tx)?;
    if row.role != before.role || row.disabled_at != before.disabled_at || password_hash.is_some() {
        sign_ins::end_all(tx, row.id, kept)?;
    }
    let is_another = row.email_key != before.email_key || row.role != before.role;
    if is_another || row.disabled_at != before.disabled_at || password_hash.is_some() {
        password_links::void(tx, row.id)?;
    }
    if row.name != before.name {
        audit(tx, row.id, who, "user.update", now)?;
    }
    if row.email != before.email {
        audit(tx, row.id, who, "user.change_email", now)?;
    }
    if row.role != before.role {
        audit(tx, row.id, who, "user.change_role", now)?;
    }
    if let Some(hash) = password_hash {
        diesel::update(users::table.find(row.id)).set(users::password_hash.eq(hash)).execute(&mut **tx)?;
        api_keys::revoke_all_of(tx, row.id, now)?;
        audit(tx, row.id, who, "user.set_password", now)?;
    }
    if row.disabled_at != before.disabled_at {
        let action = if row.disabled_at.is_some() { "user.disable" } else { "user.enable" };
        audit(tx, row.id, who, action, now)?;
    }
    Ok(row)
}

/// An enabled admin stops being one only by another's hand, and never the last.
fn check_admins(tx: &mut Tx<'_>, row: &UserRow, who: Who) -> Result<(), Problem> {
    if !row.is_enabled_admin() {
        return Ok(());
    }
    if matches!(who, Who::User(user) | Who::OwnKey(user, _) if user == row.id) {
        return Err(Problem::conflict("You can't disable, delete or demote yourself; ask another admin."));
    }
    let others: i64 = users::table
        .filter(users::role.eq(Role::Admin))
        .filter(users::disabled_at.is_null())
        .filter(users::id.ne(row.id))
        .count()
        .get_result(&mut **tx)?;
    if others > 0 {
        return Ok(());
    }
    Err(Problem::conflict("This is the last enabled admin; make someone else an admin first."))
}

fn check_free(conn: &mut Conn, email_key: &str) -> Result<(), Problem> {
    let holder: Option<UserId> =
        users::table.filter(users::email_key.eq(email_key)).select(users::id).first(conn).optional()?;
    match holder {
        Some(_) => Err(Problem::conflict("An account has this email already; use another one.")),
        None => Ok(()),
    }
}

fn by_email(conn: &mut Conn, email: &str) -> Result<UserRow, Problem> {
    let row = users::table.filter(users::email_key.eq(key(email))).select(UserRow::as_select()).first(conn);
    row.optional()?.ok_or_else(|| Problem::new(&NOT_FOUND, "No account has this email."))
}

/// As sign-in looks an email up.
fn key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Says in the audit trail what was done to an account.
///
/// # Errors
/// What the database says.
pub fn audit(tx: &mut Tx<'_>, id: UserId, who: Who, action: &'static str, now: Timestamp) -> Result<(), Problem> {
    record(tx, &Event { at: now, who, action, kind: SubjectKind::User, id: Some(id.uuid()), public: None })
}
