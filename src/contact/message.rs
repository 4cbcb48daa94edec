//! What a visitor writes: as it is sent, what may be wrong with it, and as it is sealed.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use phonenumber::country;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::addresses::{email_key, is_email, phone, phone_key};
use super::forms::FormContent;
use super::forms::store::FormRow;
use super::personal::Personal;
use crate::http::body::{FORM, JSON, parse, read_json_or_form};
use crate::http::schema::{self, Checker, LINES, ONE_LINE};
use crate::http::{Description, Fault, Input, Problem};

/// How many further fields a message may have.
const MOST_FIELDS: usize = 20;
/// The version of what is sealed.
const SCHEMA_VERSION: u32 = 1;

/// A visitor's message. What is optional may be left out, null or an empty text.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmissionDraft {
    /// The visitor's name.
    #[schema(value_type = String, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x1F\x7F]*$", example = "Sam")]
    pub(super) name: Personal<String>,
    /// An email address. It or a phone number is needed.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 254, pattern = r"^[^\x00-\x1F\x7F]*$", example = "sam@example.org")]
    pub(super) email: Option<Personal<String>>,
    /// A phone number, in any usual notation; one without a country code is one of the site's country.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 50, pattern = r"^[^\x00-\x1F\x7F]*$", example = "(415) 555-2671")]
    pub(super) phone: Option<Personal<String>>,
    /// What the visitor wants to say.
    #[schema(value_type = String, min_length = 1, max_length = 10_000, pattern = r"^[^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*[^\s\x00-\x1F\x7F][^\x00-\x08\x0B\x0C\x0E-\x1F\x7F]*$", example = "I would like to talk to somebody.")]
    pub(super) message: Personal<String>,
    /// Which form it is. Without it, or where there is none of this name, the form `default` applies.
    #[serde(default)]
    #[schema(max_length = 100, pattern = r"^[^\x00-\x1F\x7F]*$", example = "default")]
    pub(super) form: Option<String>,
    /// The token that `GET /api/v1/contact-forms/{form}/token` gave when the form was shown.
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"^[^\x00-\x1F\x7F]*$")]
    pub(super) form_token: Option<String>,
    /// The address of the page that the form stood on.
    #[serde(default)]
    #[schema(
        value_type = Option<String>,
        max_length = 2000,
        pattern = r"^[A-Za-z][A-Za-z0-9+.-]*://[^\x00-\x20\x7F]*$",
        example = "https://www.example.org/contact"
    )]
    pub(super) page_url: Option<Personal<String>>,
    /// That the visitor agrees to the consent text: must be true.
    pub(super) consent: bool,
    /// The version of the consent text that was shown; the form's present one where it is left out.
    #[serde(default)]
    #[schema(max_length = 40, pattern = r"^[^\x00-\x1F\x7F]*$", example = "1")]
    pub(super) consent_version: Option<String>,
    /// Further fields, by name: those of the form, and whatever else is sent.
    #[serde(default)]
    pub(super) fields: Option<FreeFields>,
    /// Leave it empty: whoever fills it in is no visitor. Hide it from people (`autocomplete="off" tabindex="-1"`).
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2000, pattern = r"^[\s\S]*$")]
    pub(super) website: Option<Personal<String>>,
    /// Where to lead the visitor afterwards (`303`): an address of one of the form's origins.
    #[serde(default)]
    #[schema(max_length = 2000, pattern = r"^[^\x00-\x1F\x7F]*$", example = "https://www.example.org/thanks")]
    pub(super) redirect_to: Option<String>,
}

/// Up to twenty further fields; their names are the visitor's words as well.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct FreeFields(pub(super) BTreeMap<String, Personal<String>>);

impl fmt::Debug for FreeFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

impl PartialSchema for FreeFields {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let name = text().min_length(Some(1)).max_length(Some(60)).pattern(Some(ONE_LINE));
        let value = text().max_length(Some(500)).pattern(Some(LINES)).build();
        ObjectBuilder::new()
            .description(Some("Up to twenty further fields: name and text."))
            .max_properties(Some(MOST_FIELDS))
            .property_names(Some(Schema::Object(name.build())))
            .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(Schema::Object(value)))))
            .examples([json!({ "insurance": "private" })])
            .into()
    }
}
impl ToSchema for FreeFields {}

/// The body of a message, and what its schema says against it: what only the form can say is added, so that all faults
/// are told at once.
pub(super) struct SubmissionBody {
    members: Map<String, Value>,
    faults: Vec<Fault>,
}

impl FromRequest for SubmissionBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, payload) = (req.clone(), payload.take());
        Box::pin(async move {
            let (value, is_form) = read_json_or_form(&req, payload).await?;
            Self::of(value, is_form)
        })
    }
}

impl Input for SubmissionBody {
    fn describe(description: &mut Description) {
        let schema = description.schema::<SubmissionDraft>();
        description.body(&[JSON, FORM], &schema);
        description.encoding(FORM, json!({ "fields": { "style": "deepObject", "explode": true } }));
        description.problem("408", "The body took too long to arrive.");
    }
}

impl SubmissionBody {
    pub(super) fn of(value: Value, is_form: bool) -> Result<Self, Problem> {
        let checker = schema::kept::<SubmissionDraft, Checker>(|| {
            let mut components = Vec::new();
            SubmissionDraft::schemas(&mut components);
            let schema = serde_json::to_value(<SubmissionDraft as PartialSchema>::schema()).unwrap_or_default();
            Checker::new(schema, components)
        })?;
        let Value::Object(mut members) = value else {
            return Err(Problem::invalid_body(vec![Fault::body("", "type", "The body must be an object.")]));
        };
        if is_form {
            as_script_would_send(&mut members);
        }
        // An optional field that was left empty is as good as none.
        members.retain(|name, value| !is_optional(&checker, name) || !is_blank(value));
        // Looked at before the schema, which would tell of each of them.
        let too_many = members.get("fields").and_then(Value::as_object).is_some_and(|all| all.len() > MOST_FIELDS);
        if too_many {
            members.remove("fields");
        }
        let value = Value::Object(members);
        let mut faults = checker.faults(&value);
        if too_many {
            let message = format!("The object must have at most {MOST_FIELDS} members.");
            faults.push(Fault::body("/fields", "too_many", message));
        }
        let Value::Object(members) = value else { return Err(Problem::internal("an object became none")) };
        Ok(Self { members, faults })
    }

    /// The form that is named, also where other members are wrong.
    pub(super) fn form(&self) -> Option<&str> {
        self.members.get("form").and_then(Value::as_str)
    }

    /// The message, as the form takes it.
    ///
    /// # Errors
    /// All faults at once.
    pub(super) fn check(self, form: &FormRow, country: country::Id) -> Result<Checked, Problem> {
        let Self { mut members, mut faults } = self;
        let named = members.get("form").and_then(Value::as_str);
        let is_other = named.is_some_and(|name| name != form.name);
        let form = &form.content.0;
        if is_other {
            // A page may still show a form that was renamed or deleted: its message counts, not where it leads.
            members.remove("redirect_to");
        }
        let found = Finder { members: &members, form, is_other, country }.faults();
        let is_new = |fault: &Fault| !faults.iter().any(|known| known.pointer == fault.pointer);
        let fresh: Vec<Fault> = found.into_iter().filter(is_new).collect();
        faults.extend(fresh);
        if !faults.is_empty() {
            return Err(Problem::invalid_body(faults));
        }
        let draft: SubmissionDraft = parse(Value::Object(members))?;
        if !draft.consent {
            return Err(Problem::internal("a message without consent was not refused"));
        }
        Ok(Checked::of(draft, form, country))
    }
}

const OBLIGATORY: [&str; 3] = ["name", "message", "consent"];

fn is_optional(checker: &Checker, name: &str) -> bool {
    !OBLIGATORY.contains(&name) && checker.names().iter().any(|known| known == name)
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// A checkbox is sent as a text, or not at all.
fn as_script_would_send(members: &mut Map<String, Value>) {
    if let Some(consent) = members.get_mut("consent") {
        match consent.as_str() {
            Some("true" | "on") => *consent = Value::Bool(true),
            Some("false" | "off" | "") => *consent = Value::Bool(false),
            _ => {}
        }
    }
}

/// Looks for what a schema can't say.
struct Finder<'a> {
    members: &'a Map<String, Value>,
    form: &'a FormContent,
    /// Whether another form was named, which nobody has made, or not any more.
    is_other: bool,
    country: country::Id,
}

impl Finder<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut say = |pointer: &str, code: &'static str, message: &str| {
            faults.push(Fault::body(pointer, code, message));
        };
        match self.text("email") {
            Some(email) if !is_email(email.trim()) => say("/email", "format", "This is not an email address."),
            _ => {}
        }
        match self.text("phone") {
            Some(number) if phone(number, self.country).is_none() => {
                say("/phone", "format", "This can't be read as a phone number; write it with its country code.");
            }
            _ => {}
        }
        if !self.members.contains_key("email") && !self.members.contains_key("phone") {
            say("/email", "required", "An email address or a phone number is needed, so that somebody can answer.");
        }
        if self.members.get("consent") == Some(&Value::Bool(false)) {
            say("/consent", "required", "Without consent the message can't be taken.");
        }
        let is_known = |version| self.is_other || self.form.knows_consent(version);
        if self.text("consent_version").is_some_and(|version| !is_known(version)) {
            say("/consent_version", "not_found", "The form has no consent text of this version.");
        }
        if self.text("redirect_to").is_some_and(|address| !self.form.allows_redirect_to(address)) {
            say("/redirect_to", "not_allowed", "The form does not lead to this origin.");
        }
        for field in &self.form.fields {
            let value = self.members.get("fields").and_then(|fields| fields.get(&field.name));
            let pointer = format!("/fields/{}", field.name);
            match value.filter(|value| !is_blank(value)).and_then(Value::as_str) {
                None if field.required => say(&pointer, "required", "The form asks for this field."),
                Some(text) if !field.choices.is_empty() && !field.choices.iter().any(|one| one.value == text) => {
                    say(&pointer, "not_allowed", "The form does not offer this choice.");
                }
                _ => {}
            }
        }
        faults
    }
}

/// A message that is right.
pub(super) struct Checked {
    /// What is sealed.
    pub(super) words: Words,
    /// Whether the honeypot was filled in.
    pub(super) honeypot: bool,
    /// The form token.
    pub(super) form_token: Option<String>,
    /// Where to lead the visitor.
    pub(super) redirect_to: Option<String>,
}

impl Checked {
    fn of(draft: SubmissionDraft, form: &FormContent, country: country::Id) -> Self {
        let as_read = |text: Personal<String>| Some(Personal::new(phone(text.reveal(), country)?));
        let words = Words {
            schema_version: SCHEMA_VERSION,
            name: Personal::new(draft.name.reveal().trim().to_owned()),
            email: draft.email.map(|email| Personal::new(email.reveal().trim().to_owned())),
            phone: draft.phone.and_then(as_read),
            message: Personal::new(draft.message.reveal().replace("\r\n", "\n")),
            named_form: draft.form.filter(|name| *name != form.name).map(Personal::new),
            page_url: draft.page_url,
            consent_version: draft.consent_version.unwrap_or_else(|| form.consent_version.clone()),
            fields: draft.fields.unwrap_or_default(),
            urgent_phrases: Vec::new(),
        };
        Self { words, honeypot: draft.website.is_some(), form_token: draft.form_token, redirect_to: draft.redirect_to }
    }
}

/// What is sealed of a message: all of it that is personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Words {
    schema_version: u32,
    pub(super) name: Personal<String>,
    pub(super) email: Option<Personal<String>>,
    pub(super) phone: Option<Personal<String>>,
    pub(super) message: Personal<String>,
    /// The form as it was named, where nobody has made one of that name.
    pub(super) named_form: Option<Personal<String>>,
    pub(super) page_url: Option<Personal<String>>,
    pub(super) consent_version: String,
    pub(super) fields: FreeFields,
    /// Which of the form's phrases marked it urgent.
    pub(super) urgent_phrases: Vec<Personal<String>>,
}

impl Words {
    /// The texts in which urgent words are looked for.
    pub(super) fn texts(&self) -> Vec<&str> {
        let fields = self.fields.0.values().map(|value| value.reveal().as_str());
        std::iter::once(self.message.reveal().as_str()).chain(fields).collect()
    }

    /// What it is found by: kind and value.
    pub(super) fn keys(&self) -> Vec<(&'static str, String)> {
        let email = self.email.as_ref().map(|email| ("email", email_key(email.reveal())));
        let phone = self.phone.as_ref().map(|phone| ("phone", phone_key(phone.reveal())));
        email.into_iter().chain(phone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> FormRow {
        let text = r#"{"name":"default","consent_version":"2","consent_texts":[
            {"version":"1","language":"en","text":"a"},{"version":"2","language":"en","text":"b"}],
            "fields":[{"name":"insurance","label":"Insurance","required":true,
                       "choices":[{"value":"private","label":"Private"}]}],
            "redirect_origins":["https://www.example.org"]}"#;
        FormRow::of(serde_json::from_str(text).unwrap())
    }

    fn check(value: Value, is_form: bool) -> Result<Checked, Problem> {
        SubmissionBody::of(value, is_form)?.check(&form(), country::US)
    }

    fn whole() -> Value {
        json!({
            "name": " Sam ", "email": "Sam@Example.org", "phone": "(415) 555-2671", "message": "a\r\nb",
            "consent": true, "fields": { "insurance": "private", "else": "x" },
        })
    }

    #[test]
    fn a_message_is_taken_as_it_is_meant() {
        let checked = check(whole(), false).unwrap();
        let message = &checked.words;
        assert_eq!(message.name.reveal(), "Sam");
        assert_eq!(message.message.reveal(), "a\nb");
        assert_eq!(message.phone.as_ref().unwrap().reveal(), "+14155552671");
        assert_eq!(message.consent_version, "2");
        assert_eq!(message.keys(), [("email", "sam@example.org".to_owned()), ("phone", "+14155552671".to_owned())]);
        assert_eq!(message.fields.0.len(), 2);
        assert!(!checked.honeypot);
        let sealed = serde_json::to_vec(message).unwrap();
        assert_eq!(serde_json::from_slice::<Words>(&sealed).unwrap(), *message);
    }

    #[test]
    fn what_is_optional_may_be_empty() {
        let mut value = whole();
        for name in ["phone", "form", "form_token", "page_url", "consent_version", "website", "redirect_to"] {
            value[name] = json!(" ");
        }
        let checked = check(value, false).unwrap();
        assert!(checked.words.phone.is_none() && !checked.honeypot && checked.form_token.is_none());
    }

    #[test]
    fn a_plain_form_sends_texts() {
        let mut value = whole();
        for consent in ["on", "true"] {
            value["consent"] = json!(consent);
            assert!(check(value.clone(), true).is_ok());
        }
        assert!(check(value, false).is_err(), "JSON has a type for it");
    }

    #[test]
    fn a_form_that_is_gone_loses_no_message() {
        let mut value = whole();
        (value["form"], value["consent_version"]) = (json!("former"), json!("2019"));
        value["redirect_to"] = json!("https://www.example.org/former-thanks");
        let checked = check(value, false).unwrap();
        assert_eq!((checked.words.consent_version.as_str(), checked.redirect_to), ("2019", None));
        assert_eq!(checked.words.named_form.unwrap().reveal(), "former");
    }

    #[test]
    fn a_flood_of_fields_is_one_fault() {
        let mut value = whole();
        value["fields"] = (0..50_000).map(|number| (format!("f{number}"), json!(1))).collect();
        let problem = check(value, false).err().unwrap();
        assert_eq!(problem.faults().iter().filter(|fault| fault.code == "too_many").count(), 1);
        assert!(problem.faults().len() < 5);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let value = json!({
            "name": "", "email": "nobody", "phone": "12", "message": " \n ", "consent": false, "consent_version": "9",
            "redirect_to": "https://evil.example/", "fields": { "insurance": "none" }, "emial": "",
            "page_url": "javascript:alert(1)",
        });
        let problem = check(value, false).err().unwrap();
        let mut told: Vec<_> =
            problem.faults().iter().map(|one| format!("{} {}", one.pointer.as_deref().unwrap(), one.code)).collect();
        told.sort();
        assert_eq!(
            told,
            [
                "/consent required",
                "/consent_version not_found",
                "/email format",
                "/emial unknown_field",
                "/fields/insurance not_allowed",
                "/message blank",
                "/name blank",
                "/page_url pattern",
                "/phone format",
                "/redirect_to not_allowed",
            ]
        );
    }
}
