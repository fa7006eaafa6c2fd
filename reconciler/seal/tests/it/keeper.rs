//! The keeper: nothing is opened that was not noted, and nothing of another place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use stratum_core::digest::Digest;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::ports::{
    KeptSecret, KeyRow, MadeSecret, SecretError, SecretKey, SecretStore, Secrets as _, Standing,
    StoreError,
};
use stratum_core::value::SecretReference;
use stratum_seal::age;
use stratum_seal::keeper::{Keeper, Reading, Unsealing};

use crate::support::{World, time};

/// A vault in memory.
#[derive(Default)]
struct Vault {
    kept: Mutex<Vec<KeptSecret>>,
    keys: Mutex<Vec<KeyRow>>,
}

#[async_trait]
impl SecretStore for Vault {
    async fn highest(&self, _: &EnvironmentName) -> Result<BTreeMap<SecretKey, u64>, StoreError> {
        Ok(BTreeMap::new())
    }

    async fn keep_secrets(
        &self,
        _: &EnvironmentName,
        secrets: &[KeptSecret],
    ) -> Result<(), StoreError> {
        self.kept.lock().unwrap().extend_from_slice(secrets);
        Ok(())
    }

    async fn in_force(
        &self,
        _: &EnvironmentName,
        _: &BTreeMap<SecretKey, u64>,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn kept_secret(
        &self,
        _: &EnvironmentName,
        digest: &Digest,
    ) -> Result<Option<KeptSecret>, StoreError> {
        let kept = self.kept.lock().unwrap();
        Ok(kept.iter().find(|one| one.digest == *digest).cloned())
    }

    async fn keep_made(&self, _: &EnvironmentName, _: &[MadeSecret]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn made(&self, _: &EnvironmentName, _: &str) -> Result<Vec<MadeSecret>, StoreError> {
        Ok(Vec::new())
    }

    async fn made_secret(
        &self,
        _: &EnvironmentName,
        _: &Digest,
    ) -> Result<Option<MadeSecret>, StoreError> {
        Ok(None)
    }

    async fn forget_made(&self, _: &EnvironmentName, _: &str, _: &[u64]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        Ok(self.keys.lock().unwrap().clone())
    }

    async fn put_keys(&self, keys: &[KeyRow]) -> Result<(), StoreError> {
        self.keys.lock().unwrap().extend_from_slice(keys);
        Ok(())
    }
}

/// What was noted, and whether noting works.
#[derive(Default)]
struct Notes {
    lines: Mutex<Vec<String>>,
    broken: Mutex<bool>,
}

impl Notes {
    fn take(&self, line: String) -> Result<(), SecretError> {
        if *self.broken.lock().unwrap() {
            return Err(SecretError::Unaudited("the disk is full".to_owned()));
        }
        self.lines.lock().unwrap().push(line);
        Ok(())
    }
}

/// A keeper whose readings and unsealings are noted, with one sealed value at hand.
struct Scene {
    world: World,
    keeper: Keeper,
    notes: Arc<Notes>,
    vault: Arc<Vault>,
    value: KeptSecret,
}

impl Scene {
    fn new() -> Self {
        let world = World::new("openssl");
        let recipients = std::slice::from_ref(&world.recipient);
        let age = age::seal(&world.crypto, recipients, &[], b"hunter2").unwrap();
        let value = KeptSecret {
            path: "payments/db".to_owned(),
            key: "password".to_owned(),
            version: 7,
            digest: Digest::of_bytes(&age),
            age,
        };
        let vault = Arc::new(Vault::default());
        vault.kept.lock().unwrap().push(value.clone());
        let keeper = Keeper::new(world.crypto.clone(), "it has no identity");
        keeper.attach(&(vault.clone() as Arc<dyn SecretStore>));
        let notes = Arc::new(Notes::default());
        let (reads, unsealings) = (Arc::clone(&notes), Arc::clone(&notes));
        keeper.noted_by(
            Arc::new(move |reader: &Address, kept: Reading| {
                let line = format!("{reader} {}#{} v{}", kept.path, kept.key, kept.version);
                let noted = reads.take(line);
                Box::pin(async move { noted })
            }),
            Arc::new(move |by: Unsealing| {
                let noted = unsealings.take(format!("{} {:?} {}", by.how, by.users, by.recipient));
                Box::pin(async move { noted })
            }),
        );
        Self {
            world,
            keeper,
            notes,
            vault,
            value,
        }
    }

    async fn unseal(&self) -> Result<(), stratum_seal::keeper::UnsealError> {
        let text = self.world.identity.to_text().unwrap();
        let text = text.expose_text().unwrap();
        let identity = age::Identity::parse(&self.world.crypto, text).unwrap();
        let by = Unsealing {
            users: vec![1000],
            ..Unsealing::by("socket")
        };
        self.keeper.unseal(vec![identity], by, time()).await
    }

    async fn open(&self, path: &str, key: &str) -> Result<Vec<u8>, SecretError> {
        let reference = SecretReference {
            path: path.to_owned(),
            key: key.to_owned(),
            // What the plan says may be missing; what is kept is not.
            version: None,
            digest: Some(self.value.digest),
        };
        let reader = "production/local_file.conf".parse().unwrap();
        let opened = self.keeper.open(&reader, &reference).await;
        opened.map(|secret| secret.expose().to_vec())
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(work)
}

#[test]
fn each_unsealing_and_each_reading_is_noted_with_what_is_real() {
    block_on(async {
        let scene = Scene::new();
        assert!(matches!(
            scene.open("payments/db", "password").await,
            Err(SecretError::Sealed(_))
        ));
        scene.unseal().await.unwrap();
        let opened = scene.open("payments/db", "password").await.unwrap();
        assert_eq!(opened, b"hunter2");
        let expected = [
            format!("socket [1000] {}", scene.world.recipient),
            "production/local_file.conf payments/db#password v7".to_owned(),
        ];
        assert_eq!(*scene.notes.lines.lock().unwrap(), expected);
    });
}

#[test]
fn what_cannot_be_noted_does_not_happen() {
    block_on(async {
        let scene = Scene::new();
        *scene.notes.broken.lock().unwrap() = true;
        let error = scene.unseal().await.unwrap_err();
        assert_eq!(error.to_string(), "it stays sealed");
        assert!(matches!(scene.keeper.standing(), Standing::Sealed(_)));
        assert!(
            scene.vault.keys.lock().unwrap().is_empty(),
            "a key was made"
        );
        *scene.notes.broken.lock().unwrap() = false;
        scene.unseal().await.unwrap();
        *scene.notes.broken.lock().unwrap() = true;
        let error = scene.open("payments/db", "password").await.unwrap_err();
        assert!(matches!(error, SecretError::Unaudited(_)), "{error}");
    });
}

#[test]
fn a_reference_to_another_place_opens_nothing() {
    block_on(async {
        let scene = Scene::new();
        scene.unseal().await.unwrap();
        for (path, key) in [("payments/db", "other"), ("other", "password")] {
            let error = scene.open(path, key).await.unwrap_err();
            assert!(matches!(error, SecretError::Unopened { .. }), "{error}");
            assert!(
                error.to_string().contains("`password` of `payments/db`"),
                "{error}"
            );
        }
        assert_eq!(scene.notes.lines.lock().unwrap().len(), 1);
    });
}
