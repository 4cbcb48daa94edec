//! What `copydesk keys` does: the keys that sign access tokens, and those that seal contact messages.

use std::io::BufRead;
use std::path::Path;

use secrecy::SecretString;

use super::KeysCommand;
use super::commands::{locked, open_beside_server, open_database, prepare_data_dir, print, sentence};
use super::tell;
use crate::auth::keys;
use crate::changes::{Event, SubjectKind, Who, record};
use crate::config::Config;
use crate::contact;
use crate::db::Timestamp;
use crate::http::Problem;
use crate::state::Clock;
use crate::vault::{self, Vault};

/// How many messages are erased in one transaction.
const FORGOTTEN_AT_ONCE: usize = 200;

/// Runs a command.
///
/// # Errors
/// A sentence that says what went wrong and what to do.
pub(super) async fn run(command: KeysCommand, config: &Config) -> Result<(), String> {
    prepare_data_dir(config)?;
    let now = Clock::default().now();
    match command {
        KeysCommand::Rotate { contact: false } => rotate(config, now).await,
        KeysCommand::Rotate { contact: true } => rotate_contact(config, now).await,
        KeysCommand::List => list(config, now),
        KeysCommand::Export { file, .. } => export(config, &file, now).await,
        KeysCommand::Import { file, .. } => import(config, &file, now).await,
        KeysCommand::Forget { erase, .. } => forget(config, erase, now).await,
    }
}

async fn rotate(config: &Config, now: Timestamp) -> Result<(), String> {
    let fresh = keys::rotate(config, now)?;
    audit(config, SubjectKind::SigningKey, "signing_key.rotate", now).await?;
    tell(&format!("The key {} signs from now on; tokens of the former one are accepted until they end.", fresh.kid));
    Ok(())
}

async fn rotate_contact(config: &Config, now: Timestamp) -> Result<(), String> {
    let months = vault::rotate(&config.key_dir).map_err(|error| error.to_string())?;
    audit(config, SubjectKind::ContactKey, "contact_key.rotate", now).await?;
    tell(&format!("A new master key wraps the {months} keys of contact messages; the former one is destroyed."));
    Ok(())
}

fn list(config: &Config, now: Timestamp) -> Result<(), String> {
    let line = |key: &keys::KeyInfo| match key.until {
        None => format!("{}  signs\n", key.kid),
        Some(until) => format!("{}  verifies until {until}\n", key.kid),
    };
    print(&keys::list(config, now)?.iter().map(line).collect::<String>())
}

async fn export(config: &Config, file: &Path, now: Timestamp) -> Result<(), String> {
    // First the trail: no keys leave it untold.
    audit(config, SubjectKind::ContactKey, "contact_key.export", now).await?;
    let count = vault::export(&config.key_dir, file, &passphrase()?).map_err(|error| error.to_string())?;
    tell(&format!(
        "{count} keys of contact messages are in {}. Keep it apart from backups of the database, and destroy it when \
         you replace it.",
        file.display()
    ));
    Ok(())
}

async fn import(config: &Config, file: &Path, now: Timestamp) -> Result<(), String> {
    let (added, all) = vault::import(&config.key_dir, file, &passphrase()?).map_err(|error| error.to_string())?;
    audit(config, SubjectKind::ContactKey, "contact_key.import", now).await?;
    tell(&format!("{added} of the {all} keys of {} were not there and have been added.", file.display()));
    Ok(())
}

/// Erases the messages that no key opens, where who asks has said how many there are.
async fn forget(config: &Config, erase: Option<u64>, now: Timestamp) -> Result<(), String> {
    // A running server has the keys in memory, whatever has become of their files.
    let _lock = locked(config)?;
    let db = open_database(config)?;
    let vault = Vault::open_what_can_be_read(&config.key_dir).map_err(|error| error.to_string())?;
    let looked = db.read(move |conn| {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (unreadable, last) = contact::unreadable(conn, &vault, after)?;
            all.extend(unreadable);
            if last.is_none() {
                return Ok(all);
            }
            after = last;
        }
    });
    let unreadable = looked.await.map_err(|problem: Problem| sentence(&problem))?;
    let count = unreadable.len();
    if erase.and_then(|erase| usize::try_from(erase).ok()) != Some(count) {
        tell(&format!(
            "{count} contact messages can't be opened with the keys in {}. Nothing was changed.",
            config.key_dir.display()
        ));
        return match count {
            0 => Ok(()),
            _ => Err(format!(
                "where their keys are lost for good, erase them with: keys forget --contact --erase {count}"
            )),
        };
    }
    for some in unreadable.chunks(FORGOTTEN_AT_ONCE) {
        let some = some.to_vec();
        let forgotten = db.write(move |tx| contact::forget(tx, &some, now));
        forgotten.await.map_err(|problem: Problem| sentence(&problem))?;
    }
    // A reader beside it may keep from it; the server empties the log when it starts.
    drop(db.empty_wal().await);
    tell(&format!("{count} contact messages that no key opens any more were erased."));
    Ok(())
}

/// Says in the audit trail that something was done with keys.
async fn audit(config: &Config, kind: SubjectKind, action: &'static str, at: Timestamp) -> Result<(), String> {
    let db = open_beside_server(config)?;
    let event = Event { at, who: Who::CommandLine, action, kind, id: None, public: None };
    db.write(move |tx| record(tx, &event)).await.map_err(|problem: Problem| sentence(&problem))
}

fn passphrase() -> Result<SecretString, String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input can't be read: {error}"))?;
    Ok(SecretString::from(line.trim_end_matches(['\r', '\n'])))
}
