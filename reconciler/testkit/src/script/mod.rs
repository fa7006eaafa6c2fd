//! A repository whose commits are written in the test: no git, no Nickel, no files.
//!
//! [`Script`] is the repository and its remote at once; it implements
//! [`Repository`](stratum_core::ports::Repository), [`Loader`](stratum_core::ports::Loader) and
//! [`Wake`](stratum_core::ports::Wake), and can be told to fail.

mod loader;
mod repository;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use stratum_core::digest::Digest;
use stratum_core::finding::Finding;
use stratum_core::ids::{Address, BranchName, CommitId, EnvironmentName, ObjectId, ProviderName};
use stratum_core::kinds::Kind;
use stratum_core::ports::Publication;
use stratum_core::resource::{Meta, Resource};
use stratum_core::settings::{EnvironmentSettings, Settings};
use stratum_core::signed::{Signed, SignedTag};
use stratum_core::value::{Record, Value};
use tokio::sync::Notify;

/// What one commit of a script says.
#[derive(Debug, Clone)]
pub struct Content {
    /// The settings.
    pub settings: Settings,
    /// The resources of each environment.
    pub resources: BTreeMap<EnvironmentName, Vec<Resource>>,
    /// The configurations of providers in each environment.
    pub providers: BTreeMap<EnvironmentName, BTreeMap<ProviderName, Record>>,
    /// What the loader notices in each environment.
    pub findings: BTreeMap<EnvironmentName, Vec<Finding>>,
}

/// The scripted repository.
#[derive(Clone, Default)]
pub struct Script {
    inner: Arc<Mutex<Inner>>,
    woken: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    commits: BTreeMap<CommitId, (Content, Option<CommitId>)>,
    branches: BTreeMap<BranchName, CommitId>,
    published: Vec<Publication>,
    /// How often a record was offered, also when it was there already.
    offers: u64,
    loads: u64,
    fetches: u64,
    remote_down: bool,
    races: u32,
    words: Vec<SignedTag>,
}

impl Content {
    /// One environment `e` with default settings and these resources.
    pub fn of(resources: Vec<Resource>) -> Self {
        let environment = environment();
        let settings = Settings {
            name: "script".to_owned(),
            environments: [(environment.clone(), EnvironmentSettings::default())].into(),
            records: Default::default(),
            drift: Default::default(),
            limits: Default::default(),
            signatures: Default::default(),
            approvals: Default::default(),
            knowledge: Default::default(),
            secrets: Default::default(),
            audit: Default::default(),
            retention: Default::default(),
        };
        Self {
            settings,
            resources: [(environment, resources)].into(),
            providers: BTreeMap::new(),
            findings: BTreeMap::new(),
        }
    }

    /// The same, with a configuration of a provider in `e`.
    pub fn configure(mut self, name: ProviderName, configuration: Record) -> Self {
        let own = self.providers.entry(environment()).or_default();
        own.insert(name, configuration);
        self
    }

    /// The same, with the settings of `e` changed.
    pub fn set(mut self, change: impl FnOnce(&mut EnvironmentSettings)) -> Self {
        if let Some(own) = self.settings.environments.get_mut(&environment()) {
            change(own);
        }
        self
    }
}

/// The environment `e` that scripts use.
///
/// # Panics
/// Never: the name is valid.
#[allow(
    clippy::expect_used,
    reason = "a literal that fulfils the rule of names"
)]
pub fn environment() -> EnvironmentName {
    EnvironmentName::new("e").expect("`e` is a name")
}

/// A resource `e/<type>.<name>` of the provider `memory`.
///
/// # Panics
/// When type or name is not a name.
#[allow(
    clippy::expect_used,
    reason = "test code: a wrong literal must be seen at once"
)]
pub fn thing(name: &str, value: &str, depends_on: &[&str]) -> Resource {
    let address: Address = format!("e/memory_thing.{name}").parse().expect("a name");
    let depends_on = depends_on.iter().map(|name| format!("memory_thing.{name}"));
    Resource {
        address,
        kind: Kind::Infrastructure,
        provider: ProviderName::new("memory").expect("`memory` is a name"),
        attributes: Record::from([("value".to_owned(), Value::text(value))]),
        meta: Meta {
            depends_on: depends_on
                .map(|local| local.parse().expect("a name"))
                .collect(),
            ..Meta::default()
        },
        sources: BTreeMap::new(),
    }
}

impl Script {
    /// An empty repository.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pushes a commit to `main` and wakes whoever waits.
    pub fn push(&self, content: Content) -> CommitId {
        self.push_to(&main(), content)
    }

    /// Pushes a commit to a branch.
    ///
    /// # Panics
    /// Never: the id is made of a digest.
    #[allow(
        clippy::expect_used,
        reason = "forty digits of a digest are a commit id"
    )]
    pub fn push_to(&self, branch: &BranchName, content: Content) -> CommitId {
        let mut inner = self.lock();
        let parent = inner.branches.get(branch).cloned();
        let number = inner.commits.len();
        let digest = Digest::of_bytes(format!("commit {number}").as_bytes()).to_string();
        let digits: String = digest.chars().take(40).collect();
        let commit = CommitId::new(digits).expect("forty digits");
        inner.commits.insert(commit.clone(), (content, parent));
        inner.branches.insert(branch.clone(), commit.clone());
        drop(inner);
        self.woken.notify_one();
        commit
    }

    /// Moves `main` to a commit that is there: a force push.
    pub fn reset(&self, commit: &CommitId) {
        self.move_branch(&main(), commit);
    }

    /// Moves a branch to a commit that is there, or makes it there.
    pub fn move_branch(&self, branch: &BranchName, commit: &CommitId) {
        self.lock().branches.insert(branch.clone(), commit.clone());
        self.woken.notify_one();
    }

    /// Takes a branch away.
    pub fn delete_branch(&self, branch: &BranchName) {
        self.lock().branches.remove(branch);
        self.woken.notify_one();
    }

    /// Makes a lightweight tag, which says something and counts for nothing.
    pub fn tag(&self, name: &str) {
        self.lock().words.push(SignedTag {
            name: name.to_owned(),
            own_name: None,
            id: object_id(name).to_string(),
            tagger_mail: String::new(),
            tagged_at: Timestamp::UNIX_EPOCH,
            message: String::new(),
            signed: Signed::default(),
        });
        self.woken.notify_one();
    }

    /// How often a record was offered.
    pub fn offers(&self) -> u64 {
        self.lock().offers
    }

    /// The records that were published, in order.
    pub fn published(&self) -> Vec<Publication> {
        self.lock().published.clone()
    }

    /// How often an environment was loaded.
    pub fn loads(&self) -> u64 {
        self.lock().loads
    }

    /// How often the refs were asked for.
    pub fn fetches(&self) -> u64 {
        self.lock().fetches
    }

    /// Takes the remote down or brings it back.
    pub fn remote_down(&self, down: bool) {
        self.lock().remote_down = down;
    }

    /// Lets the next publications lose a race against others.
    pub fn lose_races(&self, count: u32) {
        self.lock().races = count;
    }
}

/// The branch `main`.
///
/// # Panics
/// Never: the name is valid.
#[allow(
    clippy::expect_used,
    reason = "a literal that fulfils the rule of names"
)]
pub fn main() -> BranchName {
    BranchName::new("main").expect("`main` is a name")
}

/// An object id that follows from `text`.
///
/// # Panics
/// Never: forty digits of a digest are an object id.
#[allow(
    clippy::expect_used,
    reason = "forty digits of a digest are an object id"
)]
fn object_id(text: &str) -> ObjectId {
    let digest = Digest::of_bytes(text.as_bytes()).to_string();
    ObjectId::new(digest.chars().take(40).collect::<String>()).expect("forty digits")
}
