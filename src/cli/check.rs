//! `copydesk check`: whether the data is whole, for who restores a backup, moves a disk or wonders.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::commands::{open_beside_server, print, sentence};
use crate::config::Config;
use crate::db::{self, Conn};
use crate::http::Problem;
use crate::vault::Vault;
use crate::{articles, audit, changes, contact};

/// How many violations of one kind are told.
const MOST_TOLD: usize = 20;

/// What was looked at, and what is wrong with it.
struct Part {
    name: &'static str,
    seen: String,
    wrong: Vec<String>,
}

/// Looks through everything in one state of the database, and says what is not as it must be.
///
/// # Errors
/// A sentence that says how many things are wrong, or that the database can't be read.
pub(super) async fn run(config: &Config) -> Result<(), String> {
    let db = open_beside_server(config)?;
    let bar = Arc::new(ProgressBar::new(0));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} articles, {eta} left") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    let progress = Arc::clone(&bar);
    let key_dir = config.key_dir.clone();
    let parts =
        db.read(move |conn| look(conn, &key_dir, &progress)).await.map_err(|problem: Problem| sentence(&problem));
    bar.finish_and_clear();
    let parts = parts?;
    print(&table(&parts))?;
    let wrong: usize = parts.iter().map(|part| part.wrong.len()).sum();
    match wrong {
        0 => Ok(()),
        1 => Err("one thing is not as it must be; restore a backup, or ask for help with the line above".to_owned()),
        _ => Err(format!(
            "{wrong} things are not as they must be; restore a backup, or ask for help with the lines above"
        )),
    }
}

fn look(conn: &mut Conn, key_dir: &Path, bar: &ProgressBar) -> Result<Vec<Part>, Problem> {
    let file = db::check_file(conn)?;
    let (events, broken) = audit::verify(conn)?;
    let broken = broken.map(|position| format!("event {position} was altered, or the one before it was taken out"));
    let total = articles::count(conn)?;
    bar.set_length(total);
    let wrong = articles::verify(conn, &|seen| bar.inc(seen))?;
    let messages = contact::count(conn)?;
    let sealed = match Vault::open(key_dir) {
        Ok(vault) => contact::verify(conn, &vault)?,
        Err(error) => vec![error.to_string()],
    };
    Ok(vec![
        Part { name: "database file", seen: String::new(), wrong: file },
        Part { name: "audit trail", seen: format!("{events} events"), wrong: broken.into_iter().collect() },
        Part { name: "content version", seen: String::new(), wrong: changes::verify(conn)? },
        Part { name: "articles", seen: format!("{total} articles"), wrong },
        Part { name: "contact messages", seen: format!("{messages} messages"), wrong: sealed },
    ])
}

fn table(parts: &[Part]) -> String {
    let mut lines = String::new();
    for part in parts {
        let state = if part.wrong.is_empty() { "ok" } else { "WRONG" };
        lines.push_str(format!("{:<16} {state:<6} {}", part.name, part.seen).trim_end());
        lines.push('\n');
        for what in part.wrong.iter().take(MOST_TOLD) {
            lines.extend(["  ", what, "\n"]);
        }
        if part.wrong.len() > MOST_TOLD {
            let more = (part.wrong.len() - MOST_TOLD).to_string();
            lines.extend(["  and ", &more, " more\n"]);
        }
    }
    lines
}
