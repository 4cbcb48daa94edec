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
use copydesk::{server, text};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
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

/// A data directory with generated articles.
fn generated() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_copydesk"))
        .args(["generate", "--articles", "1000", "--data-dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    directory
}

fn kept(criterion: &mut Criterion) {
    const LIST: &str = "/api/v1/articles?limit=20";
    let directory = generated();
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

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    due: Option<i64>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Text)]
    slug: String,
    #[diesel(sql_type = Text)]
    document: String,
}

const VERSION: &str = "SELECT version, (SELECT due_at FROM articles WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1) AS due \
                       FROM content_version";
const PAGE: &str = "SELECT article_id AS id, slug, summary AS document FROM published_articles WHERE language = 'en' \
                    ORDER BY published_at DESC, article_id DESC LIMIT 21";
const ONE: &str = "SELECT p.article_id AS id, p.slug, p.summary || b.document AS document FROM published_articles p \
                   JOIN published_bodies b USING (article_id) WHERE slug = 'generated-500'";

/// The authors or categories of so many articles.
fn names(conn: &mut SqliteConnection, table: &str, articles: usize) -> Vec<Row> {
    let sql = format!(
        "SELECT id, slug, content AS document FROM {table} WHERE id IN (SELECT id FROM {table} LIMIT {articles})"
    );
    diesel::sql_query(sql).load(conn).unwrap()
}

fn read(conn: &mut SqliteConnection, sql: &str, articles: usize) -> usize {
    conn.batch_execute("BEGIN").unwrap();
    let version: Version = diesel::sql_query(VERSION).get_result(conn).unwrap();
    let rows: Vec<Row> = diesel::sql_query(sql).load(conn).unwrap();
    assert_eq!((rows.len(), version.version > 0, version.due), (articles, true, None));
    let named = ["authors", "categories"].map(|table| names(conn, table, articles));
    conn.batch_execute("COMMIT").unwrap();
    rows.iter().chain(named.iter().flatten()).map(|row| row.id.len() + row.slug.len() + row.document.len()).sum()
}

fn bare_sql(criterion: &mut Criterion) {
    let directory = generated();
    let file = Path::new(directory.path()).join("copydesk.db");
    let mut conn = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    for (name, sql, articles) in [("bare SQL of a list of 20", PAGE, 21), ("bare SQL of one article", ONE, 1)] {
        criterion.bench_function(name, |bencher| bencher.iter(|| read(&mut conn, black_box(sql), articles)));
    }
}

criterion_group!(benches, pure, kept, bare_sql);
criterion_main!(benches);
