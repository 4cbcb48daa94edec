//! What the commands do.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal;

use super::{Command, DocumentFormat, check, fixtures, keys, lock, tell, user};
use crate::auth::files::make_private_dir;
use crate::config::Config;
use crate::db::Db;
use crate::http::Problem;
use crate::state::{App, Clock};
use crate::users;
use crate::{demo, generate, server, telemetry};

/// Runs a command.
///
/// # Errors
/// A sentence that says what went wrong and what to do.
pub(super) fn run(command: Command, config: Config) -> Result<(), String> {
    telemetry::start(&config);
    let runtime = actix_web::rt::System::new();
    match command {
        Command::Serve { demo } => runtime.block_on(serve(config, demo)),
        Command::User(command) => runtime.block_on(user::run(command, config)),
        Command::Keys(command) => runtime.block_on(keys::run(command, &config)),
        Command::Migrate => {
            let _lock = locked(&config)?;
            open_database(&config)?;
            tell(&format!("The database {} is up to date.", config.database.display()));
            Ok(())
        }
        Command::Check => runtime.block_on(check::run(&config)),
        Command::Openapi { format: DocumentFormat::Json } => {
            print(&server::openapi_json().map_err(|error| error.to_string())?)
        }
        Command::Openapi { format: DocumentFormat::Yaml } => {
            print(&server::openapi_yaml().map_err(|error| error.to_string())?)
        }
        Command::Fixtures { out } => fixtures::write(&out),
        Command::Generate { articles } => runtime.block_on(generate_articles(config, articles)),
    }
}

pub(super) fn print(text: &str) -> Result<(), String> {
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(|error| format!("standard output can't be written: {error}"))
}

pub(super) fn sentence(problem: &Problem) -> String {
    let faults: Vec<_> = problem
        .faults()
        .iter()
        .map(|fault| format!("{}: {}", fault.pointer.as_deref().unwrap_or_default(), fault.message))
        .collect();
    if faults.is_empty() { problem.to_string() } else { faults.join(" ") }
}

pub(super) fn locked(config: &Config) -> Result<lock::Lock, String> {
    prepare_data_dir(config)?;
    lock::take(&config.database)
}

pub(super) fn prepare_data_dir(config: &Config) -> Result<(), String> {
    make_private_dir(&config.data_dir)
        .map_err(|error| format!("{} can't be made or restricted: {error}", config.data_dir.display()))
}

pub(super) fn open_database(config: &Config) -> Result<Db, String> {
    prepare_data_dir(config)?;
    Db::open(&config.database, Clock::default()).map_err(|error| error.to_string())
}

/// Opens the database beside a running server, too: what is due is migrated only where none runs, since an older
/// one would not know the new form.
pub(super) fn open_beside_server(config: &Config) -> Result<Db, String> {
    prepare_data_dir(config)?;
    if let Err(holder) = lock::try_take(&config.database)?
        && Db::needs_migration(&config.database).map_err(|error| error.to_string())?
    {
        return Err(format!(
            "the database needs migrations that the running process {holder} does not know; restart it first"
        ));
    }
    open_database(config)
}

async fn serve(mut config: Config, with_demo: bool) -> Result<(), String> {
    let _lock = locked(&config)?;
    if with_demo {
        config.show_site();
    }
    let (socket, address) = server::bind(config.listen)?;
    config.listens_on(address);
    let app = server::open(config, Clock::default())?;
    let welcome = if with_demo { add_demo(&app).await? } else { None };
    let running = server::start(app, socket).inspect_err(|_| {
        // What is shown once is shown although nothing is served.
        if let Some(welcome) = &welcome {
            tell(welcome);
        }
    })?;
    greet(&running, welcome).await?;
    let handle = running.handle.clone();
    actix_web::rt::spawn(async move {
        stop_signal().await;
        tell("Stopping: requests in flight are finished first. Once more stops at once.");
        let again = handle.clone();
        actix_web::rt::spawn(async move {
            stop_signal().await;
            again.stop(false).await;
        });
        handle.stop(true).await;
    });
    running.serve().await.map_err(|error| format!("the server failed: {error}"))
}

async fn add_demo(app: &App) -> Result<Option<String>, String> {
    let added = demo::add(app).await.map_err(|problem| sentence(&problem))?;
    Ok(Some(match added {
        Some(added) => {
            let sign_in = match added.password {
                Some(password) => {
                    format!(
                        "Sign in as {} or, to read contact messages, as {} with the password {password} (shown this \
                         once).",
                        demo::ADMIN_EMAIL,
                        demo::INTAKE_EMAIL
                    )
                }
                None => "Sign in with an account that you have made.".to_owned(),
            };
            format!(
                "  {} sample articles and {} invented contact messages were added.\n  {sign_in}",
                added.articles, added.messages
            )
        }
        None => "  There is content already, so no sample content was added.".to_owned(),
    }))
}

async fn greet(running: &server::Running, welcome: Option<String>) -> Result<(), String> {
    let (config, address) = (&running.app.config, running.address);
    tell(&format!("copydesk {} serves on http://{address}", env!("CARGO_PKG_VERSION")));
    if config.shows_site {
        tell(&format!("  Site  http://{address}/"));
    }
    tell(&format!("  API   http://{address}/api/v1/articles"));
    tell(&format!("  Docs  http://{address}/docs/"));
    tell(&format!("  Data  {}", config.database.display()));
    if let Some(welcome) = welcome {
        tell(&welcome);
    } else if running.app.db.read(users::count).await.map_err(|problem: Problem| sentence(&problem))? == 0 {
        tell("There is no account yet. Create the first one in another terminal:");
        tell("  copydesk user create --email you@example.org --name You --role admin --password-stdin");
    }
    for warning in warnings(config) {
        tell(&format!("  Warning: {warning}"));
    }
    tell("Stop it with Ctrl-C.");
    Ok(())
}

/// What a site that is open to the world should not leave as it is.
fn warnings(config: &Config) -> Vec<&'static str> {
    if !config.public_url.starts_with("https://") {
        return Vec::new();
    }
    let no_second_factor = config.second_factor_roles.is_empty().then_some(
        "no role needs a second factor; COPYDESK_SECOND_FACTOR_ROLES=admin,intake asks for one where it matters most.",
    );
    let keys_beside_data = (config.token_keys.is_none() && config.key_dir.starts_with(&config.data_dir)).then_some(
        "the keys lie beside the database, so a copy of the data directory holds both; COPYDESK_KEY_DIR parts them.",
    );
    no_second_factor.into_iter().chain(keys_beside_data).collect()
}

/// Ctrl-C or SIGTERM.
async fn stop_signal() {
    #[cfg(unix)]
    {
        let Ok(mut terminate) = signal::unix::signal(signal::unix::SignalKind::terminate()) else {
            drop(signal::ctrl_c().await);
            return;
        };
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    drop(signal::ctrl_c().await);
}

async fn generate_articles(config: Config, number: u64) -> Result<(), String> {
    let _lock = locked(&config)?;
    let db = open_database(&config)?;
    let bar = ProgressBar::new(number);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} articles, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    let now = Clock::default().now();
    let outcome = generate::generate(&db, &config.language, number, now, |stored| bar.inc(stored)).await;
    bar.finish_and_clear();
    outcome.map_err(|problem| sentence(&problem))?;
    tell(&format!("{number} articles are in {}.", config.database.display()));
    Ok(())
}
