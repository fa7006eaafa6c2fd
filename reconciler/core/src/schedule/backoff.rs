//! How long to wait after a failure.

use std::time::Duration;

use super::Key;
use crate::digest::Digest;

/// The shortest time between two looks at a key for reasons of time.
pub const SHORTEST: Duration = Duration::from_secs(1);

/// The longest wait after a failure that asks for a short one; of one that asks for a longer
/// one, [`TIMES`] as much.
const LONGEST: Duration = Duration::from_secs(300);

/// See [`LONGEST`].
const TIMES: u32 = 12;

/// How long to wait after so many attempts without success: doubles with each, up to a bound, with
/// up to a fifth of jitter by `name`, the same every time.
pub fn backoff(name: &str, base: Duration, attempts: u32) -> Duration {
    let base = base.max(SHORTEST);
    let doubled = base.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    let capped = doubled.min(LONGEST.max(base.saturating_mul(TIMES)));
    capped.saturating_add(share(capped, name, attempts, 5))
}

/// What is due again and again, with up to a tenth of jitter, the same for a key every time, so
/// that many do not wake together.
pub(super) fn period(key: &Key, every: Duration) -> Duration {
    let every = every.max(SHORTEST);
    every.saturating_add(share(every, key.environment().as_str(), 0, 10))
}

/// Up to the `parts`th part of `whole`.
fn share(whole: Duration, name: &str, salt: u32, parts: u32) -> Duration {
    let text = format!("{salt} {name}");
    let digest = Digest::of_bytes(text.as_bytes()).to_string();
    let digits = digest.get(..4).unwrap_or_default();
    let number = u32::from_str_radix(digits, 16).unwrap_or_default();
    (whole / parts / 65_536).saturating_mul(number)
}
