//! The Loader: a tree becomes Settings and Desired.

use std::collections::BTreeSet;
use std::sync::Arc;

use stratum_core::bounds::Bounds;
use stratum_core::desired::{Closure, Desired, Revision};
use stratum_core::digest::Digest;
use stratum_core::finding::{Finding, codes};
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{
    EvaluationCache, LoadError, Loaded, Loader, ProviderSchema, Tree, TreeError, TreeKind,
};
use stratum_core::settings::{Limits, Settings};
use stratum_core::source::Source;
use stratum_core::suggest;
use stratum_core::trust::Trust;

use crate::evaluate::budget::{Budget, Passes};
use crate::evaluate::{Evaluator, Evaluators};
use crate::generated;
use crate::infrastructure::{self, Infrastructure, Validate};
use crate::reading::walk;
use crate::records::{self, WithoutRecords};
use crate::secrets;
use crate::shipped::Library;
use crate::{registry, sealed, settings, trust};

/// The provider of what a repository registers: secrets, pipelines, forms, knowledge.
const REGISTRY: &str = "registry";

/// Reads repositories that are written in Nickel.
///
/// *Guarantees*: nothing outside the tree is read; code of the tree runs in the children of
/// `evaluators` only; the same tree gives the same answer.
pub struct NickelLoader {
    evaluators: Arc<Evaluators>,
    library: Library,
    validate: Validate,
    cache: Arc<dyn EvaluationCache>,
    bounds: Bounds,
    passes: Passes,
    version: String,
}

impl NickelLoader {
    /// A loader that knows the types of `schemas`; `validate` asks the provider of a type what it
    /// thinks of the attributes of a resource (with unknowns and references in them).
    ///
    /// The types of the provider `registry` are no infrastructure: what has them is read from
    /// files of its own, and nobody may write it in `infra/`.
    pub fn new(
        evaluators: Arc<Evaluators>,
        mut schemas: Vec<ProviderSchema>,
        validate: Validate,
        cache: Arc<dyn EvaluationCache>,
    ) -> Self {
        schemas.retain(|schema| schema.provider.as_str() != REGISTRY);
        let contracts =
            Digest::of_json(&(crate::shipped::RESOURCE, crate::shipped::REPO, &schemas));
        let version = format!(
            "{}+nickel-{}+{}",
            env!("CARGO_PKG_VERSION"),
            crate::evaluate::NICKEL,
            contracts.short()
        );
        Self {
            evaluators,
            library: Library::new(schemas),
            validate,
            cache,
            bounds: Bounds::default(),
            passes: Passes::default(),
            version,
        }
    }

    /// The same, within the bounds of the operator.
    #[must_use]
    pub fn within(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The evaluating children.
    pub fn evaluators(&self) -> &Evaluators {
        &self.evaluators
    }

    /// An evaluator with a budget of its own; what it spends counts for `revision` too.
    fn evaluator<'a>(
        &'a self,
        tree: &'a dyn Tree,
        limits: &Limits,
        revision: Option<&Revision>,
    ) -> Evaluator<'a> {
        let pass = revision.map(|revision| self.passes.of(&revision.commit));
        Evaluator::new(
            tree,
            &self.library,
            &self.evaluators,
            self.cache.as_ref(),
            (limits, Budget::new(self.bounds.clone(), pass)),
            &self.version,
        )
    }

    fn environment(
        &self,
        tree: &dyn Tree,
        evaluator: &Evaluator<'_>,
        settings: &Settings,
        environment: &EnvironmentName,
    ) -> Result<Infrastructure, LoadError> {
        let schemas = self.library.schemas();
        let own = settings.environments.get(environment);
        let root = own.and_then(|own| own.root.as_deref());
        let validate = &self.validate;
        let mut found = infrastructure::load(evaluator, schemas, validate, environment, root)?;
        let sealed = sealed::load_secrets(tree, environment)?;
        let empty = own.is_some_and(|own| own.empty);
        if !found.present && sealed.resources.is_empty() && !empty {
            found.findings.push(missing(tree, environment)?);
        }
        let resources = &mut found.resources;
        let placed = generated::place(resources, &sealed.resources, schemas, settings, tree)?;
        found.closure.0.extend(placed.0);
        let lost = secrets::fill(&mut found.resources, &sealed.resources);
        if !stratum_core::finding::any_error(&sealed.findings) {
            found.findings.extend(lost);
        }
        found.findings.extend(sealed.findings);
        found.closure.0.extend(sealed.closure.0);
        found.resources.extend(sealed.resources);
        Ok(found)
    }

    /// The digest of what an environment was read from, its own settings included.
    fn inputs(&self, closure: &Closure, settings: &Settings, name: &EnvironmentName) -> Digest {
        let own = Digest::of_json(&settings.environments.get(name));
        closure.digest(&format!("{} {own}", self.version))
    }
}

fn missing(tree: &dyn Tree, environment: &EnvironmentName) -> Result<Finding, TreeError> {
    for path in ["infra".to_owned(), format!("infra/{environment}")] {
        let what = match tree.entry(&path)?.map(|entry| entry.kind) {
            Some(TreeKind::Submodule) => "a submodule",
            Some(TreeKind::Symlink) => "a symlink",
            _ => continue,
        };
        let message = format!("`{path}` is {what}, which is not followed");
        let hint = "put the files themselves into this repository: a commit of it says all";
        let finding = Finding::error(&codes::NOT_A_FILE, message);
        return Ok(finding.at(Source::start_of(&path)).hint(hint));
    }
    let message = format!("the environment `{environment}` has no files");
    let finding = Finding::error(&codes::ENVIRONMENT_MISSING, message)
        .at(Source::start_of(settings::FILE))
        .hint(format!(
            "write `infra/{environment}.ncl`, or set `empty = true` for `{environment}` in `stratum.ncl`"
        ));
    Ok(finding)
}

impl Loader for NickelLoader {
    fn settings(&self, tree: &dyn Tree) -> Result<Loaded<Settings>, LoadError> {
        settings::load(&self.evaluator(tree, &Limits::default(), None))
    }

    fn environments(
        &self,
        tree: &dyn Tree,
        settings: &Settings,
    ) -> Result<Vec<EnvironmentName>, LoadError> {
        let mut names: Vec<EnvironmentName> = settings.environments.keys().cloned().collect();
        let repository = EnvironmentName::repository();
        let without = WithoutRecords(tree);
        let tree = match records::are_among(settings, &repository) {
            true => &without,
            false => tree,
        };
        if registry::has_repository(tree)? {
            names.push(repository);
        }
        Ok(names)
    }

    fn load(
        &self,
        tree: &dyn Tree,
        revision: &Revision,
        settings: &Settings,
        environment: &EnvironmentName,
    ) -> Result<Loaded<Desired>, LoadError> {
        let without = WithoutRecords(tree);
        let tree = match records::are_among(settings, environment) {
            true => &without,
            false => tree,
        };
        let evaluator = self.evaluator(tree, &settings.limits, Some(revision));
        let (resources, closure, findings) = if environment.is_repository() {
            let found = registry::load_repository(tree, &evaluator, settings)?;
            (found.resources, found.closure, found.findings)
        } else {
            let found = self.environment(tree, &evaluator, settings, environment)?;
            (found.resources, found.closure, found.findings)
        };
        let value = (!findings.iter().any(Finding::is_error)).then(|| Desired {
            environment: environment.clone(),
            revision: revision.commit.clone(),
            inputs: self.inputs(&closure, settings, environment),
            closure,
            resources,
            providers: Default::default(),
        });
        Ok(Loaded { value, findings })
    }

    fn trust(&self, tree: &dyn Tree, settings: &Settings) -> Result<Loaded<Trust>, LoadError> {
        trust::load_trust(tree, settings)
    }

    fn strays(&self, tree: &dyn Tree, settings: &Settings) -> Result<Vec<Finding>, LoadError> {
        let evaluator = self.evaluator(tree, &settings.limits, None);
        let mut used = BTreeSet::new();
        for environment in settings.environments.keys() {
            for path in infrastructure::files(tree, environment)?.0 {
                used.extend(evaluator.close(&path)?.objects.0.into_keys());
            }
        }
        let mut findings = stray_files(tree, "infra", &used, settings)?;
        findings.extend(sealed::stray_secrets(tree, settings)?);
        Ok(findings)
    }

    fn unchanged(&self, tree: &dyn Tree, closure: &Closure) -> Result<bool, LoadError> {
        let without = WithoutRecords(tree);
        for (path, id) in &closure.0 {
            let is = |tree: &dyn Tree| -> Result<bool, TreeError> {
                Ok(tree.entry(path)?.map(|entry| entry.id) == *id)
            };
            // Which of the two it was read from is not in the closure; the ids of both differ.
            let records = path == crate::knowledge::FOLDER;
            if !is(tree)? && (!records || !is(&without)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn stop(&self) {
        self.evaluators.stop();
    }
}

/// A warning for every Nickel file below `folder` that nothing uses.
fn stray_files(
    tree: &dyn Tree,
    folder: &str,
    used: &BTreeSet<String>,
    settings: &Settings,
) -> Result<Vec<Finding>, TreeError> {
    let mut strays = Vec::new();
    let ended = walk(tree, folder, &mut |path, _| {
        if path.ends_with(".ncl") && !used.contains(path) {
            strays.push(stray(path, settings));
        }
    })?;
    strays.extend(ended);
    Ok(strays)
}

fn stray(path: &str, settings: &Settings) -> Finding {
    let message = format!("`{path}` belongs to no environment, and none imports it");
    let name = path
        .strip_prefix("infra/")
        .and_then(|rest| rest.split(['/', '.']).next());
    let names = settings.environments.keys().map(EnvironmentName::as_str);
    let hint = name
        .and_then(|name| suggest::suggest(name, names))
        .map(|name| format!("did you mean the environment `{name}`?"))
        .unwrap_or_else(|| "name its environment in `stratum.ncl`, or import it".to_owned());
    Finding::warning(&codes::STRAY_FILE, message)
        .at(Source::start_of(path))
        .hint(hint)
}

#[cfg(test)]
mod tests;
