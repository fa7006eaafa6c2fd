//! What a pure check noticed, before anyone knows where it stands in a file.

use std::collections::BTreeMap;

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

/// Ids that stand there twice; `what` has the id: `field`, say.
pub(super) fn repeated(what: &str, code: &Explained, ids: &[(String, Path)]) -> Vec<Problem> {
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    let mut problems = Vec::new();
    for (id, path) in ids {
        if let Some(first) = seen.get(id.as_str()) {
            let message = format!("{what} id `{id}` is used twice");
            let problem = Problem::new(code, path.clone(), message);
            problems.push(problem.hint(format!("`{first}` has it already: choose another id")));
        } else {
            seen.insert(id, path);
        }
    }
    problems
}
