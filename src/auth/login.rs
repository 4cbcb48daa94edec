//! `/auth`: signing in, and who is signed in.

use actix_web::http::header::WWW_AUTHENTICATE;
use actix_web::web::Data;
use diesel::prelude::*;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tokens::LIFETIME_SECONDS;
use super::{Caller, Role, SignedIn, UserId};
use crate::http::problem::INVALID_CREDENTIALS;
use crate::http::{Json, Managed, NoParameters, Operations, Problem, Query};
use crate::schema::users;
use crate::state::App;

/// The operations of this feature.
pub fn operations() -> Operations {
    Operations::new().operation(__path_log_in, log_in).operation(__path_get_me, get_me)
}

/// An email and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The email of the account, in any case.
    #[schema(max_length = 254, min_length = 1, example = "editor@example.org")]
    email: String,
    /// Its password.
    #[schema(max_length = 128, min_length = 1, value_type = String, format = Password)]
    password: SecretString,
}

/// A sign-in. There is no refresh token yet: when the access token ends, sign in again.
#[derive(Serialize, ToSchema)]
pub struct SignIn {
    /// Send it as `Authorization: Bearer <access_token>`.
    access_token: String,
    /// Always `Bearer` (RFC 6750).
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// For how many seconds the token is accepted.
    #[schema(example = 900)]
    expires_in: i64,
    /// Who signed in.
    user: Me,
}

/// The signed-in account.
#[derive(Debug, Clone, Serialize, ToSchema, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct Me {
    /// The id of the account.
    id: UserId,
    /// Its email.
    email: String,
    /// The person's name.
    name: String,
    /// What the account may do.
    role: Role,
}

/// Sign in
///
/// Gives an access token for an email and a password. A wrong password and an unknown or disabled
/// account get the same answer in the same time.
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "Sign-in",
    responses((
        status = 401, description = "The email or the password is wrong.",
        headers(("WWW-Authenticate" = String, description = "How to authenticate (RFC 6750, 3).")),
    ))
)]
pub async fn log_in(
    app: Data<App>,
    _query: Query<NoParameters>,
    Json(login): Json<Login>,
) -> Result<Managed<SignIn>, Problem> {
    let key = login.email.trim().to_lowercase();
    let found = app
        .db
        .read(move |conn| {
            Ok::<_, Problem>(
                users::table
                    .filter(users::email_key.eq(key))
                    .filter(users::disabled_at.is_null())
                    .select((Me::as_select(), users::password_hash))
                    .first::<(Me, String)>(conn)
                    .optional()?,
            )
        })
        .await?;
    let (user, hash) = found.unzip();
    let right = app.passwords.verify(login.password, hash).await?;
    let user = user.filter(|_| right).ok_or_else(|| // RFC 9110, 15.5.2: a 401 says how to authenticate.
        Problem::new(&INVALID_CREDENTIALS, "No enabled account has this email and this password.")
            .with_header(WWW_AUTHENTICATE, "Bearer"))?;
    let access_token = app.tokens.issue(user.id, user.role, app.clock.now()).map_err(Problem::internal)?;
    Ok(Managed::new(SignIn { access_token, token_type: "Bearer", expires_in: LIFETIME_SECONDS, user }))
}

/// Who am I
///
/// The account that the access token belongs to, as it is now. Any signed-in account may ask.
#[utoipa::path(get, path = "/api/v1/auth/me", tag = "Sign-in")]
pub async fn get_me(
    caller: Caller<SignedIn>,
    app: Data<App>,
    _query: Query<NoParameters>,
) -> Result<Managed<Me>, Problem> {
    let user = caller.user;
    let me =
        app.db.read(move |conn| Ok::<_, Problem>(users::table.find(user).select(Me::as_select()).first(conn)?)).await?;
    Ok(Managed::new(me))
}
