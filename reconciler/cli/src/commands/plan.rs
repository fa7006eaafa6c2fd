//! `stratum plan`

mod asides;
mod gathered;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use stratum_assembly::adapters;
use stratum_assembly::clock::SystemClock;
use stratum_assembly::seal_check::NothingSealed;
use stratum_core::finding::any_error;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::{
    Base, EnvironmentRow, Loaded, Loader, NoSecrets, Observations as _, Repository as _, SealCheck,
    SecretStore as _, States as _,
};
use stratum_core::settings::Settings;
use stratum_core::suggest;
use stratum_forge::markdown::{self, Compared};
use stratum_runtime::{Preview, PreviewBase, PreviewRequest, Providers, Roots, preview, site_of};
use stratum_store::SqliteStore;

pub(crate) use self::gathered::Gathered;
use crate::commands::check;
use crate::context::{Context, Place};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show;
use crate::style::Role;

/// Shows what would change, and what policy says
///
/// Each environment is planned from its branch against the state, with the world as it is now.
/// With `--base` two commits are compared, and neither state nor world is looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct PlanArguments {
    /// Compare with this commit, as if it were applied
    #[arg(long, value_name = "REV")]
    base: Option<String>,

    /// Plan this commit instead of each environment's branch
    #[arg(long, value_name = "REV")]
    head: Option<String>,

    /// Plan this environment only
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Answer in markdown, as a comment on a pull request
    #[arg(long, conflicts_with = "json")]
    markdown: bool,

    /// End with 2 when there are changes
    #[arg(long)]
    detailed_exitcode: bool,

    /// The identity that opens the state, where that is sealed [default: $STRATUM_IDENTITY, then
    /// the configuration folder]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

impl PlanArguments {
    /// The arguments that compare two revisions; without the first one, the state.
    pub(crate) fn between(base: Option<String>, head: Option<String>) -> Self {
        Self {
            base,
            head,
            env: None,
            markdown: false,
            detailed_exitcode: false,
            identity: None,
        }
    }

    /// The same, with the identity that opens the state.
    pub(crate) fn opened_by(self, identity: Option<PathBuf>) -> Self {
        Self { identity, ..self }
    }
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &PlanArguments) -> Result<Exit, CommandError> {
    let place = context.place()?;
    if arguments.head.is_none() {
        asides::say_what_is_not_committed(context, &place);
    }
    context.block_on(async {
        let planner = Planner::new(&place, arguments).await?;
        planner.answer(context, arguments).await
    })
}

/// What all environments of one `plan` share.
pub(crate) struct Planner<'a> {
    place: &'a Place,
    providers: Providers,
    loader: Arc<dyn Loader>,
    store: Option<SqliteStore>,
    /// The commit that was asked for, if one was.
    head: Option<CommitId>,
    base: Option<CommitId>,
    /// The commit the settings are read from.
    settings_from: CommitId,
}

impl<'a> Planner<'a> {
    /// Resolves what was asked for.
    pub(crate) async fn new(
        place: &'a Place,
        arguments: &PlanArguments,
    ) -> Result<Self, CommandError> {
        let repository = &place.repository;
        let resolve = |name: &Option<String>| -> Result<Option<CommitId>, CommandError> {
            Ok(name
                .as_deref()
                .map(|name| repository.resolve(name))
                .transpose()?)
        };
        let (head, base) = (resolve(&arguments.head)?, resolve(&arguments.base)?);
        let settings_from = match &head {
            Some(head) => head.clone(),
            None => repository.resolve("HEAD")?,
        };
        let providers = adapters::providers()?;
        Ok(Self {
            place,
            loader: adapters::loader(&providers, None)?,
            providers,
            store: place.state_as(arguments.identity.as_deref()).await?,
            head,
            base,
            settings_from,
        })
    }

    /// The settings of the commit they are read from.
    pub(crate) fn settings(&self) -> Result<Loaded<Settings>, CommandError> {
        let tree = self.place.repository.tree(&self.settings_from)?;
        Ok(self.loader.settings(tree.as_ref())?)
    }

    /// The environments that commit has.
    pub(crate) fn environments(
        &self,
        settings: &Settings,
    ) -> Result<Vec<EnvironmentName>, CommandError> {
        let tree = self.place.repository.tree(&self.settings_from)?;
        Ok(self.loader.environments(tree.as_ref(), settings)?)
    }

    /// The commit that is compared with, if it is not the state.
    pub(crate) fn base(&self) -> Option<&CommitId> {
        self.base.as_ref()
    }

    async fn answer(
        &self,
        context: &Context,
        arguments: &PlanArguments,
    ) -> Result<Exit, CommandError> {
        let loaded = self.settings()?;
        let Some(settings) = loaded.value.filter(|_| !any_error(&loaded.findings)) else {
            let nothing = Preview {
                plan: None,
                findings: loaded.findings,
                verdict: stratum_core::verdict::Verdict::default(),
                void: Vec::new(),
            };
            if arguments.markdown {
                let all = Gathered::unreadable(nothing.findings);
                return self.answer_in_markdown(context, arguments, &all);
            }
            return self.show(context, arguments, None, &self.settings_from, &nothing);
        };
        let all = self.environments(&settings)?;
        if self.store.is_none() && self.base.is_none() {
            context
                .ui
                .say("nothing was reconciled here yet, so everything is new");
        }
        if arguments.markdown {
            let chosen = chosen(&all, arguments.env.as_ref())?;
            let all = self.gather(&settings, &chosen).await?;
            return self.answer_in_markdown(context, arguments, &all);
        }
        if let (Some(store), None, None) = (&self.store, &self.base, &arguments.env) {
            let counts = store.all_counts().await?.into_iter();
            let counts = counts.map(|(name, counts)| (name, counts.resources));
            asides::say_unnamed(context, &settings, &counts.collect());
        }
        let mut exit = Exit::Done;
        for environment in chosen(&all, arguments.env.as_ref())? {
            let commit = match self.commit(&settings, environment) {
                Ok(commit) => commit,
                // Its branch is not there: the others have plans all the same.
                Err(error) if arguments.env.is_none() => {
                    asides::say_why_not(context, environment, &error);
                    exit = exit.max(error.exit());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let made = self.preview(&settings, environment, &commit).await?;
            exit = exit.max(self.show(context, arguments, Some(environment), &commit, &made)?);
            self.say_asides(context, &settings, environment, &made)
                .await?;
        }
        Ok(exit)
    }

    /// The reader of repositories.
    pub(crate) fn loader(&self) -> &dyn Loader {
        self.loader.as_ref()
    }

    /// Plans every environment, for an answer about all of them together.
    pub(crate) async fn gather(
        &self,
        settings: &Settings,
        environments: &[&EnvironmentName],
    ) -> Result<Gathered, CommandError> {
        let mut gathered = Gathered::default();
        for environment in environments {
            let commit = self.commit(settings, environment)?;
            let made = self.preview(settings, environment, &commit).await?;
            gathered.plans.push(((*environment).clone(), commit, made));
        }
        Ok(gathered)
    }

    /// What the plans were compared with.
    pub(crate) fn compared(&self) -> Compared<'_> {
        match (&self.base, &self.store) {
            (Some(base), _) => Compared::Commit(base),
            (None, Some(_)) => Compared::State,
            (None, None) => Compared::Nothing,
        }
    }

    fn answer_in_markdown(
        &self,
        context: &Context,
        arguments: &PlanArguments,
        all: &Gathered,
    ) -> Result<Exit, CommandError> {
        let plans = all.plans(&self.settings_from, self.compared());
        let text = plans.markdown(None, markdown::COMMENT_BYTES);
        context.ui.answer(&text);
        if any_error(&all.findings) {
            return Ok(Exit::Wrong);
        }
        let made = all.plans.iter().map(|(_, _, made)| made);
        Ok(made
            .map(|made| exit_of(made, arguments.detailed_exitcode))
            .max()
            .unwrap_or(Exit::Done))
    }

    /// The commit an environment is planned from.
    pub(crate) fn commit(
        &self,
        settings: &Settings,
        environment: &EnvironmentName,
    ) -> Result<CommitId, CommandError> {
        let own = settings.environments.get(environment);
        match (&self.head, own.and_then(|own| own.branch.as_ref())) {
            (Some(head), _) => Ok(head.clone()),
            (None, Some(branch)) => Ok(self.place.repository.resolve(branch.as_str())?),
            (None, None) => Ok(self.settings_from.clone()),
        }
    }

    /// What would change in one environment.
    pub(crate) async fn preview(
        &self,
        settings: &Settings,
        environment: &EnvironmentName,
        commit: &CommitId,
    ) -> Result<Preview, CommandError> {
        let (base, row) = self.known(environment).await?;
        if self.base.is_none() && !base.sealed.is_empty() {
            return Err(asides::sealed(environment));
        }
        let highest = match (&self.store, &self.base) {
            (Some(store), None) => store.highest(environment).await?,
            _ => BTreeMap::new(),
        };
        let sealing = self.sealing(environment, commit)?;
        let roots = Roots {
            state_folder: self.place.state_folder().to_owned(),
            own: self.place.own_folder(),
            trial: None,
            named: Vec::new(),
            hidden: Vec::new(),
            file: self.place.roots_file(),
        };
        let own = settings
            .environments
            .get(environment)
            .cloned()
            .unwrap_or_default();
        let site = site_of(
            &roots,
            environment,
            &own,
            row.as_ref().and_then(|row| row.root.as_deref()),
        );
        let (clock, gate) = (SystemClock::new(), adapters::gate());
        let signatures = adapters::signatures();
        let request = PreviewRequest {
            repository: self.place.repository.as_ref(),
            loader: self.loader.as_ref(),
            gate: gate.as_ref(),
            signatures: signatures.as_ref(),
            row: row.as_ref(),
            providers: &self.providers,
            sealing: sealing.as_ref(),
            highest: &highest,
            secrets: &NoSecrets,
            clock: &clock,
            environment,
            settings,
            head: commit,
            site: &site,
            base: match &self.base {
                Some(base) => PreviewBase::Commit(base),
                None => PreviewBase::State(&base),
            },
        };
        Ok(preview(request).await?)
    }

    /// What the plan does not show and its reader should know: drift that the last look found, and
    /// places that this machine does not give.
    pub(crate) async fn say_asides(
        &self,
        context: &Context,
        settings: &Settings,
        environment: &EnvironmentName,
        made: &Preview,
    ) -> Result<(), CommandError> {
        let (Some(plan), None) = (&made.plan, &self.base) else {
            return Ok(());
        };
        if let Some(store) = &self.store {
            let drifted = store.drifted(environment).await?;
            asides::say_drifted(context, environment, plan, &drifted);
        }
        let own = settings.environments.get(environment);
        asides::say_missing_user(context, environment, own);
        if own.is_none_or(|own| own.root.is_none() && own.roots.is_empty()) {
            return Ok(());
        }
        let rows = match &self.store {
            Some(store) => store.environments().await?,
            None => Vec::new(),
        };
        let what = asides::Places {
            settings,
            environment,
            rows: &rows,
            loader: self.loader.as_ref(),
        };
        what.say_refused(context, self.place)
    }

    /// What verifies the sealed values of an environment; where it has none, no crypto is tried.
    fn sealing(
        &self,
        environment: &EnvironmentName,
        commit: &CommitId,
    ) -> Result<Arc<dyn SealCheck>, CommandError> {
        let tree = self.place.repository.tree(commit)?;
        let folder = tree
            .entry(&format!("secrets/{environment}"))
            .map_err(|error| CommandError::machine("the files cannot be read").because(&error))?;
        match folder {
            Some(_) => Ok(adapters::sealing()?),
            None => Ok(Arc::new(NothingSealed)),
        }
    }

    /// The state of an environment, and what is remembered of it.
    async fn known(
        &self,
        environment: &EnvironmentName,
    ) -> Result<(Base, Option<EnvironmentRow>), CommandError> {
        let Some(store) = &self.store else {
            return Ok((Base::default(), None));
        };
        let rows = store.environments().await?;
        let row = rows.into_iter().find(|row| row.name == *environment);
        Ok((store.base(environment).await?, row))
    }

    fn show(
        &self,
        context: &Context,
        arguments: &PlanArguments,
        environment: Option<&EnvironmentName>,
        commit: &CommitId,
        made: &Preview,
    ) -> Result<Exit, CommandError> {
        let ui = &context.ui;
        if context.global.json {
            match &made.plan {
                Some(plan) => {
                    let view = show::json::PlanView::new(plan, &made.verdict, &made.findings);
                    ui.answer_json_line(&view)?;
                }
                None => {
                    let view = show::json::no_plan(environment, commit, &made.findings);
                    ui.answer_json_line(&view)?;
                }
            }
        } else {
            self.show_findings(context, commit, made)?;
            if let (Some(plan), Some(environment)) = (&made.plan, environment) {
                let theme = ui.theme();
                let name = theme.paint(Role::Strong, environment);
                ui.answer(&format!("{name} at {}\n\n", commit.short()));
                ui.answer(&show::plan::plan(theme, plan, &made.verdict));
                ui.answer("\n");
            }
        }
        Ok(exit_of(made, arguments.detailed_exitcode))
    }

    /// Says on stderr what is wrong.
    pub(crate) fn show_findings(
        &self,
        context: &Context,
        commit: &CommitId,
        made: &Preview,
    ) -> Result<(), CommandError> {
        if made.findings.is_empty() {
            return Ok(());
        }
        let tree = self.place.repository.tree(commit)?;
        let texts = |path: &str| check::text(tree.as_ref(), path);
        let theme = context.ui.side_theme();
        let text = show::finding::findings(theme, &made.findings, &texts);
        context.ui.complain(&text);
        if let Some(first) = made.findings.iter().find(|finding| finding.is_error()) {
            let hint = format!("`stratum explain {}` says more about it", first.code);
            context.ui.hint(&hint);
        }
        Ok(())
    }
}

fn exit_of(made: &Preview, detailed: bool) -> Exit {
    let Some(plan) = &made.plan else {
        return Exit::Wrong;
    };
    if any_error(&made.findings) {
        Exit::Wrong
    } else if made.verdict.is_refused(plan) {
        Exit::Denied
    } else if detailed && !plan.is_empty() {
        Exit::Changes
    } else {
        Exit::Done
    }
}

/// The environments that were asked for.
pub(crate) fn chosen<'a>(
    all: &'a [EnvironmentName],
    wanted: Option<&EnvironmentName>,
) -> Result<Vec<&'a EnvironmentName>, CommandError> {
    let Some(wanted) = wanted else {
        return Ok(all.iter().collect());
    };
    match all.iter().find(|name| *name == wanted) {
        Some(name) => Ok(vec![name]),
        None => Err(unknown_environment(all, wanted)),
    }
}

/// What the state knows of every environment, or of the `wanted` one.
///
/// *Errors*: for a name that the state does not know.
pub(crate) async fn known_environments(
    store: &SqliteStore,
    wanted: Option<&EnvironmentName>,
) -> Result<Vec<EnvironmentRow>, CommandError> {
    let rows = store.environments().await?;
    let names: Vec<EnvironmentName> = rows.iter().map(|row| row.name.clone()).collect();
    let chosen = chosen(&names, wanted)?;
    let known = rows.into_iter();
    Ok(known.filter(|row| chosen.contains(&&row.name)).collect())
}

/// The failure that names an environment that is not there.
pub(crate) fn unknown_environment(
    all: &[EnvironmentName],
    wanted: &EnvironmentName,
) -> CommandError {
    let error = CommandError::given(format!("there is no environment `{wanted}`"));
    let names = all.iter().map(EnvironmentName::as_str);
    match suggest::hint(wanted.as_str(), names) {
        Some(hint) => error.hint(hint),
        None => error.hint("`stratum status` lists the environments"),
    }
}
