//! `stratum.ncl`: the settings of a repository, with every default.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{BranchName, EnvironmentName};

/// The settings of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the repository, for people and for the context of sealed values.
    pub name: String,
    /// The environments; at least one.
    pub environments: BTreeMap<EnvironmentName, EnvironmentSettings>,
    /// Where execution records go.
    #[serde(default)]
    pub records: RecordSettings,
    /// The defaults of drift, for environments that say nothing.
    #[serde(default)]
    pub drift: DriftSettings,
    /// Limits of evaluation and of calls.
    #[serde(default)]
    pub limits: Limits,
    /// Whether commits must be signed; `None`: as soon as `trust/` has keys that sign.
    #[serde(default)]
    pub signatures: Option<Signatures>,
    /// Approvals.
    #[serde(default)]
    pub approvals: ApprovalSettings,
    /// Where knowledge from outside comes from.
    #[serde(default)]
    pub knowledge: KnowledgeSettings,
    /// How secrets are sealed.
    #[serde(default)]
    pub secrets: SecretSettings,
    /// The audit log.
    #[serde(default)]
    pub audit: AuditSettings,
    /// What the state keeps for how long.
    #[serde(default)]
    pub retention: RetentionSettings,
}

/// The settings of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnvironmentSettings {
    /// The branch its content is read from; `None` is the repository's HEAD branch.
    pub branch: Option<BranchName>,
    /// Where relative paths of local resources lie; `None` is `world/<environment>` beside the state.
    pub root: Option<String>,
    /// Other places that local resources may reach; absolute paths.
    pub roots: Vec<String>,
    /// The user that its programs run as; `None` is the user of the reconciler.
    pub user: Option<String>,
    /// Its programs run in a mount, pid and network namespace of their own.
    pub isolated: bool,
    /// Programs that are isolated have the network of the machine all the same.
    pub network: bool,
    /// What happens when a step fails.
    pub on_failure: OnFailure,
    /// What happens when the world differs; `None` is the repository's setting.
    pub drift: Option<DriftSettings>,
    /// The most resources a plan may delete or replace.
    pub max_deletes: Option<Budget>,
    /// The most calls in flight, from 1.
    pub parallelism: u32,
    /// Watch, but apply nothing.
    pub suspended: bool,
    /// The word that allows the environment to lose all its resources.
    pub empty: bool,
    /// Labels, for people and policies.
    pub labels: BTreeMap<String, String>,
}

impl Default for EnvironmentSettings {
    fn default() -> Self {
        Self {
            branch: None,
            root: None,
            roots: Vec::new(),
            user: None,
            isolated: false,
            network: false,
            on_failure: OnFailure::Rollback,
            drift: None,
            max_deletes: None,
            parallelism: 10,
            suspended: false,
            empty: false,
            labels: BTreeMap::new(),
        }
    }
}

/// What happens when a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Restore every begun step.
    #[default]
    Rollback,
    /// Begin nothing more, and leave things as they are.
    Halt,
    /// Go on with what does not depend on the failed step.
    Continue,
}

/// How many deletions a plan may hold: `5`, or `"20%"` of the resources there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value", into = "serde_json::Value")]
pub enum Budget {
    /// A number of resources.
    Count(u64),
    /// A share of the resources in the state, in percent from 0 to 100.
    Percent(u8),
}

impl Budget {
    /// How many resources of `total` may go.
    pub fn allows(self, total: usize) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => total as u64 * u64::from(percent) / 100,
        }
    }
}

impl TryFrom<serde_json::Value> for Budget {
    type Error = String;

    fn try_from(json: serde_json::Value) -> Result<Self, String> {
        let count = json.as_u64().or_else(|| {
            json.as_f64()
                .filter(|n| *n >= 0.0 && n.fract() == 0.0)
                .map(|n| n as u64)
        });
        let percent = json
            .as_str()
            .and_then(|text| text.strip_suffix('%')?.trim().parse().ok());
        match (count, percent) {
            (Some(count), _) => Ok(Self::Count(count)),
            (None, Some(percent)) if percent <= 100 => Ok(Self::Percent(percent)),
            _ => Err(format!(
                "`{json}` is not a budget: write a number, or a share like \"20%\""
            )),
        }
    }
}

impl From<Budget> for serde_json::Value {
    fn from(budget: Budget) -> Self {
        match budget {
            Budget::Count(count) => count.into(),
            Budget::Percent(percent) => format!("{percent}%").into(),
        }
    }
}

/// Where execution records go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSettings {
    /// The branch.
    pub branch: BranchName,
}

impl Default for RecordSettings {
    fn default() -> Self {
        Self {
            branch: BranchName::records(),
        }
    }
}

/// What happens when the world differs from what was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DriftSettings {
    /// The mode.
    pub mode: DriftMode,
    /// Time between two looks at the world.
    #[serde(with = "crate::duration::text")]
    pub every: Duration,
}

impl Default for DriftSettings {
    fn default() -> Self {
        Self {
            mode: DriftMode::Report,
            every: Duration::from_secs(5 * 60),
        }
    }
}

/// What is done about drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum DriftMode {
    /// Plan and apply a correction.
    Correct,
    /// Say so.
    #[default]
    Report,
    /// Do not even look.
    Ignore,
}

/// Limits of evaluation and of calls; those of evaluation only lower [`crate::bounds::Bounds`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Memory of one evaluation, in MiB.
    pub memory: u64,
    /// Processor and wall-clock time of one evaluation.
    #[serde(with = "crate::duration::text")]
    pub time: Duration,
    /// Time of one provider call that has no timeout of its own.
    #[serde(with = "crate::duration::text")]
    pub call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 1024,
            time: Duration::from_secs(10),
            call: Duration::from_secs(10 * 60),
        }
    }
}

/// Whether commits must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signatures {
    /// Refuse what is not signed by someone in `trust/`.
    Required,
    /// Say so, and go on.
    Warn,
    /// Do not look.
    Off,
}

impl Signatures {
    /// The word, as everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }
}

/// Approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApprovalSettings {
    /// How long an approval counts that does not say so itself.
    #[serde(with = "crate::duration::text")]
    pub valid: Duration,
}

impl Default for ApprovalSettings {
    fn default() -> Self {
        Self {
            valid: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// Where knowledge from outside comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnowledgeSettings {
    /// The repository with an organisation's guidelines: a path or a URL.
    pub org: Option<String>,
}

/// How secrets are sealed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretSettings {
    /// Which signatures a sealed value must have.
    pub signatures: SealSignatures,
    /// Where secrets that stratum makes itself are kept.
    pub generated: Generated,
}

/// Where a secret that stratum makes itself is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Generated {
    /// In the state, wrapped under its data key.
    #[default]
    State,
    /// As a sealed file in the repository, which comes by the branch
    /// `stratum/secrets/<environment>`.
    Branch,
}

impl Generated {
    /// The word in settings and resources.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Branch => "branch",
        }
    }
}

/// The audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSettings {
    /// For how many months its entries are kept, from 1; their hashes always are.
    pub months: u32,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { months: 7 * 12 }
    }
}

/// What the state keeps for how long. What is beyond the count *or* the days goes; open runs, the
/// last run of an environment and the newest observation of a resource stay in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Of how many runs of an environment the plan and the events are kept.
    pub journals: u32,
    /// For how many days they are.
    pub journal_days: u32,
    /// How many runs of an environment are in the history.
    pub history: u32,
    /// For how many days they are.
    pub history_days: u32,
    /// How many observations of a resource are kept.
    pub observations: u32,
    /// For how many days they are.
    pub observation_days: u32,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            journals: 200,
            journal_days: 90,
            history: 20_000,
            history_days: 2 * 365,
            observations: 200,
            observation_days: 90,
        }
    }
}

impl RetentionSettings {
    /// What keeps at least as much as both.
    pub fn longest(self, other: Self) -> Self {
        Self {
            journals: self.journals.max(other.journals),
            journal_days: self.journal_days.max(other.journal_days),
            history: self.history.max(other.history),
            history_days: self.history_days.max(other.history_days),
            observations: self.observations.max(other.observations),
            observation_days: self.observation_days.max(other.observation_days),
        }
    }
}

/// Which signatures a sealed value must have: the stages of the way to post-quantum signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum SealSignatures {
    /// Ed25519 at least; a signature of ML-DSA-65 that is there must hold too.
    Ed25519,
    /// One of the two.
    Either,
    /// Both.
    #[default]
    Both,
    /// ML-DSA-65 at least; a signature of Ed25519 that is there must hold too.
    MlDsa,
}

impl SealSignatures {
    /// The word in settings and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Either => "either",
            Self::Both => "both",
            Self::MlDsa => "ml-dsa",
        }
    }
}

impl Settings {
    /// The drift settings that hold for an environment.
    pub fn drift_of<'a>(&'a self, environment: &'a EnvironmentSettings) -> &'a DriftSettings {
        environment.drift.as_ref().unwrap_or(&self.drift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_settings_have_every_default() {
        let settings: Settings =
            serde_json::from_str(r#"{"name":"shop","environments":{"staging":{}}}"#).unwrap();
        let staging = settings.environments.values().next().unwrap();
        assert_eq!(staging, &EnvironmentSettings::default());
        assert_eq!(settings.records.branch.as_str(), "stratum/records");
        assert_eq!(settings.drift_of(staging).mode, DriftMode::Report);
    }

    #[test]
    fn the_longest_of_two_retentions_keeps_what_either_keeps() {
        let default = RetentionSettings::default();
        let few = RetentionSettings {
            journals: 1,
            history_days: 9_999,
            ..default
        };
        let longest = few.longest(default);
        assert_eq!((longest.journals, longest.history_days), (200, 9_999));
    }

    #[test]
    fn budgets_are_numbers_or_shares() {
        let read = |text| serde_json::from_str::<Budget>(text);
        assert_eq!(read("5").unwrap().allows(100), 5);
        assert_eq!(read("\"20%\"").unwrap().allows(10), 2);
        assert!(read("\"120%\"").is_err() && read("-1").is_err());
    }
}
