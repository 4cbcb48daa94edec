//! Users: the accounts of those who sign in, managed by admins and by the command line.
//!
//! Whoever deletes or demotes must leave an enabled admin behind, and can't be the account itself. A password
//! is hashed before the write door and is never shown, logged or kept. `rules` says what an email, a name and
//! a password may be, `store` has the database.

mod rules;
mod store;

use actix_web::web::Data;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

pub use self::rules::{check_email, check_name, check_password};
use self::store::UserRow;
pub use self::store::{
    audit, change_own, check_there, count, email_and_name, end_sign_ins, id_of, insert, list_all, redeem_password,
    set_disabled, set_password,
};
use crate::auth::password_links::{self, PasswordLink};
use crate::auth::{Caller, ManageUsers, Role, UserId};
pub use crate::changes::Who;
use crate::db::{Conn, Timestamp};
use crate::http::{
    Body, Created, Fault, Found, IfMatch, Json, ListOf, ListQuery, Managed, NoParameters, Operations, PatchJson, Path,
    Problem, Query, Removed, SortKind, Versioned, WriteOptions, page,
};
use crate::state::App;

/// The operations of this feature.
pub fn operations() -> Operations {
    Operations::new()
        .operation(__path_list_users, list_users)
        .operation(__path_create_user, create_user)
        .operation(__path_get_user, get_user)
        .operation(__path_update_user, update_user)
        .operation(__path_delete_user, delete_user)
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The email that the person signs in with, as it was written.
    #[schema(example = "editor@example.org")]
    pub email: String,
    /// The person's name.
    #[schema(example = "Maya Lindqvist")]
    pub name: String,
    /// What the account may do.
    pub role: Role,
    /// Since when the account can't sign in; null where it can.
    pub disabled_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When the account was last saved.
    pub saved_at: Timestamp,
}

/// An account to be made; its password comes as a hash, apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The email, as it is written.
    pub email: String,
    /// The person's name.
    pub name: String,
    /// What the account may do.
    pub role: Role,
}

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserDraft {
    /// The email that the person signs in with; no two accounts have the same in any case.
    #[schema(
        max_length = 254,
        pattern = r"^[^\s@\x00-\x1F\x7F]{1,64}@[^\s@\x00-\x1F\x7F]+$",
        example = "editor@example.org"
    )]
    email: String,
    /// The person's name.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "Maya Lindqvist"
    )]
    name: String,
    /// What the account may do.
    role: Role,
    /// Neither the email nor the name, nor one that is easily guessed. Never shown again. Left out, an invitation
    /// link is made with which the person chooses one.
    #[serde(default)]
    #[schema(min_length = 15, max_length = 128, value_type = String, format = Password)]
    password: Option<SecretString>,
}

impl Body for UserDraft {
    fn faults(value: &Value) -> Vec<Fault> {
        told_faults(value)
    }
}

/// A new account, and the link with which the person chooses the password.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewAccount {
    /// The account.
    #[serde(flatten)]
    pub user: User,
    /// The link, shown this once; null where a password was set, and where the account was only tried out.
    pub invitation: Option<PasswordLink>,
}

/// A change of an account: members that are left out stay as they are, and none may be null. Members that
/// are read-only may be sent as they were read.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// The email that the person signs in with; no two accounts have the same in any case.
    #[serde(default)]
    #[schema(value_type = String, max_length = 254, pattern = r"^[^\s@\x00-\x1F\x7F]{1,64}@[^\s@\x00-\x1F\x7F]+$", example = "editor@example.org")]
    email: Option<String>,
    /// The person's name.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$", example = "Maya Lindqvist")]
    name: Option<String>,
    /// What the account may do.
    #[serde(default)]
    #[schema(value_type = Role)]
    role: Option<Role>,
    /// Neither the email nor the name, nor one of the commonest. Never shown again.
    #[serde(default)]
    #[schema(value_type = String, min_length = 15, max_length = 128, format = Password)]
    password: Option<SecretString>,
    /// Whether the account is shut out. Its access tokens stop working at once.
    #[serde(default)]
    #[schema(value_type = bool)]
    disabled: Option<bool>,
    /// Read-only.
    #[serde(default)]
    #[schema(value_type = UserId)]
    id: Option<UserId>,
    /// Read-only; `disabled` changes it.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<Timestamp>)]
    disabled_at: Sent<Option<Timestamp>>,
    /// Read-only.
    #[serde(default)]
    #[schema(value_type = Timestamp)]
    created_at: Option<Timestamp>,
    /// Read-only.
    #[serde(default)]
    #[schema(value_type = Timestamp)]
    saved_at: Option<Timestamp>,
}

impl Body for UserPatch {
    fn faults(value: &Value) -> Vec<Fault> {
        told_faults(value)
    }
}

/// A member that was left out, or sent, maybe as null.
#[derive(Clone, Copy, Default)]
enum Sent<T> {
    #[default]
    Not,
    As(T),
}

fn sent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sent<Option<Timestamp>>, D::Error> {
    Option::deserialize(deserializer).map(Sent::As)
}

impl UserPatch {
    /// All that the schema can't say of a change of this account.
    fn check(&self, present: &User) -> Result<(), Problem> {
        let email = self.email.as_deref().unwrap_or(&present.email);
        let name = self.name.as_deref().unwrap_or(&present.name);
        let mut faults = account_faults(email, name, self.password.as_ref());
        let read_only = [
            ("/id", self.id.is_none_or(|id| id == present.id)),
            ("/disabled_at", !matches!(self.disabled_at, Sent::As(at) if at != present.disabled_at)),
            ("/created_at", self.created_at.is_none_or(|at| at == present.created_at)),
            ("/saved_at", self.saved_at.is_none_or(|at| at == present.saved_at)),
        ];
        let message = "This member is read-only; leave it out, or send it as it was read.";
        let differs = read_only.into_iter().filter(|(_, is_same)| !is_same);
        faults.extend(differs.map(|(pointer, _)| Fault::body(pointer, "read_only", message)));
        if faults.is_empty() { Ok(()) } else { Err(Problem::invalid_body(faults)) }
    }
}

/// Which accounts are listed.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListUsers {
    /// Only accounts of these roles: any of them.
    #[serde(default)]
    #[param(inline, max_items = 5, example = json!(["editor"]))]
    role: Vec<Role>,
}

/// List users
///
/// Every account, sorted by email without regard to case. For `admin`.
#[utoipa::path(get, path = "/api/v1/manage/users", tag = "Users")]
pub async fn list_users(
    _caller: Caller<ManageUsers>,
    app: Data<App>,
    query: ListQuery<ListUsers>,
) -> Result<Managed<ListOf<User>>, Problem> {
    let (items, page, links) = app.db.read(move |conn| part(conn, &query)).await?;
    Ok(Managed::new(ListOf { items, page }).with_links(links))
}

/// Get a user
///
/// One account by id, with the `ETag` that a change of it needs. For `admin`.
#[utoipa::path(get, path = "/api/v1/manage/users/{id}", tag = "Users")]
pub async fn get_user(
    _caller: Caller<ManageUsers>,
    app: Data<App>,
    Path(id): Path<UserId>,
    _query: Query<NoParameters>,
) -> Result<Versioned<User>, Problem> {
    let row = app.db.read(move |conn| store::by_id(conn, id)?.ok_or_else(Problem::not_found)).await?;
    let row_version = row.row_version;
    Ok(Versioned::new(row.into(), row_version))
}

/// Create a user
///
/// With a password the account can sign in at once; without one an invitation link is made, and mailed where a
/// mail server is set. For `admin`.
#[utoipa::path(
    post, path = "/api/v1/manage/users", tag = "Users",
    responses((status = 409, description = "An account has this email already."))
)]
pub async fn create_user(
    caller: Caller<ManageUsers>,
    app: Data<App>,
    Query(options): Query<WriteOptions>,
    Json(draft): Json<UserDraft>,
) -> Result<Created<NewAccount>, Problem> {
    let UserDraft { email, name, role, password } = draft;
    let faults = account_faults(&email, &name, password.as_ref());
    if !faults.is_empty() {
        return Err(Problem::invalid_body(faults));
    }
    let hash = match password {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };
    let (new, who, now) = (NewUser { email, name, role }, caller.who(), app.clock.now());
    let (row, link) = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let has_password = hash.is_some();
            let id = insert(tx, &new, hash, who, now)?;
            let link = if has_password { None } else { Some(password_links::make(tx, id, who, now)?) };
            let row = store::by_id(tx, id)?.ok_or_else(|| Problem::internal("a new account is not there"))?;
            Ok::<_, Problem>((row, link))
        })
        .await?;
    let invitation = match link.filter(|_| !options.validate_only) {
        Some((email, link)) => Some(password_links::hand_over(&app.config, app.mailer.as_ref(), &email, link).await),
        None => None,
    };
    let location = (!options.validate_only).then(|| format!("/api/v1/manage/users/{}", row.id));
    let shows_link = invitation.as_ref().is_some_and(|link: &PasswordLink| link.url.is_some());
    Ok(Created::new(NewAccount { user: row.into(), invitation }, location, 1).holding_secret(shows_link))
}

/// Change a user
///
/// Changes the members that are sent; none may be null. An admin can't disable or demote the own account, nor
/// anyone the last enabled admin. For `admin`.
#[utoipa::path(
    patch, path = "/api/v1/manage/users/{id}", tag = "Users",
    responses((status = 409, description = "An account has this email already, or no enabled admin would be left, or it is the own account."))
)]
pub async fn update_user(
    caller: Caller<ManageUsers>,
    app: Data<App>,
    Path(id): Path<UserId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
    PatchJson(patch): PatchJson<UserPatch>,
) -> Result<Versioned<User>, Problem> {
    let hash = match patch.password.clone() {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };
    let (who, now) = (caller.who(), app.clock.now());
    let row = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let row = store::by_id(tx, id)?.ok_or_else(Problem::not_found)?;
            if_match.check(row.row_version)?;
            patch.check(&row.clone().into())?;
            let seen_version = row.row_version;
            Ok((store::change(tx, &row, patch, hash, who, now)?, seen_version))
        })
        .await?;
    let (row, seen_version) = row;
    let row_version = row.row_version;
    Ok(Versioned::tried(row.into(), row_version, options.validate_only.then_some(seen_version)))
}

/// Delete a user
///
/// What the account wrote stays, and an author that belonged to it becomes a guest. To shut someone out and
/// keep the name on what was done, disable the account instead. For `admin`.
#[utoipa::path(
    delete, path = "/api/v1/manage/users/{id}", tag = "Users",
    responses((status = 409, description = "It is the own account, or the last enabled admin."))
)]
pub async fn delete_user(
    caller: Caller<ManageUsers>,
    app: Data<App>,
    Path(id): Path<UserId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
) -> Result<Removed<User>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let user = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let row = store::by_id(tx, id)?.ok_or_else(Problem::not_found)?;
            if_match.check(row.row_version)?;
            store::remove(tx, &row, who, now)?;
            Ok(row)
        })
        .await?;
    Ok(if options.validate_only { Removed::Tried(user.into()) } else { Removed::Done })
}

/// The accounts as a table for a terminal.
pub fn table(users: &[User]) -> String {
    let rows = users.iter().map(|user| {
        let state = if user.disabled_at.is_some() { "disabled" } else { "enabled" };
        [user.email.as_str(), user.name.as_str(), user.role.name(), state]
    });
    let rows: Vec<[&str; 4]> = std::iter::once(["EMAIL", "NAME", "ROLE", "STATE"]).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 4] = std::array::from_fn(width);
    let line = |row: &[&str; 4]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// What is wrong with the email, name and password that a body has, whatever else is wrong with it.
fn told_faults(value: &Value) -> Vec<Fault> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let (email, name) = (text("email").unwrap_or_default(), text("name").unwrap_or_default());
    let password = text("password").map(SecretString::from);
    let faults = account_faults(email, name, password.as_ref()).into_iter();
    faults.filter(|fault| fault.pointer.as_deref().is_some_and(|place| text(&place[1..]).is_some())).collect()
}

/// What is wrong with an account's email, name and new password.
pub fn account_faults(email: &str, name: &str, password: Option<&SecretString>) -> Vec<Fault> {
    let fault = |pointer: &str, checked: Result<(), String>| {
        checked.err().map(|message| Fault::body(pointer, "not_allowed", message))
    };
    let password = password.map_or(Ok(()), |password| check_password(password.expose_secret(), email, name));
    let checked = [("/email", check_email(email)), ("/name", check_name(name)), ("/password", password)];
    checked.into_iter().filter_map(|(pointer, checked)| fault(pointer, checked)).collect()
}

type Part = (Vec<User>, page::Page, Option<String>);

fn part(conn: &mut Conn, query: &ListQuery<ListUsers>) -> Result<Part, Problem> {
    let start = query.paging.start(&query.fingerprint, &[SortKind::Text])?;
    let limit = query.paging.limit;
    let list = store::all(&query.filters.role);
    let ids = list.page(conn, start.place(limit), limit)?;
    let total = if start.counts() { Some(list.count(conn)?) } else { None };
    let wanted: Vec<UserId> = ids.ids.iter().copied().map(UserId::from_uuid).collect();
    let mut rows: Vec<UserRow> = store::of_ids(conn, &wanted)?;
    rows.sort_by_key(|row| wanted.iter().position(|id| *id == row.id));
    let found = Found { items: rows, more: ids.more, total };
    let (page, links) = page::describe(&found, &start, limit, &query.fingerprint, &query.link_base);
    Ok((found.items.into_iter().map(User::from).collect(), page, links))
}
