//! The server: what every subsystem gives, answered at one door.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use stratum_core::digest::Digest;
use stratum_core::secret::Secret;
use stratum_core::text::{Harmless, LONGEST};
use stratum_runtime::Stop;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::door::{self, Door, Peer};
use crate::error::ServerError;
use crate::limits::LAST;
use crate::part::{Check, Numbers, Part, Task, Unread};
use crate::tls::Tls;

/// *Source*: OpenMetrics 1.0, section "Protocol Negotiation".
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The names of all metrics begin alike.
pub(crate) fn registry() -> Registry {
    Registry::with_prefix("stratum")
}

/// What every subsystem gives, on its way to be answered.
pub struct Server {
    routes: Router,
    tasks: Vec<Task>,
    tls: Option<Arc<Tls>>,
    desk: Desk,
}

/// What `/healthz`, `/readyz` and `/metrics` answer from.
struct Desk {
    checks: Vec<Arc<dyn Check>>,
    numbers: Vec<Arc<dyn Numbers>>,
    registry: Registry,
    /// Whoever shows this may read what is not said to strangers.
    token: Option<Secret>,
}

impl Server {
    /// A server that nobody can reach yet, of no subsystem.
    pub fn new(token: Option<Secret>) -> Self {
        Self {
            routes: Router::new(),
            tasks: Vec::new(),
            tls: None,
            desk: Desk {
                checks: Vec::new(),
                numbers: Vec::new(),
                registry: registry(),
                token,
            },
        }
    }

    /// The same, encrypted, if there is something to do it with.
    pub fn encrypted(mut self, tls: Option<Arc<Tls>>) -> Self {
        self.tls = tls;
        self
    }

    /// The same, with what one more subsystem gives.
    pub fn with(mut self, part: Part) -> Self {
        for numbers in &part.numbers {
            numbers.register(&mut self.desk.registry);
        }
        self.routes = self.routes.merge(part.routes);
        self.tasks.extend(part.tasks);
        self.desk.checks.extend(part.checks);
        self.desk.numbers.extend(part.numbers);
        self
    }

    fn router(routes: Router, desk: Desk) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics_text))
            .with_state(Arc::new(desk))
            .merge(routes)
    }

    /// Begins the work of every subsystem, and answers at `listener`, if there is one, until the
    /// reconciler stops; what is being answered then comes to its end ([`Answering::ended`]).
    pub fn start(self, listener: Option<TcpListener>, stop: Stop) -> Answering {
        for task in self.tasks {
            tokio::spawn(task);
        }
        let Some(listener) = listener else {
            return Answering(None);
        };
        let router = Self::router(self.routes, self.desk);
        Answering(Some(tokio::spawn(async move {
            let service = router.into_make_service_with_connect_info::<Peer>();
            let ended = axum::serve(Door::new(listener, self.tls), service)
                .with_graceful_shutdown(async move { stop.stopped().await })
                .await;
            if let Err(error) = ended {
                tracing::error!(%error, "nothing is answered over HTTP any more");
            }
        })))
    }
}

/// A server that answers.
pub struct Answering(Option<JoinHandle<()>>);

impl Answering {
    /// Returns when nothing is being answered any more, and at the latest after a few seconds; to be
    /// waited for once the reconciler stopped.
    pub async fn ended(self) {
        if let Some(task) = self.0 {
            // What takes longer is cut off with the process.
            let _late = tokio::time::timeout(LAST, task).await;
        }
    }
}

impl Desk {
    fn is_alive(&self) -> Result<(), String> {
        self.checks.iter().try_for_each(|check| check.is_alive())
    }

    fn is_ready(&self) -> Result<(), String> {
        self.checks.iter().try_for_each(|check| check.is_ready())
    }

    /// All numbers as they are now.
    async fn numbers(&self) -> Result<String, Unread> {
        for numbers in &self.numbers {
            numbers.look().await?;
        }
        let mut text = String::new();
        let _infallible = encode(&mut text, &self.registry);
        Ok(text)
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
pub fn token(file: Option<&Path>) -> Result<Option<Secret>, ServerError> {
    let Some(file) = file else { return Ok(None) };
    let bytes = std::fs::read(file).map_err(|source| ServerError::Token {
        file: file.to_owned(),
        source,
    })?;
    let token = bytes.trim_ascii();
    match token.len() < 16 {
        true => Err(ServerError::ShortToken {
            file: file.to_owned(),
        }),
        false => Ok(Some(Secret::new(token.to_vec()))),
    }
}

/// Takes the address, so that a mistake in it is said before anything is begun.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ServerError> {
    door::take_descriptors();
    let bound = TcpListener::bind(address).await;
    bound.map_err(|source| ServerError::Address { address, source })
}

type Asked = (State<Arc<Desk>>, ConnectInfo<Peer>, HeaderMap);

async fn healthz((State(desk), ConnectInfo(peer), headers): Asked) -> Response {
    answer(desk.is_alive(), desk.knows(peer, &headers))
}

async fn readyz((State(desk), ConnectInfo(peer), headers): Asked) -> Response {
    answer(desk.is_ready(), desk.knows(peer, &headers))
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
    match desk.numbers().await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::warn!(%error, "the metrics cannot be read");
            let text = "the state cannot be read; the log says why\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::Mutex;

    use async_trait::async_trait;
    use prometheus_client::metrics::gauge::Gauge;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    struct Full;

    impl Check for Full {
        fn is_ready(&self) -> Result<(), String> {
            Err("the shelf is full".to_owned())
        }
    }

    #[derive(Default)]
    struct Books(Gauge);

    #[async_trait]
    impl Numbers for Books {
        fn register(&self, registry: &mut Registry) {
            registry.register("books", "Books on the shelf", self.0.clone());
        }

        async fn look(&self) -> Result<(), Unread> {
            self.0.set(3);
            Ok(())
        }
    }

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn begin(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut answer = String::new();
        let mut stream = begin(address, path).await;
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_subsystem_is_one_part_with_all_that_it_gives() {
        let (done, worked) = oneshot::channel();
        let part = Part::default()
            .answering(Router::new().route("/shelf", get(|| async { "here" })))
            .checked(Arc::new(Full))
            .counted(Arc::new(Books::default()))
            .working(async move { done.send(()).unwrap() });
        let (listener, address) = listener().await;
        Server::new(None)
            .with(part)
            .start(Some(listener), Stop::default());
        worked.await.unwrap();
        assert!(ask(address, "/shelf").await.ends_with("here"));
        assert!(ask(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let ready = ask(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503") && ready.ends_with("the shelf is full\n"));
        let metrics = ask(address, "/metrics").await;
        assert!(metrics.contains("\nstratum_books 3\n"), "{metrics}");
    }

    #[tokio::test]
    async fn what_is_being_answered_when_it_stops_comes_to_its_end() {
        let (asked, being_asked) = oneshot::channel();
        let (release, released) = oneshot::channel::<()>();
        let once = Arc::new(Mutex::new(Some((asked, released))));
        let slow = get(move || async move {
            let (asked, released) = once.lock().unwrap().take().unwrap();
            asked.send(()).unwrap();
            released.await.unwrap();
            "the end"
        });
        let (listener, address) = listener().await;
        let stop = Stop::default();
        let part = Part::default().answering(Router::new().route("/slow", slow));
        let answering = Server::new(None)
            .with(part)
            .start(Some(listener), stop.clone());
        let mut stream = begin(address, "/slow").await;
        being_asked.await.unwrap();
        stop.stop();
        let ended = tokio::spawn(answering.ended());
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!ended.is_finished(), "it is waited for");
        release.send(()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("the end"), "{answer}");
        ended.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
