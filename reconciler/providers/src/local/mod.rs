//! The `local` provider: this machine.
//!
//! | type | file |
//! | --- | --- |
//! | `local_data` | `data.rs` |
//! | `local_file`, `local_directory`, `local_symlink` | `file.rs`, `directory.rs`, `symlink.rs`, over `placed.rs` |
//! | `local_exec` | `exec.rs`, over `steps.rs` |
//! | `local_service` | `service.rs` |
//!
//! # Where things lie
//!
//! Relative paths lie in the root of the environment; absolute paths must lie in one of its
//! declared roots. No path goes through a symlink: every folder below the root is opened by itself
//! without following links, so a link that is put in the way between two calls is refused too.
//! `.stratum/` in the root belongs to this provider:
//!
//! - `.stratum/folders/`: a mark for each folder that was made because something in it was
//!   wanted. Whoever removes the last thing from such a folder removes the folder.
//! - `.stratum/steps/<name>/<token>`: what became of each command of a `local_exec`.
//! - `.stratum/services/<name>/`: lock, status and logs of each `local_service`.
//!
//! # `local_exec` runs each command once
//!
//! A command is not run by the reconciler but by its program executed again (`stratum __exec`),
//! in a process that outlives a killed reconciler, lets the command end, and writes down how it
//! ended. The step file is durable and locked before that process starts, and locked as long as
//! it lives. So whoever comes after a `kill -9` knows exactly: no file or no `started` line, it
//! never ran; locked, it is still running, and is waited for; an `ended` line, this is its answer,
//! and it is not run again. Only when that process itself is killed, or the machine goes down,
//! nobody can tell; then `read` decides, and without `read` the step is Unknown.
//!
//! # `local_service` survives the reconciler
//!
//! Each service is supervised by the same program executed again (`stratum __supervise`), in a
//! session of its own. That is so on machines with systemd too: a unit would need rights that the
//! reconciler often lacks, and would make one service behave in two ways. Where the reconciler
//! itself runs as a systemd unit, that unit needs `KillMode=process`, or its services end with it.

mod attributes;
mod data;
mod directory;
mod entry;
mod exec;
mod file;
mod folder;
mod lanes;
mod opened;
mod owner;
mod place;
mod placed;
mod service;
mod steps;
mod supervised;
mod symlink;
mod thing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use stratum_core::ids::{IdError, ProviderName, TypeName};
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, CheckpointCall, Complaint, ImportCall, LocateCall, Located,
    PlanCall, Proposal, Provider, ProviderError, ProviderSchema, ReadCall, RestoreCall, TypeSchema,
};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::value::Record;

use lanes::Lanes;
use placed::Placed;

use crate::schema::unusable;

/// One type of the provider; the methods are those of [`Provider`].
#[async_trait]
trait LocalType: Send + Sync {
    fn schema(&self) -> &TypeSchema;
    fn validate(&self, desired: &Record) -> Vec<Complaint>;
    fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError>;
    async fn read(&self, call: ReadCall<'_>) -> Result<Option<Instance>, ProviderError>;
    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError>;
    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError>;
    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError>;
    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError>;
    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError>;
}

/// Makes the resources of this machine.
pub struct LocalProvider {
    schema: ProviderSchema,
    types: BTreeMap<TypeName, Box<dyn LocalType>>,
}

impl std::fmt::Debug for LocalProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalProvider").finish_non_exhaustive()
    }
}

impl LocalProvider {
    /// Makes the provider. `program` is executed again to run commands and services; its `main`
    /// must call [`crate::reexec::run`].
    pub fn new(program: PathBuf) -> Result<Self, IdError> {
        let lanes = Arc::new(Lanes::default());
        let list: [(&str, Box<dyn LocalType>); 6] = [
            ("local_data", Box::new(data::Data::new())),
            ("local_file", Box::new(Placed::new(file::File, &lanes))),
            (
                "local_directory",
                Box::new(Placed::new(directory::Directory, &lanes)),
            ),
            (
                "local_symlink",
                Box::new(Placed::new(symlink::Symlink, &lanes)),
            ),
            (
                "local_exec",
                Box::new(exec::Exec::new(program.clone(), &lanes)),
            ),
            ("local_service", Box::new(service::Service::new(program))),
        ];
        let types = list
            .into_iter()
            .map(|(name, r#type)| Ok((TypeName::new(name)?, r#type)))
            .collect::<Result<BTreeMap<_, _>, IdError>>()?;
        let schemas = types
            .iter()
            .map(|(name, r#type)| (name.clone(), r#type.schema().clone()));
        Ok(Self {
            schema: ProviderSchema {
                provider: ProviderName::new("local")?,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                types: schemas.collect(),
            },
            types,
        })
    }

    fn of(&self, call: Call<'_>) -> Result<&dyn LocalType, ProviderError> {
        let name = call.address.r#type();
        let found = self.types.get(name).map(AsRef::as_ref);
        found.ok_or_else(|| ProviderError::input(format!("the provider has no type `{name}`")))
    }

    fn of_changing(&self, call: Call<'_>) -> Result<&dyn LocalType, ApplyError> {
        self.of(call)
            .map_err(|error| ApplyError::nothing_happened(error.message))
    }
}

#[async_trait]
impl Provider for LocalProvider {
    fn schema(&self) -> &ProviderSchema {
        &self.schema
    }

    fn validate(&self, r#type: &TypeName, desired: &Record) -> Vec<Complaint> {
        let found = self.types.get(r#type);
        found
            .map(|found| found.validate(desired))
            .unwrap_or_default()
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Option<Instance>, ProviderError> {
        self.of(call.call)?.read(call).await
    }

    async fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        self.of(call.call)?.plan(call)
    }

    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        self.of(call.call)?.checkpoint(call).await
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let found = self.of_changing(call.call)?;
        let unusable = |planned| unusable(found.schema(), planned);
        if let Some(why) = call.planned.and_then(unusable) {
            return Err(ApplyError::nothing_happened(why));
        }
        found.apply(call).await
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        self.of_changing(call.call)?.restore(call).await
    }

    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        self.of(call.call)?.locate(call).await
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        self.of(call.call)?.import(call).await
    }
}
