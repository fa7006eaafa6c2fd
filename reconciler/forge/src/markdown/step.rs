//! One step as one line, and its changes.

use stratum_core::plan::{Action, Plan, Reason, Reversibility, Step};
use stratum_core::source::Source;
use stratum_core::verdict::{Decision, Judgement, Policy, Verdict};

use crate::markdown::change;
use crate::markdown::escape::{code, cut, html, path, prose};
use crate::markdown::report::Links;

/// Characters of one sentence of others.
const LONGEST: usize = 500;

/// A step, ready to be placed.
pub(crate) struct Item {
    pub(crate) action: Action,
    pub(crate) type_name: String,
    /// Its address, for the head of a fold.
    pub(crate) title: String,
    /// One line of a list.
    pub(crate) line: String,
    /// A fenced block with what changes.
    pub(crate) body: Option<String>,
}

/// A step with everything about it that people should see.
pub(crate) fn item(plan: &Plan, step: &Step, verdict: &Verdict, links: &Links) -> Item {
    let mut line = format!(
        "- **{}** {}",
        step.action.as_str(),
        code(&step.address.local.to_string())
    );
    if let Some(source) = &step.source {
        line.push_str(&format!(" ({})", place(source, links)));
    }
    line.push_str(&because(plan, step));
    line.push_str(&judged(judgement(plan, step, verdict)));
    line.push('\n');
    Item {
        action: step.action,
        type_name: step.address.r#type().to_string(),
        title: html(&step.address.local.to_string()),
        line,
        body: change::block(step),
    }
}

/// A place in the repository, as a link where the forge is known.
pub(crate) fn place(source: &Source, links: &Links) -> String {
    let text = code(&format!("{}:{}", source.file, source.line));
    match &links.files {
        Some(files) => format!("[{text}]({files}/{}#L{})", path(&source.file), source.line),
        None => text,
    }
}

fn because(plan: &Plan, step: &Step) -> String {
    let obvious = matches!(
        (step.action, &step.reason),
        (Action::Create, Reason::New) | (Action::Update, Reason::Changed)
    );
    let mut text = String::new();
    if !obvious {
        let sentence = prose(&cut(&step.reason.sentence(), LONGEST));
        text.push_str(&format!(": {sentence}"));
    }
    text.push_str(match plan.reversibility(step) {
        Reversibility::Reversible => "",
        Reversibility::Recreated => "; recreated: it can be made again, but loses its identity",
        Reversibility::Irreversible => "; **irreversible**: it cannot be put back",
    });
    text
}

/// What policy says about a step and, for a replace, about its other half: the stricter of both.
pub(crate) fn judgement<'a>(
    plan: &Plan,
    step: &Step,
    verdict: &'a Verdict,
) -> Option<&'a Judgement> {
    let own = verdict.steps.get(&step.id);
    match step.pair.and_then(|id| plan.step(id)) {
        None => own,
        Some(pair) => match verdict.steps.get(&pair.id) {
            None => None,
            Some(judged) if judged.decision != Decision::Allow => Some(judged),
            Some(_) => own,
        },
    }
}

fn judged(judgement: Option<&Judgement>) -> String {
    match judgement {
        None => ". **Denied**: no policy allows it".to_owned(),
        Some(judgement) => match &judgement.decision {
            Decision::Allow => String::new(),
            Decision::Deny => format!(". **Denied**: {}", policies(&judgement.policies)),
            Decision::NeedsApproval { by } => {
                let by = by.iter().map(|who| code(who)).collect::<Vec<_>>();
                let policies = policies(&judgement.policies);
                format!(". **Needs approval** by {}: {policies}", by.join(", "))
            }
        },
    }
}

fn policies(policies: &[Policy]) -> String {
    let reasons: Vec<String> = policies
        .iter()
        .map(|policy| {
            let reason = prose(&cut(&policy.reason, LONGEST));
            format!("{reason} ({})", code(&cut(&policy.id, LONGEST)))
        })
        .collect();
    reasons.join("; ")
}
