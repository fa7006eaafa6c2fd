//! The identity of the reconciler: given at the start, or later over its socket.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use base64::Engine as _;
use stratum_core::audit::{AuditEntry, Named, Principal, Role, What};
use stratum_core::ids::{Address, ObjectId};
use stratum_core::kinds::secret::SUFFIX;
use stratum_core::ports::{Audit as _, Repository as _, SecretError, SecretStore, Tree};
use stratum_repo::GitRepository;
use stratum_seal::Crypto;
use stratum_seal::age::{self, Identity};
use stratum_seal::keeper::{Keeper, Permit, Reading, Trial, Unsealing, Witness};
use stratum_seal::memory::Hardening;
use stratum_seal::value::LARGEST;
use stratum_store::SqliteStore;

use crate::crypto::crypto;
use crate::error::{AssemblyError, chain};
use crate::keys;
use crate::place::Place;
use crate::readable::SEALED;
use crate::seal_check::files;
use crate::unsealing;

/// What is said when keys could be swapped out.
pub const NOT_LOCKED: &str = "keys are not locked into memory here (RLIMIT_MEMLOCK), so they \
                                     could be swapped out: `stratum doctor` says what to do";

/// What opens secrets, and the store that it wraps.
pub struct Guarded {
    /// Opens secrets.
    pub keeper: Keeper,
    /// The state.
    pub store: Arc<SqliteStore>,
    /// What the system granted to keep secrets in this process.
    pub hardening: Hardening,
    crypto: Crypto,
}

/// Keeps secrets in this process, as far as the system grants it.
pub fn harden() -> Result<Hardening, AssemblyError> {
    stratum_seal::memory::harden().map_err(AssemblyError::Harden)
}

impl Guarded {
    /// Lets nobody look into this process, and gives the keeper the identities that were named, or
    /// the one that is found. What the state holds is wrapped then.
    pub async fn open(
        store: SqliteStore,
        place: &Place,
        named: &[PathBuf],
    ) -> Result<Self, AssemblyError> {
        let hardening = harden()?;
        let crypto = crypto()?;
        let keeper = Keeper::new(crypto.clone(), SEALED);
        let store = Arc::new(store.wrapped_by(Arc::new(keeper.clone())));
        let vault: Arc<dyn SecretStore> = store.clone();
        keeper.attach(&vault);
        if store.audits() {
            keeper.noted_by(reading(&store), unsealing(&store));
        }
        keeper.tried_by(trial(Arc::clone(&place.repository), crypto.clone()));
        unseal(&keeper, &crypto, named).await?;
        let rows = store.wrap_again().await?.rewritten;
        if rows > 0 {
            tracing::info!(rows, "the state is wrapped under its data key now");
        }
        Ok(Self {
            keeper,
            store,
            hardening,
            crypto,
        })
    }

    /// Listens for whoever unseals it, or changes its data key; says why when it cannot.
    pub fn listen(&self, place: &Place) -> Result<(), std::io::Error> {
        let store = Arc::clone(&self.store);
        let rewrap = move || {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                // Until nothing is left: what was being written meanwhile may be under the old key.
                loop {
                    match store.wrap_again().await.map(|done| done.rewritten) {
                        Ok(0) => return,
                        Ok(rows) => tracing::info!(rows, "wrapped again under the data key"),
                        Err(error) => {
                            tracing::warn!(%error, "the state is not yet wrapped under its new key");
                            return;
                        }
                    }
                }
            });
        };
        let (keeper, crypto) = (self.keeper.clone(), self.crypto.clone());
        unsealing::listen(&place.state, keeper, crypto, Arc::new(rewrap))
    }
}

/// Tries identities on what HEAD has.
fn trial(repository: Arc<GitRepository>, crypto: Crypto) -> Trial {
    Arc::new(move |identities| {
        // A repository that cannot be read says nothing about an identity.
        let head = repository.resolve("HEAD");
        let tree = head.and_then(|head| repository.tree(&head));
        tree.map_or(true, |tree| is_of(tree.as_ref(), &crypto, identities))
    })
}

/// The most sealed values that are tried.
const TRIED: usize = 1000;

/// Whether identities open a sealed value of a tree, or are named as recipients there; also where
/// there are no sealed values.
fn is_of(tree: &dyn Tree, crypto: &Crypto, identities: &[Identity]) -> bool {
    let own = identities.iter().filter_map(Identity::recipient);
    let own: Vec<String> = own.map(|recipient| recipient.to_string()).collect();
    let recipients = files(tree, "trust/recipients").unwrap_or_default();
    let text = |(file, id): &(String, ObjectId)| {
        let bytes = tree.blob(id, file).ok()?;
        String::from_utf8(bytes).ok()
    };
    let named = |text: String| own.iter().any(|key| text.contains(key.as_str()));
    if recipients.iter().filter_map(text).any(named) {
        return true;
    }
    let files = files(tree, "secrets").unwrap_or_default();
    let sealed = files.iter().filter(|(file, _)| file.ends_with(SUFFIX));
    let documents = sealed.filter_map(|file| stratum_load::read_sealed(&file.0, &text(file)?).ok());
    let values = documents.flat_map(|document| document.file.values.into_values());
    let mut values = values.take(TRIED).peekable();
    values.peek().is_none() || values.any(|value| opens(crypto, identities, &value.age))
}

fn opens(crypto: &Crypto, identities: &[Identity], age: &str) -> bool {
    let bytes = base64::engine::general_purpose::STANDARD.decode(age);
    bytes.is_ok_and(|bytes| age::open(crypto, identities, &bytes, LARGEST).is_ok())
}

/// Writes each reading of a secret to the audit log; what cannot be written is not read.
fn reading(store: &Arc<SqliteStore>) -> Permit {
    let store = Arc::downgrade(store);
    Arc::new(move |reader: &Address, secret: Reading| {
        let entry = AuditEntry {
            at: jiff::Timestamp::now(),
            environment: Some(reader.environment.clone()),
            run: None,
            principal: Principal::Reconciler,
            what: What::SecretRead {
                path: format!("secrets/{}/{}", reader.environment, secret.path),
                key: secret.key,
                version: secret.version,
                sealed: secret.digest,
                purpose: reader.to_string(),
            },
            people: Vec::new(),
        };
        Box::pin(log(store.clone(), entry))
    })
}

/// Writes each unsealing to the audit log: how, by whom, as which recipient.
fn unsealing(store: &Arc<SqliteStore>) -> Witness {
    let store = Arc::downgrade(store);
    Arc::new(move |by: Unsealing| {
        let name = |user: u32| Named {
            role: Role::Operator,
            name: format!("user {user}"),
        };
        let entry = AuditEntry {
            at: jiff::Timestamp::now(),
            environment: None,
            run: None,
            principal: match by.users.is_empty() {
                true => Principal::Reconciler,
                false => Principal::Operator,
            },
            what: What::Unsealed {
                how: by.how.to_owned(),
                recipient: by.recipient,
            },
            people: by.users.into_iter().map(name).collect(),
        };
        Box::pin(log(store.clone(), entry))
    })
}

/// Writes one entry; durable when it returns.
async fn log(store: Weak<SqliteStore>, entry: AuditEntry) -> Result<(), SecretError> {
    let closed = || SecretError::Unaudited("the state is closed".to_owned());
    let store = store.upgrade().ok_or_else(closed)?;
    let logged = store.log(&[entry]).await;
    logged.map_err(|error| SecretError::Unaudited(chain(&error)))
}

/// Gives the keeper its identity, if there is one.
async fn unseal(keeper: &Keeper, crypto: &Crypto, named: &[PathBuf]) -> Result<(), AssemblyError> {
    let mut paths = named.to_vec();
    if paths.is_empty() {
        paths.extend(keys::identity_path(None));
    }
    let mut identities = Vec::new();
    for path in &paths {
        identities.extend(keys::identities_of(crypto, path)?);
    }
    if identities.is_empty() {
        return Ok(());
    }
    let by = Unsealing::by("file");
    let unsealed = keeper.unseal(identities, by, jiff::Timestamp::now()).await;
    unsealed.map_err(AssemblyError::Unseal)
}
