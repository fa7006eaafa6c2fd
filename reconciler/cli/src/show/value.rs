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
        Value::Secret(secret) => sealed(secret),
        Value::Join(parts) if value.is_known() => joined(parts),
        Value::Unknown | Value::Reference(_) | Value::Join(_) => UNKNOWN.to_owned(),
        Value::Typed(typed) => line(&typed.value),
        Value::List(items) | Value::Set(items) => {
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

/// Text with secrets in it: the text as it is, the secrets by what they are called.
fn joined(parts: &[Value]) -> String {
    let parts: Vec<String> = parts.iter().map(line).collect();
    parts.join(" + ")
}

/// What a secret is called: its place, version and digest; never what it is.
fn sealed(secret: &SecretReference) -> String {
    let mut words = vec!["sealed".to_owned()];
    match secret.path.is_empty() {
        true => words.push("otherwise".to_owned()),
        false => words.push(format!(
            "{}#{}",
            harmless(&secret.path),
            harmless(&secret.key)
        )),
    }
    words.extend(secret.version.map(|version| format!("v{version}")));
    words.extend(secret.digest.map(|digest| digest.short()));
    format!("({})", words.join(" "))
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
        let value = stratum_core::value::stored::read(
            r#"{"a":[1,true,null,"x\ny"],"b":{"$stratum":"unknown"},"c":{}}"#,
        )
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
        assert_eq!(line(&Value::secret(secret.clone())), "(sealed db#password)");
        secret.version = Some(7);
        secret.digest = Some(digest);
        assert_eq!(
            line(&Value::secret(secret)),
            "(sealed db#password v7 e3b0c44298fc)"
        );
    }
}
