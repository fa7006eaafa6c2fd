//! A gate without policies, and signatures without keys.

use jiff::Timestamp;
use stratum_core::finding::Finding;
use stratum_core::plan::{Reversibility, Step};
use stratum_core::ports::{Gate, GateError, PlanRequest, Question, Signatures, Tree, TreeError};
use stratum_core::settings::Settings;
use stratum_core::signed::{Signed, Signer};
use stratum_core::trust::Trust;
use stratum_core::verdict::{Decision, Judgement, Verdict};

/// Allows what can be put back, and denies to remove what cannot.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReversibleOnly;

impl Gate for ReversibleOnly {
    fn judge(&self, request: &PlanRequest) -> Result<Verdict, GateError> {
        let steps = request.plan.steps.iter();
        let allowed = Judgement::by(Decision::Allow, "any", "every revision may come");
        Ok(Verdict {
            steps: steps.map(|step| (step.id, judge_step(step))).collect(),
            whole: Some(allowed),
            ballot: Some(request.ballot),
            ..Verdict::default()
        })
    }

    fn ask(&self, _question: &Question) -> Result<Judgement, GateError> {
        Ok(Judgement::by(
            Decision::Allow,
            "any",
            "everything may be asked for",
        ))
    }

    fn check(
        &self,
        _tree: &dyn Tree,
        _trust: &Trust,
        _settings: &Settings,
    ) -> Result<Vec<Finding>, TreeError> {
        Ok(Vec::new())
    }
}

fn judge_step(step: &Step) -> Judgement {
    if step.action.takes_away() && step.reversibility != Reversibility::Reversible {
        let reason = format!("removing this is {}", step.reversibility.as_str());
        return Judgement::by(Decision::Deny, "irreversible-delete", reason);
    }
    let reason = "it takes nothing away that could not be put back";
    Judgement::by(Decision::Allow, "reversible", reason)
}

/// Finds nobody behind any signature.
#[derive(Debug, Clone, Copy, Default)]
pub struct NobodySigns;

impl Signatures for NobodySigns {
    fn signer(&self, _: &Signed, _: &Trust, _: Timestamp, _: Timestamp) -> Signer {
        Signer::Nobody {
            why: "it is not signed".to_owned(),
        }
    }
}
