//! Sealed values on their way: verified against the trust of the base, kept, marked as in force.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::desired::Desired;
use stratum_core::digest::Digest;
use stratum_core::finding::{Finding, codes};
use stratum_core::ids::{Address, CommitId, EnvironmentName};
use stratum_core::ports::{
    Clock, KeptSecret, Loader, Repository, SealCheck, SealReport, SealRequest, SealedSecret,
    SecretKey, SecretStore, Tree, generated_path,
};
use stratum_core::rules::Rules;
use stratum_core::settings::Settings;
use stratum_core::signed::SignedTag;
use stratum_core::source::Source;
use stratum_core::trust::Trust;
use stratum_core::value::{Path, Record, Value};

use crate::audit::AuditLog;
use crate::blocking::Blocking;
use crate::error::RuntimeError;
use crate::guard::{Case, Guard, Heard, Word};
use crate::head::Target;
use crate::look::Verified;
use crate::policy::{Policy, PolicyInput};
use crate::ports::{Ports, Providers};

/// What the sealed values of one environment are verified with.
#[derive(Clone, Copy)]
pub struct Verification<'a> {
    /// The git repository.
    pub repository: &'a dyn Repository,
    /// Reads `trust/`.
    pub loader: &'a dyn Loader,
    /// Verifies.
    pub sealing: &'a dyn SealCheck,
    /// The files.
    pub tree: &'a dyn Tree,
    /// The settings.
    pub settings: &'a Settings,
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The commit that is applied; its trust judges. `None`: nothing is, and the tree judges itself.
    pub base: Option<&'a CommitId>,
    /// The highest version of each value that was ever in force.
    pub highest: &'a BTreeMap<SecretKey, u64>,
    /// Values whose version may go back, because a person signed for it.
    pub may_go_back: &'a dyn Fn(&str, &str, u64) -> bool,
    /// What time it is.
    pub now: Timestamp,
}

/// Verifies the sealed values of one environment. Needs no key; blocking.
///
/// *Guarantees*: who may seal is judged by the trust of the base, so that no commit can vouch for
/// its own sealer. Recipients may also be those that the tree itself names: only a trusted sealer
/// can seal to them.
pub fn verify_sealed(what: Verification<'_>) -> Result<SealReport, RuntimeError> {
    let folder = format!("secrets/{}", what.environment);
    if what.tree.entry(&folder).map_err(tree_error)?.is_none() {
        return Ok(SealReport::default());
    }
    let trust = match trust_of(what)? {
        Ok(trust) => trust,
        Err(findings) => {
            return Ok(SealReport {
                values: Vec::new(),
                findings,
            });
        }
    };
    let base = what.base.map(|base| what.repository.tree(base));
    let base = base.transpose()?;
    let request = SealRequest {
        now: what.now,
        base: base.as_deref(),
        tree: what.tree,
        repository: &what.settings.name,
        environment: what.environment,
        trust: &trust,
        signatures: what.settings.secrets.signatures,
        highest: what.highest,
        may_go_back: what.may_go_back,
    };
    what.sealing.check(&request).map_err(tree_error)
}

fn tree_error(error: stratum_core::ports::TreeError) -> RuntimeError {
    RuntimeError::Load(error.into())
}

/// The trust that judges: the people of the base, and the recipients of base and tree. A base
/// without any trust is a repository that has not begun to use it.
fn trust_of(what: Verification<'_>) -> Result<Result<Trust, Vec<Finding>>, RuntimeError> {
    let loaded = what.loader.trust(what.tree, what.settings)?;
    let Some(own) = loaded.value else {
        return Ok(Err(loaded.findings));
    };
    let Some(base) = what.base else {
        return Ok(Ok(own));
    };
    let tree = what.repository.tree(base)?;
    let settings = what.loader.settings(tree.as_ref())?.value;
    let loaded = match &settings {
        Some(settings) => what.loader.trust(tree.as_ref(), settings)?.value,
        None => None,
    };
    let Some(mut trust) = loaded else {
        let message = format!(
            "the trust of the applied commit {} cannot be read",
            base.short()
        );
        let finding = Finding::error(&codes::TRUST_SHAPE, message)
            .at(Source::start_of("trust"))
            .hint("who may seal is judged by the commit that is applied, and that one is broken");
        return Ok(Err(vec![finding]));
    };
    if trust.is_empty() {
        return Ok(Ok(own));
    }
    trust.recipients.extend(own.recipients);
    Ok(Ok(trust))
}

fn verified(values: Vec<SealedSecret>, desired: &Desired) -> Verified {
    let used = used(desired);
    let versions = values.iter().map(|value| {
        let place = (value.path.clone(), value.key.clone());
        (place, value.version)
    });
    Verified {
        versions: versions.collect(),
        used: values
            .into_iter()
            .filter(|value| used.contains(&value.digest))
            .map(kept)
            .collect(),
    }
}

fn kept(value: SealedSecret) -> KeptSecret {
    KeptSecret {
        path: value.path,
        key: value.key,
        version: value.version,
        digest: value.digest,
        age: value.age,
    }
}

/// The digests of the secrets that resources and the configurations of providers name.
fn used(desired: &Desired) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    for value in values(desired) {
        value.secrets(&mut |secret| found.extend(secret.digest));
    }
    found
}

/// The values of resources and of the configurations of providers.
fn values(desired: &Desired) -> impl Iterator<Item = &Value> {
    let resources = desired.resources.values();
    let records = resources.map(|resource| &resource.attributes);
    records
        .chain(desired.providers.values())
        .flat_map(Record::values)
}

/// Verifies, and then asks policy: who may seal, what may be read, what may go back. Blocking.
/// Answers also the words by which something went back.
pub(crate) fn verify_and_ask(
    guard: &Guard<'_>,
    case: &Case,
    rules: &Arc<Rules>,
    tags: &[SignedTag],
    (desired, providers): (&Desired, &Providers),
    what: Verification<'_>,
) -> Result<(SealReport, Heard<Vec<Word>>), RuntimeError> {
    let older = guard.may_go_back(case, rules, tags)?;
    let heeded = RefCell::new(Vec::new());
    let may_go_back = |path: &str, key: &str, version: u64| {
        let word = older.said.get(&(path.to_owned(), key.to_owned(), version));
        heeded.borrow_mut().extend(word.cloned());
        word.is_some()
    };
    let mut report = verify_sealed(Verification {
        may_go_back: &may_go_back,
        ..what
    })?;
    // Verified first, then policy; whatever is opened later was allowed here.
    let used = used(desired);
    for value in &report.values {
        let path = format!("{}#{}", value.path, value.key);
        let refused = guard.refuses_sealer(case, rules, &value.sealer, &path)?;
        if let Some(why) = refused {
            let message = format!("`{}` may not seal `{path}`: {why}", value.sealer);
            report.findings.push(denied(message, value));
        }
        if used.contains(&value.digest)
            && let Some(why) = guard.refuses_reading(case, rules, &path)?
        {
            report
                .findings
                .push(unread(&path, &why, Some(&value.source)));
        }
    }
    for (path, source) in read_when_made(desired, providers) {
        if let Some(why) = guard.refuses_reading(case, rules, &path)? {
            report.findings.push(unread(&path, &why, source.as_ref()));
        }
    }
    let words = Heard {
        said: heeded.into_inner(),
        void: older.void,
    };
    Ok((report, words))
}

/// The secrets that are made here and that a resource names, with where the first one does.
fn read_when_made(desired: &Desired, providers: &Providers) -> BTreeMap<String, Option<Source>> {
    let mut found = BTreeMap::new();
    let resources = &desired.resources;
    if !resources.values().any(|one| providers.makes_secrets(one)) {
        return found;
    }
    for resource in resources.values() {
        for (name, value) in &resource.attributes {
            value.references(&mut |to| {
                let target = Address {
                    environment: desired.environment.clone(),
                    local: to.resource.clone(),
                };
                let makes = resources
                    .get(&target)
                    .and_then(|one| providers.type_of(one));
                let attribute = to.path.attribute();
                let sealed = makes.is_some_and(|one| {
                    let attribute = one.attributes.get(attribute);
                    attribute.is_some_and(|attribute| attribute.sealed)
                });
                if sealed {
                    let path = format!("{}#{}", generated_path(&to.resource), to.path);
                    let source = resource.source(&Path::of(name)).cloned();
                    found.entry(path).or_insert(source);
                }
            });
        }
    }
    found
}

fn unread(path: &str, why: &str, source: Option<&Source>) -> Finding {
    let message = format!("`{path}` may not be read: {why}");
    Finding {
        source: source.cloned(),
        ..Finding::error(&codes::SEALED_SEALER, message).hint(ASKED)
    }
}

/// Verifies the sealed values of revisions.
pub(crate) struct Verifying {
    vault: Arc<dyn SecretStore>,
    sealing: Arc<dyn SealCheck>,
    providers: Providers,
    clock: Arc<dyn Clock>,
    blocking: Blocking,
    policy: Arc<Policy>,
    log: Arc<AuditLog>,
}

impl Verifying {
    pub(crate) fn new(
        ports: &Ports,
        blocking: Blocking,
        (policy, log): (&Arc<Policy>, &Arc<AuditLog>),
    ) -> Self {
        Self {
            vault: Arc::clone(&ports.vault),
            sealing: Arc::clone(&ports.sealing),
            providers: ports.providers.clone(),
            clock: Arc::clone(&ports.clock),
            blocking,
            policy: Arc::clone(policy),
            log: Arc::clone(log),
        }
    }

    /// Verifies the sealed values of a revision; what is wrong is in the findings.
    pub(crate) async fn verify(
        &self,
        target: &Target,
        input: &PolicyInput,
        tree: Arc<dyn Tree>,
        desired: &Arc<Desired>,
    ) -> Result<(Verified, Vec<Finding>), RuntimeError> {
        let highest = self.vault.highest(&target.environment).await?;
        let (policy, sealing) = (Arc::clone(&self.policy), Arc::clone(&self.sealing));
        let (providers, now) = (self.providers.clone(), self.clock.now());
        let (target, desired) = (target.clone(), Arc::clone(desired));
        let (environment, input) = (target.environment.clone(), input.clone());
        let verifying = self.blocking.run(move || {
            let PolicyInput { case, rules, tags } = &input;
            let what = Verification {
                repository: policy.repository.as_ref(),
                loader: policy.loader.as_ref(),
                sealing: sealing.as_ref(),
                tree: tree.as_ref(),
                settings: &target.settings,
                environment: &target.environment,
                base: Some(&case.base),
                highest: &highest,
                may_go_back: &|_, _, _| false,
                now,
            };
            let about = (desired.as_ref(), &providers);
            let (report, words) = verify_and_ask(&policy.guard(), case, rules, tags, about, what)?;
            let values = verified(report.values, &desired);
            Ok((values, report.findings, words))
        });
        let (verified, findings, words) = verifying.await?;
        self.log
            .void(&environment, "allow-rollback", &words.void)
            .await?;
        for word in &words.said {
            self.log.word_once(&environment, word).await?;
        }
        Ok((verified, findings))
    }
}

/// Where policy says it.
const ASKED: &str = "`policies/` of the applied commit says who may seal and what may be read";

fn denied(message: String, value: &SealedSecret) -> Finding {
    Finding::error(&codes::SEALED_SEALER, message)
        .at(value.source.clone())
        .hint(ASKED)
}

pub(crate) fn names_secrets(desired: &Desired) -> bool {
    values(desired).any(Value::holds_secret)
}
