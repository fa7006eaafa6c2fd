//! Packing of plans and evaluations: they are large and repeat themselves.
//!
//! *Source*: LZ4 block format, <https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>.

use thiserror::Error;

/// No LZ4 block grows by more than this.
const MOST_GROWTH: usize = 256;

/// Why packed text could not be read.
#[derive(Debug, Error)]
pub(crate) enum PackError {
    /// The length at its head cannot be right.
    #[error("the packed text is cut off or has a wrong length")]
    Length,
    /// The block is damaged.
    #[error("the packed text is damaged")]
    Block(#[source] lz4_flex::block::DecompressError),
    /// What it holds is no text.
    #[error("the packed bytes are no text")]
    Text(#[from] std::string::FromUtf8Error),
}

/// Packs text.
pub(crate) fn pack(text: &str) -> Vec<u8> {
    pack_bytes(text.as_bytes())
}

/// Packs bytes.
pub(crate) fn pack_bytes(bytes: &[u8]) -> Vec<u8> {
    lz4_flex::block::compress_prepend_size(bytes)
}

/// The text that was packed.
pub(crate) fn unpack(packed: &[u8]) -> Result<String, PackError> {
    Ok(String::from_utf8(unpack_bytes(packed)?)?)
}

/// The bytes that were packed.
pub(crate) fn unpack_bytes(packed: &[u8]) -> Result<Vec<u8>, PackError> {
    let (head, block) = packed.split_first_chunk::<4>().ok_or(PackError::Length)?;
    let length = u32::from_le_bytes(*head) as usize;
    if length > block.len().saturating_mul(MOST_GROWTH) {
        return Err(PackError::Length);
    }
    lz4_flex::block::decompress(block, length).map_err(PackError::Block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_and_repetition_shrinks() {
        for text in ["", "a", "\u{1f600}"] {
            assert_eq!(unpack(&pack(text)).unwrap(), text);
        }
        let long = "a step like the one before; ".repeat(100_000);
        let packed = pack(&long);
        assert!(packed.len() * 100 < long.len());
        assert_eq!(unpack(&packed).unwrap(), long);
    }

    #[test]
    fn damage_is_an_error_and_no_huge_allocation() {
        let mut packed = pack("some text, some text, some text");
        assert!(unpack(&packed[..3]).is_err());
        assert!(unpack(&packed[..packed.len() - 1]).is_err());
        packed[3] = 0xff;
        assert!(matches!(unpack(&packed), Err(PackError::Length)));
    }
}
