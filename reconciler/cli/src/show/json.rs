//! The JSON that `--json` prints, version 1.
//!
//! *Guarantees*: fields may be added, never renamed. Times are RFC 3339 in UTC.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value as Json, json};
use stratum_assembly::attendance::{Attendance, Behind};
use stratum_assembly::records::RecordsView;
use stratum_core::digest::Digest;
use stratum_core::finding::{Finding, Severity};
use stratum_core::ids::{Address, CommitId, EnvironmentName, ProviderName, RunId};
use stratum_core::kinds::Kind;
use stratum_core::plan::{Change, Plan, Step, Summary};
use stratum_core::ports::ForgeTrouble;
use stratum_core::remembered::Again;
use stratum_core::run::{RunSummary, StepCounts};
use stratum_core::source::Source;
use stratum_core::value::shown;
use stratum_core::verdict::{Judgement, Policy, Verdict};

use crate::show::audit::AuditView;
use crate::show::plan::judgement;
use crate::troubles::Trouble;

/// The version of every shape here.
pub(crate) const VERSION: u32 = 1;

/// `plan --json`.
#[derive(Debug, Serialize)]
pub(crate) struct PlanView {
    version: u32,
    environment: EnvironmentName,
    revision: CommitId,
    base: Digest,
    digest: Digest,
    steps: Vec<StepView>,
    summary: Summary,
    drifted: Vec<DriftedView>,
    blocked: Vec<BlockedView>,
    findings: Vec<FindingView>,
    /// Whether the environment may come to the revision at all.
    whole: JudgementView,
    /// What an approval must name.
    ballot: Option<Digest>,
}

#[derive(Debug, Serialize)]
struct StepView {
    address: Address,
    kind: Kind,
    action: &'static str,
    reversibility: &'static str,
    reason: String,
    changes: Vec<ChangeView>,
    requires: Vec<Address>,
    verdict: JudgementView,
    source: Option<Source>,
}

#[derive(Debug, Serialize)]
struct ChangeView {
    path: String,
    before: Json,
    after: Json,
    source: Option<Source>,
}

#[derive(Debug, Serialize)]
struct JudgementView {
    decision: &'static str,
    policies: Vec<Policy>,
}

#[derive(Debug, Serialize)]
struct DriftedView {
    address: Address,
    changes: Vec<ChangeView>,
}

#[derive(Debug, Serialize)]
struct BlockedView {
    address: Address,
    reason: String,
}

impl PlanView {
    /// The view of a plan with its verdict and findings.
    pub(crate) fn new(plan: &Plan, verdict: &Verdict, findings: &[Finding]) -> Self {
        let step = |step: &Step| StepView::new(plan, step, verdict);
        let drifted = plan.drifted.iter().map(|drifted| DriftedView {
            address: drifted.address.clone(),
            changes: drifted.changes.iter().map(ChangeView::new).collect(),
        });
        let blocked = plan.blocked.iter().map(|blocked| BlockedView {
            address: blocked.address.clone(),
            reason: blocked.reason.clone(),
        });
        Self {
            version: VERSION,
            environment: plan.environment.clone(),
            revision: plan.revision.clone(),
            base: plan.base.digest,
            digest: plan.digest,
            steps: plan.shown().map(step).collect(),
            summary: plan.summary(),
            drifted: drifted.collect(),
            blocked: blocked.collect(),
            findings: findings.iter().map(FindingView::new).collect(),
            whole: JudgementView::new(verdict.whole.as_ref()),
            ballot: verdict.ballot,
        }
    }
}

impl StepView {
    fn new(plan: &Plan, step: &Step, verdict: &Verdict) -> Self {
        let pair = step.pair.and_then(|id| plan.step(id));
        let ids = step
            .requires
            .iter()
            .chain(pair.iter().flat_map(|pair| &pair.requires));
        let mut requires: Vec<Address> = ids
            .filter_map(|id| plan.step(*id))
            .map(|step| step.address.clone())
            .filter(|address| *address != step.address)
            .collect();
        requires.sort();
        requires.dedup();
        Self {
            address: step.address.clone(),
            kind: step.kind,
            action: step.action.as_str(),
            reversibility: plan.reversibility(step).as_str(),
            reason: step.reason.sentence(),
            changes: step.changes.iter().map(ChangeView::new).collect(),
            requires,
            verdict: JudgementView::new(judgement(plan, step, verdict)),
            source: step.source.clone(),
        }
    }
}

impl ChangeView {
    fn new(change: &Change) -> Self {
        let side = |value: Option<&stratum_core::value::Value>| match value {
            Some(_) if change.sensitive => json!({ "sensitive": true }),
            Some(value) => shown(value),
            None => Json::Null,
        };
        Self {
            path: change.path.0.clone(),
            before: side(change.before.as_ref()),
            after: side(change.after.as_ref()),
            source: change.source.clone(),
        }
    }
}

impl JudgementView {
    fn new(judgement: Option<&Judgement>) -> Self {
        match judgement {
            Some(judgement) => Self {
                decision: judgement.decision.as_str(),
                policies: judgement.policies.clone(),
            },
            None => Self {
                decision: "deny",
                policies: Vec::new(),
            },
        }
    }
}

/// `plan --json` where the files have errors and no plan could be made.
pub(crate) fn no_plan(
    environment: Option<&EnvironmentName>,
    revision: &CommitId,
    findings: &[Finding],
) -> Json {
    json!({
        "version": VERSION,
        "environment": environment,
        "revision": revision,
        "base": null,
        "digest": null,
        "steps": [],
        "summary": Summary::default(),
        "findings": findings.iter().map(FindingView::new).collect::<Vec<_>>(),
    })
}

/// `check --json`.
#[derive(Debug, Serialize)]
pub(crate) struct CheckView {
    version: u32,
    findings: Vec<FindingView>,
}

#[derive(Debug, Serialize)]
/// One finding.
pub(crate) struct FindingView {
    code: String,
    severity: Severity,
    message: String,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    hint: Option<String>,
}

impl CheckView {
    /// The view of findings.
    pub(crate) fn new(findings: &[Finding]) -> Self {
        Self {
            version: VERSION,
            findings: findings.iter().map(FindingView::new).collect(),
        }
    }
}

impl FindingView {
    /// The view of one finding.
    pub(crate) fn new(finding: &Finding) -> Self {
        let source = finding.source.as_ref();
        Self {
            code: finding.code.to_string(),
            severity: finding.severity,
            message: finding.message.clone(),
            file: source.map(|source| source.file.clone()),
            line: source.map(|source| source.line),
            column: source.map(|source| source.column),
            hint: finding.hint.clone(),
        }
    }
}

/// `status --json`.
#[derive(Debug, Serialize)]
pub(crate) struct StatusView {
    /// The version of the shape.
    pub(crate) version: u32,
    /// The environments by name.
    pub(crate) environments: Vec<EnvironmentView>,
    /// What keeps the forge from being told how commits fare; `null` when nothing does.
    pub(crate) forge: Option<ForgeTrouble>,
    /// Whether somebody reconciles; `null` before the first look, and after one by this command.
    pub(crate) reconciler: Option<Attendance>,
    /// The audit log, once there is one.
    pub(crate) audit: Option<AuditView>,
    /// What is wrong with the records in git; `null` when nothing is.
    pub(crate) records: Option<RecordsView>,
    /// What keeps a reconciler from its work: a full disk, a HEAD that cannot be read, a remote that
    /// does not answer.
    pub(crate) troubles: Vec<Trouble>,
}

/// One environment of `status --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EnvironmentView {
    /// Its name.
    pub(crate) name: EnvironmentName,
    /// Its condition, as a word.
    pub(crate) condition: &'static str,
    /// Why, in one sentence; empty when Ready.
    pub(crate) reason: String,
    /// The commit whose content is applied.
    pub(crate) revision: Option<CommitId>,
    /// The commit it should be at.
    pub(crate) desired_revision: Option<CommitId>,
    /// How many resources there are.
    pub(crate) resources: usize,
    /// How many of them differ from what was applied.
    pub(crate) drifted: usize,
    /// How many nobody can tell about.
    pub(crate) unknown: usize,
    /// The commit that is held back, if one is.
    pub(crate) held: Option<CommitId>,
    /// Why it waits for the reconciler to be unsealed, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sealed: Option<String>,
    /// The last run.
    pub(crate) last_run: Option<RunId>,
    /// How the last run ended, if it was for the commit the environment should be at.
    pub(crate) outcome: Option<&'static str>,
    /// When the world was last looked at.
    pub(crate) observed_at: Option<Timestamp>,
    /// How often it came to the same; absent when it came to it once, or is Ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) again: Option<AgainView>,
    /// The resources whose drift could not be corrected, with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) in_the_way: BTreeMap<Address, String>,
    /// Where its branch is, if nothing of that is applied; `null` also where the environment says
    /// itself what it should come to.
    pub(crate) behind: Option<Behind>,
    /// The tag that would say what a person may say now: that the held run is tried again, or that
    /// it is no longer suspended. `null` where nobody could say it.
    pub(crate) word: Option<String>,
    /// The branch with secrets for it that waits to be merged, if one does.
    pub(crate) proposal: Option<String>,
}

/// How often an environment came to the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct AgainView {
    /// How often.
    pub(crate) times: u64,
    /// Since when.
    pub(crate) since: Timestamp,
}

impl AgainView {
    /// As it is kept; `None` when it cannot be read.
    pub(crate) fn of(kept: &[u8]) -> Option<Self> {
        let Again { times, since, .. } = serde_json::from_slice(kept).ok()?;
        Some(Self { times, since })
    }
}

/// `get --json`.
#[derive(Debug, Serialize)]
pub(crate) struct GetView {
    /// The version of the shape.
    pub(crate) version: u32,
    /// The resources by address.
    pub(crate) resources: Vec<ResourceView>,
}

/// One resource of `get --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ResourceView {
    /// Its address.
    pub(crate) address: Address,
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its type.
    pub(crate) r#type: String,
    /// Who made it.
    pub(crate) provider: ProviderName,
    /// `Ready`, `Stalled` (a step failed half way, or what should run does not) or `Unknown`.
    pub(crate) condition: &'static str,
    /// Why it does not run, or why nobody knows how it is.
    pub(crate) because: Option<String>,
    /// The attributes that hold a secret, which is nowhere in the clear.
    pub(crate) sealed: Vec<String>,
    /// Nothing of it can be read, because there is no identity that opens the state.
    pub(crate) closed: bool,
    /// The attributes that differ from what was applied.
    pub(crate) drifted: Vec<String>,
    /// When a step last changed it.
    pub(crate) changed_at: Option<Timestamp>,
    /// When it was last looked at.
    pub(crate) observed_at: Option<Timestamp>,
    /// What it depends on directly.
    pub(crate) depends_on: Vec<Address>,
}

/// `history --json`.
#[derive(Debug, Serialize)]
pub(crate) struct HistoryView {
    version: u32,
    runs: Vec<RunView>,
}

#[derive(Debug, Serialize)]
struct RunView {
    id: RunId,
    environment: EnvironmentName,
    trigger: &'static str,
    revision: CommitId,
    plan_digest: Digest,
    outcome: Option<&'static str>,
    reason: String,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    steps: StepCounts,
    record: Option<CommitId>,
}

impl HistoryView {
    /// The view of runs.
    pub(crate) fn new(runs: &[RunSummary]) -> Self {
        let view = |run: &RunSummary| RunView {
            id: run.id.clone(),
            environment: run.environment.clone(),
            trigger: run.trigger.as_str(),
            revision: run.revision.clone(),
            plan_digest: run.plan_digest,
            outcome: run.outcome.map(|outcome| outcome.as_str()),
            reason: run.reason.clone(),
            started_at: run.started_at,
            ended_at: run.ended_at,
            steps: run.steps,
            record: run.record.clone(),
        };
        Self {
            version: VERSION,
            runs: runs.iter().map(view).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample;

    fn keys(value: &Json) -> Vec<&str> {
        value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect()
    }

    #[test]
    fn a_plan_has_the_documented_shape() {
        let view = PlanView::new(&sample::plan(), &sample::verdict(), &[]);
        let json = serde_json::to_value(view).unwrap();
        for key in [
            "version",
            "environment",
            "revision",
            "base",
            "digest",
            "steps",
            "summary",
            "findings",
        ] {
            assert!(keys(&json).contains(&key), "{key}");
        }
        let steps = json["steps"].as_array().unwrap();
        let actions: Vec<_> = steps
            .iter()
            .map(|step| step["action"].as_str().unwrap())
            .collect();
        assert_eq!(actions, ["create", "update", "replace", "delete"]);
        for key in [
            "address",
            "kind",
            "action",
            "reversibility",
            "reason",
            "changes",
            "requires",
            "verdict",
        ] {
            assert!(keys(&steps[0]).contains(&key), "{key}");
        }
        assert_eq!(steps[0]["changes"][0]["after"], json!({ "unknown": true }));
        assert_eq!(steps[0]["changes"][1]["source"]["line"], 3);
        assert_eq!(steps[2]["requires"], json!(["staging/local_file.index"]));
        assert_eq!(steps[2]["reversibility"], "recreated");
        assert_eq!(steps[3]["verdict"]["decision"], "deny");
        assert_eq!(steps[3]["verdict"]["policies"][0]["id"], "no-loss");
        let summary = json!({ "create": 1, "update": 1, "replace": 1, "delete": 1, "adopt": 0 });
        assert_eq!(json["summary"], summary);
    }

    #[test]
    fn sensitive_values_do_not_appear() {
        let view = PlanView::new(&sample::plan(), &sample::verdict(), &[]);
        let json = serde_json::to_value(view).unwrap();
        let hidden = &json["steps"][1]["changes"][1];
        assert_eq!(hidden["after"], json!({ "sensitive": true }));
        assert_eq!(hidden["before"], json!({ "sensitive": true }));
    }

    #[test]
    fn findings_without_a_place_have_nulls() {
        let finding = Finding::error(&stratum_core::finding::codes::EMPTIED, "x");
        let json = serde_json::to_value(CheckView::new(&[finding])).unwrap();
        assert_eq!(json["version"], 1);
        assert_eq!(
            json["findings"][0],
            json!({ "code": "STR0803", "severity": "error", "message": "x",
                    "file": null, "line": null, "column": null, "hint": null })
        );
    }
}
