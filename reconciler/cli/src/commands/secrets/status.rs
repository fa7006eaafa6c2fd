//! `stratum secrets status`

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use clap::Args;
use serde::Serialize;
use stratum_core::kinds::secret::SealedValue;
use stratum_seal::Crypto;
use stratum_seal::age::{Recipient, RecipientId, RecipientKind};
use stratum_seal::signature::Signatures;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::git;
use crate::work_tree::{SealedPlace, WorkTree, crypto, parsed};

/// Lists sealed values: who sealed them, who can read them, and what must be changed
///
/// A value that a retired recipient could ever have read is named, because history keeps the old
/// text: such a secret must be changed, not only rewrapped.
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
    sealed_at: String,
    recipients: Vec<String>,
    ed25519: bool,
    ml_dsa_65: bool,
    classical: bool,
    /// Recipients of the environment that cannot read it yet, and readers that should not.
    rewrap: bool,
    /// Retired recipients that could read this version or an older one of the same secret.
    exposed_to: Vec<String>,
}

#[derive(Debug, Serialize)]
struct StatusView {
    version: u32,
    signatures: &'static str,
    values: Vec<ValueView>,
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

/// Names of recipients by id.
struct Book {
    names: BTreeMap<RecipientId, String>,
    retired: BTreeSet<RecipientId>,
}

impl Book {
    fn of(work_tree: &WorkTree, crypto: &Crypto) -> Result<Self, CommandError> {
        let mut book = Self {
            names: BTreeMap::new(),
            retired: BTreeSet::new(),
        };
        for (name, recipient) in &work_tree.trust.recipients {
            // A key that is none is for `check` to say.
            let Ok(key) = Recipient::from_str(&recipient.key) else {
                continue;
            };
            let id = key
                .id(crypto)
                .map_err(|error| super::keygen::failed(&error))?;
            if recipient.retired.is_some() {
                book.retired.insert(id);
            }
            book.names.insert(id, name.clone());
        }
        Ok(book)
    }

    fn name(&self, id: &RecipientId) -> String {
        self.names
            .get(id)
            .cloned()
            .unwrap_or_else(|| id.to_string())
    }
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &StatusArguments) -> Result<Exit, CommandError> {
    let work_tree = WorkTree::open(context)?;
    let crypto = crypto()?;
    let book = Book::of(&work_tree, &crypto)?;
    let mut values = Vec::new();
    for place in work_tree.places()? {
        let Some(document) = work_tree.sealed(&place.file())? else {
            continue;
        };
        let exposed = match book.retired.is_empty() {
            true => BTreeMap::new(),
            false => exposed(&work_tree, &place, &book)?,
        };
        let wanted = wanted(&work_tree, &crypto, &place)?;
        for (key, value) in &document.file.values {
            values.extend(view(
                &work_tree, &book, &place, key, value, &wanted, &exposed,
            ));
        }
    }
    let migration = migration(&work_tree, &values);
    let status = StatusView {
        version: 1,
        signatures: work_tree.settings.secrets.signatures.as_str(),
        values,
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

fn view(
    work_tree: &WorkTree,
    book: &Book,
    place: &SealedPlace,
    key: &str,
    value: &SealedValue,
    wanted: &BTreeSet<RecipientId>,
    exposed: &BTreeMap<String, BTreeMap<RecipientId, u64>>,
) -> Option<ValueView> {
    let signatures = Signatures::decode(&value.sig).ok()?;
    let statement = &signatures.statement;
    let readers: BTreeSet<RecipientId> = statement.recipients.iter().copied().collect();
    let old = exposed.get(key).into_iter().flatten();
    let exposed_to = old
        .filter(|(_, version)| **version >= value.v)
        .map(|(id, _)| book.name(id))
        .collect();
    Some(ValueView {
        environment: place.environment.to_string(),
        path: place.path.clone(),
        key: key.to_owned(),
        v: value.v,
        sealer: work_tree
            .trust
            .sealer(&statement.key)
            .map(|(name, _)| name.to_owned()),
        sealed_at: statement.time.to_string(),
        recipients: readers.iter().map(|id| book.name(id)).collect(),
        ed25519: signatures.ed25519.is_some(),
        ml_dsa_65: signatures.ml_dsa_65.is_some(),
        classical: readers.iter().any(|id| id.kind == RecipientKind::Classical),
        rewrap: readers != *wanted,
        exposed_to,
    })
}

/// For each key the highest version that each retired recipient could read, from all of history.
fn exposed(
    work_tree: &WorkTree,
    place: &SealedPlace,
    book: &Book,
) -> Result<BTreeMap<String, BTreeMap<RecipientId, u64>>, CommandError> {
    let file = place.file();
    let mut found: BTreeMap<String, BTreeMap<RecipientId, u64>> = BTreeMap::new();
    let mut texts: Vec<String> = work_tree.read(&file)?.into_iter().collect();
    let listed = git::text(
        &work_tree.top,
        &["log", "--all", "--full-history", "--format=%H", "--", &file],
    )
    .unwrap_or_default();
    let mut seen = BTreeSet::new();
    for commit in listed.lines() {
        let name = format!("{commit}:{file}");
        let Ok(id) = git::text(&work_tree.top, &["rev-parse", "--verify", "--quiet", &name]) else {
            continue; // The commit removed it.
        };
        if seen.insert(id.clone()) {
            texts.push(git::text(&work_tree.top, &["cat-file", "blob", &id])?);
        }
    }
    for text in texts {
        // What no longer parses cannot be read by anybody's tool either; `check` looks at the tip.
        let Ok(document) = parsed(&file, &text) else {
            continue;
        };
        for (key, value) in document.file.values {
            let Ok(signatures) = Signatures::decode(&value.sig) else {
                continue;
            };
            for id in signatures.statement.recipients {
                if book.retired.contains(&id) {
                    let highest = found.entry(key.clone()).or_default().entry(id).or_default();
                    *highest = (*highest).max(value.v);
                }
            }
        }
    }
    Ok(found)
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
            "give {names} a post-quantum key: `stratum secrets keygen identity`"
        ));
    }
    if found.classical_values > 0 {
        found
            .next
            .push("`stratum secrets rewrap` seals values again to post-quantum keys".to_owned());
    }
    if found.signed_by_ed25519_only > 0 {
        found
            .next
            .push("`stratum secrets rewrap --all` signs with both algorithms".to_owned());
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
        let sealer = value.sealer.as_deref().unwrap_or("nobody in trust/");
        out.push_str(&format!(
            "{}/{}#{} v{}  sealed by {sealer} {} for {}",
            value.environment,
            value.path,
            value.key,
            value.v,
            value.sealed_at,
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
