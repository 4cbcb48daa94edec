//! Announcements: whatever gives or regains access to an intake account is told to the intake accounts, and so is every
//! change of a contact form, so that nobody comes to the most private words unnoticed, whoever they are and whichever way
//! they take.
//!
//! [`note`] is called with every event that is audited, so no way can be forgotten: by the API, by a link, by the command
//! line. Who takes the role from the others first, disables them or changes their addresses is told of by that very act,
//! and the former addresses are mailed for a month.

use diesel::prelude::*;
use uuid::Uuid;

use crate::auth::{Role, UserId};
use crate::changes::{Event, SubjectKind};
use crate::db::{Id, Timestamp, Tx};
use crate::http::Problem;
use crate::notices::{self, NoticeKind};
use crate::schema::{announcement_recipients, announcements, users};

/// Marks the id of an announcement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnnouncementKind;
/// The id of an announcement.
pub(crate) type AnnouncementId = Id<AnnouncementKind>;

/// What gives or regains access to an account, or takes it.
const OF_ACCOUNTS: [&str; 12] = [
    "user.create",
    "user.change_role",
    "user.change_email",
    "user.set_password",
    "user.enable",
    "user.disable",
    "user.delete",
    "user.invite",
    "user.make_reset_link",
    "second_factor.enable",
    "second_factor.disable",
    "second_factor.use_recovery_code",
];

/// What the new owner of an account knows already.
const OF_NEW_ACCOUNTS: [&str; 2] = ["user.create", "user.invite"];

/// For how long the former address of an intake account is mailed, in seconds: a month.
const FORMER_SECONDS: i64 = 30 * 24 * 3600;
/// For how long announcements are kept, in seconds: a year.
const KEPT_SECONDS: i64 = 365 * 24 * 3600;

/// Tells the intake accounts of an event that they should know of.
///
/// # Errors
/// What the database says.
pub(crate) fn note(tx: &mut Tx<'_>, event: &Event) -> Result<(), Problem> {
    let Some(subject) = event.id else { return Ok(()) };
    match event.kind {
        SubjectKind::ContactForm => announce(tx, event, subject, None),
        SubjectKind::User if OF_ACCOUNTS.contains(&event.action) => note_account(tx, event, UserId::from_uuid(subject)),
        _ => Ok(()),
    }
}

fn note_account(tx: &mut Tx<'_>, event: &Event, account: UserId) -> Result<(), Problem> {
    let present: Option<(Role, String)> =
        users::table.find(account).select((users::role, users::email)).first(&mut **tx).optional()?;
    let own = announcement_recipients::table.filter(announcement_recipients::user_id.eq(account));
    let was_intake: bool = diesel::select(diesel::dsl::exists(own)).get_result(&mut **tx)?;
    let email = present.and_then(|(role, email)| (role == Role::Intake).then_some(email));
    if !was_intake && email.is_none() {
        return Ok(());
    }
    // An address that was left before is left since then.
    let present = own.filter(announcement_recipients::left_at.is_null());
    diesel::update(present).set(announcement_recipients::left_at.eq(event.at)).execute(&mut **tx)?;
    if let Some(email) = &email {
        let row = (
            announcement_recipients::email.eq(email),
            announcement_recipients::user_id.eq(account),
            announcement_recipients::left_at.eq(None::<Timestamp>),
        );
        diesel::replace_into(announcement_recipients::table).values(row).execute(&mut **tx)?;
    }
    let knows = email.filter(|_| OF_NEW_ACCOUNTS.contains(&event.action));
    announce(tx, event, account.uuid(), knows.as_deref())
}

/// Announces something to all but who knows it already.
fn announce(tx: &mut Tx<'_>, event: &Event, subject: Uuid, knows: Option<&str>) -> Result<(), Problem> {
    let (actor_kind, actor_id, _) = event.who.columns();
    let bytes = |id: Uuid| id.as_bytes().to_vec();
    diesel::insert_into(announcements::table)
        .values((
            announcements::id.eq(AnnouncementId::generate()),
            announcements::at.eq(event.at),
            announcements::action.eq(event.action),
            announcements::subject_kind.eq(event.kind.name()),
            announcements::subject_id.eq(bytes(subject)),
            announcements::actor_kind.eq(actor_kind),
            announcements::actor_id.eq(actor_id.map(bytes)),
        ))
        .execute(&mut **tx)?;
    let recipients: Vec<String> =
        announcement_recipients::table.select(announcement_recipients::email).load(&mut **tx)?;
    for email in recipients.iter().filter(|email| Some(email.as_str()) != knows) {
        notices::add(tx, NoticeKind::Announcement, email, subject, event.at)?;
    }
    Ok(())
}

/// Deletes the announcements whose time is over, and the former addresses.
///
/// # Errors
/// What the database says.
pub(crate) fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Problem> {
    let over = announcements::at.lt(now.plus_seconds(-KEPT_SECONDS));
    diesel::delete(announcements::table.filter(over)).execute(&mut **tx)?;
    let is_former = announcement_recipients::left_at.lt(now.plus_seconds(-FORMER_SECONDS));
    diesel::delete(announcement_recipients::table.filter(is_former)).execute(&mut **tx)?;
    Ok(())
}
