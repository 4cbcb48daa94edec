//! Announcements: whatever gives or regains access to an intake account is told to the other intake accounts, so that
//! nobody comes to read the most private words unnoticed, whoever they are and whichever way they take.
//!
//! [`note`] is called with every event that is audited, so no way can be forgotten: by the API, by a link, by the
//! command line.

use diesel::prelude::*;
use uuid::Uuid;

use crate::auth::{Role, UserId};
use crate::changes::{Event, SubjectKind};
use crate::db::{Id, Timestamp, Tx};
use crate::http::Problem;
use crate::notices::{self, NoticeKind};
use crate::schema::{access_announcements, users};

/// Marks the id of an announcement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnnouncementKind;
/// The id of an announcement.
pub(crate) type AnnouncementId = Id<AnnouncementKind>;

/// What gives or regains access to an account.
pub(crate) const ACTIONS: [&str; 10] = [
    "user.create",
    "user.change_role",
    "user.change_email",
    "user.set_password",
    "user.enable",
    "user.invite",
    "user.make_reset_link",
    "second_factor.enable",
    "second_factor.disable",
    "second_factor.use_recovery_code",
];

/// Tells the other intake accounts of an event where it gives access to one of them.
///
/// # Errors
/// What the database says.
pub(crate) fn note(tx: &mut Tx<'_>, event: &Event) -> Result<(), Problem> {
    let Some(account) = event.id.filter(|_| event.kind == SubjectKind::User && ACTIONS.contains(&event.action)) else {
        return Ok(());
    };
    let account = UserId::from_uuid(account);
    let role: Option<Role> = users::table.find(account).select(users::role).first(&mut **tx).optional()?;
    if role != Some(Role::Intake) {
        return Ok(());
    }
    let (actor_kind, actor_id, _) = event.who.columns();
    diesel::insert_into(access_announcements::table)
        .values((
            access_announcements::id.eq(AnnouncementId::generate()),
            access_announcements::at.eq(event.at),
            access_announcements::user_id.eq(account),
            access_announcements::action.eq(event.action),
            access_announcements::actor_kind.eq(actor_kind),
            access_announcements::actor_id.eq(actor_id.map(|id: Uuid| id.as_bytes().to_vec())),
        ))
        .execute(&mut **tx)?;
    let others: Vec<String> = users::table
        .filter(users::role.eq(Role::Intake))
        .filter(users::disabled_at.is_null())
        .filter(users::id.ne(account))
        .select(users::email)
        .load(&mut **tx)?;
    for email in others {
        notices::add(tx, NoticeKind::Access, &email, account.uuid(), event.at)?;
    }
    Ok(())
}

/// For how long announcements are kept, in seconds: a year.
const KEPT_SECONDS: i64 = 365 * 24 * 3600;

/// Deletes the announcements whose time is over.
///
/// # Errors
/// What the database says.
pub(crate) fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Problem> {
    let over = access_announcements::at.lt(now.plus_seconds(-KEPT_SECONDS));
    diesel::delete(access_announcements::table.filter(over)).execute(&mut **tx)?;
    Ok(())
}
