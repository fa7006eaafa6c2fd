//! `trust/`: who may sign, seal and read, as the repository says it.
//!
//! Every key here is public. What a Revision changes in `trust/` is judged by the trust of the
//! base, so that a commit cannot vouch for its own author.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::EnvironmentName;

/// Everything under `trust/`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trust {
    /// `trust/people/<name>.toml`: people and robots by name.
    pub people: BTreeMap<String, Person>,
    /// `trust/recipients/<name>.toml`: who can read sealed values, by name.
    pub recipients: BTreeMap<String, Recipient>,
    /// `trust/groups.toml`: names of people by group.
    pub groups: BTreeMap<String, BTreeSet<String>>,
}

/// A person, or a robot that signs or seals.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Person {
    /// Mail addresses that commits may carry.
    pub email: Vec<String>,
    /// SSH public keys that sign commits and tags, one line each as in `authorized_keys`.
    pub ssh: Vec<String>,
    /// OpenPGP public keys that sign commits and tags, ASCII-armoured.
    pub openpgp: Vec<String>,
    /// The keys that sign sealed values: the one in use first, then those that were in use.
    pub sealer: Vec<SealerKey>,
    /// From this moment on nothing new that is signed with these keys counts (UTC).
    pub expires: Option<Timestamp>,
}

/// The public halves of a sealer's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealerKey {
    /// The id that signatures name.
    pub id: String,
    /// Ed25519, 32 bytes as base64. *Source*: RFC 8032.
    pub ed25519: String,
    /// ML-DSA-65, 1,952 bytes as base64. *Source*: FIPS 204.
    #[serde(rename = "ml-dsa-65")]
    pub ml_dsa_65: String,
}

/// Someone, or something, that can read sealed values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// In age's notation: `age1pq1…` (or, while a repository migrates, `age1…`).
    pub key: String,
    /// The environments whose values it can read.
    pub environments: BTreeSet<EnvironmentName>,
    /// From this moment on nothing is sealed to it any more; what was stays readable to it (UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Timestamp>,
}

impl Trust {
    /// Whether nobody is named: a repository that has not begun to use it.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty() && self.recipients.is_empty()
    }

    /// Whether anyone could sign a commit.
    pub fn has_signers(&self) -> bool {
        let signs = |person: &Person| !person.ssh.is_empty() || !person.openpgp.is_empty();
        self.people.values().any(signs)
    }

    /// The person and the key behind a sealer's key id.
    pub fn sealer(&self, id: &str) -> Option<(&str, &SealerKey)> {
        self.people.iter().find_map(|(name, person)| {
            let key = person.sealer.iter().find(|key| key.id == id)?;
            Some((name.as_str(), key))
        })
    }

    /// The recipients that values of `environment` are sealed to, retired ones left out.
    pub fn readers<'a>(
        &'a self,
        environment: &'a EnvironmentName,
    ) -> impl Iterator<Item = (&'a str, &'a Recipient)> {
        self.recipients
            .iter()
            .filter(|(_, one)| one.retired.is_none() && one.environments.contains(environment))
            .map(|(name, one)| (name.as_str(), one))
    }

    /// The groups a person is in.
    pub fn groups_of<'a>(&'a self, person: &'a str) -> impl Iterator<Item = &'a str> {
        self.groups
            .iter()
            .filter(move |(_, people)| people.contains(person))
            .map(|(group, _)| group.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retired_recipients_read_nothing_new() {
        let recipient = |retired| Recipient {
            key: "age1pq1x".to_owned(),
            environments: [EnvironmentName::new("staging").unwrap()].into(),
            retired,
        };
        let trust = Trust {
            recipients: [
                ("old".to_owned(), recipient(Some(Timestamp::UNIX_EPOCH))),
                ("new".to_owned(), recipient(None)),
            ]
            .into(),
            ..Trust::default()
        };
        let names = |environment: &str| {
            let environment = EnvironmentName::new(environment).unwrap();
            let names = trust.readers(&environment).map(|(name, _)| name.to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names("staging"), ["new"]);
        assert!(names("production").is_empty());
    }

    #[test]
    fn sealers_and_groups_are_found_by_person() {
        let key = SealerKey {
            id: "k1".to_owned(),
            ed25519: String::new(),
            ml_dsa_65: String::new(),
        };
        let person = Person {
            sealer: vec![key],
            ..Person::default()
        };
        let trust = Trust {
            people: [("ada".to_owned(), person)].into(),
            groups: [("operators".to_owned(), ["ada".to_owned()].into())].into(),
            ..Trust::default()
        };
        assert_eq!(trust.sealer("k1").map(|(name, _)| name), Some("ada"));
        assert!(trust.sealer("k2").is_none());
        assert_eq!(trust.groups_of("ada").collect::<Vec<_>>(), ["operators"]);
    }
}
