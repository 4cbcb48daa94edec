//! Reads the settings that take more than a line.

use std::time::Duration;

use lettre::message::Mailbox;
use secrecy::SecretString;

use super::values::{base_url, cdn_form, in_range, smtp_url};
use super::{
    Cdn, CdnForm, Connections, GivenKeys, InvalidSetting, MailServer, SETTINGS, SharedFreshness, SignInLimits,
};

/// Where settings are read from.
pub(super) struct Source<'a> {
    /// What is set for a variable.
    pub(super) value: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    /// The setting's value as `parse` reads it; an empty one is as good as none.
    pub(super) fn read<T>(
        &self,
        variable: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, InvalidSetting> {
        let Some(text) = (self.value)(variable).filter(|text| !text.trim().is_empty()) else {
            return Ok(None);
        };
        let row = SETTINGS.iter().find(|row| row.variable == variable);
        match (parse(text.trim()), row) {
            (Some(value), _) => Ok(Some(value)),
            (None, Some(row)) => {
                let value = (!row.secret).then_some(text);
                Err(InvalidSetting { variable: row.variable, value, allowed: row.allowed })
            }
            (None, None) => Ok(None),
        }
    }

    pub(super) fn token_keys(&self) -> Result<Option<GivenKeys>, InvalidSetting> {
        let pem = |text: &str| text.contains("-----BEGIN ").then(|| text.replace("\\n", "\n"));
        let signing = self.read("COPYDESK_TOKEN_KEY", pem)?;
        let former = self.read("COPYDESK_TOKEN_FORMER_KEYS", pem)?.unwrap_or_default();
        Ok(signing.map(|signing| GivenKeys { signing: signing.into(), former }))
    }

    pub(super) fn sign_in_limits(&self, prefix: &str, default: (i64, i64)) -> Result<SignInLimits, InvalidSetting> {
        let minutes = |name: &str| self.read(&format!("{prefix}_{name}"), |text| in_range(text, 5, 525_600));
        Ok(SignInLimits {
            unused_minutes: minutes("UNUSED_MINUTES")?.unwrap_or(default.0),
            lifetime_minutes: minutes("LIFETIME_MINUTES")?.unwrap_or(default.1),
        })
    }

    pub(super) fn cdn(&self) -> Result<Option<Cdn>, InvalidSetting> {
        let Some(form) = self.read("COPYDESK_CDN", cdn_form)? else { return Ok(None) };
        let purge_url = self.needed("COPYDESK_CDN_PURGE_URL", base_url)?;
        let token = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| SecretString::from(text));
        let token = match form {
            CdnForm::Varnish => self.read("COPYDESK_CDN_TOKEN", token)?,
            CdnForm::Fastly | CdnForm::Cloudflare => Some(self.needed("COPYDESK_CDN_TOKEN", token)?),
        };
        let seconds = |variable, least, most| self.read(variable, |text| in_range(text, least, most));
        let max_age = seconds("COPYDESK_CDN_MAX_AGE", 1, 31_536_000)?.unwrap_or(86_400);
        let stale = seconds("COPYDESK_CDN_STALE", 0, 86_400)?.unwrap_or(10);
        Ok(Some(Cdn { form, purge_url, token, freshness: SharedFreshness { max_age, stale } }))
    }

    /// The value of a setting that another one needs.
    fn needed<T>(&self, variable: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, InvalidSetting> {
        let missing = SETTINGS.iter().find(|row| row.variable == variable);
        match (self.read(variable, parse)?, missing) {
            (Some(value), _) => Ok(value),
            (None, row) => {
                let (variable, allowed) = row.map_or(("", ""), |row| (row.variable, row.allowed));
                Err(InvalidSetting { variable, value: Some(String::new()), allowed })
            }
        }
    }

    pub(super) fn connections(&self) -> Result<Connections, InvalidSetting> {
        Ok(Connections {
            most: self.read("COPYDESK_MOST_CONNECTIONS", |text| in_range(text, 16, 1_000_000))?.unwrap_or(8192),
            keep_alive: self.seconds("COPYDESK_KEEP_ALIVE", 75)?,
            head: Duration::from_secs(10),
            body: self.seconds("COPYDESK_BODY_TIMEOUT", 30)?,
        })
    }

    fn seconds(&self, variable: &str, default: u64) -> Result<Duration, InvalidSetting> {
        let seconds = self.read(variable, |text| in_range(text, 1, 3600))?.unwrap_or(default);
        Ok(Duration::from_secs(seconds))
    }

    pub(super) fn per_minute(&self, variable: &str, default: i64) -> Result<i64, InvalidSetting> {
        Ok(self.read(variable, |text| in_range(text, 1, 10_000))?.unwrap_or(default))
    }

    pub(super) fn most_revisions(&self) -> Result<Option<u32>, InvalidSetting> {
        let bound = |text: &str| in_range(text, 1, 100_000).or_else(|| (text == "all").then_some(u32::MAX));
        Ok(self.read("COPYDESK_MOST_REVISIONS", bound)?.filter(|most| *most != u32::MAX))
    }

    pub(super) fn mail(&self) -> Result<Option<MailServer>, InvalidSetting> {
        let url = self.read("COPYDESK_SMTP_URL", smtp_url)?;
        let from = self.read("COPYDESK_MAIL_FROM", |text| text.parse::<Mailbox>().ok())?;
        let from = from.or_else(|| "copydesk@localhost".parse().ok());
        Ok(url.zip(from).map(|(url, from)| MailServer { url, from }))
    }
}
