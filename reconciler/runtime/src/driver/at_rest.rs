//! The beginning of a process: what an earlier one knew is taken over, and whoever cannot be
//! otherwise than it left him is not looked at.

use std::collections::{BTreeMap, BTreeSet};

use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::EnvironmentRow;

use super::Driver;
use crate::aim::Aim;
use crate::error::RuntimeError;
use crate::head::{Head, Target};
use crate::rows::report_of;

/// An environment that is as its row says, but perhaps for what its branch brought since.
pub(super) struct AtRest {
    pub(super) row: EnvironmentRow,
    /// Where the front that it follows stands.
    front: CommitId,
    target: Target,
}

impl AtRest {
    /// From where to where its branch went since.
    pub(super) fn moved(&self) -> Option<(CommitId, Target)> {
        let moved = self.front != self.target.commit;
        moved.then(|| (self.front.clone(), self.target.clone()))
    }
}

impl Driver {
    /// Takes over what an earlier process left; answers the rows by name.
    pub(super) async fn take_over(
        &mut self,
        head: &Head,
    ) -> Result<BTreeMap<EnvironmentName, EnvironmentRow>, RuntimeError> {
        let rows = self.reconciler.store.environments().await?;
        if head.settings.value.is_some() {
            self.reconciler.admissions.begin_trust(head, &rows);
        }
        self.reconciler.along.find_fronts(&rows).await?;
        self.prime(&rows).await?;
        let named = rows.into_iter().map(|row| (row.name.clone(), row));
        Ok(named.collect())
    }

    /// An environment of which a look would only find what the row says: it follows the front of
    /// its branch, no run of it is open, nothing of it may have stopped with the machine, and
    /// neither its settings nor a tag says anything that is not in the row.
    ///
    /// What is due by time, drift or another try, comes due all the same.
    pub(super) fn at_rest(
        &self,
        aim: &Aim,
        row: EnvironmentRow,
        spoken_of: &BTreeSet<&str>,
    ) -> Option<AtRest> {
        let Aim::Commit(target) = aim else {
            return None;
        };
        let name = &row.name;
        let own = target.settings.environments.get(name);
        let disturbed = own.is_some_and(|own| own.suspended)
            || row.remembered.runs
            || !self.reconciler.runs.of(name).is_empty()
            || self.reconciler.options.without_policies.contains(name)
            || spoken_of.contains(name.as_str());
        let front = self
            .reconciler
            .fronts
            .front_of(target)
            .filter(|_| !disturbed)?;
        let target = target.clone();
        Some(AtRest { row, front, target })
    }

    /// These are where their branch is, and nothing else of them changed.
    pub(super) async fn rest(&mut self, at_rest: Vec<AtRest>) {
        for AtRest {
            mut row, target, ..
        } in at_rest
        {
            row.desired_revision = Some(target.commit);
            let report = report_of(&row, Vec::new());
            self.tell(&report).await;
            self.at_rest.push(report);
        }
    }
}
