//! What stands beside a plan: what it cannot see, and why there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::plan::Plan;
use stratum_core::ports::{EnvironmentRow, Loader, Observation, Repository as _};
use stratum_core::settings::{EnvironmentSettings, Settings};
use stratum_runtime::{Roots, admit, site_of};

use crate::context::{Context, Place};
use crate::failure::CommandError;
use crate::git;
use crate::style::{Theme, one_line};
use crate::users;

/// The state is sealed, and whoever asks has no identity that opens it.
pub(crate) fn sealed(environment: &EnvironmentName) -> CommandError {
    let message = format!(
        "the state of `{environment}` is sealed, and this command has no identity that opens it"
    );
    CommandError::given(message)
        .hint("name one that does: `--identity FILE`, or `STRATUM_IDENTITY=FILE` for every command")
}

/// What lies in a work tree and in no commit is in no plan.
pub(super) fn say_what_is_not_committed(context: &Context, place: &Place) {
    if place.repository.is_bare() || place.repository.is_mirror() {
        return;
    }
    let Ok(top) = git::top(Path::new(&context.location())) else {
        return;
    };
    let changed = git::text(&top, &["status", "--porcelain"]);
    if changed.is_ok_and(|changed| !changed.is_empty()) {
        context.ui.say(
            "what is not committed is in no plan: `git status` shows it, `stratum check` reads it",
        );
    }
}

/// An environment has no plan, and the others have theirs.
pub(super) fn say_why_not(context: &Context, environment: &EnvironmentName, error: &CommandError) {
    let text = error.render(&Theme::PLAIN);
    let why = one_line(text.trim_start_matches("error: "));
    context
        .ui
        .complain(&format!("there is no plan for `{environment}`: {why}"));
    for hint in error.hints() {
        context.ui.hint(&hint);
    }
}

/// Drift that the last look found and that this plan leaves as it is.
pub(super) fn say_drifted(
    context: &Context,
    environment: &EnvironmentName,
    plan: &Plan,
    seen: &[Observation],
) {
    let told = plan.drifted.iter().map(|drifted| &drifted.address);
    let planned = plan.steps.iter().map(|step| &step.address);
    let known: BTreeSet<&Address> = told.chain(planned).collect();
    let left = seen.iter().filter(|seen| !known.contains(&seen.address));
    let count = left.count();
    if count > 0 {
        let said = format!(
            "{count} drifted in `{environment}`, as was last seen, and this leaves it so: \
             `stratum drift --env {environment}`"
        );
        context.ui.say(&said);
    }
}

/// Environments that the settings no longer name, and that still have something: no plan shows them.
pub(super) fn say_unnamed(
    context: &Context,
    settings: &Settings,
    counts: &BTreeMap<String, usize>,
) {
    let named: BTreeSet<&str> = settings
        .environments
        .keys()
        .map(EnvironmentName::as_str)
        .collect();
    let left = counts.iter().filter(|(name, count)| {
        **count > 0 && *name != "repository" && !named.contains(name.as_str())
    });
    for (name, count) in left {
        context.ui.say(&format!(
            "`stratum.ncl` no longer names `{name}`, and what is there of it stays: {count} resources; \
             with another name they would be made a second time"
        ));
    }
}

/// A user that programs are to run as, and that is not on this machine.
pub(super) fn say_missing_user(
    context: &Context,
    environment: &EnvironmentName,
    own: Option<&EnvironmentSettings>,
) {
    if let Some(missing) = own.and_then(|own| users::missing(environment.as_str(), own)) {
        context.ui.say(&format!("{missing}; {}", users::REMEDY));
    }
}

/// What decides which places an environment gets.
pub(super) struct Places<'a> {
    /// The settings of the plan.
    pub(super) settings: &'a Settings,
    /// The environment.
    pub(super) environment: &'a EnvironmentName,
    /// What is remembered of every environment.
    pub(super) rows: &'a [EnvironmentRow],
    /// Reads the settings that are applied.
    pub(super) loader: &'a dyn Loader,
}

impl Places<'_> {
    /// Says which place a reconciler of this machine would refuse, where the settings name it anew:
    /// of those before, the reconciler may know from its command line.
    pub(super) fn say_refused(&self, context: &Context, place: &Place) -> Result<(), CommandError> {
        let Some(own) = self.settings.environments.get(self.environment) else {
            return Ok(());
        };
        let Err(why) = self.admitted(own, place)? else {
            return Ok(());
        };
        let before = self.applied(place);
        if before.is_some_and(|before| before.root == own.root && before.roots == own.roots) {
            return Ok(());
        }
        let name = self.environment;
        context
            .ui
            .say(&format!("`stratum reconcile` would refuse `{name}`: {why}"));
        Ok(())
    }

    fn admitted(
        &self,
        own: &EnvironmentSettings,
        place: &Place,
    ) -> Result<Result<(), String>, CommandError> {
        let roots = Roots {
            state_folder: place.state_folder().to_owned(),
            own: place.own_folder(),
            trial: None,
            named: place.named_roots(&[])?,
            hidden: Vec::new(),
            file: place.roots_file(),
        };
        let root = |row: &EnvironmentRow| Some((row.name.clone(), row.root.clone()?.into()));
        let remembered = self.rows.iter().filter_map(root).collect();
        let own_root = self.rows.iter().find(|row| row.name == *self.environment);
        let own_root = own_root.and_then(|row| row.root.as_deref());
        let site = site_of(&roots, self.environment, own, own_root);
        Ok(admit(
            &roots,
            self.environment,
            self.settings,
            &remembered,
            &site,
        ))
    }

    /// The settings of the environment at what is applied.
    fn applied(&self, place: &Place) -> Option<EnvironmentSettings> {
        let row = self.rows.iter().find(|row| row.name == *self.environment)?;
        let tree = place.repository.tree(row.revision.as_ref()?).ok()?;
        let settings = self.loader.settings(tree.as_ref()).ok()?.value?;
        settings.environments.get(self.environment).cloned()
    }
}
