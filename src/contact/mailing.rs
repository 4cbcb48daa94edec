//! Telling people of the house that something has come, or was changed: a link and a count, nothing of what was written or
//! by whom.

use std::collections::BTreeSet;

use actix_web::web::Data;
use diesel::prelude::*;
use uuid::Uuid;

use super::forms::ContactFormId;
use super::forms::store::{self as forms, FormRow};
use crate::auth::UserId;
use crate::db::{Conn, Timestamp, Tx};
use crate::http::Problem;
use crate::notices::{self, Notice, NoticeKind};
use crate::schema::{announcement_recipients, users};
use crate::state::App;

/// Adds a message to what the form's recipients are told.
///
/// # Errors
/// What the database says.
pub(super) fn announce(tx: &mut Tx<'_>, form: &FormRow, is_urgent: bool, now: Timestamp) -> Result<(), Problem> {
    let kind = if is_urgent { NoticeKind::UrgentSubmission } else { NoticeKind::Submission };
    let recipients: BTreeSet<&str> = form.content.0.recipients.iter().map(|recipient| recipient.0.as_str()).collect();
    recipients.into_iter().try_for_each(|recipient| notices::add(tx, kind, recipient, form.id.uuid(), now))
}

/// Mails what is due. Where the mail server does not answer, the round ends, and goes on with the next.
///
/// # Errors
/// What the database says.
pub(crate) async fn send_due(app: &Data<App>) -> Result<(), Problem> {
    let Some(mailer) = &app.mailer else { return Ok(()) };
    let now = app.clock.now();
    for notice in app.db.read(move |conn| notices::due(conn, now)).await? {
        let (seen, inbox) = (notice.clone(), app.config.inbox_url.clone());
        let begun = app.db.write(move |tx| {
            let letter = write(tx, &seen, &inbox)?;
            // First this: a mail that was sent and could not be noted is not sent again at once.
            match letter {
                Some(_) => notices::begin(tx, &seen, now)?,
                None => notices::forget(tx, &seen)?,
            }
            Ok::<_, Problem>(letter)
        });
        let Some((subject, text)) = begun.await? else { continue };
        if let Err(error) = mailer.send(&notice.recipient, &subject, text).await {
            tracing::warn!(%error, "a notice could not be mailed; it is tried again");
            return Ok(());
        }
        let now = app.clock.now();
        app.db.write(move |tx| notices::sent(tx, &notice, now)).await?;
    }
    Ok(())
}

/// Subject and text of a notice; none where its recipient is none any more.
fn write(conn: &mut Conn, notice: &Notice, inbox: &str) -> Result<Option<(String, String)>, Problem> {
    let id = Uuid::from_slice(&notice.subject_id).unwrap_or_default();
    match notice.kind {
        NoticeKind::Announcement => announcement(conn, notice, id, inbox),
        NoticeKind::Submission => message(conn, notice, id, inbox, ("The contact form has something for you", "")),
        NoticeKind::UrgentSubmission => {
            message(conn, notice, id, inbox, ("Urgent: look at the contact form", " marked urgent"))
        }
    }
}

fn message(
    conn: &mut Conn,
    notice: &Notice,
    form: Uuid,
    inbox: &str,
    (subject, urgent): (&str, &str),
) -> Result<Option<(String, String)>, Problem> {
    let form = forms::by_id(conn, ContactFormId::from_uuid(form))?.map(|form| form.content.0);
    let is_recipient = |one: &super::forms::FormContent| one.recipients.iter().any(|other| other.0 == notice.recipient);
    let Some(form) = form.filter(is_recipient) else { return Ok(None) };
    let messages =
        if notice.waiting == 1 { "1 message has".to_owned() } else { format!("{} messages have", notice.waiting) };
    let text = format!("{messages} come by the form \"{}\"{urgent}.\n\nRead it here:\n\n{inbox}\n", form.name);
    Ok(Some((subject.to_owned(), text)))
}

fn announcement(
    conn: &mut Conn,
    notice: &Notice,
    subject: Uuid,
    inbox: &str,
) -> Result<Option<(String, String)>, Problem> {
    let known = announcement_recipients::table.find(&notice.recipient);
    let is_recipient: bool = diesel::select(diesel::dsl::exists(known)).get_result(conn)?;
    if !is_recipient {
        return Ok(None);
    }
    let name: Option<String> =
        users::table.find(UserId::from_uuid(subject)).select(users::name).first(conn).optional()?;
    let form = forms::by_id(conn, ContactFormId::from_uuid(subject))?;
    let what = match (name, form) {
        (Some(name), _) => format!("Access to an intake account was given, changed or taken: {name}."),
        (None, Some(form)) => format!("The contact form \"{}\" was changed.", form.name),
        (None, None) => "An intake account or a contact form was deleted.".to_owned(),
    };
    let text = format!(
        "{what}\n\nWho did what is listed under \"announcements\" where you read messages. If none of you knows of this, ask \
         the people who manage accounts at once.\n\n{inbox}\n"
    );
    Ok(Some(("Look at this: contact messages".to_owned(), text)))
}
