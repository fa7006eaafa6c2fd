//! What the reconciler answers over HTTP: webhook, health, metrics.
//!
//! *Guarantees*: nothing here decides anything. The worst that a request can do is to make the
//! reconciler look at its repository once more; the loop does not wait for any of it.

mod door;
mod health;
mod metrics;
mod webhook;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use stratum_core::digest::Digest;
use stratum_core::secret::Secret;
use stratum_core::text::{Harmless, LONGEST};
use stratum_forge::announce::Announcer;
use stratum_forge::github::GitHub;
use stratum_repo::RefWatcher;
use stratum_runtime::{Progress, Stop};
use stratum_store::SqliteStore;
use tokio::net::TcpListener;

use crate::failure::CommandError;
use crate::serve::door::{Door, Peer};
use crate::serve::health::Health;
use crate::serve::metrics::Metrics;
pub(crate) use crate::serve::webhook::Webhook;

/// All metrics with one of each label, as `/metrics` gives them.
pub(crate) fn sample_of_metrics() -> String {
    Metrics::sample()
}

/// Everything that is answered from.
pub(crate) struct Desk {
    health: Health,
    metrics: Metrics,
    pub(crate) webhook: Webhook,
    /// Whoever shows this may read what is not said to strangers.
    token: Option<Secret>,
    sources: Sources,
}

/// Where the answers come from.
pub(crate) struct Sources {
    /// The state.
    pub(crate) store: Arc<SqliteStore>,
    /// The file of the state.
    pub(crate) state: std::path::PathBuf,
    /// Makes the reconciler look.
    pub(crate) wake: Arc<RefWatcher>,
    /// The forge, where one is named.
    pub(crate) forge: Option<(Arc<GitHub>, Arc<Announcer>)>,
}

impl Desk {
    /// A desk that nobody can reach yet.
    pub(crate) fn new(webhook: Webhook, token: Option<Secret>, sources: Sources) -> Arc<Self> {
        Arc::new(Self {
            health: Health::default(),
            metrics: Metrics::new(),
            webhook,
            token,
            sources,
        })
    }

    /// Takes in what the loop says.
    pub(crate) fn take(&self, progress: &Progress) {
        self.health.take(progress);
        self.metrics.take(progress);
    }

    /// The reconciler was told to stop.
    pub(crate) fn stopping(&self) {
        self.health.stopping();
    }

    /// Whether who asks may read names, counts and reasons: whoever is on this machine, unless a
    /// proxy asks for somebody else, and whoever shows the token.
    fn knows(&self, peer: Peer, headers: &HeaderMap) -> bool {
        let proxied = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
        if peer.is_here() && !proxied.iter().any(|name| headers.contains_key(*name)) {
            return true;
        }
        let shown = headers.get(header::AUTHORIZATION);
        let shown = shown.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        let token = self.token.as_ref().map(Secret::expose);
        shown
            .zip(token)
            .is_some_and(|(shown, token)| same(shown, token))
    }
}

/// Compares in a time that does not depend on where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    let digests = [one, other].map(|bytes| Digest::of_bytes(bytes).to_string());
    let [one, other] = digests;
    let differing = one
        .bytes()
        .zip(other.bytes())
        .fold(0, |all, (a, b)| all | (a ^ b));
    differing == 0
}

/// Reads the token of `--metrics-token-file`.
pub(crate) fn token(file: Option<&std::path::Path>) -> Result<Option<Secret>, CommandError> {
    let Some(file) = file else { return Ok(None) };
    let name = format!("the token in `{}`", file.display());
    let bytes = std::fs::read(file)
        .map_err(|error| CommandError::given(format!("{name} cannot be read")).because(&error))?;
    let token = bytes.trim_ascii();
    match token.len() < 16 {
        true => Err(
            CommandError::given(format!("{name} has less than 16 bytes"))
                .hint("`openssl rand -hex 32` makes a good one"),
        ),
        false => Ok(Some(Secret::new(token.to_vec()))),
    }
}

/// Takes the address, so that a mistake in it is said before anything is begun.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, CommandError> {
    door::take_descriptors();
    TcpListener::bind(address).await.map_err(|error| {
        CommandError::given(format!("`{address}` cannot be listened on"))
            .because(&error)
            .hint("`ss -ltnp` shows who listens where; another port may be free")
    })
}

/// Answers until the reconciler stops; what is being answered then comes to its end.
pub(crate) fn start(listener: TcpListener, desk: Arc<Desk>, stop: Stop) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .route("/webhook", post(webhook::receive))
        .with_state(desk);
    tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<Peer>();
        let ended = axum::serve(Door::new(listener), service)
            .with_graceful_shutdown(async move { stop.stopped().await })
            .await;
        if let Err(error) = ended {
            tracing::error!(%error, "nothing is answered over HTTP any more");
        }
    });
}

type Asked = (State<Arc<Desk>>, ConnectInfo<Peer>, HeaderMap);

async fn healthz((State(desk), ConnectInfo(peer), headers): Asked) -> Response {
    answer(desk.health.is_alive(), desk.knows(peer, &headers))
}

async fn readyz((State(desk), ConnectInfo(peer), headers): Asked) -> Response {
    answer(desk.health.is_ready(), desk.knows(peer, &headers))
}

/// Strangers learn whether it is so, and not why.
fn answer(state: Result<(), String>, knows: bool) -> Response {
    let no = StatusCode::SERVICE_UNAVAILABLE;
    match state {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(reason) if knows => {
            let reason = Harmless::line(&reason).cut(LONGEST);
            (no, format!("{reason}\n")).into_response()
        }
        Err(_) => (no, "not now\n").into_response(),
    }
}

async fn metrics_text((State(desk), ConnectInfo(peer), headers): Asked) -> Response {
    if !desk.knows(peer, &headers) {
        let text =
            "the metrics are for this machine, or with the token of `--metrics-token-file`\n";
        let realm = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, realm, text).into_response();
    }
    match desk.metrics.text(&desk.sources).await {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the metrics cannot be read");
            let text = "the state cannot be read; the log says why\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}
