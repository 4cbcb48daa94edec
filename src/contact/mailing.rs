//! Telling people of the house that something has come: a link and a count, nothing of what was written or by whom.

use actix_web::web::Data;
use diesel::prelude::*;
use uuid::Uuid;

use super::forms::ContactFormId;
use super::forms::store::{self as forms, FormRow};
use crate::auth::UserId;
use crate::db::{Conn, Timestamp, Tx};
use crate::http::Problem;
use crate::notices::{self, Notice, NoticeKind};
use crate::schema::users;
use crate::state::App;

/// Adds a message to what the form's recipients are told.
///
/// # Errors
/// What the database says.
pub(super) fn announce(tx: &mut Tx<'_>, form: &FormRow, is_urgent: bool, now: Timestamp) -> Result<(), Problem> {
    let kind = if is_urgent { NoticeKind::UrgentSubmission } else { NoticeKind::Submission };
    for recipient in &form.content.0.recipients {
        notices::add(tx, kind, &recipient.0, form.id.uuid(), now)?;
    }
    Ok(())
}

/// Mails what is due. A mail server that does not answer costs this round its patience, and nobody else anything.
///
/// # Errors
/// What the database says.
pub(crate) async fn send_due(app: &Data<App>) -> Result<(), Problem> {
    let Some(mailer) = &app.mailer else { return Ok(()) };
    let now = app.clock.now();
    for notice in app.db.read(move |conn| notices::due(conn, now)).await? {
        let (letter, inbox) = (notice.clone(), app.config.inbox_url.clone());
        let (subject, text) = app.db.read(move |conn| write(conn, &letter, &inbox)).await?;
        let outcome = mailer.send(&notice.recipient, &subject, text).await;
        if let Err(error) = &outcome {
            tracing::warn!(%error, "a notice could not be mailed; it is tried again");
        }
        let now = app.clock.now();
        let settle = move |tx: &mut Tx<'_>| match outcome {
            Ok(()) => notices::sent(tx, &notice, now),
            Err(_) => notices::failed(tx, &notice, now),
        };
        app.db.write(settle).await?;
    }
    Ok(())
}

/// Subject and text of a notice.
fn write(conn: &mut Conn, notice: &Notice, inbox: &str) -> Result<(String, String), Problem> {
    let id = Uuid::from_slice(&notice.subject_id).unwrap_or_default();
    let count = notice.waiting;
    if notice.kind == NoticeKind::Access {
        let name: Option<String> =
            users::table.find(UserId::from_uuid(id)).select(users::name).first(conn).optional()?;
        let name = name.unwrap_or_else(|| "that is gone again".to_owned());
        let text = format!(
            "Access to an intake account was given or changed: {name}.\n\nWhoever has it reads what visitors write. If \
             none of you knows of this, ask the people who manage accounts at once.\n\n{inbox}\n"
        );
        return Ok(("Access to an intake account has changed".to_owned(), text));
    }
    let form = forms::by_id(conn, ContactFormId::from_uuid(id))?.map(|form| form.name);
    let form = form.unwrap_or_else(|| "that is gone again".to_owned());
    let messages = if count == 1 { "1 message has".to_owned() } else { format!("{count} messages have") };
    let (subject, urgent) = match notice.kind {
        NoticeKind::UrgentSubmission => ("Urgent: look at the contact form", " marked urgent"),
        _ => ("The contact form has something for you", ""),
    };
    let text = format!("{messages} come by the form \"{form}\"{urgent}.\n\nRead it here:\n\n{inbox}\n");
    Ok((subject.to_owned(), text))
}
