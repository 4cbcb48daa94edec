//! What visitors meet of a form: what it asks, what they agree to, and a token that says when they were shown it.

use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::{FormContent, FormField, store};
use crate::cdn::keys::Set;
use crate::contact::form_tokens;
use crate::db::Timestamp;
use crate::http::schema::SLUG;
use crate::http::{Delivered, Managed, NoParameters, Operations, Path, PathParameter, Problem, Query};
use crate::state::App;
use crate::text::canonical_language;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new()
        .operation(__path_get_contact_form, get_contact_form)
        .operation(__path_get_form_token, get_form_token)
}

/// A contact form, as a visitor meets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ContactForm {
    /// What the form is called: send it as `form`.
    #[schema(example = "sidebar")]
    name: String,
    /// The fields beside name, email, phone and message.
    fields: Vec<FormField>,
    /// What the visitor agrees to.
    consent: ShownConsent,
}

/// The text that a visitor agrees to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ShownConsent {
    /// Which version it is: send it as `consent_version`.
    #[schema(example = "2026-11")]
    version: String,
    /// Its language.
    #[schema(example = "en")]
    language: String,
    /// The text.
    text: String,
}

impl ContactForm {
    /// What visitors see of a form.
    fn of(form: &FormContent, language: &str) -> Option<Self> {
        let consent = form.consent(language)?;
        Some(Self {
            name: form.name.clone(),
            fields: form.fields.clone(),
            consent: ShownConsent {
                version: consent.version.clone(),
                language: consent.language.clone(),
                text: consent.text.clone(),
            },
        })
    }
}

/// The name of a form in a path.
#[derive(Debug, Clone)]
pub(super) struct FormName(String);

impl PathParameter for FormName {
    const DESCRIPTION: &'static str = "The name of the form.";

    fn schema() -> Value {
        json!({ "type": "string", "maxLength": 60, "pattern": SLUG, "example": "default" })
    }

    fn parse(text: &str) -> Option<Self> {
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        (text.len() <= 60 && text.split('-').all(plain)).then(|| Self(text.to_owned()))
    }
}

/// How a form is shown.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ShowForm {
    /// The language of the consent text, a BCP 47 tag: the site's where it is left out, and whichever there is where
    /// the text has neither.
    #[param(min_length = 2, max_length = 35, pattern = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$", example = "en")]
    language: Option<String>,
}

/// Get a contact form
///
/// What a visitor is asked and agrees to. The form `default` is always there. Open to anyone.
#[utoipa::path(get, path = "/api/v1/contact-forms/{form}", tag = "Contact")]
pub(super) async fn get_contact_form(
    app: Data<App>,
    Path(FormName(name)): Path<FormName>,
    Query(query): Query<ShowForm>,
) -> Result<Delivered<ContactForm>, Problem> {
    let language = query.language.map_or_else(|| app.config.language.clone(), |tag| canonical_language(&tag));
    let read = move |conn: &mut _| {
        let form = store::by_name(conn, &name)?.ok_or_else(no_such_form)?;
        ContactForm::of(&form.content.0, &language)
            .ok_or_else(|| Problem::internal("a contact form has no consent text"))
    };
    let (form, seen) = app
        .read_public(move |reader| {
            reader.names(|| [Set::ContactForms.key()]);
            read(reader.conn)
        })
        .await?;
    Ok(app.delivered(form, seen))
}

/// A token that says when a visitor was shown a form.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FormToken {
    /// Send it as `form_token` with the message.
    #[schema(example = "cdf_AAABmr2vL2AlbVb4bWyKX0bgn6cmuDMqU3pM2Wn4Wg")]
    form_token: String,
    /// Until when it is good; a message with an older one is suspected to be spam.
    expires_at: Timestamp,
}

/// Get a form token
///
/// Fetch it when the page is shown, and send it with the message: it tells how long the visitor took, also where the
/// page itself comes from a cache. A message without one is taken as well. Open to anyone.
#[utoipa::path(get, path = "/api/v1/contact-forms/{form}/token", tag = "Contact")]
pub(super) async fn get_form_token(
    app: Data<App>,
    Path(FormName(name)): Path<FormName>,
    _query: Query<NoParameters>,
) -> Result<Managed<FormToken>, Problem> {
    app.db.read(move |conn| store::by_name(conn, &name)?.map(drop).ok_or_else(no_such_form)).await?;
    let now = app.clock.now();
    let form_token = form_tokens::issue(&app.secret, now).map_err(Problem::internal)?;
    Ok(Managed::new(FormToken { form_token, expires_at: now.plus_seconds(form_tokens::LIFETIME_SECONDS) }))
}

fn no_such_form() -> Problem {
    Problem::not_found().saying("There is no contact form of this name; the one that is always there is `default`.")
}
