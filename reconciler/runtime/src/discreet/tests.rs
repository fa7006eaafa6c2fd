use std::collections::BTreeMap;
use std::time::Duration;

use stratum_core::ids::{Address, ProviderName};
use stratum_core::ports::Site;
use stratum_core::value::{Path, SecretReference, Value};
use stratum_testkit::sealing::MemorySecrets;

use super::*;

/// Tells everything that it was given, in every way that a provider has.
struct Blabs {
    schema: ProviderSchema,
    token: String,
}

impl Blabs {
    fn new(token: &str) -> Self {
        Self {
            schema: ProviderSchema {
                provider: ProviderName::new("blabs").unwrap(),
                version: "1".to_owned(),
                types: BTreeMap::new(),
            },
            token: token.to_owned(),
        }
    }

    async fn says(&self, call: Call<'_>) -> String {
        let secret = call.secrets.open(call.address, &reference()).await.unwrap();
        let text = secret.expose_text().unwrap();
        call.note(Diagnostic::warning(Path::of("x"), format!("noted {text}")));
        format!("denied for {text} with {}", self.token)
    }

    async fn refuses(&self, call: Call<'_>) -> ProviderError {
        let said = self.says(call).await;
        let about = Diagnostic::error(Path::of("x"), said.clone()).hint(said.clone());
        ProviderError::input(said).about(vec![about])
    }
}

#[async_trait]
impl Provider for Blabs {
    fn schema(&self) -> &ProviderSchema {
        &self.schema
    }
    fn validate(&self, _: &TypeName, _: &Record) -> Vec<Diagnostic> {
        Vec::new()
    }
    async fn configure(&self, call: ConfigureCall<'_>) -> Result<Arc<dyn Provider>, ProviderError> {
        let secret = call
            .call
            .secrets
            .open(call.call.address, &token())
            .await
            .unwrap();
        let token = secret.expose_text().unwrap();
        match call.configuration.is_empty() {
            true => Err(ProviderError::later(format!("401 for {token}"))),
            false => Ok(Arc::new(Self::new(token))),
        }
    }
    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        let why = self.says(call.call).await;
        let instance = call.known.clone();
        Ok(Reading::Stopped { instance, why })
    }
    async fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        let warnings = self.refuses(call.call).await.diagnostics;
        Ok(Proposal {
            warnings,
            ..Proposal::default()
        })
    }
    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        Err(self.refuses(call.call).await)
    }
    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        Err(ApplyError::before(self.refuses(call.call).await))
    }
    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        Err(ApplyError::unknown(self.says(call.call).await))
    }
    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        Ok(Located::CannotTell(self.says(call.call).await))
    }
    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        Err(self.refuses(call.call).await)
    }
}

fn named(key: &str) -> SecretReference {
    SecretReference {
        path: "db".to_owned(),
        key: key.to_owned(),
        version: Some(1),
        digest: None,
    }
}

fn reference() -> SecretReference {
    named("password")
}

fn token() -> SecretReference {
    named("token")
}

fn secrets() -> MemorySecrets {
    let secrets = MemorySecrets::default();
    let secrets = secrets.with("db", "password", Some(1), b"hunter2-canary");
    secrets.with("db", "token", Some(1), b"token-canary")
}

fn site() -> Site {
    Site {
        root: "/srv".into(),
        roots: Vec::new(),
        own: "/var".into(),
        user: None,
        isolation: None,
    }
}

fn silent(said: &impl std::fmt::Debug) {
    let said = format!("{said:?}");
    assert!(!said.contains("canary"), "{said}");
    assert!(said.contains("(secret)"), "{said}");
}

#[tokio::test]
async fn no_way_of_saying_something_tells_a_secret() {
    let (secrets, site, notes) = (secrets(), site(), Notes::default());
    let address: Address = "e/t.a".parse().unwrap();
    let call = Call {
        notes: Some(&notes),
        ..Call::new(&address, &site, Duration::from_secs(1), &secrets)
    };
    let name = ProviderName::new("blabs.eu").unwrap();
    let bare = Discreet::around(Arc::new(Blabs::new("")));
    let configuration = Record::from([("region".to_owned(), Value::text("eu"))]);
    let configured = ConfigureCall {
        call,
        name: &name,
        configuration: &configuration,
    };
    let empty = Record::new();
    let refused = ConfigureCall {
        configuration: &empty,
        ..configured
    };
    silent(&bare.configure(refused).await.err().unwrap());
    let handle = bare.configure(configured).await.unwrap();
    let known = Instance::default();
    silent(
        &handle
            .read(ReadCall {
                call,
                known: &known,
            })
            .await,
    );
    let plan = PlanCall {
        call,
        prior: None,
        desired: None,
        config: None,
    };
    silent(&handle.plan(plan).await);
    let checkpoint = CheckpointCall {
        call,
        prior: None,
        planned: None,
    };
    silent(&handle.checkpoint(checkpoint).await);
    let import = ImportCall {
        call,
        id: "x",
        desired: &empty,
    };
    silent(&handle.import(import).await);
    silent(&notes.take());
}
