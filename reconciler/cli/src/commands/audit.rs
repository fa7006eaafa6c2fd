//! `stratum audit`

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use stratum_core::audit::What;
use stratum_store::{
    Expected, ExportError, LogReader, PartReport, Report, Shown, key_words, log_folder, within,
};

use crate::context::{Context, absolute};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::style::{Role, Theme};
use crate::wiring;

/// Proves what the audit log says, and reads and exports it
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArguments {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AuditCommand {
    Verify(VerifyArguments),
    Export(ExportArguments),
    List(ListArguments),
    Show(ShowArguments),
}

/// Which log is read.
#[derive(Debug, clap::Args)]
struct Source {
    /// The folder of a log, of a copy of one, or of an export [default: the one beside the state]
    #[arg(long, value_name = "DIR", visible_alias = "export")]
    log: Option<PathBuf>,
}

/// Proves that no entry, tile or checkpoint was altered, removed or reordered; offline
///
/// Names the first place that is not as it was written, and ends with 1 then. Compare the keys
/// that it prints with those you wrote down when the log was made, or give them with `--key`.
#[derive(Debug, clap::Args)]
struct VerifyArguments {
    #[command(flatten)]
    source: Source,

    /// A public key that must be the one that signs, `name+id+key`, or a file of such lines;
    /// may be given again
    #[arg(long, value_name = "KEY|FILE")]
    key: Vec<String>,

    /// A checkpoint that was kept elsewhere: the log must still contain it; may be given again
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

/// Copies what was logged in a period, so that it can be verified elsewhere from the copy alone
///
/// Entries are copied by bundles of 256, with one bundle more on either side, so that it can be
/// seen that none is missing; of all others only the hashes are copied.
#[derive(Debug, clap::Args)]
struct ExportArguments {
    #[command(flatten)]
    source: Source,

    /// From this day or moment on (UTC), for example 2026-11-01
    #[arg(long, value_name = "TIME")]
    from: String,

    /// To this day, which is in it, or to before this moment (UTC) [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,

    /// The folder to make
    #[arg(long, value_name = "DIR", default_value = "audit-export")]
    out: PathBuf,

    /// With the keys of personal data, so that names can be read
    #[arg(long)]
    people: bool,
}

/// Lists entries, oldest first
#[derive(Debug, clap::Args)]
struct ListArguments {
    #[command(flatten)]
    source: Source,

    /// From this day or moment on (UTC)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,

    /// To this day, which is in it, or to before this moment (UTC)
    #[arg(long, value_name = "TIME")]
    to: Option<String>,

    /// Only entries of this kind, for example `refused`
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
}

/// Shows one entry, with the proof that it is in the log
#[derive(Debug, clap::Args)]
struct ShowArguments {
    #[command(flatten)]
    source: Source,

    /// The entry, as `audit list` prints it: `0001-2026-11/42`
    entry: String,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &AuditArguments) -> Result<Exit, CommandError> {
    match &arguments.command {
        AuditCommand::Verify(arguments) => verify(context, arguments),
        AuditCommand::Export(arguments) => export(context, arguments),
        AuditCommand::List(arguments) => list(context, arguments),
        AuditCommand::Show(arguments) => show(context, arguments),
    }
}

/// A log, and what the state beside it knows of it.
struct Opened {
    reader: LogReader,
    folder: PathBuf,
    expected: Expected,
    /// Transactions whose entries are not yet in the tree.
    waiting: u64,
}

fn open(context: &Context, source: &Source) -> Result<Opened, CommandError> {
    let signer = wiring::note_signer()?;
    if let Some(folder) = &source.log {
        let folder = absolute(folder)?;
        there(&folder)?;
        return Ok(Opened {
            reader: LogReader::new(folder.clone(), signer),
            folder,
            expected: Expected::default(),
            waiting: 0,
        });
    }
    let place = context.place()?;
    let folder = log_folder(&place.state);
    let (expected, waiting) = context.block_on(async {
        Ok(match place.state().await? {
            Some(store) => store.expected_log().await?,
            None => Default::default(),
        })
    })?;
    if expected.is_empty() {
        there(&folder)?;
    }
    Ok(Opened {
        reader: LogReader::new(folder.clone(), signer),
        folder,
        expected,
        waiting,
    })
}

fn there(folder: &Path) -> Result<(), CommandError> {
    if folder.is_dir() {
        return Ok(());
    }
    let message = format!("there is no audit log at `{}`", folder.display());
    Err(CommandError::given(message)
        .hint("the first `stratum reconcile` makes it; `--log DIR` names another"))
}

fn verify(context: &Context, arguments: &VerifyArguments) -> Result<Exit, CommandError> {
    let mut opened = open(context, &arguments.source)?;
    for key in &arguments.key {
        opened.expected.keys.extend(keys(key)?);
    }
    for path in &arguments.checkpoint {
        opened.expected.checkpoints.push(text(path)?);
    }
    let report = opened
        .reader
        .verify(&opened.expected)
        .map_err(|reason| CommandError::given(reason).hint("`stratum audit verify --help`"))?;
    if context.global.json {
        context.ui.answer_json(&report_json(&opened, &report))?;
    } else {
        let theme = context.ui.theme();
        context.ui.answer(&report_text(theme, &opened, &report));
    }
    Ok(match report.problem {
        Some(_) => Exit::Wrong,
        None => Exit::Done,
    })
}

/// A key, or the keys of a file.
fn keys(given: &str) -> Result<Vec<String>, CommandError> {
    if given.matches('+').count() >= 2 {
        return Ok(vec![given.to_owned()]);
    }
    let text = text(Path::new(given))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    Ok(lines.map(str::to_owned).collect())
}

fn text(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|error| {
        let message = format!("`{}` cannot be read", path.display());
        CommandError::given(message)
            .because(&error)
            .hint("`stratum audit verify --help`")
    })
}

fn report_json(opened: &Opened, report: &Report) -> Value {
    let parts: Vec<Value> = report.parts.iter().map(part_json).collect();
    let problem = report.problem.as_ref().map(|problem| {
        json!({
            "part": problem.part, "path": problem.path, "entry": problem.entry,
            "message": problem.what,
        })
    });
    json!({
        "version": 1,
        "log": opened.folder,
        "valid": report.problem.is_none(),
        "problem": problem,
        "pinned": report.pinned,
        "waiting": opened.waiting,
        "period": report.period.as_ref().map(|(from, to)| json!({ "from": from, "to": to })),
        "parts": parts,
    })
}

fn part_json(part: &PartReport) -> Value {
    let span = part
        .span
        .map(|(first, last)| json!({ "first": first, "last": last }));
    json!({
        "name": part.name, "size": part.size, "root": part.root, "present": part.present,
        "pruned": part.pruned, "span": span, "keys": part.keys, "checkpoint": part.checkpoint,
        "people": { "readable": part.readable, "redacted": part.redacted },
    })
}

fn report_text(theme: &Theme, opened: &Opened, report: &Report) -> String {
    let mut text = String::new();
    for part in &report.parts {
        text.push_str(&part_text(theme, part));
    }
    if let Some(newest) = report.parts.last() {
        text.push_str(&keys_text(theme, newest, report.pinned));
    }
    if opened.waiting > 0 {
        text.push_str(&format!(
            "{} transactions wait in the state and are not yet in the tree\n",
            opened.waiting
        ));
    }
    match &report.problem {
        None => {
            let good = theme.paint(Role::Good, "valid");
            let count: u64 = report.parts.iter().map(|part| part.size).sum();
            text.push_str(&format!(
                "{good}: {count} entries; none was altered, removed or reordered\n"
            ));
        }
        Some(problem) => {
            let bad = theme.paint(Role::Bad, "not valid");
            let place = match &problem.path {
                Some(path) => format!("`{}`", path.display()),
                None => format!("part `{}`", problem.part),
            };
            text.push_str(&format!("{bad}: {place}: {}\n", problem.what));
        }
    }
    text
}

fn part_text(theme: &Theme, part: &PartReport) -> String {
    let name = theme.paint(Role::Strong, &part.name);
    let mut text = format!("{name}  {} entries", part.size);
    if part.pruned {
        text.push_str(", deleted because their time is over; their hashes are here");
    } else if part.present < part.size {
        text.push_str(&format!(
            ", {} of them here, the others as hashes",
            part.present
        ));
    }
    text.push_str(&format!("\n  root {}\n", part.root));
    for (month, count) in &part.redacted {
        text.push_str(&format!(
            "  {month} is redacted: the people of {count} entries cannot be read, their key is gone\n"
        ));
    }
    text
}

fn keys_text(theme: &Theme, part: &PartReport, pinned: bool) -> String {
    let words: Vec<String> = part
        .keys
        .iter()
        .filter_map(|key| key_words(key))
        .map(|(word, digest)| format!("{word} {digest}"))
        .collect();
    let said = match pinned {
        true => "as given",
        false => "as the log says itself: compare them, or give them with `--key`",
    };
    let mut text = format!("signed by {} ({said})\n", words.join(" and "));
    let key = part.keys.iter().min_by_key(|key| key.len());
    if let Some(key) = key.filter(|_| !pinned) {
        text.push_str(&format!("  {} {key}\n", theme.paint(Role::Name, "key")));
    }
    text
}

fn export(context: &Context, arguments: &ExportArguments) -> Result<Exit, CommandError> {
    let opened = open(context, &arguments.source)?;
    let from = moment(&arguments.from, false)?;
    let to = match &arguments.to {
        Some(to) => moment(to, true)?,
        None => Timestamp::now(),
    };
    let out = absolute(&arguments.out)?;
    let exported = opened.reader.export(&(from..to), &out, arguments.people);
    let exported = exported.map_err(|error| export_error(&error))?;
    let keys = stratum_store::log_keys(&opened.folder).unwrap_or_default();
    if context.global.json {
        context.ui.answer_json(&json!({
            "version": 1, "out": out, "from": from, "to": to, "parts": exported.parts,
            "entries": exported.entries, "keys": keys, "waiting": opened.waiting,
        }))?;
        return Ok(Exit::Done);
    }
    let shown = out.display();
    let mut text = format!(
        "{} entries of {from} to {to} are in `{shown}`\n",
        exported.entries
    );
    if opened.waiting > 0 {
        text.push_str("entries that are not yet in the tree are not among them\n");
    }
    text.push_str(&format!(
        "anyone can prove it: `stratum audit verify --log {shown}`\n"
    ));
    context.ui.answer(&text);
    Ok(Exit::Done)
}

fn export_error(error: &ExportError) -> CommandError {
    match error {
        ExportError::Log { .. } => CommandError::given(error.to_string())
            .hint("`stratum audit verify` says what is wrong with the log"),
        ExportError::There { .. } => {
            CommandError::given(error.to_string()).hint("name another folder with `--out`")
        }
        ExportError::Empty => {
            CommandError::given(error.to_string()).hint("`stratum audit list` shows what it has")
        }
        ExportError::Write { .. } => CommandError::machine("the export could not be written")
            .because(error)
            .hint("`df -h` shows whether a disk is full; `--out` names another folder"),
    }
}

/// A day or a moment; the end of a day is the beginning of the next.
fn moment(text: &str, is_end: bool) -> Result<Timestamp, CommandError> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let wrong = || {
        CommandError::given(format!("`{text}` is not a day or a time"))
            .hint("write `2026-11-24` or `2026-11-24T12:00:00Z`")
    };
    let day: Date = text.parse().map_err(|_| wrong())?;
    let day = if is_end {
        day.tomorrow().map_err(|_| wrong())?
    } else {
        day
    };
    let start = day.at(0, 0, 0, 0);
    TimeZone::UTC.to_timestamp(start).map_err(|_| wrong())
}

fn list(context: &Context, arguments: &ListArguments) -> Result<Exit, CommandError> {
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
        sentence(&entry.what)
    )
}

/// What happened, for people.
fn sentence(what: &What) -> String {
    match what {
        What::Verdict {
            plan,
            decision,
            policies,
            addresses,
            ..
        } => {
            let (count, plan, by) = (addresses.len(), plan.short(), policies.join(", "));
            format!("{decision}: {count} steps of plan {plan} by {by}")
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
        What::Continued { previous, size, .. } => format!("after {size} entries of {previous}"),
        What::Pruned { part, size, .. } => format!("{size} entries of {part}"),
    }
}

fn show(context: &Context, arguments: &ShowArguments) -> Result<Exit, CommandError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_moments_exact() {
        let at = |text: &str, is_end| moment(text, is_end).unwrap().to_string();
        assert_eq!(at("2026-11-24", false), "2026-11-24T00:00:00Z");
        assert_eq!(at("2026-11-30", true), "2026-12-01T00:00:00Z");
        assert_eq!(at("2026-11-24T12:00:00Z", true), "2026-11-24T12:00:00Z");
        assert!(moment("yesterday", false).is_err());
    }
}
