//! The command line: what each command takes and does.
//!
//! Results go to standard output, words about them to standard error. The server holds a lock in the data
//! directory: `user`, `keys`, `check` and `openapi` work beside it, `generate` and `migrate` refuse and say who holds it.

mod check;
mod commands;
mod fixtures;
mod keys;
mod lock;
mod user;

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::auth::Role;
use crate::config::{Config, SETTINGS};

/// A headless CMS in one small program: articles, authors, categories and contact messages as a JSON API.
#[derive(Parser)]
#[command(name = "copydesk", version, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API.
    #[command(after_help = "Example:\n  copydesk serve --demo\n\nThen open http://127.0.0.1:8080/docs/")]
    Serve {
        /// Adds sample content, once, where there is none, with an admin whose password is printed.
        #[arg(long)]
        demo: bool,
    },
    /// Manage accounts; works beside a running server.
    #[command(subcommand)]
    User(UserCommand),
    /// Manage the keys: those that sign access tokens and, with --contact, those that seal contact messages; works
    /// beside a running server.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Run the migrations that are due, and nothing else.
    #[command(after_help = "Example:\n  copydesk migrate --data-dir /var/lib/copydesk")]
    Migrate,
    /// Look whether the data is whole; works beside a running server.
    #[command(after_help = "Example:\n  copydesk check --data-dir /var/lib/copydesk")]
    Check,
    /// Print the `OpenAPI` document.
    #[command(
        after_help = "Examples:\n  copydesk openapi > openapi.json\n  copydesk openapi --format yaml > openapi.yaml"
    )]
    Openapi {
        /// What it is written in.
        #[arg(long, value_enum, default_value_t = DocumentFormat::Json)]
        format: DocumentFormat,
    },
    /// Write recorded requests and answers of every operation as JSON files, to test a front end without a server.
    #[command(after_help = "Example:\n  copydesk fixtures --out fixtures")]
    Fixtures {
        /// The directory, which is made where it is not there.
        #[arg(long, value_name = "DIRECTORY")]
        out: PathBuf,
    },
    /// Add made-up articles for load tests: the same number gives the same content.
    #[command(after_help = "Example:\n  copydesk generate --articles 100000 --data-dir /tmp/load")]
    Generate {
        /// How many articles.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
        articles: u64,
    },
}

/// What the document is written in.
#[derive(Clone, Copy, ValueEnum)]
enum DocumentFormat {
    /// JSON (RFC 8259).
    Json,
    /// YAML 1.2.
    Yaml,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Let a new key sign from now on; tokens of the former one are accepted until they end. With --contact: make a new
    /// master key, and wrap the keys of contact messages with it.
    #[command(after_help = "Examples:\n  copydesk keys rotate\n  copydesk keys rotate --contact")]
    Rotate {
        /// The master key of contact messages, instead of the key that signs.
        #[arg(long)]
        contact: bool,
    },
    /// List the keys whose tokens are accepted, the one that signs first.
    #[command(after_help = "Example:\n  copydesk keys list")]
    List,
    /// Write the keys of contact messages to a file under a passphrase, for who keeps it in another place. It opens
    /// every message of its months, in every backup: destroy it when you replace it.
    #[command(
        after_help = "Example:\n  copydesk keys export --contact --passphrase-stdin contact-keys.json < passphrase"
    )]
    Export {
        /// Keys of contact messages; those that sign tokens are not worth keeping.
        #[arg(long, required = true)]
        contact: bool,
        /// Reads the passphrase from standard input: at least 15 characters.
        #[arg(long, required = true)]
        passphrase_stdin: bool,
        /// The file; it must not be there yet.
        file: PathBuf,
    },
    /// Bring keys of contact messages back from a file of `keys export`; those that are there stay as they are.
    #[command(
        after_help = "Example:\n  copydesk keys import --contact --passphrase-stdin contact-keys.json < passphrase"
    )]
    Import {
        /// Keys of contact messages.
        #[arg(long, required = true)]
        contact: bool,
        /// Reads the passphrase from standard input.
        #[arg(long, required = true)]
        passphrase_stdin: bool,
        /// The file.
        file: PathBuf,
    },
    /// Count the contact messages that no key opens and, with --erase, erase them, for who has lost keys for good. The
    /// server must be stopped.
    #[command(after_help = "Example:\n  copydesk keys forget --contact\n  copydesk keys forget --contact --erase 12")]
    Forget {
        /// Keys of contact messages.
        #[arg(long, required = true)]
        contact: bool,
        /// How many messages are to be erased: as many as there are without a key.
        #[arg(long, value_name = "NUMBER")]
        erase: Option<u64>,
    },
}

#[derive(Subcommand)]
enum UserCommand {
    /// Create an account, with a password from standard input or with an invitation link.
    #[command(
        after_help = "Example:\n  echo 'a long and secret phrase' | copydesk user create \\\n    --email ada@example.org --name Ada --role editor --password-stdin"
    )]
    Create {
        /// The email to sign in with.
        #[arg(long, value_name = "EMAIL")]
        email: String,
        /// The person's name.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What the account may do.
        #[arg(long, value_name = "ROLE", value_parser = role)]
        role: Role,
        /// Reads the password from standard input: 15 to 128 characters. Without it, a link is made with which the
        /// person chooses one; it is mailed where a mail server is set, else printed.
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the accounts.
    #[command(after_help = "Example:\n  copydesk user list")]
    List,
    /// Set an account's password, read from standard input.
    #[command(
        after_help = "Example:\n  echo 'another long and secret phrase' | copydesk user set-password --email ada@example.org --password-stdin"
    )]
    SetPassword {
        /// The email of the account.
        #[arg(long, value_name = "EMAIL")]
        email: String,
        /// Reads the password from standard input: 15 to 128 characters.
        #[arg(long, required = true)]
        password_stdin: bool,
    },
    /// Make a link with which a person chooses another password, once.
    #[command(after_help = "Example:\n  copydesk user reset-link --email ada@example.org")]
    ResetLink {
        /// The email of the account.
        #[arg(long, value_name = "EMAIL")]
        email: String,
    },
    /// Switch an account's second factor off, for who has lost it.
    #[command(after_help = "Example:\n  copydesk user reset-second-factor --email ada@example.org")]
    ResetSecondFactor {
        /// The email of the account.
        #[arg(long, value_name = "EMAIL")]
        email: String,
    },
    /// Disable an account: it can't sign in any more, and its tokens end at once.
    #[command(after_help = "Example:\n  copydesk user disable --email ada@example.org")]
    Disable {
        /// The email of the account.
        #[arg(long, value_name = "EMAIL")]
        email: String,
    },
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_name(text).ok_or_else(|| {
        let names: Vec<_> = Role::ALL.iter().map(|role| role.name()).collect();
        format!("give one of {}", names.join(", "))
    })
}

/// Runs the program.
pub fn run() -> ExitCode {
    let matches = with_settings(Cli::command()).get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let flags: HashMap<&str, String> = SETTINGS
        .iter()
        .filter_map(|row| {
            let deepest = deepest(&matches);
            if row.secret {
                return None;
            }
            deepest.get_one::<String>(row.variable).map(|value| (row.variable, value.clone()))
        })
        .collect();
    match configured(&flags).and_then(|config| commands::run(cli.command, config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            tell(&format!("copydesk: {message}"));
            ExitCode::FAILURE
        }
    }
}

fn deepest(matches: &clap::ArgMatches) -> &clap::ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| deepest(inner))
}

/// Adds a flag for each setting that is no secret, to every command.
fn with_settings(command: clap::Command) -> clap::Command {
    SETTINGS.iter().filter(|row| !row.secret).fold(command, |command, row| {
        command.arg(
            Arg::new(row.variable)
                .long(row.flag)
                .value_name("VALUE")
                .global(true)
                .help_heading("Settings")
                .help(format!("{} [env: {}] [default: {}]", row.help, row.variable, row.default)),
        )
    })
}

/// The settings: flags win over the environment, which wins over `.env`.
fn configured(flags: &HashMap<&str, String>) -> Result<Config, String> {
    let file: HashMap<String, String> = match dotenvy::dotenv_iter() {
        Ok(pairs) => pairs.collect::<Result<_, _>>().map_err(|error| format!(".env can't be read: {error}"))?,
        Err(error) if error.not_found() => HashMap::new(),
        Err(error) => return Err(format!(".env can't be read: {error}")),
    };
    // What is not UTF-8 is none of ours.
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    warn_of_unknown(file.keys().cloned().chain(variables));
    let value =
        |name: &str| flags.get(name).cloned().or_else(|| std::env::var(name).ok()).or_else(|| file.get(name).cloned());
    Config::load(value).map_err(|error| error.to_string())
}

/// A misspelt setting would otherwise be silently without effect.
fn warn_of_unknown(names: impl Iterator<Item = String>) {
    let known: Vec<String> = SETTINGS.iter().map(|row| row.variable.to_owned()).collect();
    for name in names.filter(|name| name.starts_with("COPYDESK_") && !known.contains(name)) {
        let hint = crate::http::schema::suggest(&name, &known);
        let hint = hint.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        tell(&format!("copydesk: there is no setting {name}{hint}"));
    }
}

/// Says something to the person at the terminal.
pub fn tell(words: &str) {
    // Nobody is left to hear that standard error is closed.
    drop(writeln!(std::io::stderr(), "{words}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        with_settings(Cli::command()).debug_assert();
    }
}
