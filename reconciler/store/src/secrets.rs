//! Sealed values and keys in the store, and wrapping what it holds again.

use std::collections::BTreeMap;

use async_trait::async_trait;
use stratum_core::digest::Digest;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{KeptSecret, KeyRow, MadeSecret, SecretKey, SecretStore, StoreError};

use crate::error::{Failure, unreadable};
use crate::pack::{pack, unpack};
use crate::read;
use crate::read::secret::Stale;
use crate::rest::Table;
use crate::store::{SqliteStore, look};
use crate::write::Write;
use crate::write::made::{Forget, Made, Rewrapped};
use crate::write::mark;
use crate::write::secret::{Again, AgainRow, InForce, Keys, Secrets};

/// What wrapping again did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wrapped {
    /// How many rows were looked at.
    pub examined: usize,
    /// How many of them were wrapped.
    pub rewritten: usize,
}

/// How many rows are wrapped again in one transaction.
const AT_ONCE: u32 = 200;

/// How often it is tried to get past one place.
const PATIENCE: u32 = 8;

/// The tables that are wrapped.
const TABLES: [Table; 4] = [
    Table::Resources,
    Table::Events,
    Table::Plans,
    Table::Observations,
];

#[async_trait]
impl SecretStore for SqliteStore {
    async fn highest(
        &self,
        environment: &EnvironmentName,
    ) -> Result<BTreeMap<SecretKey, u64>, StoreError> {
        look!(
            self.reader,
            "reading the versions of sealed values",
            read::secret::highest,
            environment
        )
    }

    async fn keep_secrets(
        &self,
        environment: &EnvironmentName,
        secrets: &[KeptSecret],
    ) -> Result<(), StoreError> {
        let write = Write::Secrets(Secrets {
            environment: environment.clone(),
            secrets: secrets.to_vec(),
        });
        self.write(write).await.map(|_| ())
    }

    async fn in_force(
        &self,
        environment: &EnvironmentName,
        versions: &BTreeMap<SecretKey, u64>,
    ) -> Result<(), StoreError> {
        let versions = versions
            .iter()
            .map(|(key, version)| (key.clone(), *version));
        let write = Write::InForce(InForce {
            environment: environment.clone(),
            versions: versions.collect(),
        });
        self.write(write).await.map(|_| ())
    }

    async fn kept_secret(
        &self,
        environment: &EnvironmentName,
        digest: &Digest,
    ) -> Result<Option<KeptSecret>, StoreError> {
        look!(
            self.reader,
            "reading a sealed value",
            read::secret::kept,
            environment,
            digest
        )
    }

    async fn keep_made(
        &self,
        environment: &EnvironmentName,
        secrets: &[MadeSecret],
    ) -> Result<(), StoreError> {
        let write = Write::Made(Made {
            environment: environment.clone(),
            secrets: secrets.to_vec(),
        });
        self.write(write).await.map(|_| ())
    }

    async fn made(
        &self,
        environment: &EnvironmentName,
        path: &str,
    ) -> Result<Vec<MadeSecret>, StoreError> {
        look!(
            self.reader,
            "reading secrets that were made here",
            read::made::of_path,
            environment,
            path
        )
    }

    async fn made_secret(
        &self,
        environment: &EnvironmentName,
        digest: &Digest,
    ) -> Result<Option<MadeSecret>, StoreError> {
        look!(
            self.reader,
            "reading a secret that was made here",
            read::made::one,
            environment,
            digest
        )
    }

    async fn forget_made(
        &self,
        environment: &EnvironmentName,
        path: &str,
        versions: &[u64],
    ) -> Result<(), StoreError> {
        let write = Write::Forget(Forget {
            environment: environment.clone(),
            path: path.to_owned(),
            versions: versions.to_vec(),
        });
        self.write(write).await.map(|_| ())
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        look!(
            self.reader,
            "reading the keys of the state",
            read::secret::keys
        )
    }

    async fn put_keys(&self, keys: &[KeyRow]) -> Result<(), StoreError> {
        let write = Write::Keys(Keys {
            keys: keys.to_vec(),
        });
        self.write(write).await.map(|_| ())
    }
}

impl SqliteStore {
    /// Wraps again, under the key in use, what is wrapped under another or not at all. Others go
    /// on reading and writing meanwhile; a row that changes under it is new anyway.
    ///
    /// *Shape*: answers what was done; nothing, when nothing was left or there is no key. What was
    /// found wrapped once is not looked at again: a start costs nothing that grows with history.
    pub async fn wrap_again(&self) -> Result<Wrapped, StoreError> {
        let mut done = Wrapped::default();
        let Some(key) = self.rest.key() else {
            return Ok(done);
        };
        done.rewritten = self.rewrap_made(&key).await?;
        let mut is_new = false;
        for table in TABLES {
            let (mut last, mut same) = (None, 0_u32);
            loop {
                let from = self.mark(table, &key).await?;
                same = if last == Some(from) { same + 1 } else { 0 };
                last = Some(from);
                // A row that changes again and again is written under the key by whoever does it.
                if from == Some(mark::ALL) || same > PATIENCE {
                    break;
                }
                is_new |= from.is_none();
                let stale: Vec<Stale> = self.stale(table, &key, from.unwrap_or(-1)).await?;
                done.examined += stale.len();
                let rows = self.ready(self.rewritten(table, stale), DOING)?;
                done.rewritten += rows.len();
                let again = Again {
                    table,
                    key: key.clone(),
                    from,
                    rows,
                };
                self.write(Write::Again(again)).await?;
            }
        }
        if let Some(writer) = self.shared_writer().filter(|_| done.rewritten > 0) {
            // The whole file is written anew for a new key only; what was written anew otherwise is
            // overwritten where it stood (`secure_delete`), and the log is cut.
            let compacted = writer.compact(is_new).await;
            self.ready(compacted, DOING)?;
        }
        Ok(done)
    }

    async fn mark(&self, table: Table, key: &str) -> Result<Option<i64>, StoreError> {
        look!(
            self.reader,
            "reading what is to be wrapped again",
            read::secret::mark,
            table,
            key
        )
    }

    async fn rewrap_made(&self, key: &str) -> Result<usize, StoreError> {
        let stale: Vec<read::made::Stale> = look!(
            self.reader,
            "reading what is to be wrapped again",
            read::made::stale,
            key
        )?;
        let count = stale.len();
        for (id, environment, secret) in stale {
            let context = secret.context(&environment);
            let after = self.ready(self.rest.rewrap(&context, &secret.wrapped), DOING)?;
            let row = Rewrapped {
                id,
                before: secret.wrapped,
                after,
                wrapped_by: key.to_owned(),
            };
            self.write(Write::Rewrapped(row)).await?;
        }
        Ok(count)
    }

    async fn stale(&self, table: Table, key: &str, after: i64) -> Result<Vec<Stale>, StoreError> {
        look!(
            self.reader,
            "reading what is to be wrapped again",
            read::secret::stale,
            table,
            key,
            after,
            AT_ONCE
        )
    }

    fn rewritten(&self, table: Table, stale: Vec<Stale>) -> Result<Vec<AgainRow>, Failure> {
        let mut rows = Vec::with_capacity(stale.len());
        for (id, name, before) in stale {
            let odd = |why: String| unreadable(format!("a row of `{name}`"), why);
            let text = match table {
                Table::Plans => unpack(&before).map_err(|error| odd(error.to_string()))?,
                Table::Resources | Table::Events | Table::Observations => {
                    String::from_utf8(before.clone()).map_err(|error| odd(error.to_string()))?
                }
            };
            let again = self.rest.again(table, &name, &text)?;
            let after = match table {
                Table::Plans => pack(&again),
                Table::Resources | Table::Events | Table::Observations => again.into_bytes(),
            };
            rows.push(AgainRow { id, before, after });
        }
        Ok(rows)
    }
}

/// What is being done, for errors.
const DOING: &str = "wrapping the state again";
