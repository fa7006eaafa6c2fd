//! The secrets of one call: only those that the approved step, or what is known of the resource,
//! names for this very resource.

use stratum_core::ids::Address;
use stratum_core::ports::{SecretError, Secrets};
use stratum_core::redact::Redactor;
use stratum_core::secret::Secret;
use stratum_core::value::{Record, SecretReference};

use crate::handed::{Between, Handed};

/// Opens the secrets that were granted to one call, and no others.
///
/// *Guarantees*: whatever a provider asks for, a secret is opened only if one of the records that
/// the call is about names it, at this version; those records were verified and approved, or were
/// checked when a provider answered them.
pub(crate) type Granted<'a> = Handed<Grant<'a>>;

/// What was granted.
pub(crate) struct Grant<'a> {
    secrets: &'a dyn Secrets,
    named: Vec<&'a SecretReference>,
}

impl<'a> Handed<Grant<'a>> {
    /// Grants what these records name.
    pub(crate) fn to(
        secrets: &'a dyn Secrets,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Self {
        let mut named = Vec::new();
        for value in records.into_iter().flat_map(Record::values) {
            value.secrets(&mut |secret| named.push(secret));
        }
        Self(Grant { secrets, named })
    }

    /// Takes what is granted out of what is said by somebody who was not given it in a call, such
    /// as a health check. What cannot be opened is not looked for.
    pub(crate) async fn redactor(&self, reader: &Address) -> Redactor {
        let mut opened = Vec::new();
        for reference in &self.0.named {
            opened.extend(self.0.secrets.open(reader, reference).await.ok());
        }
        Redactor::new(opened.iter().filter_map(Secret::expose_text))
    }
}

impl Between for Grant<'_> {
    fn secrets(&self) -> &dyn Secrets {
        self.secrets
    }

    fn may_open(&self, reference: &SecretReference) -> Result<(), SecretError> {
        if self.named.iter().any(|named| named.refined_by(reference)) {
            return Ok(());
        }
        Err(SecretError::Denied {
            path: reference.path.clone(),
            key: reference.key.clone(),
            why: "what was approved for this resource does not name it".to_owned(),
        })
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
