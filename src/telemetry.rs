//! The log: to standard error, as lines for people or as JSON.

use std::io::{IsTerminal, Write};

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat};

/// Starts the log; a second call in one process changes nothing.
pub(crate) fn start(config: &Config) {
    keep_panics_silent();
    let filter: Targets = config.log.parse().unwrap_or_default();
    let registry = tracing_subscriber::registry().with(filter);
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // A log that runs already, as in tests, is kept.
    drop(match config.log_format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    });
}

/// Where a panic happened is told, never its words: they may repeat what a person wrote.
fn keep_panics_silent() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // Nobody is left to hear that standard error is closed.
        drop(writeln!(std::io::stderr(), "copydesk: a panic at {place}"));
    }));
}
