//! `stratum secrets edit`

use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use stratum_assembly::sealed_file::parsed;
use stratum_assembly::{keys, sealed_file};
use stratum_core::kinds::sealed_place::SealedPlace;
use stratum_core::secret::Secret;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::open::opened;
use super::private::PrivateFolder;
use super::seal::{Sealing, Versions, check_key};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::work_tree::WorkTree;

/// Opens the values of a sealed file in $EDITOR, and seals again those that changed
///
/// The values lie in the clear only in a private folder, in memory where the system has one
/// (`/dev/shm`), and are wiped afterwards, also when this is killed. A line taken out takes the value out; a new one adds it.
#[derive(Debug, Args)]
pub(crate) struct EditArguments {
    /// ENV/PATH, for example production/payments/db
    #[arg(value_name = "ENV/PATH")]
    place: SealedPlace,

    /// Your sealer key [default: $STRATUM_SEALER, then the configuration folder]
    #[arg(long, value_name = "FILE")]
    sealer: Option<PathBuf>,

    /// Your identity [default: $STRATUM_IDENTITY, then the configuration folder]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &EditArguments) -> Result<Exit, CommandError> {
    let work_tree = WorkTree::open(context)?;
    let place = &arguments.place;
    work_tree.require(&place.environment)?;
    let recipients = work_tree.recipients(&place.environment)?;
    let sealing = Sealing::with(&work_tree, arguments.sealer.as_ref())?;
    let file = place.file();
    let mut text = work_tree.read(&file)?;
    let mut before: BTreeMap<String, Secret> = BTreeMap::new();
    if let Some(text) = &text {
        let identities = keys::identities(&sealing.crypto, arguments.identity.as_ref())?;
        for (key, value) in &parsed(&file, text)?.file.values {
            let secret = opened(&sealing.crypto, &work_tree, &identities, place, key, value)?;
            before.insert(key.clone(), secret);
        }
    }
    let after = edited(context, place, &before)?;
    let (mut sealed, mut removed) = (0, 0);
    let repo = &work_tree.settings.name;
    let about = sealed_file::context(repo, place);
    let versions = Versions::of(context, &work_tree, place)?;
    for (key, value) in &after {
        let same = before
            .get(key)
            .is_some_and(|old| old.expose() == value.as_bytes());
        if same {
            continue;
        }
        check_key(key)?;
        let version = versions.next(key);
        let secret = Secret::new(value.as_bytes().to_vec());
        let value = sealing.seal(repo, place, key, version, &recipients, &secret)?;
        text = Some(sealed_file::with(
            &file,
            text.as_deref(),
            &about,
            key,
            Some(&value),
        )?);
        context
            .ui
            .answer(&format!("sealed {place}#{key} v{version}\n"));
        sealed += 1;
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        // What is not text was never shown, so it was not taken out either.
        if before
            .get(key)
            .is_some_and(|old| old.expose_text().is_some())
        {
            text = Some(sealed_file::with(
                &file,
                text.as_deref(),
                &about,
                key,
                None,
            )?);
            context.ui.answer(&format!("took out {place}#{key}\n"));
            removed += 1;
        }
    }
    if sealed + removed == 0 {
        context.ui.say("nothing changed");
        return Ok(Exit::Done);
    }
    work_tree.write(&file, text.as_deref().unwrap_or_default())?;
    context
        .ui
        .hint(&format!("`git add {file}` and commit; a push delivers it"));
    Ok(Exit::Done)
}

/// What a person made of the values. Who mistyped on a terminal may go on where they were.
fn edited(
    context: &Context,
    place: &SealedPlace,
    values: &BTreeMap<String, Secret>,
) -> Result<BTreeMap<String, Zeroizing<String>>, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::machine("the values could not be laid out for the editor").because(&error)
    };
    let folder = PrivateFolder::new().map_err(failed)?;
    let path = folder.path().join("values.yaml");
    let mut options = fs::OpenOptions::new();
    let mut out = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    out.write_all(laid_out(place, values).as_bytes())
        .map_err(failed)?;
    drop(out);
    loop {
        context.block_on(edit(&path))?;
        let text = Zeroizing::new(fs::read_to_string(&path).map_err(failed)?);
        match read(&text) {
            Err(error) if std::io::stdin().is_terminal() => {
                context
                    .ui
                    .complain(&error.render(&crate::style::Theme::PLAIN));
                context
                    .ui
                    .say("Enter opens the editor again, with what you wrote; Ctrl-D gives up");
                if std::io::stdin().lines().next().is_none() {
                    return Err(error);
                }
            }
            read => return read,
        }
    }
}

/// Runs the editor of whoever asks on a file, until it ends.
///
/// *Guarantees*: Ctrl-C is the editor's. When this process is told to end, the editor is ended
/// first, and the caller goes on to wipe what it left.
async fn edit(path: &Path) -> Result<(), CommandError> {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.trim().is_empty())
        .unwrap_or_else(|| "vi".to_owned());
    let unstarted = |error: std::io::Error| {
        CommandError::given("the editor could not be started")
            .because(&error)
            .hint("set `EDITOR`")
    };
    let listen = |kind| signal(kind).map_err(unstarted);
    // A signal that is listened to does not end this process.
    let _the_editors = (
        listen(SignalKind::interrupt())?,
        listen(SignalKind::quit())?,
    );
    let mut ended = listen(SignalKind::terminate())?;
    let mut hung_up = listen(SignalKind::hangup())?;
    // The variable may hold arguments, so a shell reads it, as git does.
    let mut child = tokio::process::Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(path)
        .spawn()
        .map_err(unstarted)?;
    let status = tokio::select! {
        status = child.wait() => status.map_err(unstarted)?,
        _ = ended.recv() => return stopped(&mut child).await,
        _ = hung_up.recv() => return stopped(&mut child).await,
    };
    match status.success() {
        true => Ok(()),
        false => Err(
            CommandError::given(format!("the editor `{editor}` failed; nothing changed"))
                .hint("set `EDITOR` to one that works"),
        ),
    }
}

async fn stopped(child: &mut tokio::process::Child) -> Result<(), CommandError> {
    let _it_may_have_ended = child.kill().await;
    Err(CommandError::given(
        "told to end while the editor was open; nothing changed",
    ))
}

/// The values in a text that was edited.
fn read(text: &str) -> Result<BTreeMap<String, Zeroizing<String>>, CommandError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let read: BTreeMap<String, String> = stratum_load::yaml_as(text).map_err(|line| {
        // The message of a parser may repeat what it read.
        let place = line.map_or(String::new(), |line| format!(", near line {line}"));
        CommandError::given(format!(
            "what was edited is not `key: value` in YAML{place}; nothing changed"
        ))
        .hint("texts with special characters stand in double quotes; several lines after `|-`")
    })?;
    Ok(read
        .into_iter()
        .map(|(key, value)| (key, Zeroizing::new(value)))
        .collect())
}

/// The values as YAML: one line each, in the quotes of JSON, which YAML reads too.
fn laid_out(place: &SealedPlace, values: &BTreeMap<String, Secret>) -> Zeroizing<String> {
    let mut text = Zeroizing::new(format!(
        "# {place}: one `key: \"value\"` a line. Save and close; only what changed is sealed again.\n"
    ));
    for (key, value) in values {
        match value.expose_text() {
            Some(value) if is_block(value) => {
                let mark = if value.ends_with('\n') { "|" } else { "|-" };
                text.push_str(&format!("{}: {mark}\n", sealed_file::plain(key)));
                for line in value.strip_suffix('\n').unwrap_or(value).split('\n') {
                    text.push_str(&format!("  {line}\n"));
                }
            }
            Some(value) => {
                text.push_str(&format!("{}: ", sealed_file::plain(key)));
                quote(value, &mut text);
                text.push('\n');
            }
            None => text.push_str(&format!("# {key} is not text, and stays as it is\n")),
        }
    }
    text
}

/// Writes a text in the quotes of JSON. What an editor or YAML may take for the end of a line, or
/// show as nothing, is written by its number.
fn quote(value: &str, text: &mut String) {
    let quoted = Zeroizing::new(serde_json::Value::from(value).to_string());
    for c in quoted.chars() {
        let odd = matches!(c, '\u{7f}'..='\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}');
        match odd {
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
}

/// Whether a text of several lines can be written as a block without loss.
fn is_block(value: &str) -> bool {
    let plain = |line: &str| {
        line.starts_with(|c: char| c.is_ascii_graphic())
            && !line.ends_with(' ')
            && line.chars().all(|c| c == ' ' || c.is_ascii_graphic())
    };
    value.trim_end_matches('\n').contains('\n')
        && !value.ends_with("\n\n")
        && value.trim_end_matches('\n').split('\n').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_laid_out_reads_back_as_it_was() {
        let pem = "-----BEGIN X-----\nabc=\n-----END X-----\n";
        let texts = [
            "plain",
            "with \"quotes\" # and: more",
            "two\nlines",
            pem,
            " \n ",
            "é\t\u{1}",
            "",
            "\n",
            "dos\r\nlines\r\n",
            "mac\rlines",
            "two\n\nparagraphs",
            "ends twice\n\n",
            "#a\nb: c\n- d",
            "---\na\n...\nb",
            "\u{feff}marked",
            "next\u{85}line\u{2028}and\u{2029}paragraph\u{a0}",
            "\u{7f}\u{200b}\u{202e}",
            "yes",
            "0777",
            "😀 \\ ' \\n",
            "trailing \nblank",
            "tab\tin\nlines",
        ];
        let values: BTreeMap<String, Secret> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| (format!("k{n}"), Secret::new(text.as_bytes().to_vec())))
            .chain(
                ["null", "1.0", "yes", "0x1f", "-", ".", "~", "1e3"].map(|key| {
                    let value = Secret::new(key.as_bytes().to_vec());
                    (key.to_owned(), value)
                }),
            )
            .collect();
        let text = laid_out(&"production/db".parse().unwrap(), &values);
        let read: BTreeMap<String, String> = stratum_load::yaml_as(&text).unwrap();
        assert_eq!(read.len(), values.len());
        for (key, value) in &values {
            assert_eq!(
                read.get(key).map(String::as_bytes),
                Some(value.expose()),
                "{key}"
            );
        }
    }
}
