//! The files of a workflow: what GitHub wrote for us, and what we write for it.
//!
//! *Source*: GitHub documentation, "Variables reference" and "Workflow commands for GitHub
//! Actions".

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use stratum_assembly::absolute;
use stratum_core::digest::Digest;
use stratum_core::finding::Finding;
use stratum_core::ids::CommitId;
use stratum_core::plan::Summary;
use stratum_forge::markdown::{Plans, SUMMARY_BYTES, Standing};

use crate::commands::plan::Gathered;
use crate::commands::pull_request::report::Told;
use crate::failure::CommandError;
use crate::forge::variable;
use crate::show::json::{PlanView, VERSION, no_plan};

/// What GitHub tells a workflow about itself.
pub(super) struct Workflow {
    pub(super) event: String,
    pub(super) event_path: PathBuf,
    /// The commit that was checked out.
    pub(super) sha: String,
    /// `owner/name`
    pub(super) repository: String,
    pub(super) api: String,
    server: String,
    run: Option<String>,
    pub(super) token: Option<String>,
    summary: Option<PathBuf>,
    outputs: Option<PathBuf>,
    temporary: Option<PathBuf>,
}

/// What later steps of the job read.
pub(super) struct Outputs {
    pub(super) summary: Summary,
    pub(super) digest: Digest,
    pub(super) standing: Standing,
    pub(super) json_path: PathBuf,
    pub(super) sarif_path: PathBuf,
    pub(super) comment_url: Option<String>,
}

impl Workflow {
    /// What GitHub put into the environment.
    pub(super) fn read() -> Result<Self, CommandError> {
        let needed = |name: &str| {
            variable(name).ok_or_else(|| {
                CommandError::given(format!(
                    "this is no workflow of GitHub: `{name}` is not set"
                ))
                .hint(
                    "elsewhere, `stratum plan --markdown --base REV --head REV` gives the same text",
                )
            })
        };
        let path = |name: &str| variable(name).map(PathBuf::from);
        Ok(Self {
            event: needed("GITHUB_EVENT_NAME")?,
            event_path: needed("GITHUB_EVENT_PATH")?.into(),
            sha: needed("GITHUB_SHA")?,
            repository: needed("GITHUB_REPOSITORY")?,
            api: variable("GITHUB_API_URL").unwrap_or("https://api.github.com".to_owned()),
            server: variable("GITHUB_SERVER_URL").unwrap_or("https://github.com".to_owned()),
            run: variable("GITHUB_RUN_ID"),
            token: variable("GITHUB_TOKEN"),
            summary: path("GITHUB_STEP_SUMMARY"),
            outputs: path("GITHUB_OUTPUT"),
            temporary: path("RUNNER_TEMP"),
        })
    }

    /// The files of a commit, for people.
    pub(super) fn files_url(&self, commit: &CommitId) -> String {
        format!("{}/{}/blob/{commit}", self.server, self.repository)
    }

    /// This run, for people.
    pub(super) fn run_url(&self) -> Option<String> {
        let run = self.run.as_ref()?;
        let digits = run.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| format!("{}/{}/actions/runs/{run}", self.server, self.repository))
    }

    /// The folder of what is written.
    pub(super) fn folder(&self, given: Option<&Path>) -> Result<PathBuf, CommandError> {
        let folder = match (given, &self.temporary) {
            (Some(given), _) => given.to_owned(),
            (None, Some(temporary)) => temporary.join("stratum"),
            (None, None) => PathBuf::from("stratum-plan"),
        };
        Ok(absolute(&folder)?)
    }

    /// Adds the whole report to the page of the run.
    pub(super) fn add_summary(&self, plans: &Plans<'_>, told: &Told) -> Result<(), CommandError> {
        let Some(path) = &self.summary else {
            return Ok(());
        };
        let notices: String = told
            .notices
            .iter()
            .map(|notice| format!("> {notice}\n\n"))
            .collect();
        let room = SUMMARY_BYTES.saturating_sub(notices.len());
        append(path, &format!("{notices}{}", plans.markdown(None, room)))
    }

    /// Adds the outputs.
    pub(super) fn add_outputs(&self, outputs: &Outputs) -> Result<(), CommandError> {
        let Some(path) = &self.outputs else {
            return Ok(());
        };
        append(path, &outputs.lines()?)
    }
}

impl Outputs {
    fn lines(&self) -> Result<String, CommandError> {
        let summary = &self.summary;
        let pairs = [
            ("changes", (*summary != Summary::default()).to_string()),
            ("to-add", (summary.create + summary.replace).to_string()),
            ("to-change", summary.update.to_string()),
            ("to-destroy", (summary.delete + summary.replace).to_string()),
            ("to-adopt", summary.adopt.to_string()),
            ("digest", self.digest.to_string()),
            ("verdict", self.standing.as_str().replace(' ', "-")),
            ("json-path", self.json_path.display().to_string()),
            ("sarif-path", self.sarif_path.display().to_string()),
            ("comment-url", self.comment_url.clone().unwrap_or_default()),
        ];
        let mut lines = String::new();
        for (name, value) in pairs {
            // A line break would begin another output.
            if value.chars().any(char::is_control) {
                return Err(CommandError::given(format!(
                    "the output `{name}` would have a control character"
                ))
                .hint("give `--out` a folder with a plain name"));
            }
            lines.push_str(&format!("{name}={value}\n"));
        }
        Ok(lines)
    }
}

/// Every plan, as `plan --json` gives it.
pub(super) fn plan_json(gathered: &Gathered, plans: &Plans<'_>) -> Result<String, CommandError> {
    let mut all: Vec<Json> = Vec::new();
    for (environment, commit, made) in &gathered.plans {
        all.push(match &made.plan {
            Some(plan) => serde_json::to_value(PlanView::new(plan, &made.verdict, &made.findings))?,
            None => no_plan(Some(environment), commit, &made.findings),
        });
    }
    let json = json!({
        "version": VERSION,
        "revision": plans.head,
        "digest": plans.digest(),
        "verdict": plans.standing(),
        "summary": plans.summary(),
        "plans": all,
    });
    Ok(serde_json::to_string_pretty(&json)?)
}

/// Every finding once, in order of place.
pub(super) fn all_findings(gathered: &Gathered) -> Vec<Finding> {
    let made = gathered
        .plans
        .iter()
        .flat_map(|(_, _, made)| &made.findings);
    let mut all: Vec<Finding> = gathered.findings.iter().chain(made).cloned().collect();
    all.sort_by(|a, b| (&a.source, &a.code, &a.message).cmp(&(&b.source, &b.code, &b.message)));
    all.dedup();
    all
}

/// Writes a file into a folder that may have to be made.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, CommandError> {
    let path = folder.join(name);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, text));
    written.map_err(|error| unwritable(&path, &error))?;
    Ok(path)
}

fn append(path: &Path, text: &str) -> Result<(), CommandError> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::machine(format!("`{}` cannot be written", path.display()))
        .because(error)
        .hint("`--out DIR` names another folder; `df -h` shows whether a disk is full")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(json_path: &str) -> Outputs {
        Outputs {
            summary: Summary {
                create: 2,
                update: 1,
                replace: 3,
                delete: 4,
                adopt: 0,
            },
            digest: Digest::of_bytes(b""),
            standing: Standing::NeedsApproval,
            json_path: json_path.into(),
            sarif_path: "/x/findings.sarif".into(),
            comment_url: None,
        }
    }

    #[test]
    fn a_replace_is_both_added_and_destroyed() {
        let lines = outputs("/x/plan.json").lines().unwrap();
        for line in [
            "changes=true",
            "to-add=5",
            "to-change=1",
            "to-destroy=7",
            "verdict=needs-approval",
            "json-path=/x/plan.json",
        ] {
            assert!(lines.lines().any(|found| found == line), "{line}\n{lines}");
        }
    }

    #[test]
    fn an_output_cannot_begin_another() {
        assert!(outputs("/x\nchanges=false/plan.json").lines().is_err());
    }
}
