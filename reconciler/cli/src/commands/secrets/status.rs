//! `stratum secrets status`

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use clap::Args;
use serde::Serialize;
use stratum_assembly::crypto;
use stratum_core::kinds::sealed_place::SealedPlace;
use stratum_core::kinds::secret::SealedValue;
use stratum_seal::Crypto;
use stratum_seal::age::{Recipient, RecipientId, RecipientKind};
use stratum_seal::signature::Signatures;

use super::history::History;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::work_tree::WorkTree;

/// Lists sealed values: who sealed them, who can read them, and what must be changed
///
/// A value that somebody could ever read who is no recipient any more, retired or taken out of
/// `trust/`, is named, because history keeps the old text: such a secret must be changed, not only
/// rewrapped.
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// Show how far the way to post-quantum keys and signatures is
    #[arg(long)]
    migration: bool,
}

/// One value as it stands.
#[derive(Debug, Serialize)]
struct ValueView {
    environment: String,
    path: String,
    key: String,
    v: u64,
    sealer: Option<String>,
    sealed_at: Option<String>,
    recipients: Vec<String>,
    ed25519: bool,
    ml_dsa_65: bool,
    classical: bool,
    /// Recipients of the environment that cannot read it yet, and readers that should not.
    rewrap: bool,
    /// Whether the field `sig` has its form; if not, nothing is known but the version.
    readable: bool,
    /// Those who could read this version or a later one of the same secret, and are no recipients
    /// any more.
    exposed_to: Vec<String>,
}

#[derive(Debug, Serialize)]
struct StatusView {
    version: u32,
    signatures: &'static str,
    values: Vec<ValueView>,
    /// Whether history is cut here, so that more may have been readable to somebody.
    shallow: bool,
    migration: Migration,
}

/// How far the way to post-quantum keys and signatures is.
#[derive(Debug, Default, Serialize)]
struct Migration {
    values: usize,
    signed_by_both: usize,
    signed_by_ed25519_only: usize,
    signed_by_ml_dsa_65_only: usize,
    classical_values: usize,
    classical_recipients: Vec<String>,
    next: Vec<String>,
}

/// The names of recipients: those that they have, and of others those that they last had.
fn names(
    work_tree: &WorkTree,
    crypto: &Crypto,
    history: &History,
) -> Result<BTreeMap<RecipientId, String>, CommandError> {
    let mut names = history.names.clone();
    for (name, recipient) in &work_tree.trust.recipients {
        // A key that is none is for `check` to say.
        let Ok(key) = Recipient::from_str(&recipient.key) else {
            continue;
        };
        let id = key.id(crypto);
        names.insert(
            id.map_err(|error| super::keygen::failed(&error))?,
            name.clone(),
        );
    }
    Ok(names)
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &StatusArguments) -> Result<Exit, CommandError> {
    let work_tree = WorkTree::open(context)?;
    let crypto = crypto()?;
    let history = History::of(&work_tree, &crypto)?;
    let names = names(&work_tree, &crypto, &history)?;
    let mut values = Vec::new();
    for place in work_tree.places()? {
        let Some(document) = work_tree.sealed(&place.file())? else {
            continue;
        };
        let wanted = wanted(&work_tree, &crypto, &place)?;
        for (key, value) in &document.file.values {
            let strangers = history.strangers(&place, key, value.v, &wanted);
            let mut view = view(&work_tree, &place, key, value, &wanted, &names);
            view.exposed_to = strangers.iter().map(|id| name(&names, id)).collect();
            values.push(view);
        }
    }
    let migration = migration(&work_tree, &values);
    let status = StatusView {
        version: 1,
        signatures: work_tree.settings.secrets.signatures.as_str(),
        values,
        shallow: history.shallow,
        migration,
    };
    if context.global.json {
        context.ui.answer_json(&status)?;
    } else {
        context.ui.answer(&text(&status, arguments.migration));
    }
    Ok(Exit::Done)
}

fn wanted(
    work_tree: &WorkTree,
    crypto: &Crypto,
    place: &SealedPlace,
) -> Result<BTreeSet<RecipientId>, CommandError> {
    let mut wanted = BTreeSet::new();
    for (_, recipient) in work_tree.trust.readers(&place.environment) {
        if let Ok(key) = Recipient::from_str(&recipient.key) {
            wanted.insert(
                key.id(crypto)
                    .map_err(|error| super::keygen::failed(&error))?,
            );
        }
    }
    Ok(wanted)
}

fn name(names: &BTreeMap<RecipientId, String>, id: &RecipientId) -> String {
    names.get(id).cloned().unwrap_or_else(|| id.to_string())
}

fn view(
    work_tree: &WorkTree,
    place: &SealedPlace,
    key: &str,
    value: &SealedValue,
    wanted: &BTreeSet<RecipientId>,
    names: &BTreeMap<RecipientId, String>,
) -> ValueView {
    let signatures = Signatures::decode(&value.sig).ok();
    let statement = signatures.as_ref().map(|signatures| &signatures.statement);
    let readers: BTreeSet<RecipientId> = statement
        .iter()
        .flat_map(|statement| statement.recipients.iter().copied())
        .collect();
    let sealer = statement.and_then(|statement| work_tree.trust.sealer(&statement.key));
    let signed = |with: &dyn Fn(&Signatures) -> bool| signatures.as_ref().is_some_and(with);
    ValueView {
        environment: place.environment.to_string(),
        path: place.path.clone(),
        key: key.to_owned(),
        v: value.v,
        sealer: sealer.map(|(name, _)| name.to_owned()),
        sealed_at: statement.map(|statement| statement.time.to_string()),
        recipients: readers.iter().map(|id| name(names, id)).collect(),
        ed25519: signed(&|signatures| signatures.ed25519.is_some()),
        ml_dsa_65: signed(&|signatures| signatures.ml_dsa_65.is_some()),
        classical: readers.iter().any(|id| id.kind == RecipientKind::Classical),
        rewrap: readers != *wanted,
        readable: signatures.is_some(),
        exposed_to: Vec::new(),
    }
}

fn migration(work_tree: &WorkTree, values: &[ValueView]) -> Migration {
    let count = |test: &dyn Fn(&ValueView) -> bool| values.iter().filter(|v| test(v)).count();
    let classical = |key: &str| Recipient::from_str(key).is_ok_and(|key| key.is_classical());
    let recipients = work_tree.trust.recipients.iter();
    let mut found = Migration {
        values: values.len(),
        signed_by_both: count(&|v| v.ed25519 && v.ml_dsa_65),
        signed_by_ed25519_only: count(&|v| v.ed25519 && !v.ml_dsa_65),
        signed_by_ml_dsa_65_only: count(&|v| !v.ed25519 && v.ml_dsa_65),
        classical_values: count(&|v| v.classical),
        classical_recipients: recipients
            .filter(|(_, one)| one.retired.is_none() && classical(&one.key))
            .map(|(name, _)| name.clone())
            .collect(),
        next: Vec::new(),
    };
    if !found.classical_recipients.is_empty() {
        let names = found.classical_recipients.join(", ");
        found.next.push(format!(
            "make a post-quantum key for whoever reads with {names} (`stratum secrets keygen \
             identity --trust`), and write `retired = \"{:.0}\"` into the file of the old one under \
             `trust/recipients/`",
            jiff::Timestamp::now()
        ));
    }
    if found.classical_values > 0 {
        found
            .next
            .push("`stratum secrets rewrap` seals values again to post-quantum keys".to_owned());
    }
    let exposed = count(&|v| !v.exposed_to.is_empty());
    if exposed > 0 {
        found.next.push(format!(
            "change {exposed} secrets that somebody could read who is no recipient any more: \
             `stratum secrets seal`"
        ));
    }
    let last = work_tree.settings.secrets.signatures.as_str() == "ml-dsa";
    if found.signed_by_ed25519_only > 0 || (found.signed_by_ml_dsa_65_only > 0 && !last) {
        found
            .next
            .push("`stratum secrets rewrap --all` signs with both algorithms".to_owned());
    }
    if values.iter().any(|value| !value.readable) {
        let next = "`stratum secrets verify` names the values whose signature cannot be read";
        found.next.push(next.to_owned());
    }
    let stage = work_tree.settings.secrets.signatures.as_str();
    if found.next.is_empty() && found.signed_by_both == found.values && stage != "ml-dsa" {
        let after = match stage {
            "ed25519" => "either",
            "either" => "both",
            _ => "ml-dsa",
        };
        found.next.push(format!(
            "set `secrets.signatures = '{after}` in `stratum.ncl`"
        ));
    }
    found
}

fn text(status: &StatusView, migration: bool) -> String {
    let mut out = String::new();
    for value in &status.values {
        out.push_str(&format!(
            "{}/{}#{} v{}  ",
            value.environment, value.path, value.key, value.v
        ));
        if !value.readable {
            out.push_str("its signature cannot be read: `stratum secrets verify`\n");
            continue;
        }
        let sealer = value.sealer.as_deref().unwrap_or("nobody in trust/");
        out.push_str(&format!(
            "sealed by {sealer} {} for {}",
            value.sealed_at.as_deref().unwrap_or("at no time"),
            value.recipients.join(", ")
        ));
        if value.classical {
            out.push_str("  [classical]");
        }
        if !(value.ed25519 && value.ml_dsa_65) {
            out.push_str("  [one signature]");
        }
        if value.rewrap {
            out.push_str("  [rewrap]");
        }
        out.push('\n');
        if !value.exposed_to.is_empty() {
            out.push_str(&format!(
                "    change this secret: {} could read it, and history keeps it\n",
                value.exposed_to.join(", ")
            ));
        }
    }
    out.push_str(&format!(
        "{} sealed values, signatures: {}\n",
        status.values.len(),
        status.signatures
    ));
    if status.shallow {
        out.push_str("history is cut here: more may have been readable; ask in a full clone\n");
    }
    if migration {
        let m = &status.migration;
        out.push_str(&format!(
            "signed by both {}, Ed25519 only {}, ML-DSA-65 only {}; classical values {}, classical \
             recipients {}\n",
            m.signed_by_both,
            m.signed_by_ed25519_only,
            m.signed_by_ml_dsa_65_only,
            m.classical_values,
            if m.classical_recipients.is_empty() {
                "none".to_owned()
            } else {
                m.classical_recipients.join(", ")
            }
        ));
        match m.next.is_empty() {
            true => out.push_str("nothing is left: everything is post-quantum\n"),
            false => m
                .next
                .iter()
                .for_each(|next| out.push_str(&format!("next: {next}\n"))),
        }
    }
    out
}
