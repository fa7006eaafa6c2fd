//! Sealed files: their form, before anyone opens them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::source::Source;

/// What `stratum:` says in a sealed file.
pub const FORMAT: &str = "sealed/v1";

/// The end of the name of every sealed file.
pub const SUFFIX: &str = ".sealed.yaml";

/// A sealed file.
///
/// *Source*: design page sealing.md, "`sealed/v1`".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFile {
    /// The format: [`FORMAT`].
    pub stratum: String,
    /// The place it was sealed for.
    pub context: Context,
    /// The values by key.
    pub values: BTreeMap<String, SealedValue>,
}

/// A sealed file as it was read, and where each of its values stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedDocument {
    /// The file.
    pub file: SealedFile,
    /// The place of each value by key.
    pub sources: BTreeMap<String, Source>,
}

/// The place a file was sealed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The name of the repository, as in its settings.
    pub repo: String,
    /// The environment.
    pub environment: String,
    /// The path below `secrets/<environment>/`, without [`SUFFIX`].
    pub path: String,
}

/// One sealed value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedValue {
    /// Its version, from 1.
    pub v: u64,
    /// A complete binary age file, as base64.
    pub age: String,
    /// Key id, Ed25519 signature and ML-DSA-65 signature, as base64.
    pub sig: String,
}

/// Words that YAML 1.1 or 1.2 reads as something else than text.
const RESERVED: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

impl SealedFile {
    /// The file as YAML.
    ///
    /// *Shape*: four lines for each value, in the order of the keys, and base64 in one line, so that
    /// changes of two values merge with plain git. *Guarantees*: the same file gives the same text.
    pub fn to_yaml(&self) -> String {
        let Context {
            repo,
            environment,
            path,
        } = &self.context;
        let mut out = format!(
            "stratum: {}\ncontext: {{ repo: {}, environment: {}, path: {} }}\n",
            scalar(&self.stratum),
            scalar(repo),
            scalar(environment),
            scalar(path)
        );
        if self.values.is_empty() {
            out.push_str("values: {}\n");
            return out;
        }
        out.push_str("values:\n");
        for (key, value) in &self.values {
            let SealedValue { v, age, sig } = value;
            // Writing to a text cannot fail.
            let _ = write!(
                out,
                "  {}:\n    v: {v}\n    age: {}\n    sig: {}\n",
                scalar(key),
                base64(age),
                base64(sig)
            );
        }
        out
    }
}

/// The text as YAML: plain where nothing could take it for something else, else in quotes.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let reserved = RESERVED.iter().any(|word| text.eq_ignore_ascii_case(word));
    if begins && text.chars().all(plain) && !reserved {
        text.to_owned()
    } else {
        // A text in JSON is one in YAML.
        serde_json::Value::from(text).to_string()
    }
}

/// Base64 as it is; whatever else stands there, in quotes.
fn base64(text: &str) -> String {
    let of_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if begins && text.chars().all(of_base64) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_four_lines() {
        let value = |v| SealedValue {
            v,
            age: "YWdl+/==".to_owned(),
            sig: "AUE=".to_owned(),
        };
        let values = [("password", 7), ("no", 1), ("1e3", 2)];
        let file = SealedFile {
            stratum: FORMAT.to_owned(),
            context: Context {
                repo: "acme-infra".to_owned(),
                environment: "production".to_owned(),
                path: "payments/db".to_owned(),
            },
            values: values
                .into_iter()
                .map(|(key, v)| (key.to_owned(), value(v)))
                .collect(),
        };
        let expected = "stratum: sealed/v1\n\
             context: { repo: acme-infra, environment: production, path: payments/db }\n\
             values:\n  \
             \"1e3\":\n    v: 2\n    age: YWdl+/==\n    sig: AUE=\n  \
             \"no\":\n    v: 1\n    age: YWdl+/==\n    sig: AUE=\n  \
             password:\n    v: 7\n    age: YWdl+/==\n    sig: AUE=\n";
        assert_eq!(file.to_yaml(), expected);
    }
}
