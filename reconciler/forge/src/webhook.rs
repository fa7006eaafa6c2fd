//! What GitHub sends when something happens: whether it is genuine, and what it is about.
//!
//! *Source*: GitHub documentation, "Validating webhook deliveries" and "Webhook events and
//! payloads".

use std::collections::{BTreeSet, VecDeque};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use stratum_core::secret::Secret;
use thiserror::Error;

/// The longest body that GitHub sends, in bytes.
///
/// *Source*: "payloads are capped at 25 MB".
pub const LONGEST: usize = 25 * 1024 * 1024;

/// The shortest secret that is worth the name, in bytes.
const SHORTEST_SECRET: usize = 16;

/// Deliveries that are remembered.
const REMEMBERED: usize = 10_000;

/// Why a delivery is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WebhookError {
    /// The secret cannot be used.
    #[error("the secret of the webhook has less than 16 bytes")]
    WeakSecret,
    /// There is no signature, or none of the right form.
    #[error("there is no `X-Hub-Signature-256` of the form `sha256=` and 64 hexadecimal digits")]
    NoSignature,
    /// The signature is of another body or another secret.
    #[error("the signature does not fit the body: the secrets here and there differ")]
    WrongSignature,
    /// The body is not JSON of the right form.
    #[error("the body is not JSON of an event: {0}")]
    Malformed(String),
}

/// The shared secrets. More than one is taken, so that a secret can be changed without a gap.
#[derive(Debug)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// Reads one secret from each line that is not empty.
    pub fn read(text: &[u8]) -> Result<Self, WebhookError> {
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let secrets: Vec<Secret> = lines
            .filter(|line| !line.is_empty())
            .map(|line| Secret::new(line.to_vec()))
            .collect();
        let is_weak = |secret: &Secret| secret.expose().len() < SHORTEST_SECRET;
        if secrets.is_empty() || secrets.iter().any(is_weak) {
            return Err(WebhookError::WeakSecret);
        }
        Ok(Self(secrets))
    }

    /// Checks `X-Hub-Signature-256`, in a time that does not depend on where it differs.
    pub fn check(&self, signature: Option<&str>, body: &[u8]) -> Result<(), WebhookError> {
        let signature = signature.ok_or(WebhookError::NoSignature)?;
        let signature = digits(signature).ok_or(WebhookError::NoSignature)?;
        let mut fits = false;
        for secret in &self.0 {
            let mac = Hmac::<Sha256>::new_from_slice(secret.expose());
            // HMAC takes keys of any length, so there is always one.
            let Ok(mac) = mac else { continue };
            fits |= mac.chain_update(body).verify_slice(&signature).is_ok();
        }
        if fits {
            Ok(())
        } else {
            Err(WebhookError::WrongSignature)
        }
    }

    /// What `X-Hub-Signature-256` says about `body` when we send it; with the first secret.
    pub fn sign(&self, body: &[u8]) -> String {
        let secret = self.0.first().map(Secret::expose).unwrap_or_default();
        let mac = Hmac::<Sha256>::new_from_slice(secret).map(|mac| mac.chain_update(body));
        // HMAC takes keys of any length, so there is always one.
        let bytes = mac.map(|mac| mac.finalize().into_bytes().to_vec());
        let digits = bytes.unwrap_or_default();
        let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={digits}")
    }
}

/// Whether a signature has the form of one; whether it fits is seen with the body.
pub fn is_form(signature: &str) -> bool {
    digits(signature).is_some()
}

fn digits(signature: &str) -> Option<[u8; 32]> {
    let text = signature.strip_prefix("sha256=")?;
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        let pair = text.get(place * 2..place * 2 + 2)?;
        if pair.starts_with('+') {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

/// What an event asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Look at the repository now.
    Look,
    /// GitHub asks whether anybody is there.
    Ping,
    /// It is of no concern here; why, in a few words.
    Ignored(&'static str),
}

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(default)]
    repository: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
}

impl Event {
    /// Reads an event. `name` is `X-GitHub-Event`; `repository` is the only one that counts, where
    /// it is known.
    pub fn read(name: &str, body: &[u8], repository: Option<&str>) -> Result<Self, WebhookError> {
        // A list would be read as the fields in their order.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(WebhookError::Malformed("it is no object".to_owned()));
        }
        let payload: Payload = serde_json::from_slice(body)
            .map_err(|error| WebhookError::Malformed(error.to_string()))?;
        let event = match name {
            "ping" => return Ok(Self::Ping),
            "push" | "pull_request" => Self::Look,
            _ => return Ok(Self::Ignored("events of this kind change nothing here")),
        };
        let its = payload.repository.map(|repository| repository.full_name);
        match (repository, its) {
            (Some(ours), Some(its)) if !ours.eq_ignore_ascii_case(&its) => {
                Ok(Self::Ignored("it is about another repository"))
            }
            _ => Ok(event),
        }
    }
}

/// The deliveries that were seen, so that one that is played again does nothing.
#[derive(Debug, Default)]
pub struct Seen {
    ids: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    /// Remembers a delivery; `false` when it was seen before.
    pub fn is_new(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

/// The signature that GitHub would send; for tests and for trying a set-up by hand.
pub fn signature(secret: &[u8], body: &[u8]) -> String {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    let bytes = mac.chain_update(body).finalize().into_bytes();
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"It's a Secret to Everybody";

    /// *Source*: GitHub documentation, "Testing the webhook payload validation".
    #[test]
    fn the_example_of_github_is_accepted() {
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let secrets = Secrets::read(SECRET).unwrap();
        assert_eq!(secrets.check(Some(signature), b"Hello, World!"), Ok(()));
        assert_eq!(super::signature(SECRET, b"Hello, World!"), signature);
        let other = secrets.check(Some(signature), b"Hello, World?");
        assert_eq!(other, Err(WebhookError::WrongSignature));
    }

    #[test]
    fn a_signature_of_another_form_is_none() {
        let secrets = Secrets::read(SECRET).unwrap();
        let long = format!("sha256={}", "+0".repeat(32));
        let wide = format!("sha256={}", "ä".repeat(32));
        for bad in [
            None,
            Some(""),
            Some("sha1=00"),
            Some("sha256="),
            Some(long.as_str()),
            Some(wide.as_str()),
        ] {
            assert_eq!(
                secrets.check(bad, b""),
                Err(WebhookError::NoSignature),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn two_secrets_are_accepted_while_one_is_changed() {
        let both = Secrets::read(b"the old secret of 2025\n\nthe new secret of 2026\n").unwrap();
        for secret in ["the old secret of 2025", "the new secret of 2026"] {
            let signed = signature(secret.as_bytes(), b"{}");
            assert_eq!(both.check(Some(&signed), b"{}"), Ok(()));
        }
        for weak in [&b""[..], b"\n", b"short", b"the old secret of 2025\nshort"] {
            assert_eq!(Secrets::read(weak).unwrap_err(), WebhookError::WeakSecret);
        }
    }

    #[test]
    fn pushes_and_pull_requests_of_our_repository_wake_and_nothing_else() {
        let body = br#"{"repository":{"full_name":"Octo/Shop"},"more":[1]}"#;
        let read = |name, ours| Event::read(name, body, ours).unwrap();
        assert_eq!(read("push", Some("octo/shop")), Event::Look);
        assert_eq!(read("pull_request", None), Event::Look);
        assert_eq!(read("ping", Some("other/one")), Event::Ping);
        assert!(matches!(read("push", Some("other/one")), Event::Ignored(_)));
        assert!(matches!(read("star", None), Event::Ignored(_)));
        for bad in [&b"x"[..], b"[]", br#"{"repository":7}"#] {
            assert!(Event::read("push", bad, None).is_err());
        }
    }

    #[test]
    fn what_is_played_again_is_known() {
        let mut seen = Seen::default();
        assert!(seen.is_new("a") && !seen.is_new("a"));
        for number in 0..REMEMBERED {
            assert!(seen.is_new(&number.to_string()));
        }
        assert!(seen.is_new("a") && seen.ids.len() == REMEMBERED);
    }
}
