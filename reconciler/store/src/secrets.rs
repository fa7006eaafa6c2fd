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
use crate::write::secret::{Again, AgainRow, InForce, Keys, Secrets};

/// How many rows are wrapped again in one transaction.
const AT_ONCE: u32 = 200;

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
    /// *Shape*: answers how many rows were wrapped; 0 means that nothing was left, or that there
    /// is no key.
    pub async fn wrap_again(&self) -> Result<usize, StoreError> {
        let Some(key) = self.rest.key() else {
            return Ok(0);
        };
        let mut count = self.rewrap_made(&key).await?;
        for table in TABLES {
            let mut after = -1;
            loop {
                let stale: Vec<Stale> = self.stale(table, &key, after).await?;
                let Some(last) = stale.last() else { break };
                after = last.0;
                let rows = self.ready(self.rewritten(table, &key, stale), DOING)?;
                count += rows.len();
                if !rows.is_empty() {
                    self.write(Write::Again(Again { table, rows })).await?;
                }
            }
        }
        if let Some(writer) = self.shared_writer().filter(|_| count > 0) {
            let done = writer.compact().await;
            self.ready(done, DOING)?;
        }
        Ok(count)
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

    fn rewritten(
        &self,
        table: Table,
        key: &str,
        stale: Vec<Stale>,
    ) -> Result<Vec<AgainRow>, Failure> {
        let mut rows = Vec::with_capacity(stale.len());
        for (id, name, before) in stale {
            let odd = |why: String| unreadable(format!("a row of `{name}`"), why);
            let text = match table {
                Table::Plans => unpack(&before).map_err(|error| odd(error.to_string()))?,
                Table::Resources | Table::Events | Table::Observations => {
                    String::from_utf8(before.clone()).map_err(|error| odd(error.to_string()))?
                }
            };
            if table == Table::Plans && text.contains(&format!("\"key\":\"{key}\"")) {
                continue;
            }
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
