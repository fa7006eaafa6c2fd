//! `/webhook`: a delivery of the forge makes the reconciler look at once.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use stratum_forge::webhook::{Event, LONGEST, Secrets, Seen, WebhookError};
use tokio::sync::Semaphore;

use crate::failure::CommandError;
use crate::serve::Desk;
use crate::serve::metrics::Delivery;

/// Bodies that are read at once: each may take 25 MB.
const AT_ONCE: usize = 4;

/// How long a body may take. *Source*: GitHub gives up after ten seconds itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a body that is too long which are read and thrown away, so that whoever sends them
/// comes to read the answer.
const DISCARDED: usize = 4 * LONGEST;

/// The longest id of a delivery.
const LONGEST_ID: usize = 100;

/// The secrets, and the deliveries that were seen.
pub(crate) struct Webhook {
    file: Option<PathBuf>,
    /// The only repository that counts, where it is known.
    repository: Option<String>,
    secrets: RwLock<Option<Secrets>>,
    seen: Mutex<Seen>,
    room: Semaphore,
}

impl Webhook {
    /// A receiver with the secrets in `file`; without one nothing is received.
    pub(crate) fn new(
        file: Option<PathBuf>,
        repository: Option<String>,
    ) -> Result<Self, CommandError> {
        let webhook = Self {
            file,
            repository,
            secrets: RwLock::default(),
            seen: Mutex::default(),
            room: Semaphore::new(AT_ONCE),
        };
        webhook.reload()?;
        Ok(webhook)
    }

    /// Reads the secrets again. What cannot be used leaves those in place that were there.
    pub(crate) fn reload(&self) -> Result<(), CommandError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let name = format!("the secret of the webhook in `{}`", file.display());
        let hint = "`openssl rand -hex 32` makes a good one; the same text goes into the settings \
                    of the webhook";
        let bytes = std::fs::read(file).map_err(|error| {
            CommandError::given(format!("{name} cannot be read"))
                .because(&error)
                .hint(hint)
        })?;
        let secrets = Secrets::read(&bytes).map_err(|error| {
            CommandError::given(format!("{name} cannot be used"))
                .because(&error)
                .hint(hint)
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

    fn is_new(&self, id: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.is_new(id)
    }
}

/// What is answered, and how it is counted.
type Said = (Delivery, StatusCode, String);

/// Receives one delivery.
pub(super) async fn receive(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let (delivery, status, sentence) = match take(&desk, request).await {
        Ok(said) | Err(said) => said,
    };
    desk.metrics.delivery(delivery);
    if status.is_client_error() {
        tracing::warn!(status = status.as_u16(), reason = %sentence, "a delivery was refused");
    }
    (status, format!("{sentence}\n")).into_response()
}

async fn take(desk: &Desk, request: Request) -> Result<Said, Said> {
    let webhook = &desk.webhook;
    if !webhook.has_secrets() {
        let sentence = "no secret is known here: start with `--webhook-secret-file`";
        return Err(refused(StatusCode::NOT_FOUND, sentence));
    }
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    let signature = text(&headers, "x-hub-signature-256");
    if signature.is_none() {
        let sentence = WebhookError::NoSignature.to_string();
        return Err(refused(StatusCode::UNAUTHORIZED, &sentence));
    }
    let Ok(_room) = webhook.room.try_acquire() else {
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
    if !webhook.is_new(id) {
        let sentence = "this delivery was seen before".to_owned();
        return Ok((Delivery::Repeated, StatusCode::OK, sentence));
    }
    Ok(match event {
        Event::Look => {
            desk.sources.wake.poke();
            let sentence = "the repository is looked at".to_owned();
            (Delivery::Accepted, StatusCode::ACCEPTED, sentence)
        }
        Event::Ping => {
            desk.sources.wake.poke();
            (Delivery::Accepted, StatusCode::OK, "pong".to_owned())
        }
        Event::Ignored(why) => {
            let sentence = format!("ignored: {why}");
            (Delivery::Ignored, StatusCode::ACCEPTED, sentence)
        }
    })
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
    match tokio::time::timeout(PATIENCE, reading).await {
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
