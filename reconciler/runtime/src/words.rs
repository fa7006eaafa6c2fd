//! The tags of the repository as they were last seen, and what was said of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stratum_core::digest::Digest;
use stratum_core::ids::EnvironmentName;
use stratum_core::signed::SignedTag;

/// The tags as they were last seen, and what was said of them.
#[derive(Default)]
pub(crate) struct Words(Mutex<Spoken>);

#[derive(Default)]
struct Spoken {
    tags: Arc<Vec<SignedTag>>,
    digest: Option<Digest>,
    /// What the audit log was told of tags that are looked at again and again.
    told: BTreeSet<(EnvironmentName, String)>,
}

impl Words {
    fn heard(&self) -> MutexGuard<'_, Spoken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in the tags as they are now.
    pub(crate) fn hear(&self, tags: Vec<SignedTag>) {
        let names: Vec<_> = tags.iter().map(|tag| (&tag.name, &tag.id)).collect();
        let digest = Digest::of_json(&names);
        let mut words = self.heard();
        if words.digest != Some(digest) {
            words.digest = Some(digest);
            words.tags = Arc::new(tags);
        }
    }

    /// Whether the audit log was told this of a tag before; it is from now on.
    pub(crate) fn was_told(&self, environment: &EnvironmentName, told: String) -> bool {
        let mut words = self.heard();
        !words.told.insert((environment.clone(), told))
    }

    /// The tags as they were last seen.
    pub(crate) fn tags(&self) -> Arc<Vec<SignedTag>> {
        let words = self.heard();
        Arc::clone(&words.tags)
    }

    /// The tags by name, with their objects.
    pub(crate) fn by_name(&self) -> BTreeMap<String, String> {
        let tags = self.tags();
        let names = tags.iter().map(|tag| (tag.name.clone(), tag.id.clone()));
        names.collect()
    }
}
