//! Sign-ins as a list: a person sees and ends the own ones, an admin anyone's.

use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::sign_ins::{self, Session};
use super::{Caller, ManageOwnAccount, ManageUsers, SignInId, UserId};
use crate::changes::Who;
use crate::db::{Timestamp, Tx};
use crate::http::path::{Nested, Path};
use crate::http::{Managed, NoContent, NoParameters, Operations, Problem, Query, WriteOptions, page};
use crate::state::App;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new()
        .operation(__path_list_own_sessions, list_own_sessions)
        .operation(__path_end_own_session, end_own_session)
        .operation(__path_list_user_sessions, list_user_sessions)
        .operation(__path_end_user_session, end_user_session)
        .operation(__path_end_user_sessions, end_user_sessions)
}

/// All sign-ins of an account that stand, the newest first: at most a hundred.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionList {
    /// The sign-ins.
    #[schema(max_items = 100)]
    items: Vec<Session>,
    /// There is one part alone.
    page: page::Page,
}

async fn listed(app: &Data<App>, user: UserId, current: Option<SignInId>) -> Result<Managed<SessionList>, Problem> {
    let (state, now) = (app.clone(), app.clock.now());
    let items = app
        .db
        .read(move |conn| {
            let rows = sign_ins::of_user(conn, &state.config, user, now)?;
            Ok::<_, Problem>(rows.into_iter().map(|row| row.shown(&state.config, current)).collect())
        })
        .await?;
    Ok(Managed::new(SessionList { items, page: page::Page::whole(100) }))
}

fn end_one(tx: &mut Tx<'_>, user: UserId, id: SignInId, who: Who, now: Timestamp) -> Result<(), Problem> {
    let is_theirs = sign_ins::by_id(tx, id)?.is_some_and(|row| row.user_id == user);
    if is_theirs && sign_ins::end(tx, id, who, "sign_in.end", now)? { Ok(()) } else { Err(Problem::not_found()) }
}

/// List the own sign-ins
///
/// Where the account is signed in, the newest first. Any signed-in account may ask, API keys may not.
#[utoipa::path(get, path = "/api/v1/auth/me/sessions", tag = "Sign-in")]
pub(crate) async fn list_own_sessions(
    caller: Caller<ManageOwnAccount>,
    app: Data<App>,
    _query: Query<NoParameters>,
) -> Result<Managed<SessionList>, Problem> {
    listed(&app, caller.user(), caller.sign_in()).await
}

/// End an own sign-in
///
/// Its tokens end at once. Any signed-in account may do it, API keys may not.
#[utoipa::path(delete, path = "/api/v1/auth/me/sessions/{id}", tag = "Sign-in")]
pub(crate) async fn end_own_session(
    caller: Caller<ManageOwnAccount>,
    app: Data<App>,
    Path(id): Path<SignInId>,
    _query: Query<NoParameters>,
) -> Result<NoContent, Problem> {
    let (user, who, now) = (caller.user(), caller.who(), app.clock.now());
    app.write(caller.actor(), false, move |tx| end_one(tx, user, id, who, now)).await?;
    Ok(NoContent)
}

/// List a user's sign-ins
///
/// Where an account is signed in, the newest first. For `admin`.
#[utoipa::path(get, path = "/api/v1/manage/users/{id}/sessions", tag = "Users")]
pub(crate) async fn list_user_sessions(
    caller: Caller<ManageUsers>,
    app: Data<App>,
    Path(id): Path<UserId>,
    _query: Query<NoParameters>,
) -> Result<Managed<SessionList>, Problem> {
    app.db.read(move |conn| crate::users::check_there(conn, id)).await?;
    listed(&app, id, caller.sign_in()).await
}

/// End a user's sign-in
///
/// Its tokens end at once. For `admin`.
#[utoipa::path(delete, path = "/api/v1/manage/users/{id}/sessions/{session_id}", tag = "Users")]
pub(crate) async fn end_user_session(
    caller: Caller<ManageUsers>,
    app: Data<App>,
    Nested(user, id): Nested<UserId, SignInId>,
    Query(options): Query<WriteOptions>,
) -> Result<NoContent, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    app.write(caller.actor(), options.validate_only, move |tx| end_one(tx, user, id, who, now)).await?;
    Ok(NoContent)
}

/// End all of a user's sign-ins
///
/// The person has to sign in anew everywhere. For `admin`.
#[utoipa::path(delete, path = "/api/v1/manage/users/{id}/sessions", tag = "Users")]
pub(crate) async fn end_user_sessions(
    caller: Caller<ManageUsers>,
    app: Data<App>,
    Path(id): Path<UserId>,
    Query(options): Query<WriteOptions>,
) -> Result<NoContent, Problem> {
    let (who, now) = (caller.who(), app.clock.now());
    app.write(caller.actor(), options.validate_only, move |tx| crate::users::end_sign_ins(tx, id, who, now)).await?;
    Ok(NoContent)
}
