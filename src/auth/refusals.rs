//! Refused attempts at what is most private, for the audit trail: who tried what and when, each with the id that was
//! tried; beyond a number a minute, and for callers whom nobody knows, they are counted.

use uuid::Uuid;

use super::Actor;
use crate::changes::{Event, SubjectKind, record};
use crate::http::Problem;
use crate::state::App;

/// Notes that somebody, or nobody known, was refused.
///
/// # Errors
/// Where the audit trail can't be written.
pub(super) async fn note(
    app: &App,
    actor: Option<Actor>,
    (action, kind): (&'static str, SubjectKind),
    id: Option<Uuid>,
) -> Result<(), Problem> {
    let now = app.clock.now();
    let Some(actor) = actor else {
        app.anonymous.note(action, kind, now);
        return Ok(());
    };
    if !app.limits.has_room_for_refusal(actor.user, app.clock.steady()) {
        app.anonymous.note_of(actor.who(), action, kind, now);
        return Ok(());
    }
    let event = Event { at: now, who: actor.who(), action, kind, id, public: None };
    app.db.write(move |tx| record(tx, &event)).await
}
