//! `/docs`: every operation, described and to be tried out, from files that came with the program.

use std::io::Read;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Data};
use flate2::read::GzDecoder;
use utoipa_swagger_ui::SwaggerFile;

use super::to;
use crate::http::api::page;
use crate::http::conditional::REVALIDATED;
use crate::http::{Problem, guarded};

/// Registers the page.
pub(super) fn register(config: &mut web::ServiceConfig) {
    let swagger = Data::new(utoipa_swagger_ui::Config::from("/openapi.json"));
    config
        .service(page("/docs", || async { to("/docs/") }))
        .service(page("/docs/{file:.*}", swagger_file).app_data(swagger));
}

async fn swagger_file(
    file: web::Path<String>,
    accepted: Option<web::Header<header::AcceptEncoding>>,
    config: Data<utoipa_swagger_ui::Config<'static>>,
) -> Result<HttpResponse, Problem> {
    let found = utoipa_swagger_ui::serve(&file, Arc::clone(&config)).map_err(Problem::internal)?;
    let SwaggerFile { bytes, content_type, gzpipped: is_gzipped, .. } = found.ok_or_else(Problem::not_found)?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((header::CACHE_CONTROL, REVALIDATED))
        .insert_header((header::VARY, "accept-encoding"))
        .content_type(content_type);
    let encodings = [header::Encoding::gzip(), header::Encoding::identity()];
    let takes_gzip = || accepted?.negotiate(encodings.iter()).filter(|encoding| *encoding == header::Encoding::gzip());
    let body = if !is_gzipped {
        bytes.into_owned()
    } else if takes_gzip().is_some() {
        answer.insert_header(header::ContentEncoding::Gzip);
        bytes.into_owned()
    } else {
        let mut plain = Vec::new();
        GzDecoder::new(&*bytes).read_to_end(&mut plain).map_err(Problem::internal)?;
        plain
    };
    Ok(guarded(answer.body(body), DOCS_POLICY))
}

/// Nothing may come from elsewhere. Swagger UI's logo brings a style of its own, which is known by its hash; it embeds
/// icons as data.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
