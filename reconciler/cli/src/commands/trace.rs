//! `stratum trace`

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use stratum_core::desired::Revision;
use stratum_core::ids::{Address, CommitId, RunId};
use stratum_core::journal::Event;
use stratum_core::plan::Step;
use stratum_core::ports::{
    Journals as _, Observations as _, Repository as _, States as _, Tree, Unfinished,
};
use stratum_core::record;
use stratum_core::run::RunSummary;
use stratum_core::source::Source;
use stratum_core::verdict::Policy;
use stratum_store::SqliteStore;

use crate::commands::get::condition;
use crate::commands::show::{RUNS, events_on, step_on};
use crate::commands::tree::unknown_address;
use crate::context::{Context, Place};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show::json::VERSION;
use crate::show::plan::judgement;
use crate::show::request::{Request, request};
use crate::show::status::look;
use crate::show::when;
use crate::style::{Role, Theme, harmless, one_line};

/// Commits of one push that are looked through.
const COMMITS: usize = 50;

/// Follows a resource back: source line, commit, author, plan, policy, run, record
#[derive(Debug, clap::Args)]
pub(crate) struct TraceArguments {
    /// The address, for example `production/local_file.page`
    address: Address,
}

/// `trace --json`.
#[derive(Debug, Serialize)]
struct TraceView {
    version: u32,
    /// Where the records are, for people.
    #[serde(skip)]
    repository: String,
    address: Address,
    /// `Ready`, `Stalled`, `Unknown`, or `gone` when it was deleted.
    condition: &'static str,
    drifted: Vec<String>,
    observed_at: Option<Timestamp>,
    source: Option<Source>,
    commit: Option<CommitView>,
    /// Other commits that came in the same push, newest first.
    with: Vec<CommitView>,
    pull_request: Option<Request>,
    plan: Option<PlanView>,
    run: Option<RunView>,
    record: Option<RecordView>,
    /// A later run that set out to change it, and left it as it was.
    attempt: Option<RunView>,
}

#[derive(Debug, Serialize)]
struct CommitView {
    id: CommitId,
    subject: String,
    author: String,
    committed_at: Timestamp,
    /// Who signed it, as the record says; `null` when nobody did or nobody looked.
    signer: Option<String>,
}

#[derive(Debug, Serialize)]
struct PlanView {
    digest: String,
    action: &'static str,
    reason: String,
    decision: &'static str,
    policies: Vec<Policy>,
}

#[derive(Debug, Serialize)]
struct RunView {
    id: RunId,
    revision: CommitId,
    trigger: &'static str,
    outcome: Option<&'static str>,
    reason: String,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct RecordView {
    commit: CommitId,
    path: String,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &TraceArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    context.block_on(async {
        let store = place.known_state().await?;
        let view = trace(&place, &store, &arguments.address).await?;
        match context.global.json {
            true => context.ui.answer_json(&view)?,
            false => context
                .ui
                .answer(&text(context.ui.theme(), &view, Timestamp::now())),
        }
        Ok(Exit::Done)
    })
}

async fn trace(
    place: &Place,
    store: &SqliteStore,
    address: &Address,
) -> Result<TraceView, CommandError> {
    let base = store.base(&address.environment).await?;
    let (attempt, last) = last(store, address).await?;
    let state = base.resources.get(address);
    if state.is_none() && last.is_none() {
        let names: Vec<String> = base.resources.keys().map(ToString::to_string).collect();
        return Err(unknown_address("trace", address, &names));
    }
    let seen = store.observed(&address.environment).await?;
    let seen = seen.into_iter().find(|seen| seen.address == *address);
    let mut view = TraceView {
        version: VERSION,
        repository: place.repository.git_dir().display().to_string(),
        address: address.clone(),
        condition: state.map_or("gone", condition),
        drifted: seen
            .as_ref()
            .map(|seen| seen.drifted.clone())
            .unwrap_or_default(),
        observed_at: seen.map(|seen| seen.at),
        source: None,
        commit: None,
        with: Vec::new(),
        pull_request: None,
        plan: None,
        run: None,
        record: None,
        attempt: attempt.as_ref().map(RunView::new),
    };
    if let Some((summary, run, step)) = last {
        follow(place, &mut view, &summary, &run, &step);
    }
    Ok(view)
}

type Found = (RunSummary, Unfinished, Step);

/// The newest run that made the address what it is, and the newest one that only tried, if it is
/// newer still. Where none is known to have made it, the newest one stands for it.
async fn last(
    store: &SqliteStore,
    address: &Address,
) -> Result<(Option<RunSummary>, Option<Found>), CommandError> {
    let mut newest: Option<Found> = None;
    for summary in store.history(Some(&address.environment), RUNS).await? {
        let Some(run) = store.run(&summary.id).await? else {
            continue;
        };
        let Some(step) = step_on(&run, address).cloned() else {
            continue;
        };
        let events = events_on(&run, address);
        let last = events.map(|(_, event)| event).last();
        if matches!(last, Some(Event::Done { .. })) {
            return Ok((newest.map(|(tried, ..)| tried), Some((summary, run, step))));
        }
        newest.get_or_insert((summary, run, step));
    }
    Ok((None, newest))
}

impl RunView {
    fn new(summary: &RunSummary) -> Self {
        Self {
            id: summary.id.clone(),
            revision: summary.revision.clone(),
            trigger: summary.trigger.as_str(),
            outcome: summary.outcome.map(|outcome| outcome.as_str()),
            reason: summary.reason.clone(),
            started_at: summary.started_at,
            ended_at: summary.ended_at,
        }
    }

    /// The run in one sentence.
    fn sentence(&self) -> String {
        let took = self
            .ended_at
            .map(|end| format!(" in {}", when::took(self.started_at, end)));
        let outcome = self.outcome.unwrap_or("running");
        let because = match self.reason.as_str() {
            "" => String::new(),
            reason => format!(", because {}", one_line(reason)),
        };
        let (took, at) = (took.unwrap_or_default(), when::at(self.started_at));
        format!(
            "{}, by {}, {at}: {outcome}{took}{because}",
            self.id, self.trigger
        )
    }
}

/// Fills in all that the run and git say.
fn follow(
    place: &Place,
    view: &mut TraceView,
    summary: &RunSummary,
    run: &Unfinished,
    step: &Step,
) {
    let own = &run.run;
    let record = summary.record.clone().map(|commit| RecordView {
        commit,
        path: record::path(own),
    });
    let signer = record.as_ref().and_then(|record| signer(place, record));
    let commit = |revision: &Revision| CommitView {
        id: revision.commit.clone(),
        subject: revision.subject.clone(),
        author: revision.author.clone(),
        committed_at: revision.committed_at,
        signer: None,
    };
    // A commit that is gone from the repository is known from the run alone.
    let came = place
        .repository
        .between(own.previous.as_ref(), &own.revision.commit, COMMITS);
    let came = came.unwrap_or_default();
    let others = came
        .iter()
        .filter(|other| other.commit != own.revision.commit);
    view.with = match own.previous {
        Some(_) => others.map(commit).collect(),
        None => Vec::new(),
    };
    view.pull_request = request(&own.revision);
    view.source = step.source.clone();
    view.commit = Some(CommitView {
        signer,
        ..commit(&own.revision)
    });
    let judged = judgement(own.plan(), step, own.verdict());
    view.plan = Some(PlanView {
        digest: own.plan().digest.to_string(),
        action: step.action.as_str(),
        reason: step.reason.sentence(),
        decision: judged.map_or("deny", |judged| judged.decision.as_str()),
        policies: judged
            .map(|judged| judged.policies.clone())
            .unwrap_or_default(),
    });
    view.run = Some(RunView::new(summary));
    view.record = record;
}

/// Who signed the commit, as the frontmatter of the record says.
fn signer(place: &Place, record: &RecordView) -> Option<String> {
    let tree: Arc<dyn Tree> = place.repository.tree(&record.commit).ok()?;
    let entry = tree.entry(&record.path).ok()??;
    let bytes = tree.blob(&entry.id, &record.path).ok()?;
    signer_of(&String::from_utf8_lossy(&bytes))
}

fn signer_of(record: &str) -> Option<String> {
    let mut lines = record.lines().skip(1).take_while(|line| *line != "---");
    let value = lines.find_map(|line| line.strip_prefix("signer: "))?.trim();
    let text = serde_json::from_str(value).unwrap_or_else(|_| value.to_owned());
    Some(text).filter(|text| text != "null" && !text.is_empty())
}

/// Lines of a name and what is said of it, the second as wide as the terminal lets it be.
struct Rows<'t> {
    theme: &'t Theme,
    text: String,
}

impl Rows<'_> {
    fn say(&mut self, name: &str, value: &str) {
        let label = self.theme.paint(Role::Quiet, format!("{name:<9}"));
        let said = self.theme.wrapped(12, &harmless(value));
        self.text
            .push_str(&format!("  {label} {}", said.trim_start()));
    }
}

fn text(theme: &Theme, view: &TraceView, now: Timestamp) -> String {
    let (mark, role) = look(view.condition);
    let name = theme.paint(Role::Strong, harmless(&view.address.to_string()));
    let condition = theme.paint(role, view.condition);
    let text = format!("{} {name}  {condition}\n", theme.marked(mark, role));
    let mut rows = Rows { theme, text };
    if let Some(at) = view.observed_at {
        let drifted = match view.drifted.as_slice() {
            [] => String::new(),
            paths => format!("; differs in {}", paths.join(", ")),
        };
        rows.say("seen", &format!("{}{drifted}", when::ago(now, at)));
    }
    if let Some(source) = &view.source {
        rows.say("source", &source.to_string());
    }
    origin(&mut rows, view);
    if let Some(plan) = &view.plan {
        judged(&mut rows, plan);
    }
    if let Some(run) = &view.run {
        rows.say("run", &run.sentence());
    }
    if let Some(record) = &view.record {
        let what = format!("{}:{}", record.commit.short(), record.path);
        let command = format!("`git -C {} show {what}`", view.repository);
        rows.say("record", &command);
    }
    if let Some(tried) = &view.attempt {
        let tried = format!("{} with {}", tried.sentence(), tried.revision.short());
        rows.say("tried", &tried);
    }
    rows.text
}

/// The commit, who stands behind it, and what came with it.
fn origin(rows: &mut Rows<'_>, view: &TraceView) {
    if let Some(commit) = &view.commit {
        let (subject, at) = (one_line(&commit.subject), when::at(commit.committed_at));
        rows.say(
            "commit",
            &format!("{} \"{subject}\", {at}", commit.id.short()),
        );
        rows.say("author", &one_line(&commit.author));
        let unsigned = "no signature is known".to_owned();
        let signer = commit.signer.as_deref().map_or(unsigned, one_line);
        rows.say("signer", &signer);
    }
    if let Some(request) = &view.pull_request {
        let title = request.title.as_deref().map(one_line).unwrap_or_default();
        let request = format!("#{} {title}", request.number);
        rows.say("request", request.trim_end());
    }
    for other in &view.with {
        let (subject, author) = (one_line(&other.subject), one_line(&other.author));
        rows.say(
            "with",
            &format!("{} \"{subject}\" by {author}", other.id.short()),
        );
    }
}

/// The plan, and what policy said of it.
fn judged(rows: &mut Rows<'_>, plan: &PlanView) {
    let digest: String = plan.digest.chars().take(12).collect();
    rows.say(
        "plan",
        &format!("{digest}: {} because {}", plan.action, plan.reason),
    );
    let policies = plan
        .policies
        .iter()
        .map(|policy| format!("{} ({})", policy.id, one_line(&policy.reason)));
    let policies: Vec<String> = policies.collect();
    let said = format!("{}: {}", plan.decision, policies.join("; "));
    rows.say("policy", &said);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signer_is_read_from_the_record() {
        let record = |signer: &str| format!("---\nid: x\nsigner: {signer}\n---\nsigner: y\n");
        assert_eq!(signer_of(&record("null")), None);
        assert_eq!(
            signer_of(&record("\"ada (ssh)\"")).as_deref(),
            Some("ada (ssh)")
        );
        assert_eq!(signer_of(&record("ada")).as_deref(), Some("ada"));
        assert_eq!(signer_of("---\nid: x\n---\nsigner: y\n"), None);
    }
}
