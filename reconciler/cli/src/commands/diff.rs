//! `stratum diff`

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value as Json, json};
use similar::TextDiff;
use stratum_core::finding::any_error;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::plan::{Action, Change, Plan, Step};
use stratum_core::value::Value;
use stratum_runtime::Preview;

use crate::commands::plan::{PlanArguments, Planner, chosen};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show::json::{PlanView, VERSION, no_plan};
use crate::show::value;
use crate::style::{Role, Theme, harmless};

/// What stands for the state and the world in a header.
const STATE: &str = "state";

/// Shows what differs, as a unified diff of attributes
///
/// Without revisions: the branch of each environment against the state and the world. With one: that
/// revision against the branch. With two: the first against the second. Between revisions neither
/// state nor world is looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArguments {
    /// Compare this revision
    #[arg(value_name = "FROM")]
    from: Option<String>,

    /// With this one [default: the branch of each environment]
    #[arg(value_name = "TO")]
    to: Option<String>,

    /// Of this environment only
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// The identity that opens the state, where that is sealed [default: $STRATUM_IDENTITY, then
    /// the configuration folder]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct EnvironmentDiff {
    name: EnvironmentName,
    from: String,
    to: CommitId,
    resources: Json,
    findings: Json,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &DiffArguments) -> Result<Exit, CommandError> {
    let place = context.place()?;
    let plan = PlanArguments::between(arguments.from.clone(), arguments.to.clone())
        .opened_by(arguments.identity.clone());
    context.block_on(async {
        let planner = Planner::new(&place, &plan).await?;
        let settings = planner.settings()?;
        let Some(settings) = settings.value.filter(|_| !any_error(&settings.findings)) else {
            let message = "the settings cannot be read";
            return Err(CommandError::given(message).hint("`stratum check` says why"));
        };
        let all = planner.environments(&settings)?;
        let mut exit = Exit::Done;
        let mut answers = Vec::new();
        for name in chosen(&all, arguments.env.as_ref())? {
            let commit = planner.commit(&settings, name)?;
            let made = planner.preview(&settings, name, &commit).await?;
            planner.say_asides(context, &settings, name, &made).await?;
            if made.plan.is_none() || any_error(&made.findings) {
                exit = Exit::Wrong;
                planner.show_findings(context, &commit, &made)?;
            }
            let from = planner.base().map_or(STATE.to_owned(), ToString::to_string);
            if context.global.json {
                answers.push(view(name, from, commit, &made)?);
            } else if let Some(plan) = &made.plan {
                let text = text(context.ui.theme(), plan, &from);
                context.ui.answer(&text);
            }
        }
        if context.global.json {
            let answer = json!({ "version": VERSION, "environments": answers });
            context.ui.answer_json(&answer)?;
        }
        Ok(exit)
    })
}

fn view(
    name: &EnvironmentName,
    from: String,
    to: CommitId,
    made: &Preview,
) -> Result<EnvironmentDiff, CommandError> {
    let mut whole = match &made.plan {
        Some(plan) => serde_json::to_value(PlanView::new(plan, &made.verdict, &made.findings))?,
        None => no_plan(Some(name), &to, &made.findings),
    };
    let mut take = |key: &str| whole.get_mut(key).map(Json::take).unwrap_or_default();
    Ok(EnvironmentDiff {
        name: name.clone(),
        from,
        to,
        resources: take("steps"),
        findings: take("findings"),
    })
}

fn text(theme: &Theme, plan: &Plan, from: &str) -> String {
    let from = from.get(..12).unwrap_or(from);
    let steps = plan.shown();
    let texts = steps.map(|step| resource(theme, step, from, plan.revision.short()));
    texts.collect()
}

/// One resource: two header lines, then what differs.
fn resource(theme: &Theme, step: &Step, from: &str, to: &str) -> String {
    let address = harmless(&step.address.to_string());
    let source = step.source.as_ref();
    let place = source.map(|source| format!(" {}:{}", source.file, source.line));
    let old = match step.action {
        Action::Create => "/dev/null".to_owned(),
        Action::Update
        | Action::Delete
        | Action::Adopt
        | Action::Remove
        | Action::Make
        | Action::Move
        | Action::Read => {
            format!("{address} ({from})")
        }
    };
    let new = match step.action {
        Action::Delete => "/dev/null".to_owned(),
        Action::Create
        | Action::Update
        | Action::Adopt
        | Action::Remove
        | Action::Make
        | Action::Move
        | Action::Read => {
            format!("{address} ({to}{})", harmless(&place.unwrap_or_default()))
        }
    };
    let side = |pick: fn(&Change) -> Option<&Value>, word| {
        let changes = step.changes.iter();
        let lines = changes.map(|change| lines(change, pick(change), word));
        lines.collect::<String>()
    };
    let before = side(|change| change.before.as_ref(), "before");
    let after = side(|change| change.after.as_ref(), "after");
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    let body = diff.unified_diff().context_radius(3).to_string();
    let head = format!("--- {old}\n+++ {new}\n");
    format!("{head}{body}")
        .lines()
        .map(|line| painted(theme, line))
        .collect()
}

/// One attribute of one side; nothing where it has no value.
fn lines(change: &Change, value: Option<&Value>, word: &str) -> String {
    let Some(value) = value else {
        return String::new();
    };
    let path = harmless(&change.path.0);
    match value {
        _ if change.sensitive => format!("{path}: (sensitive, as it is {word})\n"),
        Value::Text(text) if text.trim_end().contains('\n') => {
            let lines = text.lines().map(|line| format!("  {}\n", harmless(line)));
            format!("{path}:\n{}", lines.collect::<String>())
        }
        value => format!("{path}: {}\n", value::line(value)),
    }
}

fn painted(theme: &Theme, line: &str) -> String {
    let role = match line.as_bytes() {
        [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => Some(Role::Strong),
        [b'-', ..] => Some(Role::Bad),
        [b'+', ..] => Some(Role::Good),
        [b'@', b'@', ..] => Some(Role::Name),
        _ => None,
    };
    match role {
        Some(role) => format!("{}\n", theme.paint(role, line)),
        None => format!("{line}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample;

    #[test]
    fn a_resource_reads_like_a_file_of_a_diff() {
        let plan = sample::plan();
        let text = text(&Theme::PLAIN, &plan, STATE);
        let update = "\
--- staging/local_file.index (state)
+++ staging/local_file.index (111111111111 layers/site.ncl:9)
@@ -1,6 +1,6 @@
 content:
   a
-  b
+  B
   c
-key: (sensitive, as it is before)
-mode: \"0644\"
+key: (sensitive, as it is after)
+mode: \"0600\"
";
        assert!(text.contains(update), "{text}");
        assert!(
            text.starts_with("--- /dev/null\n+++ staging/local_directory.site"),
            "{text}"
        );
    }
}
