//! Invented messages for the sample content: nobody wrote them.

use super::forms::store as forms;
use super::message::SubmissionBody;
use super::spam::SpamReason;
use super::store::{self, NewSubmission};
use super::views::SubmissionStatus;
use super::{SubmissionId, mailing};
use crate::http::Problem;
use crate::state::App;

static MESSAGES: &str = include_str!("sample.json");

/// An invented message: how long ago it came, and whether it is taken for spam.
#[derive(serde::Deserialize)]
struct Sample {
    hours_ago: i64,
    is_spam: bool,
    body: serde_json::Value,
}

/// Adds invented messages; how many.
///
/// # Errors
/// What the database says, or that a sample is not right.
pub(crate) async fn add(app: &App) -> Result<usize, Problem> {
    let samples: Vec<Sample> = serde_json::from_str(MESSAGES).map_err(Problem::internal)?;
    let (count, now) = (samples.len(), app.clock.now());
    let form = app.db.read(|conn| forms::applying(conn, None)).await?;
    for sample in samples {
        let received_at = now.plus_seconds(-sample.hours_ago * 3600);
        let checked = SubmissionBody::of(sample.body, false)?.check(&form, app.config.country)?;
        let (id, key) = (SubmissionId::generate(), app.vault.present_or_made(received_at).map_err(Problem::internal)?);
        let new = NewSubmission {
            id,
            form_id: form.id,
            received_at,
            status: if sample.is_spam { SubmissionStatus::Spam } else { SubmissionStatus::New },
            spam_score: if sample.is_spam { 100 } else { 0 },
            spam_reasons: if sample.is_spam { vec![SpamReason::Honeypot] } else { Vec::new() },
            is_urgent: false,
            is_announced: !sample.is_spam,
            sealed: store::seal(&key, id, &checked.words)?,
        };
        let form = form.clone();
        let stored = app.db.write(move |tx| {
            if new.status != SubmissionStatus::Spam {
                mailing::announce(tx, &form, false, received_at)?;
            }
            store::insert(tx, new)?;
            Ok::<_, Problem>(key)
        });
        stored.await?;
    }
    Ok(count)
}
