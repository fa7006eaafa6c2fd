//! The form of a pipeline: keys, types, names from lists, durations, times.

use croner::parser::{CronParser, Seconds, Year};
use stratum_core::finding::{Finding, codes};
use stratum_core::ids::ResourceName;
use stratum_core::kinds::pipeline::Role;
use stratum_core::suggest;

use super::World;
use super::network::network;
use crate::document::Item;
use crate::expression::is_name;
use crate::paths::paths;
use crate::shape::Shape;

const REQUIRED: [&str; 4] = ["name", "intent", "triggers", "steps"];
const OPTIONAL: [&str; 4] = ["concurrency", "deadline", "budget", "network"];
const STEP: [&str; 13] = [
    "prompt", "inputs", "tools", "needs", "when", "output", "retry", "timeout", "propose",
    "approval", "secrets", "network", "role",
];

/// The most steps of a pipeline.
pub(super) const STEPS: usize = 200;

/// Looks at the whole form.
pub(super) fn pipeline(root: &Item<'_>, world: &World<'_>, findings: &mut Vec<Finding>) {
    let mut shape = Shape::new(&codes::PIPELINE_SHAPE, findings);
    if !shape.keys(root, "pipeline", &REQUIRED, &OPTIONAL) {
        return;
    }
    if let Some((name, text)) = shape.text(root, "name")
        && (!text.is_ascii() || ResourceName::new(text).is_err() || text.contains(['/', '#']))
    {
        shape.wrong(&name, "name", "a name without white space, `/` and `#`");
    }
    shape.text(root, "intent");
    shape.duration(root, "deadline");
    network(&mut shape, root);
    concurrency(&mut shape, root);
    budget(&mut shape, root);
    for trigger in filled(&mut shape, root, "triggers") {
        self::trigger(&mut shape, &trigger);
    }
    let steps = filled(&mut shape, root, "steps");
    if steps.len() > STEPS {
        let message = format!(
            "the pipeline has {} steps; the most is {STEPS}",
            steps.len()
        );
        let hint = "make several pipelines of it".to_owned();
        shape.error(root.key_source("steps"), message, Some(hint));
    }
    for item in steps.into_iter().take(STEPS) {
        step(&mut shape, &item);
    }
    environments(root, world, findings);
}

/// The items of a list that may not be empty.
fn filled<'a>(shape: &mut Shape<'_>, item: &Item<'a>, key: &str) -> Vec<Item<'a>> {
    let items = shape.list(item, key);
    if items.is_empty() && item.get(key).is_some_and(|list| list.value.is_array()) {
        let hint = "write at least one".to_owned();
        shape.error(
            item.key_source(key),
            format!("`{key}` is empty"),
            Some(hint),
        );
    }
    items
}

fn trigger(shape: &mut Shape<'_>, trigger: &Item<'_>) {
    let (required, optional): (&[&str], &[&str]) = match trigger.text("on") {
        Some("drift") => (&["on"], &["environment"]),
        Some("schedule") => (&["on", "cron"], &[]),
        Some("manual") => (&["on"], &[]),
        _ => (&["on"], &["environment", "cron"]),
    };
    if !shape.keys(trigger, "trigger", required, optional) {
        return;
    }
    shape.one_of(trigger, "on", &["drift", "schedule", "manual"]);
    shape.text(trigger, "environment");
    if let Some((cron, text)) = shape.text(trigger, "cron") {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        if let Err(error) = parser.parse(text) {
            let message = format!(
                "`{text}` is not a cron expression: {}",
                lower(&error.to_string())
            );
            let hint =
                "minute, hour, day of month, month, day of week: `0 6 * * 1` is Monday at six";
            shape.error(cron.source(), message, Some(hint.to_owned()));
        }
    }
}

/// A library's sentence in our form.
fn lower(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

fn environments(root: &Item<'_>, world: &World<'_>, findings: &mut Vec<Finding>) {
    let mut shape = Shape::new(&codes::PIPELINE_NAME, findings);
    for trigger in root.get("triggers").iter().flat_map(Item::items) {
        if let Some(name) = trigger
            .text("environment")
            .filter(|name| !world.environments.contains(name))
        {
            let hint = suggest::hint(name, world.environments.iter().copied());
            let source = trigger
                .get("environment")
                .map_or_else(|| trigger.source(), |item| item.source());
            shape.error(source, format!("there is no environment `{name}`"), hint);
        }
    }
}

fn concurrency(shape: &mut Shape<'_>, root: &Item<'_>) {
    if let Some(item) = shape.record(root, "concurrency", &["key", "policy"], &[]) {
        shape.one_of(&item, "key", &["environment", "pipeline"]);
        shape.one_of(&item, "policy", &["queue", "skip", "replace"]);
    }
}

fn budget(shape: &mut Shape<'_>, root: &Item<'_>) {
    if let Some(item) = shape.record(
        root,
        "budget",
        &[],
        &["usd", "tokens", "turns", "on_exceed"],
    ) {
        shape.amount(&item, "usd");
        shape.whole(&item, "tokens", 1);
        shape.whole(&item, "turns", 1);
        shape.one_of(&item, "on_exceed", &["stop", "fallback"]);
    }
}

fn step(shape: &mut Shape<'_>, step: &Item<'_>) {
    if !shape.keys(step, "step", &["id", "role"], &STEP) {
        return;
    }
    if let Some((id, text)) = shape.text(step, "id")
        && !is_name(text)
    {
        let message = format!("`{text}` cannot be a step id: conditions name it as `steps.{text}`");
        let hint = format!(
            "letters, digits and `_`: `{}`",
            text.replace(['-', ' ', '.'], "_")
        );
        shape.error(id.source(), message, Some(hint));
    }
    shape.one_of(step, "role", &Role::NAMES);
    shape.text(step, "prompt");
    shape.text(step, "when");
    shape.duration(step, "timeout");
    network(shape, step);
    for key in ["tools", "needs"] {
        shape.texts(step, key);
    }
    for (item, text) in shape.texts(step, "secrets") {
        if text
            .split_once('#')
            .is_none_or(|(path, key)| path.is_empty() || key.is_empty())
        {
            shape.wrong(&item, "secrets", "a list of secrets by name, `path#key`");
        }
    }
    inputs(shape, step);
    output(shape, step);
    retry(shape, step);
    for proposal in shape.list(step, "propose") {
        self::proposal(shape, &proposal);
    }
    approval(shape, step);
}

fn inputs(shape: &mut Shape<'_>, step: &Item<'_>) {
    let Some(inputs) = step.get("inputs") else {
        return;
    };
    if !inputs.value.is_object() {
        shape.wrong(&inputs, "inputs", "a record");
    }
    for (name, input) in inputs.entries() {
        if shape.keys(
            &input,
            &format!("input `{name}`"),
            &["from"],
            &["untrusted"],
        ) {
            shape.text(&input, "from");
            shape.truth(&input, "untrusted");
        }
    }
}

fn output(shape: &mut Shape<'_>, step: &Item<'_>) {
    if let Some(output) = shape.record(step, "output", &["schema"], &["max_bytes"]) {
        shape.text(&output, "schema");
        shape.whole(&output, "max_bytes", 1);
    }
}

fn retry(shape: &mut Shape<'_>, step: &Item<'_>) {
    let Some(retry) = shape.record(step, "retry", &["limit", "on"], &["backoff"]) else {
        return;
    };
    shape.whole(&retry, "limit", 0);
    for (item, text) in shape.texts(&retry, "on") {
        shape.named(&item, "on", text, &["rate_limit", "server", "timeout"]);
    }
    if let Some(backoff) = shape.record(&retry, "backoff", &["from", "to"], &[]) {
        let (from, to) = (
            shape.duration(&backoff, "from"),
            shape.duration(&backoff, "to"),
        );
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            let message = "`backoff` begins with a longer wait than it ends with".to_owned();
            shape.error(
                backoff.key_source("from"),
                message,
                Some("exchange `from` and `to`".to_owned()),
            );
        }
    }
}

fn proposal(shape: &mut Shape<'_>, proposal: &Item<'_>) {
    if !shape.keys(proposal, "proposal", &["action"], &["max", "paths", "undo"]) {
        return;
    }
    let action = shape.one_of(proposal, "action", &["open_change", "comment"]);
    let undo = shape.one_of(proposal, "undo", &["close_change", "delete_comment"]);
    shape.whole(proposal, "max", 1);
    for (item, glob) in shape.texts(proposal, "paths") {
        self::glob(shape, &item, glob);
    }
    if let (Some(action), Some(undo)) = (action, undo)
        && (action == "open_change") != (undo == "close_change")
    {
        let wanted = if action == "open_change" {
            "close_change"
        } else {
            "delete_comment"
        };
        let message = format!("`{undo}` does not undo `{action}`");
        shape.error(
            proposal.key_source("undo"),
            message,
            Some(format!("write `undo = '{wanted}`")),
        );
    }
    if action == Some("open_change") && proposal.get("paths").is_none() {
        let message = "`open_change` needs `paths`: the files it may touch".to_owned();
        let hint = "for example `paths = [\"infra/staging/**\"]`".to_owned();
        shape.error(proposal.source(), message, Some(hint));
    }
}

/// Whether `text` is a pattern for paths.
pub(crate) fn glob(shape: &mut Shape<'_>, item: &Item<'_>, text: &str) {
    if let Err(reason) = paths(text) {
        let message = format!("`{text}` is not a pattern for paths: {reason}");
        shape.error(
            item.source(),
            message,
            Some("for example `infra/production/**`".to_owned()),
        );
    }
}

fn approval(shape: &mut Shape<'_>, step: &Item<'_>) {
    let optional = ["min", "expires", "not_author"];
    if let Some(approval) = shape.record(step, "approval", &["by"], &optional) {
        shape.text(&approval, "by");
        shape.whole(&approval, "min", 1);
        shape.duration(&approval, "expires");
        shape.truth(&approval, "not_author");
    }
}
