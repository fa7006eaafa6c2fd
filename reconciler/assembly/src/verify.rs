//! Sealed values, verified as the reconciler of this machine would.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::ports::{
    Repository as _, SealReport, SecretKey, SecretStore as _, States as _, StoreError, Tree,
};
use stratum_core::settings::Settings;
use stratum_runtime::{Verification, verify_sealed};

use crate::adapters;
use crate::crypto::crypto;
use crate::error::AssemblyError;
use crate::place::Place;
use crate::seal_check::Checker;

/// What the state knows of an environment: the commit that is applied, and the versions in force.
#[derive(Debug, Default)]
pub struct InForce {
    base: Option<CommitId>,
    highest: BTreeMap<SecretKey, u64>,
}

impl InForce {
    /// What the state of a repository knows of `environment`; nothing where there is no state.
    pub async fn read(place: &Place, environment: &EnvironmentName) -> Result<Self, StoreError> {
        let Some(store) = place.state().await? else {
            return Ok(Self::default());
        };
        let rows = store.environments().await?;
        let row = rows.into_iter().find(|row| row.name == *environment);
        Ok(Self {
            base: row.and_then(|row| row.revision),
            highest: store.highest(environment).await?,
        })
    }
}

/// Verifies the sealed values of one environment as the reconciler here would: by the trust of the
/// commit that its state has applied, and by the versions that were in force. Where there is no
/// state, the tree judges itself.
pub fn verify(
    place: &Place,
    in_force: &InForce,
    tree: &dyn Tree,
    settings: &Settings,
    environment: &EnvironmentName,
) -> Result<SealReport, AssemblyError> {
    // A base that this repository does not have, as of a state that was brought along, judges nobody.
    let base = in_force.base.as_ref();
    let base = base.filter(|base| place.repository.tree(base).is_ok());
    let providers = adapters::providers()?;
    let loader = adapters::loader(&providers, None)?;
    let checker = Checker::new(crypto()?);
    Ok(verify_sealed(Verification {
        repository: place.repository.as_ref(),
        loader: loader.as_ref(),
        sealing: &checker,
        tree,
        settings,
        environment,
        base,
        highest: &in_force.highest,
        may_go_back: &|_, _, _| false,
        now: Timestamp::now(),
    })?)
}
