//! `/webhook`: a delivery of the forge makes the reconciler look at once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::StreamExt as _;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use stratum_forge::webhook::{Event, LONGEST, Secrets, Seen, WebhookError, is_form};

use crate::door::Peer;
use crate::error::ServerError;
use crate::limits::{BODIES, BODIES_FROM_ONE, BODY, DISCARDED, LONGEST_ID, PAUSE};
use crate::part::{Numbers, Part, Unread};

/// Makes the reconciler look at its repository.
pub type Poke = Arc<dyn Fn() + Send + Sync>;

/// What became of a delivery of the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Delivery {
    /// The repository is looked at.
    Accepted,
    /// It is of no concern.
    Ignored,
    /// It was seen before.
    Repeated,
    /// It is not genuine or not readable.
    Refused,
    /// It is longer than any of GitHub's.
    TooLong,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    result: Delivery,
}

/// What became of all deliveries.
#[derive(Default)]
pub(crate) struct Deliveries(Family<OfResult, Counter>);

impl Deliveries {
    fn count(&self, result: Delivery) {
        self.0.get_or_create(&OfResult { result }).inc();
    }

    /// Names them, with one of each label.
    pub(crate) fn sample(&self, registry: &mut Registry) {
        self.register(registry);
        let result = Delivery::Accepted;
        drop(self.0.get_or_create(&OfResult { result }));
    }
}

#[async_trait]
impl Numbers for Deliveries {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "webhook_deliveries",
            "Deliveries to the webhook, by what became of them",
            self.0.clone(),
        );
    }

    async fn look(&self) -> Result<(), Unread> {
        Ok(())
    }
}

/// What `/webhook` answers from.
struct Desk {
    webhook: Arc<Webhook>,
    poke: Poke,
    deliveries: Arc<Deliveries>,
}

/// What the webhook gives the server.
pub(crate) fn part(webhook: Arc<Webhook>, poke: Poke) -> Part {
    let deliveries = Arc::new(Deliveries::default());
    let desk = Arc::new(Desk {
        webhook,
        poke,
        deliveries: Arc::clone(&deliveries),
    });
    let routes = Router::new()
        .route("/webhook", post(receive))
        .with_state(desk);
    Part::default().answering(routes).counted(deliveries)
}

/// The secrets, and the deliveries that were seen.
pub struct Webhook {
    file: Option<PathBuf>,
    /// The only repository that counts, where it is known.
    repository: Option<String>,
    secrets: RwLock<Option<Secrets>>,
    seen: Mutex<Seen>,
    room: Mutex<BTreeMap<IpAddr, usize>>,
    /// When a delivery may next ask for a look.
    next: Mutex<Option<Instant>>,
}

/// Room for one body; given back when it is dropped.
struct Room<'a>(&'a Webhook, IpAddr);

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut room = self.0.room.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = room.get_mut(&self.1) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                room.remove(&self.1);
            }
        }
    }
}

impl Webhook {
    /// A receiver with the secrets in `file`; without one nothing is received.
    pub fn new(file: Option<PathBuf>, repository: Option<String>) -> Result<Self, ServerError> {
        let webhook = Self {
            file,
            repository,
            secrets: RwLock::default(),
            seen: Mutex::default(),
            room: Mutex::default(),
            next: Mutex::default(),
        };
        webhook.reload()?;
        Ok(webhook)
    }

    /// Reads the secrets again. What cannot be used leaves those in place that were there.
    pub fn reload(&self) -> Result<(), ServerError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let named = || file.clone();
        let bytes = std::fs::read(file).map_err(|source| ServerError::Secret {
            file: named(),
            source,
        })?;
        let secrets = Secrets::read(&bytes).map_err(|source| ServerError::UnfitSecret {
            file: named(),
            source,
        })?;
        *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = Some(secrets);
        Ok(())
    }

    fn check(&self, signature: Option<&str>, body: &[u8]) -> Result<(), WebhookError> {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        match &*secrets {
            Some(secrets) => secrets.check(signature, body),
            None => Err(WebhookError::NoSignature),
        }
    }

    fn has_secrets(&self) -> bool {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.is_some()
    }

    /// Whether neither the delivery nor the body was seen before: the id is not signed, the body is.
    fn is_new(&self, id: &str, signature: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (id, body) = (seen.is_new(id), seen.is_new(signature));
        id && body
    }

    fn take_room(&self, peer: Peer) -> Option<Room<'_>> {
        let ip = peer.0.ip().to_canonical();
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let own = room.get(&ip).copied().unwrap_or(0);
        let from_one = if peer.is_here() {
            BODIES
        } else {
            BODIES_FROM_ONE
        };
        if room.values().sum::<usize>() >= BODIES || own >= from_one {
            return None;
        }
        room.insert(ip, own + 1);
        Some(Room(self, ip))
    }

    /// How long the look that a delivery asks for must wait; `None` when one is waited for already.
    fn turn(&self) -> Option<Duration> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let at = next.unwrap_or(now);
        if at > now + PAUSE {
            return None;
        }
        let at = at.max(now);
        *next = Some(at + PAUSE);
        Some(at - now)
    }
}

/// What is answered, and how it is counted.
type Said = (Delivery, StatusCode, String);

/// Receives one delivery.
async fn receive(
    State(desk): State<Arc<Desk>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let (delivery, status, sentence) = match take(&desk, peer, request).await {
        Ok(said) | Err(said) => said,
    };
    desk.deliveries.count(delivery);
    if status.is_client_error() {
        tracing::warn!(status = status.as_u16(), reason = %sentence, "a delivery was refused");
    }
    (status, format!("{sentence}\n")).into_response()
}

async fn take(desk: &Arc<Desk>, peer: Peer, request: Request) -> Result<Said, Said> {
    let webhook = &desk.webhook;
    if !webhook.has_secrets() {
        let sentence = "no secret is known here: start with `--webhook-secret-file`";
        return Err(refused(StatusCode::NOT_FOUND, sentence));
    }
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let signature = text(&headers, "x-hub-signature-256");
    let Some(signed) = signature.filter(|signature| is_form(signature)) else {
        let sentence = WebhookError::NoSignature.to_string();
        return Err(refused(StatusCode::UNAUTHORIZED, &sentence));
    };
    let Some(_room) = webhook.take_room(peer) else {
        let sentence = "too many deliveries at once; send it again";
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, sentence));
    };
    let bytes = read(&headers, body).await?;
    webhook
        .check(signature, &bytes)
        .map_err(|error| refused(StatusCode::UNAUTHORIZED, &error.to_string()))?;
    let kind = text(&headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        let sentence = "set the content type of the webhook to `application/json`";
        return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
    }
    let (Some(name), Some(id)) = (text(&headers, "x-github-event"), id(&headers)) else {
        let sentence = "`X-GitHub-Event` or `X-GitHub-Delivery` is missing or malformed";
        return Err(refused(StatusCode::BAD_REQUEST, sentence));
    };
    let event = Event::read(name, &bytes, webhook.repository.as_deref())
        .map_err(|error| refused(StatusCode::BAD_REQUEST, &error.to_string()))?;
    if !webhook.is_new(id, &signed.to_ascii_lowercase()) {
        let sentence = "this delivery was seen before".to_owned();
        return Ok((Delivery::Repeated, StatusCode::OK, sentence));
    }
    Ok(match event {
        Event::Look => {
            poke(desk);
            let sentence = "the repository is looked at".to_owned();
            (Delivery::Accepted, StatusCode::ACCEPTED, sentence)
        }
        Event::Ping => {
            poke(desk);
            (Delivery::Accepted, StatusCode::OK, "pong".to_owned())
        }
        Event::Ignored(why) => {
            let sentence = format!("ignored: {why}");
            (Delivery::Ignored, StatusCode::ACCEPTED, sentence)
        }
    })
}

/// Asks for a look, now or in its turn: many deliveries are one look.
fn poke(desk: &Arc<Desk>) {
    match desk.webhook.turn() {
        None => {}
        Some(wait) if wait.is_zero() => (desk.poke)(),
        Some(wait) => {
            let desk = Arc::clone(desk);
            tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                (desk.poke)();
            });
        }
    }
}

fn refused(status: StatusCode, sentence: &str) -> Said {
    (Delivery::Refused, status, sentence.to_owned())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn id(headers: &HeaderMap) -> Option<&str> {
    let id = text(headers, "x-github-delivery")?;
    (!id.is_empty() && id.len() <= LONGEST_ID).then_some(id)
}

/// Reads a body that is not too long, and not too slow.
async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Said> {
    let announced =
        text(headers, header::CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
    let reading = collect(announced.unwrap_or(0), body);
    match tokio::time::timeout(BODY, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(said)) => Err(said),
        Err(_) => Err(refused(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come within 10 s",
        )),
    }
}

async fn collect(announced: usize, body: Body) -> Result<Vec<u8>, Said> {
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| refused(StatusCode::BAD_REQUEST, "the body broke off"))?;
        length = length.saturating_add(chunk.len());
        if length > DISCARDED {
            break;
        }
        if announced.max(length) > LONGEST {
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(&chunk);
        }
    }
    if announced.max(length) > LONGEST {
        let sentence = "the body is longer than 25 MB, which GitHub never sends".to_owned();
        return Err((Delivery::TooLong, StatusCode::PAYLOAD_TOO_LARGE, sentence));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer(format!("{text}:1").parse().unwrap())
    }

    #[test]
    fn one_address_takes_some_of_the_room_and_gives_it_back() {
        let webhook = Webhook::new(None, None).unwrap();
        let stranger = peer("192.0.2.1");
        let one = webhook.take_room(stranger).unwrap();
        let two = webhook.take_room(stranger).unwrap();
        assert!(webhook.take_room(stranger).is_none());
        assert!(webhook.take_room(peer("192.0.2.2")).is_some());
        drop((one, two));
        let here: Vec<_> = (0..10)
            .filter_map(|_| webhook.take_room(peer("127.0.0.1")))
            .collect();
        assert_eq!(here.len(), BODIES);
    }

    #[test]
    fn a_body_that_is_played_again_under_another_id_is_known() {
        let webhook = Webhook::new(None, None).unwrap();
        assert!(webhook.is_new("1", "sha256=aa"));
        assert!(!webhook.is_new("2", "sha256=aa"));
        assert!(!webhook.is_new("1", "sha256=bb"));
        assert!(webhook.is_new("3", "sha256=cc"));
    }

    #[test]
    fn three_hundred_deliveries_are_two_looks() {
        let webhook = Webhook::new(None, None).unwrap();
        let turns: Vec<Duration> = (0..300).filter_map(|_| webhook.turn()).collect();
        assert_eq!(turns.len(), 2, "{turns:?}");
        assert!(turns[0].is_zero() && !turns[1].is_zero() && turns[1] <= PAUSE);
    }
}
