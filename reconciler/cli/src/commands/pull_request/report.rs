//! The comment and the commit status; whatever goes wrong with them is said and nothing more.

use stratum_core::ports::{CommitState, CommitStatus, Forge, ForgeError};
use stratum_forge::github::{Author, GitHub, Settings, TokenSource};
use stratum_forge::markdown::{COMMENT_BYTES, PLAN, Plans, Standing};

use crate::commands::pull_request::PullRequestArguments;
use crate::commands::pull_request::event::{Event, Happening};
use crate::commands::pull_request::files::Workflow;

/// Who writes the comments of the token that each workflow has.
const WORKFLOWS: &str = "github-actions[bot]";

/// The context of the status.
const CONTEXT: &str = "stratum/plan";

/// What the forge was told, and what it was not.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Where the comment is.
    pub(super) comment_url: Option<String>,
    /// Sentences about what could not be told, with the remedy.
    pub(super) notices: Vec<String>,
}

/// Tells the forge what it may be told.
pub(super) async fn tell(
    arguments: &PullRequestArguments,
    workflow: &Workflow,
    event: &Event,
    plans: &Plans<'_>,
) -> Told {
    let mut told = Told::default();
    let wanted = matches!(
        event.happening,
        Happening::PullRequest { .. } | Happening::Group { .. }
    );
    if arguments.silent || !wanted {
        return told;
    }
    let is_fork = matches!(
        event.happening,
        Happening::PullRequest { is_fork: true, .. }
    );
    if is_fork || workflow.token.is_none() {
        let why = match is_fork {
            true => "The pull request comes from a fork, whose token may not write",
            false => "There is no `GITHUB_TOKEN`",
        };
        told.notices.push(format!(
            "{why}: there is no comment and no commit status, and everything is on this page."
        ));
        return told;
    }
    match client(arguments, workflow) {
        Ok(forge) => write(&forge, workflow, event, plans, &mut told).await,
        Err(error) => told
            .notices
            .push(notice("Nothing was told to the forge", &error)),
    }
    told
}

async fn write(
    forge: &dyn Forge,
    workflow: &Workflow,
    event: &Event,
    plans: &Plans<'_>,
    told: &mut Told,
) {
    if let Happening::PullRequest { number, .. } = event.happening {
        let wording = |before: Option<&str>| plans.markdown(before, COMMENT_BYTES);
        match forge.comment(number, PLAN, &wording).await {
            Ok(place) => told.comment_url = place.url,
            Err(error) => told
                .notices
                .push(notice("The comment was not written", &error)),
        }
    }
    let status = CommitStatus {
        commit: plans.head.clone(),
        context: CONTEXT.to_owned(),
        state: state(plans.standing()),
        description: plans.sentence(),
        target: told.comment_url.clone().or_else(|| workflow.run_url()),
    };
    if let Err(error) = forge.status(&status).await {
        told.notices
            .push(notice("The commit status was not set", &error));
    }
}

fn client(arguments: &PullRequestArguments, workflow: &Workflow) -> Result<GitHub, ForgeError> {
    let token = workflow
        .token
        .clone()
        .map_or(TokenSource::None, TokenSource::Given);
    let mut settings = Settings::new(&workflow.api, workflow.repository.parse()?, token)?;
    settings.author = match &arguments.github_author {
        Some(login) => Author::Known(login.clone()),
        None => Author::Asked {
            or_else: Some(WORKFLOWS.to_owned()),
        },
    };
    GitHub::new(settings)
}

/// What needs an approval may be merged: it is approved afterwards, and the description says so.
fn state(standing: Standing) -> CommitState {
    match standing {
        Standing::Allowed | Standing::NeedsApproval => CommitState::Success,
        Standing::Denied | Standing::Errors => CommitState::Failure,
    }
}

fn notice(what: &str, error: &ForgeError) -> String {
    let remedy = match error {
        ForgeError::Forbidden { .. } => {
            ". Give the job `permissions: pull-requests: write` and `statuses: write`"
        }
        ForgeError::Unknown { .. } => ". Give the step `GITHUB_TOKEN: ${{ github.token }}`",
        ForgeError::Settings { .. }
        | ForgeError::Unreachable { .. }
        | ForgeError::Slow { .. }
        | ForgeError::Missing { .. }
        | ForgeError::Limited { .. }
        | ForgeError::Trouble { .. }
        | ForgeError::Refused { .. }
        | ForgeError::Unreadable { .. } => {
            ". The plan itself is on this page; run the job again for the comment"
        }
    };
    let text = stratum_forge::markdown::sentence(&error.to_string());
    format!("{what}: {text}{remedy}.")
}
