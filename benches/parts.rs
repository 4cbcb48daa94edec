//! What the parts of delivery cost by themselves: `cargo bench --bench parts`.
//!
//! Pure parts: rendering, cursors, finishing an answer, finding a kept one. And the bare SQL of two reads, in a loop on
//! one connection: what a read that is kept nowhere is measured against (`benches/http/run`).

#![expect(clippy::unwrap_used, reason = "a bench ends where something fails")]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use actix_web::test::TestRequest;
use actix_web::web::Data;
use copydesk::clock::Clock;
use copydesk::config::Config;
use copydesk::db::{ContentVersion, Timestamp};
use copydesk::http::coding::Wanted;
use copydesk::http::page::Cursor;
use copydesk::http::representation::Representation;
use copydesk::http::{CachePolicy, Seen, SortKind, SortValue, answer_cache};
use copydesk::schema::{
    articles, authors, categories, content_version, published_articles, published_bodies, published_facets,
};
use copydesk::{server, text};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

/// A body of a usual length: headings, links, a list and a table.
fn markdown() -> String {
    let part = "## What helps\n\nSome words about [sleep](https://example.org/sleep) and *rest*, as many as a paragraph has. \
                They go on for a while, since people explain themselves.\n\n- a walk\n- a call\n- a plan\n\n\
                | day | what |\n| --- | --- |\n| one | rest |\n| two | walk |\n\n";
    part.repeat(16)
}

fn answer(bytes: &[u8]) -> Representation {
    let changed_at = Timestamp::from_unix_millis(1_800_000_000_000);
    let version = ContentVersion { number: 1, changed_at, has_own_second: true, ends_at: None };
    let policy = CachePolicy { max_age: 0, shared: None };
    Representation::new("application/json", bytes.to_vec(), Seen { version, keys: None }, policy, None)
}

fn pure(criterion: &mut Criterion) {
    let body = markdown();
    criterion.bench_function("render 5 KB of Markdown", |bencher| bencher.iter(|| text::render(black_box(&body))));
    let cursor = || Cursor::new("list", false, vec![SortValue::Integer(1_800_000_000_000)], Uuid::nil());
    let encoded = cursor().encode();
    criterion.bench_function("write a cursor", |bencher| bencher.iter(|| black_box(cursor()).encode()));
    criterion.bench_function("read a cursor", |bencher| {
        bencher.iter(|| Cursor::decode(black_box(&encoded), "list", &[SortKind::Integer]).unwrap());
    });
    let html = text::render(&body).html;
    let json = serde_json::to_vec(&serde_json::json!({ "body_html": html, "title": "A title" })).unwrap();
    criterion.bench_function("finish an answer: its tag and headers", |bencher| {
        bencher.iter(|| answer(black_box(&json)));
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for coding in ["gzip", "br"] {
        let request = TestRequest::default().insert_header(("accept-encoding", coding)).to_http_request();
        criterion.bench_function(&format!("code an answer: {coding}"), |bencher| {
            bencher.iter_batched(
                || answer(&json),
                |answer| drop(runtime.block_on(answer.coded(Wanted::of(request.headers())))),
                BatchSize::SmallInput,
            );
        });
    }
}

/// A data directory with so many generated articles.
fn generated(articles: usize) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_copydesk"))
        .args(["generate", "--articles", &articles.to_string(), "--data-dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    directory
}

fn kept(criterion: &mut Criterion) {
    const LIST: &str = "/api/v1/articles?limit=20";
    let directory = generated(1000);
    let path = directory.path().to_str().unwrap().to_owned();
    let mut config = Config::load(|name| (name == "COPYDESK_DATA_DIR").then(|| path.clone())).unwrap();
    (config.workers, config.listen) = (1, ([127, 0, 0, 1], 0).into());
    let app = server::open(config, Clock::default()).unwrap();
    actix_web::rt::System::new().block_on(async {
        let (socket, _) = server::bind(app.config.listen).unwrap();
        let running = server::start(app, socket).unwrap();
        let (address, state, handle) = (running.address, Data::from(running.app.clone()), running.handle.clone());
        let serving = actix_web::rt::spawn(running.serve());
        let warmed = actix_web::rt::task::spawn_blocking(move || {
            ureq::get(format!("http://{address}{LIST}")).call().unwrap().status()
        });
        assert!(warmed.await.unwrap().is_success());
        criterion.bench_function("find a kept list and answer", |bencher| {
            let request = TestRequest::get().uri(LIST).app_data(state.clone()).to_srv_request();
            bencher.iter(|| answer_cache::kept(black_box(&request)).unwrap());
        });
        handle.stop(true).await;
        serving.await.unwrap().unwrap();
    });
}

/// An id, a slug and a JSON document.
type Row = (Vec<u8>, String, String);

/// How much is read: what keeps the loop from being left out.
fn size(rows: &[Row]) -> usize {
    rows.iter().map(|(id, slug, document)| id.len() + slug.len() + document.len()).sum()
}

/// So many authors and categories.
fn names(conn: &mut SqliteConnection, many: i64) -> usize {
    let some = authors::table.order(authors::id).limit(many);
    let people: Vec<Row> = some.select((authors::id, authors::slug, authors::content)).load(conn).unwrap();
    let some = categories::table.order(categories::id).limit(many);
    let filed: Vec<Row> = some.select((categories::id, categories::slug, categories::content)).load(conn).unwrap();
    size(&people) + size(&filed)
}

/// One snapshot, which begins with the state of what is public and when that ends.
fn snapshot(conn: &mut SqliteConnection, read: impl FnOnce(&mut SqliteConnection) -> usize) -> usize {
    let work = |conn: &mut SqliteConnection| {
        let due = articles::table.filter(articles::due_at.is_not_null()).order(articles::due_at.asc());
        let next = due.select(articles::due_at).limit(1_i64).single_value();
        let state: (i64, Option<i64>) = content_version::table.select((content_version::version, next)).first(conn)?;
        assert!(state.0 > 0 && state.1.is_none());
        Ok::<_, diesel::result::Error>(read(conn))
    };
    conn.transaction(work).unwrap()
}

/// A page of 20 and whether there is another, with as many authors and categories.
fn list(conn: &mut SqliteConnection) -> usize {
    let newest = published_articles::table
        .filter(published_articles::language.eq("en"))
        .order((published_articles::published_at.desc(), published_articles::article_id.desc()))
        .limit(21)
        .select((published_articles::article_id, published_articles::slug, published_articles::summary));
    let rows: Vec<Row> = newest.load(conn).unwrap();
    assert_eq!(rows.len(), 21);
    size(&rows) + names(conn, 21)
}

/// What is always shown of a body beside the HTML, and its links.
type Parts = (String, String, String, String, String);

/// An article with its body, three that share a facet of it, and their authors and categories.
fn one(conn: &mut SqliteConnection, slug: &str) -> usize {
    let parts = (
        published_bodies::linked_articles,
        published_bodies::table_of_contents,
        published_bodies::seo,
        published_bodies::citations,
        published_bodies::extra,
    );
    let (article, parts): (Row, Parts) = published_articles::table
        .inner_join(published_bodies::table)
        .filter(published_articles::slug.eq(slug))
        .select(((published_articles::article_id, published_articles::summary, published_bodies::body_html), parts))
        .first(conn)
        .unwrap();
    let parts = [parts.0, parts.1, parts.2, parts.3, parts.4].concat();
    let facets: Vec<(String, Vec<u8>)> = published_facets::table
        .filter(published_facets::article_id.eq(&article.0))
        .select((published_facets::kind, published_facets::target))
        .load(conn)
        .unwrap();
    let (kind, target) = facets.last().unwrap();
    let sharing = published_facets::table
        .filter(published_facets::kind.eq(kind))
        .filter(published_facets::target.eq(target))
        .filter(published_facets::language.eq("en"))
        .order(published_facets::published_at.desc())
        .limit(3)
        .select(published_facets::article_id);
    let related: Vec<Row> = published_articles::table
        .filter(published_articles::article_id.eq_any(sharing))
        .select((published_articles::article_id, published_articles::slug, published_articles::summary))
        .load(conn)
        .unwrap();
    parts.len() + size(&[article]) + size(&related) + names(conn, 4)
}

/// Statements are prepared once, as everywhere else.
fn bare_sql(criterion: &mut Criterion) {
    const ARTICLES: usize = 10_000;
    let directory = generated(ARTICLES);
    let file = Path::new(directory.path()).join("copydesk.db");
    let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA cache_size = -2000;").unwrap();
    criterion.bench_function("bare SQL of a list of 20", |bencher| bencher.iter(|| snapshot(&mut conn, list)));
    criterion.bench_function("bare SQL of one article", |bencher| {
        bencher.iter(|| snapshot(&mut conn, |conn| one(conn, black_box("generated-500"))));
    });
    let mut number = 0;
    criterion.bench_function("bare SQL of one article, another each time", |bencher| {
        bencher.iter(|| {
            number = (number + 7919) % ARTICLES;
            snapshot(&mut conn, |conn| one(conn, &format!("generated-{number}")))
        });
    });
}

criterion_group!(benches, pure, kept, bare_sql);
criterion_main!(benches);
