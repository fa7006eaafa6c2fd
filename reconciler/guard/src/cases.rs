//! Tests of policies that stand beside them: `policies/tests/*.toml`.
//!
//! ```toml
//! [groups]
//! operators = ["ada"]
//!
//! [[case]]
//! name = "a page is deleted once an operator approved"
//! action = "delete"
//! principal = { author = "ben" }
//! resource = { type = "local_exec", name = "dump" }
//! environment = { name = "production", labels = { protected = "true" } }
//! context = { reversibility = "irreversible", approvals = ["ada"] }
//! expect = "allow"
//! policy = "push"
//! ```

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::Schema;
use jiff::Timestamp;
use serde::Deserialize;
use stratum_core::bounds::too_deep_toml;
use stratum_core::digest::Digest;
use stratum_core::finding::Finding;
use stratum_core::finding::codes::{POLICY_TEST, POLICY_TEST_SHAPE};
use stratum_core::ids::{CommitId, EnvironmentName, RunId};
use stratum_core::ports::{Act, Principal, Question};
use stratum_core::settings::EnvironmentSettings;
use stratum_core::signed::KeyKind;
use stratum_core::trust::{Person, Trust};
use stratum_core::verdict::{Decision, Judgement};

use crate::law::Law;
use crate::place::{one_line, place};
use crate::{imagined, judge};

/// The most cases of one file: each is asked of all policies.
const MOST: usize = 500;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    groups: BTreeMap<String, BTreeSet<String>>,
    #[serde(default)]
    case: Vec<toml::Spanned<toml::Table>>,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    action: String,
    principal: Who,
    #[serde(default)]
    environment: Place,
    #[serde(default)]
    resource: imagined::Thing,
    #[serde(default)]
    context: imagined::Circumstances,
    expect: Expected,
    policy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expected {
    Allow,
    Deny,
    NeedsApproval,
}

/// Who asks; exactly one of these.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Who {
    /// A person whose signature was verified.
    Author(String),
    /// `Name <mail>`, unproven.
    Unverified(String),
    Sealer(String),
    Agent(String),
    Reconciler(#[allow(dead_code, reason = "the key alone says it")] bool),
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Place {
    name: String,
    labels: BTreeMap<String, String>,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            name: "staging".to_owned(),
            labels: BTreeMap::new(),
        }
    }
}

impl Who {
    fn principal(&self) -> Principal {
        match self {
            Self::Author(name) => Principal::Person {
                name: name.clone(),
                key: KeyKind::Ssh,
            },
            Self::Unverified(author) => Principal::Unverified {
                author: author.clone(),
            },
            Self::Sealer(name) => Principal::Sealer { name: name.clone() },
            Self::Agent(role) => Principal::Agent { role: role.clone() },
            Self::Reconciler(_) => Principal::Reconciler,
        }
    }
}

/// Runs the cases of one file; a finding for each that fails.
pub(crate) fn run(schema: &Schema, law: &Law, path: &str, text: &str) -> Vec<Finding> {
    if let Some(at) = too_deep_toml(text) {
        let finding = Finding::error(&POLICY_TEST_SHAPE, "it nests too deeply");
        return vec![finding.at(place(path, text, at))];
    }
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            let message = one_line(error.message());
            return vec![Finding::error(&POLICY_TEST_SHAPE, message).at(place(path, text, offset))];
        }
    };
    let mut findings = Vec::new();
    if file.case.len() > MOST {
        let message = format!("the file has more than {MOST} cases");
        let finding = Finding::error(&POLICY_TEST_SHAPE, message).at(place(path, text, 0));
        return vec![finding.hint("write them in several files, or fewer")];
    }
    for spanned in file.case {
        let at = place(path, text, spanned.span().start);
        let case: Result<Case, _> = spanned.into_inner().try_into();
        let finding = match case {
            Ok(case) => {
                let judged = judged(schema, law, &file.groups, &case);
                complaint(&case, judged).map(|why| Finding::error(&POLICY_TEST, why))
            }
            Err(error) => Some(Finding::error(
                &POLICY_TEST_SHAPE,
                one_line(error.message()),
            )),
        };
        findings.extend(finding.map(|finding| finding.at(at)));
    }
    findings
}

/// How a case fails.
fn complaint(case: &Case, judged: Result<Judgement, String>) -> Option<String> {
    let name = &case.name;
    let judgement = match judged {
        Ok(judgement) => judgement,
        Err(why) => return Some(format!("the case `{name}` cannot be asked: {why}")),
    };
    let decision = match judgement.decision {
        Decision::Allow => Expected::Allow,
        Decision::Deny => Expected::Deny,
        Decision::NeedsApproval { .. } => Expected::NeedsApproval,
    };
    let ids: Vec<&str> = judgement
        .policies
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    let said = format!("{} by `{}`", judgement.decision.as_str(), ids.join("`, `"));
    if decision != case.expect {
        return Some(format!("the case `{name}` has another decision: {said}"));
    }
    match &case.policy {
        Some(wanted) if !ids.contains(&wanted.as_str()) => Some(format!(
            "the case `{name}` is not decided by `{wanted}`: {said}"
        )),
        Some(_) | None => None,
    }
}

fn judged(
    schema: &Schema,
    law: &Law,
    groups: &BTreeMap<String, BTreeSet<String>>,
    case: &Case,
) -> Result<Judgement, String> {
    let settings = EnvironmentSettings {
        labels: case.environment.labels.clone(),
        ..EnvironmentSettings::default()
    };
    let environment =
        EnvironmentName::new(case.environment.name.as_str()).map_err(|error| error.to_string())?;
    let scene = imagined::Scene {
        trust: trust(groups, case),
        principal: case.principal.principal(),
        environment,
        protected: settings.is_protected(),
        labels: settings.labels,
        thing: &case.resource,
        circumstances: &case.context,
    };
    match case.action.as_str() {
        "create" | "update" | "replace" | "delete" | "adopt" => {
            imagined::step(schema, law, &scene, &case.action)
        }
        "advance" => imagined::advance(schema, law, &scene),
        other => judge::ask(schema, law, &question(&scene, act(other, case)?)?),
    }
}

fn act(action: &str, case: &Case) -> Result<Act, String> {
    let path = case.resource.path.clone();
    let name = case.resource.name.clone();
    Ok(match action {
        "seal" => Act::Seal { path },
        "readSecret" => Act::ReadSecret { path },
        "allowRollback" => Act::AllowRollback { path },
        "approve" => Act::Approve {
            ballot: Digest::of_bytes(b""),
            own: case.context.own,
        },
        "retry" => Act::Retry {
            run: RunId::new("a-run").map_err(|error| error.to_string())?,
        },
        "suspend" => Act::Suspend,
        "resume" => Act::Resume,
        "runPipeline" => Act::RunPipeline { pipeline: name },
        "propose" => Act::Propose { pipeline: name },
        "submitForm" => Act::SubmitForm { form: name },
        other => return Err(format!("there is no action `{other}`")),
    })
}

fn question(scene: &imagined::Scene<'_>, act: Act) -> Result<Question, String> {
    Ok(Question {
        principal: scene.principal.clone(),
        act,
        environment: scene.environment.clone(),
        labels: scene.labels.clone(),
        protected: scene.protected,
        rules: scene.rules()?,
        now: scene.circumstances.now(),
    })
}

/// Everybody whom the case names, with a key, and in their groups.
fn trust(groups: &BTreeMap<String, BTreeSet<String>>, case: &Case) -> Trust {
    let mut names: BTreeSet<String> = groups.values().flatten().cloned().collect();
    names.extend(case.context.approvals.iter().cloned());
    if let Who::Author(name) | Who::Sealer(name) = &case.principal {
        names.insert(name.clone());
    }
    let person = Person {
        ssh: vec!["ssh-ed25519".to_owned()],
        ..Person::default()
    };
    Trust {
        people: names
            .into_iter()
            .map(|name| (name, person.clone()))
            .collect(),
        groups: groups.clone(),
        ..Trust::default()
    }
}

/// A commit that stands for any.
pub(crate) fn some_commit() -> Result<CommitId, String> {
    CommitId::new("0".repeat(40)).map_err(|error| error.to_string())
}

/// A moment that stands for any: a Tuesday noon.
pub(crate) fn some_time() -> Timestamp {
    Timestamp::from_second(1_764_072_000).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CedarGate;

    const SHIPPED: &str = include_str!("../../../policies/tests/default.toml");

    fn complaints(text: &str) -> Vec<String> {
        let gate = CedarGate::default();
        let court = gate.court().unwrap();
        let law = court.laws.law(&[]).unwrap();
        let findings = run(&court.schema, &law, "policies/tests/a.toml", text);
        let line = |finding: &Finding| {
            format!(
                "{} {}: {}",
                finding.code,
                finding.source.as_ref().unwrap(),
                finding.message
            )
        };
        findings.iter().map(line).collect()
    }

    #[test]
    fn the_policies_that_ship_decide_as_their_tests_say() {
        assert_eq!(complaints(SHIPPED), Vec::<String>::new());
        assert!(SHIPPED.matches("[[case]]").count() > 20);
    }

    #[test]
    fn a_case_that_fails_is_named_with_its_place() {
        let case = "# a comment\n[[case]]\nname = \"x\"\naction = \"update\"\n\
                    principal = { author = \"ben\" }\nexpect = \"deny\"\n";
        let found = complaints(case);
        assert_eq!(
            found,
            [
                "STR0905 policies/tests/a.toml:2:1: the case `x` has another decision: allow by `push`"
            ]
        );
        let wrong = case.replace("\"deny\"", "\"allow\"\npolicy = \"advance\"");
        assert!(complaints(&wrong)[0].contains("is not decided by `advance`: allow by `push`"));
        let unknown = case.replace("expect", "expected");
        assert!(complaints(&unknown)[0].starts_with("STR0906 policies/tests/a.toml:2:1"));
        assert!(complaints("[[case]\n")[0].starts_with("STR0906 policies/tests/a.toml:1"));
    }
}
