//! `stratum explain <environment>`: why something is denied, what would allow it, who could.

use serde::Serialize;
use stratum_core::approve::{self, Refusal, command};
use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{EnvironmentRow, States as _};
use stratum_core::signed::{NOT_LOOKED_AT, Signer};
use stratum_core::verdict::{Decision, Judgement, Policy, Verdict};
use stratum_runtime::Preview;

use crate::commands::plan::{PlanArguments, Planner, unknown_environment};
use crate::context::{Context, Place};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show::json::VERSION;
use crate::show::plan;
use crate::style::one_line;
use crate::words;

/// The answer.
#[derive(Debug, Serialize)]
struct Why {
    version: u32,
    environment: EnvironmentName,
    condition: &'static str,
    reason: String,
    /// What an approval must name.
    ballot: Option<String>,
    decision: &'static str,
    /// What the checks found.
    errors: Vec<String>,
    denied: Vec<Denied>,
    authors: Vec<String>,
    approvals: Vec<String>,
    void: Vec<String>,
    could_approve: Vec<String>,
    would_allow: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Denied {
    what: String,
    decision: &'static str,
    policies: Vec<Policy>,
}

/// Answers for one environment, planned as it would be now.
pub(crate) fn run(context: &Context, name: &str) -> Result<Exit, CommandError> {
    let environment = name.split('/').next().unwrap_or(name);
    let environment = EnvironmentName::new(environment)
        .map_err(|error| CommandError::given(error.to_string()))?;
    let place = context.known_place()?;
    let why = context.block_on(why(&place, &environment, name))?;
    if context.global.json {
        context.ui.answer_json(&why)?;
    } else {
        context.ui.answer(&text(&why));
    }
    Ok(Exit::Done)
}

async fn why(
    place: &Place,
    environment: &EnvironmentName,
    asked: &str,
) -> Result<Why, CommandError> {
    let arguments = PlanArguments::between(None, None);
    let planner = Planner::new(place, &arguments).await?;
    let Some(settings) = planner.settings()?.value else {
        let message = "HEAD has no `stratum.ncl` that can be used";
        return Err(CommandError::given(message).hint("`stratum check --rev HEAD` says why"));
    };
    let all = planner.environments(&settings)?;
    if !all.contains(environment) {
        return Err(unknown_environment(&all, environment));
    }
    let gathered = planner.gather(&settings, &[environment]).await?;
    let row = row(place, environment).await?;
    let made = gathered.plans.into_iter().next().map(|(_, _, made)| made);
    let made = made.ok_or_else(|| CommandError::machine("nothing was planned"))?;
    Ok(answer(place, environment, row.as_ref(), &made, asked))
}

async fn row(
    place: &Place,
    environment: &EnvironmentName,
) -> Result<Option<EnvironmentRow>, CommandError> {
    let Some(store) = place.state().await? else {
        return Ok(None);
    };
    let rows = store.environments().await?;
    Ok(rows.into_iter().find(|row| row.name == *environment))
}

fn answer(
    place: &Place,
    environment: &EnvironmentName,
    row: Option<&EnvironmentRow>,
    made: &Preview,
    asked: &str,
) -> Why {
    let verdict = &made.verdict;
    let refusal = made.plan.as_ref().and_then(|plan| {
        approve::approve(plan.clone(), made.findings.clone(), verdict.clone()).err()
    });
    let (decision, could_approve) = match &refusal {
        Some(Refusal::NeedsApproval { by, .. }) => ("needs-approval", by.clone()),
        Some(Refusal::Denied(_)) => ("deny", Vec::new()),
        Some(Refusal::Findings(_)) => ("deny", Vec::new()),
        None if made.plan.is_none() => ("not judged: there is no plan", Vec::new()),
        None => ("allow", Vec::new()),
    };
    Why {
        version: VERSION,
        environment: environment.clone(),
        condition: row.map_or("Unknown", |row| row.condition.as_str()),
        reason: row.map(|row| row.reason.clone()).unwrap_or_default(),
        ballot: verdict.ballot.map(|digest| digest.to_string()),
        decision,
        errors: errors(made),
        denied: denied(made, asked),
        authors: authors(verdict),
        approvals: verdict
            .approvals
            .iter()
            .map(|one| format!("{} until {} (`{}`)", one.by, one.expires, one.tag))
            .collect(),
        void: verdict
            .void
            .iter()
            .chain(&made.void)
            .map(ToString::to_string)
            .collect(),
        would_allow: would_allow(place, row, made, &could_approve),
        could_approve,
    }
}

/// What stands in the way whatever policy says.
fn errors(made: &Preview) -> Vec<String> {
    let errors = made.findings.iter().filter(|finding| finding.is_error());
    let line = |finding: &Finding| {
        let place = finding.source.as_ref().map(|source| format!("{source}: "));
        let place = place.unwrap_or_default();
        format!("{place}{} [{}]", finding.message, finding.code)
    };
    errors.map(line).collect()
}

/// What is not allowed; only what was asked about, where that is one resource.
fn denied(made: &Preview, asked: &str) -> Vec<Denied> {
    let one = |what: String, judgement: &Judgement| Denied {
        what,
        decision: judgement.decision.as_str(),
        policies: judgement.policies.clone(),
    };
    let whole = made.verdict.whole.iter();
    let mut denied: Vec<Denied> = whole
        .filter(|whole| whole.decision != Decision::Allow)
        .map(|whole| one("coming to the revision at all".to_owned(), whole))
        .collect();
    let Some(plan) = &made.plan else {
        return denied;
    };
    let wanted = |address: &str| !asked.contains('/') || address == asked;
    for (step, judgement) in made.verdict.refused(plan) {
        let address = step.address.to_string();
        if let (Some(judgement), true) = (judgement, wanted(&address)) {
            denied.push(one(
                format!("{} `{address}`", step.action.as_str()),
                judgement,
            ));
        }
    }
    denied
}

fn authors(verdict: &Verdict) -> Vec<String> {
    let line = |one: &stratum_core::signed::Authored| {
        let proof = match &one.signer {
            Signer::Person { name, kind, key } => {
                format!("signed by {name} with {} {key}", kind.as_str())
            }
            Signer::Nobody { why } => format!("not verified: {why}"),
        };
        format!("{} {}: {proof}", one.commit.short(), one_line(&one.author))
    };
    verdict.authors.iter().map(line).collect()
}

/// The next steps that a person could take.
fn would_allow(
    place: &Place,
    row: Option<&EnvironmentRow>,
    made: &Preview,
    could: &[String],
) -> Vec<String> {
    let verdict = &made.verdict;
    let mut ways = Vec::new();
    if let (false, Some(tag)) = (could.is_empty(), approve::tag(verdict)) {
        ways.push(format!(
            "an approval by {}: {}",
            could.join(" or "),
            command(&tag)
        ));
    }
    let refused = made
        .plan
        .as_ref()
        .is_some_and(|plan| verdict.is_refused(plan));
    let unproven = verdict
        .authors
        .iter()
        .any(|one| matches!(&one.signer, Signer::Nobody { why } if why != NOT_LOOKED_AT));
    if refused && unproven {
        let base = row.and_then(|row| {
            let pin = row.pin.as_ref().map(|pin| &pin.commit);
            row.revision.as_ref().or(pin)
        });
        let base = base.map_or("<the commit before>", |base| base.as_str());
        ways.push(format!(
            "commits signed by someone in `trust/people/`: `git rebase --force-rebase --gpg-sign \
             {base}` signs them again"
        ));
    }
    if let Some(tag) = row.and_then(|row| words::retry(&place.repository, row)) {
        ways.push(format!(
            "another try of the held revision: {}",
            command(&tag)
        ));
    }
    let reviewed = made.plan.as_ref().filter(|_| plan::wants_review(verdict));
    if let Some(plan) = reviewed {
        ways.push(format!(
            "a commit that says that it was reviewed: {}",
            plan::reviewed(plan)
        ));
    }
    if any_error(&made.findings) {
        ways.push(
            "files without these errors: `stratum check` shows them with their lines".to_owned(),
        );
    } else if refused && could.is_empty() && !unproven && reviewed.is_none() {
        ways.push(
            "no approval would: another change, or first a change of `policies/`, `trust/` or the \
             labels in `stratum.ncl`, which the rules that hold now judge"
                .to_owned(),
        );
    }
    ways
}

fn text(why: &Why) -> String {
    let mut text = format!("{} is {}", why.environment, why.condition);
    if !why.reason.is_empty() {
        text.push_str(&format!(": {}", one_line(&why.reason)));
    }
    text.push_str(&format!("\n\nWhat policy says now: {}\n", why.decision));
    for denied in &why.denied {
        text.push_str(&format!(
            "  {}: {}\n",
            one_line(&denied.what),
            denied.decision
        ));
        for policy in &denied.policies {
            text.push_str(&format!(
                "    because {} ({})\n",
                one_line(&policy.reason),
                one_line(&policy.id)
            ));
        }
    }
    let mut list = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            for line in lines {
                text.push_str(&format!("  {}\n", one_line(line)));
            }
        }
    };
    list("What is wrong with it:", &why.errors);
    list("Who wrote it:", &why.authors);
    list("Approvals that count:", &why.approvals);
    list("Tags that do not:", &why.void);
    list("Who could approve it:", &why.could_approve);
    list("What would allow it:", &why.would_allow);
    text
}
