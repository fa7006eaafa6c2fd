//! What the reconciler answers over HTTP: webhook, health, metrics.
//!
//! *Guarantees*: nothing here decides anything. The worst that a request can do is to make the
//! reconciler look at its repository once more; the loop does not wait for any of it.

mod health;
mod metrics;
mod webhook;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use stratum_forge::announce::Announcer;
use stratum_forge::github::GitHub;
use stratum_repo::RefWatcher;
use stratum_runtime::{Progress, Stop};
use stratum_store::SqliteStore;
use tokio::net::TcpListener;

use crate::failure::CommandError;
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
    pub(crate) fn new(webhook: Webhook, sources: Sources) -> Arc<Self> {
        Arc::new(Self {
            health: Health::default(),
            metrics: Metrics::new(),
            webhook,
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
}

/// Takes the address, so that a mistake in it is said before anything is begun.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, CommandError> {
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
        let ended = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stop.stopped().await })
            .await;
        if let Err(error) = ended {
            tracing::error!(%error, "nothing is answered over HTTP any more");
        }
    });
}

async fn healthz(State(desk): State<Arc<Desk>>) -> Response {
    answer(desk.health.is_alive())
}

async fn readyz(State(desk): State<Arc<Desk>>) -> Response {
    answer(desk.health.is_ready())
}

fn answer(state: Result<(), String>) -> Response {
    match state {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics_text(State(desk): State<Arc<Desk>>) -> Response {
    match desk.metrics.text(&desk.sources).await {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the metrics cannot be read");
            let text = "the state cannot be read; the log says why\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}
