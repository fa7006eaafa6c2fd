//! What conditions and inputs read: `trigger...` and `steps.<id>.output...`.

use stratum_core::finding::{Finding, codes};
use stratum_core::kinds::pipeline::Read;
use stratum_core::source::Source;
use stratum_core::suggest;

use super::schema::Schemas;
use crate::document::Item;
use crate::expression::{self, is_name};
use crate::shape::Shape;

/// What `step` reads of other steps. Notes what does not parse and what names something else.
/// `schema_of` gives the file with the schema of a step's output.
pub(super) fn reads<'a>(
    step: &Item<'_>,
    schemas: &Schemas,
    schema_of: &impl Fn(&str) -> Option<&'a str>,
    findings: &mut Vec<Finding>,
) -> Vec<Read> {
    for (_, input) in step.get("inputs").iter().flat_map(Item::entries) {
        warn(&input, findings);
    }
    let mut shape = Shape::new(&codes::PIPELINE_WHEN, findings);
    let mut reads = Vec::new();
    if let Some(when) = step.get("when") {
        reads.extend(condition(&mut shape, &when));
    }
    for (_, input) in step.get("inputs").iter().flat_map(Item::entries) {
        if let Some(from) = input.get("from") {
            reads.extend(source(&mut shape, &from));
        }
    }
    for read in &reads {
        let Some(file) = schema_of(&read.step) else {
            continue;
        };
        if let Some((name, names)) = schemas.unknown(file, &read.field) {
            let source = step_source(step, read);
            let message = format!("the output of `{}` has no `{name}`", read.step);
            shape.error(
                source,
                message,
                suggest::hint(&name, names.iter().map(String::as_str)),
            );
        }
    }
    reads
}

fn step_source(step: &Item<'_>, read: &Read) -> Source {
    let inputs = step.get("inputs");
    let froms = inputs
        .iter()
        .flat_map(Item::entries)
        .filter_map(|(_, input)| input.get("from"));
    let mut items = froms.chain(step.get("when"));
    items
        .find(|item| item.path == read.path)
        .map_or_else(|| step.source(), |item| item.source())
}

fn condition(shape: &mut Shape<'_>, when: &Item<'_>) -> Vec<Read> {
    let Some(text) = when.value.as_str() else {
        return Vec::new();
    };
    match expression::expression(text) {
        Ok(names) => names
            .iter()
            .filter_map(|name| read(shape, when, name))
            .collect(),
        Err(reason) => {
            let hint = "for example `steps.triage.output.severity != 'low'`".to_owned();
            shape.error(
                when.source(),
                format!("`when` does not parse: {reason}"),
                Some(hint),
            );
            Vec::new()
        }
    }
}

fn source(shape: &mut Shape<'_>, from: &Item<'_>) -> Option<Read> {
    let text = from.value.as_str()?;
    if text.split('.').all(is_name) && text.contains('.') {
        return read(shape, from, text);
    }
    let hint = "write `trigger.NAME`, or `steps.ID.output`".to_owned();
    shape.error(
        from.source(),
        format!("`{text}` is nothing that an input can come from"),
        Some(hint),
    );
    None
}

/// The read that `name` means; `None` for the trigger.
fn read(shape: &mut Shape<'_>, item: &Item<'_>, name: &str) -> Option<Read> {
    let mut parts = name.split('.').map(str::to_owned);
    let root = parts.next().unwrap_or_default();
    if root == "trigger" {
        return None;
    }
    if root != "steps" {
        let hint = suggest::hint(&root, ["steps", "trigger"]);
        shape.error(
            item.source(),
            format!("`{root}` is neither `steps` nor `trigger`"),
            hint,
        );
        return None;
    }
    match (parts.next(), parts.next().as_deref()) {
        (Some(step), Some("output")) => Some(Read {
            path: item.path.clone(),
            step,
            field: parts.collect(),
        }),
        (step, _) => {
            let step = step.unwrap_or_else(|| "ID".to_owned());
            let message = format!("`{name}` is not the output of a step");
            shape.error(
                item.source(),
                message,
                Some(format!("write `steps.{step}.output`")),
            );
            None
        }
    }
}

/// Warns of text from the world that is taken for trusted.
fn warn(input: &Item<'_>, findings: &mut Vec<Finding>) {
    const CLOSED: [&str; 4] = [
        "trigger.on",
        "trigger.environment",
        "trigger.revision",
        "trigger.time",
    ];
    let from = input.text("from").unwrap_or_default();
    if from.starts_with("trigger.") && !CLOSED.contains(&from) && input.get("untrusted").is_none() {
        let message = format!(
            "`{from}` is text from the world, and the input does not say whether it is trusted"
        );
        let finding = Finding::warning(&codes::PIPELINE_TAINT, message);
        let hint = "add `untrusted = true`, or `untrusted = false` where nobody else can write it";
        findings.push(finding.at(input.source()).hint(hint));
    }
}
