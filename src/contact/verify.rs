//! Whether what is sealed can be opened: asked at the start, and by `copydesk check`.

use diesel::prelude::*;

use super::store;
use crate::db::{self, Conn};
use crate::http::Problem;
use crate::schema::{contact_keys, contact_lookups, contact_submissions};
use crate::vault::Vault;

/// On how many messages a key is tried at the start: one that opens none of them is another key.
const TRIED: i64 = 20;
/// How many messages `copydesk check` opens at a time.
const BATCH: usize = 500;

/// What to do about a key that is not there.
const WAY_OUT: &str = "bring the key directory back (COPYDESK_KEY_DIR), or its keys with `copydesk keys import --contact`; \
                       where they are lost for good, `copydesk keys forget --contact` tells how to go on without them";

/// Whether there is a key for every message; the program does not start where one is missing. Tells the vault which keys
/// are this database's.
///
/// # Errors
/// A sentence that names the key and what to do.
pub(crate) fn check_keys(conn: &mut Conn, vault: &Vault) -> Result<(), db::Error> {
    let own: Vec<String> =
        contact_keys::table.filter(contact_keys::destroyed_at.is_null()).select(contact_keys::name).load(conn)?;
    vault.take_for_own(own.iter().map(String::as_str));
    for name in store::key_names(conn)? {
        let refuse = |what: &str| Err(db::Error::Open(format!("the contact key {name} {what}: {WAY_OUT}")));
        let Some(key) = vault.key(&name) else {
            return refuse("is not in the key directory, and messages are sealed with it");
        };
        let samples = store::samples(conn, &name, TRIED)?;
        let opens = |(id, wrapped): &(super::SubmissionId, Vec<u8>)| key.open_envelope(&id.bytes(), wrapped).is_some();
        if !samples.is_empty() && !samples.iter().any(opens) {
            return refuse("is not the one that messages are sealed with");
        }
    }
    Ok(())
}

/// How many messages there are.
///
/// # Errors
/// What the database says.
pub(crate) fn count(conn: &mut Conn) -> Result<i64, Problem> {
    Ok(contact_submissions::table.count().get_result(conn)?)
}

/// Messages that can't be opened, a sentence each: never what is in one.
///
/// # Errors
/// What the database says.
pub(crate) fn verify(conn: &mut Conn, vault: &Vault) -> Result<Vec<String>, Problem> {
    let (mut wrong, mut after) = (Vec::new(), None);
    loop {
        let ids = store::ids_after(conn, after, BATCH)?;
        let Some(last) = ids.last() else { return Ok(wrong) };
        after = Some(*last);
        for id in ids {
            match store::open(conn, vault, id) {
                Ok(Some(opened)) => {
                    let lookups = contact_lookups::table.filter(contact_lookups::submission_id.eq(id));
                    let count: i64 = lookups.count().get_result(conn)?;
                    if usize::try_from(count) != Ok(opened.words.keys().len()) {
                        wrong.push(format!("the message {id} can't be found by what its sender gave"));
                    }
                }
                Ok(None) => {}
                Err(problem) => wrong.push(problem.cause().unwrap_or(problem.detail()).to_owned()),
            }
        }
    }
}
