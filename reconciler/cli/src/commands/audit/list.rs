//! `stratum audit list` and `stratum audit show`

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};
use stratum_core::audit::What;
use stratum_store::{Shown, within};

use super::{Source, moment, open};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::style::{Role, Theme, one_line};

/// Lists entries, oldest first
#[derive(Debug, clap::Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    source: Source,

    /// From this day or moment on (UTC)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,

    /// To this day, which is in it, or to before this moment (UTC)
    #[arg(long, value_name = "TIME")]
    to: Option<String>,

    /// Only entries of this kind
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(What::NAMES))]
    kind: Option<String>,
}

/// Shows one entry, with the proof that it is in the log
#[derive(Debug, clap::Args)]
pub(super) struct ShowArguments {
    #[command(flatten)]
    source: Source,

    /// The entry, as `audit list` prints it: `0001-2026-11/42`
    entry: String,
}

/// Lists.
pub(super) fn run(context: &Context, arguments: &ListArguments) -> Result<Exit, CommandError> {
    let opened = open(context, &arguments.source)?;
    let from = arguments
        .from
        .as_deref()
        .map(|text| moment(text, false))
        .transpose()?;
    let to = arguments
        .to
        .as_deref()
        .map(|text| moment(text, true))
        .transpose()?;
    let wanted = |shown: &Shown| {
        let kind = shown.entry.what.name();
        within(shown.entry.at, from, to)
            && arguments
                .kind
                .as_deref()
                .is_none_or(|wanted| wanted == kind)
    };
    let mut failed = None;
    let mut take = |shown: Shown| {
        if wanted(&shown) {
            let said = match context.global.json {
                true => context.ui.answer_json_line(&entry_json(&shown)),
                false => {
                    context.ui.answer(&entry_line(context.ui.theme(), &shown));
                    Ok(())
                }
            };
            failed = said.err();
        }
        failed.is_none() && !context.ui.is_closed()
    };
    let read = opened.reader.each(&mut take);
    if let Some(error) = failed {
        return Err(error.into());
    }
    read.map_err(unreadable)?;
    Ok(Exit::Done)
}

fn unreadable(reason: String) -> CommandError {
    CommandError::given(reason).hint("`stratum audit verify` says what is wrong with the log")
}

fn entry_json(shown: &Shown) -> Value {
    json!({
        "version": 1, "entry": format!("{}/{}", shown.part, shown.index),
        "at": shown.entry.at, "environment": shown.entry.environment, "run": shown.entry.run,
        "principal": shown.entry.principal, "kind": shown.entry.what.name(),
        "what": shown.entry.what, "people": shown.entry.people, "redacted": shown.redacted,
    })
}

fn entry_line(theme: &Theme, shown: &Shown) -> String {
    let entry = &shown.entry;
    let place = format!("{}/{}", shown.part, shown.index);
    let environment = entry.environment.as_ref().map_or("-", |name| name.as_str());
    let kind = theme.paint(Role::Strong, entry.what.name());
    format!(
        "{place:<18} {:.0} {environment} {kind} {}\n",
        entry.at,
        one_line(&sentence(&entry.what))
    )
}

/// What happened, for people.
fn sentence(what: &What) -> String {
    match what {
        What::Verdict {
            plan,
            revision,
            decision,
            policies,
            addresses,
        } => {
            let (plan, by) = (plan.short(), policies.join(", "));
            match addresses.len() {
                0 => format!(
                    "{decision}: coming to {} with plan {plan}, by {by}",
                    revision.short()
                ),
                1 => format!("{decision}: 1 step of plan {plan}, by {by}"),
                count => format!("{decision}: {count} steps of plan {plan}, by {by}"),
            }
        }
        What::Refused { action, reason, .. } => format!("{action}: {reason}"),
        What::Apply(event) => {
            let address = event
                .address
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            let reason = event.reason.as_deref().unwrap_or_default();
            format!("{} {address} {reason}", event.event)
                .trim_end()
                .to_owned()
        }
        What::SecretRead {
            path,
            key,
            version,
            purpose,
            ..
        } => {
            format!("`{path}` `{key}` version {version} for {purpose}")
        }
        What::ApprovalUsed { tag, .. } => format!("`{tag}`"),
        What::ConfigurationChanged { part, revision, .. } => {
            format!("`{}` in {}", part.path(), revision.short())
        }
        What::TrustPinned { revision, .. } => format!("in {}", revision.short()),
        What::Unsealed { how, recipient } => format!("by {how}, as {recipient}"),
        What::LeaseTaken { number, holder } => format!("number {number} by {holder}"),
        What::LeaseBroken {
            number,
            holder,
            life,
            reason,
        } => format!("number {number} of {holder} ({life}): {reason}"),
        What::Continued { previous, size, .. } => format!("after {size} entries of {previous}"),
        What::Pruned { part, size, .. } => format!("{size} entries of {part}"),
    }
}

/// Shows one.
pub(super) fn show(context: &Context, arguments: &ShowArguments) -> Result<Exit, CommandError> {
    let opened = open(context, &arguments.source)?;
    let wanted = &arguments.entry;
    let place = wanted.rsplit_once('/');
    let place = place.and_then(|(part, index)| Some((part, index.parse::<u64>().ok()?)));
    let missing = || {
        CommandError::given(format!("the log has no entry `{wanted}`"))
            .hint("`stratum audit list` shows what it has")
    };
    let (part, index) = place.ok_or_else(missing)?;
    let proof = opened
        .reader
        .prove(part, index)
        .map_err(unreadable)?
        .ok_or_else(missing)?;
    if context.global.json {
        let mut answer = entry_json(&proof.shown);
        if let Value::Object(fields) = &mut answer {
            fields.insert("stored".to_owned(), json!(proof.shown.stored));
            fields.insert("index".to_owned(), json!(proof.shown.index));
            fields.insert("leaf".to_owned(), json!(proof.leaf));
            fields.insert("size".to_owned(), json!(proof.size));
            fields.insert("proof".to_owned(), json!(proof.path));
            fields.insert("checkpoint".to_owned(), json!(proof.checkpoint));
        }
        context.ui.answer_json(&answer)?;
        return Ok(Exit::Done);
    }
    let mut text = entry_line(context.ui.theme(), &proof.shown);
    text.push_str(&format!("{}\n", proof.shown.stored));
    for named in &proof.shown.entry.people {
        text.push_str(&format!("{:?}: {}\n", named.role, named.name));
    }
    text.push_str(&format!(
        "it is entry {} of {} under a signed checkpoint, proven by {} hashes\n",
        proof.shown.index,
        proof.size,
        proof.path.len()
    ));
    context.ui.answer(&text);
    Ok(Exit::Done)
}
