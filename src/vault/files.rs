//! The key directory of the vault: one master key, and month keys that it wraps.
//!
//! `contact-master-<time>-<id>.key` holds 32 bytes in base64url; `contact-<year>-<month>-<id>.key` the id of the master
//! key on one line and the wrapped month key on the next. Every file is for its owner alone, and is put in the place of
//! the former one as a whole. A lock file keeps the program and the command line beside it apart; while a rotation is
//! under way there are two master keys, and whoever comes next finishes it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use secrecy::ExposeSecret;

use super::{Key, bound, seal, unseal};
use crate::auth::files::{DOOMED, FRESH, destroy, make_private_dir, replace_private};
use crate::auth::secrets::random_bytes;
use crate::http::conditional::{base64url, from_base64url};

const PREFIX: &str = "contact-";
const MASTER: &str = "contact-master-";
const SUFFIX: &str = ".key";
const LOCK: &str = "contact.lock";

/// What is wrong with the key directory, in a sentence that names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyDirError(pub(super) String);

/// The name of a month key: its month and eight bytes that no other has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MonthKeyId(String);

impl MonthKeyId {
    /// Reads a name such as `2026-11-0123456789abcdef`; nothing else ever becomes a part of a path.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let (year, month, id) = (parts.next()?, parts.next()?, parts.next()?);
        let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
        let is_one = digits(year, 4) && digits(month, 2) && is_hex(id) && parts.next().is_none();
        is_one.then(|| Self(name.to_owned()))
    }

    /// The year and month, as `2026-11`.
    pub(super) fn month(&self) -> &str {
        &self.0[..7]
    }
}

impl fmt::Display for MonthKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_hex(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A master key with its name: when it was made, in milliseconds, and eight bytes that no other has.
pub(super) struct MasterKey {
    pub(super) name: String,
    pub(super) key: Key,
}

/// A month key, or what is wrong with it.
pub(super) type Loaded = Result<(MonthKeyId, Key), KeyDirError>;

/// The directory.
pub(super) struct KeyDir {
    path: PathBuf,
}

impl KeyDir {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// All month keys, and what is wrong with those that can't be read.
    pub(super) fn load_all(&self) -> Result<Vec<Loaded>, KeyDirError> {
        if !self.path.is_dir() {
            return Ok(Vec::new());
        }
        let _lock = self.lock()?;
        self.check_private()?;
        self.sweep();
        let masters = self.readable_masters()?;
        Ok(self.month_ids()?.into_iter().map(|id| Ok((id.clone(), self.unwrapped(&id, &masters)?))).collect())
    }

    /// One month key.
    pub(super) fn load(&self, id: &MonthKeyId) -> Result<Key, KeyDirError> {
        let _lock = self.lock()?;
        self.unwrapped(id, &self.readable_masters()?)
    }

    /// Makes a key for a month, and the master key where there is none.
    pub(super) fn make(&self, month: &str) -> Result<(MonthKeyId, Key), KeyDirError> {
        let _lock = self.lock()?;
        let master = match self.readable_masters()?.pop() {
            Some(master) => master,
            None => self.make_master()?,
        };
        let id = MonthKeyId(format!("{month}-{}", random_hex()?));
        let key = new_key()?;
        self.write_month(&id, &key, &master)?;
        Ok((id, key))
    }

    /// Stores a month key that came from elsewhere, where there is none that can be read; whether there was none.
    pub(super) fn add(&self, id: &MonthKeyId, key: &Key) -> Result<bool, KeyDirError> {
        let _lock = self.lock()?;
        let mut masters = self.readable_masters()?;
        if self.unwrapped(id, &masters).is_ok() {
            return Ok(false);
        }
        let master = match masters.pop() {
            Some(master) => master,
            None => self.make_master()?,
        };
        self.write_month(id, key, &master)?;
        Ok(true)
    }

    pub(super) fn has(&self, id: &MonthKeyId) -> bool {
        self.file_of(id).exists()
    }

    /// Destroys a month key, and what an interrupted write or destruction of it has left.
    pub(super) fn destroy(&self, id: &MonthKeyId) -> Result<(), KeyDirError> {
        let _lock = self.lock()?;
        let file = self.file_of(id);
        for copy in [file.with_extension(DOOMED), file.with_extension(FRESH), file] {
            destroy_if_there(&copy)?;
        }
        Ok(())
    }

    /// Makes a new master key, wraps all month keys with it and destroys the others, also those that can't be read: no key
    /// needs them any more. How many month keys there are.
    pub(super) fn rotate(&self) -> Result<usize, KeyDirError> {
        self.rotate_until(usize::MAX)
    }

    /// The same, and breaks off after so many month keys, as a power cut would.
    pub(super) fn rotate_until(&self, most: usize) -> Result<usize, KeyDirError> {
        let _lock = self.lock()?;
        let (names, former) = (self.master_names()?, self.readable_masters()?);
        let fresh = self.make_master()?;
        let mut done = 0;
        for id in self.month_ids()? {
            if done == most {
                return Err(KeyDirError("the rotation broke off".to_owned()));
            }
            let key = self.unwrapped(&id, &former)?;
            self.write_month(&id, &key, &fresh)?;
            done += 1;
        }
        for name in names {
            destroy_if_there(&self.master_file(&name))?;
        }
        Ok(done)
    }

    /// Refuses a directory in which others can write, and keys that others can read.
    #[cfg(unix)]
    fn check_private(&self) -> Result<(), KeyDirError> {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).map(|file| file.permissions().mode());
        let refuse = |path: &Path, advice: &str| {
            Err(KeyDirError(format!("{} is open to other accounts of the machine: {advice}", path.display())))
        };
        if mode(&self.path).is_ok_and(|mode| mode & 0o022 != 0) {
            return refuse(&self.path, "let nobody else write there (chmod 700)");
        }
        let months = self.month_ids()?.into_iter().map(|id| self.file_of(&id));
        let masters = self.master_names()?.into_iter().map(|name| self.master_file(&name));
        for file in months.chain(masters) {
            if mode(&file).is_ok_and(|mode| mode & 0o077 != 0) {
                return refuse(&file, "let nobody else read it (chmod 600)");
            }
        }
        Ok(())
    }

    #[cfg(not(unix))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "other systems have other rights")]
    fn check_private(&self) -> Result<(), KeyDirError> {
        Ok(())
    }

    /// Destroys what an interrupted write or destruction has left. What can't be destroyed is told of, and keeps nobody
    /// from serving.
    fn sweep(&self) {
        let entries = fs::read_dir(&self.path).into_iter().flatten().filter_map(Result::ok);
        for path in entries.map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_left = path.extension().is_some_and(|extension| extension == FRESH || extension == DOOMED);
            if name.starts_with(PREFIX)
                && is_left
                && let Err(error) = destroy_if_there(&path)
            {
                tracing::error!(%error, "what is left of a key stays where it is: delete it by hand");
            }
        }
    }

    fn file_of(&self, id: &MonthKeyId) -> PathBuf {
        self.path.join(format!("{PREFIX}{id}{SUFFIX}"))
    }

    fn master_file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{MASTER}{name}{SUFFIX}"))
    }

    /// Held while files are made, replaced or destroyed.
    fn lock(&self) -> Result<File, KeyDirError> {
        make_private_dir(&self.path).map_err(|error| says(&self.path, "can't be made", &error))?;
        let path = self.path.join(LOCK);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| says(&path, "can't be opened", &error))?;
        file.lock().map_err(|error| says(&path, "can't be locked", &error))?;
        Ok(file)
    }

    fn make_master(&self) -> Result<MasterKey, KeyDirError> {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        // After every other one, also where the clock was set back: the last is the present one.
        let last = self.master_names()?.last().and_then(|name| name.split('-').next()?.parse::<u128>().ok());
        let made_at = millis.max(last.map_or(0, |last| last + 1));
        let name = format!("{made_at:015}-{}", random_hex()?);
        let key = new_key()?;
        let file = self.master_file(&name);
        replace_private(&file, format!("{}\n", base64url(key.expose_secret())).as_bytes())
            .map_err(|error| says(&file, "can't be written", &error))?;
        Ok(MasterKey { name, key })
    }

    fn master(&self, name: String) -> Result<MasterKey, KeyDirError> {
        let file = self.master_file(&name);
        let text = fs::read_to_string(&file).map_err(|error| says(&file, "can't be read", &error))?;
        let key = key_of(text.trim());
        let key = key.ok_or_else(|| KeyDirError(format!("{} does not hold 32 bytes in base64url", file.display())));
        Ok(MasterKey { name, key: key? })
    }

    /// The master keys that can be read, the present one last: more than one where a rotation broke off. What the others
    /// have wrapped says so.
    fn readable_masters(&self) -> Result<Vec<MasterKey>, KeyDirError> {
        Ok(self.master_names()?.into_iter().filter_map(|name| self.master(name).ok()).collect())
    }

    fn master_names(&self) -> Result<Vec<String>, KeyDirError> {
        let is_name = |name: &str| {
            name.split_once('-').is_some_and(|(at, id)| at.bytes().all(|b| b.is_ascii_digit()) && is_hex(id))
        };
        let mut names: Vec<String> = self.names(MASTER)?.into_iter().filter(|name| is_name(name)).collect();
        names.sort();
        Ok(names)
    }

    pub(super) fn month_ids(&self) -> Result<Vec<MonthKeyId>, KeyDirError> {
        let mut ids: Vec<_> = self.names(PREFIX)?.iter().filter_map(|name| MonthKeyId::parse(name)).collect();
        ids.sort();
        Ok(ids)
    }

    /// The names of the key files that begin so, without that and their ending.
    fn names(&self, prefix: &str) -> Result<Vec<String>, KeyDirError> {
        let entries = fs::read_dir(&self.path).map_err(|error| says(&self.path, "can't be read", &error))?;
        let name = |entry: std::io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            Some(name.strip_prefix(prefix)?.strip_suffix(SUFFIX)?.to_owned())
        };
        Ok(entries.filter_map(name).collect())
    }

    fn write_month(&self, id: &MonthKeyId, key: &Key, master: &MasterKey) -> Result<(), KeyDirError> {
        let wrapped = seal(&master.key, &binding(id), key.expose_secret()).map_err(KeyDirError)?;
        let file = self.file_of(id);
        replace_private(&file, format!("{}\n{}\n", master.name, base64url(&wrapped)).as_bytes())
            .map_err(|error| says(&file, "can't be written", &error))
    }

    fn unwrapped(&self, id: &MonthKeyId, masters: &[MasterKey]) -> Result<Key, KeyDirError> {
        let file = self.file_of(id);
        let text = fs::read_to_string(&file).map_err(|error| says(&file, "can't be read", &error))?;
        let refuse = |what: &str| KeyDirError(format!("{} {what}", file.display()));
        let mut lines = text.lines();
        let (name, wrapped) = (lines.next().unwrap_or_default(), lines.next().and_then(from_base64url));
        let wrapped = wrapped.ok_or_else(|| refuse("is not a key file of this program"))?;
        let master = masters.iter().find(|master| master.name == name).ok_or_else(|| {
            refuse(&format!("was wrapped by the master key {MASTER}{name}{SUFFIX}, which is not there or is damaged"))
        })?;
        let bytes: Option<[u8; 32]> =
            unseal(&master.key, &binding(id), &wrapped).and_then(|bytes| bytes.try_into().ok());
        let bytes = bytes.ok_or_else(|| refuse("was wrapped by another master key than the one of that name"))?;
        Ok(Key::new(Box::new(bytes)))
    }
}

/// A key from its text.
pub(super) fn key_of(text: &str) -> Option<Key> {
    let bytes: [u8; 32] = from_base64url(text)?.try_into().ok()?;
    Some(Key::new(Box::new(bytes)))
}

fn destroy_if_there(file: &Path) -> Result<(), KeyDirError> {
    match destroy(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(|error| says(file, "can't be destroyed", &error)),
    }
}

fn binding(id: &MonthKeyId) -> Vec<u8> {
    bound(&[b"month key", id.0.as_bytes()])
}

fn new_key() -> Result<Key, KeyDirError> {
    random_bytes().map(|bytes| Key::new(Box::new(bytes))).map_err(KeyDirError)
}

fn random_hex() -> Result<String, KeyDirError> {
    let bytes = random_bytes::<8>().map_err(KeyDirError)?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

fn says(path: &Path, what: &str, error: &std::io::Error) -> KeyDirError {
    KeyDirError(format!("{} {what}: {error}", path.display()))
}
