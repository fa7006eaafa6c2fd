//! Bech32 without its limit of length, as age writes keys.
//!
//! *Source*: BIP 173; age's specification lifts the limit of 90 characters.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Checksum, Hrp};
use zeroize::Zeroizing;

/// The checksum of Bech32 for texts of any length.
enum Long {}

impl Checksum for Long {
    type MidstateRepr = <Bech32 as Checksum>::MidstateRepr;
    type CorrectionField = <Bech32 as Checksum>::CorrectionField;
    const ROOT_GENERATOR: Self::CorrectionField = Bech32::ROOT_GENERATOR;
    const ROOT_EXPONENTS: std::ops::RangeInclusive<usize> = Bech32::ROOT_EXPONENTS;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [u32; 5] = Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = Bech32::TARGET_RESIDUE;
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
