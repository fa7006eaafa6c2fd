//! An entry as it stands in the log: JSON, with the people under a key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use stratum_core::audit::{AuditEntry, Named, Principal, What};
use stratum_core::ids::{EnvironmentName, RunId};
use stratum_core::ports::AuditError;

use crate::log::tree::WIDTH;
use crate::log::veil::{Veiled, Veils};

/// The longest entry. *Source*: C2SP tlog-tiles: lengths have 16 bits.
const MOST: usize = u16::MAX as usize;

/// The form of entries that are written now. In form 1, which is read for ever, the address of an
/// apply entry may be that of another resource of the same run: step and address did not travel
/// together then.
pub(crate) const FORM: u32 = 2;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leaf {
    /// The version of this form.
    pub(crate) v: u32,
    pub(crate) at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<EnvironmentName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<RunId>,
    pub(crate) principal: Principal,
    pub(crate) what: What,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) people: Option<Veiled>,
}

impl Leaf {
    /// The entry, with its people put under the key of its month.
    pub(crate) fn of(entry: &AuditEntry, veils: &Veils) -> Result<Self, AuditError> {
        Ok(Self {
            v: FORM,
            at: entry.at,
            environment: entry.environment.clone(),
            run: entry.run.clone(),
            principal: entry.principal.clone(),
            what: entry.what.clone(),
            people: people(entry.at, &entry.people, veils)?,
        })
    }

    /// The bytes that are hashed and kept.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, AuditError> {
        // A value that has no JSON form has no bytes either; core has none.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        match bytes.len() {
            1..=MOST => Ok(bytes),
            bytes => Err(AuditError::TooLarge { bytes }),
        }
    }
}

/// People under the key of the month of `at`; `None` when there are none.
pub(crate) fn people(
    at: Timestamp,
    people: &[Named],
    veils: &Veils,
) -> Result<Option<Veiled>, AuditError> {
    match people {
        [] => Ok(None),
        people => veils.veil(&month(at), people).map(Some),
    }
}

/// The month of a time (UTC), as `2026-11`.
pub(crate) fn month(at: Timestamp) -> String {
    at.strftime("%Y-%m").to_string()
}

/// What stands of an entry from its time on; `None` when it is in no form that is known.
fn from_time(entry: &[u8]) -> Option<&[u8]> {
    let rest = entry.strip_prefix(br#"{"v":"#)?;
    let rest = rest
        .strip_prefix(b"1")
        .or_else(|| rest.strip_prefix(b"2"))?;
    rest.strip_prefix(br#","at":""#)
}

/// Whether an entry in its stored form is of the form in which an apply may name another resource
/// of its run.
pub(crate) fn is_first_form(entry: &[u8]) -> bool {
    entry.starts_with(br#"{"v":1,"#)
}

/// The month of an entry in its stored form; cheap, because the time stands at its head.
pub(crate) fn month_of(entry: &[u8]) -> Option<&str> {
    let rest = from_time(entry)?;
    let month = std::str::from_utf8(rest.get(..7)?).ok()?;
    let valid = month.bytes().enumerate().all(|(place, byte)| match place {
        4 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    valid.then_some(month)
}

/// The time of an entry in its stored form; cheap.
pub(crate) fn at_of(entry: &[u8]) -> Option<Timestamp> {
    let rest = from_time(entry)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}

/// Adds an entry to a bundle.
pub(crate) fn bundle(into: &mut Vec<u8>, entry: &[u8]) {
    let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(entry.get(..usize::from(length)).unwrap_or(entry));
}

/// The entries of a bundle; `None` when its lengths do not add up.
pub(crate) fn entries(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::with_capacity(WIDTH as usize);
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_taken_apart_again() {
        let mut bytes = Vec::new();
        for entry in [&b"one"[..], b"", b"three"] {
            bundle(&mut bytes, entry);
        }
        assert_eq!(entries(&bytes).unwrap(), [&b"one"[..], b"", b"three"]);
        assert!(entries(&bytes[..bytes.len() - 1]).is_none());
    }

    #[test]
    fn the_month_is_read_from_the_head() {
        let leaf = Leaf {
            v: FORM,
            at: "2026-11-24T03:15:00Z".parse().unwrap(),
            environment: None,
            run: None,
            principal: Principal::Reconciler,
            what: What::LeaseTaken {
                number: 1,
                holder: "x".repeat(10),
            },
            people: None,
        };
        assert_eq!(month_of(&leaf.bytes().unwrap()), Some("2026-11"));
        assert_eq!(month(leaf.at), "2026-11");
        let older = br#"{"v":1,"at":"2026-11-24T03:15:00Z","principal":"operator"}"#;
        assert_eq!(month_of(older), Some("2026-11"));
        assert!(is_first_form(older) && !is_first_form(&leaf.bytes().unwrap()));
        assert_eq!(month_of(b"{}"), None);
    }

    #[test]
    fn an_entry_that_is_too_large_is_refused_and_not_cut() {
        let mut leaf: Leaf = serde_json::from_str(
            r#"{"v":1,"at":"2026-11-24T03:15:00Z","principal":"operator",
                "what":{"lease-taken":{"number":1,"holder":"h"}}}"#,
        )
        .unwrap();
        leaf.what = What::LeaseTaken {
            number: 1,
            holder: "x".repeat(70_000),
        };
        assert!(matches!(leaf.bytes(), Err(AuditError::TooLarge { .. })));
    }
}
