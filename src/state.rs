//! What a handler can reach: settings, database, clock and keys.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::Mutex;
use uuid::Uuid;

use crate::auth::address::UntrustedProxy;
use crate::auth::limits::{FloodLimits, Limits};
use crate::auth::passwords::Passwords;
use crate::auth::secrets::ServerSecret;
use crate::auth::tokens::Tokens;
use crate::auth::{self, Actor};
use crate::cdn::keys::{Key, Keys};
use crate::changes::AnonymousEvents;
pub use crate::clock::Clock;
use crate::compute::Pool;
use crate::config::Config;
use crate::db::{Conn, ContentVersion, Db, PresentState, Timestamp, Tx};
use crate::http::answer_cache::AnswerCache;
use crate::http::{CachePolicy, Delivered, DeliveredText, Problem, Seen};
use crate::idempotency::{Keyed, Running};
use crate::mail::Mailer;
use crate::memo::{Memo, MemoAt};
use crate::promotions::Promotions;
use crate::text::{self, Rendered};
use crate::vault::Vault;

/// The running program's shared state.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The two doors to the database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// Signs and verifies access tokens.
    pub tokens: Tokens,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Renders Markdown.
    pub renderer: Pool,
    /// The server's own secret.
    pub secret: ServerSecret,
    /// The limits of sign-in.
    pub limits: Limits,
    /// The limits of what anyone may send.
    pub floods: FloodLimits,
    /// Delivery answers that are kept.
    pub answers: AnswerCache,
    /// What many of them show alike.
    pub memo: Memo,
    /// Seals what is most private.
    pub vault: Vault,
    /// What anonymous callers did and the audit trail does not know yet.
    pub anonymous: AnonymousEvents,
    /// Whether a proxy that nobody trusts has sent forwarding headers.
    pub untrusted_proxy: UntrustedProxy,
    /// Sends mail, where a server is set.
    pub mailer: Option<Mailer>,
    /// Brings out what is due before delivery is read.
    pub promotions: Promotions,
    /// The requests with an `Idempotency-Key` that run.
    pub running: Running,
    /// Held by whoever finishes an erasure.
    pub finishing: Mutex<()>,
}

/// Reads one state of what is public.
pub struct PublicReader<'a> {
    /// The connection, in its transaction.
    pub conn: &'a mut Conn,
    /// The settings.
    pub config: &'a Config,
    /// What is known of this state already.
    pub memo: MemoAt<'a>,
    /// What the answer is made of; none where no CDN asks.
    keys: Option<Keys>,
}

impl<'a> PublicReader<'a> {
    /// A reader that remembers nothing: of a state that only its own transaction sees.
    pub fn unremembered(conn: &'a mut Conn, config: &'a Config) -> Self {
        Self { conn, config, memo: MemoAt::NOTHING, keys: None }
    }

    /// Whether anybody asks what the answer is made of.
    pub fn names_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// The part of this key: what is known of this state, or what `make` makes. `weight` is about how many bytes it takes.
    ///
    /// # Errors
    /// What `make` returns.
    pub fn part<T: Send + Sync + 'static>(
        &mut self,
        key: &[u8],
        weight: impl FnOnce(&T) -> usize,
        make: impl FnOnce(&mut Conn) -> Result<T, Problem>,
    ) -> Result<Arc<T>, Problem> {
        if let Some(known) = self.memo.get(key) {
            return Ok(known);
        }
        let part = Arc::new(make(self.conn)?);
        self.memo.put(key, &part, weight(&part));
        Ok(part)
    }

    /// The parts of one kind that these ids have: what is known of this state, and what `make` makes of the other ids.
    /// `weight` is about how many bytes one takes.
    ///
    /// # Errors
    /// What `make` returns.
    pub fn parts<T: Send + Sync + 'static>(
        &mut self,
        kind: &str,
        ids: &[Uuid],
        weight: impl Fn(&T) -> usize,
        make: impl FnOnce(&mut Self, &[Uuid]) -> Result<Vec<(Uuid, T)>, Problem>,
    ) -> Result<HashMap<Uuid, Arc<T>>, Problem> {
        let key = |id: &Uuid| [kind.as_bytes(), b"\0", id.as_bytes()].concat();
        let mut parts: HashMap<Uuid, Arc<T>> = HashMap::with_capacity(ids.len());
        let mut unknown = Vec::new();
        for id in ids {
            match self.memo.get(&key(id)) {
                Some(part) => drop(parts.insert(*id, part)),
                None => unknown.push(*id),
            }
        }
        let others = if unknown.is_empty() { Vec::new() } else { make(self, &unknown)? };
        for (id, part) in others {
            let part = Arc::new(part);
            self.memo.put(&key(&id), &part, weight(&part));
            parts.insert(id, part);
        }
        Ok(parts)
    }

    /// Says what the answer is made of.
    pub fn names<K: IntoIterator<Item = Key>>(&mut self, keys: impl FnOnce() -> K) {
        if let Some(known) = &mut self.keys {
            keys().into_iter().for_each(|key| known.insert(key));
        }
    }
}

impl App {
    /// A delivery answer that shows this state.
    pub fn delivered<T>(&self, value: T, seen: Seen) -> Delivered<T> {
        Delivered::new(value, seen, self.cache_policy(), self.clock.now())
    }

    /// A delivery answer in plain text that shows this state.
    pub fn delivered_text(&self, text: String, seen: Seen) -> DeliveredText {
        DeliveredText::new(text, self.delivered((), seen))
    }

    /// How caches may hold delivery.
    pub fn cache_policy(&self) -> CachePolicy {
        let shared = self.config.cdn.as_ref().map(|cdn| cdn.freshness);
        CachePolicy { max_age: self.config.cache_max_age, shared }
    }

    /// Reads what is public, in one state, and says which that is. What is scheduled for now or before is public in
    /// it: whoever reads first brings it out.
    ///
    /// # Errors
    /// What the work returns, or an error of the door.
    pub async fn read_public<T, F>(self: &Arc<Self>, work: F) -> Result<(T, Seen), Problem>
    where
        F: FnOnce(&mut PublicReader<'_>) -> Result<T, Problem> + Send + 'static,
        T: Send + 'static,
    {
        let (app, now) = (Arc::clone(self), self.clock.now());
        let work = move |conn: &mut Conn, version: ContentVersion| {
            let memo = app.memo.at(version);
            let config = &app.config;
            let mut reader = PublicReader { conn, config, memo, keys: config.cdn.as_ref().map(|_| Keys::default()) };
            let value = work(&mut reader)?;
            let keys = reader.keys.zip(config.cdn.as_ref()).and_then(|(keys, cdn)| keys.header(cdn.form));
            Ok((value, Seen { version, keys }))
        };
        let is_paused = self.promotions.paused_until(now).is_some();
        let read = self.db.snapshot(move |conn, version| {
            if version.is_over(now) && !is_paused {
                return Ok::<_, Problem>(Err(work));
            }
            work(conn, version).map(Ok)
        });
        let (value, seen) = match read.await? {
            Ok(read) => read,
            Err(work) => {
                self.promotions.run_unless_paused(self).await;
                // What could not be brought out holds up nothing.
                self.db.snapshot(work).await?
            }
        };
        Ok((value, Seen { version: self.promotions.lasting(seen.version, self.clock.now()), ..seen }))
    }

    /// The newest state of what is public, and when it ends.
    pub fn present(&self, now: Timestamp) -> PresentState {
        self.promotions.present(self.db.present(), now)
    }

    /// Runs a caller's write, or only rehearses it where `validate_only` was asked for. Whether the caller still
    /// stands is asked once more in its transaction: a body may take long to arrive. A request with an
    /// `Idempotency-Key` is remembered in it.
    ///
    /// # Errors
    /// `401` where the caller does not stand any more, what the work returns, or an error of the door.
    pub async fn write<T, F>(&self, caller: Actor, validate_only: bool, work: F) -> Result<T, Problem>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, Problem> + Send + 'static,
        T: Send + 'static,
    {
        let (limits, now) = (self.config.sign_in_limits(caller.role), self.clock.now());
        let keyed = Keyed::present().filter(|_| !validate_only);
        let work = move |tx: &mut Tx<'_>| {
            auth::check_stands(tx, caller, limits, now)?;
            let done = work(tx)?;
            keyed.map_or(Ok(()), |keyed| keyed.record(tx))?;
            Ok(done)
        };
        if validate_only { self.db.rehearse(work).await } else { self.db.write(work).await }
    }

    /// Runs a caller's write that is not what a repeated request must not do again: that something was read, or a part of
    /// what takes several transactions. Whether the caller still stands is asked in it.
    ///
    /// # Errors
    /// `401` where the caller does not stand any more, what the work returns, or an error of the door.
    pub async fn write_unkeyed<T, F>(&self, caller: Actor, work: F) -> Result<T, Problem>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, Problem> + Send + 'static,
        T: Send + 'static,
    {
        let (limits, now) = (self.config.sign_in_limits(caller.role), self.clock.now());
        let work = move |tx: &mut Tx<'_>| {
            auth::check_stands(tx, caller, limits, now)?;
            work(tx)
        };
        self.db.write(work).await
    }

    /// Renders Markdown of what is stored already: what was done must be answered as done, so it is never refused.
    ///
    /// # Errors
    /// `503` where the program stops.
    pub(crate) async fn render_stored(&self, markdown: &str) -> Result<Rendered, Problem> {
        let markdown = markdown.to_owned();
        self.renderer.run_certainly(move || text::render(&markdown)).await
    }

    /// Renders Markdown, on a thread that is there for it.
    ///
    /// # Errors
    /// `503` where too many texts wait already.
    pub(crate) async fn render(&self, markdown: &str) -> Result<Rendered, Problem> {
        let markdown = markdown.to_owned();
        self.renderer.run(move || text::render(&markdown)).await
    }
}
