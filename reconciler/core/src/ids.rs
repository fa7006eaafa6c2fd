//! Names and ids: each is its own type, so that none can be passed for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::digest::Digest;

/// Why a text is not a name or an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// The text has a character, a length or a form that this name does not allow.
    #[error("`{text}` is not {what}: {rule}")]
    Malformed {
        /// What was being read, with its article: "an environment name".
        what: &'static str,
        /// The text as given.
        text: String,
        /// The rule it breaks.
        rule: &'static str,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl $name {
            /// Reads the name, or says which rule it breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(IdError::Malformed { what: $what, text, rule: $rule })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

/// Letters, digits, `_` and `-`, starting with a letter or `_`.
fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    text.len() <= 128
        && chars
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// An identifier, and perhaps a dot and another.
fn is_provider(text: &str) -> bool {
    let (source, alias) = text.split_once('.').unwrap_or((text, "default"));
    is_identifier(source) && is_identifier(alias)
}

/// Anything printable without white space, up to 256 bytes.
fn is_printable(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 256
        && text.chars().all(|c| !c.is_whitespace() && !c.is_control())
}

fn is_branch(text: &str) -> bool {
    let odd = |c: char| matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    is_printable(text)
        && text.split('/').all(part)
        && !text.contains(odd)
        && !text.contains("..")
        && !text.contains("@{")
        && !text.starts_with('-')
        && !text.ends_with('.')
        && text != "@"
}

fn is_object_id(text: &str) -> bool {
    (text.len() == 40 || text.len() == 64)
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

name!(
    /// The name of an Environment. `repository` is the one that holds pipelines, forms and knowledge.
    EnvironmentName,
    "an environment name",
    "letters, digits, `_` and `-`, starting with a letter",
    is_identifier
);
name!(
    /// The type of a Resource, for example `local_file`, `pipeline`, `decision`.
    TypeName,
    "a resource type",
    "letters, digits, `_` and `-`, starting with a letter",
    is_identifier
);
name!(
    /// The name of a Resource among those of its type.
    ///
    /// *Shape*: printable and without white space; infrastructure uses identifiers, a sealed value
    /// is named `path#key`.
    ResourceName,
    "a resource name",
    "1 to 256 printable characters without white space",
    is_printable
);
name!(
    /// A Provider, or one of its configurations: `local`, `aws`, `aws.eu`.
    ProviderName,
    "a provider name",
    "letters, digits, `_` and `-`, starting with a letter; and perhaps a dot and the name of a configuration",
    is_provider
);
name!(
    /// A git branch without `refs/heads/`, for example `main` or `stratum/records`.
    ///
    /// *Source*: git-check-ref-format(1).
    BranchName,
    "a branch name",
    "1 to 256 printable characters without white space, as `git check-ref-format` has them",
    is_branch
);
name!(
    /// The id of a git commit, in hexadecimal (SHA-1 or SHA-256).
    CommitId,
    "a commit id",
    "40 or 64 lower-case hexadecimal digits",
    is_object_id
);
name!(
    /// The id of a git tree or blob, in hexadecimal (SHA-1 or SHA-256).
    ObjectId,
    "an object id",
    "40 or 64 lower-case hexadecimal digits",
    is_object_id
);
name!(
    /// The id of one run of the loop for one Environment: `20261124T031500Z-1f9c2a`.
    ///
    /// *Guarantees*: sorts by start time; unique by its random tail.
    RunId,
    "a run id",
    "1 to 256 printable characters without white space",
    is_printable
);

impl CommitId {
    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl ProviderName {
    /// The provider itself, without the name of a configuration.
    pub fn source(&self) -> Self {
        Self(self.parts().0.to_owned())
    }

    /// The name of the configuration, where it is not the only one.
    pub fn alias(&self) -> Option<&str> {
        self.parts().1
    }

    fn parts(&self) -> (&str, Option<&str>) {
        match self.0.split_once('.') {
            Some((source, alias)) => (source, Some(alias)),
            None => (&self.0, None),
        }
    }

    /// Stands where no provider is known; no provider has this name.
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }
}

impl BranchName {
    /// The branch of the execution records, unless the settings name another.
    pub fn records() -> Self {
        Self("stratum/records".to_owned())
    }
}

impl RunId {
    /// Makes the id of a run that starts at `at` (UTC), told apart by 24 random bits.
    pub fn at(at: jiff::Timestamp, random: u32) -> Self {
        let time = at.strftime("%Y%m%dT%H%M%SZ");
        Self(format!("{time}-{:06x}", random & 0x00ff_ffff))
    }

    /// The random tail, for file names.
    pub fn short(&self) -> &str {
        self.0.rsplit('-').next().unwrap_or(&self.0)
    }
}

impl EnvironmentName {
    /// The environment that pipelines, forms and knowledge belong to.
    pub fn repository() -> Self {
        Self("repository".to_owned())
    }

    /// Whether this is the environment of pipelines, forms and knowledge.
    pub fn is_repository(&self) -> bool {
        self.0 == "repository"
    }
}

/// `type.name`: a Resource within its Environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct LocalAddress {
    /// The type.
    pub r#type: TypeName,
    /// The name.
    pub name: ResourceName,
}

impl Serialize for LocalAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.r#type.as_str())?;
        f.write_str(".")?;
        f.write_str(self.name.as_str())
    }
}

impl FromStr for LocalAddress {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (r#type, name) = text.split_once('.').ok_or_else(|| IdError::Malformed {
            what: "a resource",
            text: text.to_owned(),
            rule: "write `type.name`",
        })?;
        Ok(Self {
            r#type: TypeName::new(r#type)?,
            name: ResourceName::new(name)?,
        })
    }
}

impl TryFrom<String> for LocalAddress {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<LocalAddress> for String {
    fn from(address: LocalAddress) -> String {
        address.to_string()
    }
}

/// `environment/type.name`, for example `production/local_file.motd`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    /// The environment.
    pub environment: EnvironmentName,
    /// The resource within it.
    pub local: LocalAddress,
}

/// What stands after the name of something whose place a new one has taken; no author can write it.
const SUPERSEDED: &str = "#superseded-";

impl Address {
    /// The address under which what was here is known until it is taken away, as the one of this
    /// `number`.
    pub fn superseded(&self, number: u32) -> Self {
        let name = ResourceName(format!("{}{SUPERSEDED}{number}", self.local.name));
        let r#type = self.local.r#type.clone();
        Self {
            environment: self.environment.clone(),
            local: LocalAddress { r#type, name },
        }
    }

    /// Whether a new one has taken the place of what is known under this address.
    pub fn is_superseded(&self) -> bool {
        self.local.name.as_str().contains(SUPERSEDED)
    }

    /// Joins the parts.
    pub fn new(environment: EnvironmentName, r#type: TypeName, name: ResourceName) -> Self {
        Self {
            environment,
            local: LocalAddress { r#type, name },
        }
    }

    /// The type of the resource.
    pub fn r#type(&self) -> &TypeName {
        &self.local.r#type
    }

    /// The name of the resource.
    pub fn name(&self) -> &ResourceName {
        &self.local.name
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.environment.as_str())?;
        f.write_str("/")?;
        fmt::Display::fmt(&self.local, f)
    }
}

impl FromStr for Address {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (environment, local) = text.split_once('/').ok_or_else(|| IdError::Malformed {
            what: "an address",
            text: text.to_owned(),
            rule: "write `environment/type.name`",
        })?;
        Ok(Self {
            environment: EnvironmentName::new(environment)?,
            local: local.parse()?,
        })
    }
}

impl TryFrom<String> for Address {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

/// The place of a Step in its Plan, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

impl StepId {
    /// As an index into the steps of the plan.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The idempotency token of one Step of one run; the same after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// The token of step `step` of run `run`: 32 hexadecimal digits.
    pub fn of(run: &RunId, step: StepId) -> Self {
        let digest = Digest::of_bytes(format!("stratum-token-v1\0{run}\0{step}").as_bytes());
        Self(digest.to_string().chars().take(32).collect())
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_survives_text() {
        for text in [
            "production/local_file.motd",
            "a/secret.payments/db#password",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn address_without_environment_is_refused_with_the_rule() {
        let error = "local_file.motd".parse::<Address>().unwrap_err();
        assert!(
            error.to_string().contains("environment/type.name"),
            "{error}"
        );
    }

    #[test]
    fn names_refuse_white_space_and_paths() {
        assert!(EnvironmentName::new("../etc").is_err());
        assert!(ResourceName::new("a b").is_err());
        assert!(CommitId::new("xyz").is_err());
    }

    #[test]
    fn tokens_differ_by_step_and_run() {
        let (a, b) = (RunId::new("a").unwrap(), RunId::new("b").unwrap());
        assert_ne!(Token::of(&a, StepId(1)), Token::of(&a, StepId(2)));
        assert_ne!(Token::of(&a, StepId(1)), Token::of(&b, StepId(1)));
        assert_eq!(Token::of(&a, StepId(1)), Token::of(&a, StepId(1)));
    }
}
