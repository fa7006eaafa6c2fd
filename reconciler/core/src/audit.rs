//! What the audit log says: one entry for each thing that was decided, done, read or refused.
//!
//! Names and mail addresses of people stand apart ([`AuditEntry::people`]), because the log keeps
//! them under keys that can be dropped: no other field may hold any.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::{Address, CommitId, EnvironmentName, ObjectId, RunId, StepId};
use crate::plan::Plan;
use crate::verdict::{Decision, Judgement, Verdict};

/// One entry of the audit log.
///
/// *Shape*: a few hundred bytes as JSON; never more than 65,535. It holds digests of secrets and
/// of values, and never a secret or a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When (UTC).
    pub at: Timestamp,
    /// Where, when it belongs to one environment.
    pub environment: Option<EnvironmentName>,
    /// In which run, when it belongs to one.
    pub run: Option<RunId>,
    /// Who caused it.
    pub principal: Principal,
    /// What happened.
    pub what: What,
    /// The people behind it: personal data.
    pub people: Vec<Named>,
}

/// Who caused an entry. Who that is by name stands in [`AuditEntry::people`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Principal {
    /// The reconciler itself.
    Reconciler,
    /// Whoever wrote a commit or a tag; the fingerprint of the key that signed it, once verified.
    Author {
        /// The fingerprint.
        key: Option<String>,
    },
    /// Whoever sealed a value, by key id.
    Sealer {
        /// The key id.
        key: String,
    },
    /// A pipeline, by its role.
    Agent {
        /// The role.
        role: String,
    },
    /// Whoever sat at the machine.
    Operator,
}

/// A person, and what they are to the entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// What they are to it.
    pub role: Role,
    /// Name, mail address, or both.
    pub name: String,
}

/// What a person is to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Wrote the commit.
    Author,
    /// Signed the commit or the tag.
    Signer,
    /// Approved the plan.
    Approver,
    /// Sealed the value.
    Sealer,
    /// Sat at the machine.
    Operator,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Policy judged steps of a plan alike. A plan with several judgements, or with many steps,
    /// has several entries; one without addresses is about coming to the commit at all.
    Verdict {
        /// The plan.
        plan: Digest,
        /// Its commit.
        revision: CommitId,
        /// `allow`, `deny` or `needs-approval`.
        decision: String,
        /// The ids of the policies that decided.
        policies: Vec<String>,
        /// The addresses of the steps.
        addresses: Vec<Address>,
    },
    /// Something was asked for and not done.
    Refused {
        /// What was asked for: `apply`, `approve`, `retry`, `read-secret`, `commit`.
        action: String,
        /// The plan, when there was one.
        plan: Option<Digest>,
        /// The commit, when there was one.
        revision: Option<CommitId>,
        /// Why, in one sentence.
        reason: String,
    },
    /// One event of an apply; the store writes it with the event itself.
    Apply(ApplyEvent),
    /// A sealed value was opened.
    SecretRead {
        /// The sealed file within the repository, without its ending.
        path: String,
        /// The name of the value in it.
        key: String,
        /// Its version.
        version: u64,
        /// The digest of the sealed bytes.
        sealed: Digest,
        /// What it is for: the address that uses it, or a word such as `open`.
        purpose: String,
    },
    /// A signed tag of a person was taken into account.
    ApprovalUsed {
        /// The tag, for example `stratum/approve/<plan digest>`.
        tag: String,
        /// The object id of the tag.
        object: ObjectId,
        /// The plan it is about, when it is about one.
        plan: Option<Digest>,
    },
    /// A part of the repository that decides what may happen is another one than before.
    ConfigurationChanged {
        /// Which part.
        part: Part,
        /// The commit that brought it.
        revision: CommitId,
        /// The git object before; `None` when it was not there.
        before: Option<ObjectId>,
        /// The git object now; `None` when it is gone.
        after: Option<ObjectId>,
    },
    /// What is under `trust/` was accepted for the first time.
    TrustPinned {
        /// The commit.
        revision: CommitId,
        /// The digest of the trust.
        trust: Digest,
    },
    /// The reconciler got its identity and can open sealed values.
    Unsealed {
        /// How: `file` at its start, `socket` for a whole identity later, or `shares`.
        how: String,
        /// The public half, as a recipient is written.
        recipient: String,
    },
    /// A process took the right to reconcile an environment.
    LeaseTaken {
        /// The fencing number.
        number: u64,
        /// The process.
        holder: String,
    },
    /// A person took a lease away from its holder.
    LeaseBroken {
        /// The fencing number that it had.
        number: u64,
        /// The process that held it.
        holder: String,
        /// Whether that process lived: `alive`, `dead` or `unknown`.
        life: String,
        /// Why, as the person said.
        reason: String,
    },
    /// The log goes on in a new part; the first entry of every part but the first.
    Continued {
        /// The part before it.
        previous: String,
        /// How many entries that has.
        size: u64,
        /// The root of its tree.
        root: Digest,
    },
    /// Entries of an old part were deleted because their time is over; their hashes stay.
    Pruned {
        /// The part.
        part: String,
        /// How many entries that has.
        size: u64,
        /// The root of its tree.
        root: Digest,
    },
}

/// One event of the journal of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyEvent {
    /// The word of the event, as in the journal.
    pub event: String,
    /// The number of the event in its run, from 0.
    pub number: u64,
    /// The digest of the event as the journal first stored it: with what may hold a secret wrapped.
    pub digest: Digest,
    /// The step it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// The address of that step, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// The plan, when an apply starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// The commit, when an apply starts or its record is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// Why it failed, or what is left; without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A part of the repository that decides what may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// `trust/`
    Trust,
    /// `policies/`
    Policies,
    /// `stratum.ncl`
    Settings,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Trust, Self::Policies, Self::Settings];

    /// Where it lies in the repository.
    pub fn path(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Policies => "policies",
            Self::Settings => "stratum.ncl",
        }
    }
}

impl What {
    /// The words of all kinds.
    pub const NAMES: [&str; 12] = [
        "verdict",
        "refused",
        "apply",
        "secret-read",
        "approval-used",
        "configuration-changed",
        "trust-pinned",
        "unsealed",
        "lease-taken",
        "lease-broken",
        "continued",
        "pruned",
    ];

    /// Its word, as in the stored form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Verdict { .. } => "verdict",
            Self::Refused { .. } => "refused",
            Self::Apply(_) => "apply",
            Self::SecretRead { .. } => "secret-read",
            Self::ApprovalUsed { .. } => "approval-used",
            Self::ConfigurationChanged { .. } => "configuration-changed",
            Self::TrustPinned { .. } => "trust-pinned",
            Self::Unsealed { .. } => "unsealed",
            Self::LeaseTaken { .. } => "lease-taken",
            Self::LeaseBroken { .. } => "lease-broken",
            Self::Continued { .. } => "continued",
            Self::Pruned { .. } => "pruned",
        }
    }
}

/// The addresses of one entry take at most about this many bytes.
const ADDRESS_BYTES: usize = 32 * 1024;

/// What policy said about a plan, as entries: steps that were judged alike stand together.
///
/// A step that the verdict does not name is denied, and is written so.
pub fn verdict(plan: &Plan, verdict: &Verdict) -> Vec<What> {
    let mut groups: Vec<(Option<&Judgement>, Vec<Address>, usize)> = Vec::new();
    for step in &plan.steps {
        let judgement = verdict.steps.get(&step.id);
        let bytes = step.address.to_string().len();
        let alike = |group: &&mut (Option<&Judgement>, Vec<Address>, usize)| {
            group.0 == judgement && group.2 + bytes <= ADDRESS_BYTES
        };
        match groups.iter_mut().rev().find(alike) {
            Some((_, addresses, size)) => {
                addresses.push(step.address.clone());
                *size += bytes + 3;
            }
            None => groups.push((judgement, vec![step.address.clone()], bytes)),
        }
    }
    let entry = |(judgement, addresses, _): (Option<&Judgement>, Vec<Address>, usize)| {
        let decision = judgement.map_or("deny", |j| Decision::as_str(&j.decision));
        let policies = judgement.map(|j| j.policies.iter().map(|policy| policy.id.clone()));
        What::Verdict {
            plan: plan.digest,
            revision: plan.revision.clone(),
            decision: decision.to_owned(),
            policies: policies.into_iter().flatten().collect(),
            addresses,
        }
    };
    groups.into_iter().map(entry).collect()
}

/// What policy said about coming to the commit of a plan at all; denied, where it said nothing.
pub fn whole(plan: &Plan, verdict: &Verdict) -> What {
    let judgement = verdict.whole.as_ref();
    let policies = judgement.map(|one| one.policies.iter().map(|policy| policy.id.clone()));
    What::Verdict {
        plan: plan.digest,
        revision: plan.revision.clone(),
        decision: judgement
            .map_or("deny", |one| one.decision.as_str())
            .to_owned(),
        policies: policies.into_iter().flatten().collect(),
        addresses: Vec::new(),
    }
}

/// A reason without the names and mail addresses that git says: those stand in
/// [`AuditEntry::people`] alone. What stays are the names that `trust/` gives to people.
pub fn without_people(reason: &str, verdict: &Verdict) -> String {
    let mut text = reason.to_owned();
    for one in verdict.authors.iter().filter(|one| !one.author.is_empty()) {
        text = text.replace(&format!(" by {}", one.author), "");
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('<') {
        let mail = after
            .split_once('>')
            .filter(|(inner, _)| inner.contains('@') && !inner.contains(char::is_whitespace));
        clean.push_str(before);
        rest = match mail {
            Some((_, after)) => {
                clean.push_str("an address");
                after
            }
            None => {
                clean.push('<');
                after
            }
        };
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::{Authored, Signer};

    #[test]
    fn a_reason_keeps_its_sense_and_loses_the_people() {
        let author = "Ada Lovelace <ada@example.org>";
        let verdict = Verdict {
            authors: vec![Authored {
                commit: CommitId::new("a".repeat(40)).unwrap(),
                author: author.to_owned(),
                signer: Signer::Nobody { why: String::new() },
            }],
            ..Verdict::default()
        };
        let reason = format!(
            "the commit aaaa by {author}: signed by `ada` and made by <eve@example.org>; a < b"
        );
        assert_eq!(
            without_people(&reason, &verdict),
            "the commit aaaa: signed by `ada` and made by an address; a < b"
        );
    }

    #[test]
    fn the_words_of_kinds_are_those_of_the_stored_form() {
        let said = serde_json::from_str::<What>(r#"{"nonsense":{}}"#).unwrap_err();
        let said = said.to_string();
        let (_, expected) = said.split_once("expected one of ").unwrap();
        let (expected, _) = expected.split_once(" at line").unwrap();
        let names = What::NAMES.map(|name| format!("`{name}`"));
        assert_eq!(expected, names.join(", "));
    }

    #[test]
    fn the_stored_form_is_read_back() {
        let entry = AuditEntry {
            at: Timestamp::UNIX_EPOCH,
            environment: EnvironmentName::new("production").ok(),
            run: None,
            principal: Principal::Author { key: None },
            what: What::LeaseTaken {
                number: 3,
                holder: "host".to_owned(),
            },
            people: Vec::new(),
        };
        let text = serde_json::to_string(&entry).unwrap();
        assert!(
            text.contains(r#""what":{"lease-taken":{"number":3"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<AuditEntry>(&text).unwrap(), entry);
    }
}
