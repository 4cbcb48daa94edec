//! Accepting an invitation or a reset link, and the small page that does it in a browser.

use actix_cors::Cors;
use actix_web::web::{self, Data};
use actix_web::{HttpResponse, http::header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::address::Client;
use super::login::{admit_login, stored_network};
use super::{password_links, sign_ins};
use crate::changes::{SubjectKind, Who};
use crate::db::Timestamp;
use crate::http::api::page;
use crate::http::{Body, Fault, Json, Limited, NoContent, NoParameters, Operations, Problem, Query, guarded};
use crate::state::App;
use crate::users;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().operation(__path_redeem_link, redeem_link)
}

/// An invitation or reset link's token, and the password that is chosen.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redemption {
    /// What stands behind `#` in the link.
    #[schema(value_type = String, min_length = 1, max_length = 100, pattern = r"^[\s\S]+$", example = "cdl_w4vQm1x9Kc2VtY7sJ0aLrE5hNfUdPzGbT3oIq8WkX6M")]
    token: SecretString,
    /// The password: neither the email nor the name, nor one that is easily guessed.
    #[schema(value_type = String, min_length = 15, max_length = 128, format = Password)]
    password: SecretString,
}

impl Body for Redemption {}

/// Redeem a link
///
/// Sets the password of the account that an invitation or a reset link is for, and ends its sign-ins. The link is
/// spent by that, and only by that: a password that is refused can be corrected. Open to whoever has the link;
/// limited by network.
#[utoipa::path(post, path = "/api/v1/auth/redeem", tag = "Sign-in")]
pub(crate) async fn redeem_link(
    app: Data<App>,
    client: Client,
    _query: Query<NoParameters>,
    Json(redemption): Json<Redemption>,
) -> Result<Limited<NoContent>, Problem> {
    let now = app.clock.now();
    let limit = admit_login(&app, &client)?;
    Limited::of(redeem(&app, &client, redemption, now).await, limit)
}

async fn redeem(app: &App, client: &Client, redemption: Redemption, now: Timestamp) -> Result<NoContent, Problem> {
    let token = redemption.token.expose_secret().to_owned();
    let known = token.clone();
    let owner = app
        .db
        .read(move |conn| match password_links::user_of(conn, &known, now)? {
            Some(user) => users::email_and_name(conn, user),
            None => Ok(None),
        })
        .await?;
    let Some((email, name)) = owner else {
        app.anonymous.note("password_link.refuse", SubjectKind::User, now);
        return Err(not_good());
    };
    let faults = app.passwords.account_faults(&email, &name, Some(&redemption.password)).await?;
    if !faults.is_empty() {
        return Err(Problem::invalid_body(faults));
    }
    let hash = app.passwords.hash(redemption.password).await?;
    let network = stored_network(app, client);
    app.db
        .write(move |tx| {
            let user = password_links::user_of(tx, &token, now)?.ok_or_else(not_good)?;
            users::redeem_password(tx, user, hash, Who::User(user), now)?;
            // Whoever guesses passwords elsewhere can't keep out who has just set one here.
            network.map_or(Ok(()), |network| sign_ins::remember_network(tx, user, network, now))
        })
        .await?;
    Ok(NoContent)
}

fn not_good() -> Problem {
    let message = "This link is not good, or not any more; ask for another one.";
    Problem::invalid_body(vec![Fault::body("/token", "not_valid", message)])
}

/// Registers the page and its script: they come from here and load nothing from elsewhere.
pub(crate) fn register_pages(config: &mut web::ServiceConfig, cors: impl Fn() -> Cors) {
    config
        .service(
            page("/redeem", || async { file("text/html; charset=utf-8", include_str!("redeem.html")) }).wrap(cors()),
        )
        .service(page("/redeem.js", || async { file("text/javascript; charset=utf-8", include_str!("redeem.js")) }));
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn file(media_type: &'static str, text: &'static str) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-robots-tag", "noindex"))
        .content_type(media_type);
    guarded(answer.body(text), POLICY)
}
