//! One request and its tries.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use octocrab::Octocrab;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value as Json;
use stratum_core::ports::ForgeError;

use crate::github::GitHub;
use crate::github::limit::Headers;
use crate::github::model::Refusal;

/// The longest answer that is read, in bytes: a hundred comments of 65,536 characters.
const LONGEST: usize = 32 * 1024 * 1024;

/// Characters of what GitHub says that are passed on.
const SAID: usize = 300;

/// What is asked.
#[derive(Clone, Copy)]
pub(crate) enum Ask<'a> {
    Get,
    Post(&'a Json),
    Patch(&'a Json),
}

/// Whether doing it twice is the same as doing it once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    Harmless,
    Harmful,
}

/// An answer that is not a refusal.
pub(crate) struct Answer {
    body: String,
    /// Whether there is a next page.
    pub(crate) has_next: bool,
    doing: String,
}

impl Answer {
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ForgeError> {
        serde_json::from_str(&self.body).map_err(|error| ForgeError::Unreadable {
            doing: self.doing.clone(),
            reason: error.to_string(),
        })
    }
}

impl GitHub {
    /// Asks, and tries again as long as that is harmless and patience lasts.
    pub(crate) async fn ask(
        &self,
        doing: &str,
        ask: Ask<'_>,
        path: &str,
        again: Again,
    ) -> Result<Answer, ForgeError> {
        let mut patience = self.patience();
        loop {
            let error = match self.ask_once(doing, ask, path).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let harmless = again == Again::Harmless || matches!(error, ForgeError::Limited { .. });
            if !harmless || !patience.wait(&error).await {
                return Err(error);
            }
        }
    }

    /// Asks once.
    async fn ask_once(&self, doing: &str, ask: Ask<'_>, path: &str) -> Result<Answer, ForgeError> {
        let result = self.send(doing, ask, path).await;
        let mut counter = self.counter();
        counter.request();
        if let Err(error) = &result {
            counter.failure(error);
        }
        result
    }

    /// One request at a time: the forge counts them, and refuses whoever sends many at once. So the
    /// client is held for as long as one takes, which is `timeout` at most.
    async fn send(&self, doing: &str, ask: Ask<'_>, path: &str) -> Result<Answer, ForgeError> {
        let mut slot = self.client.lock().await;
        let client = self.client_in(&mut slot)?;
        let timeout = self.settings.timeout;
        let sent = tokio::time::timeout(timeout, exchange(&client, ask, path)).await;
        let slow = |_| ForgeError::Slow {
            doing: doing.to_owned(),
            after: timeout,
        };
        let raw = sent
            .map_err(slow)?
            .map_err(|error| ForgeError::Unreachable {
                doing: doing.to_owned(),
                reason: reason(&error),
            })?;
        self.counter().remaining(raw.headers.remaining);
        judge(doing, raw)
    }

    /// The client for the token as it is now.
    fn client_in(
        &self,
        slot: &mut Option<(Option<crate::github::token::Token>, Octocrab)>,
    ) -> Result<Octocrab, ForgeError> {
        let token = self.settings.token.read()?;
        if let Some((made_with, client)) = slot
            && *made_with == token
        {
            return Ok(client.clone());
        }
        let unusable = |error: octocrab::Error| ForgeError::Settings {
            reason: reason(&error),
        };
        let mut builder = Octocrab::builder()
            .base_uri(self.settings.api.as_str())
            .map_err(unusable)?
            .set_connect_timeout(Some(self.settings.timeout))
            .set_read_timeout(Some(self.settings.timeout))
            .set_write_timeout(Some(self.settings.timeout));
        if let Some(token) = &token {
            builder = builder.personal_token(token.expose().to_owned());
        }
        let client = builder.build().map_err(unusable)?;
        *slot = Some((token, client.clone()));
        Ok(client)
    }

    /// As much patience as one thing to do is given.
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            until: Instant::now() + self.settings.patience,
            pause: self.settings.pause,
        }
    }
}

/// How long something is tried again.
pub(crate) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    /// Waits before the next try; `false` at once when there shall be none.
    pub(crate) async fn wait(&mut self, error: &ForgeError) -> bool {
        let least = match error {
            ForgeError::Limited { wait, .. } => *wait,
            ForgeError::Unreachable { .. }
            | ForgeError::Slow { .. }
            | ForgeError::Trouble { .. }
            | ForgeError::Unreadable { .. } => self.pause,
            ForgeError::Settings { .. }
            | ForgeError::Unknown { .. }
            | ForgeError::Forbidden { .. }
            | ForgeError::Missing { .. }
            | ForgeError::Refused { .. } => return false,
        };
        self.pause = self.pause.saturating_mul(2);
        let wait = least + least.mul_f64(jitter());
        if Instant::now() + wait > self.until {
            return false;
        }
        tracing::info!(%error, wait_s = wait.as_secs_f64(), "the forge is asked again");
        tokio::time::sleep(wait).await;
        true
    }
}

/// Up to a fifth, so that many that failed together do not come back together.
fn jitter() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    (random % 1000) as f64 / 5000.0
}

/// An answer as it came.
struct Raw {
    status: u16,
    headers: Headers,
    has_next: bool,
    body: Result<String, String>,
}

async fn exchange(client: &Octocrab, ask: Ask<'_>, path: &str) -> Result<Raw, octocrab::Error> {
    let response = match ask {
        Ask::Get => client._get(path).await?,
        Ask::Post(body) => client._post(path, Some(body)).await?,
        Ask::Patch(body) => client._patch(path, Some(body)).await?,
    };
    let text = |name: &str| {
        let value = response.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    };
    let headers = Headers {
        retry_after: text("retry-after"),
        remaining: text("x-ratelimit-remaining").and_then(|text| text.parse().ok()),
        reset: text("x-ratelimit-reset").and_then(|text| text.parse().ok()),
        date: text("date"),
    };
    let has_next = text("link").is_some_and(|link| link.contains("rel=\"next\""));
    let announced = text("content-length").and_then(|text| text.parse::<usize>().ok());
    let status = response.status().as_u16();
    let body = if announced.is_some_and(|length| length > LONGEST) {
        Err("it is too long".to_owned())
    } else {
        collect(response.into_body(), LONGEST).await
    };
    Ok(Raw {
        status,
        headers,
        has_next,
        body,
    })
}

/// A body of bounded length, whatever it announced.
async fn collect<B>(body: B, most: usize) -> Result<String, String>
where
    B: BodyExt,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let read = Limited::new(body, most).collect().await;
    let bytes = read.map_err(|error| match error.is::<LengthLimitError>() {
        true => "it is too long".to_owned(),
        false => match error.downcast_ref::<octocrab::Error>() {
            Some(error) => reason(error),
            None => error.to_string(),
        },
    })?;
    let bytes = bytes.to_bytes().to_vec();
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// What an answer means.
fn judge(doing: &str, raw: Raw) -> Result<Answer, ForgeError> {
    let doing = doing.to_owned();
    let said = raw.body.as_deref().map(said).unwrap_or_default();
    let here = Timestamp::now();
    if let Some(wait) = raw.headers.wait(raw.status, &said, here) {
        return Err(ForgeError::Limited { doing, wait });
    }
    let status = raw.status;
    match status {
        200..=299 => match raw.body {
            // What is cut short is seen here, where it is asked again.
            Ok(body) => match serde_json::from_str::<IgnoredAny>(&body) {
                Ok(_) => Ok(Answer {
                    body,
                    has_next: raw.has_next,
                    doing,
                }),
                Err(error) => Err(ForgeError::Unreadable {
                    doing,
                    reason: error.to_string(),
                }),
            },
            Err(reason) => Err(ForgeError::Unreadable { doing, reason }),
        },
        401 => Err(ForgeError::Unknown { doing }),
        403 => Err(ForgeError::Forbidden {
            doing,
            reason: said,
        }),
        404 | 410 => Err(ForgeError::Missing { doing }),
        408 | 500..=599 => Err(ForgeError::Trouble { doing, status }),
        _ => Err(ForgeError::Refused {
            doing,
            status,
            reason: said,
        }),
    }
}

/// What GitHub says in a refusal, on one line.
fn said(body: &str) -> String {
    let refusal: Refusal = serde_json::from_str(body).unwrap_or_default();
    let words: Vec<&str> = refusal.message.split_whitespace().collect();
    let flat: String = words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    match flat.char_indices().nth(SAID) {
        Some((end, _)) => flat.get(..end).unwrap_or_default().to_owned(),
        None if flat.is_empty() => "no reason given".to_owned(),
        None => flat,
    }
}

/// The innermost reason of an error of the client: the layers around it say nothing more, and
/// some of them print where in the program they were made.
fn reason(error: &octocrab::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.to_owned()
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_does_not_say_how_long_it_is_is_bounded_too() {
        let body = |text: &'static str| Full::new(text.as_bytes());
        assert_eq!(collect(body("1234"), 4).await.as_deref(), Ok("1234"));
        assert_eq!(
            collect(body("12345"), 4).await,
            Err("it is too long".to_owned())
        );
        let bytes = Full::new(&b"\xff"[..]);
        assert!(collect(bytes, 4).await.is_err());
    }
}
