//! Which environments a change touches: an index from path to environment.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::Closure;
use crate::ids::EnvironmentName;

/// What decides for everybody: a change of these is everybody's.
const EVERYBODY: [&str; 3] = ["stratum.ncl", "policies", "trust"];

/// The environments by the paths that they were read from.
///
/// *Shape*: as large as all closures together.
#[derive(Debug, Clone, Default)]
pub struct Index {
    by_path: BTreeMap<String, BTreeSet<EnvironmentName>>,
    paths: BTreeMap<EnvironmentName, Vec<String>>,
}

impl Index {
    /// Takes in what an environment was read from, in place of what it was read from before.
    pub fn put(&mut self, environment: &EnvironmentName, closure: &Closure) {
        let before = self.paths.get(environment);
        if before.is_some_and(|before| before.iter().eq(closure.0.keys())) {
            return;
        }
        self.remove(environment);
        for path in closure.0.keys() {
            let readers = self.by_path.entry(path.clone()).or_default();
            readers.insert(environment.clone());
        }
        let paths = closure.0.keys().cloned().collect();
        self.paths.insert(environment.clone(), paths);
    }

    /// Forgets an environment.
    pub fn remove(&mut self, environment: &EnvironmentName) {
        for path in self.paths.remove(environment).unwrap_or_default() {
            if let Some(readers) = self.by_path.get_mut(&path) {
                readers.remove(environment);
                if readers.is_empty() {
                    self.by_path.remove(&path);
                }
            }
        }
    }

    /// The environments that were read from one of these paths; `None`: all may be concerned.
    pub fn touched(&self, changed: &BTreeSet<String>) -> Option<BTreeSet<EnvironmentName>> {
        let everybodys = |path: &String| {
            let top = path.split('/').next().unwrap_or_default();
            EVERYBODY.contains(&top)
        };
        if changed.iter().any(everybodys) {
            return None;
        }
        let readers = changed.iter().filter_map(|path| self.by_path.get(path));
        Some(readers.flatten().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> EnvironmentName {
        EnvironmentName::new(text).unwrap()
    }

    fn closure(paths: &[&str]) -> Closure {
        Closure(
            paths
                .iter()
                .map(|path| ((*path).to_owned(), None))
                .collect(),
        )
    }

    fn touched(index: &Index, paths: &[&str]) -> Option<Vec<String>> {
        let changed = paths.iter().map(|path| (*path).to_owned()).collect();
        let found = index.touched(&changed)?;
        Some(found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn who_reads_a_path_is_touched_by_it_and_nobody_else() {
        let mut index = Index::default();
        index.put(&name("a"), &closure(&["infra/a.ncl", "infra/a", "lib.ncl"]));
        index.put(&name("b"), &closure(&["infra/b.ncl", "infra/b", "lib.ncl"]));
        let found = touched(&index, &["infra", "infra/a.ncl"]).unwrap();
        assert_eq!(found, ["a"]);
        assert_eq!(touched(&index, &["lib.ncl"]).unwrap(), ["a", "b"]);
        assert_eq!(
            touched(&index, &["README.md"]).unwrap(),
            Vec::<String>::new()
        );
        // A file that is not there yet is a path too, and a folder changes with what is in it.
        assert_eq!(
            touched(&index, &["infra/b", "infra/b/new.ncl"]).unwrap(),
            ["b"]
        );
        index.put(&name("a"), &closure(&["infra/a.ncl"]));
        assert_eq!(touched(&index, &["lib.ncl"]).unwrap(), ["b"]);
        index.remove(&name("b"));
        assert_eq!(touched(&index, &["lib.ncl"]).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn rules_and_settings_are_everybodys() {
        let index = Index::default();
        for path in [
            "stratum.ncl",
            "policies",
            "policies/a.cedar",
            "trust/people/x.toml",
        ] {
            assert_eq!(touched(&index, &["infra", path]), None, "{path}");
        }
        assert!(touched(&index, &["policies.md", "x/trust"]).is_some());
    }
}
