//! The second factor: time-based codes of an authenticator app (RFC 6238), and recovery codes for who has lost it.
//!
//! Setting it up takes two steps: the secret is shown, then a code proves that the app has it; that answer shows
//! the recovery codes. The shared secret is stored encrypted. A code works once: its time step is remembered, and
//! a recovery code is deleted with its use.

use actix_web::web::Data;
use diesel::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret, Totp};
use utoipa::ToSchema;

use super::address::Client;
use super::login::admit_login;
use super::me::check_current;
use super::secrets::{random_bytes, token_hash};
use super::{Caller, ManageOwnAccount, ManageUsers, Role, SetUpSecondFactor, SignInId, UserId, sign_ins};
use crate::changes::{Event, SubjectKind, Who, record};
use crate::db::{Conn, Timestamp, Tx};
use crate::http::{
    Body, Fault, Json, Limited, Managed, NoContent, NoParameters, Operations, Path, Problem, Query, WriteOptions,
};
use crate::schema::{recovery_codes, second_factors, users};
use crate::state::App;

const PURPOSE: &str = "second factor";
/// 160 bits, as RFC 4226, 4 recommends.
const SECRET_BYTES: usize = 20;
const RECOVERY_CODES: usize = 10;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new()
        .operation(__path_begin_second_factor, begin_second_factor)
        .operation(__path_confirm_second_factor, confirm_second_factor)
        .operation(__path_remove_second_factor, remove_second_factor)
        .operation(__path_reset_second_factor, reset_second_factor)
}

/// The present password of the own account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CurrentPassword {
    /// Your present password.
    #[schema(value_type = String, min_length = 1, max_length = 128, format = Password)]
    current_password: SecretString,
}

impl Body for CurrentPassword {}

/// What an authenticator app needs.
#[derive(Serialize, ToSchema)]
pub(crate) struct SecondFactorSetup {
    /// The secret in Base32, to be typed in by hand.
    #[schema(example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: String,
    /// The same as an address that apps read from a QR code.
    #[schema(
        example = "otpauth://totp/copydesk:ada@example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=copydesk"
    )]
    otpauth_url: String,
}

/// A code that proves that the app has the secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    /// The code that the app shows now.
    #[schema(value_type = String, pattern = "^[0-9]{6}$", max_length = 6, example = "123456")]
    code: SecretString,
}

impl Body for Confirmation {}

/// What signs in without the app.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewRecoveryCodes {
    /// Each may be sent once in the place of a code. They are shown this once.
    #[schema(min_items = 10, max_items = 10)]
    recovery_codes: Vec<String>,
}

/// Begin to set up the second factor
///
/// Shows a secret for an authenticator app; nothing changes before a code confirms it. Beginning again replaces
/// the secret. Needs the password. Any signed-in account may do it, API keys may not.
#[utoipa::path(
    post, path = "/api/v1/auth/me/second-factor", tag = "Sign-in",
    responses((status = 409, description = "The account has a second factor already; remove that first."))
)]
pub(crate) async fn begin_second_factor(
    caller: Caller<SetUpSecondFactor>,
    app: Data<App>,
    client: Client,
    _query: Query<NoParameters>,
    Json(body): Json<CurrentPassword>,
) -> Result<Limited<Managed<SecondFactorSetup>>, Problem> {
    let (user, now) = (caller.user(), app.clock.now());
    let limit = check_current(&app, &client, user, &body.current_password, now).await?;
    let secret = random_bytes::<SECRET_BYTES>().map_err(Problem::internal)?;
    let sealed = app.secret.seal(PURPOSE, &user.bytes(), &secret).map_err(Problem::internal)?;
    let email: String = app
        .write(caller.actor(), false, move |tx| {
            if is_on(tx, user)? {
                return Err(Problem::conflict("The account has a second factor already; remove that first."));
            }
            diesel::delete(second_factors::table.find(user)).execute(&mut **tx)?;
            diesel::insert_into(second_factors::table)
                .values((
                    second_factors::user_id.eq(user),
                    second_factors::secret.eq(sealed),
                    second_factors::last_step.eq(0),
                ))
                .execute(&mut **tx)?;
            Ok(users::table.find(user).select(users::email).first(&mut **tx)?)
        })
        .await?;
    let totp = totp(&secret, &email)?;
    let setup =
        SecondFactorSetup { secret: totp.secret().to_base32(), otpauth_url: totp.to_url().map_err(Problem::internal)? };
    Ok(Limited::new(Managed::new(setup), limit))
}

/// Confirm the second factor
///
/// A code of the app switches it on; the answer shows the recovery codes this once. This sign-in is good for
/// everything from then on, where it was good for this alone; the account's others end. Any signed-in account may
/// do it, API keys may not.
#[utoipa::path(
    post, path = "/api/v1/auth/me/second-factor/confirm", tag = "Sign-in",
    responses((status = 409, description = "Nothing was begun, or the second factor is on already."))
)]
pub(crate) async fn confirm_second_factor(
    caller: Caller<SetUpSecondFactor>,
    app: Data<App>,
    client: Client,
    _query: Query<NoParameters>,
    Json(body): Json<Confirmation>,
) -> Result<Limited<Managed<NewRecoveryCodes>>, Problem> {
    let (user, sign_in, now) = (caller.user(), caller.sign_in(), app.clock.now());
    let limit = admit_login(&app, &client)?;
    let state = app.clone();
    let codes = app
        .write(caller.actor(), false, move |tx| confirm(tx, &state, user, sign_in, body.code.expose_secret(), now))
        .await;
    Limited::of(codes.map(|recovery_codes| Managed::new(NewRecoveryCodes { recovery_codes })), limit)
}

fn confirm(
    tx: &mut Tx<'_>,
    app: &App,
    user: UserId,
    sign_in: Option<SignInId>,
    code: &str,
    now: Timestamp,
) -> Result<Vec<String>, Problem> {
    let row = load(tx, user)?.filter(|row| row.confirmed_at.is_none()).ok_or_else(|| {
        Problem::conflict("There is nothing to confirm: begin with `POST /api/v1/auth/me/second-factor`.")
    })?;
    let Some(step) = matching_step(app, user, &row, code, now)? else {
        let message = "This is not the code that the app shows now; compare the clocks, and try the next one.";
        return Err(Problem::invalid_body(vec![Fault::body("/code", "wrong", message)]));
    };
    diesel::update(second_factors::table.find(user))
        .set((second_factors::confirmed_at.eq(now), second_factors::last_step.eq(step)))
        .execute(&mut **tx)?;
    let codes = (0..RECOVERY_CODES).map(|_| recovery_code()).collect::<Result<Vec<_>, _>>();
    let codes = codes.map_err(Problem::internal)?;
    for code in &codes {
        diesel::insert_into(recovery_codes::table)
            .values((recovery_codes::user_id.eq(user), recovery_codes::hash.eq(token_hash(&normal(code)))))
            .execute(&mut **tx)?;
    }
    sign_ins::end_all(tx, user, sign_in)?;
    audit(tx, user, Who::User(user), "second_factor.enable", now)?;
    Ok(codes)
}

/// Remove the second factor
///
/// Needs the password, and ends the account's other sign-ins. Refused where the role must have one. Any signed-in
/// account may do it, API keys may not.
#[utoipa::path(
    delete, path = "/api/v1/auth/me/second-factor", tag = "Sign-in",
    responses((status = 409, description = "There is none, or the role must have one."))
)]
pub(crate) async fn remove_second_factor(
    caller: Caller<ManageOwnAccount>,
    app: Data<App>,
    client: Client,
    _query: Query<NoParameters>,
    Json(body): Json<CurrentPassword>,
) -> Result<Limited<NoContent>, Problem> {
    let (actor, now) = (caller.actor(), app.clock.now());
    check_not_required(&app, actor.role)?;
    let limit = check_current(&app, &client, actor.user, &body.current_password, now).await?;
    let sign_in = caller.sign_in();
    app.write(actor, false, move |tx| remove(tx, actor.user, actor.who(), sign_in, now)).await?;
    Ok(Limited::new(NoContent, limit))
}

/// Reset a user's second factor
///
/// For who has lost the app and the recovery codes: the password alone signs in then, or, where the role must
/// have a second factor, is good for setting one up. Ends the account's sign-ins. For `admin`.
#[utoipa::path(
    delete, path = "/api/v1/manage/users/{id}/second-factor", tag = "Users",
    responses((status = 409, description = "The account has none."))
)]
pub(crate) async fn reset_second_factor(
    caller: Caller<ManageUsers>,
    app: Data<App>,
    Path(id): Path<UserId>,
    Query(options): Query<WriteOptions>,
) -> Result<NoContent, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    app.write(caller.actor(), options.validate_only, move |tx| {
        crate::users::check_there(tx, id)?;
        remove(tx, id, who, None, now)
    })
    .await?;
    Ok(NoContent)
}

fn check_not_required(app: &App, role: Role) -> Result<(), Problem> {
    if app.config.second_factor_roles.contains(&role) {
        return Err(Problem::conflict("Your role must have a second factor; an admin can reset it where it is lost."));
    }
    Ok(())
}

/// Switches the second factor of an account off, and ends its sign-ins but one.
///
/// # Errors
/// `409` where it has none.
pub(crate) fn remove(
    tx: &mut Tx<'_>,
    user: UserId,
    who: Who,
    kept: Option<SignInId>,
    now: Timestamp,
) -> Result<(), Problem> {
    let was_on = is_on(tx, user)?;
    diesel::delete(second_factors::table.find(user)).execute(&mut **tx)?;
    if !was_on {
        return Err(Problem::conflict("The account has no second factor."));
    }
    sign_ins::end_all(tx, user, kept)?;
    audit(tx, user, who, "second_factor.disable", now)
}

/// Whether an account with this role has to set up a second factor before anything else.
pub(super) fn is_missing(needing: &[Role], role: Role, is_on: bool) -> bool {
    !is_on && needing.contains(&role)
}

/// Whether an account has a second factor.
///
/// # Errors
/// What the database says.
pub(crate) fn is_on(conn: &mut Conn, user: UserId) -> Result<bool, Problem> {
    let confirmed = second_factors::table.find(user).filter(second_factors::confirmed_at.is_not_null());
    Ok(diesel::select(diesel::dsl::exists(confirmed)).get_result(conn)?)
}

/// Takes a code of the app or a recovery code, if it is right; it is spent by that.
pub(super) fn take(tx: &mut Tx<'_>, app: &App, user: UserId, code: &str, now: Timestamp) -> Result<bool, Problem> {
    let Some(row) = load(tx, user)?.filter(|row| row.confirmed_at.is_some()) else { return Ok(false) };
    if let Some(step) = matching_step(app, user, &row, code, now)? {
        diesel::update(second_factors::table.find(user)).set(second_factors::last_step.eq(step)).execute(&mut **tx)?;
        return Ok(true);
    }
    let recovery = recovery_codes::table.find((user, token_hash(&normal(code))));
    if diesel::delete(recovery).execute(&mut **tx)? == 0 {
        return Ok(false);
    }
    audit(tx, user, Who::User(user), "second_factor.use_recovery_code", now)?;
    Ok(true)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = second_factors)]
struct SecondFactorRow {
    secret: Vec<u8>,
    confirmed_at: Option<Timestamp>,
    last_step: i64,
}

fn load(conn: &mut Conn, user: UserId) -> Result<Option<SecondFactorRow>, Problem> {
    Ok(second_factors::table.find(user).select(SecondFactorRow::as_select()).first(conn).optional()?)
}

/// The time step that a code belongs to, where it is right and later than the last one that was used.
fn matching_step(
    app: &App,
    user: UserId,
    row: &SecondFactorRow,
    code: &str,
    now: Timestamp,
) -> Result<Option<i64>, Problem> {
    let secret = app.secret.unseal(PURPOSE, &user.bytes(), &row.secret).ok_or_else(|| {
        Problem::internal(
            "a second factor was sealed with another server secret; restore that file, or reset the factor",
        )
    })?;
    let now = u64::try_from(now.unix_seconds()).unwrap_or_default();
    let step = totp(&secret, "")?.check(code, now).and_then(|step| i64::try_from(step).ok());
    Ok(step.filter(|step| *step > row.last_step))
}

fn totp(secret: &[u8], email: &str) -> Result<Totp, Problem> {
    let builder = Builder::new()
        .with_secret(Secret::from(secret))
        .with_skew(1)
        .with_issuer(Some("copydesk"))
        // A colon would end the account's name in the address.
        .with_account_name(email.replace(':', "%3A"));
    builder.build().map_err(Problem::internal)
}

/// Sixteen characters without look-alikes, 80 bits.
fn recovery_code() -> Result<String, String> {
    const ALPHABET: &[u8; 32] = b"23456789abcdefghjkmnpqrstuvwxyz0";
    let bytes = random_bytes::<16>()?;
    let chars: Vec<char> = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte % 32)])).collect();
    let groups: Vec<String> = chars.chunks(4).map(|group| group.iter().collect()).collect();
    Ok(groups.join("-"))
}

/// A recovery code as people may type it.
fn normal(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn audit(tx: &mut Tx<'_>, user: UserId, who: Who, action: &'static str, at: Timestamp) -> Result<(), Problem> {
    record(tx, &Event { at, who, action, kind: SubjectKind::User, id: Some(user.uuid()), public: None })
}
