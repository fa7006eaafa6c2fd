//! Giving a keeper its identities, and making its data keys.

use std::sync::PoisonError;

use jiff::Timestamp;
use stratum_core::ports::{KeyRow, SecretError, Standing, StoreError};

use super::{Keeper, Open, Unsealing};
use crate::age::{AgeError, Identity};
use crate::backend::{Crypto, CryptoError};
use crate::rest::{DataKey, DataKeys, RestError};

/// Why the keeper was not unsealed.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// The state has keys, and none of the identities opens them.
    #[error("the state is sealed to another identity: its data key `{key}` does not open")]
    Foreign {
        /// The key.
        key: String,
        /// What went wrong.
        #[source]
        source: RestError,
    },
    /// The state has no key yet, and the identities are not those of the repository.
    #[error(
        "the identity opens none of the sealed values, and `trust/recipients/` does not name it"
    )]
    OpensNothing,
    /// No identity that can be sealed to was given.
    #[error("there is no identity to seal the state to")]
    NoIdentity,
    /// It could not be noted who unsealed it, so it stays sealed.
    #[error("it stays sealed")]
    Unnoted(#[source] SecretError),
    /// A key could not be sealed.
    #[error("the data key could not be sealed")]
    Age(#[from] AgeError),
    /// The state could not be read or written.
    #[error("the keys of the state could not be read or written")]
    Store(#[from] StoreError),
    /// Cryptography did not happen.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl Keeper {
    /// Opens the data keys of the state with these identities, or makes the first. Keys that only
    /// a later identity opens are sealed again to the first: so an identity is changed.
    ///
    /// *Guarantees*: the unsealing was noted before anything can be opened. *Errors*: it then stays
    /// as it was.
    pub async fn unseal(
        &self,
        identities: Vec<Identity>,
        by: Unsealing,
        now: Timestamp,
    ) -> Result<(), UnsealError> {
        let _one_at_a_time = self.changing.lock().await;
        let vault = self.vault()?;
        let crypto = &self.inner.crypto;
        let rows = vault.keys().await?;
        if let (true, Some(trial)) = (rows.is_empty(), self.trial.get())
            && !trial(&identities)
        {
            return Err(UnsealError::OpensNothing);
        }
        let mut changed = Vec::new();
        let mut newest = None;
        let mut older = Vec::new();
        for row in rows {
            let (key, again) = open_key(crypto, &identities, &row)?;
            if let Some(sealed) = again {
                changed.push(KeyRow {
                    sealed,
                    ..row.clone()
                });
            }
            match row.in_use {
                true => newest = Some(key),
                false => older.push(key),
            }
        }
        let newest = match newest {
            Some(key) => key,
            None => {
                let (key, row) = new_key(crypto, &identities, now)?;
                changed.push(row);
                key
            }
        };
        if let Some(witness) = self.witness.get() {
            let recipient = identities.first().and_then(Identity::recipient);
            let recipient = recipient.ok_or(UnsealError::NoIdentity)?.to_string();
            let noted = witness(Unsealing { recipient, ..by }).await;
            noted.map_err(UnsealError::Unnoted)?;
        }
        if !changed.is_empty() {
            vault.put_keys(&changed).await?;
        }
        let keys = assemble(older, newest);
        self.set(Some(Open { identities, keys }));
        self.inner.standing.send_replace(Standing::Open);
        Ok(())
    }

    /// Makes a new data key; what is wrapped under older ones stays readable.
    ///
    /// *Errors*: `NoIdentity` while it is sealed.
    pub async fn rotate(&self, now: Timestamp) -> Result<(), UnsealError> {
        let _one_at_a_time = self.changing.lock().await;
        let vault = self.vault()?;
        let (key, row) = {
            let open = self.read();
            let open = open.as_ref().ok_or(UnsealError::NoIdentity)?;
            new_key(&self.inner.crypto, &open.identities, now)?
        };
        vault.put_keys(std::slice::from_ref(&row)).await?;
        let mut guard = self
            .inner
            .open
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *guard = guard.take().map(|open| Open {
            keys: open.keys.with_newest(key),
            ..open
        });
        Ok(())
    }
}

/// The data key of a row; and the row's key sealed again, when the first identity does not open it.
fn open_key(
    crypto: &Crypto,
    identities: &[Identity],
    row: &KeyRow,
) -> Result<(DataKey, Option<Vec<u8>>), UnsealError> {
    let first = identities.get(..1).unwrap_or_default();
    if let Ok(key) = DataKey::open(crypto, first, &row.sealed) {
        return Ok((key, None));
    }
    let key =
        DataKey::open(crypto, identities, &row.sealed).map_err(|source| UnsealError::Foreign {
            key: row.id.clone(),
            source,
        })?;
    let sealed = seal_key(crypto, identities, &key)?;
    Ok((key, Some(sealed)))
}

fn seal_key(
    crypto: &Crypto,
    identities: &[Identity],
    key: &DataKey,
) -> Result<Vec<u8>, UnsealError> {
    let recipient = identities.first().and_then(Identity::recipient);
    let recipient = recipient.ok_or(UnsealError::NoIdentity)?;
    Ok(key.seal(crypto, &[recipient])?)
}

fn new_key(
    crypto: &Crypto,
    identities: &[Identity],
    now: Timestamp,
) -> Result<(DataKey, KeyRow), UnsealError> {
    let key = DataKey::generate(crypto)?;
    let row = KeyRow {
        id: key.id().to_string(),
        sealed: seal_key(crypto, identities, &key)?,
        made_at: now,
        in_use: true,
    };
    Ok((key, row))
}

fn assemble(older: Vec<DataKey>, newest: DataKey) -> DataKeys {
    let mut older = older.into_iter();
    match older.next() {
        None => DataKeys::new(newest),
        Some(first) => older
            .fold(DataKeys::new(first), DataKeys::with_newest)
            .with_newest(newest),
    }
}
