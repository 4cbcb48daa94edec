//! API keys: how programs call. A key is shown once and stored as a hash; it has a role, an end and the time of
//! its last use.
//!
//! An admin makes keys for programs, which act under the key's own id. Anyone makes keys for the own account,
//! which act as the person: never above the person's present role, and void while the person is disabled. No
//! key has the roles `admin` or `intake`.

mod store;

use actix_web::web::Data;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

pub(crate) use self::store::{actor_now, name, names, revoke_all_of, role_now};
use super::address::Client;
use super::me::check_current;
use super::secrets::token_hash;
use super::{Actor, ApiKeyId, Caller, Credential, ManageOwnAccount, ManageUsers, Role, UserId, unauthenticated};
use crate::db::Timestamp;
use crate::http::{
    Body, Created, Fault, IfMatch, Json, Limited, ListOf, ListQuery, Made, Managed, NoContent, NoParameters,
    Operations, Path, Problem, Query, Removed, Versioned, WriteOptions,
};
use crate::state::App;

/// How an API key begins, so that secret scanners know one: `cdk_`, 40 random letters and digits, and 6 more that
/// are a checksum of those.
const PREFIX: &str = "cdk_";
const RANDOM_CHARS: usize = 40;
const CHECKSUM_CHARS: usize = 6;
/// A year, in seconds: the longest that a key may last.
const LONGEST_SECONDS: i64 = 366 * 24 * 3600;
/// For how long a key lasts whose end nobody has said, in seconds: 90 days.
const USUAL_SECONDS: i64 = 90 * 24 * 3600;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new()
        .operation(__path_list_api_keys, list_api_keys)
        .operation(__path_create_api_key, create_api_key)
        .operation(__path_get_api_key, get_api_key)
        .operation(__path_revoke_api_key, revoke_api_key)
        .operation(__path_list_own_api_keys, list_own_api_keys)
        .operation(__path_create_own_api_key, create_own_api_key)
        .operation(__path_get_own_api_key, get_own_api_key)
        .operation(__path_revoke_own_api_key, revoke_own_api_key)
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ApiKeyRole {
    /// Writes own drafts.
    Contributor,
    /// Also publishes own articles.
    Author,
    /// All content, taxonomy and the site.
    Editor,
}

impl From<ApiKeyRole> for Role {
    fn from(role: ApiKeyRole) -> Self {
        match role {
            ApiKeyRole::Contributor => Self::Contributor,
            ApiKeyRole::Author => Self::Author,
            ApiKeyRole::Editor => Self::Editor,
        }
    }
}

/// An API key, without the key itself.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ApiKey {
    /// The id.
    id: ApiKeyId,
    /// What it is for.
    #[schema(example = "Website build")]
    name: String,
    /// What it may do; less where it is a person's and the person may do less.
    role: ApiKeyRole,
    /// When it was made.
    created_at: Timestamp,
    /// When it ends.
    expires_at: Timestamp,
    /// When it was last used, to the minute; null where it never was.
    last_used_at: Option<Timestamp>,
}

/// A new API key.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewApiKey {
    /// What is kept of it.
    #[serde(flatten)]
    api_key: ApiKey,
    /// The key: send it as `Authorization: Bearer <key>`. It is shown this once. With
    /// `validate_only` it is an example that opens nothing.
    #[schema(example = "cdk_0Yh3kQ8vZr5TnW1xJ7bLcD2mFgH4pSaUeR6tXyBqva1b2c", pattern = "^cdk_[0-9A-Za-z]{46}$")]
    key: String,
}

/// An API key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyDraft {
    /// What it is for.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "Website build"
    )]
    name: String,
    /// What it may do.
    role: ApiKeyRole,
    /// When it ends, a year from now at most; in 90 days where it is left out.
    #[serde(default)]
    #[schema(value_type = Timestamp)]
    expires_at: Option<Timestamp>,
}

impl Body for ApiKeyDraft {}

/// An own API key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnApiKeyDraft {
    /// What it is for.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$",
        example = "My laptop"
    )]
    name: String,
    /// What it may do, never more than you may.
    role: ApiKeyRole,
    /// When it ends, a year from now at most; in 90 days where it is left out.
    #[serde(default)]
    #[schema(value_type = Timestamp)]
    expires_at: Option<Timestamp>,
    /// Your present password.
    #[schema(value_type = String, min_length = 1, max_length = 128, format = Password)]
    current_password: SecretString,
}

impl Body for OwnApiKeyDraft {}

/// Whether the text has the form of an API key, so that it is not taken for an access token.
pub(super) fn looks_like_one(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// Makes a key.
fn generate() -> Result<String, String> {
    let random = random_alphanumeric::<RANDOM_CHARS>()?;
    Ok(format!("{PREFIX}{random}{}", checksum(&random)))
}

/// Letters and digits, each as likely as any other.
fn random_alphanumeric<const N: usize>() -> Result<String, String> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(N);
    while text.len() < N {
        // Bytes past the last whole multiple of 62 would favour some characters.
        let bytes = super::secrets::random_bytes::<64>()?;
        let fair = bytes.iter().filter(|byte| **byte < 248);
        text.extend(fair.map(|byte| char::from(ALPHABET[usize::from(*byte % 62)])).take(N - text.len()));
    }
    Ok(text)
}

/// Tells a mistyped or made-up key without a look at the database.
fn checksum(random: &str) -> String {
    let digest = Sha256::digest(random.as_bytes());
    let digit = |byte: &u8| char::from_digit(u32::from(byte % 36), 36).unwrap_or('0');
    digest.iter().take(CHECKSUM_CHARS).map(digit).collect()
}

fn is_well_formed(key: &str) -> bool {
    let Some((random, sum)) = key.strip_prefix(PREFIX).and_then(|rest| rest.split_at_checked(RANDOM_CHARS)) else {
        return false;
    };
    random.bytes().all(|byte| byte.is_ascii_alphanumeric()) && sum == checksum(random)
}

/// Who calls with this key.
///
/// # Errors
/// `401` where it is none of ours, has ended or is void.
pub(super) async fn authenticate(app: &App, key: &str, now: Timestamp) -> Result<Actor, Problem> {
    if !is_well_formed(key) {
        return Err(unauthenticated(true));
    }
    let hash = token_hash(key);
    let needing = app.config.second_factor_roles.clone();
    let row = app.db.read(move |conn| store::usable(conn, &needing, hash, now)).await?;
    let row = row.ok_or_else(|| unauthenticated(true))?;
    if row.last_used_at.is_none_or(|at| now >= at.plus_seconds(super::sign_ins::USE_SECONDS)) {
        store::note_use(app, row.id, now);
    }
    let itself = (UserId::from_uuid(row.id.uuid()), row.role);
    let credential = if row.owner.is_some() { Credential::OwnKey(row.id) } else { Credential::Program(row.id) };
    let (user, role) = row.owner.unwrap_or(itself);
    Ok(Actor { user, role, credential })
}

/// When a key ends.
fn end(expires_at: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Problem> {
    let at = expires_at.unwrap_or(now.plus_seconds(USUAL_SECONDS));
    if at > now && at <= now.plus_seconds(LONGEST_SECONDS) {
        return Ok(at);
    }
    let message = "The key must end in the future, and a year from now at most.";
    Err(Problem::invalid_body(vec![Fault::body("/expires_at", "out_of_range", message)]))
}

/// List API keys
///
/// The keys of programs, the newest first, without those that were revoked. For `admin`.
#[utoipa::path(get, path = "/api/v1/manage/api-keys", tag = "API keys")]
pub(crate) async fn list_api_keys(
    _caller: Caller<ManageUsers>,
    app: Data<App>,
    query: ListQuery<NoParameters>,
) -> Result<Managed<ListOf<ApiKey>>, Problem> {
    let (list, links) = app.db.read(move |conn| store::part(conn, &query, None)).await?;
    Ok(Managed::new(list).with_links(links))
}

/// Create an API key
///
/// For a program, which then acts under the key's own name. The answer shows the key this once. For `admin`.
#[utoipa::path(post, path = "/api/v1/manage/api-keys", tag = "API keys")]
pub(crate) async fn create_api_key(
    caller: Caller<ManageUsers>,
    app: Data<App>,
    Query(options): Query<WriteOptions>,
    Json(draft): Json<ApiKeyDraft>,
) -> Result<Created<NewApiKey>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let expires_at = end(draft.expires_at, now)?;
    let key = generate().map_err(Problem::internal)?;
    let new = store::NewRow::new(draft.name, draft.role, None, &key, expires_at);
    let api_key = app.write(caller.actor(), options.validate_only, move |tx| store::insert(tx, new, who, now)).await?;
    let location = (!options.validate_only).then(|| format!("/api/v1/manage/api-keys/{}", api_key.id));
    Ok(Created::new(NewApiKey { api_key, key }, location, 1).holding_secret(true))
}

/// Get an API key
///
/// One key of a program, without the key itself. For `admin`.
#[utoipa::path(get, path = "/api/v1/manage/api-keys/{id}", tag = "API keys")]
pub(crate) async fn get_api_key(
    _caller: Caller<ManageUsers>,
    app: Data<App>,
    Path(id): Path<ApiKeyId>,
    _query: Query<NoParameters>,
) -> Result<Versioned<ApiKey>, Problem> {
    let api_key = app.db.read(move |conn| store::by_id(conn, id, None)).await?;
    Ok(Versioned::new(api_key, 1))
}

/// Revoke an API key
///
/// It is refused from the next request on. For `admin`.
#[utoipa::path(delete, path = "/api/v1/manage/api-keys/{id}", tag = "API keys")]
pub(crate) async fn revoke_api_key(
    caller: Caller<ManageUsers>,
    app: Data<App>,
    Path(id): Path<ApiKeyId>,
    Query(options): Query<WriteOptions>,
    if_match: IfMatch,
) -> Result<Removed<ApiKey>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let api_key = app
        .write(caller.actor(), options.validate_only, move |tx| {
            let api_key = store::by_id(tx, id, None)?;
            if_match.check(1)?;
            store::revoke(tx, id, None, who, now)?;
            Ok(api_key)
        })
        .await?;
    Ok(if options.validate_only { Removed::Tried(api_key) } else { Removed::Done })
}

/// List the own API keys
///
/// The keys that act as you, the newest first. Any signed-in account may ask, API keys may not.
#[utoipa::path(get, path = "/api/v1/auth/me/api-keys", tag = "API keys")]
pub(crate) async fn list_own_api_keys(
    caller: Caller<ManageOwnAccount>,
    app: Data<App>,
    query: ListQuery<NoParameters>,
) -> Result<Managed<ListOf<ApiKey>>, Problem> {
    let owner = Some(caller.user());
    let (list, links) = app.db.read(move |conn| store::part(conn, &query, owner)).await?;
    Ok(Managed::new(list).with_links(links))
}

/// Create an own API key
///
/// It acts as you, never above your present role, and not while you are disabled. It needs your password; the
/// answer shows the key this once. For all roles but `intake`, whose work no program does.
#[utoipa::path(
    post, path = "/api/v1/auth/me/api-keys", tag = "API keys",
    responses((status = 409, description = "Your role has no API keys."))
)]
pub(crate) async fn create_own_api_key(
    caller: Caller<ManageOwnAccount>,
    app: Data<App>,
    client: Client,
    _query: Query<NoParameters>,
    Json(draft): Json<OwnApiKeyDraft>,
) -> Result<Limited<Made<NewApiKey>>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    let expires_at = end(draft.expires_at, now)?;
    match Role::from(draft.role).limited_to(actor.role) {
        Some(role) if role == Role::from(draft.role) => {}
        Some(_) => {
            let message = "A key of yours can't do more than you may.";
            return Err(Problem::invalid_body(vec![Fault::body("/role", "not_allowed", message)]));
        }
        None => return Err(Problem::conflict("Your role has no API keys: no program does its work.")),
    }
    let limit = check_current(&app, &client, actor.user, &draft.current_password, now).await?;
    let key = generate().map_err(Problem::internal)?;
    let new = store::NewRow::new(draft.name, draft.role, Some(actor.user), &key, expires_at);
    let api_key = app.write(actor, false, move |tx| store::insert(tx, new, actor.who(), now)).await?;
    let location = format!("/api/v1/auth/me/api-keys/{}", api_key.id);
    Ok(Limited::new(Made::new(NewApiKey { api_key, key }, location), limit))
}

/// Get an own API key
///
/// One key that acts as you, without the key itself. Any signed-in account may ask, API keys may not.
#[utoipa::path(get, path = "/api/v1/auth/me/api-keys/{id}", tag = "API keys")]
pub(crate) async fn get_own_api_key(
    caller: Caller<ManageOwnAccount>,
    app: Data<App>,
    Path(id): Path<ApiKeyId>,
    _query: Query<NoParameters>,
) -> Result<Managed<ApiKey>, Problem> {
    let owner = Some(caller.user());
    Ok(Managed::new(app.db.read(move |conn| store::by_id(conn, id, owner)).await?))
}

/// Revoke an own API key
///
/// It is refused from the next request on. Any signed-in account may do it, API keys may not.
#[utoipa::path(delete, path = "/api/v1/auth/me/api-keys/{id}", tag = "API keys")]
pub(crate) async fn revoke_own_api_key(
    caller: Caller<ManageOwnAccount>,
    app: Data<App>,
    Path(id): Path<ApiKeyId>,
    _query: Query<NoParameters>,
) -> Result<NoContent, Problem> {
    let (user, who, now) = (caller.user(), caller.who(), app.clock.now());
    app.write(caller.actor(), false, move |tx| store::revoke(tx, id, Some(user), who, now)).await?;
    Ok(NoContent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_form_that_scanners_look_for_and_a_mistyped_one_is_known_as_such() {
        for _ in 0..100 {
            let key = generate().unwrap();
            assert!(looks_like_one(&key) && is_well_formed(&key) && key.len() == 50, "{key}");
            let mut mistyped = key.into_bytes();
            mistyped[20] = if mistyped[20] == b'a' { b'b' } else { b'a' };
            assert!(!is_well_formed(&String::from_utf8(mistyped).unwrap()));
        }
        for text in ["cdk_", "cdk_é", "cdk_short", "eyJhbGciOi"] {
            assert!(!is_well_formed(text));
        }
    }
}
