//! How a state that is damaged is made again: from the repository, the records, and the world.

use std::collections::BTreeMap;

use stratum_assembly::adapters;
use stratum_core::desired::Desired;
use stratum_core::ids::{BranchName, CommitId, EnvironmentName, TypeName};
use stratum_core::ports::{Effect, Repository as _};
use stratum_core::resource::Resource;
use stratum_runtime::Providers;

use crate::context::Place;
use crate::failure::CommandError;
use crate::git;

/// What is to be done, in one sentence.
pub(super) const REMEDY: &str = "stratum does not touch the file; put back a copy of it, or make \
                                 the state again from the repository:";

/// The same, where the file is not there.
pub(super) const REMEDY_MISSING: &str = "put the file back, or a copy of it, or make the state again from the \
                                         repository:";

/// The type whose resources are started again.
const SERVICE: &str = "local_service";

/// The most addresses that a step names.
const NAMED: usize = 12;

/// The steps, in order, for this repository as it is now.
pub(super) fn steps(place: &Place) -> Vec<String> {
    let mut steps = vec!["end `stratum reconcile`, so that nothing writes meanwhile".to_owned()];
    steps.extend(keep(place));
    match content(place) {
        Ok(content) => steps.extend(content.steps(place)),
        Err(error) => steps.push(format!(
            "HEAD cannot be read ({}): `stratum check --rev HEAD` says why; mend that, then ask \
             `stratum doctor` again",
            error.message()
        )),
    }
    steps.push(
        "`stratum plan` must now show only what you expect; then `stratum reconcile` makes the \
         new state, and a record says so"
            .to_owned(),
    );
    steps
}

/// Puts the damaged files aside, those that are there: they may still be needed. What lies beside
/// them stays, for services are watched and known by it.
fn keep(place: &Place) -> Option<String> {
    let name = place.state.file_name().unwrap_or_default();
    let files = ["", "-wal", "-shm"].map(|end| format!("{}{end}", name.to_string_lossy()));
    let folder = place.state_folder();
    let there = files.iter().filter(|file| folder.join(file).exists());
    let there: Vec<&str> = there.map(String::as_str).collect();
    let folder = folder.display();
    (!there.is_empty()).then(|| {
        format!(
            "keep the damaged file: `cd {folder} && mkdir damaged && mv {} damaged/`; what else \
             lies there stays",
            there.join(" ")
        )
    })
}

/// What HEAD has, and what was applied last.
struct Content {
    environments: Vec<Environment>,
    head: CommitId,
}

struct Environment {
    name: EnvironmentName,
    /// The commit that the newest record of an apply names.
    applied: Option<String>,
    ways: Ways,
}

/// How the resources of one environment come back, by the way.
#[derive(Default)]
struct Ways {
    /// Found again by the place that follows from what is wanted.
    found: Vec<String>,
    /// In the state alone.
    made: Vec<String>,
    /// Started again in the place of what runs; they cannot be adopted.
    started: Vec<String>,
    /// Only a person knows whether they are there.
    adopt: Vec<String>,
}

fn content(place: &Place) -> Result<Content, CommandError> {
    let repository = &place.repository;
    let head = repository.resolve("HEAD")?;
    let (tree, revision) = (repository.tree(&head)?, repository.revision(&head)?);
    let providers = adapters::providers()?;
    let loader = adapters::loader(&providers, None)?;
    let settings = loader.settings(tree.as_ref())?.value;
    let settings = settings.ok_or_else(|| CommandError::given("`stratum.ncl` cannot be used"))?;
    let mut environments = Vec::new();
    for name in loader.environments(tree.as_ref(), &settings)? {
        let loaded = loader.load(tree.as_ref(), &revision, &settings, &name)?;
        let desired = loaded
            .value
            .ok_or_else(|| CommandError::given(format!("the files of `{name}` have errors")))?;
        environments.push(Environment {
            applied: applied(place, &settings.records.branch, &name),
            ways: Ways::of(&desired, &providers),
            name,
        });
    }
    Ok(Content { environments, head })
}

/// The commit that was applied last, as the records say.
fn applied(place: &Place, records: &BranchName, environment: &EnvironmentName) -> Option<String> {
    let folder = place.repository.git_dir();
    let subject = format!("--grep=^{environment}: applied ");
    let wanted = ["log", "-1", "--format=", "--name-only", &subject];
    let branch = format!("refs/heads/{records}");
    let files = git::text(folder, &[&wanted[..], &[&branch, "--"]].concat()).ok()?;
    let file = files.lines().find(|line| line.ends_with(".md"))?;
    let record = git::text(folder, &["show", &format!("{branch}:{file}")]).ok()?;
    let revision = record
        .lines()
        .find_map(|line| line.strip_prefix("revision: "));
    revision.map(str::to_owned)
}

impl Ways {
    fn of(desired: &Desired, providers: &Providers) -> Self {
        let mut effects: BTreeMap<&TypeName, (Effect, bool)> = BTreeMap::new();
        for schema in providers.schemas() {
            let types = schema.types.iter();
            effects.extend(types.map(|(name, t)| (name, (t.effect, t.place.is_some()))));
        }
        let mut ways = Self::default();
        for Resource { address, .. } in desired.resources.values() {
            let list = match effects.get(address.r#type()) {
                Some((Effect::StateOnly, _)) => &mut ways.made,
                Some((Effect::World, true)) => &mut ways.found,
                Some(_) if address.r#type().as_str() == SERVICE => &mut ways.started,
                Some((Effect::World, false)) | None => &mut ways.adopt,
            };
            list.push(address.local.to_string());
        }
        ways
    }
}

impl Content {
    fn steps(&self, place: &Place) -> Vec<String> {
        let mut steps = Vec::new();
        for environment in &self.environments {
            steps.extend(environment.behind(&self.head));
            steps.extend(environment.adopt());
        }
        let names = |list: fn(&Ways) -> &Vec<String>| -> Vec<String> {
            let all = self.environments.iter().flat_map(|e| {
                let name = &e.name;
                list(&e.ways)
                    .iter()
                    .map(move |local| format!("{name}/{local}"))
            });
            all.collect()
        };
        let found = names(|ways| &ways.found);
        if !found.is_empty() {
            steps.push(format!(
                "nothing for {}: what lies where it should and is as HEAD says is taken over; what \
                 differs is refused by name, and `meta.adopt = \"<its path>\"` takes it over and \
                 changes it",
                some(&found)
            ));
        }
        let started = names(|ways| &ways.started);
        if !started.is_empty() {
            steps.push(format!(
                "nothing for {}: services are started again, in the place of what runs; where that \
                 run fails and is put back, they stay stopped until a push is applied",
                some(&started)
            ));
        }
        let made = names(|ways| &ways.made);
        if !made.is_empty() {
            steps.push(format!(
                "nothing for {}: they are in the state alone, and get new values",
                some(&made)
            ));
        }
        steps.push(format!(
            "what HEAD no longer has was taken away when its commit was applied; `git -C {} log \
             --notes=stratum` shows what became of each commit",
            place.repository.git_dir().display()
        ));
        steps
    }
}

impl Environment {
    /// HEAD has commits that were never applied: what they take away would be forgotten.
    fn behind(&self, head: &CommitId) -> Option<String> {
        let applied = self.applied.as_ref()?;
        (applied != head.as_str()).then(|| {
            format!(
                "the records say that `{}` was last applied at {}, and HEAD is at {}: first bring \
                 the branch there (`git revert` what came after, or push that commit), and go on \
                 from there when the state is made",
                self.name,
                applied.get(..12).unwrap_or(applied),
                head.short()
            )
        })
    }

    fn adopt(&self) -> Option<String> {
        (!self.ways.adopt.is_empty()).then(|| {
            format!(
                "commit `meta.adopt = \"<id>\"` to those of {} of `{}` that are there (for a \
                 command with `read` any id will do): what is not adopted is made once more",
                some(&self.ways.adopt),
                self.name
            )
        })
    }
}

fn some(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(NAMED)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..NAMED + 2).map(|n| format!("t.{n}")).collect();
        assert!(some(&names).ends_with("`t.11` and 2 more"));
        assert_eq!(some(&names[..1]), "`t.0`");
    }

    #[test]
    fn only_commits_that_were_not_applied_are_a_step() {
        let head = CommitId::new("a".repeat(40)).unwrap();
        let environment = |applied: Option<&str>| Environment {
            name: EnvironmentName::new("e").unwrap(),
            applied: applied.map(str::to_owned),
            ways: Ways::default(),
        };
        assert_eq!(environment(None).behind(&head), None);
        assert_eq!(environment(Some(head.as_str())).behind(&head), None);
        let behind = environment(Some(&"b".repeat(40))).behind(&head).unwrap();
        assert!(behind.contains("last applied at bbbbbbbbbbbb"), "{behind}");
    }
}
