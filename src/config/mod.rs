//! The settings: read once, checked together, typed from then on.
//!
//! Each setting is one row of [`SETTINGS`]: its variable, its flag, its default and what is allowed.
//! The environment (with `.env`) gives values, flags win. A test keeps `.env.example` in step.

mod checks;
mod network;
mod settings;
mod source;
mod values;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use phonenumber::country;
use secrecy::SecretString;

pub use self::checks::Check;
pub use self::network::Network;
pub use self::settings::{SETTINGS, Setting};
use self::source::Source;
use self::values::{
    base_url, checks, database_file, in_range, language, log_directives, log_format, networks, on_or_off, origins,
    roles, template,
};
use crate::auth::Role;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The cost of a password hash (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl PasswordCost {
    /// OWASP's recommendation for Argon2id: 19 MiB, two passes, one lane.
    pub const RECOMMENDED: Self = Self { memory_kib: 19 * 1024, passes: 2 };
}

/// After how many minutes sign-ins end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInLimits {
    /// Without use.
    pub unused_minutes: i64,
    /// However much they are used.
    pub lifetime_minutes: i64,
}

/// The key that signs access tokens, where it does not lie in the key directory.
#[derive(Debug, Clone)]
pub struct GivenKeys {
    /// The private key, PKCS#8 PEM.
    pub signing: SecretString,
    /// Public keys whose tokens are still accepted, PEM.
    pub former: String,
}

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct MailServer {
    /// The server with user and password, as lettre reads it.
    pub url: SecretString,
    /// Whom mails come from.
    pub from: Mailbox,
}

/// How a content delivery network wants to be told what to purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CdnForm {
    /// Fastly.
    Fastly,
    /// Cloudflare.
    Cloudflare,
    /// Varnish, with what `docs/cdn.md` sets it up with.
    Varnish,
}

/// For how long a content delivery network holds an answer, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedFreshness {
    /// Fresh.
    pub max_age: u32,
    /// Stale, while it asks for a new one (RFC 5861).
    pub stale: u32,
}

/// The content delivery network in front.
#[derive(Debug, Clone)]
pub struct Cdn {
    /// How it wants to be told.
    pub form: CdnForm,
    /// Where.
    pub purge_url: String,
    /// With which token.
    pub token: Option<SecretString>,
    /// For how long it holds answers.
    pub freshness: SharedFreshness,
}

/// How many connections may be open, and how slow clients may be.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// How many may be open at the same time.
    pub most: usize,
    /// For how long one may be silent between two requests.
    pub keep_alive: Duration,
    /// For how long the head of a request may take to arrive. Not a setting: tests lower it.
    pub head: Duration,
    /// For how long the body of a request may take to arrive.
    pub body: Duration,
}

/// The settings as the program uses them.
#[derive(Debug, Clone)]
pub struct Config {
    /// Holds the database and the keys.
    pub data_dir: PathBuf,
    /// The database file.
    pub database: PathBuf,
    /// Holds the token key pair.
    pub key_dir: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where clients reach the program, without a slash at its end.
    pub public_url: String,
    /// Where the public site is, without a slash at its end.
    pub site_url: String,
    /// The path of an article on the site, with `{slug}`.
    pub article_path: String,
    /// The path of an author on the site, with `{slug}`.
    pub author_path: String,
    /// The path of a category on the site, with `{slug}`.
    pub category_path: String,
    /// The path of the site's page for previews, with `{token}`; none where it has none.
    pub preview_path: Option<String>,
    /// Whether the example site is served beside the API: with `serve --demo` alone.
    pub shows_site: bool,
    /// The site's language, a BCP 47 tag.
    pub language: String,
    /// Origins that may call sign-in and management.
    pub cors_origins: Vec<String>,
    /// The key that signs access tokens, where it is given by setting.
    pub token_keys: Option<GivenKeys>,
    /// When sign-ins of most roles end.
    pub sign_ins: SignInLimits,
    /// When those of the roles admin and intake end.
    pub privileged_sign_ins: SignInLimits,
    /// The roles that must have a second factor.
    pub second_factor_roles: Vec<Role>,
    /// Whether sign-in is throttled.
    pub rate_limits: bool,
    /// Proxies whose word about a client's address counts.
    pub trusted_proxies: Vec<Network>,
    /// The page that invitations and resets link to.
    pub redeem_url: String,
    /// How mail is sent, where it is.
    pub mail: Option<MailServer>,
    /// The quality checks that refuse a publication.
    pub blocking_checks: Vec<Check>,
    /// After how many days an article should be checked by an expert again.
    pub review_days: i64,
    /// How many revisions of an article are kept, beside those that something points at; none for all.
    pub most_revisions: Option<u32>,
    /// The country whose phone numbers need no country code.
    pub country: country::Id,
    /// How many messages a minute a network may send before they are suspected.
    pub contact_suspicious: i64,
    /// How many messages a minute a network may send at all.
    pub contact_most: i64,
    /// The page where intake reads messages, which notices link to.
    pub inbox_url: String,
    /// How many bytes of delivery answers are kept; 0 for none.
    pub cache_bytes: u64,
    /// For how many seconds delivery answers are fresh.
    pub cache_max_age: u32,
    /// The content delivery network in front, where there is one.
    pub cdn: Option<Cdn>,
    /// Threads that answer requests.
    pub workers: usize,
    /// How many connections may be open, and how slow clients may be.
    pub connections: Connections,
    /// Directives of the log.
    pub log: String,
    /// The form of the log.
    pub log_format: LogFormat,
    /// The cost of a password hash. Not a setting: tests lower it.
    pub password_cost: PasswordCost,
}

/// A setting that is not right, in one line.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    variable: &'static str,
    /// None where it is a secret.
    value: Option<String>,
    allowed: &'static str,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} is {value:?}, which is not allowed: give {}", self.variable, self.allowed),
            None => write!(f, "{} has a value that is not allowed: give {}", self.variable, self.allowed),
        }
    }
}

impl std::error::Error for InvalidSetting {}

impl Config {
    /// The program and those of its settings that answers of delivery show, in one line.
    pub fn shown_in_answers(&self) -> String {
        let Self { public_url, site_url, article_path, author_path, category_path, language, country, .. } = self;
        let country = format!("{country:?}");
        [env!("CARGO_PKG_VERSION"), public_url, site_url, article_path, author_path, category_path, language, &country]
            .join(" ")
    }

    /// Reads the settings; `value` gives what is set for a variable.
    ///
    /// # Errors
    /// The first setting whose value is not allowed.
    pub fn load(value: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let source = Source { value: &value };
        let data_dir = source
            .read("COPYDESK_DATA_DIR", |text| Some(PathBuf::from(text)))?
            .unwrap_or_else(|| PathBuf::from("data"));
        let database = source.read("DATABASE_URL", database_file)?.unwrap_or_else(|| data_dir.join("copydesk.db"));
        let key_dir =
            source.read("COPYDESK_KEY_DIR", |text| Some(PathBuf::from(text)))?.unwrap_or_else(|| data_dir.join("keys"));
        let listen = source
            .read("COPYDESK_LISTEN", |text| text.parse().ok())?
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
        let public_url = source.read("COPYDESK_PUBLIC_URL", base_url)?.unwrap_or_else(|| format!("http://{listen}"));
        Ok(Self {
            database,
            key_dir,
            listen,
            site_url: source.read("COPYDESK_SITE_URL", base_url)?.unwrap_or_else(|| public_url.clone()),
            article_path: source
                .read("COPYDESK_ARTICLE_PATH", |text| template(text, "{slug}"))?
                .unwrap_or_else(|| "/articles/{slug}".to_owned()),
            author_path: source
                .read("COPYDESK_AUTHOR_PATH", |text| template(text, "{slug}"))?
                .unwrap_or_else(|| "/authors/{slug}".to_owned()),
            category_path: source
                .read("COPYDESK_CATEGORY_PATH", |text| template(text, "{slug}"))?
                .unwrap_or_else(|| "/categories/{slug}".to_owned()),
            preview_path: source.read("COPYDESK_PREVIEW_PATH", |text| template(text, "{token}"))?,
            shows_site: false,
            language: source.read("COPYDESK_LANGUAGE", language)?.unwrap_or_else(|| "en".to_owned()),
            cors_origins: source.read("COPYDESK_CORS_ORIGINS", origins)?.unwrap_or_default(),
            token_keys: source.token_keys()?,
            sign_ins: source.sign_in_limits("COPYDESK_SIGN_IN", (12 * 60, 30 * 24 * 60))?,
            privileged_sign_ins: source.sign_in_limits("COPYDESK_PRIVILEGED_SIGN_IN", (30, 12 * 60))?,
            second_factor_roles: source.read("COPYDESK_SECOND_FACTOR_ROLES", roles)?.unwrap_or_default(),
            rate_limits: source.read("COPYDESK_RATE_LIMITS", on_or_off)?.unwrap_or(true),
            trusted_proxies: source.read("COPYDESK_TRUSTED_PROXIES", networks)?.unwrap_or_default(),
            redeem_url: source.read("COPYDESK_REDEEM_URL", base_url)?.unwrap_or_else(|| format!("{public_url}/redeem")),
            mail: source.mail()?,
            blocking_checks: source.read("COPYDESK_BLOCKING_CHECKS", checks)?.unwrap_or_default(),
            review_days: source.read("COPYDESK_REVIEW_DAYS", |text| in_range(text, 1, 36_500))?.unwrap_or(730),
            most_revisions: source.most_revisions()?,
            country: source.read("COPYDESK_COUNTRY", |text| text.parse().ok())?.unwrap_or(country::US),
            contact_suspicious: source.per_minute("COPYDESK_CONTACT_SUSPECT_PER_MINUTE", 5)?,
            contact_most: source.per_minute("COPYDESK_CONTACT_MOST_PER_MINUTE", 30)?,
            inbox_url: source
                .read("COPYDESK_INBOX_URL", base_url)?
                .unwrap_or_else(|| format!("{public_url}/api/v1/manage/contact-submissions")),
            cache_bytes: source.read("COPYDESK_CACHE_BYTES", |text| in_range(text, 0, 1 << 40))?.unwrap_or(64 << 20),
            cache_max_age: source.read("COPYDESK_CACHE_MAX_AGE", |text| in_range(text, 0, 86_400))?.unwrap_or(0),
            cdn: source.cdn()?,
            workers: source
                .read("COPYDESK_WORKERS", |text| in_range(text, 1, 64))?
                .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
            connections: source.connections()?,
            log: source.read("COPYDESK_LOG", log_directives)?.unwrap_or_else(|| "warn".to_owned()),
            log_format: source.read("COPYDESK_LOG_FORMAT", log_format)?.unwrap_or(LogFormat::Text),
            password_cost: PasswordCost::RECOMMENDED,
            public_url,
            data_dir,
        })
    }

    /// Serves the example site: where the settings name no other, it is the public site.
    pub fn show_site(&mut self) {
        self.shows_site = true;
        if self.site_url == self.public_url && self.preview_path.is_none() {
            self.preview_path = Some("/preview?token={token}".to_owned());
        }
    }

    /// Takes the address that the program listens on in the place of that of the settings, also in the addresses that
    /// follow from it.
    pub fn listens_on(&mut self, address: SocketAddr) {
        let (wanted, found) = (format!("http://{}", self.listen), format!("http://{address}"));
        for url in [&mut self.public_url, &mut self.site_url, &mut self.redeem_url, &mut self.inbox_url] {
            if let Some(path) = url.strip_prefix(&wanted).filter(|path| path.is_empty() || path.starts_with('/')) {
                *url = format!("{found}{path}");
            }
        }
        self.listen = address;
    }

    /// When a sign-in of this role ends.
    pub fn sign_in_limits(&self, role: Role) -> SignInLimits {
        if role.is_privileged() { self.privileged_sign_ins } else { self.sign_ins }
    }

    /// The address of an article on the public site.
    pub fn article_url(&self, slug: &str) -> String {
        format!("{}{}", self.site_url, self.article_path.replace("{slug}", slug))
    }

    /// The page of the public site for a preview.
    pub fn preview_url(&self, token: &str) -> Option<String> {
        Some(format!("{}{}", self.site_url, self.preview_path.as_ref()?.replace("{token}", token)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variable: &'static str, value: &'static str) -> Result<Config, InvalidSetting> {
        Config::load(|name| (name == variable).then(|| value.to_owned()))
    }

    #[test]
    fn nothing_need_be_set() {
        let config = Config::load(|_| None).unwrap();
        assert_eq!(config.database, PathBuf::from("data/copydesk.db"));
        assert_eq!(config.key_dir, PathBuf::from("data/keys"));
        assert_eq!(config.article_url("a-b"), "http://127.0.0.1:8080/articles/a-b");
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_allowed() {
        for (variable, value) in [
            ("COPYDESK_LISTEN", "localhost"),
            ("COPYDESK_PUBLIC_URL", "example.org"),
            ("COPYDESK_ARTICLE_PATH", "/articles"),
            ("COPYDESK_PREVIEW_PATH", "/preview?slug={slug}"),
            ("COPYDESK_LANGUAGE", "English"),
            ("COPYDESK_CORS_ORIGINS", "https://a.example/path"),
            ("COPYDESK_CACHE_MAX_AGE", "-1"),
            ("COPYDESK_WORKERS", "0"),
            ("COPYDESK_MOST_CONNECTIONS", "15"),
            ("COPYDESK_KEEP_ALIVE", "0"),
            ("COPYDESK_BODY_TIMEOUT", "1h"),
            ("COPYDESK_LOG_FORMAT", "xml"),
            ("COPYDESK_SECOND_FACTOR_ROLES", "admin,boss"),
            ("COPYDESK_TRUSTED_PROXIES", "10.0.0.0/33"),
            ("COPYDESK_RATE_LIMITS", "maybe"),
            ("COPYDESK_MOST_REVISIONS", "0"),
            ("COPYDESK_BLOCKING_CHECKS", "missing_alt,spelling"),
            ("COPYDESK_REVIEW_DAYS", "0"),
            ("COPYDESK_SIGN_IN_UNUSED_MINUTES", "0"),
            ("COPYDESK_MAIL_FROM", "nobody"),
            ("DATABASE_URL", "postgres://localhost/db"),
        ] {
            let message = load(variable, value).unwrap_err().to_string();
            assert!(message.contains(variable) && message.contains(value) && message.contains("give"), "{message}");
            assert_eq!(message.lines().count(), 1);
        }
    }

    #[test]
    fn every_setting_is_in_the_readme_with_its_default() {
        let readme = include_str!("../../README.md");
        for row in SETTINGS {
            let line = readme.lines().find(|line| line.starts_with(&format!("| `{}` |", row.variable)));
            let line = line.unwrap_or_else(|| panic!("{} is missing", row.variable));
            assert!(line.ends_with(&format!("| {} |", row.default)), "{line}");
            assert_eq!(line.contains(&format!("`--{}`", row.flag)), !row.secret, "{line}");
        }
    }

    #[test]
    fn the_value_of_a_secret_is_not_repeated() {
        for variable in ["COPYDESK_TOKEN_KEY", "COPYDESK_SMTP_URL"] {
            let message = load(variable, "swordfish").unwrap_err().to_string();
            assert!(message.contains(variable) && !message.contains("swordfish"), "{message}");
        }
    }

    #[test]
    fn every_setting_is_in_the_example_file_with_its_default() {
        let example = include_str!("../../.env.example");
        for row in SETTINGS {
            assert!(example.contains(&format!("# {}=", row.variable)), "{} is missing", row.variable);
            assert!(example.contains(row.help), "the help of {} differs", row.variable);
            assert!(example.contains(row.allowed), "what {} allows differs", row.variable);
        }
    }

    #[test]
    fn every_line_of_the_example_file_can_be_taken_as_it_is() {
        let example =
            include_str!("../../.env.example").replace("# COPYDESK_", "COPYDESK_").replace("# DATABASE_", "DATABASE_");
        let values: Vec<_> = dotenvy::from_read_iter(example.as_bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(values.len(), SETTINGS.len());
    }
}
