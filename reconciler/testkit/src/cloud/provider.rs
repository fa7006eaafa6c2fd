//! The provider of a [`Cloud`](super::Cloud), and the handles of its configurations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::ids::{IdError, ProviderName, TypeName};
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, Call, Capabilities, CheckpointCall, Complaint, ConfigureCall,
    Diagnostic, FetchCall, ImportCall, LocateCall, Located, PlanCall, Proposal, Provider,
    ProviderError, ProviderSchema, ReadCall, Reading, RenewCall, RestoreCall, TypeSchema,
    UpgradeCall, reveal,
};
use stratum_core::resource::{Due, Instance, Opaque};
use stratum_core::value::{Path, Record, Value};

use super::{Asked, Cloud, text, types};

/// The provider `cloud`, with a region where it is configured.
#[derive(Debug)]
pub struct CloudProvider {
    schema: ProviderSchema,
    cloud: Cloud,
    region: Option<String>,
}

impl CloudProvider {
    /// A provider of this cloud.
    pub fn new(cloud: Cloud) -> Result<Self, IdError> {
        let schema = ProviderSchema {
            provider: ProviderName::new("cloud")?,
            version: "1".to_owned(),
            // Its types are asked for one by one.
            types: BTreeMap::new(),
        };
        Ok(Self {
            schema,
            cloud,
            region: None,
        })
    }

    fn region(&self) -> Result<&str, ProviderError> {
        let region = self.region.as_deref();
        region.ok_or_else(|| ProviderError::input("the cloud was asked without a configuration"))
    }

    /// Waits for a minute, unless the caller would rather have an early answer.
    async fn take_time(&self, call: Call<'_>) -> Result<(), ApplyError> {
        if !self.cloud.inner().slow {
            return Ok(());
        }
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if call.is_stopping() {
                self.cloud.note(Asked::Stopped);
                return Err(ApplyError::nothing_happened("it was told to stop"));
            }
        }
        Ok(())
    }

    /// Makes a thing as planned.
    fn made(&self, planned: &Record, id: &str, serial: u64) -> Instance {
        let mut attributes = planned.clone();
        let region = self.region.clone().unwrap_or_default();
        attributes.insert("id".to_owned(), Value::text(id));
        attributes.insert("region".to_owned(), Value::text(region));
        attributes.insert("serial".to_owned(), Value::number(serial));
        attributes.remove("token");
        self.cloud
            .inner()
            .things
            .insert(id.to_owned(), attributes.clone());
        // A day, from the serial's number of days on.
        let day = |days: u64| Timestamp::from_second(1_800_000_000 + 86_400 * days as i64).ok();
        Instance {
            attributes,
            private: Opaque(format!("kept of {id}").into_bytes()),
            due: Some(Due {
                renew: day(serial),
                expire: day(serial + 10),
            }),
        }
    }
}

fn id(instance: &Instance) -> String {
    text(&instance.attributes, "id")
}

fn serial(instance: &Instance) -> u64 {
    match instance.attributes.get("serial") {
        Some(Value::Number(number)) => number.as_u64().unwrap_or(1),
        _ => 1,
    }
}

/// Whether the private bytes of an instance came back as they were given.
fn is_own(instance: &Instance) -> bool {
    instance.private.0 == format!("kept of {}", id(instance)).into_bytes()
}

#[async_trait]
impl Provider for CloudProvider {
    fn schema(&self) -> &ProviderSchema {
        &self.schema
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            configured: true,
            deletes: Some(Reversibility::Reversible),
            at_once: None,
        }
    }

    fn types(&self) -> Vec<TypeName> {
        let names = ["cloud_thing", "cloud_image"].into_iter();
        names.filter_map(|name| TypeName::new(name).ok()).collect()
    }

    async fn type_schema(
        &self,
        r#type: &TypeName,
    ) -> Result<Option<Arc<TypeSchema>>, ProviderError> {
        self.cloud.note(Asked::Type(r#type.to_string()));
        let version = self.cloud.inner().version;
        Ok(match r#type.as_str() {
            "cloud_thing" => Some(Arc::new(types::thing(version))),
            "cloud_image" => Some(Arc::new(types::image())),
            _ => None,
        })
    }

    async fn configure(&self, call: ConfigureCall<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let region = text(call.configuration, "region");
        let key = call.configuration.get("key").cloned().unwrap_or_default();
        let key = reveal(call.call.secrets, call.call.address, &key).await;
        let key = key.map_err(|error| ProviderError::person(error.to_string()))?;
        let key = key.and_then(|key| key.expose_text().map(str::to_owned));
        if region == "nowhere" {
            return Err(ProviderError::later("the region does not answer"));
        }
        let asked = Asked::Configured(region.clone(), key.unwrap_or_default());
        self.cloud.note(asked);
        Ok(Arc::new(Self {
            schema: self.schema.clone(),
            cloud: self.cloud.clone(),
            region: Some(region),
        }))
    }

    fn validate(&self, _: &TypeName, _: &Record) -> Vec<Complaint> {
        Vec::new()
    }

    async fn upgrade(&self, call: UpgradeCall<'_>) -> Result<Instance, ProviderError> {
        self.cloud.note(Asked::Upgraded(call.version));
        let mut stored = call.stored.clone();
        let label = stored.attributes.remove("label");
        stored
            .attributes
            .insert("name".to_owned(), label.unwrap_or_default());
        Ok(stored)
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        self.region()?;
        if !is_own(call.known) {
            return Err(ProviderError::person("the private bytes are not its own"));
        }
        let there = self.cloud.things().get(&id(call.known)).cloned();
        let Some(mut attributes) = there else {
            return Ok(Reading::Gone);
        };
        // What was stored in an older form is there in today's.
        if let Some(label) = attributes.remove("label") {
            attributes.insert("name".to_owned(), label);
        }
        let instance = Instance {
            attributes,
            ..call.known.clone()
        };
        Ok(match self.cloud.inner().stopped {
            true => Reading::Stopped {
                instance,
                why: "it was switched off".to_owned(),
            },
            false => Reading::There(instance),
        })
    }

    async fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        self.region()?;
        let (Some(desired), Some(config)) = (call.desired, call.config) else {
            return Err(ProviderError::person("a delete is not planned"));
        };
        let mut planned = desired.clone();
        planned.remove("token");
        let prior = call.prior.map(|prior| &prior.attributes);
        for name in ["id", "region", "serial"] {
            let kept = prior.and_then(|prior| prior.get(name)).cloned();
            planned.insert(name.to_owned(), kept.unwrap_or(Value::Unknown));
        }
        let moved = prior.is_some_and(|prior| prior.get("zone") != planned.get("zone"));
        if config.get("size") == Some(&Value::number(13)) {
            let path = Path::of("size");
            call.call.note(Diagnostic::warning(path, "brings bad luck"));
        }
        Ok(Proposal {
            planned,
            replace: moved.then(|| Path::of("zone")).into_iter().collect(),
            reversibility: Reversibility::Reversible,
            private: Opaque(b"as it was planned".to_vec()),
            ..Proposal::default()
        })
    }

    async fn fetch(&self, call: FetchCall<'_>) -> Result<Instance, ProviderError> {
        let name = text(call.config, "name");
        self.cloud.note(Asked::Fetched(name.clone()));
        let found = self.cloud.inner().images.get(&name).cloned();
        let id =
            found.ok_or_else(|| ProviderError::input(format!("there is no image `{name}`")))?;
        let mut attributes = call.config.clone();
        attributes.insert("id".to_owned(), Value::text(id));
        Ok(Instance {
            attributes,
            ..Instance::default()
        })
    }

    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        let there = call
            .prior
            .and_then(|prior| self.cloud.things().get(&id(prior)).cloned());
        let kept = Instance {
            attributes: there.unwrap_or_default(),
            ..Instance::default()
        };
        let kept = serde_json::to_vec(&kept);
        kept.map(Opaque)
            .map_err(|error| ProviderError::person(error.to_string()))
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        self.region().map_err(ApplyError::before)?;
        if call.prior.is_some_and(|prior| !is_own(prior)) {
            return Err(ApplyError::nothing_happened(
                "the private bytes are not its own",
            ));
        }
        self.take_time(call.call).await?;
        let Some(planned) = call.planned else {
            let gone = call.prior.map(id).unwrap_or_default();
            if self.cloud.inner().refuses {
                return Err(ApplyError::nothing_happened("the thing is in use"));
            }
            self.cloud.inner().things.remove(&gone);
            self.cloud.note(Asked::Taken(gone));
            return Ok(None);
        };
        if call.private.0 != b"as it was planned" {
            return Err(ApplyError::nothing_happened(
                "the private bytes of the plan are lost",
            ));
        }
        let name = call.prior.map(id).unwrap_or_else(|| self.cloud.new_id());
        let token = call.config.and_then(|config| config.get("token"));
        let token = token.and_then(Value::as_text).map(str::to_owned);
        let region = self.region.clone().unwrap_or_default();
        self.cloud.note(Asked::Made(region, name.clone(), token));
        Ok(Some(self.made(
            planned,
            &name,
            call.prior.map_or(1, serial),
        )))
    }

    async fn renew(&self, call: RenewCall<'_>) -> Result<Instance, ApplyError> {
        let name = id(call.prior);
        self.cloud.note(Asked::Renewed(name.clone()));
        let mut attributes = call.prior.attributes.clone();
        attributes.remove("token");
        Ok(self.made(&attributes, &name, serial(call.prior) + 1))
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let before = call
            .checkpoint
            .before
            .as_ref()
            .map(|before| &before.instance);
        if let (None, Some(after)) = (before, call.after) {
            self.cloud.inner().things.remove(&id(after));
        }
        let kept: Instance = serde_json::from_slice(&call.checkpoint.kept.0)
            .map_err(|error| ApplyError::nothing_happened(error.to_string()))?;
        if let Some(before) = before {
            self.cloud
                .inner()
                .things
                .insert(id(before), kept.attributes);
        }
        Ok(before.cloned())
    }

    async fn locate(&self, _: LocateCall<'_>) -> Result<Located, ProviderError> {
        Ok(Located::CannotTell("the cloud keeps no tokens".to_owned()))
    }

    async fn import(&self, _: ImportCall<'_>) -> Result<Instance, ProviderError> {
        Err(ProviderError::input("nothing is adopted here"))
    }
}
