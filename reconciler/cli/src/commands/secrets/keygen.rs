//! `stratum secrets keygen`

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use stratum_assembly::crypto;
use stratum_core::ids::EnvironmentName;
use stratum_seal::age::Identity;
use stratum_seal::keys::{self, FileError, Sealer};

use crate::command::{Command, command, straight};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::work_tree::WorkTree;

/// Makes a sealer's key or an identity
#[derive(Debug, Args)]
pub(crate) struct KeygenArguments {}

/// The commands that make keys.
pub(super) const GROUP: Command = Command::group(
    "keygen",
    <KeygenArguments as clap::Args>::augment_args,
    straight,
    &[
        command!("sealer", SealerArguments, sealer),
        command!("identity", IdentityArguments, identity),
    ],
);

/// Makes the key that a person seals with: Ed25519 and ML-DSA-65
///
/// The public half is printed as `trust/people/<name>.toml` holds it, unless it is written there.
#[derive(Debug, Args)]
struct SealerArguments {
    /// The person or robot, as `trust/people/` names it
    #[arg(long)]
    name: String,

    /// The file of the private key; it must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Write the public half to `trust/people/<name>.toml` too
    #[arg(long)]
    trust: bool,
}

/// Makes an identity, which opens what is sealed to it: ML-KEM-768 and X25519
///
/// The recipient is printed, unless it is written to trust. The file is in age's notation: `age -d -i FILE` opens values with it.
#[derive(Debug, Args)]
struct IdentityArguments {
    /// The file of the private key; it must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Write the recipient to `trust/recipients/<name>.toml` too
    #[arg(long, requires_all = ["name", "environments"])]
    trust: bool,

    /// The recipient, as `trust/recipients/` names it
    #[arg(long)]
    name: Option<String>,

    /// An environment whose values it reads; may be given several times
    #[arg(long = "environment", value_name = "ENV")]
    environments: Vec<EnvironmentName>,
}

fn sealer(context: &Context, arguments: &SealerArguments) -> Result<Exit, CommandError> {
    check_name(&arguments.name)?;
    let work_tree = arguments
        .trust
        .then(|| WorkTree::open(context))
        .transpose()?;
    let crypto = crypto()?;
    let sealer = Sealer::generate(&crypto).map_err(|error| failed(&error))?;
    keys::write_private(&arguments.out, &sealer.to_file(&arguments.name)).map_err(unwritten)?;
    let public = sealer.public();
    let entry = format!(
        "[[sealer]]\nid = \"{}\"\ned25519 = \"{}\"\nml-dsa-65 = \"{}\"\n",
        public.id, public.ed25519, public.ml_dsa_65
    );
    let file = format!("trust/people/{}.toml", arguments.name);
    if let Some(work_tree) = &work_tree {
        let text = work_tree.read(&file)?.unwrap_or_default();
        work_tree.write(&file, &first_sealer(&text, &entry))?;
    }
    if context.global.json {
        let answer = json!({
            "version": 1, "name": arguments.name, "out": arguments.out, "sealer": public,
            "trust": work_tree.as_ref().map(|_| &file),
        });
        context.ui.answer_json(&answer)?;
    } else if work_tree.is_none() {
        context.ui.answer(&entry);
    }
    let out = arguments.out.display();
    match work_tree {
        Some(_) => context.ui.say(&format!(
            "the private key is in {out}, the public half in {file}"
        )),
        None => context.ui.say(&format!(
            "the private key is in {out}; put the public half into {file}"
        )),
    }
    context
        .ui
        .hint("push the change of `trust/` before the first value that is sealed with it");
    Ok(Exit::Done)
}

fn identity(context: &Context, arguments: &IdentityArguments) -> Result<Exit, CommandError> {
    let work_tree = arguments
        .trust
        .then(|| WorkTree::open(context))
        .transpose()?;
    let name = arguments.name.clone().unwrap_or_default();
    let file = format!("trust/recipients/{name}.toml");
    if let Some(work_tree) = &work_tree {
        check_name(&name)?;
        for environment in &arguments.environments {
            work_tree.require(environment)?;
        }
        if work_tree.read(&file)?.is_some() {
            let message = format!("`{file}` is there already");
            return Err(CommandError::given(message).hint(
                "choose another `--name`; give the old one `retired = <time>` when nothing more \
                 shall be sealed to it, then `stratum secrets rewrap`",
            ));
        }
    }
    let crypto = crypto()?;
    let identity = Identity::generate(&crypto).map_err(|error| failed(&error))?;
    let text = keys::identity_file(&identity, Timestamp::now());
    let (Some(text), Some(recipient)) = (text, identity.recipient()) else {
        return Err(CommandError::machine("the identity has no text"));
    };
    keys::write_private(&arguments.out, &text).map_err(unwritten)?;
    let recipient = recipient.to_string();
    if let Some(work_tree) = &work_tree {
        let names = arguments
            .environments
            .iter()
            .map(|name| format!("\"{name}\""));
        let names = names.collect::<Vec<_>>().join(", ");
        let entry = format!("key = \"{recipient}\"\nenvironments = [{names}]\n");
        work_tree.write(&file, &entry)?;
    }
    if context.global.json {
        let answer = json!({
            "version": 1, "out": arguments.out, "recipient": recipient,
            "trust": work_tree.as_ref().map(|_| &file),
        });
        context.ui.answer_json(&answer)?;
    } else if work_tree.is_none() {
        context.ui.answer(&format!("{recipient}\n"));
    }
    let out = arguments.out.display();
    let trusted = work_tree.map(|_| format!(", its recipient in {file}"));
    context.ui.say(&format!(
        "the identity is in {out}{}; keep a copy of it where it cannot be lost",
        trusted.unwrap_or_default()
    ));
    Ok(Exit::Done)
}

/// The text of a person's file with `entry` as the first sealer: the one in use.
fn first_sealer(text: &str, entry: &str) -> String {
    let at = text
        .match_indices("[[sealer]]")
        .map(|(at, _)| at)
        .find(|at| *at == 0 || text.get(..*at).is_some_and(|head| head.ends_with('\n')));
    let (head, tail) = text.split_at(at.unwrap_or(text.len()));
    let gap = if head.is_empty() || head.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let after = if tail.is_empty() { "" } else { "\n" };
    format!("{head}{gap}{entry}{after}{tail}")
}

fn check_name(name: &str) -> Result<(), CommandError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= 64 && name.chars().all(plain) && !name.starts_with('.') {
        return Ok(());
    }
    let message = format!("`{name}` cannot be a name in trust");
    Err(CommandError::given(message).hint("letters, digits, `-`, `_` and `.`, 64 at most"))
}

pub(super) fn failed(error: &(dyn std::error::Error + 'static)) -> CommandError {
    CommandError::machine("the cryptography failed")
        .because(error)
        .hint("`stratum doctor` tries each algorithm")
}

pub(super) fn unwritten(error: FileError) -> CommandError {
    let hint = match &error {
        FileError::Exists(_) => "choose another file with `--out`; a key is never overwritten",
        FileError::Readable { .. }
        | FileError::TooLarge(_)
        | FileError::NotAFile(_)
        | FileError::System { .. } => "choose a folder that you may write to",
    };
    CommandError::given("the key could not be written")
        .because(&error)
        .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_sealer_stands_first() {
        let entry = "[[sealer]]\nid = \"new\"\n";
        assert_eq!(first_sealer("", entry), entry);
        let old = "email = [\"a@b\"]\n\n[[sealer]]\nid = \"old\"\n";
        let text = first_sealer(old, entry);
        assert!(
            text.find("new").unwrap() < text.find("old").unwrap(),
            "{text}"
        );
        assert!(text.starts_with("email"));
    }
}
