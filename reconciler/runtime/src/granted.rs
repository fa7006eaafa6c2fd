//! The secrets of one call: only those that the approved step, or what is known of the resource,
//! names for this very resource.

use std::sync::Arc;

use async_trait::async_trait;
use stratum_core::ids::Address;
use stratum_core::ports::{AtRest, MadeSecret, Marker, SecretError, SecretName, Secrets, Standing};
use stratum_core::redact::Redactor;
use stratum_core::secret::Secret;
use stratum_core::value::{Record, SecretReference};

/// Opens the secrets that were granted to one call, and no others.
///
/// *Guarantees*: whatever a provider asks for, a secret is opened only if one of the records that
/// the call is about names it, at this version; those records were verified and approved, or were
/// checked when a provider answered them.
pub(crate) struct Granted<'a> {
    secrets: &'a dyn Secrets,
    named: Vec<&'a SecretReference>,
}

impl<'a> Granted<'a> {
    /// Grants what these records name.
    pub(crate) fn to(
        secrets: &'a dyn Secrets,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Self {
        let mut named = Vec::new();
        for value in records.into_iter().flat_map(Record::values) {
            value.secrets(&mut |secret| named.push(secret));
        }
        Self { secrets, named }
    }

    /// Takes what is granted out of what is said by somebody who was not given it in a call, such
    /// as a health check. What cannot be opened is not looked for.
    pub(crate) async fn redactor(&self, reader: &Address) -> Redactor {
        let mut opened = Vec::new();
        for reference in &self.named {
            opened.extend(self.secrets.open(reader, reference).await.ok());
        }
        Redactor::new(opened.iter().filter_map(Secret::expose_text))
    }
}

#[async_trait]
impl Secrets for Granted<'_> {
    fn standing(&self) -> Standing {
        self.secrets.standing()
    }

    async fn open(
        &self,
        reader: &Address,
        reference: &SecretReference,
    ) -> Result<Secret, SecretError> {
        if !self.named.iter().any(|named| named.refined_by(reference)) {
            return Err(SecretError::Denied {
                path: reference.path.clone(),
                key: reference.key.clone(),
                why: "what was approved for this resource does not name it".to_owned(),
            });
        }
        self.secrets.open(reader, reference).await
    }

    async fn keep(
        &self,
        owner: &Address,
        name: &SecretName,
        secret: &Secret,
    ) -> Result<SecretReference, SecretError> {
        self.secrets.keep(owner, name, secret).await
    }

    async fn made(&self, owner: &Address, path: &str) -> Result<Vec<MadeSecret>, SecretError> {
        self.secrets.made(owner, path).await
    }

    async fn put_back(&self, owner: &Address, secrets: &[MadeSecret]) -> Result<(), SecretError> {
        self.secrets.put_back(owner, secrets).await
    }

    async fn forget(
        &self,
        owner: &Address,
        path: &str,
        versions: &[u64],
    ) -> Result<(), SecretError> {
        self.secrets.forget(owner, path, versions).await
    }

    async fn changed(&self, known: &Standing) {
        self.secrets.changed(known).await;
    }
}

impl AtRest for Granted<'_> {
    fn key(&self) -> Option<String> {
        self.secrets.key()
    }

    fn wrap(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>, SecretError> {
        self.secrets.wrap(context, plain)
    }

    fn unwrap(&self, context: &str, wrapped: &[u8]) -> Result<Secret, SecretError> {
        self.secrets.unwrap(context, wrapped)
    }

    fn marker(&self) -> Result<Arc<dyn Marker>, SecretError> {
        self.secrets.marker()
    }
}

#[cfg(test)]
mod tests {
    use stratum_core::digest::Digest;
    use stratum_core::ports::NoSecrets;
    use stratum_core::value::Value;

    use super::*;

    fn secret(key: &str, digest: Option<&str>) -> SecretReference {
        SecretReference {
            path: "db".to_owned(),
            key: key.to_owned(),
            version: Some(1),
            digest: digest.map(|text| Digest::of_bytes(text.as_bytes())),
        }
    }

    #[tokio::test]
    async fn only_what_is_named_is_opened() {
        let reader: Address = "e/t.a".parse().unwrap();
        let named = Value::list(vec![
            Value::secret(secret("password", Some("x"))),
            Value::secret(secret("made", None)),
        ]);
        let record = Record::from([("env".to_owned(), named)]);
        let granted = Granted::to(&NoSecrets, [&record]);
        // What is granted goes on to whoever opens, who is sealed here.
        for asked in [secret("password", Some("x")), secret("made", Some("y"))] {
            let answer = granted.open(&reader, &asked).await;
            assert!(matches!(answer, Err(SecretError::Sealed(_))), "{asked:?}");
        }
        for asked in [secret("password", Some("y")), secret("other", Some("x"))] {
            let answer = granted.open(&reader, &asked).await;
            assert!(
                matches!(answer, Err(SecretError::Denied { .. })),
                "{asked:?}"
            );
        }
    }
}
