//! Taking a message in: checked, assessed, sealed, stored, and only then acknowledged.
//!
//! Nothing of it is sealed or assessed on the writer, and nobody waits for a mail. What is taken for spam is answered
//! like anything else.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;
use utoipa::ToSchema;

use super::forms::FormContent;
use super::forms::store::{self as forms, FormRow};
use super::message::{Checked, SubmissionBody};
use super::personal::Personal;
use super::spam::{self, Assessment, Signs};
use super::store::{self, NewSubmission};
use super::submissions::SubmissionStatus;
use super::{SubmissionId, form_tokens, mailing, urgency};
use crate::auth::address::Client;
use crate::auth::limits::Admission;
use crate::changes::SubjectKind;
use crate::db::Timestamp;
use crate::http::problem::{OVERLOADED, TOO_MANY_REQUESTS};
use crate::http::{Description, Limited, NoParameters, Operations, Output, Problem, Query};
use crate::state::App;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().operation(__path_create_contact_submission, create_contact_submission)
}

/// That a message has come in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SubmissionReceipt {
    /// The id under which the message is filed.
    id: SubmissionId,
    /// When it came.
    received_at: Timestamp,
    /// What the site says at once to who writes of an emergency: show it; null where there is nothing to say.
    crisis_text: Option<String>,
}

/// How a message that was taken is answered.
pub(super) enum Taken {
    /// With a receipt.
    Receipt(SubmissionReceipt),
    /// By leading the visitor to a page.
    SeeOther(String),
}

impl Responder for Taken {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        match self {
            Self::Receipt(receipt) => {
                HttpResponse::build(StatusCode::ACCEPTED).insert_header((CACHE_CONTROL, "no-store")).json(receipt)
            }
            Self::SeeOther(address) => HttpResponse::build(StatusCode::SEE_OTHER)
                .insert_header((CACHE_CONTROL, "no-store"))
                .insert_header((LOCATION, address))
                .finish(),
        }
    }
}

impl Output for Taken {
    fn describe(description: &mut Description) {
        let schema = description.schema::<SubmissionReceipt>();
        description.response("202", "The message is stored.", Some(&schema));
        description.response("303", "The message is stored, and `redirect_to` is where to go.", None);
        description.header("303", "Location", "The address of `redirect_to`.");
        for status in ["202", "303"] {
            description.header(status, "Cache-Control", "Always `no-store`.");
        }
    }
}

/// Send a contact message
///
/// Takes JSON, and what a plain HTML form sends (`fields[name]=…` for further fields, `consent=on`). The answer comes
/// when the message is on the disk. Many people may share an address: beyond a first limit a message is taken and
/// looked at later, only beyond a second one it is refused, with the form's `fallback_text`. Open to anyone.
#[utoipa::path(post, path = "/api/v1/contact-submissions", tag = "Contact")]
pub(super) async fn create_contact_submission(
    app: Data<App>,
    client: Client,
    _query: Query<NoParameters>,
    body: SubmissionBody,
) -> Result<Limited<Taken>, Problem> {
    let now = app.clock.now();
    let named = body.form().map(str::to_owned);
    let form = app.db.read(move |conn| forms::applying(conn, named.as_deref())).await?;
    let fallback = form.content.0.fallback_text.clone();
    let admission = admit(&app, &client).map_err(|problem| with_fallback(problem, &fallback))?;
    let taken = take_in(&app, form, body, admission, now).await.map_err(|problem| with_fallback(problem, &fallback));
    Limited::of(taken, admission.limit)
}

fn admit(app: &App, client: &Client) -> Result<Admission, Problem> {
    let key = |network: &Vec<u8>| app.secret.keyed_hash("contact by network", network);
    let admitted = app.floods.admit(key(&client.network), client.wide_network.as_ref().map(key), app.clock.steady());
    admitted.inspect_err(|_| {
        app.anonymous.note("contact_submission.throttle", SubjectKind::ContactSubmission, app.clock.now());
    })
}

/// A visitor who is turned away is told how else to reach somebody.
fn with_fallback(problem: Problem, text: &str) -> Problem {
    if !problem.is(&TOO_MANY_REQUESTS) && !problem.is(&OVERLOADED) || text.trim().is_empty() {
        return problem;
    }
    let detail = format!("{} {}", problem.detail(), text.trim());
    let ends_well = detail.ends_with(['.', '!', '?', '…']);
    problem.saying(if ends_well { detail } else { format!("{detail}.") }).with_member("fallback_text", text)
}

async fn take_in(
    app: &Data<App>,
    form: FormRow,
    body: SubmissionBody,
    admission: Admission,
    now: Timestamp,
) -> Result<Taken, Problem> {
    let mut checked = body.check(&form.content.0, app.config.country)?;
    let assessment = assess(app, &form.content.0, &checked, admission, now);
    mark_urgent(&form.content.0, &mut checked);
    let Checked { message, redirect_to, .. } = checked;
    let is_urgent = !message.urgent_phrases.is_empty();
    let id = SubmissionId::generate();
    let key = app.vault.present(now).map_err(Problem::internal)?;
    let new = NewSubmission {
        id,
        form_id: form.id,
        received_at: now,
        status: if assessment.is_spam() { SubmissionStatus::Spam } else { SubmissionStatus::New },
        spam_score: assessment.score,
        spam_reasons: assessment.reasons,
        is_urgent,
        sealed: store::seal(&key, id, &message)?,
    };
    let crisis_text = form.content.0.crisis_text.clone().filter(|_| is_urgent);
    let stored = app.db.write_public(move |tx| {
        let is_spam = new.status == SubmissionStatus::Spam;
        store::insert(tx, new)?;
        if !is_spam {
            mailing::announce(tx, &form, is_urgent, now)?;
        }
        // The key is held until the commit: nobody destroys it before.
        Ok::<_, Problem>(key)
    });
    stored.await?;
    Ok(match redirect_to {
        Some(address) => Taken::SeeOther(address),
        None => Taken::Receipt(SubmissionReceipt { id, received_at: now, crisis_text }),
    })
}

fn assess(app: &App, form: &FormContent, checked: &Checked, admission: Admission, now: Timestamp) -> Assessment {
    let text = spam::text_key(checked.message.message.reveal());
    let key = |text: String| app.secret.keyed_hash("contact by text", text.as_bytes());
    spam::assess(&Signs {
        honeypot: checked.honeypot,
        age: checked.form_token.as_deref().map(|token| form_tokens::age(&app.secret, token, now)),
        requires_token: form.requires_token,
        least_seconds: form.least_seconds,
        repeats: text.map_or(0, |text| app.floods.count_text(key(text), app.clock.steady())),
        too_many: admission.is_suspicious,
    })
}

fn mark_urgent(form: &FormContent, checked: &mut Checked) {
    let phrases = form.urgent_phrases.iter().map(|phrase| phrase.0.as_str());
    let found = urgency::found(phrases, &checked.message.texts());
    checked.message.urgent_phrases = found.into_iter().map(Personal::new).collect();
}
