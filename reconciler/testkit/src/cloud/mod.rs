//! A provider that does what providers of clouds do: it is configured, keeps private bytes, upgrades
//! what it stored, is renewed, warns, reads what is only read, and tells its types one by one.
//!
//! Things are known by their ids, so that two of one address may be there at once.

mod provider;
mod types;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stratum_core::value::{Record, Value};

pub use provider::CloudProvider;

/// What was asked of the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A type.
    Type(String),
    /// To be configured, with a region and its opened key.
    Configured(String, String),
    /// To make or change a thing: its region, id, and the token that is only written.
    Made(String, String, Option<String>),
    /// To take a thing away.
    Taken(String),
    /// To renew a thing.
    Renewed(String),
    /// To bring a state of this version into today's form.
    Upgraded(u32),
    /// What an image is.
    Fetched(String),
    /// A call was stopped.
    Stopped,
}

#[derive(Debug, Default)]
struct Inner {
    things: BTreeMap<String, Record>,
    images: BTreeMap<String, String>,
    asked: Vec<Asked>,
    made: u64,
    stopped: bool,
    slow: bool,
    refuses: bool,
    version: u32,
}

/// The cloud; clones share it.
#[derive(Debug, Clone)]
pub struct Cloud(Arc<Mutex<Inner>>);

impl Default for Cloud {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            version: 2,
            ..Inner::default()
        })))
    }
}

impl Cloud {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is there, by id.
    pub fn things(&self) -> BTreeMap<String, Record> {
        self.inner().things.clone()
    }

    /// Everything that was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.inner().asked.clone()
    }

    /// Forgets what was asked.
    pub fn forget(&self) {
        self.inner().asked.clear();
    }

    /// Puts an image there.
    pub fn image(&self, name: &str, id: &str) {
        self.inner().images.insert(name.to_owned(), id.to_owned());
    }

    /// Stops everything that runs, or starts it.
    pub fn stop(&self, stopped: bool) {
        self.inner().stopped = stopped;
    }

    /// Makes calls that change something take a minute, or no time.
    pub fn slow(&self, slow: bool) {
        self.inner().slow = slow;
    }

    /// Has every thing refused that is to be taken away.
    pub fn refuse(&self, refuses: bool) {
        self.inner().refuses = refuses;
    }

    /// The version of the schema that the provider has from now on: 1 or 2.
    pub fn version(&self, version: u32) {
        self.inner().version = version;
    }

    fn note(&self, asked: Asked) {
        self.inner().asked.push(asked);
    }

    fn new_id(&self) -> String {
        let mut inner = self.inner();
        inner.made += 1;
        format!("thing-{}", inner.made)
    }
}

/// The text of an attribute.
fn text(record: &Record, name: &str) -> String {
    let value = record.get(name).and_then(Value::as_text);
    value.unwrap_or_default().to_owned()
}
