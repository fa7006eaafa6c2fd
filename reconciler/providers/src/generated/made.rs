//! `generated_password` and `generated_private_key`.

use std::sync::Arc;

use async_trait::async_trait;
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, Complaint, ImportCall, LocateCall, Located,
    MadeSecret, PlanCall, Proposal, ProviderError, ReadCall, Reading, RestoreCall, SecretError,
    SecretName, TypeSchema, generated_path,
};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::value::{Record, SecretReference, Value};

use super::recipe::{VERSION, given, whole};
use super::{KEEP, Maker, Recipe, not_adopted, proposed};
use crate::schema::text;
use crate::types::ResourceType;

/// One recipe as a type of resource.
pub(super) struct Made {
    recipe: Recipe,
    maker: Arc<dyn Maker>,
    schema: TypeSchema,
}

impl Made {
    pub(super) fn new(recipe: Recipe, maker: Arc<dyn Maker>) -> Self {
        let schema = recipe.schema();
        Self {
            recipe,
            maker,
            schema,
        }
    }

    fn name(&self, call: Call<'_>, version: u64) -> SecretName {
        SecretName {
            path: generated_path(&call.address.local),
            key: self.recipe.key().to_owned(),
            version,
        }
    }

    /// The instance, with what follows from its secret.
    async fn instance(
        &self,
        call: Call<'_>,
        planned: &Record,
        secret: SecretReference,
    ) -> Result<Instance, SecretError> {
        let mut attributes = planned.clone();
        if !self.recipe.outputs().is_empty() {
            let opened = call.secrets.open(call.address, &secret).await?;
            let public = self.recipe.public(self.maker.as_ref(), &opened);
            attributes.extend(public.map_err(SecretError::Wrapped)?);
        }
        attributes.insert(self.recipe.key().to_owned(), Value::secret(secret));
        Ok(Instance {
            attributes,
            private: Opaque::default(),
            due: None,
        })
    }

    /// The secret that is kept for what is planned, if it was made.
    async fn kept(
        &self,
        call: Call<'_>,
        planned: &Record,
    ) -> Result<Option<SecretReference>, SecretError> {
        if let (Some(secret), false) = (given(self.recipe, planned), in_state(planned)) {
            return Ok(Some(secret.clone()));
        }
        let name = self.name(call, version(planned));
        let made = call.secrets.made(call.address, &name.path).await?;
        let mine = made
            .iter()
            .find(|made| made.key == name.key && made.version == name.version);
        Ok(mine.map(MadeSecret::reference))
    }

    /// Keeps the secret that is planned, making it where there is none yet; then the one before
    /// it, for a rollback, and no other.
    async fn ensure(&self, call: Call<'_>, planned: &Record) -> Result<Instance, SecretError> {
        let name = self.name(call, version(planned));
        let secret = match self.kept(call, planned).await? {
            Some(secret) => secret,
            None => {
                let made = self.recipe.make(self.maker.as_ref(), planned);
                let made = made.map_err(SecretError::Wrapped)?;
                call.secrets.keep(call.address, &name, &made).await?
            }
        };
        let instance = self.instance(call, planned, secret).await?;
        let before = name.version.saturating_sub(1);
        let versions = [before, name.version];
        call.secrets
            .forget(call.address, &name.path, &versions)
            .await?;
        Ok(instance)
    }
}

/// Whether the secret is kept in the state.
fn in_state(record: &Record) -> bool {
    text(record, KEEP) != Some("branch")
}

fn version(record: &Record) -> u64 {
    whole(record, VERSION).unwrap_or(1)
}

fn closed(error: SecretError) -> ProviderError {
    ProviderError {
        message: said(&error),
        retry: error.retry(),
        waits: false,
        diagnostics: Vec::new(),
    }
}

fn refused(error: SecretError) -> ApplyError {
    ApplyError {
        retry: error.retry(),
        ..ApplyError::nothing_happened(said(&error))
    }
}

/// The error with what caused it.
fn said(error: &SecretError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[async_trait]
impl ResourceType for Made {
    fn schema(&self) -> &TypeSchema {
        &self.schema
    }

    fn validate(&self, desired: &Record) -> Vec<Complaint> {
        self.recipe.validate(desired)
    }

    fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        let prior = call.prior.map(|prior| &prior.attributes);
        let Some(desired) = call.desired else {
            // From the state it is gone for good; in the repository, history keeps it.
            let reversibility = match prior.is_none_or(in_state) {
                true => Reversibility::Irreversible,
                false => Reversibility::Reversible,
            };
            return Ok(Proposal {
                planned: Record::new(),
                replace: Vec::new(),
                reversibility,
                ..Proposal::default()
            });
        };
        let mut planned = self.recipe.complete(desired);
        let wanted = proposed(self.recipe, prior, &planned);
        let known = prior.and_then(|prior| prior.get(VERSION));
        let (version, secret) = match given(self.recipe, desired) {
            _ if in_state(&planned) => {
                let kept = prior.filter(|_| known == Some(&Value::Number(wanted.into())));
                let kept = kept.and_then(|prior| prior.get(self.recipe.key())).cloned();
                let name = self.name(call.call, wanted);
                (wanted, kept.unwrap_or_else(|| to_be_made(name)))
            }
            Some(secret) if secret.version.is_some_and(|version| version >= wanted) => {
                let version = secret.version.unwrap_or(wanted);
                (version, Value::secret(secret.clone()))
            }
            Some(_) | None => {
                return Err(ProviderError::waiting(format!(
                    "its secret (version {wanted}) is to come by the branch \
                     `stratum/secrets/{}`, for review",
                    call.call.address.environment
                )));
            }
        };
        let same = prior.and_then(|prior| prior.get(self.recipe.key())) == Some(&secret);
        for name in self.recipe.outputs() {
            let kept = prior.filter(|_| same).and_then(|prior| prior.get(*name));
            let value = kept.cloned().unwrap_or(Value::Unknown);
            planned.insert((*name).to_owned(), value);
        }
        planned.insert(VERSION.to_owned(), Value::Number(version.into()));
        planned.insert(self.recipe.key().to_owned(), secret);
        Ok(Proposal {
            planned,
            replace: Vec::new(),
            reversibility: Reversibility::Reversible,
            ..Proposal::default()
        })
    }

    /// It is there as long as its secret is kept; who cannot look believes the state.
    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        let known = Reading::There(call.known.clone());
        match self.kept(call.call, &call.known.attributes).await {
            Ok(None) => Ok(Reading::Gone),
            Ok(Some(_)) | Err(SecretError::Sealed(_)) => Ok(known),
            Err(error) => Err(closed(error)),
        }
    }

    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        if call.prior.is_none() {
            return Ok(Opaque::default());
        }
        let call = call.call;
        let path = generated_path(&call.address.local);
        let made = call.secrets.made(call.address, &path).await;
        let made = made.map_err(closed)?;
        let bytes = serde_json::to_vec(&made);
        let bytes = bytes.map_err(|error| ProviderError::person(error.to_string()))?;
        Ok(Opaque(bytes))
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        match call.planned {
            Some(planned) => {
                let made = self.ensure(call.call, planned).await;
                made.map(Some).map_err(refused)
            }
            None => {
                let path = generated_path(&call.call.address.local);
                let forgotten = call.call.secrets.forget(call.call.address, &path, &[]);
                forgotten.await.map(|()| None).map_err(refused)
            }
        }
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let kept = &call.checkpoint.kept.0;
        let made: Vec<MadeSecret> = match kept.is_empty() {
            true => Vec::new(),
            false => serde_json::from_slice(kept)
                .map_err(|error| ApplyError::nothing_happened(error.to_string()))?,
        };
        let (secrets, address) = (call.call.secrets, call.call.address);
        let versions: Vec<u64> = made.iter().map(|made| made.version).collect();
        let path = generated_path(&address.local);
        // What was made for the step goes; what was there comes back.
        let forgotten = secrets.forget(address, &path, &versions).await;
        forgotten.map_err(refused)?;
        secrets.put_back(address, &made).await.map_err(refused)?;
        let before = call.checkpoint.before.as_ref();
        Ok(before.map(|before| before.instance.clone()))
    }

    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        let Some(planned) = call.planned else {
            let path = generated_path(&call.call.address.local);
            let made = call.call.secrets.made(call.call.address, &path).await;
            return Ok(match made.map_err(closed)?.is_empty() {
                true => Located::Done(None),
                false => Located::NotDone,
            });
        };
        let kept = self.kept(call.call, planned).await.map_err(closed)?;
        let Some(secret) = kept else {
            return Ok(Located::NotDone);
        };
        let instance = self.instance(call.call, planned, secret).await;
        Ok(Located::Done(Some(instance.map_err(closed)?)))
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        not_adopted(&call)
    }
}

/// A secret that has a name, and is not there yet.
fn to_be_made(name: SecretName) -> Value {
    Value::secret(SecretReference {
        path: name.path,
        key: name.key,
        version: Some(name.version),
        digest: None,
    })
}
