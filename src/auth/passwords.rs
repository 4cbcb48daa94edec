//! Passwords: Argon2id (RFC 9106), on threads of its own, which bound how many run at once: each takes the
//! cost's memory, and a flood of sign-ins must leave processors to everyone else.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};

use crate::compute::{Pool, half_of_the_processors};
use crate::config::PasswordCost;
use crate::http::{Fault, Problem};
use crate::users::account_faults;

/// The fewest characters of a password that is the only factor (NIST SP 800-63B-4).
pub const MIN_CHARS: usize = 15;
/// The most characters: more would only cost time.
pub const MAX_CHARS: usize = 128;
/// Hashes that may wait.
const WAITING: usize = 64;

/// Whose turn it is where many passwords wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Before the others: who is signed in, has a link or comes from a known network. A flood from elsewhere does not
    /// keep them out.
    First,
    /// After those.
    Usual,
}

/// Hashes and checks passwords.
pub struct Passwords {
    cost: PasswordCost,
    pool: Pool,
    /// The hash that an unknown account's password is compared with, so that it takes as long.
    decoy: String,
}

impl Passwords {
    /// Prepares the hasher.
    ///
    /// # Errors
    /// Where the cost is out of Argon2's bounds.
    pub fn new(cost: PasswordCost) -> Result<Self, String> {
        let (memory, passes) = (cost.memory_kib, cost.passes);
        // Well-formed, of the same cost, and the hash of no known password: nothing is computed at start.
        let decoy = format!("$argon2id$v=19$m={memory},t={passes},p=1$Y29weWRlc2stZGVjb3k${}", "A".repeat(43));
        PasswordHash::new(&decoy).map_err(|error| error.to_string())?;
        Ok(Self { cost, pool: Pool::new("passwords", half_of_the_processors(), WAITING)?, decoy })
    }

    /// Hashes a password to the PHC string that is stored.
    ///
    /// # Errors
    /// `503` where too many wait already.
    pub async fn hash(&self, password: SecretString) -> Result<String, Problem> {
        let cost = self.cost;
        self.pool.run_first(move || hash(cost, password.expose_secret())).await?.map_err(Problem::internal)
    }

    /// What is wrong with an account's email, name and new password: how easily that is guessed takes a while to find
    /// out.
    ///
    /// # Errors
    /// `503` where too many wait already.
    pub async fn account_faults(
        &self,
        email: &str,
        name: &str,
        password: Option<&SecretString>,
    ) -> Result<Vec<Fault>, Problem> {
        let (email, name, password) = (email.to_owned(), name.to_owned(), password.cloned());
        if password.is_none() {
            return Ok(account_faults(&email, &name, None));
        }
        self.pool.run_first(move || account_faults(&email, &name, password.as_ref())).await
    }

    /// Whether the password is the one of the hash; without a hash it takes as long and is not.
    ///
    /// # Errors
    /// `503` where too many wait already.
    pub async fn verify(&self, password: SecretString, stored: Option<String>, turn: Turn) -> Result<bool, Problem> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let work = move || verify(password.expose_secret(), &stored);
        let right = match turn {
            Turn::First => self.pool.run_first(work).await?,
            Turn::Usual => self.pool.run(work).await?,
        };
        Ok(right && known)
    }

    /// Whether a stored hash has another cost than new ones: then its password is hashed anew at the next sign-in.
    pub fn is_outdated(&self, stored: &str) -> bool {
        let present = |hash: &PasswordHash| {
            let params = Params::try_from(hash).ok()?;
            Some((params.m_cost(), params.t_cost()) == (self.cost.memory_kib, self.cost.passes))
        };
        !PasswordHash::new(stored).is_ok_and(|hash| present(&hash) == Some(true))
    }
}

/// Hashes a password at once, for the command line.
///
/// # Errors
/// Where the cost is out of Argon2's bounds.
pub fn hash(cost: PasswordCost, password: &str) -> Result<String, String> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|error| error.to_string())?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| error.to_string())
}

fn verify(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}
