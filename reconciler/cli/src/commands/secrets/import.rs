//! `stratum secrets import`

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use stratum_assembly::{keys, sealed_file};
use stratum_core::kinds::sealed_place::SealedPlace;
use stratum_core::secret::Secret;
use stratum_seal::age;
use stratum_seal::sops::{self, Node};
use zeroize::Zeroizing;

use super::seal::{Sealing, Versions, check_key};
use crate::context::Context;
use crate::dotenv;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::work_tree::WorkTree;

/// The most bytes of a file that is imported.
const LARGEST: u64 = 4 << 20;

/// Seals what another tool keeps: SOPS files, age files, dotenv files
///
/// Values of a SOPS file keep their path as key, with dots: `db.password`, `hosts.0`. A character
/// that a key cannot have becomes `_`. What the other tool left in the clear is left out, and said.
/// The file that is imported is not changed.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// ENV/PATH, for example production/payments/db
    #[arg(value_name = "ENV/PATH")]
    place: SealedPlace,

    /// What the file is [default: by its name and content]
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,

    /// The key for the one value of an age file [default: the name of the file]
    #[arg(long)]
    key: Option<String>,

    /// Your sealer key [default: $STRATUM_SEALER, then the configuration folder]
    #[arg(long, value_name = "FILE")]
    sealer: Option<PathBuf>,

    /// The identity that opens the file, of age [default: $STRATUM_IDENTITY, then the
    /// configuration folder]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

/// What can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// SOPS, YAML or JSON or dotenv, with age.
    Sops,
    /// One age file, binary or armoured.
    Age,
    /// `NAME=value` in the clear.
    Dotenv,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &ImportArguments) -> Result<Exit, CommandError> {
    let work_tree = WorkTree::open(context)?;
    let place = &arguments.place;
    work_tree.require(&place.environment)?;
    let recipients = work_tree.recipients(&place.environment)?;
    let sealing = Sealing::with(&work_tree, arguments.sealer.as_ref())?;
    let Found { values, left } = values(arguments, &sealing)?;
    let values = named(values)?;
    let file = place.file();
    let repo = &work_tree.settings.name;
    let about = sealed_file::context(repo, place);
    let mut text = work_tree.read(&file)?;
    let mut done = Vec::new();
    let versions = Versions::of(context, &work_tree, place)?;
    for (key, (name, value)) in &values {
        check_key(key)?;
        let version = versions.next(key);
        let sealed = sealing.seal(repo, place, key, version, &recipients, value)?;
        text = Some(sealed_file::with(
            &file,
            text.as_deref(),
            &about,
            key,
            Some(&sealed),
        )?);
        done.push((key, name, version));
    }
    let Some(text) = text.filter(|_| !done.is_empty()) else {
        return Err(CommandError::given("there is nothing sealed in the file")
            .hint("values that the other tool left in the clear are no secrets: put them into `infra/`"));
    };
    work_tree.write(&file, &text)?;
    if context.global.json {
        let values: Vec<_> = done
            .iter()
            .map(|(key, name, v)| json!({ "key": key, "v": v, "from": name }))
            .collect();
        context
            .ui
            .answer_json(&json!({ "version": 1, "file": file, "values": values, "left": left }))?;
    } else {
        for (key, name, version) in &done {
            let from = match key == name {
                true => String::new(),
                false => format!(", which was `{name}`"),
            };
            context
                .ui
                .answer(&format!("sealed {place}#{key} v{version}{from}\n"));
        }
        for name in &left {
            let line = format!("left out `{name}`: it is in the clear there, or empty\n");
            context.ui.answer(&line);
        }
    }
    context.ui.hint(&format!(
        "`git add {file}`; take `{}` out of the repository once nothing reads it, and change the \
         secrets that its history keeps",
        arguments.file.display()
    ));
    Ok(Exit::Done)
}

/// What a file holds.
struct Found {
    /// Secrets, by the name that they have there.
    values: Vec<(String, Secret)>,
    /// The names of what is no secret.
    left: Vec<String>,
}

/// Secrets by the key that they get here, with their name there.
fn named(
    values: Vec<(String, Secret)>,
) -> Result<BTreeMap<String, (String, Secret)>, CommandError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut found: BTreeMap<String, (String, Secret)> = BTreeMap::new();
    for (name, value) in values {
        let key = name.replace(|c| !plain(c), "_");
        if let Some((other, _)) = found.get(&key) {
            let message = format!("`{other}` and `{name}` would both have the key `{key}`");
            return Err(CommandError::given(message)
                .hint("rename one of them there, then import the file again"));
        }
        found.insert(key, (name, value));
    }
    Ok(found)
}

fn values(arguments: &ImportArguments, sealing: &Sealing) -> Result<Found, CommandError> {
    let bytes = read(&arguments.file)?;
    match arguments
        .from
        .unwrap_or_else(|| guess(&arguments.file, &bytes))
    {
        Format::Sops => of_sops(arguments, sealing, &bytes),
        Format::Age => of_age(arguments, sealing, &bytes),
        Format::Dotenv => of_dotenv(&arguments.file, &bytes),
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        CommandError::given(format!("`{shown}` cannot be read")).because(&error)
    };
    if fs::metadata(path).map_err(failed)?.len() > LARGEST {
        return Err(
            CommandError::given(format!("`{shown}` has more than {LARGEST} bytes"))
                .hint("seal a key, and keep large data elsewhere, encrypted under it"),
        );
    }
    fs::read(path).map(Zeroizing::new).map_err(failed)
}

fn guess(path: &Path, bytes: &[u8]) -> Format {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let is_age = bytes.starts_with(b"age-encryption.org/")
        || text
            .trim_start()
            .starts_with("-----BEGIN AGE ENCRYPTED FILE-----");
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let is_sops = text.contains("sops_version=")
        || text.contains("\"sops\":")
        || text.lines().any(|line| line.starts_with("sops:"));
    match (is_age, is_sops) {
        (true, _) => Format::Age,
        (false, true) => Format::Sops,
        (false, false) if name.contains(".env") => Format::Dotenv,
        (false, false) => Format::Sops,
    }
}

fn of_sops(
    arguments: &ImportArguments,
    sealing: &Sealing,
    bytes: &[u8],
) -> Result<Found, CommandError> {
    let path = &arguments.file;
    let odd = |what: &str| {
        CommandError::given(format!("`{}` is not {what}", path.display()))
            .hint("`--from` says what it is: sops, age, dotenv")
    };
    let text = std::str::from_utf8(bytes).map_err(|_| odd("text"))?;
    let document = if text.contains("sops_version=") {
        sops::dotenv(text).map_err(|error| odd("a dotenv file of SOPS").because(&error))?
    } else {
        stratum_load::yaml_as::<Node>(text).map_err(|_| odd("YAML or JSON"))?
    };
    let identities = keys::identities(&sealing.crypto, arguments.identity.as_ref())?;
    let leaves = sops::open(&sealing.crypto, &identities, &document).map_err(|error| {
        CommandError::given(format!("`{}` cannot be imported", path.display()))
            .because(&error)
            .hint("`--identity FILE` names the age identity that SOPS uses (`SOPS_AGE_KEY_FILE`)")
    })?;
    let (sealed, left): (Vec<_>, Vec<_>) = leaves.into_iter().partition(|leaf| leaf.sealed);
    Ok(Found {
        values: sealed
            .into_iter()
            .map(|leaf| (leaf.path.join("."), leaf.value))
            .collect(),
        left: left.iter().map(|leaf| leaf.path.join(".")).collect(),
    })
}

fn of_age(
    arguments: &ImportArguments,
    sealing: &Sealing,
    bytes: &[u8],
) -> Result<Found, CommandError> {
    let path = &arguments.file;
    let identities = keys::identities(&sealing.crypto, arguments.identity.as_ref())?;
    let limit = usize::try_from(LARGEST).unwrap_or(usize::MAX);
    let value = age::open(&sealing.crypto, &identities, bytes, limit).map_err(|error| {
        CommandError::given(format!("`{}` does not open", path.display()))
            .because(&error)
            .hint("`--identity FILE` names the age identity that opens it")
    })?;
    let name = path
        .file_stem()
        .map(|name| name.to_string_lossy().into_owned());
    let key = arguments.key.clone().or(name).unwrap_or_default();
    Ok(Found {
        values: vec![(key, value)],
        left: Vec::new(),
    })
}

fn of_dotenv(path: &Path, bytes: &[u8]) -> Result<Found, CommandError> {
    let odd = |error: &(dyn std::error::Error + 'static)| {
        CommandError::given(format!("`{}` cannot be imported as dotenv", path.display()))
            .because(error)
            .hint("nothing was sealed; write that line so that every reader reads the same, for example `NAME='value'`")
    };
    let text = std::str::from_utf8(bytes).map_err(|error| odd(&error))?;
    let variables = dotenv::read(text).map_err(|error| odd(&error))?;
    let (mut values, mut left) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        match value.is_empty() {
            true => left.push(name),
            false => values.push((name, Secret::new(value.as_bytes().to_vec()))),
        }
    }
    Ok(Found { values, left })
}
