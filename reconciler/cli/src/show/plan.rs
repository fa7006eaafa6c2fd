//! A plan, as people read it.

use std::fmt::Write as _;

use similar::TextDiff;
use stratum_core::approve;
use stratum_core::plan::{Action, Change, Plan, Reversibility, Step};
use stratum_core::value::Value;
use stratum_core::verdict::{Decision, Judgement, Verdict};

use crate::show::value;
use crate::style::{Role, Theme, fit, harmless, one_line};

/// Lines of one attribute that are shown before the rest is only counted.
const LONGEST: usize = 24;

/// The policy of those that ship that asks for a review.
const REVIEWED: &str = "reviewed-plan";

/// The whole plan; the last line is the summary.
pub(crate) fn plan(theme: &Theme, plan: &Plan, verdict: &Verdict) -> String {
    let mut text = String::new();
    for step in plan.shown() {
        write_step(&mut text, theme, plan, step);
        write_judgement(&mut text, theme, judgement(plan, step, verdict));
    }
    if !plan.is_empty() {
        text.push('\n');
    }
    write_asides(&mut text, theme, plan);
    write_whole(&mut text, theme, plan, verdict);
    let _infallible = writeln!(text, "{}", theme.paint(Role::Strong, plan.summary()));
    text
}

/// What policy says about coming to the revision at all, and how to approve, where it is not yes.
fn write_whole(text: &mut String, theme: &Theme, plan: &Plan, verdict: &Verdict) {
    let waits =
        |judgement: &&Judgement| matches!(judgement.decision, Decision::NeedsApproval { .. });
    if let Some(whole) = &verdict.whole
        && whole.decision != Decision::Allow
    {
        text.push_str("coming to this revision at all:\n");
        write_judgement(text, theme, Some(whole));
    }
    let mut all = verdict.whole.iter().chain(verdict.steps.values());
    if let (Some(_), Some(tag)) = (all.find(waits), approve::tag(verdict)) {
        let _infallible = writeln!(text, "to approve it: {}", approve::command(&tag));
    }
    if wants_review(verdict) {
        let _infallible = writeln!(text, "to say that you reviewed it: {}", reviewed(plan));
    }
}

/// Whether a policy asks for a plan that somebody reviewed.
pub(crate) fn wants_review(verdict: &Verdict) -> bool {
    let all = verdict.whole.iter().chain(verdict.steps.values());
    let mut refused = all.filter(|judgement| judgement.decision != Decision::Allow);
    refused.any(|judgement| judgement.policies.iter().any(|one| one.id == REVIEWED))
}

/// The command that names the plan in a commit.
pub(crate) fn reviewed(plan: &Plan) -> String {
    format!(
        "`git commit --allow-empty -m reviewed --trailer \"Stratum-Plan: {}\"`, and push it",
        plan.digest
    )
}

/// The plan without its attributes: a line for each step, and the summary.
pub(crate) fn brief(theme: &Theme, plan: &Plan) -> String {
    let mut text = String::new();
    for step in plan.shown() {
        write_head(&mut text, theme, step);
    }
    let _infallible = writeln!(text, "{}", theme.paint(Role::Strong, plan.summary()));
    text
}

/// What policy says about a step and, for a replace, about its other half: the stricter of both.
pub(crate) fn judgement<'a>(
    plan: &Plan,
    step: &Step,
    verdict: &'a Verdict,
) -> Option<&'a Judgement> {
    let own = verdict.steps.get(&step.id);
    let pair = step.pair.and_then(|id| plan.step(id));
    match pair.map(|pair| verdict.steps.get(&pair.id)) {
        None => own,
        Some(None) => None,
        Some(Some(pair)) if pair.decision != Decision::Allow => Some(pair),
        Some(Some(_)) => own,
    }
}

/// The look of an action.
pub(crate) fn role(action: Action) -> Role {
    match action {
        Action::Create => Role::Good,
        Action::Update => Role::Warning,
        Action::Delete | Action::Remove | Action::Make => Role::Bad,
        Action::Adopt | Action::Move | Action::Read => Role::Name,
    }
}

fn write_step(text: &mut String, theme: &Theme, plan: &Plan, step: &Step) {
    write_head(text, theme, step);
    write_reason(text, theme, plan, step);
    if step.action != Action::Delete {
        for change in &step.changes {
            write_change(text, theme, step.action, change);
        }
    }
}

fn write_head(text: &mut String, theme: &Theme, step: &Step) {
    let symbol = theme.paint(role(step.action), format!("{:>3}", step.action.symbol()));
    let address = step.address.local.to_string();
    let source = step.source.as_ref().map(|source| {
        let place = harmless(&format!("{}:{}", source.file, source.line));
        theme.paint(Role::Quiet, place)
    });
    let blank = " ".repeat(44_usize.saturating_sub(address.chars().count()).max(2));
    let address = theme.paint(Role::Strong, harmless(&address));
    let head = match source {
        Some(source) => format!("{symbol} {address}{blank}{source}"),
        None => format!("{symbol} {address}"),
    };
    let _infallible = writeln!(text, "{head}");
}

fn write_reason(text: &mut String, theme: &Theme, plan: &Plan, step: &Step) {
    use stratum_core::plan::Reason;
    let obvious = matches!(
        (step.action, &step.reason),
        (Action::Create, Reason::New) | (Action::Update, Reason::Changed)
    );
    if !obvious {
        let sentence = one_line(&step.reason.sentence());
        let _infallible = writeln!(text, "      because {sentence}");
    }
    let warning = match plan.reversibility(step) {
        Reversibility::Reversible => return,
        Reversibility::Recreated => "recreated: it can be made again, but loses its identity",
        Reversibility::Irreversible => "irreversible: it cannot be put back",
    };
    let _infallible = writeln!(text, "      {}", theme.paint(Role::Warning, warning));
}

fn write_judgement(text: &mut String, theme: &Theme, judgement: Option<&Judgement>) {
    let sentence = match judgement {
        Some(judgement) => match &judgement.decision {
            Decision::Allow => return,
            Decision::Deny => format!("denied: {}", policies(judgement)),
            Decision::NeedsApproval { by } => {
                let who = one_line(&by.join(", "));
                format!("needs approval by {who}: {}", policies(judgement))
            }
        },
        None => "denied: no policy allows it".to_owned(),
    };
    let _infallible = writeln!(text, "      {}", theme.paint(Role::Bad, sentence));
}

fn policies(judgement: &Judgement) -> String {
    let reasons: Vec<String> = judgement
        .policies
        .iter()
        .map(|policy| format!("{} ({})", one_line(&policy.reason), one_line(&policy.id)))
        .collect();
    reasons.join("; ")
}

fn write_change(text: &mut String, theme: &Theme, action: Action, change: &Change) {
    let path = harmless(&change.path.0);
    if change.sensitive {
        let _infallible = writeln!(text, "      {path}: {}", value::SENSITIVE);
        return;
    }
    let is_new = matches!(action, Action::Create | Action::Adopt);
    match (&change.before, &change.after) {
        (Some(Value::Text(before)), Some(Value::Text(after)))
            if before.contains('\n') || after.contains('\n') =>
        {
            let _infallible = writeln!(text, "      {path}:");
            write_lines(text, &difference(theme, before, after));
        }
        (None, Some(Value::Text(after))) if after.trim_end().contains('\n') => {
            let _infallible = writeln!(text, "      {path}:");
            let lines: Vec<String> = after
                .lines()
                .map(|line| theme.paint(Role::Good, format!("+{}", harmless(line))))
                .collect();
            write_lines(text, &lines);
        }
        (None, after) if is_new => {
            let after = after.as_ref().map(value::line).unwrap_or_default();
            let room = theme.width.saturating_sub(path.len() + 8).max(20);
            let _infallible = writeln!(text, "      {path}: {}", fit(&after, room));
        }
        (before, after) => {
            let side = |value: Option<&Value>| match value {
                Some(value) => fit(&short(value), theme.width.max(60) / 2),
                None => "(nothing)".to_owned(),
            };
            let (before, after) = (side(before.as_ref()), side(after.as_ref()));
            let _infallible = writeln!(text, "      {path}: {before} {} {after}", theme.arrow());
        }
    }
}

/// A digest by its beginning, anything else whole.
fn short(value: &Value) -> String {
    match value {
        Value::Text(text) if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            format!("{}...", text.get(..12).unwrap_or(text))
        }
        value => value::line(value),
    }
}

fn write_lines(text: &mut String, lines: &[String]) {
    for line in lines.iter().take(LONGEST) {
        let _infallible = writeln!(text, "        {line}");
    }
    if lines.len() > LONGEST {
        let rest = lines.len() - LONGEST;
        let _infallible = writeln!(text, "        ({rest} more lines)");
    }
}

/// A unified difference of two texts, without its head.
fn difference(theme: &Theme, before: &str, after: &str) -> Vec<String> {
    let difference = TextDiff::from_lines(before, after);
    let unified = difference.unified_diff().context_radius(2).to_string();
    unified
        .lines()
        .map(|line| {
            let shown = harmless(line);
            match line.as_bytes().first() {
                Some(b'+') => theme.paint(Role::Good, shown),
                Some(b'-') => theme.paint(Role::Bad, shown),
                Some(b'@') => theme.paint(Role::Quiet, shown),
                Some(_) | None => shown,
            }
        })
        .collect()
}

fn write_asides(text: &mut String, theme: &Theme, plan: &Plan) {
    for drifted in &plan.drifted {
        let paths: Vec<_> = drifted
            .changes
            .iter()
            .map(|change| format!("`{}`", harmless(&change.path.0)))
            .collect();
        let head = theme.paint(Role::Warning, "drifted");
        let _infallible = writeln!(
            text,
            "{head}: {} differs in {} and is left so",
            drifted.address.local,
            paths.join(", ")
        );
    }
    for blocked in &plan.blocked {
        let head = theme.paint(Role::Bad, "blocked");
        let reason = one_line(&blocked.reason);
        let _infallible = writeln!(text, "{head}: {}: {reason}", blocked.address.local);
    }
    if !plan.drifted.is_empty() || !plan.blocked.is_empty() {
        text.push('\n');
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
