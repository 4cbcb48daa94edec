//! Contact submissions: what visitors of a treatment centre's site write, about the most private words they ever will.
//!
//! What is personal is sealed by the vault before it comes near the database, and only accounts of the role `intake`
//! open it; every reading is in the audit trail. `message` has what is sent and sealed, `forms` what is asked, `intake`
//! takes it in, `spam`, `urgency` and `form_tokens` look at it, `listing`, `submissions` and `person` are what intake works with,
//! `export` hands it out as a stream, `erasure` ends it, `mailing` tells that something has come.

mod addresses;
mod announced;
mod erasure;
mod export;
mod form_tokens;
mod forms;
mod intake;
mod listing;
mod mailing;
mod message;
mod person;
mod personal;
mod sample;
mod spam;
mod store;
mod submissions;
mod urgency;
mod verify;
mod views;

use crate::db::Id;
use crate::http::Operations;

pub(crate) use self::erasure::{erase_due, finish_once as finish_erasures, forget, unreadable};
pub(crate) use self::forms::store::fallback_text;
pub(crate) use self::mailing::send_due as send_due_notices;
pub(crate) use self::sample::add as add_samples;
pub(crate) use self::verify::{check_keys, count, verify};

/// The operations of this feature.
pub(crate) fn operations() -> Operations {
    Operations::new()
        .merge(intake::operations())
        .merge(forms::operations())
        .merge(listing::operations())
        .merge(submissions::operations())
        .merge(person::operations())
        .merge(export::operations())
        .merge(announced::operations())
}

/// Marks the id of a submission.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubmissionKind;
/// The id of a submission.
pub(crate) type SubmissionId = Id<SubmissionKind>;
