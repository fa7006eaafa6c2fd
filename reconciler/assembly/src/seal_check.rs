//! Sealed values, verified: what reads them (`load`) and what verifies them (`seal`), put together
//! as the port `SealCheck`.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use stratum_core::digest::Digest;
use stratum_core::finding::Finding;
use stratum_core::finding::codes::{
    Explained, SEALED_CLASSICAL, SEALED_OLD, SEALED_PLACE, SEALED_RECIPIENT, SEALED_SEALER,
    SEALED_SHAPE, SEALED_SIGNATURE,
};
use stratum_core::ids::{EnvironmentName, ObjectId};
use stratum_core::kinds::secret::{SUFFIX, SealedValue};
use stratum_core::ports::{
    SealCheck, SealReport, SealRequest, SealedSecret, Tree, TreeError, TreeKind,
};
use stratum_core::source::Source;
use stratum_core::trust::Trust;
use stratum_runtime::guard::ROLLBACK_TAGS;
use stratum_seal::age::{Recipient, RecipientId};
use stratum_seal::value::VerifyError;
use stratum_seal::{Crypto, Policy};

/// The most files whose verdicts are remembered.
const REMEMBERED: usize = 20_000;

/// Verifies sealed values with the chosen crypto backends.
///
/// *Guarantees*: a file whose bytes, place and trust are as before is not verified again.
pub struct Checker {
    crypto: Crypto,
    seen: Mutex<BTreeMap<Digest, Arc<Verdicts>>>,
}

/// What was found about one file, whatever versions were in force.
#[derive(Debug, Default)]
struct Verdicts {
    values: Vec<SealedSecret>,
    findings: Vec<Finding>,
}

/// What all files of one check have in common.
struct Ground<'a> {
    request: &'a SealRequest<'a>,
    policy: Policy,
    recipients: BTreeSet<RecipientId>,
    /// Everything a verdict depends on, but for the file.
    digest: Digest,
}

impl Checker {
    /// Verifies with these backends; nothing is remembered yet.
    pub fn new(crypto: Crypto) -> Self {
        Self {
            crypto,
            seen: Mutex::default(),
        }
    }

    fn ground<'a>(&self, request: &'a SealRequest<'a>) -> Ground<'a> {
        let policy = Policy::parse(request.signatures.as_str()).unwrap_or_default();
        let environment = request.environment;
        let keys = request.trust.recipients.values();
        let keys = keys.filter(|one| one.environments.contains(environment));
        let recipients =
            keys.filter_map(|one| Recipient::from_str(&one.key).ok()?.id(&self.crypto).ok());
        let trust: &Trust = request.trust;
        let about = (request.repository, environment, policy.name(), trust);
        Ground {
            request,
            policy,
            recipients: recipients.collect(),
            digest: Digest::of_json(&about),
        }
    }

    fn file(&self, ground: &Ground<'_>, file: &str, path: &str, text: &str) -> Verdicts {
        let mut verdicts = Verdicts::default();
        let document = match stratum_load::read_sealed(file, text) {
            Ok(document) => document,
            Err(findings) => {
                verdicts.findings = findings;
                return verdicts;
            }
        };
        let mut weak = Vec::new();
        for (key, value) in &document.file.values {
            let source = document.sources.get(key).cloned();
            let source = source.unwrap_or_else(|| Source::start_of(file));
            match self.value(ground, path, key, value, source) {
                Ok((sealed, is_classical)) => {
                    if is_classical {
                        weak.push((key.as_str(), sealed.source.clone()));
                    }
                    verdicts.values.push(sealed);
                }
                Err(finding) => verdicts.findings.push(finding),
            }
        }
        verdicts.findings.extend(classical(&weak));
        verdicts
    }

    fn value(
        &self,
        ground: &Ground<'_>,
        path: &str,
        key: &str,
        value: &SealedValue,
        source: Source,
    ) -> Result<(SealedSecret, bool), Finding> {
        let request = ground.request;
        let place = stratum_seal::Place {
            repo: request.repository,
            environment: request.environment.as_str(),
            path,
            key,
            version: value.v,
        };
        let verified =
            stratum_seal::verify(&self.crypto, request.trust, ground.policy, &place, value)
                .map_err(|error| refused(key, &error).at(source.clone()))?;
        let stranger = verified.statement.recipients.iter();
        let stranger = stranger.copied().find(|id| !ground.recipients.contains(id));
        if let Some(id) = stranger {
            let message = format!(
                "`{key}` can be read by `{id}`, which is no recipient of `{}` in `trust/recipients/`",
                request.environment
            );
            return Err(Finding::error(&SEALED_RECIPIENT, message).at(source).hint(
                "`stratum secrets rewrap`; change the secret if a stranger may have read it",
            ));
        }
        let classical = verified.classical;
        let sealed = SealedSecret {
            path: path.to_owned(),
            key: key.to_owned(),
            version: value.v,
            digest: Digest::of_bytes(verified.age()),
            age: verified.age().to_vec(),
            sealer: verified.sealer,
            source,
        };
        Ok((sealed, classical))
    }
}

/// The most keys that one finding names.
const NAMED: usize = 8;

/// The finding of the values of one file that are sealed to a classical key, if there are any.
fn classical(values: &[(&str, Source)]) -> Option<Finding> {
    let (_, first) = values.first()?;
    let names = values.iter().take(NAMED).map(|(key, _)| format!("`{key}`"));
    let names = names.collect::<Vec<_>>().join(", ");
    let more = match values.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let verb = if values.len() == 1 { "is" } else { "are" };
    let message =
        format!("{names}{more} {verb} sealed to a key that is not safe against quantum computers");
    let finding = Finding::warning(&SEALED_CLASSICAL, message).at(first.clone());
    Some(finding.hint("`stratum secrets status --migration` says what comes next"))
}

/// The finding of a value that is not trusted.
fn refused(key: &str, error: &VerifyError) -> Finding {
    let (code, hint): (&Explained, &str) = match error {
        VerifyError::Place | VerifyError::NoPlace => (
            &SEALED_PLACE,
            "put it back where it was sealed for, or seal it again for this place",
        ),
        VerifyError::Signature(_) | VerifyError::Mismatch { .. } | VerifyError::Policy { .. } => (
            &SEALED_SIGNATURE,
            "seal it again with `stratum secrets seal`; `git log` says who changed it",
        ),
        VerifyError::UnknownSealer(_) | VerifyError::Expired { .. } | VerifyError::Key { .. } => (
            &SEALED_SEALER,
            "who may seal is judged by the applied commit: push the change of `trust/people/` by \
             itself first",
        ),
        VerifyError::UnknownRecipient(_) | VerifyError::Recipients { .. } => (
            &SEALED_RECIPIENT,
            "seal it again with `stratum secrets seal`",
        ),
        VerifyError::Base64 | VerifyError::Age(_) => (
            &SEALED_SHAPE,
            "it was cut or changed: seal it again with `stratum secrets seal`",
        ),
        VerifyError::Crypto(_) => (&SEALED_SIGNATURE, "`stratum doctor` tries each algorithm"),
    };
    Finding::error(code, format!("`{key}`: {error}")).hint(hint)
}

/// The finding of a value that is older than one that was in force.
fn old(environment: &EnvironmentName, value: &SealedSecret, highest: u64) -> Finding {
    let message = format!(
        "`{}` is version {}, and version {highest} was in force: a `git revert` or a replay brought \
         an older secret back",
        value.key, value.version
    );
    Finding::error(&SEALED_OLD, message)
        .at(value.source.clone())
        .hint(format!(
            "if the old secret is wanted, seal it again: `stratum secrets open` prints it, \
             `stratum secrets seal` makes it the newest version; or someone signs that it may come \
             back: `git tag -s {ROLLBACK_TAGS}{environment}/{}#{}@v{}`, and pushes the tag",
            value.path, value.key, value.version
        ))
}

impl SealCheck for Checker {
    fn check(&self, request: &SealRequest<'_>) -> Result<SealReport, TreeError> {
        let ground = self.ground(request);
        let folder = format!("secrets/{}", request.environment);
        let mut report = SealReport::default();
        for (file, id) in files(request.tree, &folder)? {
            let Some(path) = file
                .strip_prefix(&format!("{folder}/"))
                .and_then(|path| path.strip_suffix(SUFFIX))
            else {
                continue;
            };
            let name = Digest::of_json(&(ground.digest, &file, id.as_str()));
            let known = self.lock().get(&name).cloned();
            let verdicts = match known {
                Some(verdicts) => verdicts,
                None => {
                    let bytes = request.tree.blob(&id, &file)?;
                    // What is too large or not text is the loader's to name.
                    if bytes.len() > stratum_load::LARGEST_FILE {
                        continue;
                    }
                    let Ok(text) = String::from_utf8(bytes) else {
                        continue;
                    };
                    let verdicts = Arc::new(self.file(&ground, &file, path, &text));
                    let mut seen = self.lock();
                    if seen.len() >= REMEMBERED {
                        seen.clear();
                    }
                    seen.insert(name, Arc::clone(&verdicts));
                    verdicts
                }
            };
            report.findings.extend(verdicts.findings.iter().cloned());
            let mut settled = None;
            for value in &verdicts.values {
                if let Some(expired) = expired(request, value) {
                    let settled = settled.get_or_insert_with(|| settled_keys(request, &file, &id));
                    if !settled.contains(&value.key) {
                        report.findings.push(too_late(value, expired));
                        continue;
                    }
                }
                let highest = request
                    .highest
                    .get(&(value.path.clone(), value.key.clone()));
                let allowed = (request.may_go_back)(&value.path, &value.key, value.version);
                match highest.filter(|highest| value.version < **highest && !allowed) {
                    Some(highest) => {
                        report
                            .findings
                            .push(old(request.environment, value, *highest))
                    }
                    None => report.values.push(value.clone()),
                }
            }
        }
        Ok(report)
    }
}

/// When the keys of a value's sealer expired, if they have.
fn expired(request: &SealRequest<'_>, value: &SealedSecret) -> Option<Timestamp> {
    let person = request.trust.people.get(&value.sealer)?;
    person.expires.filter(|expires| *expires <= request.now)
}

/// The keys of a file whose values stand in the base too, byte for byte.
fn settled_keys(request: &SealRequest<'_>, file: &str, id: &ObjectId) -> BTreeSet<String> {
    let values = |tree: &dyn Tree, id: &ObjectId| {
        let text = String::from_utf8(tree.blob(id, file).ok()?).ok()?;
        let document = stratum_load::read_sealed(file, &text).ok()?;
        Some(document.file.values)
    };
    let now = values(request.tree, id).unwrap_or_default();
    let Some(base) = request.base else {
        return now.into_keys().collect();
    };
    let there = base.entry(file).ok().flatten();
    let before = there.and_then(|entry| values(base, &entry.id));
    let before = before.unwrap_or_default();
    let same = now
        .into_iter()
        .filter(|(key, value)| before.get(key) == Some(value));
    same.map(|(key, _)| key).collect()
}

/// The finding of a value that came after the keys of its sealer expired, whatever time it names.
fn too_late(value: &SealedSecret, expired: Timestamp) -> Finding {
    let message = format!(
        "`{}` is signed by `{}`, whose keys expired {expired}, and the applied commit has it not: \
         from then on nothing new of theirs counts, whatever its date",
        value.key, value.sealer
    );
    Finding::error(&SEALED_SEALER, message)
        .at(value.source.clone())
        .hint("somebody whose keys are good seals it again: `stratum secrets seal`")
}

/// For an environment without sealed values.
pub struct NothingSealed;

impl SealCheck for NothingSealed {
    fn check(&self, _: &SealRequest<'_>) -> Result<SealReport, TreeError> {
        Ok(SealReport::default())
    }
}

impl Checker {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Arc<Verdicts>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files below a folder, with their blobs.
pub fn files(
    tree: &dyn Tree,
    folder: &str,
) -> Result<Vec<(String, stratum_core::ids::ObjectId)>, TreeError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in tree.list(&folder)? {
            let path = format!("{folder}/{}", entry.name);
            match entry.kind {
                TreeKind::Folder => folders.push(path),
                TreeKind::File | TreeKind::Executable => found.push((path, entry.id)),
                TreeKind::Symlink | TreeKind::Submodule => {}
            }
        }
    }
    found.sort();
    Ok(found)
}
