//! What it costs to store a contact message sealed instead of in plain: `cargo bench --bench sealing`.
//!
//! In turns, the same rows are stored through the same door, each in a durable transaction: once sealed, with blind
//! tokens to find them by, once as they are. And the sealing alone is timed, without any database.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its table, and ends where something fails"
)]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use copydesk::clock::Clock;
use copydesk::db::{Db, Error, Timestamp};
use copydesk::vault::Vault;
use diesel::RunQueryDsl;
use diesel::sql_types::{BigInt, Binary, Text};
use futures_util::future::join_all;

/// How long each figure is taken in each round, and how many rounds there are.
const SECONDS: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;

/// A message of a usual length, as JSON.
fn message() -> String {
    let words = "I have thought about writing this for a while and do not quite know how to begin. ".repeat(12);
    format!(r#"{{"name":"Sam","email":"sam@example.org","phone":"+14155550123","message":"{words}","fields":{{}}}}"#)
}

/// A row as it is stored.
struct Row {
    id: [u8; 16],
    key_name: String,
    wrapped_key: Vec<u8>,
    sealed: Vec<u8>,
    tokens: [Vec<u8>; 2],
}

fn plain(message: &str) -> Row {
    let id = *uuid::Uuid::now_v7().as_bytes();
    // As long as the tokens are.
    let tokens = [b"sam@example.org\0".to_vec(), b"+14155550123\0\0\0\0".to_vec()];
    Row { id, key_name: "none".to_owned(), wrapped_key: Vec::new(), sealed: message.as_bytes().to_vec(), tokens }
}

fn sealed(vault: &Vault, now: Timestamp, message: &str) -> Row {
    let id = *uuid::Uuid::now_v7().as_bytes();
    let key = vault.present_or_made(now).unwrap();
    let envelope = key.new_envelope(&id).unwrap();
    let sealed = envelope.seal("message", message.as_bytes()).unwrap();
    let tokens = [key.blind("email", "sam@example.org").to_vec(), key.blind("phone", "+14155550123").to_vec()];
    Row { id, key_name: key.name(), wrapped_key: envelope.wrapped, sealed, tokens }
}

async fn store(db: &Db, row: Row) {
    let stored = db.write(move |tx| {
        diesel::sql_query(
            "INSERT INTO contact_submissions (id, row_version, form_id, received_at, saved_at, status, spam_score, \
             spam_reasons, is_urgent, is_announced, key_name, wrapped_key, sealed) \
             SELECT ?, 1, id, ?, 0, 'new', 0, '[]', 0, 1, ?, ?, ? FROM contact_forms",
        )
        .bind::<Binary, _>(row.id.to_vec())
        .bind::<BigInt, _>(1_795_000_000_000)
        .bind::<Text, _>(row.key_name)
        .bind::<Binary, _>(row.wrapped_key)
        .bind::<Binary, _>(row.sealed)
        .execute(&mut **tx)?;
        for token in row.tokens {
            diesel::sql_query("INSERT INTO contact_lookups (token, submission_id) VALUES (?, ?)")
                .bind::<Binary, _>(token)
                .bind::<Binary, _>(row.id.to_vec())
                .execute(&mut **tx)?;
        }
        Ok::<_, Error>(())
    });
    stored.await.unwrap();
}

/// How many rows a second `writers` store who each wait for the disk.
async fn rate(db: &Db, writers: u32, make: &dyn Fn() -> Row) -> f64 {
    let begun = Instant::now();
    let writer = |_| async move {
        let mut stored = 0_u32;
        while begun.elapsed() < SECONDS {
            store(db, make()).await;
            stored += 1;
        }
        stored
    };
    let stored: u32 = join_all((0..writers).map(writer)).await.into_iter().sum();
    f64::from(stored) / begun.elapsed().as_secs_f64()
}

fn median(mut series: Vec<f64>) -> f64 {
    series.sort_by(f64::total_cmp);
    series[series.len() / 2]
}

fn database(directory: &Path, name: &str) -> Db {
    Db::open(&directory.join(name), Clock::default()).unwrap()
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let vault = Vault::open(&directory.path().join("keys")).unwrap();
    let now = Clock::default().now();
    let (message, mut took) = (message(), Vec::new());
    let (make_sealed, make_plain) = (|| sealed(&vault, now, &message), || plain(&message));
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..10_000 {
            black_box(make_sealed());
        }
        took.push(begun.elapsed().as_secs_f64() * 100.0);
    }
    println!("sealing one message of {} bytes, with two blind tokens: {:.1} µs\n", message.len(), median(took));
    println!("{:12}{:>12}{:>12}{:>10}", "writers", "plain/s", "sealed/s", "ratio");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for writers in [1, 8, 64] {
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let db = database(directory.path(), &format!("plain-{writers}-{round}.db"));
            plain.push(runtime.block_on(rate(&db, writers, &make_plain)));
            let db = database(directory.path(), &format!("sealed-{writers}-{round}.db"));
            sealed.push(runtime.block_on(rate(&db, writers, &make_sealed)));
        }
        let (plain, sealed) = (median(plain), median(sealed));
        println!("{writers:<12}{plain:>12.0}{sealed:>12.0}{:>10.2}", sealed / plain);
    }
}
