//! `stratum check`

use std::path::PathBuf;
use std::sync::Arc;

use stratum_assembly::adapters;
use stratum_core::beside;
use stratum_core::desired::Revision;
use stratum_core::duration;
use stratum_core::finding::Finding;
use stratum_core::ids::{CommitId, ObjectId};
use stratum_core::ports::{LoadError, Loader, Repository as _, RepositoryError, Tree};
use stratum_core::settings::{Limits, Settings};

use crate::context::{Context, Place};
use crate::exit::{Exit, exit_of};
use crate::failure::CommandError;
use crate::files::{Files, top};
use crate::leaks;
use crate::show;
use crate::users;

/// Checks everything that can be known without touching the world
///
/// Without options it checks the files of the work tree, as they are now. A bare repository has
/// none; its HEAD is checked instead. Files that changed, of whatever kind, are also searched for
/// private keys and credentials.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArguments {
    /// Check what the next commit would have
    #[arg(long, conflicts_with = "rev")]
    staged: bool,

    /// Check this commit, branch or tag
    #[arg(long, value_name = "REV")]
    rev: Option<String>,

    /// Search every file of the commits after this one for private keys, too
    #[arg(long, value_name = "REV", conflicts_with = "staged")]
    since: Option<String>,

    /// Answer in SARIF 2.1.0
    #[arg(long, conflicts_with = "json")]
    sarif: bool,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &CheckArguments) -> Result<Exit, CommandError> {
    let standing = context.standing();
    let context = if arguments.rev.is_some() {
        context
    } else {
        &standing
    };
    let place = context.place()?;
    let (tree, revision) = choose(context, arguments, &place)?;
    let providers = adapters::providers()?;
    let loader = adapters::loader(&providers, None)?;
    let mut findings = check(loader.as_ref(), tree.as_ref(), &revision)?;
    findings.extend(leaked(context, arguments, &place)?);
    sealed(context, loader.as_ref(), tree.as_ref(), &mut findings)?;
    if let Some(settings) = loader.settings(tree.as_ref())?.value {
        say_what_is_out_of_bounds(context, &settings.limits);
        say_what_is_not_as_here(context, &place, &settings);
    }
    answer(context, arguments, &findings, tree.as_ref())?;
    Ok(exit_of(&findings))
}

/// A repository may ask for less than the operator's bounds; what asks for more gets the bounds.
fn say_what_is_out_of_bounds(context: &Context, wanted: &Limits) {
    let given = adapters::bounds().within(wanted);
    let default = Limits::default();
    let say = |name: &str, wanted: String, given: String| {
        context.ui.say(&format!(
            "`limits.{name}` asks for {wanted}, and {given} hold here: only the operator raises that, \
             with `--bounds {name}={wanted}`"
        ));
    };
    if wanted.memory != default.memory && given.memory < wanted.memory {
        say(
            "memory",
            wanted.memory.to_string(),
            given.memory.to_string(),
        );
    }
    if wanted.time != default.time && given.time < wanted.time {
        let [wanted, given] = [wanted.time, given.time].map(duration::format);
        say("time", wanted, given);
    }
}

/// What of the settings depends on the machine and the repository they are used in.
fn say_what_is_not_as_here(context: &Context, place: &Place, settings: &Settings) {
    for (name, own) in &settings.environments {
        if let Some(missing) = users::missing(name.as_str(), own) {
            context.ui.say(&format!("{missing}; {}", users::REMEDY));
        }
    }
    let head = place.repository.head_branch();
    let records = &settings.records.branch;
    if head.as_ref() == Some(records) {
        context.ui.say(&format!(
            "HEAD is read from `{records}`, so no record goes there: they go to `stratum/records`"
        ));
    }
}

/// Private keys and credentials in what changed.
fn leaked(
    context: &Context,
    arguments: &CheckArguments,
    place: &Place,
) -> Result<Vec<Finding>, CommandError> {
    let folder = work_tree_folder(context);
    let has_files = !place.repository.is_bare() && !place.repository.is_mirror();
    let mut findings = match (arguments.staged, &arguments.rev) {
        (_, Some(_)) => Vec::new(),
        _ if !has_files => Vec::new(),
        (true, None) => leaks::staged(&top(&folder)?)?,
        (false, None) => leaks::changed(&top(&folder)?)?,
    };
    if let Some(since) = &arguments.since {
        let folder = match place.repository.is_mirror() {
            true => place.repository.git_dir().to_owned(),
            false => folder,
        };
        let old = place.repository.resolve(since)?;
        let new = place
            .repository
            .resolve(arguments.rev.as_deref().unwrap_or("HEAD"))?;
        let known = format!("^{old}");
        findings.extend(leaks::brought(&folder, new.as_str(), &[&known])?);
    }
    Ok(findings)
}

/// The folder whose work tree is meant. What git tells a hook names no work tree; a hook stands in
/// it.
pub(crate) fn work_tree_folder(context: &Context) -> PathBuf {
    PathBuf::from(context.global.repo.as_deref().unwrap_or("."))
}

fn answer(
    context: &Context,
    arguments: &CheckArguments,
    findings: &[Finding],
    tree: &dyn Tree,
) -> Result<(), CommandError> {
    let ui = &context.ui;
    if arguments.sarif {
        ui.answer_json(&show::sarif::log(findings))?;
    } else if context.global.json {
        ui.answer_json(&show::json::CheckView::new(findings))?;
    } else {
        let texts = |path: &str| text(tree, path);
        ui.answer(&show::finding::findings(ui.theme(), findings, &texts));
        ui.answer(&format!("{}\n", show::finding::count(findings)));
    }
    if let Some(first) = findings.iter().find(|finding| finding.is_error()) {
        ui.hint(&format!(
            "`stratum explain {}` says more about it",
            first.code
        ));
    }
    Ok(())
}

/// Adds what is wrong with sealed values, unless their files are wrong already.
fn sealed(
    context: &Context,
    loader: &dyn Loader,
    tree: &dyn Tree,
    findings: &mut Vec<Finding>,
) -> Result<(), CommandError> {
    let Some(settings) = loader.settings(tree)?.value else {
        return Ok(());
    };
    for environment in loader.environments(tree, &settings)? {
        let report = context.sealed(tree, &settings, &environment)?;
        findings.extend(report.findings);
    }
    let place = |finding: &Finding| (finding.source.clone(), finding.code.clone());
    findings.sort_by(|a, b| (place(a), &a.message).cmp(&(place(b), &b.message)));
    findings.dedup();
    Ok(())
}

/// Everything that is wrong with a tree, each thing once, in order of place.
pub(crate) fn check(
    loader: &dyn Loader,
    tree: &dyn Tree,
    revision: &Revision,
) -> Result<Vec<Finding>, CommandError> {
    let settings = loader.settings(tree)?;
    let mut findings = settings.findings;
    if let Some(settings) = settings.value {
        for environment in loader.environments(tree, &settings)? {
            let loaded = loader.load(tree, revision, &settings, &environment)?;
            findings.extend(loaded.findings);
            if let Some(desired) = &loaded.value {
                findings.extend(beside::findings(&settings, &environment, desired));
            }
        }
        findings.extend(loader.strays(tree, &settings)?);
        let trust = loader.trust(tree, &settings)?;
        findings.extend(trust.findings);
        let trust = trust.value.unwrap_or_default();
        findings.extend(
            adapters::gate()
                .check(tree, &trust, &settings)
                .map_err(LoadError::Tree)?,
        );
    }
    findings
        .sort_by(|a, b| (&a.source, &a.code, &a.message).cmp(&(&b.source, &b.code, &b.message)));
    findings.dedup();
    Ok(findings)
}

/// The text of a file of the tree, to show a line of it.
pub(crate) fn text(tree: &dyn Tree, path: &str) -> Option<String> {
    let entry = tree.entry(path).ok()??;
    String::from_utf8(tree.blob(&entry.id, path).ok()?).ok()
}

fn choose(
    context: &Context,
    arguments: &CheckArguments,
    place: &Place,
) -> Result<(Arc<dyn Tree>, Revision), CommandError> {
    let repository = &place.repository;
    let has_files = !repository.is_bare() && !repository.is_mirror();
    if let Some(name) = &arguments.rev {
        return at(place, name);
    }
    if !has_files {
        context
            .ui
            .say("the repository has no work tree: checking its HEAD");
        return at(place, "HEAD");
    }
    let folder = work_tree_folder(context);
    let files = match arguments.staged {
        true => Files::of_index(&folder)?,
        false => Files::of_work_tree(&folder)?,
    };
    Ok((Arc::new(files), present(place)?))
}

fn at(place: &Place, name: &str) -> Result<(Arc<dyn Tree>, Revision), CommandError> {
    let commit = place.repository.resolve(name)?;
    let tree = place.repository.tree(&commit)?;
    Ok((tree, place.repository.revision(&commit)?))
}

/// What stands for the commit that is not made yet: HEAD, or zeros where there is none.
pub(crate) fn present(place: &Place) -> Result<Revision, CommandError> {
    let nothing = "0".repeat(40);
    let defect = |error: stratum_core::ids::IdError| CommandError::machine(error.to_string());
    match place.repository.resolve("HEAD") {
        Ok(commit) => Ok(place.repository.revision(&commit)?),
        Err(
            RepositoryError::Empty { .. }
            | RepositoryError::NoSuchRevision { .. }
            | RepositoryError::Unborn { .. },
        ) => Ok(Revision {
            commit: CommitId::new(nothing.clone()).map_err(defect)?,
            inputs: ObjectId::new(nothing).map_err(defect)?,
            author: String::new(),
            committed_at: jiff::Timestamp::UNIX_EPOCH,
            subject: String::new(),
            message: String::new(),
        }),
        Err(error) => Err(error.into()),
    }
}
