//! The composition: operations, middleware, start and stop.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::ServerBuilder;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::dev::{AppConfig, Server, ServerHandle, fn_service};
use actix_web::http::header::HeaderName;
use actix_web::middleware::from_fn;
use actix_web::rt::task::JoinHandle;
use actix_web::{App as Service, web};
use futures_util::future::ready;
use tokio::net::TcpSocket;

use crate::auth::address::UntrustedProxy;
use crate::auth::files::make_private_dir;
use crate::auth::limits::{FloodLimits, Limits};
use crate::auth::passwords::Passwords;
use crate::auth::secrets::ServerSecret;
use crate::auth::tokens::Tokens;
use crate::changes::AnonymousEvents;
use crate::compute::{Pool, half_of_the_processors};
use crate::config::Config;
use crate::db::{Db, served_with};
use crate::http::answer_cache::AnswerCache;
use crate::http::api::{Before, Scoped, Surface};
use crate::http::connections::{self, Connections};
use crate::http::stream::Stream;
use crate::http::{Operations, answer_cache, edge, openapi};
use crate::idempotency;
use crate::mail::Mailer;
use crate::memo::Memo;
use crate::promotions::Promotions;
use crate::state::{App, Clock};
use crate::vault::Vault;
use crate::{
    articles, audit, auth, authors, categories, cdn, contact, jobs, ops, pages, redirects, resolve, site, tags, users,
};

/// How long requests in flight may go on after the program was told to stop, in seconds.
const SHUTDOWN_SECONDS: u64 = 10;
/// How long what still comes is taken from a client that was refused, so that it can read why.
const LINGER: Duration = Duration::from_secs(1);
/// How many connections may wait to be taken, as far as the system allows so many.
const BACKLOG: u32 = 1024;
/// How many open files a connection takes, and how many everything else.
const FILES_OF_CONNECTION: usize = 2;
const OTHER_FILES: usize = 256;

/// Which part of the answer cache's bytes is for what many answers show alike.
const MEMO_SHARE: u64 = 8;
/// Texts that may wait to be rendered.
const RENDERINGS_WAITING: usize = 64;

/// Everything that is served.
pub fn operations() -> Operations {
    Operations::new()
        .merge(articles::operations())
        .merge(authors::operations())
        .merge(categories::operations())
        .merge(tags::operations())
        .merge(site::operations())
        .merge(redirects::operations())
        .merge(resolve::operations())
        .merge(contact::operations())
        .merge(auth::operations())
        .merge(users::operations())
        .merge(audit::operations())
        .merge(ops::operations())
}

/// The `OpenAPI` document of everything that is served, as pretty JSON with a newline at its end.
///
/// # Errors
/// Never, unless a description can't be written as JSON.
pub fn openapi_json() -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&openapi_document()).map(|text| text + "\n")
}

/// The same as YAML 1.2.
///
/// # Errors
/// Never, unless a description can't be written as YAML.
pub fn openapi_yaml() -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(&openapi_document())
}

fn openapi_document() -> serde_json::Value {
    openapi::document(&operations(), &ops::INFO)
}

/// A server that listens.
pub struct Running {
    /// Where it listens: the port that was found where the settings said 0.
    pub address: SocketAddr,
    /// Its shared state.
    pub app: Arc<App>,
    /// Stops it.
    pub handle: ServerHandle,
    server: Server,
    jobs: Vec<JoinHandle<()>>,
}

impl Running {
    /// Serves until it is stopped, and finishes what must not be lost.
    ///
    /// # Errors
    /// What the server fails with.
    pub async fn serve(self) -> std::io::Result<()> {
        let outcome = self.server.await;
        self.jobs.iter().for_each(JoinHandle::abort);
        jobs::finish(&self.app).await;
        outcome
    }
}

/// Opens the data directory: database, migrations and keys.
///
/// # Errors
/// A sentence that says what could not be opened and why.
pub fn open(config: Config, clock: Clock) -> Result<App, String> {
    make_private_dir(&config.data_dir)
        .map_err(|error| format!("{} can't be made or restricted: {error}", config.data_dir.display()))?;
    let vault = Vault::open(&config.key_dir).map_err(|error| error.to_string())?;
    let floods = FloodLimits::new(config.rate_limits, config.contact_suspicious, config.contact_most);
    let db = Db::open_checked(&config.database, clock.clone(), |conn| {
        contact::check_keys(conn, &vault)?;
        served_with(conn, &config.shown_in_answers(), clock.now())?;
        floods.remember_fallback_text(&contact::fallback_text(conn)?);
        Ok(())
    });
    let db = db.map_err(|error| error.to_string())?;
    Ok(App {
        tokens: Tokens::open(&config)?,
        passwords: Passwords::new(config.password_cost)?,
        renderer: Pool::new("renderer", half_of_the_processors(), RENDERINGS_WAITING)?,
        secret: ServerSecret::open(&config.key_dir)?,
        limits: Limits::new(config.rate_limits),
        floods,
        answers: AnswerCache::new(config.cache_bytes - config.cache_bytes / MEMO_SHARE),
        memo: Memo::new(config.cache_bytes / MEMO_SHARE),
        vault,
        mailer: config.mail.as_ref().map(Mailer::new).transpose()?,
        anonymous: AnonymousEvents::default(),
        untrusted_proxy: UntrustedProxy::default(),
        promotions: Promotions::new(articles::promote_due),
        running: idempotency::Running::default(),
        finishing: tokio::sync::Mutex::default(),
        config,
        db,
        clock,
    })
}

/// Takes an address to listen on, so that nobody else can, and says which it is where it says port 0. Nobody can connect
/// before [`start`].
///
/// # Errors
/// A sentence that says why the address can't be listened on.
pub fn bind(address: SocketAddr) -> Result<(TcpSocket, SocketAddr), String> {
    let bound = bound(address, false).or_else(|error| match error.kind() {
        // Connections that an earlier run has closed still hold the port, and it is free for who shares it with them.
        ErrorKind::AddrInUse if cfg!(unix) && address.port() != 0 => bound(address, true),
        _ => Err(error),
    });
    bound.map_err(cannot_listen(address))
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<(TcpSocket, SocketAddr)> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(shared)?;
    socket.bind(address)?;
    // With them it is shared now; another program that would share it as well is refused.
    socket.set_reuseaddr(false)?;
    let found = socket.local_addr()?;
    Ok((socket, found))
}

/// Listens on an address that is taken: from now on connections wait to be accepted.
///
/// # Errors
/// What the system says.
pub fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    // Connections take this over, so that the next run can have the port at once.
    socket.set_reuseaddr(cfg!(unix))?;
    socket.listen(BACKLOG)?.into_std()
}

fn cannot_listen(address: SocketAddr) -> impl Fn(io::Error) -> String {
    move |error| format!("{address} can't be listened on: {error}")
}

/// Builds the server and listens; nothing is answered before [`Running::serve`] is awaited.
///
/// # Errors
/// A sentence that says why the address can't be listened on.
pub fn start(app: App, socket: TcpSocket) -> Result<Running, String> {
    let listener = listen(socket).map_err(cannot_listen(app.config.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (workers, shows_site) = (app.config.workers, app.config.shows_site);
    let app = Arc::new(app);
    let state = web::Data::from(Arc::clone(&app));
    let document = web::Data::new(ops::Documents::new(operations));
    let operations = Arc::new(operations());
    let deprecations = web::Data::new(operations.deprecations());
    let origins = app.config.cors_origins.clone();
    let limits = app.config.connections;
    let connections = Connections::new(limits);
    let jobs = start_jobs(&state, &connections);
    let factory = move || {
        Service::new()
            .app_data(state.clone())
            .app_data(document.clone())
            .app_data(deprecations.clone())
            .configure(|config| register(&operations, config, &origins))
            .configure(|config| pages::register(config, shows_site, || cors(Surface::Public, &origins)))
            .configure(|config| auth::register_pages(config, || cors(Surface::Public, &origins)))
            .default_service(web::to(pages::fallback))
            .wrap(from_fn(edge::pass))
    };
    let server = ServerBuilder::default().workers(workers).disable_signals().shutdown_timeout(SHUTDOWN_SECONDS);
    let stopping = server.graceful_shutdown_signal();
    let server = server
        .max_concurrent_connections(possible_connections(limits.most).div_ceil(workers))
        .listen("http", listener, move || {
            let (connections, stopping) = (Arc::clone(&connections), stopping.clone());
            let service = factory().into_factory().map_err(|error: actix_web::Error| error.error_response());
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .client_request_timeout(limits.head)
                .client_disconnect_timeout(LINGER)
                .keep_alive(limits.keep_alive)
                .local_addr(address)
                .on_connect_ext(|stream: &Stream, extensions| stream.introduce(extensions))
                .h1(map_config(service, |()| AppConfig::default()));
            fn_service(move |socket| {
                let opened = Stream::opened(socket, &connections).map_err(DispatchError::Io);
                ready(opened.map(|stream| {
                    let peer = stream.peer();
                    (stream, peer)
                }))
            })
            .and_then(http)
        })
        .map_err(cannot_listen(address))?
        .run();
    Ok(Running { address, app, handle: server.handle(), server, jobs })
}

/// What goes on beside the requests, each by itself: a mail server that does not answer holds up no other job.
fn start_jobs(state: &web::Data<App>, connections: &Arc<Connections>) -> Vec<JoinHandle<()>> {
    let mut jobs = vec![
        actix_web::rt::spawn(jobs::run(state.clone())),
        actix_web::rt::spawn(jobs::promote(state.clone())),
        actix_web::rt::spawn(jobs::mail(state.clone())),
        actix_web::rt::spawn(sweep(Arc::clone(connections))),
    ];
    jobs.extend(state.config.cdn.clone().map(|cdn| actix_web::rt::spawn(cdn::purging::run(state.clone(), cdn))));
    jobs
}

async fn sweep(connections: Arc<Connections>) {
    loop {
        tokio::time::sleep(connections::SWEEP).await;
        connections.close_late();
    }
}

/// How many connections may be open, as far as the system allows so many files.
fn possible_connections(wanted: usize) -> usize {
    let files = (wanted * FILES_OF_CONNECTION + OTHER_FILES) as u64;
    let allowed = rlimit::increase_nofile_limit(files).unwrap_or(files);
    if allowed >= files {
        return wanted;
    }
    let possible = usize::try_from(allowed).unwrap_or(usize::MAX).saturating_sub(OTHER_FILES) / FILES_OF_CONNECTION;
    let possible = possible.max(1);
    tracing::warn!(
        "only {possible} of {wanted} connections are possible, since the system allows {allowed} open files; raise `ulimit -n`"
    );
    possible
}

fn register(operations: &Operations, config: &mut web::ServiceConfig, origins: &[String]) {
    for Scoped { prefix, resources } in operations.resources() {
        let mut scope = web::scope(prefix);
        for (resource, surface, before) in resources {
            let (bounds, cors) = (from_fn(edge::bound_headers), cors(surface, origins));
            // The outermost comes last.
            scope = match before {
                Before::Idempotency => scope.service(resource.wrap(from_fn(idempotency::pass)).wrap(bounds).wrap(cors)),
                Before::AnswerCache => {
                    scope.service(resource.wrap(from_fn(answer_cache::pass)).wrap(bounds).wrap(cors))
                }
                Before::Nothing => scope.service(resource.wrap(bounds).wrap(cors)),
            };
        }
        config.service(scope);
    }
}

fn cors(surface: Surface, origins: &[String]) -> Cors {
    let exposed = edge::EXPOSED_HEADERS.split(", ").map(HeaderName::from_static);
    let common = Cors::default()
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
        .expose_headers(exposed)
        .allow_any_header()
        .block_on_origin_mismatch(false)
        .max_age(3600);
    match surface {
        // One answer for every origin: `Vary: Origin` would only split caches.
        Surface::Public => common.allow_any_origin().send_wildcard().disable_vary_header(),
        Surface::Private => origins.iter().fold(common, |cors, origin| cors.allowed_origin(origin)),
    }
}
