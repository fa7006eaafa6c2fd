//! Each adapter, built and handed over as one of core's ports.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use stratum_core::bounds::Bounds;
use stratum_core::ids::{ProviderName, TypeName};
use stratum_core::ports::{
    Complaint, EvaluationCache, Gate, Loader, NoteSigner, Provider, ProviderSchema, SealCheck,
    Signatures,
};
use stratum_core::resource::Meta;
use stratum_core::value::{Path, Record};
use stratum_guard::{CedarGate, InProcess};
use stratum_load::{Evaluators, NickelLoader, Readers};
use stratum_providers::registry::RegistryProvider;
use stratum_providers::{generated, local};
use stratum_runtime::Providers;

use crate::crypto::crypto;
use crate::error::AssemblyError;
use crate::maker::OpenSsl;
use crate::notes::SealedNotes;
use crate::seal_check::Checker;

/// Carries out what this program does when it is executed again as a helper of itself: evaluating
/// untrusted code, running one command, supervising one service. `None`: it is not a helper.
pub fn helper_process(first_argument: Option<&str>) -> Option<ExitCode> {
    if first_argument == Some(stratum_load::EVALUATE_ARGUMENT) {
        return Some(stratum_load::evaluate_main(TASKS));
    }
    stratum_providers::reexec::run(first_argument)
}

/// What the evaluating child reads besides Nickel.
const TASKS: &[stratum_load::Task] =
    &[(stratum_guard::POLICIES_TASK, stratum_guard::read_policies)];

/// The bounds of reading that this process was started with.
static BOUNDS: OnceLock<Bounds> = OnceLock::new();

/// Takes the bounds that were given on the command line; before anything is read.
pub fn take_bounds(bounds: Option<&Bounds>) {
    let _taken_before = BOUNDS.set(bounds.cloned().unwrap_or_default());
}

/// The bounds of reading that this process was started with.
pub fn bounds() -> Bounds {
    BOUNDS.get().cloned().unwrap_or_default()
}

/// This program, for helpers.
pub fn this_program() -> Result<PathBuf, AssemblyError> {
    std::env::current_exe().map_err(AssemblyError::Program)
}

/// Everything that makes resources.
pub fn providers() -> Result<Providers, AssemblyError> {
    let local = local::provider(this_program()?).map_err(AssemblyError::Provider)?;
    let registry = RegistryProvider::new().map_err(AssemblyError::Provider)?;
    let generated = generated::provider(Arc::new(OpenSsl)).map_err(AssemblyError::Provider)?;
    let all: [Arc<dyn Provider>; 3] = [Arc::new(local), Arc::new(generated), Arc::new(registry)];
    Ok(Providers::new(all))
}

/// The reader of repositories; results of evaluation are kept in `cache`, if there is one.
pub fn loader(
    providers: &Providers,
    cache: Option<Arc<dyn EvaluationCache>>,
) -> Result<Arc<dyn Loader>, AssemblyError> {
    let evaluators = Arc::new(Evaluators::new(this_program()?));
    let schemas: Vec<ProviderSchema> = providers.schemas().into_iter().cloned().collect();
    let asked = providers.clone();
    let owners: BTreeMap<TypeName, ProviderName> = schemas
        .iter()
        .flat_map(|schema| {
            schema
                .types
                .keys()
                .map(|name| (name.clone(), schema.provider.clone()))
        })
        .collect();
    let validate = move |name: &TypeName, desired: &Record, meta: &Meta| {
        let provider = owners.get(name).and_then(|owner| asked.get(owner).ok());
        let own = provider.map_or_else(Vec::new, |provider| provider.validate(name, desired));
        own.into_iter().chain(bad_health(meta)).collect()
    };
    let cache = cache.unwrap_or_else(|| Arc::new(NoCache));
    let loader = NickelLoader::new(evaluators, schemas, Arc::new(validate), cache);
    Ok(Arc::new(loader.within(bounds())))
}

/// What is wrong with the health check of a resource, if anything is.
fn bad_health(meta: &Meta) -> Option<Complaint> {
    let why = stratum_providers::probe::validate(meta.health.as_ref()?).err()?;
    Some(Complaint::error(Path::of("meta").key("health"), why))
}

/// Keeps nothing: for commands that must not write.
struct NoCache;

impl EvaluationCache for NoCache {
    fn get(&self, _key: &str) -> Option<Vec<u8>> {
        None
    }

    fn put(&self, _key: &str, _value: &[u8]) {}
}

/// What verifies sealed values.
pub fn sealing() -> Result<Arc<dyn SealCheck>, AssemblyError> {
    Ok(Arc::new(Checker::new(crypto()?)))
}

/// What judges plans.
pub fn gate() -> Arc<dyn Gate> {
    let Ok(program) = this_program() else {
        return Arc::new(CedarGate::default());
    };
    let evaluators = Arc::new(Evaluators::new(program));
    let readers = Readers::new(evaluators, &bounds());
    Arc::new(CedarGate::new(Some(Arc::new(readers))))
}

/// What verifies signatures.
pub fn signatures() -> Arc<dyn Signatures> {
    Arc::new(InProcess)
}

/// What signs the audit log.
pub fn note_signer() -> Result<Arc<dyn NoteSigner>, AssemblyError> {
    Ok(Arc::new(SealedNotes::new(crypto()?)))
}
