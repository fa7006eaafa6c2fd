//! What a pure check noticed, before anyone knows where it stands in a file.

use crate::finding::Finding;
use crate::finding::codes::Explained;
use crate::source::Source;
use crate::value::Path;

/// Something a pure check noticed at a path within the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The code.
    pub code: Explained,
    /// The value that is wrong.
    pub path: Path,
    /// One sentence: lower case, no full stop, values in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// Joins the parts.
    pub fn new(code: &Explained, path: Path, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            code: *code,
            path,
            message,
            hint: None,
        }
    }

    /// The same, with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The finding, now that the place is known.
    pub fn at(self, source: Source) -> Finding {
        let finding = Finding::error(&self.code, self.message).at(source);
        Finding {
            hint: self.hint,
            ..finding
        }
    }
}
