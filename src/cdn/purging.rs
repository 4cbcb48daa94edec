//! Purging what changes have touched: until the network has said that it is done, and once more for what was on its way.
//!
//! An answer that left before a commit may reach a network after the purge that follows it, and would stay there: so each
//! purge is repeated some seconds later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::{self, Data};
use diesel::prelude::*;
use serde::Deserialize;

use super::keys::{Key, Set};
use super::requests::Sender;
use crate::config::Cdn;
use crate::db::{Conn, Tx};
use crate::http::Problem;
use crate::schema::{cdn_marks, changes, content_version};
use crate::state::App;

/// After how long a purge is repeated: no answer is on its way for longer.
const SETTLES_AFTER: Duration = Duration::from_secs(5);
/// How many changes are looked through for their keys; where there are more, everything is purged.
const MOST_CHANGES: usize = 1000;
/// How many keys are purged one by one; where there are more, everything is.
const MOST_KEYS: usize = 500;
/// The pause after a failure, which doubles with each further one up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Up to which version the network was purged, and up to which once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    purged: i64,
    settled: i64,
}

/// What a change has touched, in its `keys`.
#[derive(Deserialize)]
struct Touched {
    #[serde(default)]
    touched: Vec<Key>,
}

/// Purges what is touched, again and again, until the program stops.
pub(crate) async fn run(app: Data<App>, cdn: Cdn) {
    let mut purger = Purger { sender: Arc::new(Sender::new(&cdn)), settles: None };
    let mut commits = app.db.commits();
    let mut pause = SHORTEST_PAUSE;
    loop {
        commits.borrow_and_update();
        if let Err(error) = purger.turn(&app).await {
            tracing::error!(%error, "the CDN could not be purged; it is tried again in {} ms", pause.as_millis());
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
            continue;
        }
        pause = SHORTEST_PAUSE;
        let settles_in = purger.settles.map(|(_, at)| at.saturating_duration_since(Instant::now()));
        tokio::select! {
            _ = commits.changed() => {}
            () = tokio::time::sleep(settles_in.unwrap_or_default()), if settles_in.is_some() => {}
        }
    }
}

struct Purger {
    sender: Arc<Sender>,
    /// Up to which version it is purged once more, and when; none where nothing is on its way any more.
    settles: Option<(i64, Instant)>,
}

impl Purger {
    /// Purges what has been touched since the last time, and what is to be purged once more.
    async fn turn(&mut self, app: &Data<App>) -> Result<(), Problem> {
        let (marks, newest) = app.db.read(|conn| Ok::<_, Problem>((marks(conn)?, newest(conn)?))).await?;
        let Some(mut marks) = marks else {
            // Nobody knows what the network has.
            purge(&self.sender, vec![Set::Everything.key()]).await?;
            return store(app, Marks { purged: newest, settled: newest }).await;
        };
        if marks.purged < newest {
            purge_touched(app, &self.sender, marks.purged, newest).await?;
            marks.purged = newest;
            store(app, marks).await?;
        }
        let now = Instant::now();
        if let Some((version, _)) = self.settles.filter(|(_, at)| *at <= now) {
            purge_touched(app, &self.sender, marks.settled, version).await?;
            marks.settled = version;
            store(app, marks).await?;
            self.settles = None;
        }
        if self.settles.is_none() && marks.settled < marks.purged {
            self.settles = Some((marks.purged, now + SETTLES_AFTER));
        }
        Ok(())
    }
}

async fn purge_touched(app: &Data<App>, sender: &Arc<Sender>, after: i64, until: i64) -> Result<(), Problem> {
    let keys = app.db.read(move |conn| touched(conn, after, until)).await?;
    purge(sender, keys).await
}

async fn purge(sender: &Arc<Sender>, keys: Vec<Key>) -> Result<(), Problem> {
    let sender = Arc::clone(sender);
    let sent = web::block(move || sender.purge(&keys)).await.map_err(Problem::internal)?;
    sent.map_err(Problem::internal)
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
        // What an older version of the program has written does not say.
        if row.touched.is_empty() {
            return Ok(vec![everything]);
        }
        keys.extend(row.touched);
    }
    if keys.len() > MOST_KEYS || keys.contains(&everything) {
        return Ok(vec![everything]);
    }
    Ok(keys.into_iter().collect())
}

fn marks(conn: &mut Conn) -> Result<Option<Marks>, Problem> {
    let columns = (cdn_marks::purged_version, cdn_marks::settled_version);
    let row: Option<(i64, i64)> = cdn_marks::table.select(columns).first(conn).optional()?;
    Ok(row.map(|(purged, settled)| Marks { purged, settled }))
}

fn newest(conn: &mut Conn) -> Result<i64, Problem> {
    Ok(content_version::table.select(content_version::version).first(conn)?)
}

async fn store(app: &Data<App>, marks: Marks) -> Result<(), Problem> {
    app.db.write(move |tx| store_marks(tx, marks)).await
}

fn store_marks(tx: &mut Tx<'_>, marks: Marks) -> Result<(), Problem> {
    let row =
        (cdn_marks::id.eq(1), cdn_marks::purged_version.eq(marks.purged), cdn_marks::settled_version.eq(marks.settled));
    diesel::replace_into(cdn_marks::table).values(row).execute(&mut **tx)?;
    Ok(())
}
