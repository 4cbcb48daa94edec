//! `POST /auth/login`: from an email, a password and maybe a code to a sign-in.

use actix_web::http::header::WWW_AUTHENTICATE;
use actix_web::web::Data;
use diesel::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::address::Client;
use super::limits::{Attempt, LimitKey};
use super::me::Me;
use super::passwords::Turn;
use super::secrets::random_token;
use super::sign_ins::NewSignIn;
use super::tokens::LIFETIME_SECONDS;
use super::{Role, SignInId, UserId, second_factor, sign_ins};
use crate::changes::SubjectKind;
use crate::db::{Conn, Timestamp, Tx};
use crate::http::problem::{INVALID_CREDENTIALS, SECOND_FACTOR_REQUIRED};
use crate::http::{Body, Json, Limited, Managed, NoParameters, Operations, Problem, Query, RateLimit};
use crate::schema::users;
use crate::state::App;

/// How a refresh token begins.
pub(super) const REFRESH_PREFIX: &str = "cdr_";

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().operation(__path_log_in, log_in)
}

/// An email and a password, and a code where the account has a second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The email of the account, in any case.
    #[schema(max_length = 254, min_length = 1, pattern = r"^[^\x00-\x1F\x7F]*$", example = "editor@example.org")]
    email: String,
    /// Its password.
    #[schema(max_length = 128, min_length = 1, value_type = String, format = Password)]
    password: SecretString,
    /// The present code of the authenticator app, or a recovery code; needed where the account has a second factor.
    #[serde(default)]
    #[schema(max_length = 40, min_length = 6, value_type = Option<String>, pattern = "^[0-9A-Za-z -]+$", example = "123456")]
    code: Option<SecretString>,
}

impl Body for Login {}

/// A sign-in.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignIn {
    /// Send it as `Authorization: Bearer <access_token>`.
    access_token: String,
    /// Always `Bearer` (RFC 6750).
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// For how many seconds the access token is accepted.
    #[schema(example = 900)]
    expires_in: i64,
    /// Send it to `POST /api/v1/auth/refresh` for the next pair. It works once: refresh one at a time.
    refresh_token: String,
    /// Whether the sign-in is good for setting up the second factor alone, because the role needs one.
    restricted: bool,
    /// Who signed in.
    user: Me,
}

impl SignIn {
    /// What a client gets of a sign-in that stands.
    pub(super) fn new(
        app: &App,
        sign_in: SignInId,
        refresh_token: String,
        user: Me,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let restricted =
            second_factor::is_missing(&app.config.second_factor_roles, user.role(), user.has_second_factor());
        let access_token = app.tokens.issue(user.id(), sign_in, user.role(), now).map_err(Problem::internal)?;
        Ok(Self { access_token, token_type: "Bearer", expires_in: LIFETIME_SECONDS, refresh_token, restricted, user })
    }
}

/// An account as a sign-in looks at it.
struct Account {
    id: UserId,
    role: Role,
    password_hash: Option<String>,
    has_second_factor: bool,
}

/// Sign in
///
/// Gives an access token and a refresh token for an email and a password, and a code where the account has a
/// second factor. A wrong password and an unknown or disabled account get the same answer in the same time.
/// Limited by network and by email: ten wrong passwords in fifteen minutes, with growing waits.
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "Sign-in",
    responses((
        status = 401, description = "The email or the password is wrong; or, of type `second-factor-required`, both are right and a code is needed.",
        headers(("WWW-Authenticate" = String, description = "How to authenticate (RFC 6750, 3).")),
    ))
)]
pub(crate) async fn log_in(
    app: Data<App>,
    client: Client,
    _query: Query<NoParameters>,
    Json(login): Json<Login>,
) -> Result<Limited<Managed<SignIn>>, Problem> {
    let now = app.clock.now();
    let limit = admit_login(&app, &client)?;
    Limited::of(sign_in(&app, &client, login, now).await.map(Managed::new), limit)
}

async fn sign_in(app: &Data<App>, client: &Client, login: Login, now: Timestamp) -> Result<SignIn, Problem> {
    let email_key = login.email.trim().to_lowercase();
    let (key, network) = (email_key.clone(), stored_network(app, client));
    let sought = network.clone();
    let (account, is_known) =
        app.db.read(move |conn| Ok::<_, Problem>((find(conn, &key)?, is_known(conn, sought.as_deref(), now)?))).await?;
    let lane = network.as_deref().filter(|_| is_known);
    let attempt = admit_email(app, &email_key, lane)?;
    let hash = account.as_ref().and_then(|account| account.password_hash.clone());
    let turn = if is_known { Turn::First } else { Turn::Usual };
    let (attempt, right) = look_at(app, attempt, login.password.clone(), hash, turn).await?;
    let Some(account) = account.filter(|_| right) else {
        app.anonymous.note("sign_in.refuse", SubjectKind::SignIn, now);
        return Err(refused());
    };
    if account.has_second_factor && login.code.is_none() {
        attempt.give_back();
        return Err(code_needed("The account has a second factor: send its present code as `code`."));
    }
    let user = account.id;
    let password_hash = account.password_hash.clone();
    let refresh_token = random_token(REFRESH_PREFIX).map_err(Problem::internal)?;
    let sign_in = SignInId::generate();
    let new = NewSignIn {
        id: sign_in,
        user,
        refresh_token: refresh_token.clone(),
        user_agent: client.user_agent.clone(),
        network,
    };
    let (state, code) = (app.clone(), login.code);
    let me = app.db.write(move |tx| begin(tx, &state, account, new, code, now)).await?;
    attempt.give_back();
    renew_hash(app, user, login.password, password_hash).await;
    SignIn::new(app, sign_in, refresh_token, me, now)
}

/// Whether the password is right. Where nobody had the time to look, the attempt does not count.
pub(super) async fn look_at(
    app: &App,
    attempt: Attempt,
    password: SecretString,
    hash: Option<String>,
    turn: Turn,
) -> Result<(Attempt, bool), Problem> {
    match app.passwords.verify(password, hash, turn).await {
        Ok(right) => Ok((attempt, right)),
        Err(problem) => {
            attempt.give_back();
            Err(problem)
        }
    }
}

fn find(conn: &mut Conn, email_key: &str) -> Result<Option<Account>, Problem> {
    let found: Option<(UserId, Role, Option<String>)> = users::table
        .filter(users::email_key.eq(email_key))
        .filter(users::disabled_at.is_null())
        .select((users::id, users::role, users::password_hash))
        .first(conn)
        .optional()?;
    let Some((id, role, password_hash)) = found else { return Ok(None) };
    let has_second_factor = second_factor::is_on(conn, id)?;
    Ok(Some(Account { id, role, password_hash, has_second_factor }))
}

/// Whether somebody has signed in from the network before; an uncertain one is none.
pub(super) fn is_known(conn: &mut Conn, network: Option<&[u8]>, now: Timestamp) -> Result<bool, Problem> {
    network.map_or(Ok(false), |network| sign_ins::is_known(conn, network, now))
}

/// Stores the sign-in, unless the account has changed since its password was looked at.
fn begin(
    tx: &mut Tx<'_>,
    app: &App,
    seen: Account,
    new: NewSignIn,
    code: Option<SecretString>,
    now: Timestamp,
) -> Result<Me, Problem> {
    let present: Option<Option<String>> = users::table
        .find(seen.id)
        .filter(users::disabled_at.is_null())
        .filter(users::role.eq(seen.role))
        .select(users::password_hash)
        .first(&mut **tx)
        .optional()?;
    if present != Some(seen.password_hash) || second_factor::is_on(tx, seen.id)? != seen.has_second_factor {
        return Err(refused());
    }
    if seen.has_second_factor {
        let code = code.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
        if !second_factor::take(tx, app, seen.id, code, now)? {
            // Somebody has the password: told apart from guessing.
            app.anonymous.note("second_factor.refuse", SubjectKind::User, now);
            return Err(code_needed(
                "The code is wrong or was used already: send the present one, or a recovery code.",
            ));
        }
    }
    sign_ins::begin(tx, new, now)?;
    Me::of_user(tx, seen.id)
}

/// Hashes the password anew where the stored hash has another cost than new ones.
async fn renew_hash(app: &App, user: UserId, password: SecretString, stored: Option<String>) {
    let Some(stored) = stored.filter(|stored| app.passwords.is_outdated(stored)) else { return };
    // The sign-in is good either way; the next one tries again.
    let Ok(fresh) = app.passwords.hash(password).await else { return };
    let renewed = app.db.write(move |tx| {
        let row = users::table.find(user).filter(users::password_hash.eq(stored));
        diesel::update(row).set(users::password_hash.eq(fresh)).execute(&mut **tx)?;
        Ok::<_, Problem>(())
    });
    if let Err(error) = renewed.await {
        tracing::warn!(%error, "a password hash could not be renewed");
    }
}

/// The same for a wrong password, an unknown email and a disabled account.
fn refused() -> Problem {
    // RFC 9110, 15.5.2: a 401 says how to authenticate.
    Problem::new(&INVALID_CREDENTIALS, "No enabled account has this email and this password.")
        .with_header(WWW_AUTHENTICATE, "Bearer")
}

fn code_needed(detail: &str) -> Problem {
    Problem::new(&SECOND_FACTOR_REQUIRED, detail).with_header(WWW_AUTHENTICATE, "Bearer")
}

/// The network as a limit's key.
pub(super) fn network_key(app: &App, client: &Client) -> LimitKey {
    app.secret.keyed_hash("limit by network", &client.network)
}

/// Admits a sign-in, or whatever else checks a password, a code or a link, from where the client is.
///
/// # Errors
/// `429` that says when to come again.
pub(super) fn admit_login(app: &App, client: &Client) -> Result<Option<RateLimit>, Problem> {
    let wide = client.wide_network.as_ref().map(|wide| app.secret.keyed_hash("limit by network", wide));
    let admitted = app.limits.admit_login(network_key(app, client), wide, app.clock.steady());
    admitted.inspect_err(|_| throttled(app, app.clock.now()))
}

/// The network as it is remembered of an account; none where it is not certain.
pub(super) fn stored_network(app: &App, client: &Client) -> Option<Vec<u8>> {
    client.is_certain.then(|| app.secret.keyed_hash("known network", &client.network)[..16].to_vec())
}

/// Counts an attempt for an email; `lane` is the network where it is a known one.
pub(super) fn admit_email(app: &App, email_key: &str, lane: Option<&[u8]>) -> Result<Attempt, Problem> {
    let message = [email_key.as_bytes(), b"\0", lane.unwrap_or_default()].concat();
    let key = app.secret.keyed_hash("limit by email", &message);
    app.limits.admit_email(key, app.clock.steady()).inspect_err(|_| throttled(app, app.clock.now()))
}

/// Counts a refusal for the audit trail.
pub(super) fn throttled(app: &App, now: Timestamp) {
    app.anonymous.note("sign_in.throttle", SubjectKind::SignIn, now);
}
