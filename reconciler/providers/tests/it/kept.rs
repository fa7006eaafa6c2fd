//! A provider, a folder, and calls in few words.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stratum_core::ids::{Address, RunId, StepId, Token};
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, LocateCall, Located, NoSecrets, PlanCall,
    Proposal, Provider, ProviderError, ReadCall, Reading, RestoreCall, Secrets, Site,
};
use stratum_core::resource::{Checkpoint, Instance, Opaque, ResourceState};
use stratum_core::value::Record;
use stratum_providers::{TypedProvider, local};
use tempfile::TempDir;

/// The program that is executed again.
pub(crate) const HELPER: &str = env!("CARGO_BIN_EXE_stratum-local-helper");

pub(crate) fn record(text: &str) -> Record {
    stratum_core::value::stored::record(text).unwrap()
}

/// The provider's own folder of a place, by its root.
pub(crate) fn own(root: &Path) -> PathBuf {
    root.with_file_name("own").join("t")
}

pub(crate) fn provider() -> TypedProvider {
    local::provider(PathBuf::from(HELPER)).unwrap()
}

/// One resource in a folder of its own.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) provider: TypedProvider,
    pub(crate) address: Address,
    pub(crate) site: Site,
    pub(crate) timeout: Duration,
    pub(crate) secrets: Arc<dyn Secrets>,
}

/// A step that is ready to be applied.
pub(crate) struct Step {
    pub(crate) prior: Option<Instance>,
    pub(crate) planned: Option<Record>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) token: Token,
}

pub(crate) fn token(step: u32) -> Token {
    Token::of(&RunId::new("drive").unwrap(), StepId(step))
}

impl Place {
    pub(crate) fn new(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        Self {
            site: Site {
                root,
                roots: Vec::new(),
                own: folder.path().join("own/t"),
                user: None,
                isolation: None,
            },
            folder,
            provider: provider(),
            address: address.parse().unwrap(),
            timeout: Duration::from_secs(20),
            secrets: Arc::new(NoSecrets),
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.site.root.clone()
    }

    pub(crate) fn call(&self) -> Call<'_> {
        Call {
            address: &self.address,
            site: &self.site,
            timeout: self.timeout,
            secrets: self.secrets.as_ref(),
            stop: None,
            notes: None,
        }
    }

    pub(crate) async fn plan(
        &self,
        prior: Option<&Instance>,
        desired: Option<&Record>,
    ) -> Result<Proposal, ProviderError> {
        self.provider
            .plan(PlanCall {
                call: self.call(),
                prior,
                desired,
                config: desired,
            })
            .await
    }

    pub(crate) async fn step(
        &self,
        number: u32,
        prior: Option<&Instance>,
        desired: Option<&Record>,
    ) -> Result<Step, ProviderError> {
        let planned = self.plan(prior, desired).await?.planned;
        let planned = desired.map(|_| planned);
        let call = CheckpointCall {
            call: self.call(),
            prior,
            planned: planned.as_ref(),
        };
        let kept = self.provider.checkpoint(call).await?;
        let before = prior.map(|instance| self.state(instance));
        Ok(Step {
            prior: prior.cloned(),
            planned,
            checkpoint: Checkpoint { before, kept },
            token: token(number),
        })
    }

    fn state(&self, instance: &Instance) -> ResourceState {
        let state = serde_json::json!({
            "address": self.address,
            "kind": "infrastructure",
            "provider": "local",
            "instance": instance,
            "schema_version": 1,
            "revision": "0".repeat(40),
        });
        serde_json::from_value(state).unwrap()
    }

    pub(crate) async fn apply(&self, step: &Step) -> Result<Option<Instance>, ApplyError> {
        let call = ApplyCall {
            call: self.call(),
            token: &step.token,
            prior: step.prior.as_ref(),
            planned: step.planned.as_ref(),
            config: step.planned.as_ref(),
            private: &Opaque::default(),
            checkpoint: &step.checkpoint,
        };
        self.provider.apply(call).await
    }

    /// Makes what is wanted, with a step of this number.
    pub(crate) async fn make(&self, number: u32, desired: &str) -> Result<Instance, ApplyError> {
        let desired = record(desired);
        let step = self.step(number, None, Some(&desired)).await;
        let step = step.map_err(|error| ApplyError::nothing_happened(error.message))?;
        Ok(self.apply(&step).await?.unwrap())
    }

    pub(crate) async fn restore(&self, step: &Step) -> Result<Option<Instance>, ApplyError> {
        let call = RestoreCall {
            call: self.call(),
            token: &step.token,
            checkpoint: &step.checkpoint,
            planned: step.planned.as_ref(),
            after: None,
        };
        self.provider.restore(call).await
    }

    pub(crate) async fn locate(&self, step: &Step) -> Result<Located, ProviderError> {
        let call = LocateCall {
            call: self.call(),
            token: &step.token,
            prior: step.prior.as_ref(),
            planned: step.planned.as_ref(),
            checkpoint: &step.checkpoint,
        };
        self.provider.locate(call).await
    }

    pub(crate) async fn read(&self, known: &Instance) -> Result<Option<Instance>, ProviderError> {
        self.provider
            .read(ReadCall {
                call: self.call(),
                known,
            })
            .await
            .map(Reading::instance)
    }

    /// Why what should run does not; `None` when it does.
    pub(crate) async fn stopped(&self, known: &Instance) -> Option<String> {
        let call = ReadCall {
            call: self.call(),
            known,
        };
        match self.provider.read(call).await.unwrap() {
            Reading::Stopped { why, .. } => Some(why),
            Reading::There(_) => None,
            Reading::Gone => panic!("it is gone"),
        }
    }

    /// Deletes it.
    pub(crate) async fn delete(&self, number: u32, prior: &Instance) {
        let step = self.step(number, Some(prior), None).await.unwrap();
        self.apply(&step).await.unwrap();
    }
}

/// An empty checkpoint.
pub(crate) fn nothing() -> Checkpoint {
    Checkpoint {
        before: None,
        kept: Opaque::default(),
    }
}

/// Waits until something holds, for at most ten seconds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{what} never came true"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
