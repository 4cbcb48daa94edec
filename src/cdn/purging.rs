//! Purging what changes have touched: until the network has said that it is done, and again for what was on its way.
//!
//! An answer that left before a commit may reach a network after the purge that follows it, and would stay there: so each
//! purge is repeated, at once and twice more later. Nobody knows what the network has when the program starts: its settings may
//! be others, its database may be one of yesterday, and a purge may have been cut off. So everything is purged then.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::{self, Data};
use diesel::prelude::*;
use futures_util::FutureExt;
use serde::Deserialize;

use super::keys::{Key, Set};
use super::requests::Sender;
use crate::config::Cdn;
use crate::db::Conn;
use crate::http::Problem;
use crate::schema::changes;
use crate::state::App;

/// After how long a purge is repeated: hardly any answer is on its way for longer than the first, and none for longer than
/// the last.
const REPEATED_AFTER: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(5), Duration::from_mins(1)];
/// How many changes are looked through for their keys; where there are more, everything is purged.
const MOST_CHANGES: usize = 1000;
/// The pause after a failure, which doubles with each further one up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a change has touched, in its `keys`.
#[derive(Deserialize)]
struct Touched {
    #[serde(default)]
    touched: BTreeSet<Key>,
}

/// A purge that is to be repeated.
struct Repeat {
    keys: Vec<Key>,
    at: Instant,
}

struct Purger {
    sender: Arc<Sender>,
    /// Up to which state it is purged; none before the first purge.
    purged: Option<i64>,
    repeats: Vec<Repeat>,
}

/// Purges what is touched, again and again, until the program stops.
pub(crate) async fn run(app: Data<App>, cdn: Cdn) {
    let mut purger = Purger { sender: Arc::new(Sender::new(&cdn)), purged: None, repeats: Vec::new() };
    let mut commits = app.db.commits();
    let mut pause = SHORTEST_PAUSE;
    loop {
        let newest = *commits.borrow_and_update();
        let turn = AssertUnwindSafe(purger.turn(&app, newest)).catch_unwind().await;
        if let Err(error) = turn.unwrap_or_else(|_| Err(Problem::internal("purging panicked"))) {
            tracing::error!(%error, "the CDN could not be purged; it is tried again in {} ms", pause.as_millis());
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
            continue;
        }
        pause = SHORTEST_PAUSE;
        let next = purger.repeats.iter().map(|repeat| repeat.at).min();
        let next = next.map(|at| at.saturating_duration_since(Instant::now()));
        tokio::select! {
            _ = commits.changed() => {}
            () = tokio::time::sleep(next.unwrap_or_default()), if next.is_some() => {}
        }
    }
}

impl Purger {
    /// Purges what has been touched since the last time, and what is to be purged again.
    async fn turn(&mut self, app: &App, newest: i64) -> Result<(), Problem> {
        if self.purged != Some(newest) {
            let keys = match self.purged {
                Some(purged) => app.db.read(move |conn| touched(conn, purged, newest)).await?,
                None => vec![Set::Everything.key()],
            };
            self.purge(keys.clone()).await?;
            self.purged = Some(newest);
            let now = Instant::now();
            self.repeats.extend(REPEATED_AFTER.map(|after| Repeat { keys: keys.clone(), at: now + after }));
        }
        let now = Instant::now();
        let due: BTreeSet<Key> =
            self.repeats.iter().filter(|repeat| repeat.at <= now).flat_map(|repeat| repeat.keys.clone()).collect();
        if !due.is_empty() {
            self.purge(due.into_iter().collect()).await?;
            self.repeats.retain(|repeat| repeat.at > now);
        }
        Ok(())
    }

    async fn purge(&self, keys: Vec<Key>) -> Result<(), Problem> {
        let sender = Arc::clone(&self.sender);
        let sent = web::block(move || sender.purge(&keys)).await.map_err(Problem::internal)?;
        sent.map_err(Problem::internal)
    }
}

/// The keys that the changes after one version and up to another have touched.
fn touched(conn: &mut Conn, after: i64, until: i64) -> Result<Vec<Key>, Problem> {
    let rows: Vec<String> = changes::table
        .filter(changes::version.gt(after).and(changes::version.le(until)))
        .limit(i64::try_from(MOST_CHANGES + 1).unwrap_or(i64::MAX))
        .select(changes::keys)
        .load(conn)?;
    let everything = Set::Everything.key();
    if rows.len() > MOST_CHANGES {
        return Ok(vec![everything]);
    }
    let mut keys = BTreeSet::new();
    for row in &rows {
        let row: Touched = serde_json::from_str(row).map_err(Problem::internal)?;
        keys.extend(row.touched);
    }
    // A state without a change that says what it touched.
    if keys.is_empty() || keys.contains(&everything) {
        return Ok(vec![everything]);
    }
    Ok(keys.into_iter().collect())
}
