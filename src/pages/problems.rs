//! `/problems`: what each problem means and what to do about it.

use actix_cors::Cors;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;

use super::{HTML, PAGE_POLICY, document};
use crate::http::api::page;
use crate::http::problem::{KINDS, Kind};
use crate::http::{Problem, guarded};

/// Registers the pages.
pub(super) fn register(config: &mut web::ServiceConfig, cors: impl Fn() -> Cors) {
    config
        .service(page("/problems", || async { html(&problem_index()) }).wrap(cors()))
        .service(page("/problems/{name}", problem_page).wrap(cors()));
}

async fn problem_page(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let kind = KINDS.iter().find(|kind| kind.name == name.as_str()).ok_or_else(Problem::not_found)?;
    Ok(html(&problem_html(kind)))
}

fn html(body: &str) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CACHE_CONTROL, "public, max-age=3600")).content_type(HTML);
    guarded(answer.body(body.to_owned()), PAGE_POLICY)
}

fn problem_html(kind: &Kind) -> String {
    let explanation = kind.explanation.replace('&', "&amp;").replace('<', "&lt;");
    // Words between backticks are code, as in the sources of these texts.
    let explanation: String = explanation
        .split('`')
        .enumerate()
        .map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
        .collect();
    document(
        kind.title,
        &format!(
            "<h1>{}</h1><p><strong>Status {}</strong> · <code>/problems/{}</code></p><p>{explanation}</p>\
             <p><a href=\"/problems\">All problems</a></p>",
            kind.title,
            kind.status.as_u16(),
            kind.name
        ),
    )
}

fn problem_index() -> String {
    let row = |kind: &&Kind| {
        format!("<li><a href=\"{}\">{}</a> ({})</li>", kind.reference(), kind.title, kind.status.as_u16())
    };
    let rows = KINDS.iter().map(row).collect::<Vec<_>>().concat();
    let title = "Problems that this API answers with";
    document(title, &format!("<h1>{title}</h1><ul>{rows}</ul>"))
}
