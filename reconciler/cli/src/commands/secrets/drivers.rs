//! The drivers that git calls for sealed files: `diff=stratum`, `merge=stratum`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use clap::Args;
use stratum_assembly::{crypto, sealed_file};
use stratum_core::digest::Digest;
use stratum_core::kinds::secret::{SealedFile, SealedValue};
use stratum_seal::age::{Recipient, RecipientId};
use stratum_seal::signature::Signatures;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::work_tree::WorkTree;

/// Writes a sealed file as git should compare it: versions, sealers, recipients, digests; no key
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The file
    file: PathBuf,
}

/// Merges sealed files value by value, as git's `%O %A %B %P`
#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// The file that both come from
    base: PathBuf,
    /// Ours; the result is written here
    ours: PathBuf,
    /// Theirs
    theirs: PathBuf,
    /// Its path in the repository
    path: Option<String>,
}

/// Carries out the command.
pub(crate) fn diff(context: &Context, arguments: &DiffArguments) -> Result<Exit, CommandError> {
    let text = read(&arguments.file)?;
    // What is not a sealed file is shown as it is: git asks for a text, whatever it is.
    let Ok(document) = stratum_load::read_sealed("file", &text) else {
        context.ui.answer(&text);
        return Ok(Exit::Done);
    };
    let names = names(context);
    let file = document.file;
    let mut out = format!("{}/{}\n", file.context.environment, file.context.path);
    for (key, value) in &file.values {
        out.push_str(&line(key, value, &names));
    }
    context.ui.answer(&out);
    Ok(Exit::Done)
}

/// Names of sealers by key id, and of recipients by id; none where `trust/` cannot be read.
#[derive(Default)]
struct Names {
    sealers: BTreeMap<String, String>,
    recipients: BTreeMap<RecipientId, String>,
}

fn names(context: &Context) -> Names {
    let (Ok(work_tree), Ok(crypto)) = (WorkTree::open(context), crypto()) else {
        return Names::default();
    };
    let mut names = Names::default();
    for (name, person) in &work_tree.trust.people {
        for key in &person.sealer {
            names.sealers.insert(key.id.clone(), name.clone());
        }
    }
    for (name, recipient) in &work_tree.trust.recipients {
        if let Some(id) = Recipient::from_str(&recipient.key)
            .ok()
            .and_then(|key| key.id(&crypto).ok())
        {
            names.recipients.insert(id, name.clone());
        }
    }
    names
}

/// One value as people compare it.
fn line(key: &str, value: &SealedValue, names: &Names) -> String {
    let digest = Digest::of_bytes(value.age.as_bytes()).short();
    let Ok(signatures) = Signatures::decode(&value.sig) else {
        return format!(
            "{key} v{} with a signature that cannot be read, {digest}\n",
            value.v
        );
    };
    let statement = signatures.statement;
    let sealer = names.sealers.get(&statement.key).unwrap_or(&statement.key);
    let recipients: Vec<String> = statement
        .recipients
        .iter()
        .map(|id| {
            names
                .recipients
                .get(id)
                .cloned()
                .unwrap_or_else(|| id.to_string())
        })
        .collect();
    format!(
        "{key} v{}, sealed by {sealer} {}, for {}, {digest}\n",
        value.v,
        statement.time,
        recipients.join(", ")
    )
}

/// Carries out the command: 0 when merged, 1 when a person must choose.
pub(crate) fn merge(context: &Context, arguments: &MergeArguments) -> Result<Exit, CommandError> {
    let shown = arguments
        .path
        .clone()
        .unwrap_or_else(|| arguments.ours.display().to_string());
    let nothing = SealedFile {
        stratum: stratum_core::kinds::secret::FORMAT.to_owned(),
        context: stratum_core::kinds::secret::Context {
            repo: String::new(),
            environment: String::new(),
            path: String::new(),
        },
        values: BTreeMap::new(),
    };
    let base = sealed(&arguments.base)?.unwrap_or(nothing);
    let whole = |file: Option<SealedFile>| {
        file.ok_or_else(|| {
            CommandError::given(format!("`{shown}` is not a sealed file on both sides"))
        })
    };
    let (ours, theirs) = (
        whole(sealed(&arguments.ours)?)?,
        whole(sealed(&arguments.theirs)?)?,
    );
    let (merged, conflicts) = merged(&base, &ours, &theirs);
    fs::write(&arguments.ours, sealed_file::whole(&merged)).map_err(|error| {
        CommandError::machine("the merged file could not be written").because(&error)
    })?;
    if conflicts.is_empty() {
        return Ok(Exit::Done);
    }
    for (key, conflict) in &conflicts {
        context.ui.complain(&conflict.said(key, &shown));
    }
    Ok(Exit::Wrong)
}

/// Why a person must choose, by key.
type Conflicts = BTreeMap<String, Conflict>;

/// Why a person must choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conflict {
    /// Both sides changed it; ours stands.
    Both,
    /// It would go back to an older version; the one that both come from stands.
    Older,
}

impl Conflict {
    fn said(self, key: &str, file: &str) -> String {
        match self {
            Self::Both => format!(
                "`{key}` of `{file}` was sealed on both sides: ours stands there; seal the right one \
                 again"
            ),
            Self::Older => format!(
                "`{key}` of `{file}` would go back to an older version: the newer stands there; if \
                 the older secret is wanted, seal it again"
            ),
        }
    }
}

/// Each value from the side that changed it; the keys of which a person must choose.
fn merged(base: &SealedFile, ours: &SealedFile, theirs: &SealedFile) -> (SealedFile, Conflicts) {
    let mut conflicts = Conflicts::new();
    let mut values = BTreeMap::new();
    let keys = ours.values.keys().chain(theirs.values.keys());
    let keys: std::collections::BTreeSet<&String> = keys.chain(base.values.keys()).collect();
    for key in keys {
        let (old, own, other) = (
            base.values.get(key),
            ours.values.get(key),
            theirs.values.get(key),
        );
        let kept = if own == other || other == old {
            own
        } else if own == old {
            other
        } else {
            conflicts.insert(key.clone(), Conflict::Both);
            own.or(other)
        };
        // A value that goes on has a higher version. One that does not was taken from history, which
        // no merge may do in silence: what is kept is the newer, and a person chooses.
        if let (Some(old), Some(new)) = (old, kept)
            && old != new
            && new.v <= old.v
        {
            conflicts.insert(key.clone(), Conflict::Older);
            values.insert(key.clone(), old.clone());
            continue;
        }
        values.extend(kept.map(|kept| (key.clone(), kept.clone())));
    }
    let merged = SealedFile {
        values,
        ..ours.clone()
    };
    (merged, conflicts)
}

fn sealed(path: &Path) -> Result<Option<SealedFile>, CommandError> {
    let text = read(path)?;
    Ok(stratum_load::read_sealed("file", &text)
        .ok()
        .map(|document| document.file))
}

fn read(path: &Path) -> Result<String, CommandError> {
    fs::read_to_string(path).map_err(|error| {
        CommandError::given(format!("`{}` cannot be read", path.display())).because(&error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(values: &[(&str, u64)]) -> SealedFile {
        let value = |version: u64| SealedValue {
            v: version,
            age: format!("YWdl{version}AAA"),
            sig: "c2ln".to_owned(),
        };
        SealedFile {
            stratum: stratum_core::kinds::secret::FORMAT.to_owned(),
            context: sealed_file::context("shop", &"production/db".parse().unwrap()),
            values: values
                .iter()
                .map(|(key, v)| ((*key).to_owned(), value(*v)))
                .collect(),
        }
    }

    #[test]
    fn values_merge_one_by_one() {
        let base = file(&[("a", 1), ("b", 1), ("gone", 1)]);
        let ours = file(&[("a", 2), ("b", 1), ("new", 1), ("gone", 1)]);
        let theirs = file(&[("a", 1), ("b", 2), ("other", 1)]);
        let (merged_file, conflicts) = merged(&base, &ours, &theirs);
        assert!(conflicts.is_empty());
        assert_eq!(
            merged_file,
            file(&[("a", 2), ("b", 2), ("new", 1), ("other", 1)])
        );
        let theirs = file(&[("a", 3), ("b", 1), ("gone", 1)]);
        let (merged_file, conflicts) = merged(&base, &ours, &theirs);
        assert_eq!(conflicts, [("a".to_owned(), Conflict::Both)].into());
        assert_eq!(merged_file.values["a"].v, 2);
    }

    #[test]
    fn a_merge_brings_no_older_version_back_in_silence() {
        let older = || Conflicts::from([("a".to_owned(), Conflict::Older)]);
        let at = |version| file(&[("a", version), ("b", 1)]);
        let mut forged = at(2);
        forged.values.get_mut("a").unwrap().age = "b3RoZXI=".to_owned();
        for (ours, theirs) in [
            // Theirs went back, ours did, both did, and theirs is another text of the same version.
            (at(2), at(1)),
            (at(1), at(2)),
            (at(1), at(1)),
            (at(2), forged),
        ] {
            let (merged_file, conflicts) = merged(&at(2), &ours, &theirs);
            assert_eq!(conflicts, older(), "{ours:?} {theirs:?}");
            assert_eq!(merged_file.values["a"], at(2).values["a"]);
        }
        let (merged_file, conflicts) = merged(&at(2), &at(1), &at(3));
        assert_eq!((merged_file.values["a"].v, conflicts.len()), (2, 1));
        // Taken out, put in and gone on are no steps back.
        for theirs in [file(&[("b", 1)]), at(3)] {
            assert!(merged(&at(2), &at(2), &theirs).1.is_empty());
        }
        assert!(merged(&file(&[]), &file(&[]), &at(1)).1.is_empty());
    }
}
