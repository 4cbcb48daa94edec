//! Messages handed out as a stream: as CSV for a spreadsheet, as JSON for a person who asks.
//!
//! A stream is made batch by batch: each batch is in the audit trail before a byte of it is sent, and the caller is looked
//! at anew for each. Where a batch fails, the connection breaks off, so that nobody takes a part for the whole.

use std::collections::VecDeque;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::body::BoxBody;
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, Responder};
use futures_util::stream::{self, Stream};
use utoipa::ToSchema;

use super::listing::ListSubmissions;
use super::views::{ContactSubmission, Forms};
use super::{SubmissionId, store};
use crate::auth::{Actor, Caller, HandleSubmissions};
use crate::db::list::Place;
use crate::http::{Description, Operations, Output, Problem, Query};
use crate::state::App;

/// How many messages are opened at a time.
const BATCH: usize = 50;
/// How many ids are read at a time.
const PAGE: u32 = 10_000;

/// The operations of this part.
pub(super) fn operations() -> Operations {
    Operations::new().operation(__path_export_contact_submissions, export_contact_submissions)
}

/// Which messages are handed out.
pub(super) enum Source {
    /// These.
    Ids(VecDeque<SubmissionId>),
    /// Those that tokens of a person find, the oldest first.
    Person(Vec<Vec<u8>>),
}

/// Messages that are to be handed out.
pub(super) struct Export {
    app: Data<App>,
    actor: Actor,
    source: Source,
    /// The last one that a person's tokens have found.
    last: Option<SubmissionId>,
}

impl Export {
    /// These messages, for this caller.
    pub(super) fn new(app: Data<App>, actor: Actor, source: Source) -> Self {
        Self { app, actor, source, last: None }
    }

    /// The next of them, as far as they are still there; none at the end.
    async fn next(&mut self) -> Result<Option<Vec<ContactSubmission>>, Problem> {
        let ids = self.next_ids().await?;
        if ids.is_empty() {
            return Ok(None);
        }
        let (state, now) = (self.app.clone(), self.app.clock.now());
        // Opened beside the writer, which only says in the trail what is handed out.
        let opened = self.app.db.read(move |conn| {
            let opened = ids.into_iter().filter_map(|id| store::open(conn, &state.vault, id).transpose());
            let opened = opened.collect::<Result<Vec<_>, _>>()?;
            let forms = Forms::read(conn)?;
            opened.into_iter().map(|one| forms.whole(one, now)).collect::<Result<Vec<_>, Problem>>()
        });
        let (opened, who) = (opened.await?, self.actor.who());
        let audited = self.app.write_unkeyed(self.actor, move |tx| {
            let mut told = Vec::with_capacity(opened.len());
            for one in opened {
                // What was erased meanwhile is not handed out.
                if store::by_id(tx, one.id())?.is_some() {
                    store::audit(tx, Some(one.id()), who, "contact_submission.export", now)?;
                    told.push(one);
                }
            }
            Ok::<_, Problem>(told)
        });
        audited.await.map(Some)
    }

    async fn next_ids(&mut self) -> Result<Vec<SubmissionId>, Problem> {
        match &mut self.source {
            Source::Ids(ids) => Ok(ids.drain(..ids.len().min(BATCH)).collect()),
            Source::Person(tokens) => {
                let (tokens, after) = (tokens.clone(), self.last);
                let ids = self.app.db.read(move |conn| store::found_after(conn, &tokens, after, BATCH)).await?;
                self.last = ids.last().copied().or(self.last);
                Ok(ids)
            }
        }
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, std::io::Error>>>>;

/// What is written around and between the messages.
trait Form: 'static {
    const BEGINNING: &'static str;
    const END: &'static str;
    /// Writes messages; `is_first` says whether none was written before.
    fn write(messages: &[ContactSubmission], is_first: bool) -> Result<Vec<u8>, Problem>;
}

/// What the stream does next.
enum Turn {
    Beginning(Export),
    Going(Export, bool),
    Over,
}

fn chunks<F: Form>(export: Export) -> Chunks {
    Box::pin(stream::try_unfold(Turn::Beginning(export), |turn| -> Pin<Box<dyn Future<Output = _>>> {
        Box::pin(async move {
            Ok(match turn {
                Turn::Beginning(export) => Some((Bytes::from(F::BEGINNING), Turn::Going(export, true))),
                Turn::Going(mut export, is_first) => match export.next().await.map_err(told)? {
                    Some(messages) => {
                        let bytes = F::write(&messages, is_first).map_err(told)?;
                        Some((bytes.into(), Turn::Going(export, is_first && messages.is_empty())))
                    }
                    None => Some((Bytes::from(F::END), Turn::Over)),
                },
                Turn::Over => None,
            })
        })
    }))
}

/// The status is sent already: the log alone can be told.
fn told(problem: Problem) -> std::io::Error {
    tracing::error!(error = %problem, "an export broke off");
    std::io::Error::other("the export broke off")
}

struct Json;

impl Form for Json {
    const BEGINNING: &'static str = "{\"items\":[";
    const END: &'static str = "]}";

    fn write(messages: &[ContactSubmission], is_first: bool) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            if index > 0 || !is_first {
                bytes.push(b',');
            }
            serde_json::to_writer(&mut bytes, message).map_err(|_| Problem::internal("a message is no JSON"))?;
        }
        Ok(bytes)
    }
}

/// Messages as JSON, `{"items": […]}`; `T` is that as a schema.
pub(super) struct JsonExport<T> {
    export: Export,
    schema: PhantomData<fn() -> T>,
}

impl<T> JsonExport<T> {
    /// These messages.
    pub(super) fn new(export: Export) -> Self {
        Self { export, schema: PhantomData }
    }
}

impl<T> Responder for JsonExport<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type("application/json")
            .streaming(chunks::<Json>(self.export))
    }
}

impl<T: ToSchema> Output for JsonExport<T> {
    fn describe(description: &mut Description) {
        let schema = description.schema::<T>();
        description.response("200", "The messages, as a stream.", Some(&schema));
        description.header("200", "Cache-Control", "Always `no-store`.");
    }
}

struct Csv;

/// The columns, in order.
const COLUMNS: &str = "id,received_at,form,status,spam_score,urgent,assignee,name,email,phone,message,page_url,named_form,consent_version,fields,note\r\n";

impl Form for Csv {
    const BEGINNING: &'static str = COLUMNS;
    const END: &'static str = "";

    fn write(messages: &[ContactSubmission], _: bool) -> Result<Vec<u8>, Problem> {
        let failed = |_| Problem::internal("a message can't be written as CSV");
        let terminator = csv::Terminator::CRLF;
        let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
        for message in messages {
            writer.write_record(cells(message)).map_err(failed)?;
        }
        writer.into_inner().map_err(|_| Problem::internal("a message can't be written as CSV"))
    }
}

fn cells(message: &ContactSubmission) -> Vec<String> {
    let fields = serde_json::to_string(&message.fields).unwrap_or_default();
    let optional = |text: &Option<super::personal::Personal<String>>| {
        text.as_ref().map(|text| text.reveal().clone()).unwrap_or_default()
    };
    let written = [
        message.name.reveal().clone(),
        optional(&message.email),
        optional(&message.phone),
        message.message.reveal().clone(),
        optional(&message.page_url),
        optional(&message.named_form),
        message.consent_version.clone(),
        fields,
        optional(&message.work().note),
    ];
    message.facts().into_iter().chain(written).map(harmless).collect()
}

/// A cell that no spreadsheet takes for a formula (OWASP, CSV Injection): an apostrophe before whatever begins like one, at
/// the beginning and wherever a program that splits elsewhere might begin another cell.
fn harmless(cell: String) -> String {
    let (mut safe, mut is_beginning) = (String::with_capacity(cell.len() + 1), true);
    for c in cell.chars() {
        if is_beginning && "=+-@\t\r\n＝＋－＠|".contains(c) {
            safe.push('\'');
            is_beginning = false;
        }
        is_beginning = matches!(c, ';' | '\t' | '\r' | '\n') || is_beginning && matches!(c, ' ' | '\u{a0}' | '"');
        safe.push(c);
    }
    safe
}

/// Messages as CSV.
pub(super) struct CsvExport(Export);

impl Responder for CsvExport {
    type Body = BoxBody;

    fn respond_to(self, req: &HttpRequest) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::Ok();
        response
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"contact-submissions.csv\""))
            .content_type("text/csv; charset=utf-8; header=present");
        // Nothing is opened for who asks for the head alone.
        if req.method() == Method::HEAD { response.finish() } else { response.streaming(chunks::<Csv>(self.0)) }
    }
}

impl Output for CsvExport {
    fn describe(description: &mut Description) {
        description.text_of("200", "text/csv", "The messages, as a stream: RFC 4180, UTF-8, with a header line.");
        description.header("200", "Cache-Control", "Always `no-store`.");
        description.header("200", "Content-Disposition", "A name for the file.");
    }
}

/// Export contact submissions as CSV
///
/// The messages that the filters let through, with all that was written and noted, the newest first, as a stream. Without
/// `status`, all but spam. What begins like a formula gets an apostrophe before it, so that no spreadsheet runs it. Each
/// message is in the audit trail before it is sent. For `intake`.
#[utoipa::path(get, path = "/api/v1/manage/contact-submissions/export.csv", tag = "Contact")]
pub(super) async fn export_contact_submissions(
    caller: Caller<HandleSubmissions>,
    app: Data<App>,
    Query(filters): Query<ListSubmissions>,
) -> Result<CsvExport, Problem> {
    let now = app.clock.now();
    let ids = app.db.read(move |conn| {
        let list = filters.list(&Forms::read(conn)?, now)?;
        let mut ids = Vec::new();
        loop {
            let offset = i64::try_from(ids.len()).unwrap_or(i64::MAX);
            let page = list.page(conn, Place::Offset(offset), PAGE)?;
            ids.extend(page.ids.into_iter().map(SubmissionId::from_uuid));
            if !page.more {
                return Ok::<_, Problem>(ids);
            }
        }
    });
    Ok(CsvExport(Export::new(app.clone(), caller.actor(), Source::Ids(ids.await?.into()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, safe) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t'=1"),
            (" =1", " '=1"),
            ("＝1", "'＝1"),
            ("|calc", "'|calc"),
            ("x;=1", "x;'=1"),
            ("x; \"=1", "x; \"'=1"),
            ("a\n=1\n+2", "a\n'=1\n'+2"),
        ] {
            assert_eq!(harmless(cell.to_owned()), safe);
        }
        for cell in ["", "Sam", "a=b", "1-2", "a\nb", "a; b", "{\"a\":\"=1\"}"] {
            assert_eq!(harmless(cell.to_owned()), cell);
        }
    }
}
