//! What the loop writes into the audit log. The events of an apply are not here: the store writes
//! them with the journal.

use std::sync::Arc;

use stratum_core::approve::Refusal;
use stratum_core::audit::{AuditEntry, Named, Part, Principal, Role, What, verdict};
use stratum_core::desired::Revision;
use stratum_core::ids::{CommitId, EnvironmentName, ObjectId};
use stratum_core::plan::Plan;
use stratum_core::ports::{EnvironmentRow, GateError, Tree};
use stratum_core::run::Trigger;
use stratum_core::verdict::Verdict;

use crate::error::RuntimeError;
use crate::look::Look;
use crate::reconcile::Reconciler;

impl Reconciler {
    /// Writes entries; what they are about may happen when this returned without an error.
    pub(crate) async fn log(&self, entries: Vec<AuditEntry>) -> Result<(), RuntimeError> {
        if entries.is_empty() {
            return Ok(());
        }
        Ok(self.ports.audit.log(&entries).await?)
    }

    /// What policy said about a plan; nothing when the plan is empty.
    pub(crate) fn verdict_entries(
        &self,
        look: &Look,
        plan: &Plan,
        judged: &Verdict,
    ) -> Vec<AuditEntry> {
        let whats = verdict(plan, judged).into_iter();
        whats.map(|what| self.entry_of(look, what)).collect()
    }

    /// That a plan is not applied, and why.
    pub(crate) fn refusal_entry(&self, look: &Look, plan: &Plan, refusal: &Refusal) -> AuditEntry {
        self.entry_of(look, refused(plan, refusal.to_string()))
    }

    /// That policy could not judge a plan.
    pub(crate) async fn undecided(
        &self,
        look: &Look,
        plan: &Plan,
        error: GateError,
    ) -> RuntimeError {
        let error = RuntimeError::Gate(error);
        let entry = self.entry_of(look, refused(plan, error.sentence()));
        match self.log(vec![entry]).await {
            Ok(()) => error,
            Err(unwritten) => unwritten,
        }
    }

    fn entry_of(&self, look: &Look, what: What) -> AuditEntry {
        let author = || Named {
            role: Role::Author,
            name: look.revision.author.clone(),
        };
        let (principal, people) = match look.trigger {
            Trigger::Push => (Principal::Author { key: None }, vec![author()]),
            Trigger::Drift => (Principal::Reconciler, Vec::new()),
        };
        AuditEntry {
            at: self.ports.clock.now(),
            environment: Some(look.target.environment.clone()),
            run: None,
            principal,
            what,
            people,
        }
    }

    /// Writes which parts of the repository that decide what may happen are others than in the
    /// commit this environment was last looked at for.
    pub(crate) async fn log_configuration(
        self: &Arc<Self>,
        commit: &CommitId,
        row: &EnvironmentRow,
        tree: &Arc<dyn Tree>,
    ) -> Result<(), RuntimeError> {
        if row.desired_revision.as_ref() == Some(commit) {
            return Ok(());
        }
        let (own, tree) = (Arc::clone(self), Arc::clone(tree));
        let (before, commit) = (row.desired_revision.clone(), commit.clone());
        let changes = move || own.changes(before.as_ref(), &commit, tree.as_ref());
        let (revision, changes) = match self.blocking(changes).await? {
            Some(found) => found,
            None => return Ok(()),
        };
        let entries = changes.into_iter();
        let entries = entries.map(|what| self.change_entry(&row.name, &revision, what));
        self.log(entries.collect()).await
    }

    /// The parts that changed, with the revision that brought them; `None` when none did.
    fn changes(
        &self,
        before: Option<&CommitId>,
        commit: &CommitId,
        tree: &dyn Tree,
    ) -> Result<Option<(Revision, Vec<What>)>, RuntimeError> {
        // A commit that was dropped from the repository left nothing to compare with: all is new.
        let old = before.and_then(|before| self.ports.repository.tree(before).ok());
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
        Ok(Some((self.ports.repository.revision(commit)?, changes)))
    }

    fn change_entry(
        &self,
        environment: &EnvironmentName,
        revision: &Revision,
        what: What,
    ) -> AuditEntry {
        AuditEntry {
            at: self.ports.clock.now(),
            environment: Some(environment.clone()),
            run: None,
            principal: Principal::Author { key: None },
            what,
            people: vec![Named {
                role: Role::Author,
                name: revision.author.clone(),
            }],
        }
    }
}

fn refused(plan: &Plan, reason: String) -> What {
    What::Refused {
        action: "apply".to_owned(),
        plan: Some(plan.digest),
        revision: Some(plan.revision.clone()),
        reason,
    }
}

fn object(tree: &dyn Tree, part: Part) -> Result<Option<ObjectId>, RuntimeError> {
    let entry = tree.entry(part.path());
    let entry = entry.map_err(stratum_core::ports::LoadError::Tree)?;
    Ok(entry.map(|entry| entry.id))
}
