//! What a person does next about an environment, by how it is.

use stratum_core::approve::command;
use stratum_core::ids::CommitId;

use crate::show::json::EnvironmentView;

/// The outcomes of a run that has a story to tell.
const BAD: [&str; 3] = ["rolled-back", "stuck", "denied"];

/// What a person does next, where something is to be done; where the reason says it, nothing more.
pub(crate) fn next(environment: &EnvironmentView) -> Option<String> {
    if environment.sealed.is_some() && environment.condition != "Suspended" {
        return Some(UNSEAL.to_owned());
    }
    match environment.condition {
        "Stalled" => stalled(environment),
        "Suspended" => Some(match &environment.word {
            Some(tag) => format!("{} has it go on", command(tag)),
            None => "push `stratum.ncl` without `suspended = true`, and it goes on".to_owned(),
        }),
        "Unknown" => Some("`stratum reconcile` looks at it".to_owned()),
        _ if environment.drifted > 0 => Some(DRIFT.to_owned()),
        _ => None,
    }
}

/// For whom a value must be opened that nobody can open.
const UNSEAL: &str = "`stratum secrets unseal` gives the reconciler an identity, and so does a start \
                      with `stratum reconcile --identity FILE`";

/// Where the world differs.
const DRIFT: &str = "`stratum drift` shows what differs, and how to put it back";

fn stalled(environment: &EnvironmentView) -> Option<String> {
    let behind = environment.desired_revision.is_some()
        && environment.desired_revision != environment.revision;
    // What came after a held commit is in the way itself: reverting the held one would not help.
    let held = environment.held.as_ref().filter(|held| {
        let wanted = environment.desired_revision.as_ref();
        wanted.is_none_or(|wanted| wanted == *held)
    });
    if let Some(held) = held {
        return Some(of_held(environment, held));
    }
    let ended_badly = environment
        .outcome
        .is_some_and(|outcome| BAD.contains(&outcome));
    match (&environment.last_run, &environment.held) {
        (Some(run), _) if ended_badly => Some(format!("`stratum show {run}` has the story")),
        _ if environment.proposal.is_some() => environment.proposal.as_ref().map(|branch| {
            format!("merge `{branch}`, which has the secrets that it waits for, and push")
        }),
        // A commit that changes nothing of the environment leaves it at what is held.
        (_, Some(held)) => Some(format!(
            "`git revert {}` or push a fix of it; `stratum check` and `stratum plan` show what else \
             is in the way",
            held.short()
        )),
        (_, None) if behind => {
            Some("`stratum check` and `stratum plan` show what is in the way".to_owned())
        }
        (_, None) if environment.drifted > 0 => Some(DRIFT.to_owned()),
        (_, None) => None,
    }
}

/// What is done about a run that was rolled back, or got stuck.
fn of_held(environment: &EnvironmentView, held: &CommitId) -> String {
    let run = environment.last_run.as_ref();
    let run = run.map_or("RUN", |run| run.as_str());
    let again = environment.word.as_ref().map(|tag| {
        format!(
            "; if what failed has passed, {} has it tried again",
            command(tag)
        )
    });
    format!(
        "`git revert {}` or push a fix; `stratum show {run}` has the story{}",
        held.short(),
        again.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::status::tests::environment;

    fn commit(digit: &str) -> Option<CommitId> {
        CommitId::new(digit.repeat(40)).ok()
    }

    #[test]
    fn a_run_that_ended_badly_is_named_and_a_file_that_cannot_be_read_is_not_its_fault() {
        let mut stalled = environment("production", "Stalled");
        stalled.desired_revision = commit("b");
        assert!(next(&stalled).unwrap().contains("stratum check"));
        // An unrelated commit after one that is held.
        stalled.held = commit("c");
        assert!(next(&stalled).unwrap().contains("git revert cccccccccccc"));
        stalled.held = None;
        stalled.outcome = Some("stuck");
        assert!(next(&stalled).unwrap().contains("stratum show 2026"));
        // One that was applied does not say why the environment is not well now.
        stalled.outcome = Some("applied");
        assert!(!next(&stalled).unwrap().contains("stratum show"));
    }

    #[test]
    fn each_condition_leads_to_what_helps_there() {
        let mut one = environment("production", "Stalled");
        one.outcome = Some("applied");
        assert_eq!(next(&one), None, "the reason says it");
        one.drifted = 1;
        assert!(next(&one).unwrap().contains("stratum drift"));
        one.condition = "Ready";
        assert!(next(&one).unwrap().contains("stratum drift"));
        one.condition = "Stalled";
        one.proposal = Some("stratum/secrets/production".to_owned());
        assert!(
            next(&one)
                .unwrap()
                .contains("merge `stratum/secrets/production`")
        );
        one.sealed = Some("it has no identity".to_owned());
        let said = next(&one).unwrap();
        assert!(
            said.contains("secrets unseal") && said.contains("--identity"),
            "{said}"
        );
        one.condition = "Suspended";
        assert!(next(&one).unwrap().contains("without `suspended = true`"));
        one.word = Some("stratum/resume/production".to_owned());
        assert!(
            next(&one)
                .unwrap()
                .contains("git tag -s stratum/resume/production")
        );
    }

    #[test]
    fn another_try_is_offered_where_somebody_could_say_so() {
        let mut held = environment("production", "Stalled");
        held.held = commit("b");
        held.desired_revision = commit("b");
        assert!(!next(&held).unwrap().contains("tried again"));
        held.word = Some("stratum/retry/x".to_owned());
        assert!(
            next(&held)
                .unwrap()
                .contains("git push origin stratum/retry/x")
        );
    }
}
