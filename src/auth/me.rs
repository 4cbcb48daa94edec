//! `/auth/me`: who is signed in, and changing the own account.

use actix_web::web::Data;
use diesel::prelude::*;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::address::Client;
use super::login::{admit_email, admit_login, is_known, look_at, stored_network};
use super::passwords::Turn;
use super::{Actor, Caller, Credential, ManageOwnAccount, Role, SignedIn, UserId, api_keys, second_factor};
use crate::changes::Who;
use crate::db::{Conn, Timestamp, Tx};
use crate::http::{Body, Fault, Limited, Managed, NoParameters, Operations, PatchJson, Problem, Query, RateLimit};
use crate::schema::users;
use crate::state::App;
use crate::users as accounts;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().operation(__path_get_me, get_me).operation(__path_update_me, update_me)
}

/// Who is calling.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Me {
    /// The id of the account; of the API key where a program calls with its own.
    id: UserId,
    /// Its email; null for a program.
    #[schema(example = "editor@example.org")]
    email: Option<String>,
    /// The person's name, or the API key's where a program calls.
    #[schema(example = "Maya Lindqvist")]
    name: String,
    /// What the caller may do now.
    role: Role,
    /// Whether the account has a second factor.
    second_factor: bool,
    /// By what the caller has shown who it is.
    credential: CredentialKind,
}

/// By what a caller has shown who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum CredentialKind {
    /// An access token of a sign-in.
    SignIn,
    /// An API key.
    ApiKey,
}

impl Me {
    pub(super) fn id(&self) -> UserId {
        self.id
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    pub(super) fn has_second_factor(&self) -> bool {
        self.second_factor
    }

    /// The person of an account.
    pub(super) fn of_user(conn: &mut Conn, user: UserId) -> Result<Self, Problem> {
        let (email, name, role): (String, String, Role) =
            users::table.find(user).select((users::email, users::name, users::role)).first(conn)?;
        let second_factor = second_factor::is_on(conn, user)?;
        let credential = CredentialKind::SignIn;
        Ok(Self { id: user, email: Some(email), name, role, second_factor, credential })
    }

    fn of_actor(conn: &mut Conn, actor: Actor) -> Result<Self, Problem> {
        let credential = CredentialKind::ApiKey;
        match actor.credential {
            Credential::SignIn(_) => Self::of_user(conn, actor.user),
            Credential::OwnKey(_) => Ok(Self { role: actor.role, credential, ..Self::of_user(conn, actor.user)? }),
            Credential::Program(key) => {
                let name = api_keys::name(conn, key)?.unwrap_or_default();
                Ok(Self { id: actor.user, email: None, name, role: actor.role, second_factor: false, credential })
            }
        }
    }
}

/// A change of the own account: members that are left out stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MePatch {
    /// The name.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$", example = "Maya Lindqvist")]
    name: Option<String>,
    /// A new password: neither the email nor the name, nor one that is easily guessed.
    #[serde(default)]
    #[schema(value_type = String, min_length = 15, max_length = 128, format = Password)]
    password: Option<SecretString>,
    /// The present password; needed for a new one.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 128, format = Password)]
    current_password: Option<SecretString>,
}

impl Body for MePatch {}

/// Who am I
///
/// The account that the access token or API key belongs to, as it is now. Any caller may ask; it is also how a
/// program that got an access token from elsewhere learns whether the sign-in still stands.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "Sign-in")]
pub(crate) async fn get_me(
    caller: Caller<SignedIn>,
    app: Data<App>,
    _query: Query<NoParameters>,
) -> Result<Managed<Me>, Problem> {
    let actor = caller.actor();
    Ok(Managed::new(app.db.read(move |conn| Me::of_actor(conn, actor)).await?))
}

/// Change the own account
///
/// The name, or the password. A new password needs the present one, and ends every other sign-in of the account.
/// Any signed-in account may do it, API keys may not.
#[utoipa::path(patch, path = "/api/v1/auth/me", tag = "Sign-in")]
pub(crate) async fn update_me(
    caller: Caller<ManageOwnAccount>,
    app: Data<App>,
    client: Client,
    _query: Query<NoParameters>,
    PatchJson(patch): PatchJson<MePatch>,
) -> Result<Limited<Managed<Me>>, Problem> {
    let (user, sign_in, now) = (caller.user(), caller.sign_in(), app.clock.now());
    let me = app.db.read(move |conn| Me::of_user(conn, user)).await?;
    let email = me.email.as_deref().unwrap_or_default();
    let name = patch.name.as_deref().unwrap_or(&me.name);
    let mut faults = app.passwords.account_faults(email, name, patch.password.as_ref()).await?;
    let limit = match (&patch.password, &patch.current_password) {
        (Some(_), None) => {
            faults.push(Fault::body("/current_password", "required", "A new password needs the present one."));
            None
        }
        (Some(_), Some(current)) if faults.is_empty() => check_current(&app, &client, user, current, now).await?,
        _ => None,
    };
    if !faults.is_empty() {
        return Err(Problem::invalid_body(faults));
    }
    let hash = match patch.password {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };
    let me = app
        .write(caller.actor(), false, move |tx| {
            accounts::change_own(tx, user, patch.name, hash, sign_in, now)?;
            Me::of_user(tx, user)
        })
        .await?;
    Ok(Limited::new(Managed::new(me), limit))
}

/// Checks the present password, within the limits of sign-in: a stolen token must not become a place to guess.
///
/// # Errors
/// `422` where it is wrong, `429` past the limits.
pub(super) async fn check_current(
    app: &App,
    client: &Client,
    user: UserId,
    password: &SecretString,
    now: Timestamp,
) -> Result<Option<RateLimit>, Problem> {
    let limit = admit_login(app, client)?;
    let checked = check_password(app, client, user, password, now).await;
    Limited::of(checked, limit).map(|_| limit)
}

async fn check_password(
    app: &App,
    client: &Client,
    user: UserId,
    password: &SecretString,
    now: Timestamp,
) -> Result<(), Problem> {
    let network = stored_network(app, client);
    let sought = network.clone();
    let (email_key, hash, is_known): (String, Option<String>, bool) = app
        .db
        .read(move |conn| {
            let (key, hash) = users::table.find(user).select((users::email_key, users::password_hash)).first(conn)?;
            Ok::<_, Problem>((key, hash, is_known(conn, sought.as_deref(), now)?))
        })
        .await?;
    let attempt = admit_email(app, &email_key, network.as_deref().filter(|_| is_known))?;
    let (attempt, right) = look_at(app, attempt, password.clone(), hash, Turn::First).await?;
    if !right {
        let refused = move |tx: &mut Tx<'_>| accounts::audit(tx, user, Who::User(user), "user.refuse_password", now);
        app.db.write(refused).await?;
        let fault = Fault::body("/current_password", "wrong", "This is not the present password.");
        return Err(Problem::invalid_body(vec![fault]));
    }
    attempt.give_back();
    Ok(())
}
