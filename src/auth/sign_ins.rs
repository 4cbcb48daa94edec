//! Sign-ins: what stands behind access tokens.
//!
//! A row is a sign-in that stands; ending it deletes it, and its access tokens and refresh token end with it.
//! Each refresh token is used once. Whoever shows a spent one has a copy that should not exist, so the whole
//! sign-in ends (RFC 9700, 4.14.2).

use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde::Serialize;
use utoipa::ToSchema;

use super::secrets::token_hash;
use super::{Role, SignInId, UserId, second_factor, unauthenticated};
use crate::changes::{Event, SubjectKind, Who, record};
use crate::config::{Config, SignInLimits};
use crate::db::{Conn, Timestamp, Tx};
use crate::http::Problem;
use crate::schema::{known_networks, second_factors, sign_ins, spent_refresh_tokens, users};
use crate::state::App;

/// How often the time of the last use is written: at most once in this many seconds.
pub(super) const USE_SECONDS: i64 = 60;
/// The most sign-ins of one account; the oldest give way.
const MOST_OF_ONE: i64 = 100;
/// The most spent refresh tokens of one sign-in: one each quarter of an hour for a month, and some.
const MOST_SPENT: i64 = 3000;
/// The most networks that are remembered of one account.
const MOST_NETWORKS: i64 = 10;
/// For how long a network is remembered without a sign-in from it, in seconds.
const NETWORK_SECONDS: i64 = 90 * 24 * 3600;

/// A sign-in, for the person whose it is and for admins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Session {
    /// The id: the `sid` of its access tokens.
    pub id: SignInId,
    /// When the person signed in.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Timestamp,
    /// When it ends at the latest; sooner where it is not used.
    pub expires_at: Timestamp,
    /// What the client called itself when it signed in; null where it did not.
    pub user_agent: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// What stands behind a valid access token.
pub(super) struct Standing {
    pub(super) role: Role,
    pub(super) restricted: bool,
}

/// A sign-in with what decides whether it stands.
#[derive(Debug, Clone, Queryable)]
pub(super) struct SignInRow {
    pub(super) id: SignInId,
    pub(super) user_id: UserId,
    user_agent: Option<String>,
    created_at: Timestamp,
    last_used_at: Timestamp,
    pub(super) role: Role,
    disabled_at: Option<Timestamp>,
    second_factor_since: Option<Timestamp>,
}

/// A sign-in that begins.
pub(super) struct NewSignIn {
    pub(super) id: SignInId,
    pub(super) user: UserId,
    pub(super) refresh_token: String,
    pub(super) user_agent: Option<String>,
    /// None where it is not certain.
    pub(super) network: Option<Vec<u8>>,
}

impl SignInRow {
    /// Whether the account is enabled and the sign-in neither too old nor too long unused.
    pub(super) fn stands(&self, config: &Config, now: Timestamp) -> bool {
        self.stands_within(config.sign_in_limits(self.role), now)
    }

    /// The same for limits that are known to be its role's.
    pub(super) fn stands_within(&self, limits: SignInLimits, now: Timestamp) -> bool {
        self.disabled_at.is_none() && now < self.expires_at(limits) && now < unused_end(self.last_used_at, limits)
    }

    fn expires_at(&self, limits: SignInLimits) -> Timestamp {
        self.created_at.plus_seconds(limits.lifetime_minutes * 60)
    }

    pub(super) fn shown(self, config: &Config, current: Option<SignInId>) -> Session {
        Session {
            id: self.id,
            created_at: self.created_at,
            last_used_at: self.last_used_at,
            expires_at: self.expires_at(config.sign_in_limits(self.role)),
            current: current == Some(self.id),
            user_agent: self.user_agent,
        }
    }
}

fn unused_end(last_used_at: Timestamp, limits: SignInLimits) -> Timestamp {
    last_used_at.plus_seconds(limits.unused_minutes * 60)
}

/// What stands behind the access token of this sign-in and account.
///
/// # Errors
/// `401` where it does not stand.
pub(super) async fn standing(app: &App, id: SignInId, user: UserId, now: Timestamp) -> Result<Standing, Problem> {
    let row = app.db.read(move |conn| by_id(conn, id)).await?;
    let row = row.filter(|row| row.user_id == user && row.stands(&app.config, now));
    let row = row.ok_or_else(|| unauthenticated(true))?;
    if now >= row.last_used_at.plus_seconds(USE_SECONDS) {
        note_use(app, id, now);
    }
    let restricted =
        second_factor::is_missing(&app.config.second_factor_roles, row.role, row.second_factor_since.is_some());
    Ok(Standing { role: row.role, restricted })
}

/// Writes the time of use behind the request's back: nobody waits for it.
fn note_use(app: &App, id: SignInId, now: Timestamp) {
    let db = app.db.clone();
    actix_web::rt::spawn(async move {
        // Asked once more: another request may have noted it meanwhile.
        let due = sign_ins::last_used_at.le(now.plus_seconds(-USE_SECONDS));
        let row = sign_ins::table.find(id).filter(due);
        let noted = db.write(move |tx| {
            diesel::update(row).set(sign_ins::last_used_at.eq(now)).execute(&mut **tx)?;
            Ok::<_, Problem>(())
        });
        if let Err(error) = noted.await {
            tracing::warn!(%error, "the time of a sign-in's use could not be written");
        }
    });
}

type Columns = (
    sign_ins::id,
    sign_ins::user_id,
    sign_ins::user_agent,
    sign_ins::created_at,
    sign_ins::last_used_at,
    users::role,
    users::disabled_at,
    dsl::Nullable<second_factors::confirmed_at>,
);

/// Sign-ins with their accounts; one indexed read of each table.
#[diesel::dsl::auto_type]
fn rows() -> _ {
    let second_factor = second_factors::table.on(second_factors::user_id.eq(sign_ins::user_id));
    sign_ins::table.inner_join(users::table).left_join(second_factor)
}

fn columns() -> Columns {
    (
        sign_ins::id,
        sign_ins::user_id,
        sign_ins::user_agent,
        sign_ins::created_at,
        sign_ins::last_used_at,
        users::role,
        users::disabled_at,
        second_factors::confirmed_at.nullable(),
    )
}

pub(super) fn by_id(conn: &mut Conn, id: SignInId) -> Result<Option<SignInRow>, Problem> {
    let row = rows().filter(sign_ins::id.eq(id)).select(columns());
    Ok(row.first(conn).optional()?)
}

/// The sign-in whose present refresh token this is.
pub(super) fn by_refresh_token(conn: &mut Conn, token: &str) -> Result<Option<SignInRow>, Problem> {
    let hash = token_hash(token);
    let row = rows().filter(sign_ins::refresh_hash.eq(hash)).select(columns());
    Ok(row.first(conn).optional()?)
}

/// The sign-in whose refresh token this was.
pub(super) fn by_spent_token(conn: &mut Conn, token: &str) -> Result<Option<SignInId>, Problem> {
    let spent = spent_refresh_tokens::table.find(token_hash(token)).select(spent_refresh_tokens::sign_in_id);
    Ok(spent.first(conn).optional()?)
}

/// The sign-ins of an account that stand, the newest first.
pub(super) fn of_user(
    conn: &mut Conn,
    config: &Config,
    user: UserId,
    now: Timestamp,
) -> Result<Vec<SignInRow>, Problem> {
    let rows: Vec<SignInRow> = rows()
        .filter(sign_ins::user_id.eq(user))
        .order((sign_ins::created_at.desc(), sign_ins::id.desc()))
        .select(columns())
        .load(conn)?;
    Ok(rows.into_iter().filter(|row| row.stands(config, now)).collect())
}

/// Whether anybody has signed in from this network before. Whose it is does not matter: else the limits would tell
/// which emails have an account that signs in from here.
pub(super) fn is_known(conn: &mut Conn, network: &[u8], now: Timestamp) -> Result<bool, Problem> {
    let known = known_networks::table
        .filter(known_networks::network.eq(network))
        .filter(known_networks::last_used_at.gt(now.plus_seconds(-NETWORK_SECONDS)));
    Ok(diesel::select(diesel::dsl::exists(known)).get_result(conn)?)
}

/// Stores a sign-in that begins.
pub(super) fn begin(tx: &mut Tx<'_>, new: NewSignIn, now: Timestamp) -> Result<(), Problem> {
    let surplus: Vec<SignInId> = sign_ins::table
        .filter(sign_ins::user_id.eq(new.user))
        .order((sign_ins::created_at.desc(), sign_ins::id.desc()))
        .offset(MOST_OF_ONE - 1)
        .limit(MOST_OF_ONE)
        .select(sign_ins::id)
        .load(&mut **tx)?;
    diesel::delete(sign_ins::table.filter(sign_ins::id.eq_any(surplus))).execute(&mut **tx)?;
    diesel::insert_into(sign_ins::table)
        .values((
            sign_ins::id.eq(new.id),
            sign_ins::user_id.eq(new.user),
            sign_ins::refresh_hash.eq(token_hash(&new.refresh_token)),
            sign_ins::user_agent.eq(new.user_agent),
            sign_ins::created_at.eq(now),
            sign_ins::last_used_at.eq(now),
        ))
        .execute(&mut **tx)?;
    if let Some(network) = new.network {
        remember_network(tx, new.user, network, now)?;
    }
    audit(tx, new.id, Who::User(new.user), "sign_in.create", now)
}

/// Remembers that an account was used from a network.
pub(super) fn remember_network(tx: &mut Tx<'_>, user: UserId, network: Vec<u8>, now: Timestamp) -> Result<(), Problem> {
    diesel::insert_into(known_networks::table)
        .values((
            known_networks::user_id.eq(user),
            known_networks::network.eq(network),
            known_networks::last_used_at.eq(now),
        ))
        .on_conflict((known_networks::user_id, known_networks::network))
        .do_update()
        .set(known_networks::last_used_at.eq(now))
        .execute(&mut **tx)?;
    let surplus: Vec<Vec<u8>> = known_networks::table
        .filter(known_networks::user_id.eq(user))
        .order(known_networks::last_used_at.desc())
        .offset(MOST_NETWORKS)
        .limit(MOST_NETWORKS)
        .select(known_networks::network)
        .load(&mut **tx)?;
    let of_user = known_networks::table.filter(known_networks::user_id.eq(user));
    diesel::delete(of_user.filter(known_networks::network.eq_any(surplus))).execute(&mut **tx)?;
    Ok(())
}

/// Puts a new refresh token in the place of the present one, which is spent from then on.
pub(super) fn rotate(
    tx: &mut Tx<'_>,
    row: &SignInRow,
    spent: &str,
    fresh: &str,
    now: Timestamp,
) -> Result<(), Problem> {
    diesel::insert_into(spent_refresh_tokens::table)
        .values((
            spent_refresh_tokens::hash.eq(token_hash(spent)),
            spent_refresh_tokens::sign_in_id.eq(row.id),
            spent_refresh_tokens::spent_at.eq(now),
        ))
        .execute(&mut **tx)?;
    forget_the_oldest(tx, row.id)?;
    diesel::update(sign_ins::table.find(row.id))
        .set((sign_ins::refresh_hash.eq(token_hash(fresh)), sign_ins::last_used_at.eq(now)))
        .execute(&mut **tx)?;
    Ok(())
}

/// Keeps the spent tokens of a sign-in bounded: of one so old that it is forgotten, the sign-in's own age tells enough.
fn forget_the_oldest(tx: &mut Tx<'_>, id: SignInId) -> Result<(), Problem> {
    let of_sign_in = spent_refresh_tokens::table.filter(spent_refresh_tokens::sign_in_id.eq(id));
    let oldest_kept: Option<Timestamp> = of_sign_in
        .order(spent_refresh_tokens::spent_at.desc())
        .offset(MOST_SPENT)
        .select(spent_refresh_tokens::spent_at)
        .first(&mut **tx)
        .optional()?;
    if let Some(oldest_kept) = oldest_kept {
        diesel::delete(of_sign_in.filter(spent_refresh_tokens::spent_at.lt(oldest_kept))).execute(&mut **tx)?;
    }
    Ok(())
}

/// Ends a sign-in; whether there was one.
pub(super) fn end(
    tx: &mut Tx<'_>,
    id: SignInId,
    who: Who,
    action: &'static str,
    now: Timestamp,
) -> Result<bool, Problem> {
    if diesel::delete(sign_ins::table.find(id)).execute(&mut **tx)? == 0 {
        return Ok(false);
    }
    audit(tx, id, who, action, now)?;
    Ok(true)
}

/// Ends all sign-ins of an account but this one. What ended them is in the audit trail already.
///
/// # Errors
/// What the database says.
pub(crate) fn end_all(tx: &mut Tx<'_>, user: UserId, but: Option<SignInId>) -> Result<(), Problem> {
    let kept: Vec<SignInId> = but.into_iter().collect();
    let others = sign_ins::table.filter(sign_ins::user_id.eq(user)).filter(sign_ins::id.ne_all(kept));
    diesel::delete(others).execute(&mut **tx)?;
    Ok(())
}

/// Deletes what does not stand any more because of its age.
///
/// # Errors
/// What the database says.
pub(crate) fn prune(tx: &mut Tx<'_>, config: &Config, now: Timestamp) -> Result<(), Problem> {
    let privileged = "user_id IN (SELECT id FROM users WHERE role IN ('admin', 'intake'))";
    for (roles, limits) in [("TRUE", config.sign_ins), (privileged, config.privileged_sign_ins)] {
        // The longer of the two holds for nobody: whoever is past the shorter one is caught by the second turn.
        let longest = |one: i64, other: i64| if roles == "TRUE" { one.max(other) } else { one };
        let lifetime = longest(limits.lifetime_minutes, config.privileged_sign_ins.lifetime_minutes);
        let unused = longest(limits.unused_minutes, config.privileged_sign_ins.unused_minutes);
        diesel::sql_query(format!("DELETE FROM sign_ins WHERE {roles} AND (created_at <= ? OR last_used_at <= ?)"))
            .bind::<BigInt, _>(now.plus_seconds(-lifetime * 60))
            .bind::<BigInt, _>(now.plus_seconds(-unused * 60))
            .execute(&mut **tx)?;
    }
    let forgotten = known_networks::last_used_at.le(now.plus_seconds(-NETWORK_SECONDS));
    diesel::delete(known_networks::table.filter(forgotten)).execute(&mut **tx)?;
    Ok(())
}

fn audit(tx: &mut Tx<'_>, id: SignInId, who: Who, action: &'static str, at: Timestamp) -> Result<(), Problem> {
    record(tx, &Event { at, who, action, kind: SubjectKind::SignIn, id: Some(id.uuid()), public: None })
}
