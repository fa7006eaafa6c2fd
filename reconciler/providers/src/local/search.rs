//! What lies in the root of an environment, whoever put it there.

use std::collections::BTreeMap;
use std::fs::FileType;
use std::path::{Path, PathBuf};

use stratum_core::ids::Address;
use stratum_core::ports::{Found, ListCall, Listed, ProviderError, Site};

use super::place::Spot;
use crate::schema::text;

/// The deepest folder that is looked into.
const DEEPEST: usize = 32;

/// The most entries that are looked at, of all kinds.
const MOST: usize = 100_000;

/// The entries of this kind below the root, by path; links are not followed.
///
/// *Guarantees*: nothing of stratum's own, and nothing whose name is no text: neither could be
/// adopted.
pub(super) async fn list(
    call: ListCall<'_>,
    is: impl Fn(FileType) -> bool + Send + 'static,
) -> Result<Listed, ProviderError> {
    let known = call.known.iter().filter_map(|(address, instance)| {
        let path = text(&instance.attributes, "path")?;
        let spot = Spot::of(call.site, path).ok()?;
        Some((spot.absolute(), address.clone()))
    });
    let search = Search {
        site: call.site.clone(),
        known: known.collect(),
        most: call.most,
        seen: 0,
        listed: Listed::default(),
    };
    let searched = tokio::task::spawn_blocking(move || search.run(&is)).await;
    searched.map_err(|error| ProviderError::later(error.to_string()))?
}

struct Search {
    site: Site,
    known: BTreeMap<PathBuf, Address>,
    most: usize,
    seen: usize,
    listed: Listed,
}

impl Search {
    fn run(mut self, is: &impl Fn(FileType) -> bool) -> Result<Listed, ProviderError> {
        let root = self.site.root.clone();
        if root
            .try_exists()
            .map_err(|error| unreadable(&root, &error))?
        {
            self.folder(&root, "", 0, is)?;
        }
        Ok(self.listed)
    }

    /// One folder and those in it, sorted by name.
    fn folder(
        &mut self,
        folder: &Path,
        before: &str,
        depth: usize,
        is: &impl Fn(FileType) -> bool,
    ) -> Result<(), ProviderError> {
        let mut entries = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
            self.seen += 1;
            if self.seen > MOST {
                self.listed.more = true;
                break;
            }
            let entry = entry.map_err(|error| unreadable(folder, &error))?;
            if let Ok(name) = entry.file_name().into_string() {
                entries.insert(name, entry);
            }
        }
        for (name, entry) in entries {
            let id = format!("{before}{name}");
            let Ok(spot) = Spot::of(&self.site, &id) else {
                continue;
            };
            let kind = entry.file_type();
            let kind = kind.map_err(|error| unreadable(&entry.path(), &error))?;
            if is(kind) && !self.add(id.clone(), &spot) {
                return Ok(());
            }
            if kind.is_dir() && depth >= DEEPEST {
                self.listed.more = true;
            } else if kind.is_dir() {
                self.folder(&entry.path(), &format!("{id}/"), depth + 1, is)?;
            }
        }
        Ok(())
    }

    /// Takes in one; whether there is room for it.
    fn add(&mut self, id: String, spot: &Spot) -> bool {
        if self.listed.there.len() >= self.most {
            self.listed.more = true;
            return false;
        }
        let known = self.known.get(&spot.absolute()).cloned();
        self.listed.there.push(Found { id, known });
        true
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> ProviderError {
    ProviderError::person(format!("could not read `{}`: {error}", path.display()))
}
