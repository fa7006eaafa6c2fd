//! `stratum secrets import`

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use stratum_core::secret::Secret;
use stratum_seal::age;
use stratum_seal::sops::{self, Node};
use zeroize::Zeroizing;

use super::keygen::failed;
use super::seal::{Sealing, check_key, next_version};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::keys;
use crate::sealed_file;
use crate::work_tree::{SealedPlace, WorkTree};

/// The most bytes of a file that is imported.
const LARGEST: u64 = 4 << 20;

/// Seals what another tool keeps: SOPS files, age files, dotenv files
///
/// Values of a SOPS file keep their path as key, with dots: `db.password`. The file that is imported
/// is not changed.
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
    let values = values(arguments, &sealing)?;
    let file = place.file();
    let repo = &work_tree.settings.name;
    let about = sealed_file::context(repo, place);
    let mut text = work_tree.read(&file)?;
    let mut done = Vec::new();
    for (key, value) in &values {
        check_key(key)?;
        let version = next_version(context, &work_tree, place, key)?;
        let sealed = sealing.seal(repo, place, key, version, &recipients, value)?;
        text = Some(sealed_file::with(
            &file,
            text.as_deref(),
            &about,
            key,
            Some(&sealed),
        )?);
        done.push((key, version));
    }
    let Some(text) = text.filter(|_| !done.is_empty()) else {
        return Err(CommandError::given("there is nothing sealed in the file")
            .hint("values that the other tool left in the clear are no secrets: put them into `infra/`"));
    };
    work_tree.write(&file, &text)?;
    if context.global.json {
        let values: Vec<_> = done
            .iter()
            .map(|(key, v)| json!({ "key": key, "v": v }))
            .collect();
        context
            .ui
            .answer_json(&json!({ "version": 1, "file": file, "values": values }))?;
    } else {
        for (key, version) in &done {
            context
                .ui
                .answer(&format!("sealed {place}#{key} v{version}\n"));
        }
    }
    context.ui.hint(&format!(
        "`git add {file}`; take `{}` out of the repository once nothing reads it, and change the \
         secrets that its history keeps",
        arguments.file.display()
    ));
    Ok(Exit::Done)
}

fn values(
    arguments: &ImportArguments,
    sealing: &Sealing,
) -> Result<Vec<(String, Secret)>, CommandError> {
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
) -> Result<Vec<(String, Secret)>, CommandError> {
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
    let leaves = leaves.into_iter().filter(|leaf| leaf.sealed);
    Ok(leaves
        .map(|leaf| (leaf.path.join("."), leaf.value))
        .collect())
}

fn of_age(
    arguments: &ImportArguments,
    sealing: &Sealing,
    bytes: &[u8],
) -> Result<Vec<(String, Secret)>, CommandError> {
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
    Ok(vec![(key, value)])
}

fn of_dotenv(path: &Path, bytes: &[u8]) -> Result<Vec<(String, Secret)>, CommandError> {
    let odd = |error: &(dyn std::error::Error + 'static)| {
        CommandError::given(format!("`{}` is not a dotenv file", path.display()))
            .because(error)
            .hint("each line is `NAME=value`; `--from` says what it is otherwise")
    };
    let text = std::str::from_utf8(bytes).map_err(|error| odd(&error))?;
    let node = sops::dotenv(text).map_err(|error| odd(&error))?;
    let Node::Map(entries) = node else {
        return Err(failed(&std::io::Error::other("the file has no names")));
    };
    let value = |(name, node): (String, Node)| {
        let text = node.text().unwrap_or_default();
        let text = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .or_else(|| {
                text.strip_prefix('\'')
                    .and_then(|text| text.strip_suffix('\''))
            })
            .unwrap_or(text);
        let name = name
            .strip_prefix("export ")
            .unwrap_or(&name)
            .trim()
            .to_owned();
        (!text.is_empty()).then(|| (name, Secret::new(text.as_bytes().to_vec())))
    };
    Ok(entries.into_iter().filter_map(value).collect())
}
