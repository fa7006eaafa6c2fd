//! What the engine of one repository works with: every adapter of it, as core's ports.

use std::path::PathBuf;
use std::sync::Arc;

use stratum_core::ports::{Audit, EvaluationCache, SecretStore, Store};
use stratum_providers::probe::HealthProbe;
use stratum_repo::RefWatcher;
use stratum_runtime::Ports;
use stratum_store::{CommitKey, SqliteStore};

use crate::adapters;
use crate::clock::{SystemClock, SystemRandomness};
use crate::crypto::crypto;
use crate::error::AssemblyError;
use crate::identity::Guarded;
use crate::place::Place;
use crate::proposals::Proposals;

/// Opens the state with its audit log, and what opens secrets; from then on records are signed with
/// the key of that log.
pub async fn open(place: &Place, identities: &[PathBuf]) -> Result<Guarded, AssemblyError> {
    let store = SqliteStore::open_logged(&place.state, adapters::note_signer()?).await?;
    let guarded = Guarded::open(store, place, identities).await?;
    let key = CommitKey::open(&place.state, adapters::note_signer()?)?;
    place.repository.sign_with(Arc::new(key));
    Ok(guarded)
}

/// Every port of the engine. `sealer` is the file of the key that seals what is made for the
/// repository, where it was named; `wake` is what wakes the loop.
pub fn ports(
    place: &Place,
    guarded: &Guarded,
    sealer: Option<PathBuf>,
    wake: Arc<RefWatcher>,
) -> Result<Ports, AssemblyError> {
    let store = &guarded.store;
    let proposals = Proposals {
        repository: place.repository.clone(),
        crypto: crypto()?,
        sealer,
    };
    let providers = adapters::providers()?;
    let cache: Arc<dyn EvaluationCache> = store.clone();
    Ok(Ports {
        store: Arc::clone(store) as Arc<dyn Store>,
        audit: Arc::clone(store) as Arc<dyn Audit>,
        loader: adapters::loader(&providers, Some(cache))?,
        gate: adapters::gate(),
        signatures: adapters::signatures(),
        providers,
        sealing: adapters::sealing()?,
        vault: Arc::clone(store) as Arc<dyn SecretStore>,
        secrets: Arc::new(guarded.keeper.clone()),
        proposals: Arc::new(proposals),
        probe: Arc::new(HealthProbe),
        clock: Arc::new(SystemClock::new()),
        randomness: Arc::new(SystemRandomness),
        wake,
        repository: place.repository.clone(),
    })
}
