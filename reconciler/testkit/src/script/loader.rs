//! The script as a loader.

use stratum_core::desired::{Closure, Desired, Revision};
use stratum_core::digest::Digest;
use stratum_core::finding::Finding;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::{LoadError, Loaded, Loader, Tree};
use stratum_core::settings::Settings;
use stratum_core::trust::Trust;

use super::{Content, Script, object_id};

impl Script {
    fn content(&self, tree: &dyn Tree) -> Option<Content> {
        let entry = tree.entry("").ok()??;
        let commit = CommitId::new(entry.id.as_str()).ok()?;
        self.lock()
            .commits
            .get(&commit)
            .map(|(content, _)| content.clone())
    }
}

pub(super) fn closure(content: &Content, environment: &EnvironmentName) -> Closure {
    let resources = content.resources.get(environment);
    let findings = content.findings.get(environment);
    let id = object_id(&format!("{resources:?} {findings:?}"));
    Closure([(format!("infra/{environment}.ncl"), Some(id))].into())
}

impl Loader for Script {
    fn settings(&self, tree: &dyn Tree) -> Result<Loaded<Settings>, LoadError> {
        let value = self.content(tree).map(|content| content.settings);
        Ok(Loaded {
            value,
            findings: Vec::new(),
        })
    }

    fn environments(
        &self,
        _tree: &dyn Tree,
        settings: &Settings,
    ) -> Result<Vec<EnvironmentName>, LoadError> {
        Ok(settings.environments.keys().cloned().collect())
    }

    fn trust(&self, _tree: &dyn Tree, _settings: &Settings) -> Result<Loaded<Trust>, LoadError> {
        Ok(Loaded {
            value: Some(Trust::default()),
            findings: Vec::new(),
        })
    }

    fn load(
        &self,
        tree: &dyn Tree,
        revision: &Revision,
        _settings: &Settings,
        environment: &EnvironmentName,
    ) -> Result<Loaded<Desired>, LoadError> {
        self.lock().loads += 1;
        let Some(content) = self.content(tree) else {
            return Ok(Loaded {
                value: None,
                findings: Vec::new(),
            });
        };
        let closure = closure(&content, environment);
        let resources = content
            .resources
            .get(environment)
            .cloned()
            .unwrap_or_default();
        let desired = Desired {
            environment: environment.clone(),
            revision: revision.commit.clone(),
            inputs: Digest::of_json(&closure),
            closure,
            resources: resources
                .into_iter()
                .map(|r| (r.address.clone(), r))
                .collect(),
        };
        let findings = content
            .findings
            .get(environment)
            .cloned()
            .unwrap_or_default();
        Ok(Loaded {
            value: Some(desired),
            findings,
        })
    }

    fn strays(&self, _tree: &dyn Tree, _settings: &Settings) -> Result<Vec<Finding>, LoadError> {
        Ok(Vec::new())
    }

    fn unchanged(&self, tree: &dyn Tree, before: &Closure) -> Result<bool, LoadError> {
        let now = self.content(tree);
        let same = now.is_some_and(|content| {
            content
                .resources
                .keys()
                .any(|environment| closure(&content, environment) == *before)
        });
        Ok(same)
    }

    fn version(&self) -> &str {
        "script"
    }
}
