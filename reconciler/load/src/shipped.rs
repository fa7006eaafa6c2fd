//! The Nickel files that ship with stratum and can be imported by name.

use stratum_core::ports::ProviderSchema;

use crate::contracts;

/// The helpers: `ref`, `fmt`, `secret`, and the contracts of `meta`.
pub(crate) const RESOURCE: &str = include_str!("../../../schemas/resource.ncl");

/// The contract of `stratum.ncl`.
pub(crate) const REPO: &str = include_str!("../../../schemas/repo.ncl");

/// Files that can be imported although they are not in the tree.
///
/// A name is looked up only when no file of the tree lies where the import leads to.
pub(crate) trait Shipped: Sync {
    /// The text of the file that is imported as `import`, exactly as written.
    fn text(&self, import: &str) -> Option<String>;
}

/// No files at all.
#[cfg(test)]
pub(crate) struct Nothing;

#[cfg(test)]
impl Shipped for Nothing {
    fn text(&self, _import: &str) -> Option<String> {
        None
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
    fn text(&self, import: &str) -> Option<String> {
        match import {
            "stratum.ncl" | "stratum/resource.ncl" => Some(RESOURCE.to_owned()),
            "stratum/repo.ncl" => Some(REPO.to_owned()),
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
