//! Taking a message in: checked, assessed, sealed, stored, and only then acknowledged.
//!
//! Nothing of it is sealed or assessed on the writer, and nobody waits for a mail. What is taken for spam is answered
//! like anything else.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::web::{self, Data};
use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder};
use serde::Serialize;
use utoipa::ToSchema;

use super::forms::FormContent;
use super::forms::store::{self as forms, FormRow};
use super::message::{Checked, SubmissionBody};
use super::personal::Personal;
use super::spam::{self, Assessment, Signs, SpamReason};
use super::store::{self, NewSubmission};
use super::views::SubmissionStatus;
use super::{SubmissionId, form_tokens, mailing, urgency};
use crate::auth::address::Client;
use crate::auth::limits::LimitKey;
use crate::changes::SubjectKind;
use crate::db::{Timestamp, Tx};
use crate::http::problem::{OVERLOADED, TOO_MANY_REQUESTS};
use crate::http::{Description, Input, Limited, NoParameters, Operations, Output, Problem, Query, RateLimit};
use crate::state::App;
use crate::vault::MonthKey;

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

/// That a message may come in: asked before its body is read, so that who sends too many costs little.
pub(super) struct Admitted {
    network: LimitKey,
    wide: Option<LimitKey>,
    limit: Option<RateLimit>,
}

impl FromRequest for Admitted {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (app, client) = (req.app_data::<Data<App>>(), Client::from_request(req, payload));
        let Some(app) = app else { return ready(Err(Problem::internal("the application's state is missing"))) };
        ready(client.into_inner().and_then(|client| admit(app, &client)))
    }
}

impl Input for Admitted {
    fn describe(description: &mut Description) {
        description.also("503", "`fallback_text` says how else to reach the people of the site.");
    }
}

fn admit(app: &App, client: &Client) -> Result<Admitted, Problem> {
    let key = |network: &Vec<u8>| app.secret.keyed_hash("contact by network", network);
    let (network, wide) = (key(&client.network), client.wide_network.as_ref().map(key));
    let limit = app.floods.admit(network, wide, app.clock.steady()).map_err(|problem| {
        app.anonymous.note("contact_submission.throttle", SubjectKind::ContactSubmission, app.clock.now());
        with_fallback(problem, &app.floods.fallback_text())
    })?;
    Ok(Admitted { network, wide, limit })
}

/// Send a contact message
///
/// Takes JSON, and what a plain HTML form sends (`fields[name]=…` for further fields, `consent=on`). The answer comes
/// when the message is on the disk. Many people may share an address: beyond a first limit a message is taken and
/// looked at later, only beyond a second one it is refused, with a form's `fallback_text`. Open to anyone.
#[utoipa::path(post, path = "/api/v1/contact-submissions", tag = "Contact")]
pub(super) async fn create_contact_submission(
    app: Data<App>,
    admitted: Admitted,
    _query: Query<NoParameters>,
    body: SubmissionBody,
) -> Result<Limited<Taken>, Problem> {
    let limit = admitted.limit;
    let named = body.form().map(str::to_owned);
    let form = app.db.read(move |conn| forms::applying(conn, named.as_deref())).await;
    let form = form.map_err(|problem| with_fallback(problem, &app.floods.fallback_text()))?;
    let fallback = form.content.0.fallback_text.clone();
    if form.is_default() {
        app.floods.remember_fallback_text(&fallback);
    }
    let taken = take_in(&app, form, body, admitted).await.map_err(|problem| with_fallback(problem, &fallback));
    Limited::of(taken, limit)
}

/// A visitor who is turned away, or can't be helped now, is told how else to reach somebody.
fn with_fallback(problem: Problem, text: &str) -> Problem {
    let is_turned_away = problem.is(&TOO_MANY_REQUESTS) || !problem.is_clients();
    let text = text.trim();
    if !is_turned_away || text.is_empty() {
        return problem;
    }
    let detail = format!("{} {text}", problem.detail());
    let ends_well = detail.ends_with(['.', '!', '?', '…']);
    let has_member = problem.is(&TOO_MANY_REQUESTS) || problem.is(&OVERLOADED);
    let problem = problem.saying(if ends_well { detail } else { format!("{detail}.") });
    if has_member { problem.with_member("fallback_text", text) } else { problem }
}

async fn take_in(app: &Data<App>, form: FormRow, body: SubmissionBody, admitted: Admitted) -> Result<Taken, Problem> {
    let now = app.clock.now();
    let mut checked = body.check(&form, app.config.country)?;
    let text = spam::text_key(checked.words.message.reveal());
    let counted = text.map(|text| CountedText::new(app, &text));
    let repeats = counted.as_ref().map_or(0, |counted| counted.repeats);
    let assessment = assess(app, &form.content.0, &checked, &admitted, repeats);
    mark_urgent(&form.content.0, &mut checked);
    let Checked { words, redirect_to, .. } = checked;
    let is_urgent = !words.urgent_phrases.is_empty();
    let (id, key) = (SubmissionId::generate(), present_key(app, now).await?);
    let new = NewSubmission {
        id,
        form_id: form.id,
        received_at: now,
        status: if assessment.is_spam() { SubmissionStatus::Spam } else { SubmissionStatus::New },
        spam_score: assessment.score,
        is_urgent,
        is_announced: is_told_of(&assessment, is_urgent),
        spam_reasons: assessment.reasons,
        sealed: store::seal(&key, id, &words)?,
    };
    let crisis_text = form.content.0.crisis_text.clone().filter(|_| is_urgent);
    let filed = app.db.write_public(move |tx| {
        let key = file(tx, new, form, key)?;
        if let Some(counted) = counted {
            counted.keep();
        }
        Ok::<_, Problem>(key)
    });
    filed.await?;
    Ok(match redirect_to {
        Some(address) => Taken::SeeOther(if is_urgent { marked_urgent(address) } else { address }),
        None => Taken::Receipt(SubmissionReceipt { id, received_at: now, crisis_text }),
    })
}

/// A text that was counted, until its message is stored: who was turned away may try again.
struct CountedText {
    app: Data<App>,
    key: LimitKey,
    /// How often the text came before.
    repeats: i64,
    is_kept: bool,
}

impl CountedText {
    fn new(app: &Data<App>, text: &str) -> Self {
        let key = app.secret.keyed_hash("contact by text", text.as_bytes());
        Self { app: app.clone(), key, repeats: app.floods.count_text(key, app.clock.steady()), is_kept: false }
    }

    fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for CountedText {
    fn drop(&mut self) {
        if !self.is_kept {
            self.app.floods.uncount_text(&self.key);
        }
    }
}

/// Stores a message, and tells of it.
fn file(tx: &mut Tx<'_>, mut new: NewSubmission, form: FormRow, key: Arc<MonthKey>) -> Result<Arc<MonthKey>, Problem> {
    // Somebody may have deleted the form meanwhile; no message is lost over that.
    let form = match forms::by_id(tx, form.id)? {
        Some(form) => form,
        None => forms::applying(tx, None)?,
    };
    new.form_id = form.id;
    let (is_told_of, is_urgent, now) = (new.is_announced, new.is_urgent, new.received_at);
    store::insert(tx, new)?;
    if is_told_of {
        mailing::announce(tx, &form, is_urgent, now)?;
    }
    // The key is held until the commit: nobody destroys it before.
    Ok(key)
}

/// Whether the form's recipients are told: of what is no spam, and of an emergency that only came among too many.
fn is_told_of(assessment: &Assessment, is_urgent: bool) -> bool {
    !assessment.is_spam() || is_urgent && assessment.reasons == [SpamReason::TooMany]
}

/// A page that can show what the site says to who writes of an emergency; no server hears of a fragment.
fn marked_urgent(address: String) -> String {
    if address.contains('#') { address } else { address + "#urgent" }
}

/// The key of this month; a new one is made beside the workers.
async fn present_key(app: &Data<App>, now: Timestamp) -> Result<Arc<MonthKey>, Problem> {
    if let Some(key) = app.vault.present(now) {
        return Ok(key);
    }
    let state = app.clone();
    let made = web::block(move || state.vault.present_or_made(now)).await;
    made.map_err(Problem::internal)?.map_err(Problem::internal)
}

fn assess(app: &App, form: &FormContent, checked: &Checked, admitted: &Admitted, repeats: i64) -> Assessment {
    let (now, steady) = (app.clock.now(), app.clock.steady());
    spam::assess(&Signs {
        honeypot: checked.honeypot,
        age: checked.form_token.as_deref().map(|token| form_tokens::age(&app.secret, token, now)),
        requires_token: form.requires_token,
        least_seconds: form.least_seconds,
        repeats,
        // Only messages count that are right: nobody is suspected for a slip of the pen.
        too_many: app.floods.is_suspicious(admitted.network, admitted.wide, steady),
    })
}

fn mark_urgent(form: &FormContent, checked: &mut Checked) {
    let phrases = form.urgent_phrases.iter().map(|phrase| phrase.0.as_str());
    let found = urgency::found(phrases, &checked.words.texts());
    checked.words.urgent_phrases = found.into_iter().map(Personal::new).collect();
}
