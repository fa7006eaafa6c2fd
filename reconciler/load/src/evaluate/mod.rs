//! One Nickel file of a tree becomes JSON, with the place of every value.

use std::collections::BTreeMap;

use stratum_core::desired::Closure;
use stratum_core::finding::Finding;
use stratum_core::ports::{LoadError, Tree};
use stratum_core::source::Source;
use stratum_core::value::Path;

/// What one file evaluates to.
#[derive(Debug, Clone, Default)]
pub struct Evaluated {
    /// The value; enum tags are texts, references and secrets are objects with the one key
    /// `$stratum`, so that `stratum_core::value::Value::try_from` reads it. `None` when a finding
    /// is an error.
    pub value: Option<serde_json::Value>,
    /// Where the values stand: `""` is the whole, then `steps[0].id` and so on, records included.
    pub sources: BTreeMap<Path, Source>,
    /// The file and everything it imports.
    pub closure: Closure,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

impl Evaluated {
    /// Where the value at `path` stands, or the nearest enclosing value.
    pub fn source(&self, path: &Path) -> Option<&Source> {
        let mut text = path.0.as_str();
        loop {
            if let Some(source) = self.sources.get(&Path(text.to_owned())) {
                return Some(source);
            }
            let end = text.rfind(['.', '[']).unwrap_or(0);
            if text.is_empty() {
                return None;
            }
            text = text.get(..end).unwrap_or_default();
        }
    }
}

/// Evaluates the Nickel files of one tree.
pub struct Evaluator<'a> {
    tree: &'a dyn Tree,
}

impl Evaluator<'_> {
    /// Evaluates the file at `path` to data.
    ///
    /// *Errors*: what is wrong with the file is a finding; an error means that the tree could not
    /// be read or the child could not be run.
    pub fn file(&self, _path: &str) -> Result<Evaluated, LoadError> {
        let _ = self.tree;
        Ok(Evaluated::default())
    }
}

/// For tests: evaluates files of `tree` in this process, without confinement.
#[cfg(test)]
pub(crate) fn in_process(tree: &dyn Tree) -> Evaluator<'_> {
    Evaluator { tree }
}
