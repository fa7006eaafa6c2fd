//! Who signed a commit or a tag.

use jiff::Timestamp;

use crate::signed::{Signed, Signer};
use crate::trust::Trust;

/// Verifies signatures in process.
///
/// *Guarantees*: no program is run and no configuration is read; the same arguments give the same
/// answer. Blocking, a fraction of a millisecond.
pub trait Signatures: Send + Sync {
    /// The person whose key signed, if the signature is good, and was not made after the person's
    /// keys expired. `made_at` is when the object says it was made, `now` the time now: both must
    /// lie before the expiry, since the first is only the signer's word.
    fn signer(&self, signed: &Signed, trust: &Trust, made_at: Timestamp, now: Timestamp) -> Signer;
}
