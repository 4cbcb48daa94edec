//! `POST /auth/refresh` and `POST /auth/logout`: the next pair of tokens, and the end of a sign-in.

use actix_web::web::Data;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::address::Client;
use super::login::{REFRESH_PREFIX, SignIn, network_key, throttled};
use super::me::Me;
use super::secrets::random_token;
use super::{Caller, SetUpSecondFactor, SignInId, sign_ins, unauthenticated};
use crate::changes::{SubjectKind, Who};
use crate::db::{Timestamp, Tx};
use crate::http::{Body, Json, Limited, Managed, NoContent, NoParameters, Operations, Problem, Query};
use crate::state::App;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().operation(__path_refresh_tokens, refresh_tokens).operation(__path_log_out, log_out)
}

/// The refresh token of the present pair.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// The one that the last sign-in or refresh gave.
    #[schema(max_length = 100, min_length = 1, value_type = String, pattern = r"^[\s\S]+$", example = "cdr_8q0zT3bXw5RkLm7YpV2cHs9dJf1gN4aQeU6iO0tWzSs")]
    refresh_token: SecretString,
}

impl Body for Refresh {}

/// What a refresh token is.
enum Found {
    /// The present one of a sign-in that stands.
    Present(Box<SignIn>),
    /// One that was used already; its sign-in has ended now.
    Spent,
    /// None of ours, or of a sign-in that has ended.
    Unknown,
}

/// Refresh the tokens
///
/// Gives a new pair for the refresh token of the present one, which is spent by that. Showing a spent one again,
/// however soon, ends the whole sign-in: someone has a copy. So a client refreshes one at a time, and keeps the
/// new pair before it goes on. Limited by network.
#[utoipa::path(
    post, path = "/api/v1/auth/refresh", tag = "Sign-in",
    responses((
        status = 401, description = "The refresh token is not valid, or not any more; sign in again.",
        headers(("WWW-Authenticate" = String, description = "How to authenticate (RFC 6750, 3).")),
    ))
)]
pub(crate) async fn refresh_tokens(
    app: Data<App>,
    client: Client,
    _query: Query<NoParameters>,
    Json(refresh): Json<Refresh>,
) -> Result<Limited<Managed<SignIn>>, Problem> {
    let now = app.clock.now();
    let limit = app
        .limits
        .admit_refresh(network_key(&app, &client), app.clock.steady())
        .inspect_err(|_| throttled(&app, now))?;
    Limited::of(next_pair(&app, refresh, now).await.map(Managed::new), limit)
}

async fn next_pair(app: &Data<App>, refresh: Refresh, now: Timestamp) -> Result<SignIn, Problem> {
    let token = refresh.refresh_token.expose_secret().to_owned();
    let found = if is_known(app, &token).await? {
        let state = app.clone();
        app.db.write(move |tx| exchange(tx, &state, &token, now)).await?
    } else {
        Found::Unknown
    };
    match found {
        Found::Present(sign_in) => Ok(*sign_in),
        Found::Spent | Found::Unknown => {
            app.anonymous.note("sign_in.refuse_refresh", SubjectKind::SignIn, now);
            let detail = "The refresh token is not valid, or was used before, which ends its sign-in; sign in again.";
            Err(unauthenticated(true).saying(detail))
        }
    }
}

/// Rubbish is refused without a turn at the one writer.
async fn is_known(app: &App, token: &str) -> Result<bool, Problem> {
    let token = token.to_owned();
    app.db
        .read(move |conn| {
            Ok(sign_ins::by_refresh_token(conn, &token)?.is_some() || sign_ins::by_spent_token(conn, &token)?.is_some())
        })
        .await
}

fn exchange(tx: &mut Tx<'_>, app: &App, token: &str, now: Timestamp) -> Result<Found, Problem> {
    if let Some(spent) = sign_ins::by_spent_token(tx, token)? {
        sign_ins::end(tx, spent, Who::Anonymous, "sign_in.revoke_for_reuse", now)?;
        return Ok(Found::Spent);
    }
    let row = sign_ins::by_refresh_token(tx, token)?.filter(|row| row.stands(&app.config, now));
    let Some(row) = row else { return Ok(Found::Unknown) };
    let fresh = random_token(REFRESH_PREFIX).map_err(Problem::internal)?;
    sign_ins::rotate(tx, &row, token, &fresh, now)?;
    let me = Me::of_user(tx, row.user_id)?;
    Ok(Found::Present(Box::new(SignIn::new(app, row.id, fresh, me, now)?)))
}

/// Sign out
///
/// Ends this sign-in: its access token and its refresh token end at once. Any signed-in account may ask.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "Sign-in")]
pub(crate) async fn log_out(
    caller: Caller<SetUpSecondFactor>,
    app: Data<App>,
    _query: Query<NoParameters>,
) -> Result<NoContent, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let sign_in: Option<SignInId> = caller.sign_in();
    app.db
        .write(move |tx| {
            if let Some(id) = sign_in {
                sign_ins::end(tx, id, who, "sign_in.end", now)?;
            }
            Ok::<_, Problem>(())
        })
        .await?;
    Ok(NoContent)
}
