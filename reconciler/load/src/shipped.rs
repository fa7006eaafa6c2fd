//! The Nickel files that ship with stratum and can be imported by name.

use stratum_core::ports::ProviderSchema;

use crate::contracts;

/// The helpers: `ref`, `fmt`, `secret`, and the contracts of `meta`.
pub(crate) const RESOURCE: &str = include_str!("../../../schemas/resource.ncl");

/// The contract of `stratum.ncl`.
pub(crate) const REPO: &str = include_str!("../../../schemas/repo.ncl");

/// The contracts of pipelines and of `agents.ncl`.
const PIPELINE: &str = include_str!("../../../schemas/pipeline.ncl");

/// Files that can be imported although they are not in the tree.
///
/// A name is looked up only when no file of the tree lies where the import leads to.
pub(crate) trait Shipped: Sync {
    /// The text of the file that is imported as `import`, exactly as written.
    fn text(&self, import: &str) -> Option<String>;

    /// Whether a contract is there for a type of that name.
    fn is_type(&self, name: &str) -> bool;
}

/// No files at all.
#[cfg(test)]
pub(crate) struct Nothing;

#[cfg(test)]
impl Shipped for Nothing {
    fn text(&self, _import: &str) -> Option<String> {
        None
    }

    fn is_type(&self, _name: &str) -> bool {
        false
    }
}

/// The helpers, and the contracts of some providers.
#[derive(Debug, Default)]
pub(crate) struct Library {
    schemas: Vec<ProviderSchema>,
}

impl Library {
    /// With the contracts of `schemas`.
    pub(crate) fn new(schemas: Vec<ProviderSchema>) -> Self {
        Self { schemas }
    }

    /// The schemas.
    pub(crate) fn schemas(&self) -> &[ProviderSchema] {
        &self.schemas
    }
}

impl Shipped for Library {
    fn is_type(&self, name: &str) -> bool {
        let mut types = self.schemas.iter().flat_map(|schema| schema.types.keys());
        types.any(|r#type| r#type.as_str() == name)
    }

    fn text(&self, import: &str) -> Option<String> {
        match import {
            "stratum.ncl" | "stratum/resource.ncl" => Some(RESOURCE.to_owned()),
            "stratum/repo.ncl" => Some(REPO.to_owned()),
            "stratum/pipeline.ncl" => Some(PIPELINE.to_owned()),
            _ => {
                let name = import.strip_prefix("provider/")?.strip_suffix(".ncl")?;
                let schema = self
                    .schemas
                    .iter()
                    .find(|schema| schema.provider.as_str() == name)?;
                Some(contracts::provider_file(schema))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::evaluate::in_process;
    use crate::memory::MemoryTree;

    /// Each file of `schemas/tests` says in its first lines what is expected of it.
    #[test]
    fn the_cases_beside_the_contracts_hold() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/tests");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let expected: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("# expect: "))
                .collect();
            assert!(!expected.is_empty(), "{path:?} expects nothing");
            let tree = MemoryTree::new([("cases/case.ncl", text.as_str())]);
            let evaluated = in_process(&tree).file("cases/case.ncl").unwrap();
            let mut found: Vec<String> = evaluated
                .findings
                .iter()
                .map(|finding| {
                    let place = finding.source.as_ref().unwrap();
                    format!("{} {}:{}", finding.code, place.line, place.column)
                })
                .collect();
            if found.is_empty() {
                found.push("ok".to_owned());
            }
            assert_eq!(found, expected, "{path:?}: {:#?}", evaluated.findings);
            count += 1;
        }
        assert!(count >= 9, "only {count} cases");
    }
}
