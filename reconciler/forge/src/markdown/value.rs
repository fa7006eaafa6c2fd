//! Values of attributes, on one line, for a fenced block.

use stratum_core::value::{SecretReference, Value};

use crate::markdown::escape::{cut, harmless};

/// Characters of one value that are shown before the rest is only counted.
const LONGEST: usize = 300;

/// A value on one line: JSON, with words in brackets for what JSON cannot say.
pub(crate) fn line(value: &Value) -> String {
    cut(&whole(value), LONGEST)
}

fn whole(value: &Value) -> String {
    match value {
        Value::Unknown | Value::Reference(_) | Value::Join(_) => "(known after apply)".to_owned(),
        Value::Secret(secret) => sealed(secret),
        Value::Typed(typed) => whole(&typed.value),
        Value::List(items) | Value::Set(items) => {
            let items: Vec<String> = items.iter().map(whole).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Record(record) if record.is_empty() => "{}".to_owned(),
        Value::Record(record) => {
            let fields: Vec<String> = record
                .iter()
                .map(|(key, value)| format!("{}: {}", harmless(key), whole(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Text(text) => harmless(&serde_json::Value::from(text.as_str()).to_string()),
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
    }
}

/// A secret by its digest and version, or by its name where the file was not read.
fn sealed(secret: &SecretReference) -> String {
    let version = secret.version.map(|version| format!(" v{version}"));
    let version = version.unwrap_or_default();
    match &secret.digest {
        Some(digest) => format!("(sealed {}{version})", digest.short()),
        None => {
            let (path, key) = (harmless(&secret.path), harmless(&secret.key));
            format!("(sealed {path}#{key}{version})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_core::digest::Digest;

    #[test]
    fn secrets_are_digests_and_versions() {
        let mut secret = SecretReference {
            path: "db".to_owned(),
            key: "password".to_owned(),
            version: Some(3),
            digest: None,
        };
        let shown = |secret: &SecretReference| line(&Value::secret(secret.clone()));
        assert_eq!(shown(&secret), "(sealed db#password v3)");
        secret.digest = Some(Digest::of_bytes(b""));
        assert_eq!(shown(&secret), "(sealed e3b0c44298fc v3)");
    }

    #[test]
    fn a_long_value_is_cut() {
        let text = line(&Value::text("x".repeat(1000)));
        assert!(
            text.chars().count() < 340 && text.ends_with("(1002 characters)"),
            "{text}"
        );
    }
}
