//! Invitations and resets: a link with which a person sets the password, once.
//!
//! The token stands in the link's fragment, which no server and no log ever sees. An account has one link at a
//! time; making another, setting a password and disabling the account void it. Where a mail server is set the
//! link is mailed to the person, else it is shown to who made it.

use actix_web::web::Data;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use super::secrets::{random_token, token_hash};
use super::{Caller, ManageUsers, UserId};
use crate::changes::{Event, SubjectKind, Who, record};
use crate::config::Config;
use crate::db::{Conn, Timestamp, Tx};
use crate::http::path::Path;
use crate::http::{Managed, Operations, Problem, Query, WriteOptions};
use crate::mail::Mailer;
use crate::schema::{password_links, users};
use crate::state::App;

const PREFIX: &str = "cdl_";
/// For how long an invitation is good, in seconds: a week.
const INVITATION_SECONDS: i64 = 7 * 24 * 3600;
/// For how long a reset is good, in seconds: an hour.
const RESET_SECONDS: i64 = 3600;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().operation(__path_create_password_link, create_password_link)
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A new account's first password.
    Invitation,
    /// Another password for an account.
    Reset,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Reset => "reset",
        }
    }

    const fn seconds(self) -> i64 {
        match self {
            Self::Invitation => INVITATION_SECONDS,
            Self::Reset => RESET_SECONDS,
        }
    }
}

/// A link with which a person sets the password.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PasswordLink {
    /// What it is for.
    pub purpose: Purpose,
    /// The link, to be handed to the person; null where it was mailed, and where it was only tried out.
    #[schema(example = "https://api.example.org/redeem#cdl_w4vQm1x9Kc2VtY7sJ0aLrE5hNfUdPzGbT3oIq8WkX6M")]
    pub url: Option<String>,
    /// Whether it was mailed to the person.
    pub mailed: bool,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// A link that is stored and not handed over yet.
pub struct Made {
    token: String,
    purpose: Purpose,
    expires_at: Timestamp,
}

/// Make a password link
///
/// An invitation where the account has no password yet, else a reset; it voids an earlier one. It is mailed
/// where a mail server is set, else shown this once. For `admin`.
#[utoipa::path(
    post, path = "/api/v1/manage/users/{id}/password-links", tag = "Users",
    responses((status = 409, description = "The account is disabled."))
)]
pub(crate) async fn create_password_link(
    caller: Caller<ManageUsers>,
    app: Data<App>,
    Path(id): Path<UserId>,
    Query(options): Query<WriteOptions>,
) -> Result<Managed<PasswordLink>, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    let (email, link) = app.write(caller.actor(), options.validate_only, move |tx| make(tx, id, who, now)).await?;
    if options.validate_only {
        let Made { purpose, expires_at, .. } = link;
        return Ok(Managed::new(PasswordLink { purpose, url: None, mailed: false, expires_at }));
    }
    let link = hand_over(&app.config, app.mailer.as_ref(), &email, link).await;
    Ok(Managed::new(link).with_secret_at(format!("/api/v1/manage/users/{id}")))
}

/// Stores a link for an account, in the place of an earlier one, and gives the account's email.
///
/// # Errors
/// `404` where there is no such account, `409` where it is disabled.
pub fn make(tx: &mut Tx<'_>, user: UserId, who: Who, now: Timestamp) -> Result<(String, Made), Problem> {
    let found: Option<(String, Option<String>, Option<Timestamp>)> = users::table
        .find(user)
        .select((users::email, users::password_hash, users::disabled_at))
        .first(&mut **tx)
        .optional()?;
    let (email, hash, disabled_at) = found.ok_or_else(Problem::not_found)?;
    if disabled_at.is_some() {
        return Err(Problem::conflict("The account is disabled; enable it first."));
    }
    let purpose = if hash.is_some() { Purpose::Reset } else { Purpose::Invitation };
    let token = random_token(PREFIX).map_err(Problem::internal)?;
    let expires_at = now.plus_seconds(purpose.seconds());
    void(tx, user)?;
    diesel::insert_into(password_links::table)
        .values((
            password_links::hash.eq(token_hash(&token)),
            password_links::user_id.eq(user),
            password_links::purpose.eq(purpose.name()),
            password_links::created_at.eq(now),
            password_links::expires_at.eq(expires_at),
        ))
        .execute(&mut **tx)?;
    let action = match purpose {
        Purpose::Invitation => "user.invite",
        Purpose::Reset => "user.make_reset_link",
    };
    record(tx, &Event { at: now, who, action, kind: SubjectKind::User, id: Some(user.uuid()), public: None })?;
    Ok((email, Made { token, purpose, expires_at }))
}

/// Mails a link where a mail server is set; where none is, or it fails, the answer shows it.
pub async fn hand_over(config: &Config, mailer: Option<&Mailer>, email: &str, link: Made) -> PasswordLink {
    let url = format!("{}#{}", config.redeem_url, link.token);
    let was_mailed = match mailer {
        None => false,
        Some(mailer) => {
            let (subject, text) = letter(link.purpose, &url);
            let sent = mailer.send(email, subject, text).await;
            if let Err(error) = &sent {
                tracing::error!(%error, "the mail server did not take a password link");
            }
            sent.is_ok()
        }
    };
    let shown = (!was_mailed).then_some(url);
    PasswordLink { purpose: link.purpose, url: shown, mailed: was_mailed, expires_at: link.expires_at }
}

fn letter(purpose: Purpose, url: &str) -> (&'static str, String) {
    let (subject, why, lasts) = match purpose {
        Purpose::Invitation => ("Your account", "An account was made for you.", "a week"),
        Purpose::Reset => ("A new password", "Someone who manages accounts made this link for you.", "an hour"),
    };
    let text = format!(
        "{why}\n\nChoose your password here; the link works once, for {lasts}:\n\n{url}\n\n\
         If you did not expect this, leave it: nothing changes.\n"
    );
    (subject, text)
}

/// Whose link this is, if it is good now.
pub(super) fn user_of(conn: &mut Conn, token: &str, now: Timestamp) -> Result<Option<UserId>, Problem> {
    let link = password_links::table
        .inner_join(users::table)
        .filter(password_links::hash.eq(token_hash(token)))
        .filter(password_links::expires_at.gt(now))
        .filter(users::disabled_at.is_null());
    Ok(link.select(password_links::user_id).first(conn).optional()?)
}

/// Voids the link of an account, if it has one.
///
/// # Errors
/// What the database says.
pub(crate) fn void(tx: &mut Tx<'_>, user: UserId) -> Result<(), Problem> {
    diesel::delete(password_links::table.filter(password_links::user_id.eq(user))).execute(&mut **tx)?;
    Ok(())
}

/// Deletes the links whose time is over.
///
/// # Errors
/// What the database says.
pub(crate) fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Problem> {
    diesel::delete(password_links::table.filter(password_links::expires_at.le(now))).execute(&mut **tx)?;
    Ok(())
}
