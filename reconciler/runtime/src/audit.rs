//! What the loop writes into the audit log. The events of an apply are not here: the store writes
//! them with the journal.

use std::collections::BTreeSet;
use std::sync::Arc;

use stratum_core::approve::Refusal;
use stratum_core::audit::{
    AuditEntry, Named, Part, Principal, Role, What, verdict, whole, without_people,
};
use stratum_core::desired::Revision;
use stratum_core::digest::Digest;
use stratum_core::ids::{CommitId, EnvironmentName, ObjectId};
use stratum_core::plan::Plan;
use stratum_core::ports::{Audit, Clock, EnvironmentRow, Repository, Tree};
use stratum_core::rules::Pin;
use stratum_core::run::Trigger;
use stratum_core::signed::{Refused, Signer};
use stratum_core::trust::Trust;
use stratum_core::verdict::Verdict;

use crate::blocking::Blocking;
use crate::error::RuntimeError;
use crate::guard::Word;
use crate::look::Look;
use crate::ports::Ports;
use crate::words::Words;

/// Writes into the audit log.
pub(crate) struct AuditLog {
    audit: Arc<dyn Audit>,
    repository: Arc<dyn Repository>,
    clock: Arc<dyn Clock>,
    blocking: Blocking,
    words: Arc<Words>,
}

impl AuditLog {
    pub(crate) fn new(ports: &Ports, blocking: Blocking, words: &Arc<Words>) -> Self {
        Self {
            audit: Arc::clone(&ports.audit),
            repository: Arc::clone(&ports.repository),
            clock: Arc::clone(&ports.clock),
            blocking,
            words: Arc::clone(words),
        }
    }

    /// Writes entries; what they are about may happen when this returned without an error.
    pub(crate) async fn write(&self, entries: Vec<AuditEntry>) -> Result<(), RuntimeError> {
        if entries.is_empty() {
            return Ok(());
        }
        Ok(self.audit.log(&entries).await?)
    }

    /// What policy said about a plan, and the approvals that it took into account. Of a correction
    /// of drift without steps there is nothing to say.
    pub(crate) fn verdict_entries(
        &self,
        look: &Look,
        plan: &Plan,
        judged: &Verdict,
    ) -> Vec<AuditEntry> {
        let mut whats = verdict(plan, judged);
        if look.trigger == Trigger::Push {
            whats.push(whole(plan, judged));
        }
        let mut entries: Vec<_> = whats
            .into_iter()
            .map(|what| self.entry_of(look, judged, what))
            .collect();
        entries.extend(self.approval_entries(plan, judged));
        let about = (&plan.environment, Some(plan.digest));
        entries.extend(self.void_entries(about, "approve", &judged.void));
        entries
    }

    fn approval_entries(&self, plan: &Plan, judged: &Verdict) -> Vec<AuditEntry> {
        let used = judged.approvals.iter().filter_map(|approval| {
            let what = What::ApprovalUsed {
                tag: approval.tag.clone(),
                object: approval.object.clone()?,
                plan: Some(plan.digest),
            };
            let people = vec![named(Role::Approver, &approval.by)];
            let principal = Principal::Author { key: None };
            Some(self.entry(&plan.environment, principal, people, what))
        });
        used.collect()
    }

    /// Writes that the environment may come to a commit that changes nothing in it.
    pub(crate) async fn admitted(&self, plan: &Plan, judged: &Verdict) -> Result<(), RuntimeError> {
        let author = judged.authors.first().map(|one| one.author.as_str());
        let (principal, people) = behind(author, judged);
        let verdict = whole(plan, judged);
        let mut entries = vec![self.entry(&plan.environment, principal, people, verdict)];
        entries.extend(self.approval_entries(plan, judged));
        self.write(entries).await
    }

    /// That a plan is not applied, and why.
    pub(crate) fn refusal_entry(
        &self,
        look: &Look,
        plan: &Plan,
        judged: &Verdict,
        refusal: &Refusal,
    ) -> AuditEntry {
        let what = What::Refused {
            action: "apply".to_owned(),
            plan: Some(plan.digest),
            revision: Some(plan.revision.clone()),
            reason: without_people(&refusal.to_string(), judged),
        };
        self.entry_of(look, judged, what)
    }

    /// Writes that a commit is not applied, and why, where nothing could be planned or judged.
    pub(crate) async fn unjudged(
        &self,
        environment: &EnvironmentName,
        revision: &Revision,
        reason: &str,
    ) -> Result<(), RuntimeError> {
        let what = What::Refused {
            action: "apply".to_owned(),
            plan: None,
            revision: Some(revision.commit.clone()),
            reason: without_people(reason, &Verdict::default()),
        };
        let people = vec![named(Role::Author, &revision.author)];
        let principal = Principal::Author { key: None };
        let entry = self.entry(environment, principal, people, what);
        self.write(vec![entry]).await
    }

    /// Writes that a word of a person is heeded; it is when this returned without an error.
    pub(crate) async fn word(
        &self,
        environment: &EnvironmentName,
        word: &Word,
    ) -> Result<(), RuntimeError> {
        let key = match &word.signer {
            Signer::Person { key, .. } => Some(key.clone()),
            Signer::Nobody { .. } => None,
        };
        let what = What::ApprovalUsed {
            tag: word.tag.clone(),
            object: word.object.clone(),
            plan: None,
        };
        let people = vec![named(Role::Signer, &word.by)];
        let principal = Principal::Author { key };
        let entry = self.entry(environment, principal, people, what);
        self.write(vec![entry]).await
    }

    /// The same, of a word that is heeded at every look: once.
    pub(crate) async fn word_once(
        &self,
        environment: &EnvironmentName,
        word: &Word,
    ) -> Result<(), RuntimeError> {
        match self.words.was_told(environment, word.object.to_string()) {
            true => Ok(()),
            false => self.word(environment, word).await,
        }
    }

    /// Writes, once, which tags do not count, and why.
    pub(crate) async fn void(
        &self,
        environment: &EnvironmentName,
        action: &str,
        void: &[Refused],
    ) -> Result<(), RuntimeError> {
        let entries = self.void_entries((environment, None), action, void);
        self.write(entries).await
    }

    fn void_entries(
        &self,
        (environment, plan): (&EnvironmentName, Option<Digest>),
        action: &str,
        void: &[Refused],
    ) -> Vec<AuditEntry> {
        let news = void.iter().map(ToString::to_string);
        let news = news.filter(|reason| !self.words.was_told(environment, reason.clone()));
        let entries = news.map(|reason| {
            let what = What::Refused {
                action: action.to_owned(),
                plan,
                revision: None,
                reason: without_people(&reason, &Verdict::default()),
            };
            let principal = Principal::Author { key: None };
            self.entry(environment, principal, Vec::new(), what)
        });
        entries.collect()
    }

    /// Writes that the trust of a commit is taken as it is, because nothing older could vouch for it.
    pub(crate) async fn pin(
        &self,
        environment: &EnvironmentName,
        pin: &Pin,
        trust: &Trust,
    ) -> Result<(), RuntimeError> {
        let what = What::TrustPinned {
            revision: pin.commit.clone(),
            trust: Digest::of_json(trust),
        };
        let entry = self.entry(environment, Principal::Reconciler, Vec::new(), what);
        self.write(vec![entry]).await
    }

    /// Writes that the repository's own policies are left out, as the operator wants it.
    pub(crate) async fn without_policies(
        &self,
        environment: &EnvironmentName,
        base: &CommitId,
    ) -> Result<(), RuntimeError> {
        let what = What::Refused {
            action: "policies".to_owned(),
            plan: None,
            revision: Some(base.clone()),
            reason: "left out by `--without-policies`: the policies that ship decide alone"
                .to_owned(),
        };
        let entry = self.entry(environment, Principal::Reconciler, Vec::new(), what);
        self.write(vec![entry]).await
    }

    fn entry_of(&self, look: &Look, judged: &Verdict, what: What) -> AuditEntry {
        let (principal, people) = match look.trigger {
            Trigger::Push => behind(Some(&look.revision.author), judged),
            Trigger::Drift => (Principal::Reconciler, Vec::new()),
        };
        self.entry(&look.target.environment, principal, people, what)
    }

    fn entry(
        &self,
        environment: &EnvironmentName,
        principal: Principal,
        people: Vec<Named>,
        what: What,
    ) -> AuditEntry {
        AuditEntry {
            at: self.clock.now(),
            environment: Some(environment.clone()),
            run: None,
            principal,
            what,
            people,
        }
    }

    /// Writes which parts of the repository that decide what may happen are others than in the
    /// commit this environment was last looked at for.
    pub(crate) async fn configuration(
        &self,
        commit: &CommitId,
        row: &EnvironmentRow,
        tree: &Arc<dyn Tree>,
    ) -> Result<(), RuntimeError> {
        if row.desired_revision.as_ref() == Some(commit) {
            return Ok(());
        }
        let (repository, tree) = (Arc::clone(&self.repository), Arc::clone(tree));
        let (before, commit) = (row.desired_revision.clone(), commit.clone());
        let changes = move || changes(repository.as_ref(), before.as_ref(), &commit, tree.as_ref());
        let (revision, changes) = match self.blocking.run(changes).await? {
            Some(found) => found,
            None => return Ok(()),
        };
        let entries = changes.into_iter();
        let entries = entries.map(|what| self.change_entry(&row.name, &revision, what));
        self.write(entries.collect()).await
    }

    fn change_entry(
        &self,
        environment: &EnvironmentName,
        revision: &Revision,
        what: What,
    ) -> AuditEntry {
        let people = vec![named(Role::Author, &revision.author)];
        self.entry(environment, Principal::Author { key: None }, people, what)
    }
}

/// The parts that changed, with the revision that brought them; `None` when none did.
fn changes(
    repository: &dyn Repository,
    before: Option<&CommitId>,
    commit: &CommitId,
    tree: &dyn Tree,
) -> Result<Option<(Revision, Vec<What>)>, RuntimeError> {
    // A commit that was dropped from the repository left nothing to compare with: all is new.
    let old = before.and_then(|before| repository.tree(before).ok());
    let mut changes = Vec::new();
    for part in Part::ALL {
        let after = object(tree, part)?;
        let before = match &old {
            Some(old) => object(old.as_ref(), part)?,
            None => None,
        };
        if before != after {
            changes.push(What::ConfigurationChanged {
                part,
                revision: commit.clone(),
                before,
                after,
            });
        }
    }
    if changes.is_empty() {
        return Ok(None);
    }
    Ok(Some((repository.revision(commit)?, changes)))
}

/// Who is behind a commit that was judged: the key that is proven to have signed it, its author as
/// git says, and everybody who signed or approved a part.
fn behind(author: Option<&str>, judged: &Verdict) -> (Principal, Vec<Named>) {
    let key = judged.authors.first().and_then(|tip| match &tip.signer {
        Signer::Person { key, .. } => Some(key.clone()),
        Signer::Nobody { .. } => None,
    });
    let signers = judged.authors.iter().filter_map(|one| one.signer.name());
    let signers: BTreeSet<&str> = signers.collect();
    let mut people: Vec<Named> = author
        .map(|name| named(Role::Author, name))
        .into_iter()
        .collect();
    people.extend(signers.into_iter().map(|name| named(Role::Signer, name)));
    let approvers = judged.approvals.iter();
    people.extend(approvers.map(|one| named(Role::Approver, &one.by)));
    (Principal::Author { key }, people)
}

fn named(role: Role, name: &str) -> Named {
    Named {
        role,
        name: name.to_owned(),
    }
}

fn object(tree: &dyn Tree, part: Part) -> Result<Option<ObjectId>, RuntimeError> {
    let entry = tree.entry(part.path());
    let entry = entry.map_err(stratum_core::ports::LoadError::Tree)?;
    Ok(entry.map(|entry| entry.id))
}
