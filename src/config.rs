//! The settings: read once, checked together, typed from then on.
//!
//! Each setting is one row of [`SETTINGS`]: its variable, its flag, its default and what is allowed.
//! The environment (with `.env`) gives values, flags win. A test keeps `.env.example` in step.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One setting, for the command line's help, `.env.example` and error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The environment variable.
    pub variable: &'static str,
    /// The long flag, without its dashes.
    pub flag: &'static str,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// What holds without it, in words.
    pub default: &'static str,
    /// What is allowed, in words.
    pub allowed: &'static str,
}

/// Every setting.
pub static SETTINGS: &[Setting] = &[
    Setting {
        variable: "COPYDESK_DATA_DIR",
        flag: "data-dir",
        help: "The directory that holds the database and the keys; made where there is none",
        default: "data",
        allowed: "a path",
    },
    Setting {
        variable: "DATABASE_URL",
        flag: "database-url",
        help: "The SQLite database file",
        default: "copydesk.db in the data directory",
        allowed: "a path, or sqlite: and a path",
    },
    Setting {
        variable: "COPYDESK_KEY_DIR",
        flag: "key-dir",
        help: "The directory that holds the key pair which signs access tokens",
        default: "keys in the data directory",
        allowed: "a path",
    },
    Setting {
        variable: "COPYDESK_LISTEN",
        flag: "listen",
        help: "The address and port to listen on",
        default: "127.0.0.1:8080",
        allowed: "an IP address and a port, such as 0.0.0.0:8080 or [::1]:8080",
    },
    Setting {
        variable: "COPYDESK_PUBLIC_URL",
        flag: "public-url",
        help: "Where clients reach this program; names the issuer of access tokens",
        default: "http:// and the listen address",
        allowed: "an http or https URL without query or fragment",
    },
    Setting {
        variable: "COPYDESK_SITE_URL",
        flag: "site-url",
        help: "Where the public site is, which the url of an article starts with",
        default: "the public URL",
        allowed: "an http or https URL without query or fragment",
    },
    Setting {
        variable: "COPYDESK_ARTICLE_PATH",
        flag: "article-path",
        help: "The path of an article on the public site",
        default: "/articles/{slug}",
        allowed: "a path that starts with / and holds {slug} once",
    },
    Setting {
        variable: "COPYDESK_LANGUAGE",
        flag: "language",
        help: "The site's language: what an article has that names none, and what lists show by default",
        default: "en",
        allowed: "a BCP 47 tag, such as en, es or pt-BR",
    },
    Setting {
        variable: "COPYDESK_CORS_ORIGINS",
        flag: "cors-origins",
        help: "The origins whose pages may call sign-in and management; delivery answers any origin",
        default: "none",
        allowed: "origins separated by commas, such as https://admin.example.org",
    },
    Setting {
        variable: "COPYDESK_CACHE_MAX_AGE",
        flag: "cache-max-age",
        help: "For how many seconds caches may hold delivery answers without asking",
        default: "0",
        allowed: "whole seconds from 0 to 86400",
    },
    Setting {
        variable: "COPYDESK_WORKERS",
        flag: "workers",
        help: "How many threads answer requests",
        default: "the number of processors",
        allowed: "a number from 1 to 64",
    },
    Setting {
        variable: "COPYDESK_LOG",
        flag: "log",
        help: "How much is logged, to standard error",
        default: "warn",
        allowed: "error, warn, info, debug, trace, or tracing directives such as copydesk=debug",
    },
    Setting {
        variable: "COPYDESK_LOG_FORMAT",
        flag: "log-format",
        help: "The form of the log",
        default: "text",
        allowed: "text or json",
    },
];

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
    /// The site's language, a BCP 47 tag.
    pub language: String,
    /// Origins that may call sign-in and management.
    pub cors_origins: Vec<String>,
    /// For how many seconds delivery answers are fresh.
    pub cache_max_age: u32,
    /// Threads that answer requests.
    pub workers: usize,
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
    value: String,
    allowed: &'static str,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}, which is not allowed: give {}", self.variable, self.value, self.allowed)
    }
}

impl std::error::Error for InvalidSetting {}

impl Config {
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
            public_url,
            article_path: source
                .read("COPYDESK_ARTICLE_PATH", article_path)?
                .unwrap_or_else(|| "/articles/{slug}".to_owned()),
            language: source.read("COPYDESK_LANGUAGE", language)?.unwrap_or_else(|| "en".to_owned()),
            cors_origins: source.read("COPYDESK_CORS_ORIGINS", origins)?.unwrap_or_default(),
            cache_max_age: source.read("COPYDESK_CACHE_MAX_AGE", |text| in_range(text, 0, 86_400))?.unwrap_or(0),
            workers: source
                .read("COPYDESK_WORKERS", |text| in_range(text, 1, 64))?
                .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
            log: source.read("COPYDESK_LOG", log_directives)?.unwrap_or_else(|| "warn".to_owned()),
            log_format: source.read("COPYDESK_LOG_FORMAT", log_format)?.unwrap_or(LogFormat::Text),
            password_cost: PasswordCost::RECOMMENDED,
            data_dir,
        })
    }

    /// The address of an article on the public site.
    pub fn article_url(&self, slug: &str) -> String {
        format!("{}{}", self.site_url, self.article_path.replace("{slug}", slug))
    }
}

struct Source<'a> {
    value: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    /// The setting's value as `parse` reads it; an empty one is as good as none.
    fn read<T>(&self, variable: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, InvalidSetting> {
        let Some(text) = (self.value)(variable).filter(|text| !text.trim().is_empty()) else {
            return Ok(None);
        };
        let row = SETTINGS.iter().find(|row| row.variable == variable);
        match (parse(text.trim()), row) {
            (Some(value), _) => Ok(Some(value)),
            (None, Some(row)) => Err(InvalidSetting { variable: row.variable, value: text, allowed: row.allowed }),
            (None, None) => Ok(None),
        }
    }
}

fn database_file(text: &str) -> Option<PathBuf> {
    let file = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")).unwrap_or(text);
    (!file.is_empty() && !file.contains("://") && !file.starts_with(':')).then(|| PathBuf::from(file))
}

fn base_url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let plain = rest.chars().all(|c| c.is_ascii_graphic() && !"?#\"<>\\^`{|}".contains(c));
    (plain && !rest.starts_with('/') && !rest.is_empty()).then(|| text.trim_end_matches('/').to_owned())
}

fn article_path(text: &str) -> Option<String> {
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !"\"<>\\^`|".contains(c));
    let braces = text.matches('{').count() == 1 && text.matches("{slug}").count() == 1;
    (plain && text.starts_with('/') && braces).then(|| text.to_owned())
}

/// Whether the text has the form of a BCP 47 tag as sites use them: language, script, region, variants.
fn language(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let primary = parts.next()?;
    let fits = (2..=3).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_lowercase())
        && parts.all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    (fits && text.len() <= 35).then(|| text.to_owned())
}

fn origins(text: &str) -> Option<Vec<String>> {
    text.split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| {
            let url = base_url(origin)?;
            let host = url.split_once("://")?.1;
            (!host.contains('/')).then_some(url)
        })
        .collect()
}

fn in_range<T: std::str::FromStr + PartialOrd>(text: &str, least: T, most: T) -> Option<T> {
    text.parse::<T>().ok().filter(|number| *number >= least && *number <= most)
}

fn log_directives(text: &str) -> Option<String> {
    text.parse::<tracing_subscriber::filter::Targets>().ok().map(|_| text.to_owned())
}

fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
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
            ("COPYDESK_LANGUAGE", "English"),
            ("COPYDESK_CORS_ORIGINS", "https://a.example/path"),
            ("COPYDESK_CACHE_MAX_AGE", "-1"),
            ("COPYDESK_WORKERS", "0"),
            ("COPYDESK_LOG_FORMAT", "xml"),
            ("DATABASE_URL", "postgres://localhost/db"),
        ] {
            let message = load(variable, value).unwrap_err().to_string();
            assert!(message.contains(variable) && message.contains(value) && message.contains("give"), "{message}");
            assert_eq!(message.lines().count(), 1);
        }
    }

    #[test]
    fn every_setting_is_in_the_example_file_with_its_default() {
        let example = include_str!("../.env.example");
        for row in SETTINGS {
            assert!(example.contains(&format!("# {}=", row.variable)), "{} is missing", row.variable);
            assert!(example.contains(row.help), "the help of {} differs", row.variable);
            assert!(example.contains(row.allowed), "what {} allows differs", row.variable);
        }
    }
}
