//! Words to the reconciler: signed annotated tags under `stratum/`.
//!
//! ```text
//! stratum/approve/<digest>[+<anything>]        one plan may be applied
//! stratum/retry/<run>[+<anything>]             a held Revision may be tried again
//! stratum/suspend/<environment>[+<anything>]   nothing more is applied there
//! stratum/resume/<environment>[+<anything>]    it is again
//! ```
//!
//! What was signed is the tag object, so it is the name in there that counts: a ref that was given
//! another name says nothing.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use stratum_core::ids::ObjectId;
use stratum_core::rules::Rules;
use stratum_core::signed::{Refused, SignedTag, Signer, trailer};

use super::Guard;
use super::authors::belongs;

/// A tag whose signer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its name without `refs/tags/`.
    pub tag: String,
    /// The tag object.
    pub object: ObjectId,
    /// What follows the prefix it was looked for under.
    pub about: String,
    /// Who said it, by name in trust.
    pub by: String,
    /// Their signature.
    pub signer: Signer,
    /// When, as it says itself (UTC).
    pub at: Timestamp,
    /// Until when it counts (UTC), where it says so: the trailer `Expires`.
    pub expires: Option<Timestamp>,
    /// The message.
    pub message: String,
}

/// What one tag came to.
pub type WordOf = Result<Word, Refused>;

/// What the tags about one thing came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard<T> {
    /// What counts.
    pub said: T,
    /// What was meant to count and does not.
    pub void: Vec<Refused>,
}

/// What was said last about suspending an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Said {
    /// Nothing that counts.
    #[default]
    Nothing,
    /// Suspend it.
    Suspend(Word),
    /// Go on.
    Resume(Word),
}

impl Guard<'_> {
    /// The words whose tag begins with `prefix` (for example `stratum/approve/`), each with its
    /// signer, or the reason why it does not count. Whether the signer may say it is for policy.
    pub fn words(&self, rules: &Rules, tags: &[SignedTag], prefix: &str) -> Vec<WordOf> {
        let wanted = tags.iter().filter_map(|tag| {
            let about = tag.name.strip_prefix(prefix)?;
            Some(self.word(rules, tag, about))
        });
        wanted.collect()
    }

    fn word(&self, rules: &Rules, tag: &SignedTag, about: &str) -> WordOf {
        let refused = |why: String| Refused {
            tag: tag.name.clone(),
            why,
        };
        let Some(own_name) = &tag.own_name else {
            let why = "it is a lightweight tag, which nobody can sign: use `git tag -s`";
            return Err(refused(why.to_owned()));
        };
        if *own_name != tag.name {
            return Err(refused(format!(
                "it was signed under the name `{own_name}`"
            )));
        }
        let object = ObjectId::new(&tag.id).map_err(|error| refused(error.to_string()))?;
        let expires = expiry(&tag.message).map_err(refused)?;
        if expires.is_some_and(|expires| expires <= self.now) {
            return Err(refused("it has expired".to_owned()));
        }
        if tag.tagged_at > self.now + SKEW {
            return Err(refused("it was made in the future".to_owned()));
        }
        let trust = rules.trust.as_ref();
        let signer = self
            .signatures
            .signer(&tag.signed, trust, tag.tagged_at, self.now);
        match belongs(rules, signer, &tag.tagger_mail) {
            Signer::Nobody { why } => Err(refused(why)),
            Signer::Person { name, kind, key } => Ok(Word {
                tag: tag.name.clone(),
                object,
                about: about.to_owned(),
                by: name.clone(),
                signer: Signer::Person { name, kind, key },
                at: tag.tagged_at,
                expires,
                message: tag.message.clone(),
            }),
        }
    }
}

/// How far the clock of whoever signs may be ahead.
const SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// The trailer `Expires`: a moment, or a day, which it includes (UTC).
fn expiry(message: &str) -> Result<Option<Timestamp>, String> {
    let Some(text) = trailer(message, "Expires") else {
        return Ok(None);
    };
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(Some(moment));
    }
    let end = |day: Date| {
        let midnight = day.tomorrow().ok()?.at(0, 0, 0, 0);
        TimeZone::UTC.to_timestamp(midnight).ok()
    };
    match text.parse::<Date>().ok().and_then(end) {
        Some(end) => Ok(Some(end)),
        None => Err(format!(
            "its `Expires: {text}` is no day: write for example `Expires: 2026-12-01`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiry_is_a_day_or_a_moment() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let read = |text: &str| expiry(&format!("why\n\nExpires: {text}\n"));
        assert_eq!(read("2026-12-01"), Ok(Some(at("2026-12-02T00:00:00Z"))));
        assert_eq!(
            read("2026-12-01T10:00:00Z"),
            Ok(Some(at("2026-12-01T10:00:00Z")))
        );
        assert!(read("soon").is_err());
        assert_eq!(expiry("why\n"), Ok(None));
    }
}
