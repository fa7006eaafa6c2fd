//! `stratum pull-request`

mod event;
mod files;
mod report;
mod words;

use std::path::PathBuf;

use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::{Repository as _, Tree};
use stratum_core::settings::Settings;
use stratum_forge::markdown::{Compared, Links, Plans, Standing};

use crate::commands::check;
use crate::commands::plan::{Gathered, PlanArguments, Planner};
use crate::commands::pull_request::event::{Event, Happening};
use crate::commands::pull_request::files::{Outputs, Workflow};
use crate::commands::pull_request::report::Told;
use crate::context::{Context, Place};
use crate::exit::Exit;
use crate::failure::CommandError;

/// Checks and plans a pull request in a workflow of GitHub, and says so there
///
/// It reads what GitHub puts into the environment of a workflow, plans every environment that the
/// pull request touches, keeps one comment up to date, and writes the job summary, the outputs, the
/// plan as JSON, the findings as SARIF and a commit status. Where the token may not write, as in
/// the pull request of a fork, it says so in the summary and goes on.
#[derive(Debug, clap::Args)]
pub(crate) struct PullRequestArguments {
    /// Compare with this commit instead of the base of the pull request
    #[arg(long, value_name = "REV")]
    base: Option<String>,

    /// Plan this commit instead of what the merge would give
    #[arg(long, value_name = "REV")]
    head: Option<String>,

    /// Write plan.json and findings.sarif into DIR [default: stratum in the folder of the runner]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Write no comment and no commit status
    #[arg(long)]
    silent: bool,

    /// Whose comments are ours, for tokens that may not ask
    #[arg(long, value_name = "LOGIN", env = "STRATUM_GITHUB_AUTHOR")]
    github_author: Option<String>,
}

/// Carries out the command.
pub(crate) fn run(
    context: &Context,
    arguments: &PullRequestArguments,
) -> Result<Exit, CommandError> {
    let workflow = Workflow::read()?;
    let event = Event::read(&workflow)?;
    let place = context.place()?;
    context.block_on(carry_out(context, arguments, &workflow, &event, &place))
}

/// What is planned, and what was found.
struct Planned {
    /// The commit that people see.
    shown: CommitId,
    base: Option<CommitId>,
    gathered: Gathered,
    notes: Vec<String>,
}

async fn carry_out(
    context: &Context,
    arguments: &PullRequestArguments,
    workflow: &Workflow,
    event: &Event,
    place: &Place,
) -> Result<Exit, CommandError> {
    let sides = Sides::find(arguments, workflow, event, place)?;
    let has_state = place.state().await?.is_some();
    let base = sides
        .base
        .clone()
        .filter(|_| !has_state || arguments.base.is_some());
    let between = PlanArguments::between(
        base.as_ref().map(ToString::to_string),
        Some(sides.planned.to_string()),
    );
    let planner = Planner::new(place, &between).await?;
    let planned = plan(&planner, place, event, &sides, base).await?;
    let compared = match (&planned.base, has_state) {
        (Some(base), _) => Compared::Commit(base),
        (None, true) => Compared::State,
        (None, false) => Compared::Nothing,
    };
    let mut plans = planned.gathered.plans(&planned.shown, compared);
    plans.notes = planned.notes;
    plans.links = Links {
        files: Some(workflow.files_url(&planned.shown)),
        whole: workflow
            .run_url()
            .map(|url| format!("[artifacts of this run]({url})")),
    };
    let told = report::tell(arguments, workflow, event, &plans).await;
    write(
        context,
        arguments,
        workflow,
        &planned.gathered,
        &plans,
        &told,
    )?;
    Ok(exit_of(&plans))
}

/// The commits that are compared.
struct Sides {
    /// The commit that is planned.
    planned: CommitId,
    /// The commit that people see in the pull request.
    shown: CommitId,
    base: Option<CommitId>,
}

impl Sides {
    /// With nothing said, what GitHub made of the pull request: the merge with its base, and the
    /// base it was made with.
    fn find(
        arguments: &PullRequestArguments,
        workflow: &Workflow,
        event: &Event,
        place: &Place,
    ) -> Result<Self, CommandError> {
        let resolve = |name: &str| in_clone(place, name);
        let given = |name: &Option<String>| name.as_deref().map(resolve).transpose();
        let (head, base) = (given(&arguments.head)?, given(&arguments.base)?);
        let sides = match &event.happening {
            Happening::PullRequest {
                head: tip,
                base: of,
                ..
            } => {
                let merged = place.repository.resolve(&workflow.sha).ok();
                let planned = match head.or(merged) {
                    Some(planned) => planned,
                    None => resolve(tip.as_str())?,
                };
                let parents = (parent(place, &planned, 1), parent(place, &planned, 2));
                let made_with = match parents {
                    (Some(first), Some(second)) if second == *tip => first,
                    _ => of.clone(),
                };
                Self {
                    planned,
                    shown: tip.clone(),
                    base: Some(base.map_or_else(|| resolve(made_with.as_str()), Ok)?),
                }
            }
            Happening::Group {
                head: tip,
                base: of,
            } => Self {
                planned: head.map_or_else(|| resolve(tip.as_str()), Ok)?,
                shown: tip.clone(),
                base: Some(base.map_or_else(|| resolve(of.as_str()), Ok)?),
            },
            Happening::Other { before } => {
                let planned = head.map_or_else(|| resolve(&workflow.sha), Ok)?;
                let before = before.as_ref().map(|before| resolve(before.as_str()));
                Self {
                    shown: planned.clone(),
                    base: base.map_or_else(|| before.transpose(), |base| Ok(Some(base)))?,
                    planned,
                }
            }
        };
        Ok(sides)
    }
}

fn parent(place: &Place, commit: &CommitId, number: u8) -> Option<CommitId> {
    place.repository.resolve(&format!("{commit}^{number}")).ok()
}

fn in_clone(place: &Place, name: &str) -> Result<CommitId, CommandError> {
    place.repository.resolve(name).map_err(|error| {
        CommandError::given(format!("`{name}` is not in this clone"))
            .because(&error)
            .hint("give `actions/checkout` the setting `fetch-depth: 0`, so that it fetches the base as well")
    })
}

/// Plans every environment that the pull request touches.
async fn plan(
    planner: &Planner<'_>,
    place: &Place,
    event: &Event,
    sides: &Sides,
    base: Option<CommitId>,
) -> Result<Planned, CommandError> {
    let tree = place.repository.tree(&sides.planned)?;
    let shown = sides.shown.clone();
    let loaded = planner.settings()?;
    let Some(settings) = loaded.value.filter(|_| !any_error(&loaded.findings)) else {
        return Ok(Planned {
            shown,
            base,
            gathered: Gathered::unreadable(loaded.findings),
            notes: Vec::new(),
        });
    };
    let all = planner.loader().environments(tree.as_ref(), &settings)?;
    let (touched, others): (Vec<_>, Vec<_>) = all
        .iter()
        .partition(|environment| is_touched(&settings, environment, event));
    let mut notes: Vec<String> = Vec::new();
    if !others.is_empty() {
        notes.push(words::follow_other_branches(&others));
    }
    let gone = gone(planner, place, sides, &all)?;
    if !gone.is_empty() {
        notes.push(words::no_longer_named(&gone));
    }
    let mut gathered = planner.gather(&settings, &touched).await?;
    gathered.findings = findings(planner, tree.as_ref(), place, &sides.planned)?;
    Ok(Planned {
        shown,
        base,
        gathered,
        notes,
    })
}

fn findings(
    planner: &Planner<'_>,
    tree: &dyn Tree,
    place: &Place,
    commit: &CommitId,
) -> Result<Vec<Finding>, CommandError> {
    let revision = place.repository.revision(commit)?;
    check::check(planner.loader(), tree, &revision)
}

/// Whether an environment is read from the branch that the pull request goes to.
fn is_touched(settings: &Settings, environment: &EnvironmentName, event: &Event) -> bool {
    let own = settings.environments.get(environment);
    let branch = own.and_then(|own| own.branch.as_ref());
    let branch = branch.map(|branch| branch.as_str());
    match (&event.target, branch.or(event.default_branch.as_deref())) {
        (Some(target), Some(branch)) => target == branch,
        _ => true,
    }
}

/// Environments that the base names and this does not.
fn gone(
    planner: &Planner<'_>,
    place: &Place,
    sides: &Sides,
    now: &[EnvironmentName],
) -> Result<Vec<EnvironmentName>, CommandError> {
    let Some(base) = &sides.base else {
        return Ok(Vec::new());
    };
    let tree = place.repository.tree(base)?;
    let Some(settings) = planner.loader().settings(tree.as_ref())?.value else {
        return Ok(Vec::new());
    };
    let before = planner.loader().environments(tree.as_ref(), &settings)?;
    Ok(before
        .into_iter()
        .filter(|name| !now.contains(name))
        .collect())
}

/// Writes everything that stays with the run.
fn write(
    context: &Context,
    arguments: &PullRequestArguments,
    workflow: &Workflow,
    gathered: &Gathered,
    plans: &Plans<'_>,
    told: &Told,
) -> Result<(), CommandError> {
    let folder = workflow.folder(arguments.out.as_deref())?;
    let json = files::plan_json(gathered, plans)?;
    let json_path = files::write(&folder, "plan.json", &json)?;
    let findings = files::all_findings(gathered);
    let sarif = serde_json::to_string_pretty(&crate::show::sarif::log(&findings))?;
    let sarif_path = files::write(&folder, "findings.sarif", &sarif)?;
    workflow.add_summary(plans, told)?;
    workflow.add_outputs(&Outputs {
        summary: plans.summary(),
        digest: plans.digest(),
        standing: plans.standing(),
        json_path,
        sarif_path,
        comment_url: told.comment_url.clone(),
    })?;
    for line in words::annotations(&findings, told) {
        context.ui.answer(&format!("{line}\n"));
    }
    context
        .ui
        .answer(&format!("stratum: {}\n", plans.sentence()));
    Ok(())
}

/// As `plan`, but what needs an approval is not wrong yet: it is approved after the merge.
fn exit_of(plans: &Plans<'_>) -> Exit {
    match plans.standing() {
        Standing::Errors => Exit::Wrong,
        Standing::Denied => Exit::Denied,
        Standing::Allowed | Standing::NeedsApproval => Exit::Done,
    }
}
