//! Whether what is sealed can be opened: asked at the start, and by `copydesk check`.

use diesel::prelude::*;

use super::store;
use crate::db::{self, Conn};
use crate::http::Problem;
use crate::schema::{contact_lookups, contact_submissions};
use crate::vault::Vault;

/// What to do about a key that is not there.
const WAY_OUT: &str = "bring the key directory back, or its keys with `copydesk keys import --contact`; where they are \
                       lost for good, `copydesk keys forget --contact` erases what nobody can read any more";

/// Whether there is a key for every message; the program does not start where one is missing.
///
/// # Errors
/// A sentence that names the key and what to do.
pub(crate) fn check_keys(conn: &mut Conn, vault: &Vault) -> Result<(), db::Error> {
    for name in store::key_names(conn)? {
        let refuse = |what: &str| Err(db::Error::Open(format!("the contact key {name} {what}: {WAY_OUT}")));
        let Some(key) = vault.key(&name) else {
            return refuse("is not in the key directory, and messages are sealed with it");
        };
        let sample = store::sample(conn, &name)?;
        if sample.is_some_and(|(id, wrapped)| key.open_envelope(&id.bytes(), &wrapped).is_none()) {
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
    let ids: Vec<super::SubmissionId> =
        contact_submissions::table.order(contact_submissions::id).select(contact_submissions::id).load(conn)?;
    let mut wrong = Vec::new();
    for id in ids {
        match store::open(conn, vault, id) {
            Ok(Some(opened)) => {
                let lookups = contact_lookups::table.filter(contact_lookups::submission_id.eq(id));
                let count: i64 = lookups.count().get_result(conn)?;
                if usize::try_from(count) != Ok(opened.message.keys().len()) {
                    wrong.push(format!("the message {id} can't be found by what its sender gave"));
                }
            }
            Ok(None) => {}
            Err(problem) => wrong.push(problem.cause().unwrap_or(problem.detail()).to_owned()),
        }
    }
    Ok(wrong)
}
