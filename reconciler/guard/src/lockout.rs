//! Whether anybody could change the policies again, once a set of them holds.

use std::sync::Arc;

use cedar_policy::Schema;
use jiff::{SignedDuration, Timestamp};
use stratum_core::digest::Digest;
use stratum_core::finding::Finding;
use stratum_core::finding::codes::LOCKOUT;
use stratum_core::ids::{BranchName, EnvironmentName};
use stratum_core::plan::{BaseId, Plan};
use stratum_core::ports::PlanRequest;
use stratum_core::rules::Rules;
use stratum_core::run::Trigger;
use stratum_core::settings::{EnvironmentSettings, Settings};
use stratum_core::signed::{Authored, KeyKind, Signer};
use stratum_core::source::Source;
use stratum_core::trust::Trust;
use stratum_core::verdict::Decision;

use crate::cases::some_commit;
use crate::judge::{self, signers};
use crate::law::Law;

/// So many people are asked for before it is said that nobody may.
const PEOPLE: usize = 16;

/// So many environments are looked at.
const ENVIRONMENTS: usize = 50;

/// The hours of a week: policies may look at the time.
const HOURS: i64 = 7 * 24;

/// Which rules are asked.
pub(crate) struct Case<'a> {
    pub(crate) schema: &'a Schema,
    /// The law with the policies of the repository.
    pub(crate) law: &'a Law,
    /// What ships, alone.
    pub(crate) shipped: &'a Law,
    pub(crate) trust: &'a Trust,
    pub(crate) settings: &'a Settings,
    pub(crate) now: Timestamp,
}

/// A finding for each environment whose policies nobody could change any more; an error where it is
/// the policies of the repository that do it.
pub(crate) fn findings(case: &Case<'_>) -> Vec<Finding> {
    let environments = case.settings.environments.iter().take(ENVIRONMENTS);
    let mut findings: Vec<Finding> = Vec::new();
    for (name, own) in environments {
        if case.allows(case.law, name, own) {
            continue;
        }
        findings.push(match case.allows(case.shipped, name, own) {
            true => by_policies(name),
            false => by_protection(name, signers(case.trust, case.now).len()),
        });
    }
    findings
}

fn by_policies(name: &EnvironmentName) -> Finding {
    let message =
        format!("with these policies nobody could change the policies of `{name}` any more");
    let hint = "permit `advance` to somebody in `trust/` when `context.changes` has \
                \"policies\", and `approve` where it needs an approval";
    Finding::error(&LOCKOUT, message)
        .at(Source::start_of("policies"))
        .hint(hint)
}

fn by_protection(name: &EnvironmentName, people: usize) -> Finding {
    let who = match people {
        0 => "nobody is".to_owned(),
        1 => "one person alone is".to_owned(),
        more => format!("not enough of {more} people are"),
    };
    let message = format!(
        "`{name}` is protected, and {who} in `trust/people/`: no change there could be approved, \
         not even of `trust/`"
    );
    // What is not protected goes on while one is alone.
    let finding = match people {
        0 => Finding::error(&LOCKOUT, message),
        _ => Finding::warning(&LOCKOUT, message),
    };
    finding
        .at(Source::start_of("stratum.ncl"))
        .hint("bring two people with keys first, and the label `protected` in a later push")
}

impl Case<'_> {
    /// Whether somebody may bring a change of the policies at some hour of the week, perhaps with
    /// the approvals of others.
    fn allows(&self, law: &Law, name: &EnvironmentName, own: &EnvironmentSettings) -> bool {
        let people = self.people();
        let at = |hour: i64| {
            let later = SignedDuration::from_hours(hour);
            self.now.checked_add(later).unwrap_or(self.now)
        };
        (0..HOURS).any(|hour| {
            let mut people = people.iter();
            people.any(|signer| self.may(law, (name, own), signer, at(hour)) == Some(true))
        })
    }

    fn people(&self) -> Vec<Signer> {
        let signers = signers(self.trust, self.now);
        let people = signers.into_iter().take(PEOPLE);
        let mut people: Vec<Signer> = people
            .map(|(name, kind): (String, KeyKind)| Signer::Person {
                name,
                kind,
                key: String::new(),
            })
            .collect();
        if people.is_empty() {
            people.push(Signer::Nobody {
                why: "it is not signed".to_owned(),
            });
        }
        people
    }

    fn may(
        &self,
        law: &Law,
        (name, own): (&EnvironmentName, &EnvironmentSettings),
        signer: &Signer,
        now: Timestamp,
    ) -> Option<bool> {
        let digest = Digest::of_bytes(b"lockout");
        let commit = some_commit().ok()?;
        let author = signer.name().unwrap_or("somebody").to_owned();
        let rules = Arc::new(Rules {
            commit: commit.clone(),
            policies: Vec::new(),
            trust: Arc::new(self.trust.clone()),
            settings: Arc::new(self.settings.clone()),
        });
        let request = PlanRequest {
            plan: Arc::new(Plan {
                environment: name.clone(),
                revision: commit.clone(),
                inputs: digest,
                base: BaseId { serial: 0, digest },
                digest,
                steps: Vec::new(),
                drifted: Vec::new(),
                blocked: Vec::new(),
                warnings: Vec::new(),
                providers: Default::default(),
                resources: 0,
            }),
            signatures: rules.signatures(),
            rules,
            labels: own.labels.clone(),
            protected: own.is_protected(),
            trigger: Trigger::Push,
            branch: own.branch.clone().or_else(|| BranchName::new("main").ok()),
            authors: vec![Authored {
                commit,
                author,
                signer: signer.clone(),
            }],
            changed: vec!["policies".to_owned()],
            rewound: false,
            pinned: false,
            ballot: digest,
            approvals: Vec::new(),
            refused: Vec::new(),
            reviewed: vec![digest],
            now,
        };
        let whole = judge::judge(self.schema, law, &request).ok()?.whole?;
        Some(!matches!(whole.decision, Decision::Deny))
    }
}
