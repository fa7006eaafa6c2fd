//! What happened, as GitHub tells a workflow.
//!
//! *Source*: GitHub documentation, "Events that trigger workflows" and "Webhook events and
//! payloads".

use serde::Deserialize;
use stratum_core::ids::CommitId;
use stratum_core::ports::PullNumber;

use crate::commands::pull_request::files::Workflow;
use crate::failure::CommandError;

/// What happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) happening: Happening,
    /// The branch it goes to, where there is one.
    pub(super) target: Option<String>,
    /// The branch that environments are read from which name none.
    pub(super) default_branch: Option<String>,
}

/// The kind of thing that happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// A pull request was opened or changed.
    PullRequest {
        number: PullNumber,
        head: CommitId,
        base: CommitId,
        /// Whether it comes from another repository: its token cannot write.
        is_fork: bool,
    },
    /// A group of pull requests waits to be merged.
    Group { head: CommitId, base: CommitId },
    /// Anything else; a push names the commit before.
    Other { before: Option<CommitId> },
}

#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(default)]
    pull_request: Option<PullRequest>,
    #[serde(default)]
    merge_group: Option<Group>,
    #[serde(default)]
    before: Option<String>,
    #[serde(default, rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    repository: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct PullRequest {
    number: u64,
    head: Side,
    base: Side,
}

#[derive(Debug, Deserialize)]
struct Side {
    sha: String,
    #[serde(rename = "ref")]
    branch: String,
    /// Nothing: the fork was deleted.
    #[serde(default)]
    repo: Option<Repository>,
}

#[derive(Debug, Deserialize)]
struct Group {
    head_sha: String,
    base_sha: String,
    base_ref: String,
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
    #[serde(default)]
    default_branch: Option<String>,
}

impl Event {
    /// Reads the event of this workflow.
    pub(super) fn read(workflow: &Workflow) -> Result<Self, CommandError> {
        if workflow.event == "pull_request_target" {
            return Err(CommandError::given(
                "the workflow runs on `pull_request_target`, which checks out the base and gives \
                 secrets to code of strangers",
            )
            .hint("let it run on `pull_request`; a plan needs no secret"));
        }
        let bytes = std::fs::read(&workflow.event_path).map_err(|error| {
            CommandError::given(format!(
                "the event in `{}` cannot be read",
                workflow.event_path.display()
            ))
            .because(&error)
            .hint("`GITHUB_EVENT_PATH` must name the file that GitHub wrote")
        })?;
        Self::parse(&bytes).map_err(|error| {
            CommandError::given("the event of the workflow has another form than expected")
                .because(error.as_ref())
                .hint("`--base` and `--head` with `stratum plan --markdown` need no event")
        })
    }

    fn parse(bytes: &[u8]) -> Result<Self, Box<dyn std::error::Error>> {
        let payload: Payload = serde_json::from_slice(bytes)?;
        let name = |repository: &Option<Repository>| {
            let repository = repository.as_ref();
            repository.map(|repository| repository.full_name.clone())
        };
        let own = name(&payload.repository);
        let default_branch = payload
            .repository
            .and_then(|repository| repository.default_branch);
        let (happening, target) = match (payload.pull_request, payload.merge_group) {
            (Some(pull), _) => {
                let is_fork = pull.head.repo.is_none() || name(&pull.head.repo) != own;
                let happening = Happening::PullRequest {
                    number: PullNumber(pull.number),
                    head: CommitId::new(pull.head.sha)?,
                    base: CommitId::new(pull.base.sha)?,
                    is_fork,
                };
                (happening, Some(pull.base.branch))
            }
            (None, Some(group)) => {
                let happening = Happening::Group {
                    head: CommitId::new(group.head_sha)?,
                    base: CommitId::new(group.base_sha)?,
                };
                (happening, branch(&group.base_ref))
            }
            (None, None) => {
                let is_there = |commit: &String| commit.bytes().any(|byte| byte != b'0');
                let before = payload.before.filter(is_there);
                let before = before.map(CommitId::new).transpose()?;
                let target = payload.reference.as_deref().and_then(branch);
                (Happening::Other { before }, target)
            }
        };
        Ok(Self {
            happening,
            target,
            default_branch,
        })
    }
}

fn branch(reference: &str) -> Option<String> {
    reference.strip_prefix("refs/heads/").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pull(head_repository: &str) -> Event {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let text = format!(
            r#"{{"action":"opened","repository":{{"full_name":"o/r","default_branch":"main"}},
                "pull_request":{{"number":7,"head":{{"sha":"{a}","ref":"x","repo":{head_repository}}},
                "base":{{"sha":"{b}","ref":"main","repo":{{"full_name":"o/r"}}}}}}}}"#
        );
        Event::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_fork_is_told_from_a_branch_also_when_it_is_gone() {
        let is_fork = |event: Event| match event.happening {
            Happening::PullRequest { is_fork, .. } => is_fork,
            other => panic!("{other:?}"),
        };
        assert!(!is_fork(pull(r#"{"full_name":"o/r"}"#)));
        assert!(is_fork(pull(r#"{"full_name":"stranger/r"}"#)));
        assert!(is_fork(pull("null")));
    }

    #[test]
    fn a_push_names_what_was_before_and_a_new_branch_nothing() {
        let push = |before: &str| {
            let text = format!(r#"{{"before":"{before}","ref":"refs/heads/main"}}"#);
            Event::parse(text.as_bytes()).unwrap()
        };
        let before = CommitId::new("a".repeat(40)).unwrap();
        let event = push(before.as_str());
        assert_eq!(event.target.as_deref(), Some("main"));
        let known = Happening::Other {
            before: Some(before),
        };
        assert_eq!(event.happening, known);
        let new = push(&"0".repeat(40));
        assert_eq!(new.happening, Happening::Other { before: None });
    }

    #[test]
    fn commits_that_are_none_are_refused() {
        let text = r#"{"before":"--upload-pack=x"}"#;
        assert!(Event::parse(text.as_bytes()).is_err());
    }
}
