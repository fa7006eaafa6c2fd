//! Secrets that are made once, whatever dies when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stratum_core::ids::Address;
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, Call, CheckpointCall, LocateCall, Located, PlanCall, Provider, RestoreCall, Secrets,
    Site,
};
use stratum_core::resource::{Checkpoint, Instance, Opaque, ResourceState};
use stratum_core::secret::Secret;
use stratum_core::value::{Record, SecretReference, Value};
use stratum_providers::generated::{Certificate, Maker, PublicKey};
use stratum_testkit::conformance::{self, Case};
use stratum_testkit::sealing::MemorySecrets;

use crate::kept::{record, token};

/// Makes something else each time, and something that tests can read.
#[derive(Default)]
struct Counting(AtomicU64);

impl Counting {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

impl Maker for Counting {
    fn password(&self, length: usize, letters: &str) -> Result<Secret, String> {
        let text = format!("hunter {} of {length} {letters}", self.next());
        Ok(Secret::new(text.into_bytes()))
    }

    fn private_key(&self, algorithm: &str) -> Result<Secret, String> {
        let text = format!("private {} {algorithm}", self.next());
        Ok(Secret::new(text.into_bytes()))
    }

    fn public_key(&self, private: &Secret) -> Result<PublicKey, String> {
        let digest = stratum_core::digest::Digest::of_bytes(private.expose());
        Ok(PublicKey {
            pem: format!("pem {digest}"),
            openssh: format!("ssh {digest}"),
        })
    }

    fn certificate(&self, _: &Secret, says: &Certificate) -> Result<String, String> {
        Ok(format!("certificate {} {}", self.next(), says.common_name))
    }
}

fn provider() -> stratum_providers::TypedProvider {
    stratum_providers::generated::provider(Arc::new(Counting::default())).unwrap()
}

fn site() -> Site {
    Site {
        root: std::env::temp_dir().join("stratum-nothing-lies-here"),
        roots: Vec::new(),
        own: "/nowhere".into(),
        user: None,
        isolation: None,
    }
}

fn case(name: &str, address: &str, create: &str, update: &str) -> Case {
    Case {
        update: Some(record(update)),
        secrets: Arc::new(|| {
            let given = MemorySecrets::default().with("tls", "key", Some(1), b"given");
            Arc::new(given)
        }),
        ..Case::new(
            name,
            address.parse().unwrap(),
            record(create),
            Arc::new(|_| site()),
        )
    }
}

#[tokio::test]
async fn every_type_keeps_to_the_contract() {
    let key = r#"{"$stratum": {"secret": {"path": "tls", "key": "key", "version": 1,
                  "digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}}"#;
    let with = |rest: &str| format!(r#"{{"private_key_pem": {key}, {rest}}}"#);
    let password = Case {
        invalid: vec![
            record(r#"{"length": 7}"#),
            record(r#"{"length": 1025}"#),
            record(&format!(r#"{{"keepers": {key}}}"#)),
        ],
        ..case(
            "a password",
            "t/generated_password.a",
            "{}",
            r#"{"length": 40, "characters": "hex"}"#,
        )
    };
    let private = case(
        "a private key",
        "t/generated_private_key.a",
        r#"{"algorithm": "ed25519"}"#,
        r#"{"algorithm": "ed25519", "keepers": 2}"#,
    );
    let certificate = Case {
        volatile: ["cert_pem", "not_after"].map(str::to_owned).to_vec(),
        invalid: vec![
            record(r#"{"private_key_pem": "in the clear", "common_name": "a"}"#),
            record(&with(r#""common_name": "a", "ip_addresses": ["1.2.3"]"#)),
            record(&with(r#""common_name": "a", "validity": "soon""#)),
            record(&with(r#""common_name": """#)),
        ],
        ..case(
            "a certificate",
            "t/generated_self_signed_cert.a",
            &with(r#""common_name": "a""#),
            &with(r#""common_name": "b", "dns_names": ["b.example.org"]"#),
        )
    };
    let cases = [password, private, certificate];
    let failures = conformance::check(&provider(), &cases).await;
    let shown: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}

/// One resource, driven step by step.
struct Drive {
    provider: stratum_providers::TypedProvider,
    secrets: Arc<MemorySecrets>,
    address: Address,
    site: Site,
}

struct Step {
    prior: Option<Instance>,
    planned: Option<Record>,
    checkpoint: Checkpoint,
    reversibility: Reversibility,
}

impl Drive {
    fn new(address: &str) -> Self {
        Self {
            provider: provider(),
            secrets: Arc::default(),
            address: address.parse().unwrap(),
            site: site(),
        }
    }

    fn call(&self) -> Call<'_> {
        Call {
            address: &self.address,
            site: &self.site,
            timeout: std::time::Duration::from_secs(5),
            secrets: self.secrets.as_ref(),
            stop: None,
            notes: None,
        }
    }

    async fn step(&self, prior: Option<&Instance>, desired: Option<&str>) -> Step {
        let desired = desired.map(record);
        let proposal = self.provider.plan(PlanCall {
            call: self.call(),
            prior,
            desired: desired.as_ref(),
            config: desired.as_ref(),
        });
        let proposal = proposal.await.unwrap();
        let planned = desired.map(|_| proposal.planned);
        let kept = self.provider.checkpoint(CheckpointCall {
            call: self.call(),
            prior,
            planned: planned.as_ref(),
        });
        let kept = kept.await.unwrap();
        let state = |instance: &Instance| -> ResourceState {
            serde_json::from_value(serde_json::json!({
                "address": self.address, "kind": "infrastructure", "provider": "generated",
                "instance": instance, "schema_version": 1, "revision": "0".repeat(40),
            }))
            .unwrap()
        };
        Step {
            prior: prior.cloned(),
            planned,
            checkpoint: Checkpoint {
                before: prior.map(state),
                kept,
            },
            reversibility: proposal.reversibility,
        }
    }

    async fn apply(&self, step: &Step) -> Option<Instance> {
        let call = ApplyCall {
            call: self.call(),
            token: &token(1),
            prior: step.prior.as_ref(),
            planned: step.planned.as_ref(),
            config: step.planned.as_ref(),
            private: &Opaque::default(),
            checkpoint: &step.checkpoint,
        };
        self.provider.apply(call).await.unwrap()
    }

    async fn locate(&self, step: &Step) -> Located {
        let call = LocateCall {
            call: self.call(),
            token: &token(1),
            prior: step.prior.as_ref(),
            planned: step.planned.as_ref(),
            checkpoint: &step.checkpoint,
        };
        self.provider.locate(call).await.unwrap()
    }

    async fn restore(&self, step: &Step) -> Option<Instance> {
        let call = RestoreCall {
            call: self.call(),
            token: &token(1),
            checkpoint: &step.checkpoint,
            planned: step.planned.as_ref(),
            after: None,
        };
        self.provider.restore(call).await.unwrap()
    }

    async fn opened(&self, instance: &Instance) -> String {
        let secret = secret_of(&instance.attributes);
        let opened = self.secrets.open(&self.address, secret).await.unwrap();
        opened.expose_text().unwrap().to_owned()
    }
}

fn secret_of(record: &Record) -> &SecretReference {
    let found = record.values().find_map(|value| match value {
        Value::Secret(secret) => Some(secret),
        _ => None,
    });
    found.unwrap()
}

#[tokio::test]
async fn a_lost_answer_gives_the_secret_that_was_made() {
    for address in ["t/generated_password.a", "t/generated_private_key.a"] {
        let drive = Drive::new(address);
        let step = drive.step(None, Some("{}")).await;
        let planned = secret_of(step.planned.as_ref().unwrap());
        assert_eq!((planned.version, planned.digest), (Some(1), None));
        assert_eq!(drive.locate(&step).await, Located::NotDone);
        let made = drive.apply(&step).await.unwrap();
        // The answer is lost: whoever comes next finds it, and doing it again makes no other.
        let Located::Done(Some(found)) = drive.locate(&step).await else {
            panic!("{address}: it was made, and is not found");
        };
        assert_eq!(found, made);
        assert_eq!(drive.apply(&step).await.unwrap(), made);
        let again = drive.step(Some(&made), Some("{}")).await;
        assert_eq!(
            again.planned.unwrap(),
            made.attributes,
            "nothing is left to do"
        );
        // It is named in what the state keeps, and never there.
        let state = serde_json::to_string(&made).unwrap();
        let clear = drive.opened(&made).await;
        assert!(
            !state.contains(&clear) && state.contains("digest"),
            "{state}"
        );
    }
}

#[tokio::test]
async fn a_new_version_that_is_put_back_is_forgotten_and_the_old_one_stands() {
    let drive = Drive::new("t/generated_password.a");
    let first = drive
        .apply(&drive.step(None, Some("{}")).await)
        .await
        .unwrap();
    let one = drive.opened(&first).await;
    let longer = drive.step(Some(&first), Some(r#"{"length": 64}"#)).await;
    let second = drive.apply(&longer).await.unwrap();
    let two = drive.opened(&second).await;
    assert_ne!(one, two);
    assert_eq!(drive.restore(&longer).await, Some(first.clone()));
    assert_eq!(drive.opened(&first).await, one);
    // Another recipe for the same version: not what was made for the one that was put back.
    let other = drive.step(Some(&first), Some(r#"{"length": 48}"#)).await;
    let third = drive.apply(&other).await.unwrap();
    assert_eq!(secret_of(&third.attributes).version, Some(2));
    assert!(drive.opened(&third).await.contains("of 48"));
    // The one before is kept for a rollback, and no other.
    let fourth = drive
        .step(Some(&third), Some(r#"{"length": 48, "keepers": 4}"#))
        .await;
    drive.apply(&fourth).await.unwrap();
    let kept = drive
        .secrets
        .made(&drive.address, "generated/generated_password.a")
        .await;
    let versions: Vec<u64> = kept.unwrap().iter().map(|made| made.version).collect();
    assert_eq!(versions, [2, 3]);
}

#[tokio::test]
async fn taking_it_away_is_irreversible_and_yet_a_rollback_brings_it_back() {
    let drive = Drive::new("t/generated_password.a");
    let made = drive
        .apply(&drive.step(None, Some("{}")).await)
        .await
        .unwrap();
    let clear = drive.opened(&made).await;
    let gone = drive.step(Some(&made), None).await;
    assert_eq!(gone.reversibility, Reversibility::Irreversible);
    assert_eq!(drive.apply(&gone).await, None);
    assert_eq!(drive.locate(&gone).await, Located::Done(None));
    let reference = secret_of(&made.attributes);
    assert!(drive.secrets.open(&drive.address, reference).await.is_err());
    assert_eq!(drive.restore(&gone).await, Some(made.clone()));
    assert_eq!(drive.opened(&made).await, clear);
}

#[tokio::test]
async fn one_that_is_kept_in_the_repository_waits_until_it_is_there() {
    let drive = Drive::new("t/generated_password.a");
    let plan = async |prior: Option<&Instance>, desired: &str| {
        let call = PlanCall {
            call: drive.call(),
            prior,
            desired: Some(&record(desired)),
            config: Some(&record(desired)),
        };
        drive.provider.plan(call).await
    };
    let waits = plan(None, r#"{"keep": "branch"}"#).await.unwrap_err();
    assert!(
        waits.waits && waits.message.contains("stratum/secrets/t"),
        "{waits}"
    );
    let sealed = |version: u64| {
        let digest = stratum_core::digest::Digest::of_bytes(&[version as u8]);
        format!(
            r#"{{"$stratum": {{"secret": {{"path": "generated/generated_password.a",
                "key": "result", "version": {version}, "digest": "{digest}"}}}}}}"#
        )
    };
    let with = |version, rest: &str| {
        format!(
            r#"{{"keep": "branch", "result": {}{rest}}}"#,
            sealed(version)
        )
    };
    let step = drive.step(None, Some(&with(3, ""))).await;
    let made = drive.apply(&step).await.unwrap();
    assert_eq!(secret_of(&made.attributes).version, Some(3));
    assert_eq!(made.attributes["version"], Value::Number(3.into()));
    // Another recipe needs another version, and then a person may bring it.
    let other = r#", "length": 50"#;
    assert!(plan(Some(&made), &with(3, other)).await.unwrap_err().waits);
    assert!(plan(Some(&made), &with(4, other)).await.is_ok());
    let gone = drive.step(Some(&made), None).await;
    assert_eq!(gone.reversibility, Reversibility::Reversible);
}
