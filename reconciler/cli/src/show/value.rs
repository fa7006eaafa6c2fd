//! Values of attributes, on one line.

use stratum_core::value::{SecretReference, Value};

use crate::style::harmless;

/// What stands for a value that is not known before the apply.
pub(crate) const UNKNOWN: &str = "(known after apply)";

/// What stands for a value that is not shown.
pub(crate) const SENSITIVE: &str = "(sensitive)";

/// A value on one line: JSON, with words in brackets for what JSON cannot say.
pub(crate) fn line(value: &Value) -> String {
    match value {
        Value::Unknown | Value::Reference(_) | Value::Join(_) => UNKNOWN.to_owned(),
        Value::Secret(secret) => sealed(secret),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(line).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Record(record) if record.is_empty() => "{}".to_owned(),
        Value::Record(record) => {
            let fields: Vec<String> = record
                .iter()
                .map(|(key, value)| format!("{}: {}", harmless(key), line(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Text(text) => quoted(text),
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
    }
}

fn sealed(secret: &SecretReference) -> String {
    match &secret.digest {
        Some(digest) => format!("(sealed {})", digest.short()),
        None => format!(
            "(sealed {}#{})",
            harmless(&secret.path),
            harmless(&secret.key)
        ),
    }
}

fn quoted(text: &str) -> String {
    let escaped = serde_json::Value::from(text).to_string();
    harmless(&escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_with_words_for_the_rest() {
        let value: Value =
            serde_json::from_str(r#"{"a":[1,true,null,"x\ny"],"b":{"$stratum":"unknown"},"c":{}}"#)
                .unwrap();
        let expected = r#"{ a: [1, true, null, "x\ny"], b: (known after apply), c: {} }"#;
        assert_eq!(line(&value), expected);
    }

    #[test]
    fn secrets_are_digests_or_names_and_never_values() {
        let digest = stratum_core::digest::Digest::of_bytes(b"");
        let mut secret = SecretReference {
            path: "db".to_owned(),
            key: "password".to_owned(),
            version: None,
            digest: None,
        };
        assert_eq!(line(&Value::Secret(secret.clone())), "(sealed db#password)");
        secret.digest = Some(digest);
        assert_eq!(line(&Value::Secret(secret)), "(sealed e3b0c44298fc)");
    }
}
