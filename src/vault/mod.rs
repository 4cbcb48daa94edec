//! The vault: envelope encryption for words that must be readable by few, and by nobody once they are erased.
//!
//! Each row has a data key of its own, which seals its parts with XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) and lies
//! beside them, wrapped by the key of the month in which the row came. Month keys lie in the key directory, wrapped by
//! a master key, and are never in the database. Once none of a month key's rows remains it is destroyed: from then on
//! every copy of those rows, in whatever backup, is noise. All that is sealed is bound to its row and to its place in
//! it, so that nothing can be moved to another one.
//!
//! `files` has the key directory, `escrow` the file under a passphrase.

mod escrow;
mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretBox};

pub(crate) use self::escrow::{export, import};
pub use self::files::KeyDirError;
use self::files::{KeyDir, MonthKeyId};
use crate::auth::secrets::{hmac, random_bytes, seal_with, unseal_with};
use crate::db::Timestamp;

/// How long a blind token is, in bytes: short enough for an index, too long to meet another by chance.
const TOKEN_BYTES: usize = 16;

/// A key that is wiped from memory when it is dropped, and can't be printed.
type Key = SecretBox<[u8; 32]>;

/// The keys at hand.
pub struct Vault {
    dir: KeyDir,
    keys: Mutex<Keys>,
    /// Held by whoever makes a key: that waits for the disk, which nobody who only reads must.
    making: Mutex<()>,
    /// Whether a key that nothing needs could not be destroyed yet, since somebody held it.
    is_late: AtomicBool,
}

#[derive(Default)]
struct Keys {
    known: BTreeMap<MonthKeyId, Arc<MonthKey>>,
    /// Keys that this database has made: two that share a directory share no key, or one would destroy the other's.
    own: BTreeSet<MonthKeyId>,
    /// Keys that nothing new is sealed with: they are about to be destroyed.
    closing: BTreeSet<MonthKeyId>,
}

/// The key of a month. While someone holds one, it is not destroyed.
pub struct MonthKey {
    id: MonthKeyId,
    wrapping: Key,
    indexing: Key,
}

/// The data key of a row.
pub struct Envelope {
    row: Vec<u8>,
    data_key: Key,
    /// The data key as it is stored beside the row.
    pub wrapped: Vec<u8>,
}

impl Vault {
    /// Reads the keys of a key directory. Nothing is made before something is to be sealed.
    ///
    /// # Errors
    /// A sentence that names the file and what is wrong with it.
    pub fn open(key_dir: &Path) -> Result<Self, KeyDirError> {
        let dir = KeyDir::new(key_dir);
        let keys = dir.load_all()?.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Self::with(dir, keys))
    }

    /// Reads those keys that can be read: for who has lost the others.
    ///
    /// # Errors
    /// Where the key directory itself can't be read.
    pub fn open_what_can_be_read(key_dir: &Path) -> Result<Self, KeyDirError> {
        let dir = KeyDir::new(key_dir);
        let keys = dir.load_all()?.into_iter().filter_map(Result::ok).collect();
        Ok(Self::with(dir, keys))
    }

    fn with(dir: KeyDir, keys: Vec<(MonthKeyId, Key)>) -> Self {
        let known = keys.into_iter().map(|(id, key)| MonthKey::with_id(id, &key)).collect();
        let keys = Mutex::new(Keys { known, own: BTreeSet::new(), closing: BTreeSet::new() });
        Self { dir, keys, making: Mutex::default(), is_late: AtomicBool::new(false) }
    }

    /// Says which keys the database has made.
    pub fn take_for_own<'n>(&self, names: impl Iterator<Item = &'n str>) {
        self.lock().own.extend(names.filter_map(MonthKeyId::parse));
    }

    /// The key for what comes now, where its month has one.
    pub fn present(&self, now: Timestamp) -> Option<Arc<MonthKey>> {
        let (month, keys) = (now.month(), self.lock());
        let usable = |(id, _): &(&MonthKeyId, &Arc<MonthKey>)| {
            id.month() == month && keys.own.contains(id) && !keys.closing.contains(id)
        };
        keys.known.iter().find(usable).map(|(_, key)| Arc::clone(key))
    }

    /// The key for what comes now, made where its month has none: that waits for the disk.
    ///
    /// # Errors
    /// Where a new one can't be written.
    pub fn present_or_made(&self, now: Timestamp) -> Result<Arc<MonthKey>, KeyDirError> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = self.present(now) {
            return Ok(key);
        }
        let (id, key) = self.dir.make(&now.month())?;
        let (id, key) = MonthKey::with_id(id, &key);
        let mut keys = self.lock();
        keys.own.insert(id.clone());
        keys.known.insert(id, Arc::clone(&key));
        Ok(key)
    }

    /// The key of this name: also one that another process has just put into the key directory.
    pub fn key(&self, name: &str) -> Option<Arc<MonthKey>> {
        let id = MonthKeyId::parse(name)?;
        if let Some(key) = self.lock().known.get(&id) {
            return Some(Arc::clone(key));
        }
        let (id, key) = MonthKey::with_id(id.clone(), &self.dir.load(&id).ok()?);
        Some(Arc::clone(self.lock().known.entry(id).or_insert(key)))
    }

    /// Whether there is a key of this name, also one that another process has just put into the key directory.
    pub fn has(&self, name: &str) -> bool {
        MonthKeyId::parse(name).is_some_and(|id| self.lock().known.contains_key(&id) || self.dir.has(&id))
    }

    /// Every key at hand.
    pub fn all(&self) -> Vec<Arc<MonthKey>> {
        self.lock().known.values().map(Arc::clone).collect()
    }

    /// The names of all keys at hand.
    pub fn names(&self) -> Vec<String> {
        self.lock().known.keys().map(ToString::to_string).collect()
    }

    /// Lets nothing new be sealed with a key; `false` where somebody holds it, who may be about to store something: it
    /// is to be tried again then.
    pub fn close(&self, name: &str) -> bool {
        let Some(id) = MonthKeyId::parse(name) else { return false };
        let mut keys = self.lock();
        // Whoever asks for a key does so under this lock, so that nobody gets it in between.
        let is_held = keys.known.get(&id).is_some_and(|key| Arc::strong_count(key) > 1);
        if is_held {
            self.set_late(true);
            return false;
        }
        keys.closing.insert(id);
        true
    }

    /// Takes [`Vault::close`] back.
    pub fn reopen(&self, name: &str) {
        if let Some(id) = MonthKeyId::parse(name) {
            self.lock().closing.remove(&id);
        }
    }

    /// Destroys a key that is closed, and its file; whether it was.
    ///
    /// # Errors
    /// Where the file can't be destroyed; the key stays closed then.
    pub fn destroy(&self, name: &str) -> Result<bool, KeyDirError> {
        let Some(id) = MonthKeyId::parse(name).filter(|id| self.lock().closing.contains(id)) else { return Ok(false) };
        self.dir.destroy(&id)?;
        let mut keys = self.lock();
        keys.known.remove(&id);
        keys.closing.remove(&id);
        Ok(true)
    }

    /// Whether a key that nothing needs may still be there, since somebody held it or its file could not be destroyed.
    pub fn is_late(&self) -> bool {
        self.is_late.load(Ordering::Acquire)
    }

    /// Says whether a key that nothing needs may still be there.
    pub fn set_late(&self, is_late: bool) {
        self.is_late.store(is_late, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a new master key and wraps all month keys with it; works beside a running server.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub fn rotate(key_dir: &Path) -> Result<usize, KeyDirError> {
    KeyDir::new(key_dir).rotate()
}

impl MonthKey {
    fn with_id(id: MonthKeyId, key: &Key) -> (MonthKeyId, Arc<Self>) {
        let (wrapping, indexing) = (derived(key, b"wrap"), derived(key, b"index"));
        (id.clone(), Arc::new(Self { id, wrapping, indexing }))
    }

    /// Its name, for the column that says which key a row has.
    pub fn name(&self) -> String {
        self.id.to_string()
    }

    /// A new data key for a row.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn new_envelope(&self, row: &[u8]) -> Result<Envelope, String> {
        let data_key = Key::new(Box::new(random_bytes()?));
        let wrapped = seal(&self.wrapping, &self.binding(row), data_key.expose_secret())?;
        Ok(Envelope { row: row.to_vec(), data_key, wrapped })
    }

    /// The data key of a row; `None` where it was wrapped with another key, or for another row.
    pub fn open_envelope(&self, row: &[u8], wrapped: &[u8]) -> Option<Envelope> {
        let bytes: [u8; 32] = unseal(&self.wrapping, &self.binding(row), wrapped)?.try_into().ok()?;
        Some(Envelope { row: row.to_vec(), data_key: Key::new(Box::new(bytes)), wrapped: wrapped.to_vec() })
    }

    /// What stands for a value in an index: whoever has not the key can neither make nor undo it, and once the key is
    /// destroyed nobody can.
    pub fn blind(&self, kind: &str, value: &str) -> [u8; TOKEN_BYTES] {
        let hash = hmac(self.indexing.expose_secret(), &bound(&[kind.as_bytes(), value.as_bytes()]));
        let mut token = [0; TOKEN_BYTES];
        token.copy_from_slice(&hash[..TOKEN_BYTES]);
        token
    }

    fn binding(&self, row: &[u8]) -> Vec<u8> {
        bound(&[b"data key", self.name().as_bytes(), row])
    }
}

impl Envelope {
    /// Seals a part of the row.
    ///
    /// # Errors
    /// Where the system gives no random numbers.
    pub fn seal(&self, part: &str, plain: &[u8]) -> Result<Vec<u8>, String> {
        seal(&self.data_key, &self.binding(part), plain)
    }

    /// Undoes [`Envelope::seal`]; `None` where it is another row's, another part's, or was altered.
    pub fn unseal(&self, part: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        unseal(&self.data_key, &self.binding(part), sealed)
    }

    fn binding(&self, part: &str) -> Vec<u8> {
        bound(&[b"part", part.as_bytes(), &self.row])
    }
}

fn seal(key: &Key, bound_to: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
    seal_with(key.expose_secret(), bound_to, plain)
}

fn unseal(key: &Key, bound_to: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    unseal_with(key.expose_secret(), bound_to, sealed)
}

/// A key for one purpose.
fn derived(key: &Key, purpose: &[u8]) -> Key {
    Key::new(Box::new(hmac(key.expose_secret(), purpose)))
}

/// Several fields in one, each with its length, so that no two lists look alike.
fn bound(fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"copydesk vault 1".to_vec();
    for field in fields {
        bytes.extend((field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

    fn vault() -> (tempfile::TempDir, Vault) {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(dir.path()).unwrap();
        (dir, vault)
    }

    #[test]
    fn what_was_sealed_opens_in_its_own_place_alone() {
        let (_dir, vault) = vault();
        let key = vault.present_or_made(NOW).unwrap();
        let envelope = key.new_envelope(b"row 1").unwrap();
        let sealed = envelope.seal("message", b"words").unwrap();
        let again = key.open_envelope(b"row 1", &envelope.wrapped).unwrap();
        assert_eq!(again.unseal("message", &sealed).unwrap(), b"words");
        assert_eq!(again.unseal("note", &sealed), None, "another part");
        assert!(key.open_envelope(b"row 2", &envelope.wrapped).is_none(), "another row");
        let other = key.new_envelope(b"row 2").unwrap();
        assert_eq!(other.unseal("message", &sealed), None);
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert_eq!(again.unseal("message", &altered), None, "byte {index}");
        }
        for cut in 0..sealed.len() {
            assert_eq!(again.unseal("message", &sealed[..cut]), None);
        }
    }

    #[test]
    fn each_row_has_a_key_of_its_own_and_each_month_another() {
        let (_dir, vault) = vault();
        let key = vault.present_or_made(NOW).unwrap();
        assert_ne!(key.new_envelope(b"row").unwrap().wrapped, key.new_envelope(b"row").unwrap().wrapped);
        let next = vault.present_or_made(NOW.plus_seconds(31 * 24 * 3600)).unwrap();
        assert_ne!(key.name(), next.name());
        assert!(next.open_envelope(b"row", &key.new_envelope(b"row").unwrap().wrapped).is_none());
        assert_eq!(key.blind("email", "a@b.c"), key.blind("email", "a@b.c"));
        assert_ne!(key.blind("email", "a@b.c"), key.blind("phone", "a@b.c"));
        assert_ne!(key.blind("email", "a@b.c"), next.blind("email", "a@b.c"));
        assert_eq!(vault.present_or_made(NOW).unwrap().name(), key.name());
        assert_eq!(vault.all().len(), 2);
    }

    #[test]
    fn keys_outlive_the_program_and_are_for_their_owner_alone() {
        let (dir, vault) = vault();
        let key = vault.present_or_made(NOW).unwrap();
        let wrapped = key.new_envelope(b"row").unwrap().wrapped;
        let again = Vault::open(dir.path()).unwrap();
        assert!(again.key(&key.name()).unwrap().open_envelope(b"row", &wrapped).is_some());
        assert!(again.present(NOW).is_none(), "it may be another database's");
        again.take_for_own([key.name().as_str()].into_iter());
        assert_eq!(again.present_or_made(NOW).unwrap().name(), key.name());
        #[cfg(unix)]
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
        }
    }

    #[test]
    fn a_key_is_destroyed_only_while_nobody_holds_it_and_another_takes_its_place() {
        let (dir, vault) = vault();
        let key = vault.present_or_made(NOW).unwrap();
        let name = key.name();
        assert!(!vault.close(&name), "somebody holds it");
        assert!(vault.is_late(), "it is to be tried again");
        drop(key);
        assert!(vault.close(&name));
        assert_ne!(vault.present_or_made(NOW).unwrap().name(), name, "nothing new is sealed with it");
        assert!(vault.destroy(&name).unwrap());
        assert!(!vault.destroy(&name).unwrap(), "it is gone");
        assert!(vault.key(&name).is_none());
        assert!(Vault::open(dir.path()).unwrap().key(&name).is_none());
    }

    #[test]
    fn a_key_that_was_closed_in_vain_is_used_again() {
        let (_dir, vault) = vault();
        let name = vault.present_or_made(NOW).unwrap().name();
        assert!(vault.close(&name));
        vault.reopen(&name);
        assert_eq!(vault.present_or_made(NOW).unwrap().name(), name);
        assert!(!vault.destroy(&name).unwrap(), "it was not closed");
        assert!(vault.key(&name).is_some());
    }

    #[test]
    fn a_name_from_the_database_never_leads_out_of_the_directory() {
        let (_dir, vault) = vault();
        for name in ["", "../server-secret", "2026-11-0123456789abcdef/../x", "2026-11-0123456789ABCDEF", "2026-13-x"] {
            assert!(vault.key(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_new_master_key_opens_what_the_former_one_did() {
        let (dir, vault) = vault();
        let key = vault.present_or_made(NOW).unwrap();
        let wrapped = key.new_envelope(b"row").unwrap().wrapped;
        let files = || {
            let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.retain(|name| name.starts_with("contact-master-"));
            names
        };
        let before = files();
        assert_eq!(rotate(dir.path()).unwrap(), 1);
        assert_eq!((before.len(), files().len()), (1, 1));
        assert_ne!(before, files(), "the former one is gone");
        // Beside the running program: what it makes from now on is wrapped by the new one.
        let next = vault.present_or_made(NOW.plus_seconds(31 * 24 * 3600)).unwrap();
        let again = Vault::open(dir.path()).unwrap();
        assert!(again.key(&key.name()).unwrap().open_envelope(b"row", &wrapped).is_some());
        assert!(again.key(&next.name()).is_some());
    }

    #[test]
    fn a_rotation_that_broke_off_is_finished() {
        let (dir, vault) = vault();
        let first = vault.present_or_made(NOW).unwrap().name();
        let second = vault.present_or_made(NOW.plus_seconds(31 * 24 * 3600)).unwrap().name();
        let broken = KeyDir::new(dir.path()).rotate_until(1);
        assert!(broken.is_err());
        let again = Vault::open(dir.path()).unwrap();
        assert!(again.key(&first).is_some() && again.key(&second).is_some());
        assert_eq!(rotate(dir.path()).unwrap(), 2);
        assert_eq!(Vault::open(dir.path()).unwrap().all().len(), 2);
        let masters = std::fs::read_dir(dir.path()).unwrap();
        let masters =
            masters.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("master")).count();
        assert_eq!(masters, 1);
    }

    #[test]
    fn a_damaged_master_key_that_nothing_needs_is_in_nobodys_way() {
        let (dir, vault) = vault();
        let first = vault.present_or_made(NOW).unwrap().name();
        let damaged = dir.path().join("contact-master-999999999999999-0123456789abcdef.key");
        std::fs::write(&damaged, "garbage\n").unwrap();
        make_private(&damaged);
        let second = vault.present_or_made(NOW.plus_seconds(31 * 24 * 3600)).unwrap().name();
        assert_eq!(rotate(dir.path()).unwrap(), 2);
        assert!(!damaged.exists(), "no key needs it");
        let again = Vault::open(dir.path()).unwrap();
        assert!(again.key(&first).is_some() && again.key(&second).is_some());
    }

    #[test]
    fn what_is_left_of_a_destruction_is_in_nobodys_way_and_no_key_counts_as_destroyed_before_it_is() {
        let (dir, vault) = vault();
        let name = vault.present_or_made(NOW).unwrap().name();
        let left = dir.path().join(format!("contact-{name}.destroyed"));
        // A directory of that name can't be overwritten, whoever asks.
        std::fs::create_dir(&left).unwrap();
        assert!(Vault::open(dir.path()).unwrap().key(&name).is_some());
        assert!(vault.close(&name));
        assert!(vault.destroy(&name).unwrap_err().to_string().contains("can't be destroyed"));
        std::fs::remove_dir(&left).unwrap();
        assert!(vault.destroy(&name).unwrap());
    }

    fn make_private(file: &Path) {
        #[cfg(unix)]
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    #[test]
    fn a_missing_or_wrong_master_key_is_a_clear_refusal() {
        let (dir, vault) = vault();
        let name = vault.present_or_made(NOW).unwrap().name();
        let master = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.to_string_lossy().contains("contact-master-"))
            .unwrap();
        let text = std::fs::read_to_string(&master).unwrap();
        let sentence = || Vault::open(dir.path()).err().unwrap().to_string();
        std::fs::remove_file(&master).unwrap();
        assert!(sentence().contains(&name), "{}", sentence());
        std::fs::write(&master, "garbage\n").unwrap();
        make_private(&master);
        assert!(sentence().contains("is damaged"), "{}", sentence());
        assert_eq!(Vault::open_what_can_be_read(dir.path()).unwrap().names().len(), 0);
        let other = crate::http::conditional::base64url(&[7; 32]);
        std::fs::write(&master, format!("{other}\n")).unwrap();
        assert!(sentence().contains("another master key"), "{}", sentence());
        std::fs::write(&master, text).unwrap();
        assert!(Vault::open(dir.path()).is_ok());
    }
}
