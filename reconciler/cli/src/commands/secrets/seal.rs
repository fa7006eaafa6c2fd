//! `stratum secrets seal`

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use stratum_assembly::{crypto, keys, sealed_file};
use stratum_core::kinds::sealed_place::SealedPlace;
use stratum_core::kinds::secret::SealedValue;
use stratum_core::ports::SecretStore as _;
use stratum_core::secret::Secret;
use stratum_seal::age::Recipient;
use stratum_seal::keys::Sealer;
use stratum_seal::{Crypto, Place};
use zeroize::Zeroizing;

use super::generate::Recipe;
use super::history::History;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::work_tree::WorkTree;

/// The most bytes of a value; sealed to a few recipients it stays below what a file may have.
const LARGEST: u64 = 192 << 10;

/// Seals one value into the repository
///
/// The value comes from standard input; on a terminal it is asked for, without echo. Of one line
/// the line end is taken away; `--file` takes a file as it is. The value gets the next version; no
/// other value of the file is touched.
#[derive(Debug, Args)]
pub(crate) struct SealArguments {
    /// ENV/PATH, for example production/payments/db
    #[arg(value_name = "ENV/PATH")]
    place: SealedPlace,

    /// The key within the file, for example password
    key: String,

    /// Your sealer key [default: $STRATUM_SEALER, then the configuration folder]
    #[arg(long, value_name = "FILE")]
    sealer: Option<PathBuf>,

    /// Take the value from this file, as it is
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    file: Option<PathBuf>,

    /// Make a random value: LEN, KIND or LEN/KIND (alphanumeric, printable, digits, hex, base64)
    #[arg(long, value_name = "LEN/KIND", num_args = 0..=1, require_equals = true,
          default_missing_value = "")]
    generate: Option<Recipe>,
}

/// Whoever seals, with what.
pub(crate) struct Sealing {
    pub(crate) crypto: Crypto,
    pub(crate) sealer: Sealer,
}

impl Sealing {
    /// With the sealer's key that was named or found; it must be somebody's in `trust/`.
    pub(crate) fn with(
        work_tree: &WorkTree,
        named: Option<&PathBuf>,
    ) -> Result<Self, CommandError> {
        let crypto = crypto()?;
        let sealer = keys::sealer(&crypto, named)?;
        if work_tree.trust.sealer(sealer.id()).is_none() {
            let message = format!(
                "the sealer key `{}` is nobody's in `trust/people/`",
                sealer.id()
            );
            return Err(CommandError::given(message).hint(
                "put its public half into `trust/people/<name>.toml`, as `stratum secrets keygen \
                 sealer --trust` does, and push that first",
            ));
        }
        Ok(Self { crypto, sealer })
    }

    /// Seals one value.
    pub(crate) fn seal(
        &self,
        repo: &str,
        place: &SealedPlace,
        key: &str,
        version: u64,
        recipients: &[(String, Recipient)],
        value: &Secret,
    ) -> Result<SealedValue, CommandError> {
        let keys: Vec<Recipient> = recipients.iter().map(|(_, key)| key.clone()).collect();
        let place = Place {
            repo,
            environment: place.environment.as_str(),
            path: &place.path,
            key,
            version,
        };
        let now = Timestamp::now();
        stratum_seal::seal(&self.crypto, &self.sealer, &keys, &place, now, value).map_err(|error| {
            let classical: Vec<&str> = recipients
                .iter()
                .filter(|(_, key)| key.is_classical())
                .map(|(name, _)| name.as_str())
                .collect();
            let hint = match classical.is_empty() {
                true => "look at the keys in `trust/recipients/`".to_owned(),
                false => format!(
                    "all recipients or none may be post-quantum, and {} are not: write `retired = \
                     \"{now:.0}\"` into their files under `trust/recipients/`, then `stratum \
                     secrets rewrap`",
                    classical.join(", ")
                ),
            };
            CommandError::given(format!("`{key}` could not be sealed"))
                .because(&error)
                .hint(hint)
        })
    }
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &SealArguments) -> Result<Exit, CommandError> {
    let work_tree = WorkTree::open(context)?;
    let SealArguments { place, key, .. } = arguments;
    work_tree.require(&place.environment)?;
    check_key(key)?;
    let recipients = work_tree.recipients(&place.environment)?;
    let sealing = Sealing::with(&work_tree, arguments.sealer.as_ref())?;
    let file = place.file();
    let text = work_tree.read(&file)?;
    let version = Versions::of(context, &work_tree, place)?.next(key);
    let value = value(context, arguments)?;
    let repo = &work_tree.settings.name;
    let sealed = sealing.seal(repo, place, key, version, &recipients, &value)?;
    let about = sealed_file::context(repo, place);
    let text = sealed_file::with(&file, text.as_deref(), &about, key, Some(&sealed))?;
    work_tree.write(&file, &text)?;
    let names: Vec<&str> = recipients.iter().map(|(name, _)| name.as_str()).collect();
    if context.global.json {
        context.ui.answer_json(&json!({
            "version": 1, "file": file, "key": key, "v": version, "recipients": names,
        }))?;
    } else {
        let names = names.join(", ");
        context
            .ui
            .answer(&format!("sealed {place}#{key} v{version} for {names}\n"));
    }
    context
        .ui
        .hint(&format!("`git add {file}` and commit; a push delivers it"));
    Ok(Exit::Done)
}

pub(super) fn check_key(key: &str) -> Result<(), CommandError> {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !key.is_empty() && key.len() <= 128 && key.chars().all(letters) {
        return Ok(());
    }
    Err(
        CommandError::given(format!("`{key}` cannot be the key of a sealed value"))
            .hint("letters, digits, `_`, `-` and `.`, 128 at most"),
    )
}

/// The highest version of each value of a file that is known: by the file, by history, which may
/// know more after a `git revert`, and by the state of a reconciler here.
pub(super) struct Versions(BTreeMap<String, u64>);

impl Versions {
    pub(super) fn of(
        context: &Context,
        work_tree: &WorkTree,
        place: &SealedPlace,
    ) -> Result<Self, CommandError> {
        let mut found = History::highest(work_tree, place)?;
        let file = work_tree.sealed(&place.file())?;
        let own = file.into_iter().flat_map(|file| file.file.values);
        let own = own.map(|(key, value)| (key, value.v));
        for (key, version) in own.chain(in_force(context, place)) {
            let known = found.entry(key).or_default();
            *known = (*known).max(version);
        }
        Ok(Self(found))
    }

    /// The version that a new value of this key gets.
    pub(super) fn next(&self, key: &str) -> u64 {
        self.0.get(key).copied().unwrap_or(0).saturating_add(1)
    }
}

/// The highest versions that were in force, where the state is at hand; a hint only.
fn in_force(context: &Context, place: &SealedPlace) -> Vec<(String, u64)> {
    let found = context.block_on(async {
        let Some(store) = context.place()?.state().await? else {
            return Ok(Vec::new());
        };
        let highest = store.highest(&place.environment).await?.into_iter();
        let here = highest.filter(|((path, _), _)| *path == place.path);
        Ok(here.map(|((_, key), version)| (key, version)).collect())
    });
    found.unwrap_or_default()
}

fn value(context: &Context, arguments: &SealArguments) -> Result<Secret, CommandError> {
    let value = if let Some(recipe) = arguments.generate {
        recipe.make()?
    } else if let Some(path) = &arguments.file {
        let failed = |error: std::io::Error| {
            CommandError::given(format!("`{}` cannot be read", path.display())).because(&error)
        };
        let file = std::fs::File::open(path).map_err(failed)?;
        read(file).map_err(failed)?
    } else if std::io::stdin().is_terminal() {
        prompt(
            context,
            &format!("value of {}#{}: ", arguments.place, arguments.key),
        )?
    } else {
        let failed = |error: std::io::Error| {
            CommandError::given("standard input cannot be read").because(&error)
        };
        line(read(std::io::stdin()).map_err(failed)?)
    };
    if value.expose().is_empty() {
        return Err(CommandError::given("the value is empty")
            .hint("give it on standard input, with `--file`, or let `--generate` make one"));
    }
    if value.expose().len() as u64 > LARGEST {
        let message = format!("the value has more than {LARGEST} bytes");
        return Err(CommandError::given(message)
            .hint("seal a key, and keep large data elsewhere, encrypted under it"));
    }
    Ok(value)
}

fn read(from: impl std::io::Read) -> std::io::Result<Secret> {
    // Room for all of it, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST as usize + 2));
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}

/// A value of one line without its line end; anything else as it is.
fn line(value: Secret) -> Secret {
    let bytes = value.expose();
    match bytes.split_last() {
        Some((b'\n', rest)) if !rest.contains(&b'\n') => {
            Secret::new(rest.strip_suffix(b"\r").unwrap_or(rest).to_vec())
        }
        _ => value,
    }
}

/// Asks on the terminal, twice, without showing what is typed.
pub(crate) fn prompt(context: &Context, question: &str) -> Result<Secret, CommandError> {
    let first = ask(context, question)?;
    let second = ask(context, "once more: ")?;
    if first.expose() != second.expose() {
        return Err(CommandError::given("the two were not the same").hint("run the command again"));
    }
    Ok(first)
}

/// Asks on the terminal, once, without showing what is typed. Ctrl-C gives up, and leaves the
/// terminal as it was.
pub(crate) fn ask(context: &Context, question: &str) -> Result<Secret, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::machine("the terminal cannot be read")
            .because(&error)
            .hint("give the value on standard input instead")
    };
    let hidden = crate::ui::Hidden::begin().map_err(failed)?;
    context.ui.ask(question);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // A thread that nobody waits for: after Ctrl-C it is still reading.
    std::thread::spawn(move || {
        let _whoever_asked_may_have_given_up = sender.send(crate::ui::read_line());
    });
    let read = context.block_on(async {
        tokio::select! {
            read = receiver => Ok(read.ok()),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    })?;
    drop(hidden);
    context.ui.ask("\n");
    let given_up = || CommandError::given("nothing was typed, and nothing is sealed");
    read.ok_or_else(given_up)?.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_end_of_one_line_goes() {
        let cut = |text: &str| {
            line(Secret::new(text.into()))
                .expose_text()
                .unwrap()
                .to_owned()
        };
        assert_eq!(cut("hunter2\n"), "hunter2");
        assert_eq!(cut("hunter2\r\n"), "hunter2");
        assert_eq!(cut("hunter2"), "hunter2");
        assert_eq!(cut("-----BEGIN\nx\n"), "-----BEGIN\nx\n");
    }
}
