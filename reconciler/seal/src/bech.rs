//! Bech32 without its limit of length, as age writes keys.
//!
//! *Source*: BIP 173; age's specification lifts the limit of 90 characters.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Checksum, Hrp};
use zeroize::Zeroizing;

/// The checksum of Bech32 for texts of any length.
enum Long {}

impl Checksum for Long {
    type MidstateRepr = u32;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = 6;
    const GENERATOR_SH: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    const TARGET_RESIDUE: u32 = 1;
}

/// `bytes` under the prefix `kind`, in lower case. `None` for a prefix that Bech32 does not know.
pub(crate) fn encode(kind: &str, bytes: &[u8]) -> Option<String> {
    bech32::encode_lower::<Long>(Hrp::parse(kind).ok()?, bytes).ok()
}

/// `bytes` under the prefix `kind`, in upper case, as secret keys are written.
pub(crate) fn encode_secret(kind: &str, bytes: &[u8]) -> Option<Zeroizing<String>> {
    let text = bech32::encode_upper::<Long>(Hrp::parse(kind).ok()?, bytes);
    text.ok().map(Zeroizing::new)
}

/// The prefix in lower case and the bytes; `None` when `text` is no Bech32. `upper` says which case
/// the text must be in.
pub(crate) fn decode(text: &str, upper: bool) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let other = |c: char| {
        if upper {
            c.is_ascii_lowercase()
        } else {
            c.is_ascii_uppercase()
        }
    };
    if text.chars().any(other) {
        return None;
    }
    let checked = CheckedHrpstring::new::<Long>(text).ok()?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    bytes.extend(checked.byte_iter());
    // Whoever writes the same bytes writes the same text: no stray bits at the end.
    let again = Zeroizing::new(bech32::encode_lower::<Long>(checked.hrp(), &bytes).ok()?);
    let same = again.eq_ignore_ascii_case(text);
    same.then(|| (checked.hrp().to_lowercase(), bytes))
}
