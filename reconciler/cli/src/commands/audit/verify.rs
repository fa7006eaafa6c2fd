//! `stratum audit verify`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stratum_assembly::records::{self, Signatures};
use stratum_store::{PartReport, Report, key_words};

use super::{Opened, Source, open};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show;
use crate::style::{Role, Theme};

/// Proves that no entry, tile or checkpoint was altered, removed or reordered; offline
///
/// Names the first place that is not as it was written, and ends with 1 then. Compare the keys
/// that it prints with those you wrote down when the log was made, or give them with `--key`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArguments {
    #[command(flatten)]
    source: Source,

    /// A public key that must be the one that signs, `name+id+key`, or a file of such lines;
    /// may be given again
    #[arg(long, value_name = "KEY|FILE")]
    key: Vec<String>,

    /// A checkpoint that was kept elsewhere: the log must still contain it; may be given again
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,

    /// The oldest parts were moved to other storage: that they are not here is no error
    #[arg(long)]
    moved_away: bool,
}

/// Carries out the command.
pub(super) fn run(context: &Context, arguments: &VerifyArguments) -> Result<Exit, CommandError> {
    let mut opened = open(context, &arguments.source)?;
    for key in &arguments.key {
        opened.expected.keys.extend(keys(key)?);
    }
    opened.expected.moved = arguments.moved_away;
    for path in &arguments.checkpoint {
        opened.expected.checkpoints.push(text(path)?);
    }
    let report = opened
        .reader
        .verify(&opened.expected)
        .map_err(|reason| CommandError::given(reason).hint("`stratum audit verify --help`"))?;
    let records = match &arguments.source.log {
        Some(_) => None,
        None => signatures(context)?,
    };
    if context.global.json {
        let mut json = report_json(&opened, &report);
        if let (Some(json), Some(records)) = (json.as_object_mut(), &records) {
            json.insert("records".to_owned(), serde_json::to_value(records)?);
        }
        context.ui.answer_json(&json)?;
    } else {
        let theme = context.ui.theme();
        let mut text = report_text(theme, &opened, &report);
        if let Some(records) = &records {
            text.push_str(&show::records::signatures(theme, records));
        }
        context.ui.answer(&text);
    }
    let forged = records.is_some_and(|records| records.problem.is_some());
    Ok(match report.problem.is_some() || forged {
        true => Exit::Wrong,
        false => Exit::Done,
    })
}

/// How the commits of records are signed; `None` where none was written yet.
fn signatures(context: &Context) -> Result<Option<Signatures>, CommandError> {
    let place = context.known_place()?;
    context.block_on(async {
        match place.state().await? {
            Some(store) => Ok(records::verify(&place, &store).await?),
            None => Ok(None),
        }
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
        "pruned": part.pruned, "pruned_at": part.pruned_at, "doubtful": part.doubtful, "span": span, "keys": part.keys, "checkpoint": part.checkpoint,
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
        let at = part
            .pruned_at
            .map(|at| format!(" at {}", at.strftime("%Y-%m-%dT%H:%M:%SZ")));
        text.push_str(&format!(
            ", deleted{} because their time is over; their hashes are here",
            at.unwrap_or_default()
        ));
    } else if part.present < part.size {
        text.push_str(&format!(
            ", {} of them here, the others as hashes",
            part.present
        ));
    }
    text.push_str(&format!("\n  root {}\n", part.root));
    if part.doubtful > 0 {
        text.push_str(&format!(
            "  {} entries of applies are from before stratum kept step and address together: \
             the address they name may be that of another resource of the same run\n",
            part.doubtful
        ));
    }
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
