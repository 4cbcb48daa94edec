//! How the texts of settings are read; none where one is not allowed.

use std::path::PathBuf;

use secrecy::SecretString;

use super::{CdnForm, Check, LogFormat, Network};
use crate::auth::Role;

pub(super) fn roles(text: &str) -> Option<Vec<Role>> {
    if text == "none" { Some(Vec::new()) } else { text.split(',').map(|name| Role::from_name(name.trim())).collect() }
}

pub(super) fn checks(text: &str) -> Option<Vec<Check>> {
    let check = |name: &str| Check::ALL.iter().copied().find(|check| check.name() == name.trim());
    if text == "none" { Some(Vec::new()) } else { text.split(',').map(check).collect() }
}

pub(super) fn networks(text: &str) -> Option<Vec<Network>> {
    text.split(',').map(|network| network.trim().parse().ok()).collect()
}

pub(super) fn on_or_off(text: &str) -> Option<bool> {
    match text {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

pub(super) fn cdn_form(text: &str) -> Option<CdnForm> {
    match text {
        "fastly" => Some(CdnForm::Fastly),
        "cloudflare" => Some(CdnForm::Cloudflare),
        "varnish" => Some(CdnForm::Varnish),
        _ => None,
    }
}

pub(super) fn smtp_url(text: &str) -> Option<SecretString> {
    let transport = lettre::AsyncSmtpTransport::<lettre::Tokio1Executor>::from_url(text);
    transport.is_ok().then(|| SecretString::from(text))
}

pub(super) fn database_file(text: &str) -> Option<PathBuf> {
    let file = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")).unwrap_or(text);
    (!file.is_empty() && !file.contains("://") && !file.starts_with(':')).then(|| PathBuf::from(file))
}

pub(super) fn base_url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let plain = rest.chars().all(|c| c.is_ascii_graphic() && !"?#\"<>\\^`{|}".contains(c));
    (plain && !rest.starts_with('/') && !rest.is_empty()).then(|| text.trim_end_matches('/').to_owned())
}

/// A path that holds `place` once, and no other braces.
pub(super) fn template(text: &str, place: &str) -> Option<String> {
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !"\"<>\\^`|".contains(c));
    let braces = text.matches('{').count() == 1 && text.matches(place).count() == 1;
    (plain && text.starts_with('/') && braces).then(|| text.to_owned())
}

/// Whether the text has the form of a BCP 47 tag as sites use them: language, script, region, variants.
pub(super) fn language(text: &str) -> Option<String> {
    let mut parts = text.split('-');
    let primary = parts.next()?;
    let fits = (2..=3).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    (fits && text.len() <= 35).then(|| crate::text::canonical_language(text))
}

pub(super) fn origins(text: &str) -> Option<Vec<String>> {
    text.split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| {
            // Browsers send the host in lower case.
            let url = base_url(&origin.to_ascii_lowercase())?;
            let host = url.split_once("://")?.1;
            (!host.contains('/')).then_some(url)
        })
        .collect()
}

pub(super) fn in_range<T: std::str::FromStr + PartialOrd>(text: &str, least: T, most: T) -> Option<T> {
    text.parse::<T>().ok().filter(|number| *number >= least && *number <= most)
}

pub(super) fn log_directives(text: &str) -> Option<String> {
    text.parse::<tracing_subscriber::filter::Targets>().ok().map(|_| text.to_owned())
}

pub(super) fn log_format(text: &str) -> Option<LogFormat> {
    match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    }
}
