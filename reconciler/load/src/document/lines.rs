//! Lines and columns of a text.

use stratum_core::source::Source;

/// Bytes between two counts of characters.
const BLOCK: usize = 256;

/// The starts of lines, and characters counted in blocks: a place costs little, wherever it is.
#[derive(Debug, Clone)]
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// The characters before each block.
    counts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Looks at `text` once.
    pub(crate) fn of(text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(offset, _)| offset + 1);
        let mut counts = vec![0];
        for block in text.as_bytes().chunks(BLOCK) {
            counts.push(counts.last().copied().unwrap_or_default() + characters(block));
        }
        Self {
            text,
            starts: std::iter::once(0).chain(ends).collect(),
            counts,
        }
    }

    /// Line and column of byte `offset`.
    pub(crate) fn place(&self, file: &str, offset: usize) -> Source {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or_default();
        let column = self.before(offset).saturating_sub(self.before(start)) + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Source::new(file, number(line), number(column))
    }

    /// The characters before byte `offset`.
    fn before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        let rest = self.text.as_bytes().get(block * BLOCK..offset);
        self.counts.get(block).copied().unwrap_or_default() + rest.map_or(0, characters)
    }
}

/// The characters that begin in `bytes`.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_also_far_into_a_line() {
        let text = format!("é\n{}x", "é".repeat(1000));
        let lines = Lines::of(&text);
        assert_eq!(lines.place("f", 0), Source::new("f", 1, 1));
        assert_eq!(lines.place("f", 3), Source::new("f", 2, 1));
        assert_eq!(lines.place("f", text.len() - 1), Source::new("f", 2, 1001));
        assert_eq!(lines.place("f", usize::MAX), Source::new("f", 2, 1002));
    }
}
