//! `stratum secrets rewrap`

use std::path::PathBuf;
use std::str::FromStr as _;

use clap::Args;
use serde_json::json;
use stratum_assembly::{keys, sealed_file};
use stratum_core::ids::EnvironmentName;
use stratum_core::kinds::sealed_place::SealedPlace;
use stratum_seal::age::{Recipient, RecipientId};
use stratum_seal::value::compare;

use super::open::{opened, verified};
use super::seal::Sealing;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::work_tree::WorkTree;

/// Seals values again to the recipients that `trust/` names now
///
/// Values whose recipients are right already stay as they are. The version stays: the secret is the
/// same. History keeps the old text, so a secret that a retired recipient could read must be
/// changed, not only rewrapped: `stratum secrets status` lists those.
#[derive(Debug, Args)]
pub(crate) struct RewrapArguments {
    /// ENV or ENV/PATH [default: everything]
    #[arg(value_name = "ENV[/PATH]")]
    places: Vec<String>,

    /// Your sealer key [default: $STRATUM_SEALER, then the configuration folder]
    #[arg(long, value_name = "FILE")]
    sealer: Option<PathBuf>,

    /// Your identity [default: $STRATUM_IDENTITY, then the configuration folder]
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,

    /// Also values whose recipients are right: with fresh keys and signatures
    #[arg(long)]
    all: bool,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &RewrapArguments) -> Result<Exit, CommandError> {
    let work_tree = WorkTree::open(context)?;
    let sealing = Sealing::with(&work_tree, arguments.sealer.as_ref())?;
    let identities = keys::identities(&sealing.crypto, arguments.identity.as_ref())?;
    let places = chosen(&work_tree, &arguments.places)?;
    let repo = &work_tree.settings.name;
    let mut done = Vec::new();
    for place in places {
        let recipients = work_tree.recipients(&place.environment)?;
        let ids = ids(&sealing, &recipients)?;
        let file = place.file();
        let Some(mut text) = work_tree.read(&file)? else {
            continue;
        };
        let before = text.clone();
        let document = stratum_assembly::sealed_file::parsed(&file, &text)?;
        for (key, value) in &document.file.values {
            let found = verified(&sealing.crypto, &work_tree, &place, key, value)?;
            let (beyond, lacking) = compare(&found, &ids);
            let whole = found.ed25519 && found.ml_dsa_65;
            if beyond.is_empty() && lacking.is_empty() && whole && !arguments.all {
                continue;
            }
            let secret = opened(&sealing.crypto, &work_tree, &identities, &place, key, value)?;
            let again = sealing.seal(repo, &place, key, value.v, &recipients, &secret)?;
            let about = sealed_file::context(repo, &place);
            text = sealed_file::with(&file, Some(&text), &about, key, Some(&again))?;
            done.push((place.clone(), key.clone(), value.v));
        }
        if text != before {
            work_tree.write(&file, &text)?;
        }
    }
    if context.global.json {
        let values: Vec<_> = done
            .iter()
            .map(|(place, key, version)| json!({ "file": place.file(), "key": key, "v": version }))
            .collect();
        context
            .ui
            .answer_json(&json!({ "version": 1, "rewrapped": values }))?;
    } else {
        for (place, key, version) in &done {
            context
                .ui
                .answer(&format!("rewrapped {place}#{key} v{version}\n"));
        }
        context.ui.answer(&format!("{} rewrapped\n", done.len()));
    }
    context
        .ui
        .hint("`git add secrets` and commit; `stratum secrets status` lists what must be changed");
    Ok(Exit::Done)
}

fn ids(
    sealing: &Sealing,
    recipients: &[(String, Recipient)],
) -> Result<Vec<RecipientId>, CommandError> {
    let ids = recipients.iter().map(|(_, key)| key.id(&sealing.crypto));
    ids.collect::<Result<_, _>>()
        .map_err(|error| super::keygen::failed(&error))
}

/// The sealed files that were named, or all.
fn chosen(work_tree: &WorkTree, named: &[String]) -> Result<Vec<SealedPlace>, CommandError> {
    let all = work_tree.places()?;
    if named.is_empty() {
        return Ok(all);
    }
    let mut chosen = Vec::new();
    for name in named {
        let wanted = SealedPlace::from_str(name).ok();
        let environment = EnvironmentName::new(name.as_str()).ok();
        let fits = |place: &&SealedPlace| {
            Some(*place) == wanted.as_ref() || Some(&place.environment) == environment.as_ref()
        };
        let found: Vec<_> = all.iter().filter(fits).cloned().collect();
        if found.is_empty() {
            let names: Vec<String> = all.iter().map(ToString::to_string).collect();
            let hint = stratum_core::suggest::hint(name, names.iter().map(String::as_str));
            return Err(CommandError::given(format!("`{name}` has no sealed file")).hint_if(hint));
        }
        chosen.extend(found);
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}
