//! What changes within one step, as a block that forges colour as a diff.

use similar::TextDiff;
use stratum_core::plan::{Action, Change, Step};
use stratum_core::value::Value;

use crate::markdown::escape::{cut, fence, harmless};
use crate::markdown::value;

/// Lines of one attribute that are shown before the rest is only counted.
const LONGEST: usize = 60;

/// Characters of one line of text.
const WIDEST: usize = 400;

/// Attributes of one step that are shown before the rest is only counted.
const MOST: usize = 60;

/// The changes of a step as one fenced block; `None` when there is nothing to show.
pub(crate) fn block(step: &Step) -> Option<String> {
    if step.action == Action::Delete || step.changes.is_empty() {
        return None;
    }
    let mut lines: Vec<String> = Vec::new();
    for change in step.changes.iter().take(MOST) {
        lines.extend(lines_of(step.action, change));
    }
    if step.changes.len() > MOST {
        lines.push(format!("  ({} more attributes)", step.changes.len() - MOST));
    }
    Some(fence("diff", &lines.join("\n")))
}

fn lines_of(action: Action, change: &Change) -> Vec<String> {
    let path = harmless(&change.path.0).replace('\n', " ");
    if change.sensitive {
        return vec![format!("! {path}: (sensitive)")];
    }
    let is_new = matches!(action, Action::Create | Action::Adopt);
    match (&change.before, &change.after) {
        (Some(Value::Text(before)), Some(Value::Text(after)))
            if before.contains('\n') || after.contains('\n') =>
        {
            difference(&path, before, after)
        }
        (None, Some(Value::Text(after))) if after.trim_end().contains('\n') => {
            let text = after.lines().map(|line| format!("+ {line}")).collect();
            with_head(&path, text)
        }
        (None, Some(after)) if is_new => vec![format!("+ {path}: {}", value::line(after))],
        (before, after) => {
            let side = |value: &Value| value::line(value);
            let before = before.as_ref().map(|v| format!("- {path}: {}", side(v)));
            let after = after.as_ref().map(|v| format!("+ {path}: {}", side(v)));
            before.into_iter().chain(after).collect()
        }
    }
}

/// A unified difference of two texts.
fn difference(path: &str, before: &str, after: &str) -> Vec<String> {
    let difference = TextDiff::from_lines(before, after);
    let unified = difference.unified_diff().context_radius(3).to_string();
    with_head(path, unified.lines().map(str::to_owned).collect())
}

fn with_head(path: &str, text: Vec<String>) -> Vec<String> {
    let more = text.len().saturating_sub(LONGEST);
    let mut lines = vec![format!("  {path}:")];
    let shown = text.into_iter().take(LONGEST);
    lines.extend(shown.map(|line| cut(&harmless(&line), WIDEST)));
    if more > 0 {
        lines.push(format!("  ({more} more lines)"));
    }
    lines
}
