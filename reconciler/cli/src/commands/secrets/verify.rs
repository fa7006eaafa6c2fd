//! `stratum secrets verify`

use clap::Args;
use serde_json::json;
use stratum_core::finding::Finding;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::SealedSecret;

use crate::context::Context;
use crate::exit::{Exit, exit_of};
use crate::failure::CommandError;
use crate::show;
use crate::work_tree::WorkTree;

/// Verifies every sealed value of the work tree: place, signatures, sealer, recipients, version
///
/// Needs no key. Who may seal is judged by the commit that is applied, where the state is at hand.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Only this environment
    #[arg(long, value_name = "ENV")]
    env: Option<EnvironmentName>,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &VerifyArguments) -> Result<Exit, CommandError> {
    let work_tree = WorkTree::open(context)?;
    let mut values: Vec<(EnvironmentName, SealedSecret)> = Vec::new();
    let mut findings: Vec<Finding> = Vec::new();
    let environments = work_tree.settings.environments.keys().cloned();
    for environment in environments.chain([EnvironmentName::repository()]) {
        if arguments
            .env
            .as_ref()
            .is_some_and(|only| *only != environment)
        {
            continue;
        }
        let report = context.sealed(work_tree.files.as_ref(), &work_tree.settings, &environment)?;
        let found = report.values.into_iter();
        values.extend(found.map(|value| (environment.clone(), value)));
        findings.extend(report.findings);
    }
    let ui = &context.ui;
    if context.global.json {
        let values: Vec<_> = values.iter().map(|(environment, value)| json!({
            "environment": environment, "path": value.path, "key": value.key, "v": value.version,
            "digest": value.digest, "sealer": value.sealer,
        })).collect();
        let views = findings
            .iter()
            .map(show::json::FindingView::new)
            .collect::<Vec<_>>();
        ui.answer_json(&json!({ "version": 1, "values": values, "findings": views }))?;
    } else {
        for (environment, value) in &values {
            ui.answer(&format!(
                "{environment}/{}#{} v{} sealed by {}\n",
                value.path, value.key, value.version, value.sealer
            ));
        }
        let text = |path: &str| work_tree.read(path).ok().flatten();
        ui.answer(&show::finding::findings(ui.theme(), &findings, &text));
        let bad = findings.iter().filter(|finding| finding.is_error()).count();
        ui.answer(&format!("{} verified, {bad} refused\n", values.len()));
    }
    if let Some(first) = findings.iter().find(|finding| finding.is_error()) {
        ui.hint(&format!(
            "`stratum explain {}` says more about it",
            first.code
        ));
    }
    Ok(exit_of(&findings))
}
